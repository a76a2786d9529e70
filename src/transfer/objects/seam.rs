//! Whether the ranges of an object fit together: each but the last includes a few bytes of the next one, and these must
//! be what the next one starts with.
//!
//! A server that returns ranges from a wrong offset, and states the right one, can't be detected by anything else where
//! the provider keeps no checksum of the whole. Data that repeats at this distance fits together either way.

use bytes::Bytes;

use super::super::object::ByteRange;

/// Bytes by which two ranges overlap.
const SEAM_BYTES: u64 = 64;

/// The range extended into the next one, and by how many bytes.
pub(super) fn with_seam(range: ByteRange, size: u64) -> (ByteRange, u64) {
    let last = (range.last + SEAM_BYTES).min(size - 1);
    (ByteRange { last, ..range }, last - range.last)
}

/// What the next range has to start with.
#[derive(Default)]
pub(super) struct Seam(Vec<u8>);

impl Seam {
    /// Splits the bytes of the next range off their pieces, and keeps them; false if the pieces don't start with those of
    /// the previous range.
    pub(super) fn fits(&mut self, pieces: &mut Vec<Bytes>, seam: u64) -> bool {
        let begin = pieces.iter().flat_map(|piece| piece.iter()).take(self.0.len());
        let fits = begin.eq(self.0.iter());
        self.0.clear();
        let mut missing = usize::try_from(seam).unwrap_or_default();
        while missing > 0 {
            let Some(mut piece) = pieces.pop() else { break };
            let end = piece.split_off(piece.len().saturating_sub(missing));
            missing -= end.len();
            self.0.splice(0..0, end.iter().copied());
            if !piece.is_empty() {
                pieces.push(piece);
            }
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::objects::ranges;

    /// Whether an object fits together whose ranges are served from `shift` bytes too early, in small pieces.
    fn fits(size: u64, step: u64, shift: u64) -> bool {
        let bytes: Vec<u8> = (0..size).map(|at| (at * at / 7 + at) as u8).collect();
        let mut seam = Seam::default();
        let mut whole = Vec::new();
        let mut fit = true;
        for range in ranges(size, step) {
            let (asked, extra) = with_seam(range, size);
            let first = asked.first.saturating_sub(shift) as usize;
            let served = &bytes[first..first + asked.length() as usize];
            let mut pieces: Vec<_> = served.chunks(37).map(Bytes::copy_from_slice).collect();
            fit &= seam.fits(&mut pieces, extra);
            whole.extend(pieces.concat());
        }
        assert_eq!(whole.len() as u64, size);
        fit && (shift > 0 || whole == bytes)
    }

    #[test]
    fn ranges_fit_together_and_shifted_ones_do_not() {
        for (size, step) in [(1_000, 300), (900, 300), (301, 300), (350, 300), (10, 300)] {
            assert!(fits(size, step, 0), "{size} in steps of {step}");
        }
        assert!(!fits(1_000, 300, 300) && !fits(1_000, 300, 1));
    }
}
