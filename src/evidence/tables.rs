//! Evidence of a database: `tables.csv` with what is needed to repeat every row digest, `exports.csv` with every spooled
//! range, and `exports.sha256` for `sha256sum -c` over those.

use std::{collections::BTreeMap, path::Path};

use super::{
    exports::{EXPORTS_CSV, ExportLine, exports_csv, parse_exports},
    files::{EvidenceError, IoContext as _, sha256sum_line, write_replacing},
    objects::json_string,
};
use crate::{
    csv,
    domain::digest::{MerkleTree, RowKey, RowTotals, Sha256Digest},
    transfer::receipt::TableReceipt,
};

/// One line per table.
pub const TABLES_CSV: &str = "tables.csv";
/// The receipts, one JSON object per line in the order of the tables: each line has the digest that the journal has of it,
/// and both lists follow from them.
pub const TABLES_NDJSON: &str = "tables.ndjson";
/// Digests of the spooled exports, for `sha256sum -c` in the asset's directory.
pub const EXPORTS_SHA256: &str = "exports.sha256";
/// The columns of `tables.csv`.
const HEADER: [&str; 8] = ["table", "rows", "bytes", "row_digest", "row_key", "exports", "source_count", "copy_sql"];

/// The totals of a database's receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TablesEvidence {
    /// Number of tables.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// Bytes of those rows in COPY text, line ends not counted.
    pub bytes: u64,
    /// Merkle tree hash (RFC 9162, 2.1.1) over one leaf `<sha256> <rows> <part> <table as a JSON string>\n` per export, in
    /// ascending order of tables and parts.
    pub content_sha256: Sha256Digest,
}

/// Both lists of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    pub tables: Vec<TableLine>,
    pub exports: Vec<ExportLine>,
}

/// Writes the files into an existing directory. What an interrupted attempt left there is replaced.
pub fn write_tables(receipts: &[TableReceipt], key: RowKey, dir: &Path) -> Result<TablesEvidence, EvidenceError> {
    let mut sorted: Vec<_> = receipts.iter().collect();
    sorted.sort_by(|one, other| one.table.cmp(&other.table));
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].table == pair[1].table) {
        return Err(EvidenceError::ReceiptOrder { name: pair[0].table.clone() });
    }
    let lists = lists_of(sorted.iter().copied(), key);
    let path = dir.join(TABLES_NDJSON);
    let mut lines = Vec::new();
    for receipt in sorted {
        serde_json::to_writer(&mut lines, receipt).map_err(std::io::Error::from).when("write", &path)?;
        lines.push(b'\n');
    }
    write_replacing(&path, &lines)?;
    write_replacing(&dir.join(EXPORTS_SHA256), exports_sha256(&lists.exports)?.as_bytes())?;
    write_replacing(&dir.join(EXPORTS_CSV), exports_csv(&lists.exports).as_bytes())?;
    let records: String = lists.tables.iter().map(TableLine::to_record).collect();
    write_replacing(&dir.join(TABLES_CSV), (csv::record(HEADER) + &records).as_bytes())?;
    Ok(totals(&lists))
}

/// The lists that follow from receipts in the order of their tables.
pub(crate) fn lists_of<'a>(receipts: impl Iterator<Item = &'a TableReceipt> + Clone, key: RowKey) -> Lists {
    Lists {
        tables: receipts.clone().map(|receipt| TableLine::of(receipt, key)).collect(),
        exports: receipts.flat_map(ExportLine::of).collect(),
    }
}

/// Reads the lists of an asset back into receipts. The rest is filled in: source's and target's counts with the
/// rows, the duration with zero.
pub fn read_tables(dir: &Path) -> Result<Vec<TableReceipt>, EvidenceError> {
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, "is no list of tables");
    let path = dir.join(EXPORTS_CSV);
    let text = std::fs::read_to_string(&path).when("read", &path)?;
    let mut exports: BTreeMap<String, Vec<ExportLine>> = BTreeMap::new();
    for export in parse_exports(&text).ok_or_else(malformed).when("read", &path)? {
        exports.entry(export.table.clone()).or_default().push(export);
    }
    let path = dir.join(TABLES_CSV);
    let text = std::fs::read_to_string(&path).when("read", &path)?;
    let tables = parse_tables(&text).ok_or_else(malformed).when("read", &path)?;
    let receipts = tables.into_iter().map(|line| {
        let own = exports.remove(&line.table).unwrap_or_default();
        line.into_receipt(own)
    });
    Ok(receipts.collect())
}

/// One line of `tables.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableLine {
    pub table: String,
    pub rows: u64,
    pub bytes: u64,
    pub row_digest: Sha256Digest,
    pub row_key: Sha256Digest,
    pub exports: u64,
    pub source_count: u64,
    pub copy_sql: String,
}

impl TableLine {
    fn into_receipt(self, exports: Vec<ExportLine>) -> TableReceipt {
        TableReceipt {
            stream: self.totals(),
            sent_rows: self.rows,
            accepted_rows: self.rows,
            duration_ms: 0,
            generated: None,
            table: self.table,
            copy_sql: self.copy_sql,
            source_count: self.source_count,
            exports: exports.into_iter().map(|export| export.receipt).collect(),
        }
    }

    fn of(receipt: &TableReceipt, key: RowKey) -> Self {
        TableLine {
            table: receipt.table.clone(),
            rows: receipt.stream.rows,
            bytes: receipt.stream.bytes,
            row_digest: receipt.stream.digest,
            row_key: key.0,
            exports: receipt.exports.len() as u64,
            source_count: receipt.source_count,
            copy_sql: receipt.copy_sql.clone(),
        }
    }

    pub(crate) fn totals(&self) -> RowTotals {
        RowTotals { rows: self.rows, bytes: self.bytes, digest: self.row_digest }
    }

    fn to_record(&self) -> String {
        let [rows, bytes, exports, source_count] =
            [self.rows, self.bytes, self.exports, self.source_count].map(|number| number.to_string());
        let row_digest = self.row_digest.to_string();
        let row_key = self.row_key.to_string();
        csv::record([&*self.table, &rows, &bytes, &row_digest, &row_key, &exports, &source_count, &self.copy_sql])
    }

    fn from_record(record: Vec<String>) -> Option<Self> {
        let [table, rows, bytes, row_digest, row_key, exports, source_count, copy_sql] =
            <[String; 8]>::try_from(record).ok()?;
        Some(TableLine {
            table,
            rows: rows.parse().ok()?,
            bytes: bytes.parse().ok()?,
            row_digest: row_digest.parse().ok()?,
            row_key: row_key.parse().ok()?,
            exports: exports.parse().ok()?,
            source_count: source_count.parse().ok()?,
            copy_sql,
        })
    }
}

/// Reads `tables.csv`; none if it isn't valid, or its tables don't ascend.
pub(crate) fn parse_tables(text: &str) -> Option<Vec<TableLine>> {
    let mut records = csv::parse(text)?.into_iter();
    let header = records.next()?;
    let lines: Vec<_> = records.map(TableLine::from_record).collect::<Option<_>>()?;
    let ascend = lines.windows(2).all(|pair| pair[0].table < pair[1].table);
    (header == HEADER && ascend).then_some(lines)
}

/// The totals of the lists, in their order.
pub(crate) fn totals(lists: &Lists) -> TablesEvidence {
    let mut content = MerkleTree::default();
    for ExportLine { table, part, receipt } in &lists.exports {
        content.push(format!("{} {} {part} {}\n", receipt.sha256, receipt.totals.rows, json_string(table)));
    }
    let sum = |number: fn(&TableLine) -> u64| lists.tables.iter().map(number).fold(0, u64::saturating_add);
    TablesEvidence {
        tables: lists.tables.len() as u64,
        rows: sum(|line| line.rows),
        bytes: sum(|line| line.bytes),
        content_sha256: content.root(),
    }
}

/// The text of `exports.sha256` that belongs to these lines.
pub(crate) fn exports_sha256(lines: &[ExportLine]) -> Result<String, EvidenceError> {
    lines.iter().map(|line| sha256sum_line(line.receipt.sha256, &line.receipt.path)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{domain::digest::RowTotals, transfer::receipt::ExportReceipt};

    pub(crate) fn receipt(table: &str, rows: u64) -> TableReceipt {
        let totals = RowTotals { rows, bytes: 2 * rows, digest: Sha256Digest::of("rows") };
        TableReceipt {
            table: table.into(),
            copy_sql: format!("COPY \"public\".\"{table}\" (\"a\", \"b\") TO STDOUT"),
            stream: totals,
            source_count: rows,
            sent_rows: rows,
            accepted_rows: rows,
            exports: vec![ExportReceipt {
                path: format!("exports/{}.copy.zst", table.replace(['"', ','], "_")),
                sha256: Sha256Digest::of(table),
                totals,
                from_block: None,
                to_block: None,
            }],
            duration_ms: 1,
            generated: None,
        }
    }

    #[test]
    fn tables_are_written_sorted_and_read_back() {
        let dir = tempfile::tempdir().expect("directory");
        let mut split = receipt("public.b", 3);
        split.exports[0].to_block = Some(7);
        let second =
            ExportReceipt { path: "exports/2.copy.zst".into(), totals: RowTotals::NONE, ..split.exports[0].clone() };
        split.exports.push(ExportReceipt { from_block: Some(7), to_block: None, ..second });
        let receipts = [split, receipt("public.\"a,\"", 4)];
        let evidence = write_tables(&receipts, RowKey(Sha256Digest([7; 32])), dir.path()).expect("written");
        assert_eq!((evidence.tables, evidence.rows, evidence.bytes), (2, 7, 14));
        let text = std::fs::read_to_string(dir.path().join(TABLES_CSV)).expect("text");
        assert!(text.starts_with("table,rows,bytes,row_digest,row_key,exports,source_count,copy_sql\n"));
        let back = read_tables(dir.path()).expect("read");
        assert_eq!(back[1].exports, receipts[0].exports);
        assert_eq!(back[0].copy_sql, receipts[1].copy_sql);
        let sums = std::fs::read_to_string(dir.path().join(EXPORTS_SHA256)).expect("text");
        assert_eq!(sums.lines().count(), 3);
        let mut content = MerkleTree::default();
        let leaf = |table: &str, rows: u64, part: u64| {
            format!("{} {rows} {part} {}\n", Sha256Digest::of(table), json_string(table))
        };
        content.push(leaf("public.\"a,\"", 4, 1));
        content.push(leaf("public.b", 3, 1));
        content.push(leaf("public.b", 0, 2));
        assert_eq!(evidence.content_sha256, content.root());
    }

    #[test]
    fn a_table_stands_once_and_in_order() {
        let dir = tempfile::tempdir().expect("directory");
        let twice = write_tables(&[receipt("a", 1), receipt("a", 1)], RowKey(Sha256Digest([7; 32])), dir.path());
        assert!(matches!(twice, Err(EvidenceError::ReceiptOrder { name }) if name == "a"));
        let line = TableLine::of(&receipt("a", 1), RowKey(Sha256Digest([7; 32]))).to_record();
        assert_eq!(parse_tables(&(csv::record(HEADER) + &line + &line)), None);
        assert_eq!(parse_tables(&line), None);
    }
}
