//! Multi-buffer MD5: threads that take the blocks of many streams together.
//!
//! A stream that has bytes waiting is ready; a thread takes as many ready streams as a vector has lanes and runs them in
//! lockstep, and refills a lane whose stream has nothing left. So a single stream is as fast as it would be
//! anywhere, and the more streams wait, the less each of them costs.

use std::{
    collections::VecDeque,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{JoinHandle, available_parallelism},
    time::Duration,
};

use bytes::{Buf as _, Bytes};

use super::{
    block::{BLOCK_BYTES, LANES, State, compress, compress_lanes},
    single::Md5,
};

/// Bytes of a stream that are hashed before other ready streams are looked for.
const STRIDE_BYTES: usize = 64 << 10;
/// An idle thread waits until this many streams are ready, unless a digest is awaited.
const GATHERED: usize = LANES / 2;
/// But no longer than this for each further one.
const GATHER: Duration = Duration::from_millis(20);
/// A full thread takes more than two gigabytes a second, which is the most that this many cores receive.
const CORES_PER_THREAD: usize = 8;

/// The threads; dropping it ends them when nothing is pending.
pub struct MultiBufferMd5 {
    ready: Arc<Ready>,
    threads: Vec<JoinHandle<()>>,
}

/// A stream of bytes whose MD5 is computed.
pub struct Md5Stream {
    ready: Arc<Ready>,
    stream: Arc<Mutex<Stream>>,
}

/// A stream between its turns.
struct Stream {
    /// None while a thread has it.
    md5: Option<Md5>,
    waiting: VecDeque<Bytes>,
    /// Where the digest is sent when nothing is pending.
    asked: Option<mpsc::Sender<[u8; 16]>>,
}

/// Streams that have bytes waiting.
#[derive(Default)]
struct Ready {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    turns: VecDeque<Turn>,
    /// A digest is awaited.
    hurry: bool,
    closed: bool,
}

/// A stream in a lane, with the bytes that waited when it was taken.
struct Turn {
    stream: Arc<Mutex<Stream>>,
    md5: Md5,
    bytes: VecDeque<Bytes>,
}

impl MultiBufferMd5 {
    /// Starts the threads.
    pub fn start() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let ready = Arc::new(Ready::default());
        let start = |_| {
            let ready = Arc::clone(&ready);
            std::thread::spawn(move || ready.serve())
        };
        let threads = (0..cores.div_ceil(CORES_PER_THREAD)).map(start).collect();
        MultiBufferMd5 { ready, threads }
    }

    /// A stream without bytes yet.
    pub fn open(&self) -> Md5Stream {
        let stream = Stream { md5: Some(Md5::default()), waiting: VecDeque::new(), asked: None };
        Md5Stream { ready: Arc::clone(&self.ready), stream: Arc::new(Mutex::new(stream)) }
    }
}

impl Drop for MultiBufferMd5 {
    fn drop(&mut self) {
        self.ready.close();
        for thread in self.threads.drain(..) {
            // Turns catch their panics, so a thread has nothing to report.
            drop(thread.join());
        }
    }
}

impl Md5Stream {
    /// Takes the next bytes; does not wait until they are hashed.
    pub fn push(&self, bytes: Bytes) {
        let mut stream = lock(&self.stream);
        stream.waiting.push_back(bytes);
        if let Some(md5) = stream.md5.take() {
            let bytes = std::mem::take(&mut stream.waiting);
            drop(stream);
            self.ready.add(Turn { stream: Arc::clone(&self.stream), md5, bytes });
        }
    }

    /// Waits for the digest; none if hashing failed.
    pub fn finish(self) -> Option<[u8; 16]> {
        let (asked, answer) = mpsc::channel();
        let mut stream = lock(&self.stream);
        if let Some(md5) = stream.md5.take() {
            return Some(md5.finish());
        }
        stream.asked = Some(asked);
        drop(stream);
        self.ready.hurry();
        // The thread holds the stream as long as it has it in a lane.
        drop(self.stream);
        answer.recv().ok()
    }
}

impl Turn {
    /// Whether there is at least a block, in one piece, at the beginning of a block. Everything else is buffered.
    fn reach_block(&mut self) -> bool {
        while let Some(piece) = self.bytes.front_mut() {
            let missing = (BLOCK_BYTES - self.md5.filled()) % BLOCK_BYTES;
            if missing == 0 && piece.len() >= BLOCK_BYTES {
                return true;
            }
            let now = if missing == 0 { piece.len() } else { missing.min(piece.len()) };
            self.md5.update(&piece[..now]);
            piece.advance(now);
            if piece.is_empty() {
                self.bytes.pop_front();
            }
        }
        false
    }

    /// The blocks that lie together.
    fn blocks(&self) -> &[u8] {
        let piece = self.bytes.front().map_or(&[][..], |piece| &piece[..]);
        &piece[..piece.len() - piece.len() % BLOCK_BYTES]
    }

    fn took(&mut self, bytes: usize) {
        self.md5.bytes += bytes as u64;
        if let Some(piece) = self.bytes.front_mut() {
            piece.advance(bytes);
        }
    }

    /// Looks for bytes that arrived meanwhile; without any, returns the stream, and the digest to the waiting caller.
    fn next_bytes(mut self) -> Option<Self> {
        let mut stream = lock(&self.stream);
        if stream.waiting.is_empty() {
            match stream.asked.take() {
                // The receiver may be gone; then the digest is not needed.
                Some(asked) => drop(asked.send(self.md5.finish())),
                None => stream.md5 = Some(self.md5),
            }
            return None;
        }
        self.bytes = std::mem::take(&mut stream.waiting);
        drop(stream);
        Some(self)
    }
}

impl Ready {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn add(&self, turn: Turn) {
        self.queue().turns.push_back(turn);
        self.changed.notify_one();
    }

    fn hurry(&self) {
        self.queue().hurry = true;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.queue().closed = true;
        self.changed.notify_all();
    }

    /// A turn that panics fails all of its streams, and the thread continues.
    fn serve(&self) {
        while catch_unwind(AssertUnwindSafe(|| self.serve_until_closed())).is_err() {}
    }

    fn serve_until_closed(&self) {
        let mut lanes = Vec::new();
        while self.fill(&mut lanes) {
            lanes = lanes.into_iter().filter_map(at_block).collect();
            advance(&mut lanes);
        }
    }

    /// Fills the lanes as far as streams are ready. With empty lanes it waits for streams: a vector costs the same for one as
    /// for all its lanes. False at the end.
    fn fill(&self, lanes: &mut Vec<Turn>) -> bool {
        let mut queue = self.queue();
        let begun = !lanes.is_empty();
        loop {
            let free = LANES.saturating_sub(lanes.len()).min(queue.turns.len());
            lanes.extend(queue.turns.drain(..free));
            if begun || lanes.len() >= GATHERED || !lanes.is_empty() && (queue.hurry || queue.closed) {
                queue.hurry &= begun;
                return true;
            }
            if queue.closed {
                return false;
            }
            if lanes.is_empty() {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, wait) = self.changed.wait_timeout(queue, GATHER).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            // Missing streams are not waited for any longer.
            queue.hurry |= wait.timed_out();
        }
    }
}

/// The turn at a block's beginning; none if its stream has nothing left.
fn at_block(mut turn: Turn) -> Option<Turn> {
    while !turn.reach_block() {
        turn = turn.next_bytes()?;
    }
    Some(turn)
}

/// Hashes as many blocks as every lane has.
fn advance(lanes: &mut [Turn]) {
    let bytes = lanes.iter().map(|turn| turn.blocks().len()).min().unwrap_or(0).min(STRIDE_BYTES);
    match lanes {
        [] => {}
        [alone] => {
            let mut state = alone.md5.state;
            compress(&mut state, &alone.blocks()[..bytes]);
            alone.md5.state = state;
        }
        _ => {
            // A lane without a stream gets the bytes of the first one, and its result is ignored.
            let of_lane = |lane: usize| lanes.get(lane).unwrap_or(&lanes[0]);
            let mut states: [State; LANES] = std::array::from_fn(|lane| of_lane(lane).md5.state);
            compress_lanes(&mut states, std::array::from_fn(|lane| &of_lane(lane).blocks()[..bytes]));
            for (turn, state) in lanes.iter_mut().zip(states) {
                turn.md5.state = state;
            }
        }
    }
    lanes.iter_mut().for_each(|turn| turn.took(bytes));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn streams_without_bytes_have_a_digest_too() {
        let lanes = MultiBufferMd5::start();
        assert_eq!(lanes.open().finish(), Some(md5::Md5::digest(b"").into()));
        let stream = lanes.open();
        stream.push(Bytes::new());
        assert_eq!(stream.finish(), Some(md5::Md5::digest(b"").into()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn however_many_streams_come_in_whatever_pieces_each_has_its_own_digest(
            streams in prop::collection::vec((0usize..20_000, 1usize..5_000), 1..20), seed in any::<u8>(),
        ) {
            let lanes = MultiBufferMd5::start();
            let content: Vec<Bytes> = (0usize..).zip(&streams).map(|(number, (length, _))| {
                (0..*length).map(|at| (at / 3 + at * number + usize::from(seed)) as u8).collect::<Vec<_>>().into()
            }).collect();
            let open: Vec<_> = content.iter().map(|_| lanes.open()).collect();
            let mut left: Vec<_> = content.clone();
            while left.iter().any(|bytes| !bytes.is_empty()) {
                for ((bytes, stream), (_, piece)) in left.iter_mut().zip(&open).zip(&streams) {
                    if !bytes.is_empty() {
                        stream.push(bytes.split_to(bytes.len().min(*piece)));
                    }
                }
            }
            for (stream, content) in open.into_iter().zip(content) {
                prop_assert_eq!(stream.finish(), Some(md5::Md5::digest(&content).into()));
            }
        }
    }
}
