//! SHA-256 values, and the keyed digest of a table's rows.
//!
//! The row digest is a multiset hash: one keyed SHA-256 per row, summed modulo 2^256. It adds up in any order, so
//! ranges that are read in parallel merge, and two tables agree only if they hold the same rows equally often.
//! With a key drawn after the rows were fixed, nobody can have prepared rows whose terms cancel
//! (Clarke et al., "Incremental Multiset Hash Functions and Their Application to Memory Integrity Checking", 2003:
//! MSet-Add-Hash).

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// 32 bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// The SHA-256 (FIPS 180-4) of a byte string.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Sha256Digest(Sha256::digest(bytes).into())
    }

    /// The first 128 bits, for sets of names in memory: a collision is less likely than a broken disk.
    pub fn short(&self) -> u128 {
        self.0[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

impl From<Sha256> for Sha256Digest {
    fn from(hasher: Sha256) -> Self {
        Sha256Digest(hasher.finalize().into())
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that isn't 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Sha256Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NotADigest)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Sha256Digest(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, NotADigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotADigest),
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Sha256Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}

/// The key K of one run's row digests: 256 random bits, drawn after the snapshot was taken and published with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RowKey(pub Sha256Digest);

impl RowKey {
    /// Draws a new key from the operating system.
    pub fn draw() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(RowKey(Sha256Digest(bytes)))
    }
}

/// Σ t mod 2^256 over the rows of a table, where t = SHA-256(K ‖ SHA-256(context) ‖ length ‖ row) read as a
/// big-endian number; the length is eight bytes, big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSum([u64; 4]);

impl RowSum {
    fn add(&mut self, term: [u8; 32]) {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().rev().zip(term.chunks_exact(8)) {
            *limb = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
        self.merge(RowSum(limbs));
    }

    /// Adds the digest of other rows of the same table under the same key.
    pub fn merge(&mut self, other: RowSum) {
        let mut carry = false;
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            let (partial, first) = own.overflowing_add(theirs);
            let (sum, second) = partial.overflowing_add(u64::from(carry));
            *own = sum;
            carry = first || second;
        }
    }

    /// The sum as 32 bytes, big-endian.
    pub fn to_digest(self) -> Sha256Digest {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        Sha256Digest(bytes)
    }
}

/// What a table's rows amount to: their number, their bytes (without the line ends) and the keyed sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowTotals {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of all rows in COPY text format, line ends not counted.
    pub bytes: u64,
    /// The keyed sum as 64 hexadecimal digits.
    pub digest: Sha256Digest,
}

/// Computes [`RowTotals`] from COPY text, in whatever pieces it arrives.
#[derive(Clone)]
pub struct RowDigest {
    /// SHA-256 after K ‖ SHA-256(context): exactly one block, so each row starts from here at no cost.
    start: Sha256,
    rows: u64,
    bytes: u64,
    sum: RowSum,
    unfinished: Vec<u8>,
}

impl RowDigest {
    /// A digest for the rows that the statement `context` copies out; both sides must name the same statement.
    pub fn new(key: RowKey, context: &str) -> Self {
        let start = Sha256::new().chain_update(key.0.0).chain_update(Sha256Digest::of(context).0);
        RowDigest { start, rows: 0, bytes: 0, sum: RowSum::default(), unfinished: Vec::new() }
    }

    /// Takes the next piece of the stream. Rows end with a newline; a newline inside a value arrives as `\n`
    /// (PostgreSQL documentation, COPY, "Text Format"), so a raw newline is always a row's end.
    pub fn update(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (row, tail) = (&rest[..end], &rest[end + 1..]);
            self.end_row(row);
            rest = tail;
        }
        self.unfinished.extend_from_slice(rest);
    }

    fn end_row(&mut self, last_piece: &[u8]) {
        if self.unfinished.is_empty() {
            self.add_row(last_piece);
        } else {
            let mut row = std::mem::take(&mut self.unfinished);
            row.extend_from_slice(last_piece);
            self.add_row(&row);
            row.clear();
            self.unfinished = row;
        }
    }

    fn add_row(&mut self, row: &[u8]) {
        let length = row.len() as u64;
        let term = self.start.clone().chain_update(length.to_be_bytes()).chain_update(row);
        self.sum.add(term.finalize().into());
        self.rows += 1;
        self.bytes += length;
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The totals, or none if the stream ended in the middle of a row.
    pub fn finish(self) -> Option<RowTotals> {
        let complete = self.unfinished.is_empty();
        complete.then(|| RowTotals { rows: self.rows, bytes: self.bytes, digest: self.sum.to_digest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: RowKey = RowKey(Sha256Digest([7; 32]));

    fn totals(pieces: &[&[u8]]) -> Option<RowTotals> {
        let mut digest = RowDigest::new(KEY, "copy t to stdout");
        pieces.iter().for_each(|piece| digest.update(piece));
        digest.finish()
    }

    #[test]
    fn hex_goes_there_and_back() {
        let digest = Sha256Digest::of("walkaway");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("ABC".parse::<Sha256Digest>(), Err(NotADigest));
    }

    #[test]
    fn the_sum_follows_its_definition() {
        let term = |row: &[u8]| {
            let context = Sha256Digest::of("copy t to stdout").0;
            Sha256Digest::of([&[7; 32], &context[..], &(row.len() as u64).to_be_bytes(), row].concat())
        };
        assert_eq!(totals(&[b"one\n"]).expect("complete").digest, term(b"one"));
    }

    #[test]
    fn carries_travel_through_all_limbs() {
        let mut sum = RowSum([u64::MAX; 4]);
        sum.merge(RowSum([1, 0, 0, 0]));
        assert_eq!(sum, RowSum::default());
    }

    #[test]
    fn a_stream_that_ends_inside_a_row_has_no_totals() {
        assert_eq!(totals(&[b"one\ntw"]), None);
    }

    #[test]
    fn a_row_doubled_dropped_or_emptied_is_seen() {
        let base = totals(&[b"a\t\\N\nb\tx\n"]);
        assert_ne!(base, totals(&[b"a\t\\N\na\t\\N\nb\tx\n"]));
        assert_ne!(base, totals(&[b"b\tx\n"]));
        assert_ne!(base, totals(&[b"a\t\nb\tx\n"]));
    }

    proptest! {
        #[test]
        fn pieces_and_order_never_matter(mut rows in prop::collection::vec("[a-z\\\\]{0,9}", 0..20), cut in 0usize..200) {
            let stream: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let cut = cut.min(stream.len());
            let whole = totals(&[stream.as_bytes()]);
            prop_assert_eq!(whole, totals(&[&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]));
            rows.reverse();
            let turned: String = rows.iter().map(|row| format!("{row}\n")).collect();
            prop_assert_eq!(whole, totals(&[turned.as_bytes()]));
        }

        #[test]
        fn any_flipped_byte_is_found(row in "[a-z]{1,40}", at in 0usize..40, bit in 0u8..3) {
            let mut bytes = format!("{row}\n").into_bytes();
            let at = at % row.len();
            let before = totals(&[&bytes]);
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(before, totals(&[&bytes]));
        }
    }
}
