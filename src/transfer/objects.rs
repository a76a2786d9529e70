//! Copies one unit of objects: reads each, hashes it in the same pass, stages it, and publishes the unit after one sync.
//!
//! Small objects are one GET, collected and handed to a blocking thread; larger ones stream through a bounded channel;
//! the largest are read as ranges in parallel and hashed in order. Nothing here knows S3 or a file system.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinSet, spawn_blocking},
};

use super::{
    checksum::{Observed, StreamDigest},
    error::{SourceError, TransferError},
    meter::Meter,
    object::{
        Arriving, ByteRange, ObjectEntry, ObjectSink, ObjectSource, ProviderWord, Refusal, UnitOutcome, UnitSink,
    },
    properties::Properties,
    receipt::{Confirmation, ObjectReceipt},
    retry::with_retries,
    unit::{LARGE_OBJECT_BYTES, ObjectUnit, PlacedObject},
    window::OrderedWindow,
};
use crate::interrupt::Interrupt;

/// Objects in flight at once, over all units of an asset.
pub const OBJECTS_IN_FLIGHT: usize = 32;
/// Bytes of one range of a large object.
pub const RANGE_BYTES: u64 = 8 << 20;
/// Ranges of one large object in flight at once.
pub const RANGES_IN_FLIGHT: usize = 6;
/// Objects up to this size are collected before a thread writes them.
const COLLECTED_BYTES_MAX: u64 = 1 << 20;
/// Pieces between the network and the writing thread.
const PIECES_IN_FLIGHT: usize = 16;
/// So many objects in a row that fail after every attempt mean that the provider is gone, not the objects.
const FAILURES_IN_A_ROW_MAX: u32 = 8;

type Pieces = BoxStream<'static, Result<Bytes, SourceError>>;

/// Copies units from one source to one sink; clones share their limits.
#[derive(Clone)]
pub struct ObjectCopier {
    source: Arc<dyn ObjectSource>,
    sink: Arc<dyn ObjectSink>,
    slots: Arc<Semaphore>,
    failures_in_a_row: Arc<AtomicU32>,
    meter: Arc<Meter>,
    interrupt: Interrupt,
}

impl ObjectCopier {
    /// A copier between these two ends.
    pub fn new(
        source: Arc<dyn ObjectSource>,
        sink: Arc<dyn ObjectSink>,
        meter: Arc<Meter>,
        interrupt: Interrupt,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(OBJECTS_IN_FLIGHT));
        ObjectCopier { source, sink, slots, failures_in_a_row: Arc::default(), meter, interrupt }
    }

    /// Copies a unit and publishes what arrived whole. Objects that can't be read become refusals; an error means that
    /// nothing of the unit was published.
    pub async fn copy(&self, unit: ObjectUnit) -> Result<UnitOutcome, TransferError> {
        let (sink, id) = (Arc::clone(&self.sink), unit.id.clone());
        let staging: Arc<dyn UnitSink> = spawn_blocking(move || sink.begin(&id)).await??.into();
        let arrived = tokio::select! {
            biased;
            () = self.interrupt.wait() => return Err(TransferError::Interrupted),
            arrived = self.stage_all(unit, &staging) => arrived?,
        };
        // Not to be interrupted: what is published must come to be recorded.
        publish(staging, arrived).await
    }

    async fn stage_all(&self, unit: ObjectUnit, staging: &Arc<dyn UnitSink>) -> Result<Arrivals, TransferError> {
        let mut tasks = JoinSet::new();
        let mut arrived = Arrivals::default();
        for (index, object) in unit.objects.into_iter().enumerate() {
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| TransferError::Interrupted)?;
            let (copier, staging) = (self.clone(), Arc::clone(staging));
            tasks.spawn(async move {
                let result = copier.stage(&staging, index, &object).await;
                drop(slot);
                (index, object, result)
            });
            while let Some(done) = tasks.try_join_next() {
                self.sort(done?, &mut arrived)?;
            }
        }
        while let Some(done) = tasks.join_next().await {
            self.sort(done?, &mut arrived)?;
        }
        Ok(arrived)
    }

    /// Files the result of one object: restored, refused, or the end of the unit.
    fn sort(&self, done: Staged, arrived: &mut Arrivals) -> Result<(), TransferError> {
        let (index, object, result) = done;
        match result {
            Ok((observed, properties)) => {
                self.failures_in_a_row.store(0, Relaxed);
                self.meter.add_items(1);
                let receipt = receipt(object, observed).with_properties(properties, self.sink.carries());
                arrived.receipts.push((index, receipt));
            }
            Err(TransferError::Source(error)) if !self.provider_is_gone(&error) => {
                arrived.refusals.push(Refusal { object, error });
            }
            Err(fatal) => return Err(fatal),
        }
        Ok(())
    }

    fn provider_is_gone(&self, error: &SourceError) -> bool {
        matches!(error, SourceError::Credentials { .. })
            || matches!(error, SourceError::Transient { .. })
                && self.failures_in_a_row.fetch_add(1, Relaxed) + 1 >= FAILURES_IN_A_ROW_MAX
    }

    async fn stage(
        &self,
        staging: &Arc<dyn UnitSink>,
        index: usize,
        object: &PlacedObject,
    ) -> Result<Copied, TransferError> {
        with_retries(|| async {
            let counted = Counted::new(&self.meter);
            let (observed, properties) = self.attempt(staging, index, object, &counted).await?;
            let observed = accept(&object.entry, observed).inspect(|_| counted.keep())?;
            Ok((observed, properties))
        })
        .await
    }

    async fn attempt(
        &self,
        staging: &Arc<dyn UnitSink>,
        index: usize,
        object: &PlacedObject,
        counted: &Counted<'_>,
    ) -> Result<Copied, TransferError> {
        let entry = &object.entry;
        if entry.size >= LARGE_OBJECT_BYTES {
            return self.attempt_ranges(staging, index, object, counted).await;
        }
        let body = self.source.open(entry, None).await?;
        let incoming = Incoming { staging: Arc::clone(staging), index, object: object.clone(), word: body.word };
        if entry.size <= COLLECTED_BYTES_MAX {
            let pieces = collect(body.pieces, entry, counted).await?;
            return write_collected(incoming, body.properties, pieces).await;
        }
        let mut writer = Writer::start(incoming, body.properties);
        let (mut pieces, mut bytes) = (body.pieces, 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            if bytes > entry.size {
                return Err(wrong_length(entry, bytes).into());
            }
            counted.add(piece.len() as u64);
            writer.send(piece).await?;
        }
        writer.finish().await
    }

    /// Reads ranges in parallel, each with retries of its own, and passes them on in order.
    async fn attempt_ranges(
        &self,
        staging: &Arc<dyn UnitSink>,
        index: usize,
        object: &PlacedObject,
        counted: &Counted<'_>,
    ) -> Result<Copied, TransferError> {
        let entry = &object.entry;
        let described = self.source.describe(entry).await?;
        let incoming = Incoming { staging: Arc::clone(staging), index, object: object.clone(), word: described.word };
        let mut writer = Writer::start(incoming, described.properties);
        let reads = ranges(entry.size, RANGE_BYTES).map(|range| {
            let (source, entry) = (Arc::clone(&self.source), entry.clone());
            async move { with_retries(|| read_range(source.as_ref(), &entry, range)).await }
        });
        let mut window = OrderedWindow::new(reads, RANGES_IN_FLIGHT);
        while let Some(range) = window.next().await {
            for piece in range?? {
                counted.add(piece.len() as u64);
                writer.send(piece).await?;
            }
        }
        writer.finish().await
    }
}

/// What crossed of an object, and what the provider keeps beside it.
type Copied = (Observed, Properties);

type Staged = (usize, PlacedObject, Result<Copied, TransferError>);

#[derive(Default)]
struct Arrivals {
    receipts: Vec<(usize, ObjectReceipt)>,
    refusals: Vec<Refusal>,
}

/// Counts an attempt's bytes while they come, and takes them back if the attempt comes to nothing.
struct Counted<'a> {
    meter: &'a Meter,
    bytes: std::sync::atomic::AtomicU64,
}

impl<'a> Counted<'a> {
    fn new(meter: &'a Meter) -> Self {
        Counted { meter, bytes: Default::default() }
    }

    fn add(&self, bytes: u64) {
        self.meter.add_bytes(bytes);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn keep(&self) {
        self.bytes.store(0, Relaxed);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.meter.take_back_bytes(self.bytes.load(Relaxed));
    }
}

/// An object on its way into a staging area.
struct Incoming {
    staging: Arc<dyn UnitSink>,
    index: usize,
    object: PlacedObject,
    word: ProviderWord,
}

impl Incoming {
    /// Hashes and writes all pieces.
    fn write<P: AsRef<[u8]>>(
        self,
        properties: Properties,
        pieces: impl Iterator<Item = P>,
    ) -> Result<Copied, TransferError> {
        let arriving = Arriving { object: &self.object, properties: &properties };
        let mut pending = self.staging.create(self.index, arriving)?;
        let mut digest = StreamDigest::new(self.word);
        for piece in pieces {
            digest.update(piece.as_ref());
            pending.write(piece.as_ref())?;
        }
        pending.finish()?;
        Ok((digest.finish(), properties))
    }
}

/// The thread that hashes and writes one object while the network brings it.
struct Writer {
    pieces: mpsc::Sender<Bytes>,
    thread: tokio::task::JoinHandle<Result<Copied, TransferError>>,
}

impl Writer {
    fn start(object: Incoming, properties: Properties) -> Self {
        let (pieces, mut incoming) = mpsc::channel::<Bytes>(PIECES_IN_FLIGHT);
        let thread = spawn_blocking(move || object.write(properties, std::iter::from_fn(|| incoming.blocking_recv())));
        Writer { pieces, thread }
    }

    /// Passes a piece on; if the thread has ended early, its error is the result.
    async fn send(&mut self, piece: Bytes) -> Result<(), TransferError> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        (&mut self.thread).await??;
        Err(TransferError::Internal("the writing thread ended before its object did".to_owned()))
    }

    async fn finish(self) -> Result<Copied, TransferError> {
        drop(self.pieces);
        self.thread.await?
    }
}

async fn collect(mut body: Pieces, entry: &ObjectEntry, counted: &Counted<'_>) -> Result<Vec<Bytes>, TransferError> {
    let mut pieces = Vec::new();
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        if bytes > entry.size {
            return Err(wrong_length(entry, bytes).into());
        }
        counted.add(piece.len() as u64);
        pieces.push(piece);
    }
    Ok(pieces)
}

async fn write_collected(
    object: Incoming,
    properties: Properties,
    pieces: Vec<Bytes>,
) -> Result<Copied, TransferError> {
    spawn_blocking(move || object.write(properties, pieces.into_iter())).await?
}

async fn read_range(
    source: &dyn ObjectSource,
    entry: &ObjectEntry,
    range: ByteRange,
) -> Result<Vec<Bytes>, TransferError> {
    let mut body = source.open(entry, Some(range)).await?.pieces;
    let mut pieces = Vec::new();
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        pieces.push(piece);
        if bytes > range.length() {
            break;
        }
    }
    if bytes == range.length() { Ok(pieces) } else { Err(wrong_length(entry, bytes).into()) }
}

/// The ranges of an object of `size` bytes, in order, none of them empty.
pub fn ranges(size: u64, step: u64) -> impl Iterator<Item = ByteRange> + Send {
    (0..size.div_ceil(step)).map(move |number| {
        let first = number * step;
        ByteRange { first, last: (first + step).min(size) - 1 }
    })
}

/// An object counts only if its length is the listed one and no checksum of the provider contradicts it.
fn accept(entry: &ObjectEntry, observed: Observed) -> Result<Observed, TransferError> {
    if observed.size != entry.size {
        return Err(wrong_length(entry, observed.size).into());
    }
    match observed.confirmation {
        Confirmation::Contradicted(kind) => Err(SourceError::Corrupt { what: entry.key.clone(), kind }.into()),
        _ => Ok(observed),
    }
}

fn wrong_length(entry: &ObjectEntry, got: u64) -> SourceError {
    let reason = format!("the body has {got} bytes or more where {} were listed or asked for", entry.size);
    SourceError::Transient { what: entry.key.clone(), reason }
}

fn receipt(object: PlacedObject, observed: Observed) -> ObjectReceipt {
    let PlacedObject { entry, place } = object;
    ObjectReceipt::new(entry, place, observed.size, observed.sha256, observed.confirmation)
}

async fn publish(staging: Arc<dyn UnitSink>, arrived: Arrivals) -> Result<UnitOutcome, TransferError> {
    let Arrivals { mut receipts, refusals } = arrived;
    spawn_blocking(move || {
        staging.commit(&mut receipts)?;
        receipts.sort_unstable_by(|a, b| a.1.rank().cmp(&b.1.rank()));
        Ok(UnitOutcome { receipts: receipts.into_iter().map(|(_, receipt)| receipt).collect(), refusals })
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_cover_every_byte_once(size in 0u64..10_000, step in 1u64..1_000) {
            let mut next = 0;
            for range in ranges(size, step) {
                prop_assert_eq!(range.first, next);
                prop_assert!(range.length() <= step);
                next = range.last + 1;
            }
            prop_assert_eq!(next, size);
        }
    }
}
