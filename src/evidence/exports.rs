//! `exports.csv`: every spooled range of every table, with its location at the source and its totals.

use crate::{
    csv,
    domain::digest::RowTotals,
    transfer::receipt::{ExportReceipt, TableReceipt},
};

/// One line per spooled range.
pub const EXPORTS_CSV: &str = "exports.csv";
const HEADER: [&str; 9] = ["table", "part", "path", "sha256", "rows", "bytes", "row_digest", "from_block", "to_block"];

/// One line of `exports.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportLine {
    pub table: String,
    /// From 1, in the order of the ranges.
    pub part: u64,
    pub receipt: ExportReceipt,
}

impl ExportLine {
    /// The lines of one table.
    pub(crate) fn of(receipt: &TableReceipt) -> Vec<Self> {
        let line = |(part, export): (u64, &ExportReceipt)| ExportLine {
            table: receipt.table.clone(),
            part,
            receipt: export.clone(),
        };
        (1..).zip(&receipt.exports).map(line).collect()
    }

    fn to_record(&self) -> String {
        let ExportReceipt { path, sha256, totals, from_block, to_block } = &self.receipt;
        let [part, rows, bytes] = [self.part, totals.rows, totals.bytes].map(|number| number.to_string());
        let [sha256, digest] = [sha256, &totals.digest].map(|digest| digest.to_string());
        let [from, to] = [from_block, to_block].map(|block| block.map_or_else(String::new, |block| block.to_string()));
        csv::record([&*self.table, &part, path, &sha256, &rows, &bytes, &digest, &from, &to])
    }

    fn from_record(record: Vec<String>) -> Option<Self> {
        let [table, part, path, sha256, rows, bytes, row_digest, from, to] = <[String; 9]>::try_from(record).ok()?;
        let block = |text: String| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
        let totals =
            RowTotals { rows: rows.parse().ok()?, bytes: bytes.parse().ok()?, digest: row_digest.parse().ok()? };
        let sha256 = sha256.parse().ok()?;
        let from_block = block(from)?;
        let to_block = block(to)?;
        let receipt = ExportReceipt { path, sha256, totals, from_block, to_block };
        Some(ExportLine { table, part: part.parse().ok()?, receipt })
    }
}

/// The text of the file.
pub(crate) fn exports_csv(lines: &[ExportLine]) -> String {
    csv::record(HEADER) + &lines.iter().map(ExportLine::to_record).collect::<String>()
}

/// Reads the file; none if it isn't valid, or its tables and their parts don't ascend.
pub(crate) fn parse_exports(text: &str) -> Option<Vec<ExportLine>> {
    let mut records = csv::parse(text)?.into_iter();
    let header = records.next()?;
    let lines: Vec<_> = records.map(ExportLine::from_record).collect::<Option<_>>()?;
    let ascend = lines.windows(2).all(|pair| (&pair[0].table, pair[0].part) < (&pair[1].table, pair[1].part));
    (header == HEADER && ascend).then_some(lines)
}
