//! Breaks good inputs, keeps those with new answers, and runs a reader on all of them.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Broken inputs in a run of `cargo test`.
const ROUNDS: u64 = 400;
/// Kept inputs in memory, and the length of one.
const POOL_MAX: usize = 4000;
const LENGTH_MAX: usize = 1 << 20;

/// Runs a reader on the kept inputs of this name, on `seeds`, and on what becomes of both when they are broken. Its answer
/// tells inputs apart that go different ways.
pub fn run(name: &str, seeds: impl IntoIterator<Item = Vec<u8>>, reader: impl Fn(&[u8]) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut pool: Vec<Vec<u8>> = seeds.into_iter().collect();
    let kept = fs::read_dir(&folder).into_iter().flatten().flatten();
    pool.extend(kept.map(|entry| fs::read(entry.path()).unwrap()));
    assert!(!pool.is_empty(), "{name} has nothing to begin with");
    let seconds = std::env::var("WALKAWAY_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let search = Search { folder, reader: &reader, is_long: seconds.is_some() };
    let mut answers: HashSet<u64> = pool.iter().map(|input| search.answer(input)).collect();
    let mut random = Random(match seconds {
        Some(_) => std::process::id().into(),
        None => 1,
    });
    let begin = Instant::now();
    let mut round = 0;
    let is_over = |round| match seconds {
        Some(seconds) => begin.elapsed() >= Duration::from_secs(seconds),
        None => round == ROUNDS,
    };
    while !is_over(round) {
        let input = broken(&pool, &mut random);
        if answers.insert(search.answer(&input)) && pool.len() < POOL_MAX {
            pool.push(input);
        }
        round += 1;
    }
    if search.is_long {
        println!("{name}: {round} inputs, {} answers, {} s", answers.len(), begin.elapsed().as_secs());
    }
}

struct Search<'a> {
    folder: PathBuf,
    reader: &'a dyn Fn(&[u8]) -> String,
    is_long: bool,
}

impl Search<'_> {
    /// The answer without its numbers and names, which are as many as there are inputs.
    fn answer(&self, input: &[u8]) -> u64 {
        if self.is_long {
            self.keep("running", input);
        }
        let answer = catch_unwind(AssertUnwindSafe(|| (self.reader)(input)));
        let Ok(answer) = answer else {
            let mut hasher = DefaultHasher::new();
            input.hash(&mut hasher);
            let path = self.keep(&format!("found-{:016x}", hasher.finish()), input);
            panic!("{} is not answered", path.display());
        };
        if self.is_long {
            fs::remove_file(self.folder.join("running")).unwrap();
        }
        let mut hasher = DefaultHasher::new();
        answer.bytes().filter(|byte| !byte.is_ascii_digit()).take(160).for_each(|byte| byte.hash(&mut hasher));
        hasher.finish()
    }

    fn keep(&self, name: &str, input: &[u8]) -> PathBuf {
        fs::create_dir_all(&self.folder).unwrap();
        let path = self.folder.join(name);
        fs::write(&path, input).unwrap();
        path
    }
}

/// Xorshift: the same numbers for the same beginning.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
        self.0 ^= self.0 >> 29;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit.max(1)
    }
}

const TELLING: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 62, u64::MAX];
const TELLING_TEXTS: [&str; 12] =
    ["-1", "18446744073709551616", "9999999999", "0", "\"", "\\", "\n", "\0", "<", "&#0;", "\u{feff}", "1e999"];

fn broken(pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(4) {
        break_once(&mut input, pool, random);
    }
    input.truncate(LENGTH_MAX);
    input
}

fn break_once(input: &mut Vec<u8>, pool: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let reach = 1 << random.below(8);
    let end = (at + 1 + random.below(reach)).min(input.len());
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.next() as u8,
        2 => drop(input.drain(at.min(end)..end)),
        3 => {
            let piece = input[at.min(end)..end].to_vec();
            input.splice(at..at, piece);
        }
        4 => {
            let other = &pool[random.below(pool.len())];
            let from = random.below(other.len() + 1);
            let piece = other[from..(from + 1 + random.below(64)).min(other.len()).max(from)].to_vec();
            input.splice(at..at, piece);
        }
        5 => {
            let number = TELLING[random.below(TELLING.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(input.len() - at);
            input[at..at + width].copy_from_slice(&number[..width]);
        }
        6 => {
            let text = TELLING_TEXTS[random.below(TELLING_TEXTS.len())];
            input.splice(at..at, text.bytes());
        }
        7 => input.truncate(at),
        _ => {
            let other = &pool[random.below(pool.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
