//! Tables whose rows the target rejected at first: kept in their exports, and loaded once everything exists that
//! rows can depend on, before triggers and foreign keys.
//!
//! A CHECK constraint may read a table that is filled later, a `regclass` may name an index. What is still rejected is
//! loaded without the CHECK constraints, which are put back for new rows and checked against these: where the source's own
//! rows do not satisfy them, that is reported. What is still rejected is split up: a bad row costs only itself.

use std::{ops::Range, path::PathBuf};

use super::{
    late_rows::{self, ExportRows, RefusedRow, RowSearchError},
    ranges::record,
    receipts::Deferred,
    salvage::PLACES_MAX,
};
use crate::{
    asset::{stop::Stop, work::Work},
    domain::{
        digest::{RowDigest, RowKey, RowTotals},
        finding::{Finding, FindingKind},
    },
    pg::{name::Table, wire::WaitLimits},
    restore::{
        constraints::{DroppedConstraints, Mark},
        database::{Filling, Loader, Loading, RefusedStatement, TargetDatabase},
        spool::Spool,
    },
    transfer::{
        error::{SinkError, TransferError},
        meter::Meter,
        receipt::{ExportReceipt, TableReceipt},
        table::{RowSink as _, RowSource as _, copy_rows},
    },
};

/// The detail of findings about constraints.
pub(super) const BROKEN: &str =
    "rows of the source do not satisfy it, so on the target it holds for new rows only (NOT VALID)";
pub(super) const BROKEN_HERE: &str = "rows do not satisfy it on the target, where it holds for new rows only (NOT VALID); whether they do at the source can't \
     be told here, because its columns are of types or collations that compare by more than the server's own code: validate \
     it there (ALTER TABLE … VALIDATE CONSTRAINT), or look for rows without their counterpart";
const HELD: &str = "every row satisfies it, and on the target it holds for new rows only (NOT VALID), because PostgreSQL can't \
                    validate a constraint of a domain that is part of arrays or composite types";
const UNCHECKED: &str =
    "taken off to load its table, put back for new rows, and the rows could not be checked against it";
const OFF: &str = "taken off to load its table, and not to be put back";

/// Suffix of the file that keeps the rows that the target rejects.
const ASIDE: &str = ".refused";
const GENERATED: &str = "rows were left out after they had come, so what is stored in generated columns of the others was not \
                         compared with the source";

/// The outcome of deferred tables.
#[derive(Default)]
pub(crate) struct Loaded {
    pub receipts: Vec<TableReceipt>,
    pub findings: Vec<Finding>,
    /// Where the catalog shows constraints that rows of the source do not satisfy.
    pub marks: Vec<Mark>,
}

/// The context of loading them.
pub(crate) struct LateLoad<'a> {
    pub work: &'a Work,
    pub database: &'a TargetDatabase,
    /// The key of the row digests.
    pub key: RowKey,
    /// The search path of sessions at the source.
    pub search_path: &'a str,
}

impl LateLoad<'_> {
    /// Loads all that can be loaded. What can't is reported with the target's last reason.
    pub(super) fn load(&self, deferred: Vec<Deferred>) -> Result<Loaded, Stop> {
        let mut loaded = Loaded::default();
        let mut left = deferred;
        // One of them may have waited for another.
        loop {
            let before = left.len();
            left = self.each(left, &mut loaded)?;
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        if !left.is_empty() {
            let mut relaxed = DroppedConstraints::begin(self.database.address())?;
            for deferred in &left {
                relaxed.take_off(&deferred.table.name)?;
            }
            left = self.each(left, &mut loaded)?;
            left = self.row_by_row(left, &mut loaded)?;
            let put_back = relaxed.put_back(self.search_path)?;
            loaded.marks = put_back.marks;
            for (kind, refused, what) in [
                (FindingKind::Deviation, put_back.broken, BROKEN),
                (FindingKind::Deviation, put_back.held, HELD),
                (FindingKind::SchemaStatement, put_back.unchecked, UNCHECKED),
                (FindingKind::SchemaStatement, put_back.refused, OFF),
            ] {
                let finding = |RefusedStatement { object, reason, .. }| {
                    self.work.finding(kind, object, format!("{what}: {reason}"))
                };
                loaded.findings.extend(refused.into_iter().map(finding));
            }
        }
        for Deferred { table, reason, .. } in left {
            let finding = self.work.finding(FindingKind::TableUnreadable, table.name.to_string(), reason);
            loaded.findings.push(finding);
        }
        Ok(loaded)
    }

    /// Tries each; returns those that were rejected again.
    fn each(&self, tables: Vec<Deferred>, loaded: &mut Loaded) -> Result<Vec<Deferred>, Stop> {
        let mut loader = self.loader();
        let mut left = Vec::new();
        for mut deferred in tables {
            self.work.check_interrupt()?;
            match self.one(&mut loader, &deferred) {
                Ok(accepted) => {
                    deferred.receipt.accepted_rows += accepted;
                    self.loaded(deferred, loaded)?;
                }
                Err(error) => left.push(Deferred { reason: refusal(error)?, ..deferred }),
            }
        }
        Ok(left)
    }

    fn loader(&self) -> Loader {
        let wait_limits = WaitLimits { stall: None, interrupt: self.work.interrupt.clone() };
        self.database.loader(wait_limits).looking_up_in(self.search_path)
    }

    fn loaded(&self, deferred: Deferred, loaded: &mut Loaded) -> Result<(), Stop> {
        record(self.work, deferred.number, &deferred.receipt)?;
        let detail =
            format!("loaded after the others, because at first the target refused its rows: {}", deferred.reason);
        let name = deferred.table.name.to_string();
        loaded.findings.push(self.work.finding(FindingKind::Deviation, name, detail));
        loaded.receipts.push(deferred.receipt);
        Ok(())
    }

    fn one(&self, loader: &mut Loader, deferred: &Deferred) -> Result<u64, TransferError> {
        loader.load(&deferred.table, Filling::Shared, |loading| {
            deferred.kept.iter().map(|export| self.send(export, loading)).sum()
        })
    }

    /// Copies the rows of an export into the target. Returns the target's count.
    fn send(&self, export: &ExportReceipt, loading: &mut Loading<'_>) -> Result<u64, TransferError> {
        let mut rows = ExportRows::open(&self.place(export), export.totals.rows, |_| true)?;
        let mut target = loading.copy_in()?;
        loop {
            let mut batch = Vec::new();
            rows.fill(&mut batch)?;
            if batch.is_empty() {
                break;
            }
            target.write(&batch)?;
        }
        target.finish()?.ok_or_else(|| TransferError::Internal("the target does not say what it took".to_owned()))
    }

    fn place(&self, export: &ExportReceipt) -> PathBuf {
        self.work.root().join(&export.path)
    }

    /// Loads the rows of each that the target accepts, and reports the rejected ones; returns those with no accepted row.
    fn row_by_row(&self, tables: Vec<Deferred>, loaded: &mut Loaded) -> Result<Vec<Deferred>, Stop> {
        let mut loader = self.loader();
        let mut left = Vec::new();
        for mut deferred in tables {
            self.work.check_interrupt()?;
            match self.some_rows(&mut loader, &mut deferred) {
                Ok(findings) => {
                    loaded.findings.extend(findings);
                    self.loaded(deferred, loaded)?;
                }
                Err(error) => left.push(Deferred { reason: refusal(error)?, ..deferred }),
            }
        }
        Ok(left)
    }

    fn some_rows(&self, loader: &mut Loader, deferred: &mut Deferred) -> Result<Vec<Finding>, TransferError> {
        let Deferred { table, kept, receipt, .. } = deferred;
        let refused = self.refused_rows(loader, table, kept)?;
        let rewritten = loader.load(table, Filling::Shared, |loading| {
            let each = kept.iter().zip(&refused);
            each.map(|(export, refused)| self.load_others(table, export, refused, loading))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let subject = table.name.to_string();
        let mut findings = Vec::new();
        for ((export, refused), (new, accepted)) in kept.iter().zip(&refused).zip(rewritten) {
            receipt.accepted_rows += accepted;
            if refused.is_empty() {
                continue;
            }
            let aside = format!("{}{ASIDE}", export.path);
            let is_refused = |number: u64| refused.iter().any(|row| row.number == number);
            late_rows::set_aside(&self.place(export), export.totals.rows, is_refused, &self.work.root().join(&aside))?;
            late_rows::replace(&self.rewritten(export), &self.place(export))?;
            for RefusedRow { number, reason } in refused {
                let detail = format!(
                    "row {} of those that came for {} could not be restored: {reason}; it is kept in {aside}, the other \
                     rows were restored",
                    number + 1,
                    export.path
                );
                findings.push(self.work.finding(FindingKind::RowsUnreadable, &subject, detail));
            }
            let left_out = refused.len() as u64;
            receipt.source_count = receipt.source_count.saturating_sub(left_out);
            receipt.sent_rows = receipt.sent_rows.saturating_sub(left_out);
            receipt.exports.iter_mut().filter(|one| one.path == new.path).for_each(|one| one.clone_from(&new));
        }
        receipt.stream = receipt.exports.iter().fold(RowTotals::NONE, |sum, export| sum.and(export.totals));
        if !findings.is_empty() && receipt.generated.take().is_some() {
            let subject = format!("generated columns of {subject}");
            findings.push(self.work.finding(FindingKind::NotProven, subject, GENERATED));
        }
        Ok(findings)
    }

    /// The rows of each export that the target rejects. An error where it rejects all of them, or too many.
    fn refused_rows(
        &self,
        loader: &mut Loader,
        table: &Table,
        kept: &[ExportReceipt],
    ) -> Result<Vec<Vec<RefusedRow>>, TransferError> {
        let mut all = Vec::new();
        for export in kept {
            // What is rejected without a single row is rejected because of the table.
            self.rehearse(loader, table, b"")?;
            let mut refused = Vec::new();
            let mut rows = ExportRows::open(&self.place(export), export.totals.rows, |_| true)?;
            let mut before = 0;
            loop {
                let mut batch = Vec::new();
                rows.fill(&mut batch)?;
                let ends = memchr::memchr_iter(b'\n', &batch).map(|end| end + 1);
                let ends: Vec<usize> = std::iter::once(0).chain(ends).collect();
                let behind = before + ends.len() as u64 - 1;
                if behind == before {
                    break;
                }
                if self.work.interrupt.asked() {
                    return Err(TransferError::Interrupted);
                }
                let at = |number: u64| ends[(number - before) as usize];
                let mut attempt =
                    |run: Range<u64>| match self.rehearse(loader, table, &batch[at(run.start)..at(run.end)]) {
                        Ok(()) => Ok(None),
                        Err(error) => refusal(error).map(Some),
                    };
                match late_rows::refused(before..behind, &mut attempt, &mut refused) {
                    Ok(()) => before = behind,
                    Err(RowSearchError::TooMany(reason)) => {
                        return Err(declined(table, format!("{reason}; more than {PLACES_MAX} rows are refused")));
                    }
                    Err(RowSearchError::Ended(error)) => return Err(error),
                }
            }
            all.push(refused);
        }
        let rows = kept.iter().map(|export| export.totals.rows).sum::<u64>();
        let refused = all.iter().flatten().count();
        match all.iter().flatten().next() {
            Some(RefusedRow { reason, .. }) if rows == refused as u64 => Err(declined(table, reason.clone())),
            _ => Ok(all),
        }
    }

    /// Loads rows into the target, and rolls back.
    fn rehearse(&self, loader: &mut Loader, table: &Table, rows: &[u8]) -> Result<(), TransferError> {
        loader.rehearse(table, Filling::Shared, |loading| {
            let mut target = loading.copy_in()?;
            target.write(rows)?;
            Ok(target.finish().map(drop)?)
        })
    }

    /// Loads an export without some rows. Returns its receipt, and the target's count of rows; where any was left
    /// out, a new export is written beside the old one.
    fn load_others(
        &self,
        table: &Table,
        export: &ExportReceipt,
        refused: &[RefusedRow],
        loading: &mut Loading<'_>,
    ) -> Result<(ExportReceipt, u64), TransferError> {
        if refused.is_empty() {
            return Ok((export.clone(), self.send(export, loading)?));
        }
        let wanted = |number: u64| refused.iter().all(|row| row.number != number);
        let mut rows = ExportRows::open(&self.place(export), export.totals.rows, wanted)?;
        let mut spool = Spool::create(&self.rewritten(export))?;
        let digest = RowDigest::new(self.key, &table.copy_out_sql());
        let mut target = loading.copy_in()?;
        let meter = Meter::default();
        let relayed = copy_rows(&mut rows, digest, &mut spool, &mut target, &meter, &self.work.interrupt)?;
        let no_digest = || TransferError::Internal("an export has no digest".to_owned());
        let sha256 = spool.digest().ok_or_else(no_digest)?;
        Ok((ExportReceipt { sha256, totals: relayed.stream, ..export.clone() }, relayed.accepted_rows))
    }

    fn rewritten(&self, export: &ExportReceipt) -> PathBuf {
        self.work.root().join(format!("{}.new", export.path))
    }
}

/// Why the target rejected rows; anything but its verdict on them is an error.
fn refusal(error: TransferError) -> Result<String, TransferError> {
    match error {
        TransferError::Sink(SinkError::Database { reason, server_failed: false, .. }) => Ok(reason),
        other => Err(other),
    }
}

fn declined(table: &Table, reason: String) -> TransferError {
    let what = table.name.to_string();
    SinkError::Database { what, reason, code: None, server_failed: false, went_away: false }.into()
}
