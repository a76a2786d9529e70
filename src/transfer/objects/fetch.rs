//! Reads a section of an object into memory: resumes where a body broke, and gives up on one that stalls.
//!
//! Bounded in every way: attempts, bytes, the time until an answer, the time without a byte, and the lowest rate. What
//! arrived before a break is kept, because a later read is pinned to the same entity tag; whether it was right the
//! checksums show at the end. A body that is too long is discarded. Every later request is pinned to the state of
//! the first response.

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

use super::limiter::ConcurrencyLimiter;
use crate::{
    clock::Stopwatch,
    transfer::{
        error::{SourceError, TransferError},
        meter::Meter,
        object::{ByteRange, ObjectBody, ObjectEntry, ObjectSource, Parts, Pin, ProviderChecksum, StatedChecksums},
        properties::Properties,
        retry::{Attempts, OutageTracker, STALL},
    },
};

/// How long a provider may take before an attempt is given up.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until it responds.
    pub answer: Duration,
    /// Between two pieces of a body; after this time, the rate counts too.
    pub silence: Duration,
    /// A slower body counts as stalled, in bytes a second.
    pub pace_bytes_min: u64,
    /// How long it may be unreachable before the work stops.
    pub away: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            answer: Duration::from_secs(60),
            silence: Duration::from_secs(20),
            pace_bytes_min: 1 << 10,
            away: STALL,
        }
    }
}

/// Counts the bytes of an object or of a unit as they arrive, and subtracts them if the whole fails.
pub(super) struct Counted {
    meter: Arc<Meter>,
    items: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    pub(super) fn new(meter: &Arc<Meter>) -> Self {
        Counted { meter: Arc::clone(meter), items: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.meter.add_bytes(bytes);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Subtracts some of them again.
    pub(super) fn take_back(&self, bytes: u64) {
        self.meter.take_back_bytes(bytes);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// An object arrived; from now on, it and its bytes are counted here.
    pub(super) fn take_over(&self, object: &Counted) {
        self.meter.add_items(1);
        self.items.fetch_add(1, Relaxed);
        self.bytes.fetch_add(object.bytes.swap(0, Relaxed), Relaxed);
    }

    /// An object that was taken over failed.
    pub(super) fn give_back(&self, bytes: u64) {
        self.meter.take_back_items(1);
        self.items.fetch_sub(1, Relaxed);
        self.take_back(bytes);
    }

    /// All of it counts for good.
    pub(super) fn keep(&self) {
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

/// A section of an object.
#[derive(Clone, Copy)]
pub(super) enum ObjectSection {
    /// All of them, by one plain request.
    Whole,
    /// A part, by a ranged request.
    Range(ByteRange),
}

/// A section that was read.
pub(super) struct Fetched {
    /// The provider's checksums, from the response to the request for the whole object.
    pub checksum: StatedChecksums,
    /// The object's properties at the provider, from the same response.
    pub properties: Properties,
    pub pieces: Vec<Bytes>,
    bytes: u64,
    pin: Option<Pin>,
}

/// Reads sections of one object.
pub(super) struct Fetcher<'a> {
    pub source: &'a dyn ObjectSource,
    pub entry: &'a ObjectEntry,
    pub limiter: &'a ConcurrencyLimiter,
    pub timeouts: &'a Timeouts,
    pub reach: &'a OutageTracker,
    pub counted: &'a Counted,
}

impl Fetcher<'_> {
    /// All bytes of the section, within the remaining attempts. The caller holds a permit of the limiter.
    pub(super) async fn fetch(
        &self,
        stretch: ObjectSection,
        attempts: &mut Attempts,
    ) -> Result<Fetched, TransferError> {
        let checksum = Err("a range".to_owned());
        let mut got = Fetched { checksum, properties: Properties::default(), pieces: Vec::new(), bytes: 0, pin: None };
        loop {
            match self.attempt(stretch, &mut got).await {
                Ok(()) => {
                    self.limiter.note_request();
                    self.reach.came(self.entry);
                    return Ok(got);
                }
                Err(error) => {
                    if let Err(last) = self.again(error, attempts).await {
                        self.counted.take_back(got.bytes);
                        return Err(last);
                    }
                }
            }
        }
    }

    /// Waits before the next attempt, or returns the error if there is to be none.
    pub(super) async fn again(&self, error: SourceError, attempts: &mut Attempts) -> Result<(), TransferError> {
        if matches!(error, SourceError::Throttled { .. }) {
            self.limiter.note_throttled();
        }
        attempts.again(self.source, self.reach, error).await
    }

    /// Opens the object or a range of it.
    pub(super) async fn open(&self, entry: &ObjectEntry, range: Option<ByteRange>) -> Result<ObjectBody, SourceError> {
        let body = timeout(self.timeouts.answer, self.source.open(entry, range)).await;
        body.map_err(|_| SourceError::Unreached { what: entry.key.clone(), reason: "no answer in time".to_owned() })?
    }

    /// Requests what is missing of the section and adds what arrives.
    async fn attempt(&self, stretch: ObjectSection, got: &mut Fetched) -> Result<(), SourceError> {
        let (first, length) = match stretch {
            ObjectSection::Whole => (0, self.entry.size),
            ObjectSection::Range(range) => (range.first, range.length()),
        };
        let plain = matches!(stretch, ObjectSection::Whole) && got.bytes == 0;
        let missing = ByteRange { first: first + got.bytes, last: (first + length).saturating_sub(1) };
        let pinned = got.pin.clone().map(|pin| self.entry.pinned(pin));
        let opened = self.open(pinned.as_ref().unwrap_or(self.entry), (!plain).then_some(missing)).await;
        let mut body = match opened {
            // What arrived before the break can't be continued: the next attempt starts anew.
            Err(SourceError::Unranged { what, reason }) if matches!(stretch, ObjectSection::Whole) => {
                self.discard(got);
                return Err(SourceError::Transient { what, reason });
            }
            opened => opened?,
        };
        if body.length.is_some_and(|announced| announced != length - got.bytes) {
            let served = body.length.unwrap_or_default();
            if plain {
                got.pin = Some(repacked(&got.pin.take().unwrap_or_default()));
            }
            return Err(if plain {
                SourceError::Size { what: self.entry.key.clone(), listed: length, served }
            } else {
                self.wrong_length(served, length - got.bytes)
            });
        }
        if plain {
            got.checksum = body.checksum.clone();
            got.properties = std::mem::take(&mut body.properties);
            got.pin = Some(body.pin.clone());
        }
        let unannounced = body.length.is_none();
        let ended = self.collect(body, length, got).await;
        if got.bytes > length {
            let bytes = self.discard(got);
            got.pin = got.pin.take().map(|pin| if unannounced { repacked(&pin) } else { pin });
            return Err(self.wrong_length(bytes, length));
        }
        if got.bytes < length && unannounced && ended.is_ok() {
            // All that the server has, and not a break that could be continued.
            let bytes = self.discard(got);
            got.pin = got.pin.take().map(|pin| repacked(&pin));
            return Err(self.wrong_length(bytes, length));
        }
        if got.bytes < length && matches!(stretch, ObjectSection::Whole) && !is_decisive(&got.checksum) {
            // Nothing would show that the rest is from the right offset.
            let bytes = self.discard(got);
            return ended.and(Err(self.wrong_length(bytes, length)));
        }
        // A connection that breaks after the last byte lost nothing.
        if got.bytes == length { Ok(()) } else { ended.and(Err(self.wrong_length(got.bytes, length))) }
    }

    /// Discards what arrived; returns its size.
    fn discard(&self, got: &mut Fetched) -> u64 {
        let bytes = std::mem::take(&mut got.bytes);
        self.counted.take_back(bytes);
        got.pieces.clear();
        bytes
    }

    /// The next bytes of a body, as many as requested unless it ends before. The rest of a piece goes into `rest`.
    pub(super) async fn take(
        &self,
        body: &mut ObjectBody,
        rest: &mut Bytes,
        wanted: u64,
    ) -> Result<Vec<Bytes>, SourceError> {
        let mut pieces = Vec::new();
        let mut missing = wanted;
        let watch = Stopwatch::start();
        while missing > 0 {
            if rest.is_empty() {
                let piece = timeout(self.timeouts.silence, body.pieces.next()).await;
                let Some(piece) = piece.map_err(|_| self.stalled("no more bytes"))? else { break };
                *rest = piece?;
                self.limiter.note_bytes(rest.len() as u64);
            }
            let piece = rest.split_to(rest.len().min(usize::try_from(missing).unwrap_or(usize::MAX)));
            missing -= piece.len() as u64;
            pieces.push(piece);
            if missing > 0 && self.is_too_slow(wanted - missing, watch.elapsed()) {
                return Err(self.stalled("hardly any bytes"));
            }
        }
        Ok(pieces)
    }

    async fn collect(&self, body: ObjectBody, length: u64, got: &mut Fetched) -> Result<(), SourceError> {
        let mut pieces = body.pieces;
        let watch = Stopwatch::start();
        let before = got.bytes;
        while got.bytes <= length {
            let piece =
                timeout(self.timeouts.silence, pieces.next()).await.map_err(|_| self.stalled("no more bytes"))?;
            let Some(piece) = piece else { break };
            let piece = piece?;
            got.bytes += piece.len() as u64;
            self.counted.add(piece.len() as u64);
            self.limiter.note_bytes(piece.len() as u64);
            got.pieces.push(piece);
            if got.bytes < length && self.is_too_slow(got.bytes - before, watch.elapsed()) {
                return Err(self.stalled("hardly any bytes"));
            }
        }
        Ok(())
    }

    fn is_too_slow(&self, bytes: u64, elapsed: Duration) -> bool {
        elapsed > self.timeouts.silence && bytes < self.timeouts.pace_bytes_min.saturating_mul(elapsed.as_secs().max(1))
    }

    fn stalled(&self, what: &str) -> SourceError {
        SourceError::Transient { what: self.entry.key.clone(), reason: format!("{what} in time") }
    }

    fn wrong_length(&self, got: u64, asked: u64) -> SourceError {
        wrong_length(self.entry, got, asked)
    }
}

/// Whether a wrongly assembled body would contradict it.
fn is_decisive(stated: &StatedChecksums) -> bool {
    let is_guess = |checksum: &ProviderChecksum| matches!(checksum.parts, Parts::Guessed(_));
    stated.as_ref().is_ok_and(|checksums| !checksums.iter().all(is_guess))
}

/// The same state, requested compressed instead of plain or vice versa: servers that decompress what is
/// stored compressed serve other bytes than they list (Google Cloud Storage, "Transcoding of gzip-compressed files").
fn repacked(pin: &Pin) -> Pin {
    Pin { packed: !pin.packed, ..pin.clone() }
}

/// A number of bytes other than listed or requested.
pub(super) fn wrong_length(entry: &ObjectEntry, got: u64, asked: u64) -> SourceError {
    let reason = format!("the body has {got} bytes or more where {asked} were listed or asked for");
    SourceError::Transient { what: entry.key.clone(), reason }
}
