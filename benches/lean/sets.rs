//! The sets that benches copy: keys and sizes as in `scripts/standins/fill_bucket.py`, bytes from a seed.

use std::{num::NonZero, thread};

use bytes::Bytes;

use super::content::Content;

const SEED: u64 = 20_261_001;
/// A prime a little above 16 MiB: the pieces that a client may read are never the block itself.
const BLOCK_BYTES: usize = 16_777_259;

/// `count` objects of `size` bytes, no two of them alike.
pub fn objects(count: u64, size: u64) -> Vec<(String, Content)> {
    if count == 0 {
        return Vec::new();
    }
    let block = noise(BLOCK_BYTES);
    let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let made = |first: u64| (first..count).step_by(threads as usize).map(|number| object(&block, number, count, size));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || made(first).collect::<Vec<_>>())).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a hashing thread")).collect()
    })
}

fn object(block: &Bytes, number: u64, count: u64, size: u64) -> (String, Content) {
    let start = number as usize * (block.len() / count as usize);
    (format!("{:02}/object-{number:05}", number % 100), Content::cyclic(block.clone(), start, size))
}

/// Bytes that don't compress and are the same every time (splitmix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014).
fn noise(length: usize) -> Bytes {
    let mut state = SEED;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.flatten().take(length).collect::<Vec<u8>>().into()
}
