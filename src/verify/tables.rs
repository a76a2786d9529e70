//! Reads restored tables back through COPY, under the key of the run, and compares rows and digests with the receipts.

use std::{collections::BTreeMap, path::Path};

use postgres::Client;

use super::{Comparison, in_parallel, narrow::Narrowing, read_patiently, try_in_parallel};
use crate::{
    domain::{
        digest::{RowKey, RowTotals},
        finding::{Finding, FindingKind},
    },
    interrupt::Interrupt,
    pg::{
        Address, PgError,
        catalog::{self, SequenceState},
        copy,
        name::Table,
        range::{self, BlockRange},
        sqlstate::INSUFFICIENT_PRIVILEGE,
    },
    transfer::{meter::Meter, receipt::TableReceipt},
};

/// What every reader of restored tables needs.
pub struct ReadBack<'a> {
    /// The asset's id, for findings.
    pub asset: &'a str,
    /// The restored database.
    pub target: &'a Address,
    /// The asset's directory, which holds the exports.
    pub root: &'a Path,
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
    /// Numbers of rows: of the source's own count, the stream, the target's count, and the restored table.
    pub rows: Comparison,
    /// Keyed digests of stream and restored table.
    pub digest: Comparison,
}

/// Restored tables above this size are read in parts, so that all readers are busy to the end.
const PART_BYTES_MIN: u64 = 64 << 20;
const PARTS_PER_READER: u64 = 4;
/// The most differing tables that are examined in detail; each is read twice more for that.
const NARROWED_MAX: usize = 16;

/// Why a table was not read back.
enum Unread {
    /// Its columns are not those that were carried.
    Columns,
    /// What the server says of it.
    Refused(PgError),
}

/// A part of a restored table that one reader reads.
struct Part<'a> {
    /// The index of the receipt.
    number: usize,
    table: &'a Table,
    range: BlockRange,
}

impl ReadBack<'_> {
    /// Compares every receipt with its table, and finds tables that no receipt and no exclusion names.
    ///
    /// # Errors
    /// The server, or the way to it, failed: nothing is said of any table.
    pub fn compare(&self, receipts: &[TableReceipt], excluded: &[String]) -> Result<TablesCompared, PgError> {
        let mut client = self.target.connect()?;
        let restored = catalog::tables(&mut client)?;
        let by_name: BTreeMap<String, Table> =
            restored.into_iter().map(|table| (table.name.to_string(), table)).collect();
        let parts = self.parts(&mut client, receipts, &by_name)?;
        let mut read: Vec<_> = receipts.iter().map(|_| None).collect();
        let queue = parts.iter().take_while(|_| !self.interrupt.asked());
        for (number, totals) in
            try_in_parallel(queue, self.parallel, |part| Ok((part.number, self.read(&receipts[part.number], part)?)))?
        {
            read[number] = Some(match (read[number].take(), totals) {
                (None, totals) => totals,
                (Some(Ok(sum)), Ok(totals)) => Ok(RowTotals::and(sum, totals)),
                (Some(Err(error)), _) | (Some(Ok(_)), Err(error)) => Err(error),
            });
        }
        let mut compared = TablesCompared { rows: Comparison::new("rows"), digest: Comparison::new("digest") };
        for (receipt, result) in receipts.iter().zip(read) {
            self.judge(receipt, result, &mut compared);
        }
        let known = |name: &String| receipts.iter().any(|receipt| receipt.table == *name) || excluded.contains(name);
        // Another version of an extension may contain others.
        let unexpected = by_name.iter().filter(|(name, table)| !known(name) && !table.of_extension);
        for (stranger, _) in unexpected {
            let kind = FindingKind::TableUnexpected;
            compared.rows.findings.push(Finding::of(self.asset, kind, stranger, "no receipt names this table"));
        }
        self.narrow(receipts, &by_name, &mut compared.digest.findings);
        compared.rows.findings.sort();
        compared.digest.findings.sort();
        Ok(compared)
    }

    /// For each receipt, whether its table exists with as many rows, by the server's own count.
    pub fn hold_as_many_rows(&self, receipts: &[TableReceipt]) -> Vec<bool> {
        let mut holds = vec![false; receipts.len()];
        // A database that can't be opened was changed; restoring it again reports why.
        let there = self.target.connect().and_then(|mut client| catalog::tables(&mut client)).unwrap_or_default();
        let there: BTreeMap<String, Table> = there.into_iter().map(|table| (table.name.to_string(), table)).collect();
        let queue = receipts.iter().enumerate().take_while(|_| !self.interrupt.asked());
        let counted = in_parallel(queue, self.parallel, |(number, receipt)| {
            (number, there.get(&receipt.table).and_then(|table| self.count(table)) == Some(receipt.stream.rows))
        });
        for (number, holds_as_many) in counted {
            holds[number] = holds_as_many;
        }
        holds
    }

    /// None where it can't be counted. An expression of an index may need the search path that the database's users have.
    fn count(&self, table: &Table) -> Option<u64> {
        let sql = format!("SELECT pg_catalog.count(*) FROM ONLY {}", table.name.to_sql());
        let mut wire = self.target.wire().ok()?;
        let rows = wire.query(&sql).or_else(|_| wire.query(&format!("SET search_path TO DEFAULT; {sql}"))).ok()?;
        rows.first()?.first()?.as_deref()?.parse().ok()
    }

    /// Locates the differences of tables whose content differs.
    fn narrow(&self, receipts: &[TableReceipt], by_name: &BTreeMap<String, Table>, findings: &mut [Finding]) {
        for finding in findings.iter_mut().filter(|finding| finding.kind == FindingKind::TableDigest).take(NARROWED_MAX)
        {
            let receipt = receipts.iter().find(|receipt| receipt.table == finding.subject);
            let Some((receipt, table)) = receipt.zip(by_name.get(&finding.subject)) else { continue };
            let Some(table) = &table.in_order_of(&receipt.copy_sql) else { continue };
            let Self { root, target, key, interrupt, .. } = *self;
            let narrowed = Narrowing { root, target, key, receipt, table, interrupt }.describe();
            finding.detail = format!("{}; {narrowed}", finding.detail);
        }
    }

    /// Largest tables first, the large ones cut. A receipt without a table has no part.
    fn parts<'t>(
        &self,
        client: &mut Client,
        receipts: &[TableReceipt],
        by_name: &'t BTreeMap<String, Table>,
    ) -> Result<Vec<Part<'t>>, PgError> {
        let found =
            receipts.iter().enumerate().filter_map(|(number, receipt)| Some((number, by_name.get(&receipt.table)?)));
        let mut tables: Vec<_> = found.collect();
        tables.sort_by_key(|(_, table)| std::cmp::Reverse(table.bytes_on_disk));
        let all: u64 = tables.iter().map(|(_, table)| table.bytes_on_disk).fold(0, u64::saturating_add);
        let part_bytes = (all / (self.parallel as u64 * PARTS_PER_READER).max(1)).max(PART_BYTES_MIN);
        let mut parts = Vec::new();
        for (number, table) in tables {
            let ranges = if table.bytes_on_disk > part_bytes {
                range::split(client, table, table.bytes_on_disk.div_ceil(part_bytes))?
            } else {
                vec![BlockRange::WHOLE]
            };
            parts.extend(ranges.into_iter().map(|range| Part { number, table, range }));
        }
        Ok(parts)
    }

    fn read(&self, receipt: &TableReceipt, part: &Part<'_>) -> Result<Result<RowTotals, Unread>, PgError> {
        let Some(table) = &part.table.in_order_of(&receipt.copy_sql) else { return Ok(Err(Unread::Columns)) };
        let sql = part.range.copy_out_sql(table);
        let read = read_patiently(|| {
            let mut metered = (0, 0);
            let totals = copy::totals(&mut self.target.wire()?, table, &sql, self.key, |rows, bytes| {
                metered = (metered.0 + rows, metered.1 + bytes);
                self.meter.add_items(rows);
                self.meter.add_bytes(bytes);
            });
            totals.inspect_err(|_| {
                self.meter.take_back_items(metered.0);
                self.meter.take_back_bytes(metered.1);
            })
        });
        Ok(read?.map_err(Unread::Refused))
    }

    fn judge(&self, receipt: &TableReceipt, result: Option<Result<RowTotals, Unread>>, compared: &mut TablesCompared) {
        let finding = |kind, detail: String| Finding::of(self.asset, kind, &receipt.table, detail);
        match result {
            None => {
                compared.rows.compared(Some(finding(FindingKind::TableMissing, "no such table is there".to_owned())));
                compared.digest.check.expected += 1;
            }
            Some(Err(error)) => {
                compared.rows.not_compared(match error {
                    Unread::Columns => {
                        finding(FindingKind::TableDigest, "its columns are not those that were carried".to_owned())
                    }
                    Unread::Refused(error) => finding(FindingKind::TableUnreadable, not_read_back(&error)),
                });
                compared.digest.check.expected += 1;
            }
            Some(Ok(found)) => {
                compared.rows.compared(counts_differ(self.asset, receipt, &found));
                compared.digest.compared(content_differs(self.asset, &receipt.table, &receipt.stream, &found));
            }
        }
    }
}

/// The five counts of one table: they must be equal.
fn counts_differ(asset: &str, receipt: &TableReceipt, found: &RowTotals) -> Option<Finding> {
    let counts = [receipt.source_count, receipt.sent_rows, receipt.stream.rows, receipt.accepted_rows, found.rows];
    let [source, sent, stream, accepted, restored] = counts;
    let detail = format!(
        "source counted {source} and sent {sent}, stream {stream}, target accepted {accepted}, restored {restored}"
    );
    let differ = counts.iter().any(|count| *count != source);
    differ.then(|| Finding::of(asset, FindingKind::TableRows, &receipt.table, detail))
}

/// Compares the source's stream with the restored rows. A difference in rows shows in the counts already, so there is
/// a separate digest finding only when the counts agree.
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

/// The error for an unreadable restored table, with a hint.
pub fn not_read_back(error: &PgError) -> String {
    let advice = match error.code() {
        Some(INSUFFICIENT_PRIVILEGE) => {
            "; the login at the target needs SELECT, and BYPASSRLS where row-level security is forced, to read back what it \
             restored"
        }
        _ => "",
    };
    format!("restored, and not to be read back from the target: {error}{advice}")
}

/// Compares the state of the sequences.
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
    for export in receipts.iter().flat_map(|receipt| &receipt.exports) {
        let differs = |detail: String| Some(Finding::of(asset, FindingKind::SpoolDigest, &export.path, detail));
        comparison.compared(match super::disk::read_back(root, &export.path).map(|(_, digest)| digest) {
            Ok(digest) if digest == export.sha256 => None,
            Ok(digest) => differs(format!("SHA-256 {} was written, {digest} is there", export.sha256)),
            Err(error) => differs(error.to_string()),
        });
    }
    comparison
}
