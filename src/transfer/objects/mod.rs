//! Copies one unit of objects: reads each, hashes it in the same pass, stages it, and publishes the unit after one sync.
//!
//! Nothing here knows S3 or a file system. What happens where:
//!
//! | module | does |
//! |---|---|
//! | `fetch` | reads a section of an object into memory, with retries from where the body broke |
//! | `limiter` | how many requests are in progress at once |
//! | `budget` | how many bytes are in memory at once |
//! | `worker_pool` | threads that hash and write small objects |
//! | `staging` | where they write |
//! | `seam` | whether ranges fit together |
//! | `stream` | hashes and writes a large object while its ranges arrive |
//!
//! An object up to [`PLAIN_BYTES_MAX`] is one request, and is hashed before a byte of it is written; a larger one is
//! read as ranges in parallel, which are hashed and written in order.

mod budget;
mod fetch;
mod limiter;
mod seam;
mod staging;
mod stream;
mod worker_pool;

use std::{
    collections::HashMap,
    convert::Infallible,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
};

pub use self::{budget::Budget, fetch::Timeouts};
use self::{
    fetch::{Counted, Fetcher, ObjectSection, wrong_length},
    limiter::{ConcurrencyLimiter, Permit},
    seam::{Seam, with_seam},
    staging::{Incoming, Staging},
    stream::{Chunk, Stream},
    worker_pool::WorkerPool,
};
use super::{
    checksum::{MultiBufferMd5, Observed, StreamDigest},
    error::{SinkError, SourceError, TransferError},
    executor::{UnitDone, UnitReceipt, UnitSpec, UnitWorker},
    meter::Meter,
    object::{
        ByteRange, Described, ObjectBody, ObjectEntry, ObjectSink, ObjectSource, Refusal, UnitOutcome, UnitSink,
        Unrestored,
    },
    properties::Properties,
    receipt::{Confirmation, ObjectReceipt},
    retry::{Attempts, OutageTracker, with_retries},
    unit::{ObjectUnit, PlacedObject},
    window::OrderedWindow,
};
use crate::interrupt::Interrupt;

/// Initial number of objects in flight, over all units of an asset.
pub const OBJECTS_IN_FLIGHT: usize = 32;
/// Objects up to this size are read by one request.
pub const PLAIN_BYTES_MAX: u64 = 16 << 20;
/// Bytes of one range of a larger object.
pub const RANGE_BYTES: u64 = 8 << 20;
/// Bytes that a body read as one waits for before they are passed on; so many of them make up its share of the budget.
const STREAM_BYTES: u64 = RANGE_BYTES / 8;
/// From this size on, an object's MD5 is computed together with those of others.
const SHARED_MD5_BYTES_MIN: u64 = 256 << 10;
/// Consecutive objects that fail after every attempt, although the provider answers, that end the work on the asset.
pub const FAILURES_IN_A_ROW_MAX: u32 = 1_000;
/// Threads that hash and write wait for the disk half of their time, so there are more of them than cores.
const THREADS_PER_CORE: usize = 2;

/// Copies units from one source to one sink; clones share their limits.
#[derive(Clone)]
pub struct ObjectCopier(Arc<Shared>);

struct Shared {
    source: Arc<dyn ObjectSource>,
    sink: Arc<dyn ObjectSink>,
    limiter: Arc<ConcurrencyLimiter>,
    budget: Budget,
    timeouts: Timeouts,
    reach: Arc<OutageTracker>,
    /// What is copied now has failed before.
    late: AtomicBool,
    workers: WorkerPool,
    md5: Arc<MultiBufferMd5>,
    failures_in_a_row: AtomicU32,
    meter: Arc<Meter>,
    interrupt: Interrupt,
}

/// The two ends of a copier, and what it may use.
pub struct Ends {
    /// The source.
    pub source: Arc<dyn ObjectSource>,
    /// The sink.
    pub sink: Arc<dyn ObjectSink>,
    /// Bytes in memory at once.
    pub budget: Budget,
    /// How long the provider may take.
    pub timeouts: Timeouts,
}

impl ObjectCopier {
    /// A copier between these two ends, with the limits for a real provider.
    pub fn new(
        source: Arc<dyn ObjectSource>,
        sink: Arc<dyn ObjectSink>,
        meter: Arc<Meter>,
        interrupt: Interrupt,
    ) -> Self {
        let budget = Budget::default();
        let timeouts = Timeouts::default();
        ObjectCopier::between(Ends { source, sink, budget, timeouts }, meter, interrupt)
    }

    /// A copier with limits of its own.
    pub fn between(ends: Ends, meter: Arc<Meter>, interrupt: Interrupt) -> Self {
        let cores = available_parallelism().map_or(2, NonZero::get);
        ObjectCopier(Arc::new(Shared {
            source: ends.source,
            sink: ends.sink,
            limiter: ConcurrencyLimiter::new(OBJECTS_IN_FLIGHT),
            budget: ends.budget,
            timeouts: ends.timeouts,
            reach: Arc::new(OutageTracker::new(ends.timeouts.away)),
            late: AtomicBool::new(false),
            workers: WorkerPool::start(cores * THREADS_PER_CORE),
            md5: Arc::new(MultiBufferMd5::start()),
            failures_in_a_row: AtomicU32::new(0),
            meter,
            interrupt,
        }))
    }

    /// Whether the source answers, shared by all of its users.
    pub fn reach(&self) -> Arc<OutageTracker> {
        Arc::clone(&self.0.reach)
    }

    /// From now on only objects are copied that failed before.
    pub fn turn_late(&self) {
        self.0.late.store(true, Relaxed);
    }

    /// Copies a unit and publishes what arrived whole. Objects that can't be read become refusals, and those that the
    /// target rejects are reported. If the provider stays unreachable, what arrived is published, and the outcome
    /// says so. An error means that nothing of the unit is recorded, and that nothing writes into its staging any more.
    pub async fn copy(&self, unit: ObjectUnit) -> Result<UnitOutcome, TransferError> {
        let shared = Arc::clone(&self.0);
        let id = unit.id.clone();
        let sink: Arc<dyn UnitSink> = spawn_blocking(move || shared.sink.begin(&id)).await??.into();
        let (alive, mut ended) = mpsc::channel::<Infallible>(1);
        let mut tasks = JoinSet::new();
        let staging = Staging { sink: Arc::clone(&sink), _alive: alive };
        let arrived = tokio::select! {
            biased;
            () = self.0.interrupt.wait() => Err(TransferError::Interrupted),
            arrived = self.stage_all(unit, staging, &mut tasks) => arrived,
        };
        tasks.shutdown().await;
        // The threads that still hold a part of the staging release it.
        ended.recv().await;
        // Not to be interrupted: what is published must be recorded.
        let Arrivals { receipts, refusals, counted, ended } = arrived?;
        let (mut outcome, not_put) = publish(sink, receipts, refusals).await?;
        outcome.ended = ended.or(outcome.ended);
        not_put.into_iter().for_each(|bytes| counted.give_back(bytes));
        outcome.unrestored.iter().for_each(|object| counted.give_back(object.receipt.size));
        counted.keep();
        Ok(outcome)
    }

    async fn stage_all(
        &self,
        unit: ObjectUnit,
        staging: Staging,
        tasks: &mut JoinSet<Staged>,
    ) -> Result<Arrivals, TransferError> {
        let mut arrived = Arrivals::counted_by(&self.0.meter);
        for (index, object) in largest_first(unit.objects) {
            // Always in this order, so that no waiter for bytes blocks the holders of some.
            let share = match object.entry.size {
                plain @ ..=PLAIN_BYTES_MAX => Some(self.0.budget.take(in_memory(plain)).await),
                _ => None,
            };
            let permit = self.0.limiter.acquire().await;
            let shared = Arc::clone(&self.0);
            let staging = staging.clone();
            tasks.spawn(async move {
                let job = Incoming { staging, index, object };
                let result = shared.stage(&job, permit).await;
                drop(share);
                (index, job.object, result)
            });
            while let Some(done) = tasks.try_join_next() {
                self.0.sort(done?, &mut arrived)?;
            }
            if arrived.ended.is_some() {
                return Ok(arrived);
            }
        }
        while let Some(done) = tasks.join_next().await {
            self.0.sort(done?, &mut arrived)?;
            if arrived.ended.is_some() {
                break;
            }
        }
        Ok(arrived)
    }
}

impl UnitWorker for ObjectCopier {
    fn work<'a>(&'a self, spec: UnitSpec) -> BoxFuture<'a, Result<UnitReceipt, TransferError>> {
        let names = spec.clone_names();
        async move { Ok(names.receipt(UnitDone::Objects(self.copy(spec.into_objects()?).await?))) }.boxed()
    }
}

impl Shared {
    /// Files the result of one object: restored, refused, or the end of the unit.
    fn sort(&self, done: Staged, arrived: &mut Arrivals) -> Result<(), TransferError> {
        let (index, object, result) = done;
        match result {
            Ok(Copied { observed, properties, counted }) => {
                self.failures_in_a_row.store(0, Relaxed);
                arrived.counted.take_over(&counted);
                let receipt = receipt(object, observed).with_properties(properties, self.sink.carries());
                arrived.receipts.push((index, receipt));
            }
            Err(away @ TransferError::Away(_)) => arrived.ended = Some(away),
            Err(TransferError::Source(error)) if self.is_one_too_many(&error) => {
                arrived.ended = Some(TransferError::Away(error));
            }
            Err(TransferError::Source(error)) => arrived.refusals.push(Refusal { object, error }),
            Err(fatal) => return Err(fatal),
        }
        Ok(())
    }

    fn attempts(&self) -> Attempts {
        if self.late.load(Relaxed) { Attempts::late() } else { Attempts::default() }
    }

    /// Whether enough consecutive objects failed that only failures are to be expected.
    fn is_one_too_many(&self, error: &SourceError) -> bool {
        error.is_passing() && self.failures_in_a_row.fetch_add(1, Relaxed) + 1 >= FAILURES_IN_A_ROW_MAX
    }

    /// Copies one object into the staging; bytes that contradict the provider's checksum are read again.
    async fn stage(self: &Arc<Self>, job: &Incoming, permit: Permit) -> Result<Copied, TransferError> {
        let mut attempts = self.attempts();
        let mut permit = Some(permit);
        loop {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => self.limiter.acquire().await,
            };
            let mut counted = Arc::new(Counted::new(&self.meter));
            let mut staged = if job.object.entry.size <= PLAIN_BYTES_MAX {
                self.stage_whole(job, permit, &counted, &mut attempts).await
            } else {
                self.stage_ranges(job, permit, &counted).await
            };
            if let Err(TransferError::Source(SourceError::Unranged { .. })) = staged {
                counted = Arc::new(Counted::new(&self.meter));
                staged = self.stage_stream(job, &counted, &mut attempts).await;
            }
            match staged {
                Err(TransferError::Source(error @ SourceError::Corrupt { .. })) => {
                    attempts.again(self.source.as_ref(), &self.reach, error).await?;
                }
                done => return done.map(|(observed, properties)| Copied { observed, properties, counted }),
            }
        }
    }

    async fn stage_whole(
        &self,
        job: &Incoming,
        permit: Permit,
        counted: &Counted,
        attempts: &mut Attempts,
    ) -> Result<ReadObject, TransferError> {
        let fetched = self.fetcher(&job.object.entry, counted).fetch(ObjectSection::Whole, attempts).await?;
        drop(permit);
        let job = job.clone();
        let md5 = (job.object.entry.size >= SHARED_MD5_BYTES_MIN).then(|| Arc::clone(&self.md5));
        self.workers
            .run(move || {
                let mut digest = StreamDigest::new(fetched.checksum, md5.as_ref());
                fetched.pieces.iter().for_each(|piece| digest.update(piece));
                let observed = digest.finish().ok_or_else(TransferError::of_thread)?;
                let observed = accept(&job.object.entry, observed)?;
                let mut pending = job.create(&fetched.properties)?;
                fetched.pieces.iter().try_for_each(|piece| pending.write(piece))?;
                pending.finish()?;
                Ok((observed, fetched.properties))
            })
            .await?
    }

    /// Reads ranges in parallel, each with attempts of its own, and passes them on in order.
    async fn stage_ranges(
        self: &Arc<Self>,
        job: &Incoming,
        permit: Permit,
        counted: &Arc<Counted>,
    ) -> Result<ReadObject, TransferError> {
        let entry = &job.object.entry;
        let described =
            with_retries(self.source.as_ref(), &self.reach, || async { Ok(self.source.describe(entry).await?) });
        let Described { checksum, properties, pin } = described.await?;
        drop(permit);
        let entry = &entry.pinned(pin);
        let mut stream = Stream::start(job.clone(), properties.clone(), checksum, Arc::clone(&self.md5));
        if let Err(error) = self.push_ranges(entry, counted, &mut stream).await {
            stream.abandon().await;
            return Err(error);
        }
        Ok((accept(entry, stream.finish().await?)?, properties))
    }

    async fn push_ranges(
        self: &Arc<Self>,
        entry: &ObjectEntry,
        counted: &Arc<Counted>,
        stream: &mut Stream,
    ) -> Result<(), TransferError> {
        let mut waiting = ranges(entry.size, RANGE_BYTES);
        let mut window = OrderedWindow::new();
        let mut seam = Seam::default();
        loop {
            while window.len() < self.limiter.limit() {
                // Nothing that waits for a share holds one.
                let share = match self.budget.try_take(in_memory(RANGE_BYTES)) {
                    Some(share) => share,
                    None if window.is_empty() => self.budget.take(in_memory(RANGE_BYTES)).await,
                    None => break,
                };
                let Some(range) = waiting.next() else { break };
                let (range, extra) = with_seam(range, entry.size);
                let shared = Arc::clone(self);
                let entry = entry.clone();
                let counted = Arc::clone(counted);
                window.push(async move {
                    let _permit = shared.limiter.acquire().await;
                    let fetcher = shared.fetcher(&entry, &counted);
                    let fetched = fetcher.fetch(ObjectSection::Range(range), &mut shared.attempts()).await?;
                    counted.take_back(extra);
                    Ok::<_, TransferError>((Chunk { pieces: fetched.pieces, _share: share }, extra))
                });
            }
            let Some(chunk) = window.next().await else { return Ok(()) };
            let (mut chunk, extra) = chunk??;
            if !seam.fits(&mut chunk.pieces, extra) {
                let reason = "the server's ranges do not fit together".to_owned();
                return Err(SourceError::Unranged { what: entry.key.clone(), reason }.into());
            }
            stream.push(chunk).await?;
        }
    }

    /// Reads an object as one body, for a server without range support: a broken body starts anew.
    async fn stage_stream(
        &self,
        job: &Incoming,
        counted: &Counted,
        attempts: &mut Attempts,
    ) -> Result<ReadObject, TransferError> {
        loop {
            // Bytes before the permit, as everywhere: whoever has a permit never waits for a share of the budget.
            let _share = self.budget.take(in_memory(RANGE_BYTES)).await;
            let _permit = self.limiter.acquire().await;
            let fetcher = self.fetcher(&job.object.entry, counted);
            let mut taken = 0;
            match self.stream_once(job, &fetcher, &mut taken).await {
                Err(TransferError::Source(error)) => {
                    counted.take_back(taken);
                    fetcher.again(error, attempts).await?;
                }
                done => return done,
            }
        }
    }

    async fn stream_once(
        &self,
        job: &Incoming,
        fetcher: &Fetcher<'_>,
        taken: &mut u64,
    ) -> Result<ReadObject, TransferError> {
        let entry = &job.object.entry;
        let mut body = fetcher.open(entry, None).await?;
        let properties = std::mem::take(&mut body.properties);
        let mut stream = Stream::start(job.clone(), properties.clone(), body.checksum.clone(), Arc::clone(&self.md5));
        if let Err(error) = self.push_body(entry, fetcher, &mut body, &mut stream, taken).await {
            stream.abandon().await;
            return Err(error);
        }
        Ok((accept(entry, stream.finish().await?)?, properties))
    }

    async fn push_body(
        &self,
        entry: &ObjectEntry,
        fetcher: &Fetcher<'_>,
        body: &mut ObjectBody,
        stream: &mut Stream,
        taken: &mut u64,
    ) -> Result<(), TransferError> {
        let mut rest = Bytes::new();
        let own = Budget::new(RANGE_BYTES);
        loop {
            let wanted = STREAM_BYTES.min(entry.size - *taken);
            let share = own.take(wanted).await;
            // At the end one byte more is requested than there should be.
            let pieces = fetcher.take(body, &mut rest, wanted.max(1)).await?;
            let came = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            if came < wanted || wanted == 0 && came > 0 {
                return Err(wrong_length(entry, *taken + came, entry.size).into());
            }
            if wanted == 0 {
                return Ok(());
            }
            fetcher.counted.add(came);
            *taken += came;
            stream.push(Chunk { pieces, _share: share }).await?;
        }
    }

    fn fetcher<'a>(&'a self, entry: &'a ObjectEntry, counted: &'a Counted) -> Fetcher<'a> {
        let (source, limiter, timeouts, reach) =
            (self.source.as_ref(), self.limiter.as_ref(), &self.timeouts, self.reach.as_ref());
        Fetcher { source, entry, limiter, timeouts, reach, counted }
    }
}

/// What was read of an object, and its properties at the provider.
type ReadObject = (Observed, Properties);

/// An object in the staging area.
struct Copied {
    observed: Observed,
    properties: Properties,
    counted: Arc<Counted>,
}

type Staged = (usize, PlacedObject, Result<Copied, TransferError>);

/// The results of a unit so far. They count when the unit is published.
struct Arrivals {
    receipts: Vec<(usize, ObjectReceipt)>,
    refusals: Vec<Refusal>,
    counted: Counted,
    /// Why the unit ends early.
    ended: Option<TransferError>,
}

impl Arrivals {
    fn counted_by(meter: &Arc<Meter>) -> Self {
        Arrivals { receipts: Vec::new(), refusals: Vec::new(), counted: Counted::new(meter), ended: None }
    }
}

/// Objects that are read in ranges come first, so that none of them starts when all else is done.
fn largest_first(objects: Vec<PlacedObject>) -> impl Iterator<Item = (usize, PlacedObject)> {
    let is_large = |object: &PlacedObject| object.entry.size > PLAIN_BYTES_MAX;
    let (large, small): (Vec<_>, Vec<_>) = objects.into_iter().enumerate().partition(|(_, object)| is_large(object));
    large.into_iter().chain(small)
}

/// What bytes in flight are charged with: an eighth more, for spare capacity of buffers and what the allocator does not return.
const fn in_memory(bytes: u64) -> u64 {
    bytes + bytes / 8
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
        return Err(wrong_length(entry, observed.size, entry.size).into());
    }
    match observed.confirmation {
        Confirmation::Contradicted(kind) => Err(SourceError::Corrupt { what: entry.key.clone(), kind }.into()),
        _ => Ok(observed),
    }
}

fn receipt(object: PlacedObject, observed: Observed) -> ObjectReceipt {
    let PlacedObject { entry, place } = object;
    ObjectReceipt::new(entry, place, observed.size, observed.sha256, observed.confirmation)
}

/// The outcome, and the bytes of each object that an unreachable target did not accept.
async fn publish(
    staging: Arc<dyn UnitSink>,
    mut receipts: Vec<(usize, ObjectReceipt)>,
    refusals: Vec<Refusal>,
) -> Result<(UnitOutcome, Vec<u64>), TransferError> {
    spawn_blocking(move || {
        let mut not_put = Vec::new();
        let mut refused: HashMap<_, _> = staging.commit(&mut receipts)?.into_iter().collect();
        let mut outcome = UnitOutcome { refusals, ..UnitOutcome::default() };
        for (index, receipt) in receipts {
            match refused.remove(&index) {
                Some(error @ (SinkError::Refused { .. } | SinkError::Failed { .. })) => {
                    outcome.unrestored.push(Unrestored { receipt, error })
                }
                // The target is unreachable: what is missing there is copied when the run is resumed.
                Some(error) => {
                    outcome.ended = Some(error.into());
                    not_put.push(receipt.size);
                }
                None => outcome.receipts.push(receipt),
            }
        }
        outcome.receipts.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        Ok((outcome, not_put))
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
