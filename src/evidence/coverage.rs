//! `coverage.csv`: what the run did with each resource of the account, one row each.

use crate::{
    account::coverage::{COLUMNS, Coverage, Row},
    csv,
};

/// The rows of the file; none if it is not such a file.
pub fn read_coverage_csv(text: &str) -> Option<Vec<Row>> {
    let mut records = csv::parse(text)?.into_iter();
    let headings = records.next()?;
    // The first bundles had no column for a size that is not known.
    (headings.len() >= COLUMNS.len() - 1 && COLUMNS.iter().zip(&headings).all(|(known, found)| known == found))
        .then(|| records.map(|record| Row::from_fields(&record)).collect())?
}

/// The whole file.
pub fn coverage_csv(coverage: &Coverage) -> String {
    let mut text = csv::record(COLUMNS);
    for row in &coverage.rows {
        let fields = row.fields();
        text.push_str(&csv::record(fields.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::coverage::{Status, Totals};

    #[test]
    fn rows_are_read_as_they_were_written() {
        let row = |name: &str, bytes: Option<u64>, status: Status| Row {
            kind: "bucket".to_owned(),
            name: name.to_owned(),
            region: bytes.map(|_| "eu-central-1".to_owned()),
            bytes,
            status,
            tested_bytes: 3,
            assets: vec!["a".to_owned(), "b".to_owned()],
            why: "a, \"b\"".to_owned(),
        };
        let rows: Vec<_> = Status::ALL
            .into_iter()
            .enumerate()
            .map(|(n, status)| row(status.word(), (n > 1).then_some(9), status))
            .collect();
        let coverage = Coverage { rows, totals: Totals::default(), regions: vec![] };
        let text = coverage_csv(&coverage);
        assert_eq!(read_coverage_csv(&text), Some(coverage.rows));
        assert_eq!(read_coverage_csv(&text.replace("UNTESTED", "FINE")), None);
        assert_eq!(read_coverage_csv("status,kind\n"), None);
    }
}
