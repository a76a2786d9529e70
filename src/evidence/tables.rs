//! Evidence of a database: `tables.csv` with what is needed to repeat every row digest, and `exports.sha256` for
//! `sha256sum -c` over the spooled exports.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{
    files::{EvidenceError, IoContext as _, sha256sum_line, write_replacing},
    objects::json_string,
};
use crate::{
    csv,
    digest::{RowKey, RowTotals, Sha256Digest},
    transfer::receipt::TableReceipt,
};

/// One line per table.
pub const TABLES_CSV: &str = "tables.csv";
/// Digests of the spooled exports, for `sha256sum -c` in the asset's directory.
pub const EXPORTS_SHA256: &str = "exports.sha256";
/// The columns of `tables.csv`.
const HEADER: [&str; 9] =
    ["table", "rows", "bytes", "row_digest", "row_key", "spool", "spool_sha256", "source_count", "copy_sql"];

/// What a database's receipts amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TablesEvidence {
    /// Number of tables.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// Bytes of those rows in COPY text, line ends not counted.
    pub bytes: u64,
    /// SHA-256 over one line `<spool_sha256> <rows> <table as a JSON string>` per table, in ascending order of the names.
    pub content_sha256: Sha256Digest,
}

/// Writes both files into an existing directory. What an interrupted attempt left there is replaced.
pub fn write_tables(receipts: &[TableReceipt], key: RowKey, dir: &Path) -> Result<TablesEvidence, EvidenceError> {
    let mut lines: Vec<_> = receipts.iter().map(|receipt| TableLine::of(receipt, key)).collect();
    lines.sort_by(|one, other| one.table.cmp(&other.table));
    if let Some(pair) = lines.windows(2).find(|pair| pair[0].table == pair[1].table) {
        return Err(EvidenceError::ReceiptOrder { name: pair[0].table.clone() });
    }
    write_replacing(&dir.join(EXPORTS_SHA256), exports_sha256(&lines)?.as_bytes())?;
    let records: String = lines.iter().map(TableLine::to_record).collect();
    write_replacing(&dir.join(TABLES_CSV), (csv::record(HEADER) + &records).as_bytes())?;
    Ok(tally(&lines))
}

/// Reads `tables.csv` of an asset back into receipts. What isn't in it is filled in: the target's acceptance with the
/// rows, the duration with zero.
pub fn read_tables(dir: &Path) -> Result<Vec<TableReceipt>, EvidenceError> {
    let path = dir.join(TABLES_CSV);
    let text = std::fs::read_to_string(&path).when("read", &path)?;
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, "is no list of tables");
    let lines = parse_tables(&text).ok_or_else(malformed).when("read", &path)?;
    Ok(lines.into_iter().map(TableLine::into_receipt).collect())
}

/// One line of `tables.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableLine {
    pub table: String,
    pub rows: u64,
    pub bytes: u64,
    pub row_digest: Sha256Digest,
    pub row_key: Sha256Digest,
    pub spool: String,
    pub spool_sha256: Sha256Digest,
    pub source_count: u64,
    pub copy_sql: String,
}

impl TableLine {
    fn into_receipt(self) -> TableReceipt {
        TableReceipt {
            stream: RowTotals { rows: self.rows, bytes: self.bytes, digest: self.row_digest },
            accepted_rows: self.rows,
            duration_ms: 0,
            table: self.table,
            copy_sql: self.copy_sql,
            source_count: self.source_count,
            spool: self.spool,
            spool_sha256: self.spool_sha256,
        }
    }

    fn of(receipt: &TableReceipt, key: RowKey) -> Self {
        TableLine {
            table: receipt.table.clone(),
            rows: receipt.stream.rows,
            bytes: receipt.stream.bytes,
            row_digest: receipt.stream.digest,
            row_key: key.0,
            spool: receipt.spool.clone(),
            spool_sha256: receipt.spool_sha256,
            source_count: receipt.source_count,
            copy_sql: receipt.copy_sql.clone(),
        }
    }

    fn to_record(&self) -> String {
        let numbers = [self.rows, self.bytes, self.source_count].map(|number| number.to_string());
        let digests = [self.row_digest, self.row_key, self.spool_sha256].map(|digest| digest.to_string());
        let [rows, bytes, source_count] = &numbers;
        let [row_digest, row_key, spool_sha256] = &digests;
        csv::record([
            &*self.table,
            rows,
            bytes,
            row_digest,
            row_key,
            &self.spool,
            spool_sha256,
            source_count,
            &self.copy_sql,
        ])
    }

    fn from_record(record: Vec<String>) -> Option<Self> {
        let [table, rows, bytes, row_digest, row_key, spool, spool_sha256, source_count, copy_sql] =
            <[String; 9]>::try_from(record).ok()?;
        Some(TableLine {
            table,
            rows: rows.parse().ok()?,
            bytes: bytes.parse().ok()?,
            row_digest: row_digest.parse().ok()?,
            row_key: row_key.parse().ok()?,
            spool,
            spool_sha256: spool_sha256.parse().ok()?,
            source_count: source_count.parse().ok()?,
            copy_sql,
        })
    }
}

/// Reads `tables.csv`; none if it isn't one, or its tables don't ascend.
pub(crate) fn parse_tables(text: &str) -> Option<Vec<TableLine>> {
    let mut records = csv::parse(text)?.into_iter();
    let header = records.next()?;
    let lines: Vec<_> = records.map(TableLine::from_record).collect::<Option<_>>()?;
    let ascend = lines.windows(2).all(|pair| pair[0].table < pair[1].table);
    (header == HEADER && ascend).then_some(lines)
}

/// What the lines, in order, amount to.
pub(crate) fn tally(lines: &[TableLine]) -> TablesEvidence {
    let mut content = Sha256::new();
    for line in lines {
        content.update(format!("{} {} {}\n", line.spool_sha256, line.rows, json_string(&line.table)));
    }
    let sum = |number: fn(&TableLine) -> u64| lines.iter().map(number).fold(0, u64::saturating_add);
    TablesEvidence {
        tables: lines.len() as u64,
        rows: sum(|line| line.rows),
        bytes: sum(|line| line.bytes),
        content_sha256: content.into(),
    }
}

/// The text of `exports.sha256` that belongs to these lines.
pub(crate) fn exports_sha256(lines: &[TableLine]) -> Result<String, EvidenceError> {
    lines.iter().map(|line| sha256sum_line(line.spool_sha256, &line.spool)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::digest::RowTotals;

    pub(crate) fn receipt(table: &str, rows: u64) -> TableReceipt {
        TableReceipt {
            table: table.into(),
            copy_sql: format!("COPY {table} (\"a\", b) TO STDOUT"),
            stream: RowTotals { rows, bytes: 2 * rows, digest: Sha256Digest::of("rows") },
            source_count: rows,
            accepted_rows: rows,
            spool: format!("exports/{}.copy", table.replace(['"', ','], "_")),
            spool_sha256: Sha256Digest::of(table),
            duration_ms: 1,
        }
    }

    #[test]
    fn tables_are_written_sorted_and_read_back() {
        let dir = tempfile::tempdir().expect("directory");
        let receipts = [receipt("public.b", 3), receipt("public.\"a,\"", 4)];
        let evidence = write_tables(&receipts, RowKey(Sha256Digest([7; 32])), dir.path()).expect("written");
        assert_eq!((evidence.tables, evidence.rows, evidence.bytes), (2, 7, 14));
        let text = std::fs::read_to_string(dir.path().join(TABLES_CSV)).expect("text");
        assert!(text.starts_with("table,rows,bytes,row_digest,row_key,spool,spool_sha256,source_count,copy_sql\n"));
        let lines = parse_tables(&text).expect("tables");
        assert_eq!(lines[1].copy_sql, "COPY public.b (\"a\", b) TO STDOUT");
        assert_eq!(tally(&lines), evidence);
        let content = |table: &str, rows: u64| format!("{} {rows} {}\n", Sha256Digest::of(table), json_string(table));
        let content = content("public.\"a,\"", 4) + &content("public.b", 3);
        assert_eq!(evidence.content_sha256, Sha256Digest::of(content));
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
