//! Stored values of generated columns, which the target recomputed: where a function changed since a row was written,
//! they differ, and no other digest shows it.

use std::collections::BTreeSet;

use super::{Comparison, read_patiently, state, state::State, tables::not_read_back, try_in_parallel};
use crate::{
    domain::{
        digest::RowKey,
        finding::{Finding, FindingKind},
    },
    pg::{Address, PgError, catalog, name::Table},
    transfer::receipt::{GeneratedReceipt, TableReceipt},
};

/// Reads tables that have such columns once more, with them, `parallel` at once. Also returns what was read; no comparison
/// where no table has any.
pub(crate) fn compare(
    asset: &str,
    target: &Address,
    key: RowKey,
    receipts: &[TableReceipt],
    parallel: usize,
) -> Result<(Option<Comparison>, State), PgError> {
    let own: BTreeSet<_> = catalog::tables(&mut target.connect()?)?.iter().map(Table::whole_out_sql).collect();
    let with_values = receipts.iter().filter_map(|receipt| Some((&receipt.table, receipt.generated.as_ref()?)));
    let mut comparison = Comparison::new("generated columns");
    let mut read = State::new();
    let found = try_in_parallel(with_values, parallel, |(table, generated)| {
        let found = read_patiently(|| state::totals(target, key, table, &generated.copy_sql))?;
        Ok::<_, PgError>((table, generated, found))
    })?;
    for (table, GeneratedReceipt { columns, copy_sql, totals }, found) in found {
        match found {
            Ok(found) => {
                // Only what can be read again by the target's own columns is re-checked later.
                if own.contains(copy_sql) {
                    read.extend([state::of_generated(table, &found)]);
                }
                comparison.compared((found != *totals).then(|| {
                    let detail = format!(
                        "{} rows left with the generated columns {}, {} came, and their values differ: the target computed \
                         them anew, and a function that they rest on has changed since rows were written at the source",
                        totals.rows,
                        columns.join(", "),
                        found.rows
                    );
                    Finding::of(asset, FindingKind::TableDigest, format!("generated columns of {table}"), detail)
                }));
            }
            Err(error) => {
                let subject = format!("generated columns of {table}");
                let detail = not_read_back(&error);
                comparison.not_compared(Finding::of(asset, FindingKind::TableUnreadable, subject, detail));
            }
        }
    }
    comparison.findings.sort();
    Ok(((comparison.check.expected > 0).then_some(comparison), read))
}
