//! The MD5 of one stream.

use super::block::{BEGIN, BLOCK_BYTES, State, compress};

/// The MD5 of a stream so far.
#[derive(Clone, Debug)]
pub(crate) struct Md5 {
    pub(super) state: State,
    /// Of the incomplete block.
    rest: [u8; BLOCK_BYTES],
    pub(super) bytes: u64,
}

impl Default for Md5 {
    fn default() -> Self {
        Md5 { state: BEGIN, rest: [0; BLOCK_BYTES], bytes: 0 }
    }
}

impl Md5 {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let blocks = self.fill_rest(bytes);
        let whole = blocks.len() - blocks.len() % BLOCK_BYTES;
        let (blocks, rest) = blocks.split_at(whole);
        compress(&mut self.state, blocks);
        self.bytes += whole as u64;
        self.fill_rest(rest);
    }

    /// The digest of everything.
    pub(crate) fn finish(mut self) -> [u8; 16] {
        let bits = self.bytes.wrapping_mul(8);
        let mut end = [0; 2 * BLOCK_BYTES];
        end[0] = 0x80;
        // Pads to the end of a block, leaving space for the length.
        let filled = self.filled();
        let padded = if filled < BLOCK_BYTES - 8 { BLOCK_BYTES } else { 2 * BLOCK_BYTES } - filled;
        end[padded - 8..padded].copy_from_slice(&bits.to_le_bytes());
        self.update(&end[..padded]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }

    /// Bytes of an incomplete block.
    pub(super) fn filled(&self) -> usize {
        (self.bytes % BLOCK_BYTES as u64) as usize
    }

    /// Fills an incomplete block, or starts one with less than a block; returns the rest.
    fn fill_rest<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let filled = self.filled();
        if filled == 0 && bytes.len() >= BLOCK_BYTES {
            return bytes;
        }
        let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - filled));
        self.rest[filled..filled + now.len()].copy_from_slice(now);
        self.bytes += now.len() as u64;
        if !now.is_empty() && self.filled() == 0 {
            compress(&mut self.state, &self.rest);
        }
        later
    }
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8], piece: usize) -> [u8; 16] {
        let mut md5 = Md5::default();
        bytes.chunks(piece).for_each(|piece| md5.update(piece));
        md5.finish()
    }

    /// RFC 1321, A.5.
    #[test]
    fn the_test_suite_of_the_rfc() {
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            let digest: String = of(text.as_bytes(), 7).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_length_cut_anyhow_is_what_another_implementation_says(
            bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..200,
        ) {
            prop_assert_eq!(of(&bytes, piece), <[u8; 16]>::from(md5::Md5::digest(&bytes)));
        }
    }
}
