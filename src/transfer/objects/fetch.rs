//! Brings a stretch of an object into memory: goes on where a body broke, and gives up on one that stalls.
//!
//! Bounded in every way: attempts, bytes, the time until an answer, the time without a byte, and the slowest pace. What
//! came before a break is kept, for a later read is pinned to the same entity tag; whether it was right the checksums
//! say at the end. A body that is longer than it should be is thrown away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::lanes::Lanes;
use crate::{
    clock::Stopwatch,
    transfer::{
        error::{SourceError, TransferError},
        meter::Meter,
        object::{ByteRange, ObjectBody, ObjectEntry, ObjectSource, ProviderWord},
        properties::Properties,
        retry::Attempts,
    },
};

/// How long a provider may take before an attempt is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it answers.
    pub answer: Duration,
    /// Between two pieces of a body; after so long, the pace counts too.
    pub silence: Duration,
    /// A slower body has stalled, in bytes a second.
    pub pace_bytes_min: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { answer: Duration::from_secs(60), silence: Duration::from_secs(20), pace_bytes_min: 1 << 10 }
    }
}

/// Counts what comes of an object or of a unit while it comes, and takes it back if the whole comes to nothing.
pub(super) struct Counted {
    meter: Arc<Meter>,
    items: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    pub fn new(meter: &Arc<Meter>) -> Self {
        Counted { meter: Arc::clone(meter), items: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    fn add(&self, bytes: u64) {
        self.meter.add_bytes(bytes);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// So many of them did not count after all.
    pub fn take_back(&self, bytes: u64) {
        self.meter.take_back_bytes(bytes);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// An object arrived; what becomes of it and its bytes is decided here from now on.
    pub fn take_over(&self, object: &Counted) {
        self.meter.add_items(1);
        self.items.fetch_add(1, Relaxed);
        self.bytes.fetch_add(object.bytes.swap(0, Relaxed), Relaxed);
    }

    /// An object that was taken over came to nothing.
    pub fn give_back(&self, bytes: u64) {
        self.meter.take_back_items(1);
        self.items.fetch_sub(1, Relaxed);
        self.take_back(bytes);
    }

    /// All of it counts for good.
    pub fn keep(&self) {
        self.items.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.meter.take_back_items(self.items.load(Relaxed));
        self.meter.take_back_bytes(self.bytes.load(Relaxed));
    }
}

/// Which bytes of an object.
#[derive(Clone, Copy)]
pub(super) enum Stretch {
    /// All of them, by one plain request.
    Whole,
    /// A part, by a ranged request.
    Range(ByteRange),
}

/// What came of a stretch.
pub(super) struct Fetched {
    /// The provider's word, from the answer to the request for the whole object.
    pub word: ProviderWord,
    /// What the provider keeps beside the bytes, from the same answer.
    pub properties: Properties,
    pub pieces: Vec<Bytes>,
    bytes: u64,
}

/// Reads stretches of one object.
pub(super) struct Fetcher<'a> {
    pub source: &'a dyn ObjectSource,
    pub entry: &'a ObjectEntry,
    pub lanes: &'a Lanes,
    pub patience: &'a Patience,
    pub counted: &'a Counted,
}

impl Fetcher<'_> {
    /// All bytes of the stretch, within the attempts that are left. The caller holds a lane.
    pub async fn fetch(&self, stretch: Stretch, attempts: &mut Attempts) -> Result<Fetched, TransferError> {
        let word = Err("a range".to_owned());
        let mut got = Fetched { word, properties: Properties::default(), pieces: Vec::new(), bytes: 0 };
        loop {
            match self.attempt(stretch, &mut got).await {
                Ok(()) => {
                    self.lanes.note_request();
                    return Ok(got);
                }
                Err(error) => {
                    if matches!(error, SourceError::Throttled { .. }) {
                        self.lanes.note_throttled();
                    }
                    if let Err(last) = attempts.pause_after(error.into()).await {
                        self.counted.take_back(got.bytes);
                        return Err(last);
                    }
                }
            }
        }
    }

    /// Asks for what is missing of the stretch and adds what comes of it.
    async fn attempt(&self, stretch: Stretch, got: &mut Fetched) -> Result<(), SourceError> {
        let (first, length) = match stretch {
            Stretch::Whole => (0, self.entry.size),
            Stretch::Range(range) => (range.first, range.length()),
        };
        let plain = matches!(stretch, Stretch::Whole) && got.bytes == 0;
        let missing = ByteRange { first: first + got.bytes, last: (first + length).saturating_sub(1) };
        let body = timeout(self.patience.answer, self.source.open(self.entry, (!plain).then_some(missing))).await;
        let mut body = body.map_err(|_| self.stalled("no answer"))??;
        if body.length.is_some_and(|announced| announced != length - got.bytes) {
            return Err(self.wrong_length(body.length.unwrap_or_default(), length - got.bytes));
        }
        if plain {
            got.word = body.word.clone();
            got.properties = std::mem::take(&mut body.properties);
        }
        let ended = self.collect(body, length, got).await;
        if got.bytes > length {
            let bytes = std::mem::take(&mut got.bytes);
            self.counted.take_back(bytes);
            got.pieces.clear();
            return Err(self.wrong_length(bytes, length));
        }
        // A connection that breaks after the last byte took nothing away.
        if got.bytes == length { Ok(()) } else { ended.and(Err(self.wrong_length(got.bytes, length))) }
    }

    async fn collect(&self, body: ObjectBody, length: u64, got: &mut Fetched) -> Result<(), SourceError> {
        let (mut pieces, watch, before) = (body.pieces, Stopwatch::start(), got.bytes);
        while got.bytes <= length {
            let piece =
                timeout(self.patience.silence, pieces.next()).await.map_err(|_| self.stalled("no more bytes"))?;
            let Some(piece) = piece else { break };
            let piece = piece?;
            got.bytes += piece.len() as u64;
            self.counted.add(piece.len() as u64);
            self.lanes.note_bytes(piece.len() as u64);
            got.pieces.push(piece);
            if got.bytes < length && self.is_too_slow(got.bytes - before, watch.elapsed()) {
                return Err(self.stalled("hardly any bytes"));
            }
        }
        Ok(())
    }

    fn is_too_slow(&self, bytes: u64, elapsed: Duration) -> bool {
        elapsed > self.patience.silence && bytes < self.patience.pace_bytes_min.saturating_mul(elapsed.as_secs().max(1))
    }

    fn stalled(&self, what: &str) -> SourceError {
        SourceError::Transient { what: self.entry.key.clone(), reason: format!("{what} in time") }
    }

    fn wrong_length(&self, got: u64, asked: u64) -> SourceError {
        wrong_length(self.entry, got, asked)
    }
}

/// Another number of bytes than were listed or asked for.
pub(super) fn wrong_length(entry: &ObjectEntry, got: u64, asked: u64) -> SourceError {
    let reason = format!("the body has {got} bytes or more where {asked} were listed or asked for");
    SourceError::Transient { what: entry.key.clone(), reason }
}
