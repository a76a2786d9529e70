//! Merges the receipt files of a bucket's units into one stream in the order of the keys.
//!
//! Memory is one receipt per file. A file is open only while the merge is inside it, so that units whose keys don't
//! overlap, the usual case, need one descriptor at a time whatever their number.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    chain::LINE_BYTES_MAX,
    files::{LineEnd, open_regular, read_line},
};
use crate::transfer::receipt::ObjectReceipt;

/// Yields the receipts of all files in ascending order of their ranks: the keys' bytes, then the versions. Each file holds one JSON object per line,
/// in that same order. Two receipts of one rank, disorder in a file, and lines that are not receipts are errors, after
/// which nothing more is yielded.
pub fn merge(files: Vec<PathBuf>) -> impl Iterator<Item = io::Result<ObjectReceipt>> {
    let mut merge = Merge { unopened: files, heads: BinaryHeap::new(), last: None, ended: false };
    std::iter::from_fn(move || {
        let next = if merge.ended { None } else { merge.next().transpose() };
        merge.ended = !matches!(next, Some(Ok(_)));
        next
    })
}

struct Merge {
    unopened: Vec<PathBuf>,
    heads: BinaryHeap<Reverse<Head>>,
    last: Option<(String, u64, String)>,
    ended: bool,
}

impl Merge {
    fn next(&mut self) -> io::Result<Option<ObjectReceipt>> {
        for path in std::mem::take(&mut self.unopened) {
            self.heads.extend(Head::first(path)?.map(Reverse));
        }
        let Some(Reverse(head)) = self.heads.pop() else { return Ok(None) };
        let Head { receipt, rest } = head;
        let rank = receipt.rank();
        if self.last.as_ref().is_some_and(|(key, order, id)| (key.as_str(), *order, id.as_str()) >= rank) {
            return Err(invalid(&rest.path, format!("a second receipt, or one out of order, for {:?}", receipt.key)));
        }
        self.heads.extend(rest.next()?.map(Reverse));
        self.last = Some((rank.0.to_owned(), rank.1, rank.2.to_owned()));
        Ok(Some(receipt))
    }
}

/// A file's next receipt, and the offset of the next one.
struct Head {
    receipt: ObjectReceipt,
    rest: Rest,
}

struct Rest {
    path: PathBuf,
    first_line_bytes: u64,
    reader: Option<BufReader<File>>,
}

impl Head {
    /// Reads the first receipt and closes the file again.
    fn first(path: PathBuf) -> io::Result<Option<Head>> {
        let mut reader = BufReader::new(open_regular(&path)?);
        let receipt = read_receipt(&mut reader, &path)?;
        let first_line_bytes = reader.stream_position()?;
        Ok(receipt.map(|receipt| Head { receipt, rest: Rest { path, first_line_bytes, reader: None } }))
    }
}

impl Rest {
    fn next(mut self) -> io::Result<Option<Head>> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let mut file = open_regular(&self.path)?;
                file.seek(SeekFrom::Start(self.first_line_bytes))?;
                BufReader::new(file)
            }
        };
        let receipt = read_receipt(&mut reader, &self.path)?;
        self.reader = Some(reader);
        Ok(receipt.map(|receipt| Head { receipt, rest: self }))
    }
}

/// The next line of a file as a receipt; none at its end. The path is for the error.
pub(crate) fn read_receipt(reader: &mut impl BufRead, path: &Path) -> io::Result<Option<ObjectReceipt>> {
    let mut line = Vec::new();
    match read_line(reader, &mut line, LINE_BYTES_MAX)? {
        LineEnd::Nothing => Ok(None),
        LineEnd::Newline => serde_json::from_slice(&line).map(Some).map_err(|error| invalid(path, error)),
        LineEnd::EndOfFile => Err(invalid(path, "last line is unfinished")),
        LineEnd::TooLong => Err(invalid(path, "a line is too long")),
    }
}

fn invalid(path: &Path, reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()))
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        // A text compares by its UTF-8 bytes, which is the order of the keys' bytes.
        self.receipt.rank().cmp(&other.receipt.rank()).then_with(|| self.rest.path.cmp(&other.rest.path))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::objects::tests::receipt;
    use proptest::prelude::*;

    fn merged(files: &[Vec<&str>]) -> io::Result<Vec<String>> {
        let dir = tempfile::tempdir()?;
        let mut paths = Vec::new();
        for (number, keys) in files.iter().enumerate() {
            let lines = keys.iter().map(|key| format!("{}\n", serde_json::json!(receipt(key, "x"))));
            paths.push(dir.path().join(number.to_string()));
            std::fs::write(&paths[number], lines.collect::<String>())?;
        }
        merge(paths).map(|receipt| receipt.map(|receipt| receipt.key)).collect()
    }

    #[test]
    fn files_interleave_by_key() {
        let keys = merged(&[vec!["a", "d", "ü"], vec![], vec!["b"], vec!["c", "e"]]).expect("merged");
        assert_eq!(keys, ["a", "b", "c", "d", "e", "ü"]);
    }

    #[test]
    fn a_key_that_comes_twice_or_late_is_an_error() {
        assert!(merged(&[vec!["a", "b"], vec!["b"]]).is_err());
        assert!(merged(&[vec!["b", "a"]]).is_err());
    }

    #[test]
    fn a_torn_or_foreign_line_is_an_error_and_the_end() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("unit");
        std::fs::write(&path, format!("{}\n{{}}\n", serde_json::json!(receipt("a", "x")))).expect("written");
        let outcomes: Vec<_> = merge(vec![path]).map(|receipt| receipt.is_ok()).collect();
        assert_eq!(outcomes, [false], "the line after is read ahead");
    }

    proptest! {
        #[test]
        fn however_the_keys_are_dealt_out_the_stream_is_sorted(keys in prop::collection::btree_set("[a-e/]{1,4}", 0..30)) {
            let mut files = vec![Vec::new(); 3];
            keys.iter().enumerate().for_each(|(index, key)| files[(index * 7 + key.len()) % 3].push(key.as_str()));
            let merged = merged(&files).expect("merged");
            prop_assert_eq!(merged, keys.into_iter().collect::<Vec<_>>());
        }
    }
}
