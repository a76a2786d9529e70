//! Rows of a table that the target finally rejects, separated from those that it accepts: a bad row costs only itself.
//!
//! Their table is loaded from its exports, which then hold what was loaded; each row that was rejected is kept beside
//! them as received, and identified by its number.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write as _},
    ops::Range,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::salvage::PLACES_MAX;
use crate::transfer::{
    error::SourceError,
    table::{BATCH_BYTES, RowSource},
};

/// A row that the target rejects, by its number in its export, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRow {
    pub number: u64,
    pub reason: String,
}

/// Why the rows could not be separated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RowSearchError<E> {
    /// Too many are rejected; the reason is the last one's.
    TooMany(String),
    /// The attempts ended for another reason.
    Ended(E),
}

/// Which of these rows are rejected. `attempt` returns why a run of them is, or nothing if it isn't.
pub(crate) fn refused<E>(
    rows: Range<u64>,
    attempt: &mut impl FnMut(Range<u64>) -> Result<Option<String>, E>,
    found: &mut Vec<RefusedRow>,
) -> Result<(), RowSearchError<E>> {
    if rows.is_empty() {
        return Ok(());
    }
    let Some(reason) = attempt(rows.clone()).map_err(RowSearchError::Ended)? else { return Ok(()) };
    if rows.end - rows.start == 1 {
        found.push(RefusedRow { number: rows.start, reason: reason.clone() });
        return if found.len() > PLACES_MAX { Err(RowSearchError::TooMany(reason)) } else { Ok(()) };
    }
    let middle = rows.start + (rows.end - rows.start) / 2;
    refused(rows.start..middle, attempt, found)?;
    refused(middle..rows.end, attempt, found)
}

/// The rows of an export that are wanted.
pub(crate) struct ExportRows<F> {
    path: PathBuf,
    rows: Box<dyn BufRead>,
    number: u64,
    end: u64,
    wanted: F,
    sent: u64,
}

impl<F: FnMut(u64) -> bool> ExportRows<F> {
    /// Those before `end` whose numbers are wanted.
    pub(super) fn open(path: &Path, end: u64, wanted: F) -> Result<Self, SourceError> {
        let opened = File::open(path).and_then(zstd::Decoder::new);
        let rows = Box::new(BufReader::new(opened.map_err(|error| unread(path, &error))?));
        Ok(ExportRows { path: path.to_owned(), rows, number: 0, end, wanted, sent: 0 })
    }
}

impl<F: FnMut(u64) -> bool> RowSource for ExportRows<F> {
    /// A line is a row: what would end one inside a value is escaped (PostgreSQL documentation, COPY, "Text Format").
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        while batch.len() < BATCH_BYTES && self.number < self.end {
            let before = batch.len();
            if self.rows.read_until(b'\n', batch).map_err(|error| unread(&self.path, &error))? == 0 {
                return Err(unread(&self.path, &io::ErrorKind::UnexpectedEof.into()));
            }
            if (self.wanted)(self.number) {
                self.sent += 1;
            } else {
                batch.truncate(before);
            }
            self.number += 1;
        }
        Ok(())
    }

    fn sent(&self) -> Option<u64> {
        Some(self.sent)
    }
}

/// Writes the rows that are wanted, and no others, into a file of their own, as COPY text.
pub(crate) fn set_aside(from: &Path, end: u64, wanted: impl FnMut(u64) -> bool, to: &Path) -> Result<(), SourceError> {
    let mut rows = ExportRows::open(from, end, wanted)?;
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to);
    let mut file = made.map_err(|error| unread(to, &error))?;
    loop {
        let mut batch = Vec::new();
        rows.fill(&mut batch)?;
        if batch.is_empty() {
            return file.sync_all().map_err(|error| unread(to, &error));
        }
        file.write_all(&batch).map_err(|error| unread(to, &error))?;
    }
}

/// Replaces an export by another.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<(), SourceError> {
    fs::rename(from, to).map_err(|error| unread(from, &error))
}

fn unread(path: &Path, error: &io::Error) -> SourceError {
    SourceError::Permanent { what: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_refused_are_told_apart_from_the_others() {
        for (rows, bad) in [(0, vec![]), (1, vec![0]), (9, vec![]), (1_000, vec![0, 499, 500, 999]), (3, vec![0, 1, 2])]
        {
            let mut attempts = 0;
            let mut found = Vec::new();
            let mut attempt = |range: Range<u64>| {
                attempts += 1;
                Ok::<_, ()>(bad.iter().any(|row| range.contains(row)).then(|| "no".to_owned()))
            };
            refused(0..rows, &mut attempt, &mut found).expect("told apart");
            assert_eq!(found.iter().map(|row| row.number).collect::<Vec<_>>(), bad);
            assert!(attempts <= 1 + 24 * bad.len(), "{attempts} attempts");
        }
        let mut found = Vec::new();
        let ended = refused(0..u64::MAX, &mut |_| Ok::<_, ()>(Some("no".to_owned())), &mut found);
        assert_eq!(ended, Err(RowSearchError::TooMany("no".to_owned())));
        assert_eq!(refused(0..2, &mut |_| Err("lost"), &mut Vec::new()), Err(RowSearchError::Ended("lost")));
    }

    #[test]
    fn rows_are_read_by_their_numbers_and_an_export_that_ends_early_is_none() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("export");
        let aside = home.path().join("aside");
        fs::write(&path, zstd::encode_all(&b"a\tx\\n\nb\t\nc\t\\N\n"[..], 0).expect("packed")).expect("written");
        let read = |end, wanted: fn(u64) -> bool| {
            let mut rows = ExportRows::open(&path, end, wanted)?;
            let mut batch = Vec::new();
            rows.fill(&mut batch)?;
            Ok::<_, SourceError>((String::from_utf8(batch).expect("text"), rows.sent()))
        };
        assert_eq!(read(3, |number| number != 1).expect("rows"), ("a\tx\\n\nc\t\\N\n".to_owned(), Some(2)));
        assert_eq!(read(1, |_| true).expect("a row"), ("a\tx\\n\n".to_owned(), Some(1)));
        assert!(read(4, |_| true).is_err());
        set_aside(&path, 3, |number| number == 1, &aside).expect("set aside");
        assert_eq!(fs::read(&aside).expect("read"), b"b\t\n");
    }
}
