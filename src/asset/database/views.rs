//! Rows that are not copied but have to equal the source's: those of materialized views, recomputed on the target,
//! and of tables that belong to extensions, recreated by CREATE EXTENSION.
//!
//! A view that was not refreshed since its tables changed holds other rows at the source than when it is recomputed.
//! Its tables and its definition are compared separately, but these rows are not those that the source held:
//! the asset does not pass. A view that depends on more than its tables cannot be distinguished from this.

use std::time::Duration;

use super::{
    copying::{ATTEMPTS_MAX, RETRY_AFTER},
    ends::CopyEnd,
    watch::watched,
};
use crate::{
    asset::{stop::Stop, work::Work},
    domain::{
        digest::{RowDigest, RowKey, RowTotals},
        finding::{Finding, FindingKind},
    },
    interrupt::Interrupt,
    pg::{
        PgError,
        copy::{self, CopyOut},
        name::Table,
        wire::WaitLimits,
    },
    provider::postgres::{Snapshot, SnapshotHandle, SnapshotReader},
    restore::database::TargetDatabase,
    transfer::{
        error::{SourceError, TransferError},
        pace::{Pace, Paced},
        table::RowSource,
    },
    verify::{
        Comparison, read_patiently,
        state::{self, State},
        tables::not_read_back,
    },
};

/// A materialized view or an extension's table, and its rows at the source.
pub(crate) struct View {
    table: Table,
    of: Kind,
    held: RowTotals,
}

/// What creates the rows on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A query.
    Query,
    /// The script of an extension.
    Extension,
}

impl Kind {
    fn subject(self, table: &str) -> String {
        match self {
            Kind::Query => format!("materialized view {table}"),
            Kind::Extension => format!("rows of {table}, a table of an extension"),
        }
    }
}

/// How the source is read.
pub(crate) struct Reading<'a> {
    pub key: RowKey,
    pub pace: Option<Pace>,
    /// How long a copy may stall.
    pub stall: Duration,
    /// How long another session may wait for an exclusive lock on a table before the snapshot is released.
    pub lock_timeout: Duration,
    pub work: &'a Work,
}

/// Reads every view that has rows at the source, under the snapshot. One that can't be read is a finding. A reader that
/// loses its connection is replaced as long as the snapshot is held.
pub(crate) fn read(reading: &Reading<'_>, snapshot: &mut Snapshot) -> Result<(Vec<View>, Vec<Finding>), CopyEnd> {
    let views = snapshot.materialized_views().map_err(CopyEnd::of_snapshot)?.into_iter();
    let of_extensions = snapshot.extension_tables().map_err(CopyEnd::of_snapshot)?.into_iter();
    let views = views.map(|view| (view, Kind::Query));
    let tables: Vec<_> = views.chain(of_extensions.map(|table| (table, Kind::Extension))).collect();
    if tables.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let halt = Interrupt::default();
    let handle = snapshot.handle(WaitLimits { stall: Some(reading.stall), interrupt: halt.clone() });
    let run = &reading.work.interrupt;
    let read = watched(snapshot, reading.lock_timeout, &halt, run, || reading.all(tables, &handle, &halt));
    read.map(|(read, _)| read)
}

impl Reading<'_> {
    fn all(
        &self,
        tables: Vec<(Table, Kind)>,
        handle: &SnapshotHandle,
        halt: &Interrupt,
    ) -> Result<(Vec<View>, Vec<Finding>), CopyEnd> {
        let mut views = Vec::new();
        let mut findings = Vec::new();
        let mut reader = None;
        for (table, of) in tables {
            match self.with_retries(handle, &mut reader, &table, halt)? {
                Ok(held) => views.push(View { table, of, held }),
                Err(
                    SourceError::Permanent { what, reason }
                    | SourceError::Denied { what, reason }
                    | SourceError::Throttled { what, reason },
                ) => {
                    let finding = self.work.finding(FindingKind::TableUnreadable, of.subject(&what), reason);
                    findings.push(finding);
                }
                Err(other) => return Err(TransferError::from(other).into()),
            }
        }
        Ok((views, findings))
    }

    fn with_retries(
        &self,
        handle: &SnapshotHandle,
        reader: &mut Option<SnapshotReader>,
        table: &Table,
        halt: &Interrupt,
    ) -> Result<Result<RowTotals, SourceError>, CopyEnd> {
        let mut attempt = 1;
        loop {
            if halt.asked() {
                return Err(Stop::Interrupted.into());
            }
            match read_one(handle, reader, table, self.key, self.pace.as_ref()) {
                Err(error) if error.is_passing() && halt.asked() => {}
                Err(SourceError::Transient { reason, .. }) if attempt == ATTEMPTS_MAX => {
                    return Err(CopyEnd::SnapshotLost(reason.into()));
                }
                Err(error) if error.is_passing() && attempt < ATTEMPTS_MAX => {
                    tracing::warn!(reason = error.detail(), "the source was lost, or busy; trying again");
                    std::thread::sleep(RETRY_AFTER * 2u32.pow(attempt - 1));
                    attempt += 1;
                }
                held => return Ok(held),
            }
        }
    }
}

/// Keeps the reader only if the view was read to its end.
fn read_one(
    handle: &SnapshotHandle,
    reader: &mut Option<SnapshotReader>,
    table: &Table,
    key: RowKey,
    pace: Option<&Pace>,
) -> Result<RowTotals, SourceError> {
    let mut reading = match reader.take() {
        Some(reading) => reading,
        None => handle.reader().map_err(|error| of_reader(table, &error))?,
    };
    let rows = reading.copy_view_out(table).map_err(|error| copy::source_error(table, &error))?;
    let held = totals(rows, table, key, pace)?;
    *reader = Some(reading);
    Ok(held)
}

/// A new reader fails when the snapshot or its server is gone, never because of the view.
fn of_reader(table: &Table, error: &PgError) -> SourceError {
    SourceError::Transient { what: table.name.to_string(), reason: error.to_string() }
}

fn totals(rows: CopyOut<'_>, table: &Table, key: RowKey, pace: Option<&Pace>) -> Result<RowTotals, SourceError> {
    let mut digest = RowDigest::new(key, &table.copy_out_sql());
    let mut rows = Paced::new(rows, pace);
    let mut batch = Vec::new();
    loop {
        rows.fill(&mut batch)?;
        if batch.is_empty() {
            break;
        }
        digest.update(&batch);
        batch.clear();
    }
    let failed = |reason: String| SourceError::Permanent { what: table.name.to_string(), reason };
    let sent = rows.sent();
    let totals = digest.finish().ok_or_else(|| failed("the last row has no end".to_owned()))?;
    if sent != Some(totals.rows) {
        return Err(failed(format!("{} rows came, and the server did not send as many", totals.rows)));
    }
    Ok(totals)
}

fn read_back(table: &Table, database: &TargetDatabase, key: RowKey) -> Result<RowTotals, PgError> {
    copy::totals(&mut database.address().wire()?, table, &table.select_out_sql(), key, |_, _| {})
}

/// Reads the views of the target in the same way, and also returns what was read.
pub(crate) fn compare(
    work: &Work,
    views: &[View],
    database: &TargetDatabase,
    key: RowKey,
) -> Result<(Comparison, State), Stop> {
    let mut read = State::new();
    let mut comparison = Comparison::new("materialized views");
    for View { table, held, .. } in views.iter().filter(|view| view.of == Kind::Query) {
        work.check_interrupt()?;
        let name = Kind::Query.subject(&table.name.to_string());
        match read_patiently(|| read_back(table, database, key))? {
            Ok(found) => {
                read.extend([state::of_view(&table.name, &found)]);
                let differs = (found != *held).then(|| {
                    let detail = format!(
                        "computed again from the restored tables it has {} rows, the source held {}{}: it was not \
                         refreshed there since its tables changed, or it was while it was being read, or it depends on more than their rows, such as the order \
                         of them; refresh it at the source before the drill, or waive this",
                        found.rows,
                        held.rows,
                        if found.rows == held.rows { " others" } else { "" }
                    );
                    work.finding(FindingKind::ViewDiffers, name, detail)
                });
                comparison.compared(differs);
            }
            Err(error) => {
                comparison.not_compared(work.finding(FindingKind::TableUnreadable, name, not_read_back(&error)));
            }
        }
    }
    Ok((comparison, read))
}

/// Reads the extensions' tables of the target in the same way. Rows that differ are not a failure of the copy, but they
/// were not copied; nothing is compared where no table of an extension holds any.
pub(crate) fn compare_extension_tables(
    work: &Work,
    views: &[View],
    database: &TargetDatabase,
    key: RowKey,
) -> Result<Option<Comparison>, Stop> {
    let mut comparison = Comparison::new("extensions' tables");
    let with_rows = |view: &&View| view.of == Kind::Extension && view.held.rows > 0;
    for View { table, of, held } in views.iter().filter(with_rows) {
        work.check_interrupt()?;
        let found = match read_patiently(|| read_back(table, database, key))? {
            Ok(found) if found == *held => {
                comparison.compared(None);
                continue;
            }
            Ok(found) => format!("CREATE EXTENSION made {} here", found.rows),
            Err(error) => error.reason(),
        };
        let detail = format!(
            "the source held {}, {found}; a dump leaves out what belongs to an extension: take the table out of it at the \
             source (ALTER EXTENSION … DROP TABLE {}) to have its rows carried",
            held.rows,
            table.name.to_sql()
        );
        comparison.not_compared(work.finding(FindingKind::NotCarried, of.subject(&table.name.to_string()), detail));
    }
    Ok((comparison.check.expected > 0).then_some(comparison))
}
