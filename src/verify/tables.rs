//! Reads restored tables back through COPY, under the key of the run, and compares rows and digests with the receipts.

use std::{collections::BTreeMap, path::Path};

use super::{Comparison, in_parallel};
use crate::{
    digest::{RowKey, RowTotals},
    finding::{Finding, FindingKind},
    interrupt::Interrupt,
    pg::{
        Address, PgError,
        catalog::{self, SequenceState},
        copy,
        name::Table,
    },
    transfer::{error::SourceError, meter::Meter, receipt::TableReceipt},
};

/// What every reader of restored tables needs.
pub struct ReadBack<'a> {
    /// The asset's id, for findings.
    pub asset: &'a str,
    /// The restored database.
    pub target: &'a Address,
    /// The key that the stream was digested under.
    pub key: RowKey,
    /// Tables read at once.
    pub parallel: usize,
    /// Counts rows and bytes that were read.
    pub meter: &'a Meter,
    /// Ends the reading early.
    pub interrupt: &'a Interrupt,
}

/// Both comparisons of the rows.
pub struct TablesCompared {
    /// Numbers of rows: of the source's own count, the stream, the target's word, and the restored table.
    pub rows: Comparison,
    /// Keyed digests of stream and restored table.
    pub digest: Comparison,
}

impl ReadBack<'_> {
    /// Compares every receipt with its table, and looks for tables that no receipt and no exclusion names.
    pub fn compare(&self, receipts: &[TableReceipt], excluded: &[String]) -> Result<TablesCompared, PgError> {
        let restored = catalog::tables(&mut self.target.connect()?)?;
        let by_name: BTreeMap<String, Table> =
            restored.into_iter().map(|table| (table.name.to_string(), table)).collect();
        let queue = receipts.iter().take_while(|_| !self.interrupt.asked());
        let results = in_parallel(queue, self.parallel, |receipt| {
            (receipt, by_name.get(&receipt.table).map(|table| self.read(receipt, table)))
        });
        let mut compared = TablesCompared { rows: Comparison::new("rows"), digest: Comparison::new("digest") };
        for (receipt, result) in results {
            self.judge(receipt, result, &mut compared);
        }
        let known = |name: &String| receipts.iter().any(|receipt| receipt.table == *name) || excluded.contains(name);
        for stranger in by_name.keys().filter(|name| !known(name)) {
            let kind = FindingKind::TableUnexpected;
            compared.rows.findings.push(Finding::of(self.asset, kind, stranger, "no receipt names this table"));
        }
        compared.rows.findings.sort();
        compared.digest.findings.sort();
        Ok(compared)
    }

    fn read(&self, receipt: &TableReceipt, table: &Table) -> Result<RowTotals, SourceError> {
        if table.copy_out_sql() != receipt.copy_sql {
            let reason = "its columns are not those that were carried".to_owned();
            return Err(SourceError::Changed { what: reason });
        }
        let failed = |error: PgError| SourceError::Permanent { what: receipt.table.clone(), reason: error.to_string() };
        let mut client = self.target.connect().map_err(failed)?;
        copy::totals(&mut client, table, self.key, |rows, bytes| {
            self.meter.add_items(rows);
            self.meter.add_bytes(bytes);
        })
    }

    fn judge(
        &self,
        receipt: &TableReceipt,
        result: Option<Result<RowTotals, SourceError>>,
        compared: &mut TablesCompared,
    ) {
        let finding = |kind, detail: String| Finding::of(self.asset, kind, &receipt.table, detail);
        match result {
            None => {
                compared.rows.compared(Some(finding(FindingKind::TableMissing, "no such table is there".to_owned())));
                compared.digest.check.expected += 1;
            }
            Some(Err(error)) => {
                let kind = match error {
                    SourceError::Changed { .. } => FindingKind::TableDigest,
                    _ => FindingKind::TableUnreadable,
                };
                compared.rows.not_compared(finding(kind, error.to_string()));
                compared.digest.check.expected += 1;
            }
            Some(Ok(found)) => {
                compared.rows.compared(counts_differ(self.asset, receipt, &found));
                compared.digest.compared(content_differs(self.asset, &receipt.table, &receipt.stream, &found));
            }
        }
    }
}

/// The four counts of one table: they must be one number.
fn counts_differ(asset: &str, receipt: &TableReceipt, found: &RowTotals) -> Option<Finding> {
    let counts = [receipt.source_count, receipt.stream.rows, receipt.accepted_rows, found.rows];
    let [source, stream, accepted, restored] = counts;
    let detail = format!("source counted {source}, stream {stream}, target accepted {accepted}, restored {restored}");
    let differ = counts.iter().any(|count| *count != source);
    differ.then(|| Finding::of(asset, FindingKind::TableRows, &receipt.table, detail))
}

/// Compares what left the source with what is restored. A difference in rows is said by the counts already, and so is
/// a digest finding of its own only when the counts agree.
pub fn content_differs(asset: &str, table: &str, stream: &RowTotals, found: &RowTotals) -> Option<Finding> {
    let detail = match (stream.rows == found.rows, stream == found) {
        (_, true) => return None,
        (true, false) => {
            format!("{} rows on both sides, digest {} left and {} came", stream.rows, stream.digest, found.digest)
        }
        (false, false) => format!("{} rows left, {} came", stream.rows, found.rows),
    };
    Some(Finding::of(asset, FindingKind::TableDigest, table, detail))
}

/// Compares where the sequences stand.
pub fn compare_sequences(asset: &str, expected: &[SequenceState], target: &Address) -> Result<Comparison, PgError> {
    let found = catalog::sequences(&mut target.connect()?)?;
    let mut comparison = Comparison::new("sequences");
    for state in expected {
        let restored = found.iter().find(|restored| restored.name == state.name);
        let place =
            |state: &SequenceState| format!("{}{}", state.last_value, if state.is_called { "" } else { " (unused)" });
        comparison.compared(match restored {
            Some(restored) if restored == state => None,
            other => {
                let stands =
                    other.map_or_else(|| "is missing".to_owned(), |restored| format!("stands at {}", place(restored)));
                let detail = format!("stood at {} at the source, {stands}", place(state));
                Some(Finding::of(asset, FindingKind::SequenceValue, state.name.to_string(), detail))
            }
        });
    }
    Ok(comparison)
}

/// Reads the spooled exports back and compares them with their receipts.
pub fn compare_spools(asset: &str, root: &Path, receipts: &[TableReceipt]) -> Comparison {
    let mut comparison = Comparison::new("spool");
    for receipt in receipts {
        match super::disk::read_back(root, &receipt.spool).map(|(_, digest)| digest) {
            Ok(digest) if digest == receipt.spool_sha256 => comparison.compared(None),
            Ok(digest) => {
                let detail = format!("SHA-256 {} was written, {digest} is there", receipt.spool_sha256);
                comparison.compared(Some(Finding::of(asset, FindingKind::SpoolDigest, &receipt.spool, detail)));
            }
            Err(error) => {
                let finding = Finding::of(asset, FindingKind::SpoolDigest, &receipt.spool, error.to_string());
                comparison.compared(Some(finding));
            }
        }
    }
    comparison
}
