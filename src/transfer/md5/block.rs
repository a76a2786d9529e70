//! The compression function of MD5 (RFC 1321, 3.4), for one stream or for several in lockstep.
//!
//! Each step of MD5 waits for the one before, so that a core is mostly idle with one stream. With a stream in each lane of a
//! vector the same steps process all of them.

use std::ops::{BitAnd, BitOr, BitXor, Not};

use wide::u32x8;

/// Bytes that are compressed at once.
pub(super) const BLOCK_BYTES: usize = 64;
/// Streams that run in lockstep in a vector.
pub(super) const LANES: usize = 8;

/// The state of a stream, A to D.
pub(super) type State = [u32; 4];

/// RFC 1321, 3.3.
pub(super) const BEGIN: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The whole part of 2³² · |sin(n)|, n from 1.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// By how many bits each step of a round rotates.
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// 32 bits of one stream, or of each of several.
trait Word: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self> {
    fn all(value: u32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn rotate(self, bits: u32) -> Self;
}

impl Word for u32 {
    #[inline(always)]
    fn all(value: u32) -> Self {
        value
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn rotate(self, bits: u32) -> Self {
        self.rotate_left(bits)
    }
}

impl Word for u32x8 {
    #[inline(always)]
    fn all(value: u32) -> Self {
        u32x8::splat(value)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn rotate(self, bits: u32) -> Self {
        (self << bits) | (self >> (32 - bits))
    }
}

/// Hashes the consecutive blocks in `bytes`; what remains at the end is shorter than a block.
pub(super) fn compress(state: &mut State, bytes: &[u8]) {
    for block in bytes.as_chunks::<BLOCK_BYTES>().0 {
        let words = std::array::from_fn(|word| word_of(block, word));
        step(state, &words);
    }
}

/// The same for a stream in each lane. All of them have as many blocks as the first one.
pub(super) fn compress_lanes(states: &mut [State; LANES], streams: [&[u8]; LANES]) {
    let mut state: [u32x8; 4] = std::array::from_fn(|at| u32x8::new(states.each_ref().map(|state| state[at])));
    let blocks = streams.map(|bytes| bytes.as_chunks::<BLOCK_BYTES>().0);
    for at in 0..blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0) {
        let blocks = blocks.map(|blocks| &blocks[at]);
        let words = std::array::from_fn(|word| u32x8::new(blocks.map(|block| word_of(block, word))));
        step(&mut state, &words);
    }
    let state = state.map(|words| words.to_array());
    for (lane, of_lane) in states.iter_mut().enumerate() {
        *of_lane = state.map(|words| words[lane]);
    }
}

#[inline(always)]
fn word_of(block: &[u8; BLOCK_BYTES], word: usize) -> u32 {
    let at = 4 * word;
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[inline(always)]
fn step<W: Word>(state: &mut [W; 4], words: &[W; 16]) {
    let begin = *state;
    round::<W, 0>(state, words, |at| at, |b, c, d| d ^ (b & (c ^ d)));
    // The two halves share no bit, and the sum of one of them does not wait for b.
    round::<W, 1>(state, words, |at| 5 * at + 1, |b, c, d| (c & !d) | (b & d));
    round::<W, 2>(state, words, |at| 3 * at + 5, |b, c, d| b ^ c ^ d);
    round::<W, 3>(state, words, |at| 7 * at, |b, c, d| c ^ (b | !d));
    for (word, begun) in state.iter_mut().zip(begin) {
        *word = word.plus(begun);
    }
}

#[inline(always)]
fn round<W: Word, const ROUND: usize>(
    state: &mut [W; 4],
    words: &[W; 16],
    place: impl Fn(usize) -> usize,
    mix: impl Fn(W, W, W) -> W,
) {
    let [mut a, mut b, mut c, mut d] = *state;
    for at in 0..16 {
        let given = a.plus(words[place(at) % 16]).plus(W::all(SINES[16 * ROUND + at]));
        let turned = given.plus(mix(b, c, d)).rotate(SHIFTS[ROUND][at % 4]);
        (a, d, c, b) = (d, c, b, b.plus(turned));
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_what_each_stream_is_alone() {
        let streams: Vec<Vec<u8>> =
            (0..LANES).map(|lane| (0..1000).map(|at| (at * 7 + lane * 31) as u8).collect()).collect();
        let mut states: [State; LANES] = std::array::from_fn(|lane| BEGIN.map(|word| word.rotate_left(lane as u32)));
        let alone = std::array::from_fn(|lane| {
            let mut state = states[lane];
            compress(&mut state, &streams[lane]);
            state
        });
        compress_lanes(&mut states, std::array::from_fn(|lane| &streams[lane][..]));
        assert_eq!(states, alone);
    }
}
