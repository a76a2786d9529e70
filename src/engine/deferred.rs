//! Tables whose rows the target refused when they came: kept in their exports, and loaded once everything is there that
//! rows can depend on, before triggers and foreign keys.
//!
//! A CHECK constraint may read a table that is filled later, a `regclass` may name an index. What is refused even then is
//! loaded without the CHECK constraints, which are put back for new rows and checked against these: where the source's own
//! rows do not satisfy them, that is said.

use std::{
    fs::File,
    io::{BufReader, Read as _},
};

use super::{stop::Stop, tally, work::Work};
use crate::{
    finding::{Finding, FindingKind},
    pg::{name::Table, wire::Patience},
    restore::{
        constraints::Relaxed,
        database::{Filling, Loader, Loading, RefusedStatement, TargetDatabase},
    },
    transfer::{
        error::{SinkError, SourceError, TransferError},
        receipt::{ExportReceipt, TableReceipt},
        table::{BATCH_BYTES, RowSink as _},
    },
};

/// A table that is not loaded yet, or not whole.
pub(crate) struct Deferred {
    /// Its number among the asset's units.
    pub number: usize,
    pub table: Table,
    /// What was observed so far; what the target took is still to be added.
    pub receipt: TableReceipt,
    /// The exports that the target did not take.
    pub kept: Vec<ExportReceipt>,
    /// Why.
    pub reason: String,
}

/// What became of deferred tables.
#[derive(Default)]
pub(crate) struct Loaded {
    pub receipts: Vec<TableReceipt>,
    pub findings: Vec<Finding>,
    /// Whether a CHECK constraint stands on the target without having been checked.
    pub unchecked: bool,
}

/// Everything that loading them needs.
pub(crate) struct LateLoad<'a> {
    pub work: &'a Work,
    pub database: &'a TargetDatabase,
    /// Where sessions at the source look names up.
    pub search_path: &'a str,
}

impl LateLoad<'_> {
    /// Loads all that can be loaded. What can't is named with the target's last reason.
    pub fn load(&self, deferred: Vec<Deferred>) -> Result<Loaded, Stop> {
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
            let mut relaxed = Relaxed::begin(self.database.address())?;
            for deferred in &left {
                relaxed.take_off(&deferred.table.name)?;
            }
            left = self.each(left, &mut loaded)?;
            let put_back = relaxed.put_back(self.search_path)?;
            loaded.unchecked = !put_back.unchecked.is_empty();
            let finding = |kind, RefusedStatement { object, reason }: RefusedStatement, what: &str| {
                self.work.finding(kind, object, format!("{what}: {reason}"))
            };
            let what = "rows of the source do not satisfy it, so on the target it holds for new rows only (NOT VALID)";
            let unchecked = put_back.unchecked.into_iter().map(|one| finding(FindingKind::Deviation, one, what));
            loaded.findings.extend(unchecked);
            let what = "taken off to load its table, and not to be put back";
            loaded
                .findings
                .extend(put_back.refused.into_iter().map(|one| finding(FindingKind::SchemaStatement, one, what)));
        }
        for Deferred { table, reason, .. } in left {
            let finding = self.work.finding(FindingKind::TableUnreadable, table.name.to_string(), reason);
            loaded.findings.push(finding);
        }
        Ok(loaded)
    }

    /// Tries each; returns those that were refused again.
    fn each(&self, tables: Vec<Deferred>, loaded: &mut Loaded) -> Result<Vec<Deferred>, Stop> {
        let patience = Patience { stall: None, interrupt: self.work.interrupt.clone() };
        let mut loader = self.database.loader(patience).looking_up_in(self.search_path);
        let mut left = Vec::new();
        for mut deferred in tables {
            self.work.go_on()?;
            match self.one(&mut loader, &deferred) {
                Ok(accepted) => {
                    deferred.receipt.accepted_rows += accepted;
                    tally::record(self.work, deferred.number, &deferred.receipt)?;
                    let detail = format!(
                        "loaded after the others, because at first the target refused its rows: {}",
                        deferred.reason
                    );
                    let name = deferred.table.name.to_string();
                    loaded.findings.push(self.work.finding(FindingKind::Deviation, name, detail));
                    loaded.receipts.push(deferred.receipt);
                }
                Err(TransferError::Sink(SinkError::Database { reason, server_failed: false, .. })) => {
                    left.push(Deferred { reason, ..deferred });
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(left)
    }

    fn one(&self, loader: &mut Loader, deferred: &Deferred) -> Result<u64, TransferError> {
        loader.load(&deferred.table, Filling::Shared, |loading| {
            deferred.kept.iter().map(|export| self.export(export, loading)).sum()
        })
    }

    fn export(&self, export: &ExportReceipt, loading: &mut Loading<'_>) -> Result<u64, TransferError> {
        let failed =
            |error: std::io::Error| SourceError::Permanent { what: export.path.clone(), reason: error.to_string() };
        let file = File::open(self.work.root().join(&export.path)).map_err(failed)?;
        let mut rows = zstd::Decoder::new(BufReader::new(file)).map_err(failed)?;
        let mut target = loading.copy_in()?;
        let mut batch = vec![0; BATCH_BYTES];
        loop {
            match rows.read(&mut batch).map_err(failed)? {
                0 => break,
                some => target.write(&batch[..some])?,
            }
        }
        target.finish()?.ok_or_else(|| TransferError::Internal("the target does not say what it took".to_owned()))
    }
}
