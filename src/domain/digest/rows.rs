//! The keyed digest of a table's rows.
//!
//! The row digest is a multiset hash: one keyed SHA-256 per row, summed modulo 2^256. It adds up in any order, so
//! ranges that are read in parallel merge, and two tables agree only if they hold the same rows equally often.
//! With a key drawn after the rows were fixed, rows whose terms cancel can't have been prepared
//! (Clarke et al., "Incremental Multiset Hash Functions and Their Application to Memory Integrity Checking", 2003:
//! MSet-Add-Hash).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::block_api::compress256;

use super::sha256::Sha256Digest;

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
    /// Adds the term of one row: SHA-256's state words, most significant first.
    pub fn add(&mut self, term: [u32; 8]) {
        let limb = |at: usize| u64::from(term[at]) << 32 | u64::from(term[at + 1]);
        self.merge(RowSum([limb(6), limb(4), limb(2), limb(0)]));
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

    /// The sum that [`RowSum::to_digest`] wrote.
    pub fn from_digest(digest: Sha256Digest) -> Self {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().rev().zip(digest.0.chunks_exact(8)) {
            *limb = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
        RowSum(limbs)
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

/// The totals of a table's rows: their number, their bytes (without the line ends) and the keyed sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowTotals {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of all rows in COPY text format, line ends not counted.
    pub bytes: u64,
    /// The keyed sum as 64 hexadecimal digits.
    pub digest: Sha256Digest,
}

impl RowTotals {
    /// The totals of no rows.
    pub const NONE: RowTotals = RowTotals { rows: 0, bytes: 0, digest: Sha256Digest([0; 32]) };

    /// These rows and others of the same table, under the same key.
    #[must_use]
    pub fn and(self, other: RowTotals) -> Self {
        let mut sum = RowSum::from_digest(self.digest);
        sum.merge(RowSum::from_digest(other.digest));
        let rows = self.rows.wrapping_add(other.rows);
        let bytes = self.bytes.wrapping_add(other.bytes);
        RowTotals { rows, bytes, digest: sum.to_digest() }
    }
}

/// Computes [`RowTotals`] from COPY text, in whatever pieces it arrives.
#[derive(Clone)]
pub struct RowDigest {
    /// SHA-256's state after K ‖ SHA-256(context): exactly one block, so each row starts from here at no cost.
    start: [u32; 8],
    rows: u64,
    bytes: u64,
    sum: RowSum,
    unfinished: Vec<u8>,
}

/// Initial state of SHA-256 (FIPS 180-4, 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// A row's length precedes it.
const LENGTH_BYTES: usize = 8;
/// Rows up to this length are laid out with their padding on the stack and hashed in one go.
const SHORT_ROW_MAX: usize = 4 * 64 - LENGTH_BYTES - 1 - 8;

impl RowDigest {
    /// A digest for the rows that the statement `context` copies; both sides must name the same statement.
    pub fn new(key: RowKey, context: &str) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key.0.0);
        block[32..].copy_from_slice(&Sha256Digest::of(context).0);
        let mut start = SHA256_START;
        compress256(&mut start, &[block]);
        RowDigest { start, rows: 0, bytes: 0, sum: RowSum::default(), unfinished: Vec::new() }
    }

    /// Takes the next piece of the stream. Rows end with a newline; a newline inside a value arrives as `\n`
    /// (PostgreSQL documentation, COPY, "Text Format"), so a raw newline is always a row's end.
    pub fn update(&mut self, piece: &[u8]) {
        let mut rest = piece;
        if !self.unfinished.is_empty()
            && let Some(end) = memchr::memchr(b'\n', rest)
        {
            let mut row = std::mem::take(&mut self.unfinished);
            row.extend_from_slice(&rest[..end]);
            self.add_row(&row);
            row.clear();
            self.unfinished = row;
            rest = &rest[end + 1..];
        }
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', rest) {
            self.add_row(&rest[begin..end]);
            begin = end + 1;
        }
        self.unfinished.extend_from_slice(&rest[begin..]);
    }

    fn add_row(&mut self, row: &[u8]) {
        self.sum.add(self.term(row));
        self.rows += 1;
        self.bytes += row.len() as u64;
    }

    /// The row's term t: what one row adds to the sum.
    pub fn term(&self, row: &[u8]) -> [u32; 8] {
        let mut state = self.start;
        let length = (row.len() as u64).to_be_bytes();
        if row.len() <= SHORT_ROW_MAX {
            finish(&mut state, &length, row, row.len());
            return state;
        }
        let (first, rest) = row.split_at(64 - LENGTH_BYTES);
        let mut block = [0; 64];
        block[..LENGTH_BYTES].copy_from_slice(&length);
        block[LENGTH_BYTES..].copy_from_slice(first);
        compress256(&mut state, &[block]);
        let (blocks, tail) = rest.as_chunks::<64>();
        compress256(&mut state, blocks);
        finish(&mut state, &[], tail, row.len());
        state
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

/// Hashes what is left of a row of `row_bytes` and SHA-256's padding: a one bit, zeros, the length in bits.
fn finish(state: &mut [u32; 8], head: &[u8], tail: &[u8], row_bytes: usize) {
    let mut blocks = [[0; 64]; 4];
    let flat = blocks.as_flattened_mut();
    let end = head.len() + tail.len();
    flat[..head.len()].copy_from_slice(head);
    flat[head.len()..end].copy_from_slice(tail);
    flat[end] = 0x80;
    let count = (end + 1 + 8).div_ceil(64);
    let bits = (64 + LENGTH_BYTES + row_bytes) as u64 * 8;
    flat[count * 64 - 8..count * 64].copy_from_slice(&bits.to_be_bytes());
    compress256(state, &blocks[..count]);
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
    fn the_sum_follows_its_definition() {
        let term = |row: &[u8]| {
            let context = Sha256Digest::of("copy t to stdout").0;
            Sha256Digest::of([&[7; 32], &context[..], &(row.len() as u64).to_be_bytes(), row].concat())
        };
        assert_eq!(totals(&[b"one\n"]).expect("complete").digest, term(b"one"));
        // Every alignment of a row with SHA-256's blocks and padding.
        for length in (0..300).chain([1_000, 4_095, 4_096, 70_000]) {
            let row = vec![b'r'; length];
            let found = totals(&[&row, b"\n"]).expect("complete").digest;
            assert_eq!(found, term(&row), "{length} bytes");
        }
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
        fn totals_of_parts_add_up(rows in prop::collection::vec("[a-z]{0,9}", 0..20), cut in 0usize..20) {
            let text = |rows: &[String]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
            let of = |rows: &[String]| totals(&[text(rows).as_bytes()]).expect("complete");
            let (one, other) = rows.split_at(cut.min(rows.len()));
            prop_assert_eq!(of(&rows), of(one).and(of(other)));
            prop_assert_eq!(of(&rows), RowTotals::NONE.and(of(&rows)));
        }

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
