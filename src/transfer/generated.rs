//! Rows with the values of generated columns at their end, which are passed on without: those are digested and not
//! loaded, because the target computes them anew.

use super::{error::SourceError, table::RowSource};
use crate::domain::digest::{RowDigest, RowTotals};

/// A source of rows without their last fields.
pub(crate) struct WithoutLast<'a> {
    rows: &'a mut dyn RowSource,
    fields: usize,
    digest: RowDigest,
    whole: Vec<u8>,
}

impl<'a> WithoutLast<'a> {
    /// Cuts this many fields off each row, after the whole row was digested.
    pub(crate) fn new(rows: &'a mut dyn RowSource, fields: usize, digest: RowDigest) -> Self {
        WithoutLast { rows, fields, digest, whole: Vec::new() }
    }

    /// Of the whole rows; none if the last one had no end.
    pub(crate) fn totals(self) -> Option<RowTotals> {
        self.digest.finish()
    }
}

impl RowSource for WithoutLast<'_> {
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        self.whole.clear();
        self.rows.fill(&mut self.whole)?;
        self.digest.update(&self.whole);
        for row in self.whole.split_inclusive(|byte| *byte == b'\n') {
            batch.extend_from_slice(without_last(row, self.fields));
            batch.push(b'\n');
        }
        Ok(())
    }

    fn sent(&self) -> Option<u64> {
        self.rows.sent()
    }
}

/// A row without its line end and its last fields. A tab inside of a value is escaped (PostgreSQL documentation, COPY,
/// "Text Format").
fn without_last(row: &[u8], fields: usize) -> &[u8] {
    let tab = memchr::memrchr_iter(b'\t', row).nth(fields.saturating_sub(1));
    &row[..tab.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::{RowKey, Sha256Digest};

    struct Rows(Vec<&'static [u8]>);

    impl RowSource for Rows {
        fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
            batch.extend_from_slice(self.0.pop().unwrap_or_default());
            Ok(())
        }
    }

    #[test]
    fn the_last_fields_are_digested_and_cut_off() {
        let key = RowKey(Sha256Digest::of("key"));
        let mut rows = Rows(vec![&b"3\t\\N\tz\n"[..], &b"1\ta\\tb\tx\n2\t\ty\n"[..]]);
        let mut cut = WithoutLast::new(&mut rows, 1, RowDigest::new(key, "sql"));
        let mut batches = Vec::new();
        loop {
            let mut batch = Vec::new();
            cut.fill(&mut batch).expect("rows");
            if batch.is_empty() {
                break;
            }
            batches.push(batch);
        }
        assert_eq!(batches, [&b"1\ta\\tb\n2\t\n"[..], b"3\t\\N\n"]);
        let mut whole = RowDigest::new(key, "sql");
        whole.update(b"1\ta\\tb\tx\n2\t\ty\n3\t\\N\tz\n");
        assert_eq!(cut.totals(), whole.finish());
    }

    #[test]
    fn a_table_of_nothing_but_generated_columns_has_rows_without_fields() {
        assert_eq!(without_last(b"7\t8\n", 2), b"");
        assert_eq!(without_last(b"1\t7\t8\n", 2), b"1");
    }
}
