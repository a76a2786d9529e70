//! Rows of materialized views: computed again on the target, and compared with what the source held.
//!
//! A view that was refreshed before its tables changed holds other rows at the source than it would hold if it were computed
//! now. Its tables and its definition are compared for themselves; so a difference here is named, and is no fault of the
//! restored copy.

use super::{stop::Stop, work::Work};
use crate::{
    digest::{RowDigest, RowKey, RowTotals},
    finding::{Finding, FindingKind},
    pg::{
        PgError,
        copy::{self, CopyOut},
        name::Table,
        wire::Patience,
    },
    restore::database::TargetDatabase,
    source::postgres::Snapshot,
    transfer::{
        error::{SourceError, TransferError},
        pace::{Pace, Paced},
        table::RowSource,
    },
    verify::Comparison,
};

/// A materialized view and what the source held of it.
pub(crate) struct View {
    table: Table,
    held: RowTotals,
}

/// Reads every view that the source holds rows of, under the snapshot. One that can't be read is a finding.
pub(crate) fn read(
    work: &Work,
    snapshot: &mut Snapshot,
    key: RowKey,
    pace: Option<&Pace>,
    patience: Patience,
) -> Result<(Vec<View>, Vec<Finding>), Stop> {
    let (mut views, mut findings) = (Vec::new(), Vec::new());
    let tables = snapshot.materialized_views()?;
    if tables.is_empty() {
        return Ok((views, findings));
    }
    let mut reader = None;
    for table in tables {
        work.go_on()?;
        let mut reading = match reader.take() {
            Some(reading) => reading,
            None => snapshot.ticket(patience.clone()).reader()?,
        };
        let rows = reading.copy_view_out(&table);
        match rows.map_err(|error| refused(&table, &error)).and_then(|rows| totals(rows, &table, key, pace)) {
            Ok(held) => {
                views.push(View { table, held });
                reader = Some(reading);
            }
            Err(SourceError::Permanent { what, reason }) => {
                findings.push(work.finding(FindingKind::TableUnreadable, format!("materialized view {what}"), reason));
            }
            Err(other) => return Err(TransferError::from(other).into()),
        }
    }
    Ok((views, findings))
}

fn refused(table: &Table, error: &PgError) -> SourceError {
    let (what, reason) = (table.name.to_string(), error.to_string());
    match error.connection_lost() {
        true => SourceError::Transient { what, reason },
        false => SourceError::Permanent { what, reason },
    }
}

fn totals(rows: CopyOut<'_>, table: &Table, key: RowKey, pace: Option<&Pace>) -> Result<RowTotals, SourceError> {
    let mut digest = RowDigest::new(key, &table.copy_out_sql());
    let (mut rows, mut batch) = (Paced::new(rows, pace), Vec::new());
    loop {
        rows.fill(&mut batch)?;
        if batch.is_empty() {
            break;
        }
        digest.update(&batch);
        batch.clear();
    }
    let torn = || SourceError::Permanent { what: table.name.to_string(), reason: "the last row has no end".to_owned() };
    digest.finish().ok_or_else(torn)
}

/// Reads the views of the target in the same way.
pub(crate) fn compare(work: &Work, views: &[View], database: &TargetDatabase, key: RowKey) -> Result<Comparison, Stop> {
    let mut comparison = Comparison::new("materialized views");
    for View { table, held } in views {
        work.go_on()?;
        let name = format!("materialized view {}", table.name);
        let mut wire = database.address().wire()?;
        match copy::totals(&mut wire, table, &table.select_out_sql(), key, |_, _| {}) {
            Ok(found) => {
                if found != *held {
                    let detail = format!(
                        "computed again from the restored tables it has {} rows, the source held {} others: it was not \
                         refreshed since its tables changed, or it depends on more than its tables",
                        found.rows, held.rows
                    );
                    comparison.findings.push(work.finding(FindingKind::Deviation, name, detail));
                }
                comparison.compared(None);
            }
            Err(error) => {
                comparison.not_compared(work.finding(FindingKind::TableUnreadable, name, error.to_string()));
            }
        }
    }
    Ok(comparison)
}
