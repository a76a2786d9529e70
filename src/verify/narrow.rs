//! Narrows a table that differs down to the rows: which lines of which export are missing, and where in the restored
//! table rows are that no export has. Reports locations, never a value.
//!
//! Both sides are distributed over buckets by the first bits of rows' terms. Only rows in buckets whose sums differ are
//! compared one by one, so that memory stays constant while two large tables are compared. It runs only when a table
//! differs.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::disk::open_beneath;
use crate::{
    domain::digest::{RowDigest, RowKey, RowSum},
    interrupt::Interrupt,
    pg::{
        Address,
        copy::CopyOut,
        name::{Table, quoted},
        range::BlockRange,
    },
    transfer::{
        receipt::{ExportReceipt, TableReceipt},
        table::RowSource as _,
    },
};

const BUCKETS: usize = 1 << 16;
/// The most buckets that are examined; a table that differs in more of them differs everywhere.
const BUCKETS_EXAMINED_MAX: usize = 256;
/// The most rows in memory while they are matched.
const ROWS_HELD_MAX: usize = 1 << 20;

/// The context of reading both sides of one table again.
pub(super) struct Narrowing<'a> {
    pub root: &'a Path,
    pub target: &'a Address,
    pub key: RowKey,
    pub receipt: &'a TableReceipt,
    pub table: &'a Table,
    pub interrupt: &'a Interrupt,
}

/// The term of a row.
type Term = [u32; 8];

/// The location of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Export and line, both from 0 and 1.
    Export(usize, u64),
    /// Block and number in it, as in ctid.
    Restored(u64, u64),
}

impl Narrowing<'_> {
    /// Where the sides differ, as text; or why that is unknown.
    pub(super) fn describe(&self) -> String {
        match self.differing() {
            Ok(places) => self.told(&places),
            Err(reason) => format!("the rows could not be narrowed down: {reason}"),
        }
    }

    fn differing(&self) -> Result<Places, String> {
        let mut sums = vec![(RowSum::default(), RowSum::default()); BUCKETS];
        self.each_row(&mut |term, place| {
            let (source, restored) = &mut sums[bucket(&term)];
            match place {
                Place::Export(..) => source.add(term),
                Place::Restored(..) => restored.add(term),
            }
            Ok(())
        })?;
        let differ: Vec<_> = (0..BUCKETS).filter(|at| sums[*at].0 != sums[*at].1).collect();
        let mut examined = vec![false; BUCKETS];
        differ.iter().take(BUCKETS_EXAMINED_MAX).for_each(|at| examined[*at] = true);
        let mut rows: BTreeMap<Term, (Vec<Place>, Vec<Place>)> = BTreeMap::new();
        let mut held = 0;
        self.each_row(&mut |term, place| {
            if examined[bucket(&term)] {
                held += 1;
                let (source, restored) = rows.entry(term).or_default();
                if matches!(place, Place::Export(..)) { source.push(place) } else { restored.push(place) }
            }
            if held <= ROWS_HELD_MAX { Ok(()) } else { Err("too many rows differ".to_owned()) }
        })?;
        Ok(Places::of(rows.into_values(), differ.len().saturating_sub(BUCKETS_EXAMINED_MAX)))
    }

    /// Both sides from their beginnings.
    fn each_row(&self, heard: &mut dyn FnMut(Term, Place) -> Result<(), String>) -> Result<(), String> {
        for number in 0..self.receipt.exports.len() {
            self.each_of_export(number, heard)?;
        }
        self.each_of_target(heard)
    }

    fn each_of_export(
        &self,
        number: usize,
        heard: &mut dyn FnMut(Term, Place) -> Result<(), String>,
    ) -> Result<(), String> {
        let export = &self.receipt.exports[number];
        let failed = |error: io::Error| format!("{}: {error}", export.path);
        let mut hashed = Hashed { file: open_beneath(self.root, &export.path).map_err(failed)?, sha256: Sha256::new() };
        let digest = RowDigest::new(self.key, &self.receipt.copy_sql);
        let decoder = zstd::Decoder::new(&mut hashed).map_err(failed)?;
        let mut lines = BufReader::with_capacity(1 << 18, decoder);
        let mut row = Vec::new();
        let mut line = 0;
        while lines.read_until(b'\n', &mut row).map_err(failed)? > 0 {
            line += 1;
            heard(digest.term(row.strip_suffix(b"\n").unwrap_or(&row)), Place::Export(number, line))?;
            row.clear();
            self.check_interrupt()?;
        }
        drop(lines);
        // Whatever follows the compressed rows belongs to the file, too.
        io::copy(&mut hashed, &mut io::sink()).map_err(failed)?;
        if crate::domain::digest::Sha256Digest::from(hashed.sha256) == export.sha256 {
            Ok(())
        } else {
            Err(format!("{} is not what was written", export.path))
        }
    }

    fn each_of_target(&self, heard: &mut dyn FnMut(Term, Place) -> Result<(), String>) -> Result<(), String> {
        let columns: String = self.table.columns.iter().map(|column| format!(", {}", quoted(column))).collect();
        let sql = format!("COPY (SELECT ctid{columns} FROM ONLY {}) TO STDOUT", self.table.name.to_sql());
        let mut wire = self.target.wire().map_err(|error| error.to_string())?;
        let mut rows = CopyOut::start(&mut wire, &sql, &self.receipt.table).map_err(|error| error.to_string())?;
        let digest = RowDigest::new(self.key, &self.receipt.copy_sql);
        let mut batch = Vec::new();
        loop {
            rows.fill(&mut batch).map_err(|error| error.to_string())?;
            if batch.is_empty() {
                return Ok(());
            }
            for line in batch.split_inclusive(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let (ctid, row) = match memchr::memchr(b'\t', line) {
                    Some(tab) => (&line[..tab], &line[tab + 1..]),
                    None => (line, &[][..]),
                };
                let (block, number) = ctid_of(ctid).ok_or("the server's ctid makes no sense")?;
                heard(digest.term(row), Place::Restored(block, number))?;
            }
            batch.clear();
            self.check_interrupt()?;
        }
    }

    fn check_interrupt(&self) -> Result<(), String> {
        if self.interrupt.asked() { Err("interrupted".to_owned()) } else { Ok(()) }
    }

    fn told(&self, places: &Places) -> String {
        let mut told = Vec::new();
        for (number, lines) in &places.missing {
            let ExportReceipt { path, from_block, to_block, .. } = &self.receipt.exports[*number];
            let range = BlockRange { from: *from_block, to: *to_block };
            let (count, first, last) = span(lines);
            told.push(format!("{count} of {path} not restored (lines {first} to {last}{})", blocks_in_words(range)));
        }
        if let (Some(first), Some(last)) = (places.strange.first(), places.strange.last()) {
            let [first, last] = [first, last].map(|(block, number)| format!("'({block},{number})'"));
            told.push(format!(
                "{} restored that did not come so: SELECT ctid, * FROM ONLY {} WHERE ctid BETWEEN {first} AND {last}",
                rows(places.strange.len()),
                self.table.name.to_sql()
            ));
        }
        if places.buckets_left > 0 {
            told.push(format!("and more in {} of {BUCKETS} buckets", places.buckets_left));
        }
        told.join("; ")
    }
}

/// The rows that have no counterpart.
struct Places {
    /// Lines by export.
    missing: BTreeMap<usize, Vec<u64>>,
    /// ctids in ascending order.
    strange: Vec<(u64, u64)>,
    /// Differing buckets that were not examined.
    buckets_left: usize,
}

impl Places {
    /// Equal rows cancel one by one; of several the last ones remain.
    fn of(rows: impl Iterator<Item = (Vec<Place>, Vec<Place>)>, buckets_left: usize) -> Self {
        let mut places = Places { missing: BTreeMap::new(), strange: Vec::new(), buckets_left };
        for (source, restored) in rows {
            let equal = source.len().min(restored.len());
            for place in source[equal..].iter().chain(&restored[equal..]) {
                match *place {
                    Place::Export(number, line) => places.missing.entry(number).or_default().push(line),
                    Place::Restored(block, number) => places.strange.push((block, number)),
                }
            }
        }
        places.strange.sort_unstable();
        places.missing.values_mut().for_each(|lines| lines.sort_unstable());
        places
    }
}

fn bucket(term: &Term) -> usize {
    (term[0] >> 16) as usize
}

fn span(lines: &[u64]) -> (String, u64, u64) {
    let ends = lines.first().zip(lines.last());
    let (first, last) = ends.map_or((0, 0), |(first, last)| (*first, *last));
    (rows(lines.len()), first, last)
}

fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn blocks_in_words(range: BlockRange) -> String {
    match (range.from, range.to) {
        (None, None) => String::new(),
        (from, to) => {
            let to = to.map_or_else(|| "the end".to_owned(), |block| block.saturating_sub(1).to_string());
            format!("; blocks {} to {to} of the source", from.unwrap_or_default())
        }
    }
}

/// `(block,number)`.
fn ctid_of(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix('(')?.strip_suffix(')')?;
    let (block, number) = text.split_once(',')?;
    Some((block.parse().ok()?, number.parse().ok()?))
}

/// Hashes what is read.
struct Hashed {
    file: std::fs::File,
    sha256: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.sha256.update(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_cancel_and_what_is_left_is_sorted() {
        let [one, two] = [1, 2].map(|line| Place::Export(0, line));
        let [a, b] = [(5, 1), (0, 7)].map(|(block, number)| Place::Restored(block, number));
        let rows = [(vec![one, two], vec![a]), (vec![], vec![a, b]), (vec![one], vec![b])];
        let places = Places::of(rows.into_iter(), 3);
        assert_eq!(places.missing, BTreeMap::from([(0, vec![2])]));
        assert_eq!(places.strange, [(0, 7), (5, 1)]);
        assert_eq!(places.buckets_left, 3);
    }

    #[test]
    fn ctids_are_read() {
        assert_eq!(ctid_of(b"(4294967295,7)"), Some((4_294_967_295, 7)));
        assert_eq!(ctid_of(b"(1)"), None);
    }
}
