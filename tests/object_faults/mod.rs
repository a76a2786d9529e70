//! The copier between a provider that misbehaves and a tree of files: what is tried again, what is refused, what is
//! given up, and that nothing wrong is ever published.
//!
//! Faults are added by wrapping the source: a script says for each opening what becomes of the body. [`wire`] has the
//! same on the wire, for the real binary. The pauses between attempts are the real ones, so some of these tests take a
//! few seconds.

mod beside;
mod outages;
mod provider;
mod puts;
mod refused;
mod room;
mod targets;
mod timeouts;
mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    future::pending,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::runtime::Runtime;
use walkaway::{
    domain::digest::Sha256Digest,
    interrupt::Interrupt,
    restore::tree::Tree,
    transfer::{
        error::{SinkError, SourceError, TransferError},
        meter::Meter,
        object::{ByteRange, Described, ListPage, ObjectBody, ObjectEntry, ObjectSink, ObjectSource, UnitOutcome},
        objects::{Budget, Ends, OBJECTS_IN_FLIGHT, ObjectCopier, RANGE_BYTES, Timeouts},
        receipt::{ChecksumKind, Confirmation},
        retry::ATTEMPTS_MAX,
        unit::{ObjectUnit, PlacedObject, UnitId},
    },
};

use crate::support::{
    TempDir, block_on,
    memory::{self, MemorySink, MemorySource},
};
use targets::{At, FailingSink, SlowCommit};

/// errno(3): ENOSPC and EIO.
const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;
/// Collected, and written by one thread at the end.
const SMALL: usize = 30_000;
/// The same, in many pieces.
const MEDIUM: usize = 3 << 20;
/// Read in ranges; the last one is a short one.
const LARGE: usize = (40 << 20) + 12_345;

// ---------------------------------------------------------------------------------------------------------------------
// What is tried again

#[test]
fn a_transient_failure_is_tried_again() {
    let drill = Drill::new(&[("large", LARGE), ("medium", MEDIUM), ("small", SMALL)], |open| match open.attempt {
        1 => Fault::Refused(transient()),
        _ => Fault::None,
    });
    drill.everything_arrives();
}

#[test]
fn a_body_that_ends_early_is_tried_again() {
    let drill = Drill::new(&[("large", LARGE), ("medium", MEDIUM), ("small", SMALL)], |open| match open.attempt {
        1 => Fault::Ends { after: 12_345 },
        _ => Fault::None,
    });
    drill.everything_arrives();
}

#[test]
fn a_body_that_breaks_off_is_tried_again() {
    let drill = Drill::new(&[("large", LARGE), ("medium", MEDIUM), ("small", SMALL)], |open| match open.attempt {
        1 => Fault::Breaks { after: 12_345 },
        _ => Fault::None,
    });
    drill.everything_arrives();
}

#[test]
fn wrong_bytes_are_read_again() {
    let drill = Drill::new(&[("medium", MEDIUM), ("small", SMALL)], |open| match open.attempt {
        1 => Fault::Flips { at: 29_999 },
        _ => Fault::None,
    });
    drill.everything_arrives();
}

#[test]
fn ranges_that_fail_at_random_make_a_whole_object() {
    let drill = Drill::new(&[("large", LARGE)], |open| match (open.dice % 10, open.attempt) {
        (_, ATTEMPTS_MAX..) => Fault::None,
        (0, _) => Fault::Refused(transient()),
        (1, _) => Fault::Ends { after: open.dice as usize % (4 << 20) },
        (2, _) => Fault::Breaks { after: open.dice as usize % (4 << 20) },
        _ => Fault::None,
    });
    drill.everything_arrives();
}

// ---------------------------------------------------------------------------------------------------------------------
// What is refused

#[test]
fn wrong_bytes_of_the_right_length_are_refused() {
    let objects = [("medium", MEDIUM), ("ok", SMALL), ("small", SMALL)];
    let drill = Drill::new(&objects, |open| if open.key == "ok" { Fault::None } else { Fault::Flips { at: 777 } });
    let outcome = drill.copy().unwrap();
    for key in ["medium", "small"] {
        let refusal = outcome.refusals.iter().find(|refusal| refusal.object.entry.key == key).unwrap();
        let kind = ChecksumKind::Md5Etag;
        assert!(matches!(&refusal.error, SourceError::Corrupt { kind: found, .. } if *found == kind), "{refusal:?}");
        assert_eq!(drill.source.opened(key), u64::from(ATTEMPTS_MAX));
    }
    drill.published_are(&["ok"]);
    assert_eq!(drill.meter.read().bytes, SMALL as u64);
}

#[test]
fn what_always_fails_is_refused_and_the_others_are_published() {
    let keys: Vec<_> = (0..20).map(|number| format!("k{number:02}")).collect();
    let objects: Vec<_> = keys.iter().map(|key| (key.as_str(), SMALL)).collect();
    let drill = Drill::new(&objects, |open| match open.key {
        "k03" => Fault::Refused(SourceError::Denied { what: "k03".to_owned(), reason: "policy".to_owned() }),
        "k07" => Fault::Refused(transient()),
        "k11" => Fault::Breaks { after: 1 },
        _ => Fault::None,
    });
    let outcome = drill.copy().unwrap();
    let mut refused: Vec<_> = outcome.refusals.iter().map(|refusal| refusal.object.entry.key.as_str()).collect();
    refused.sort_unstable();
    assert_eq!(refused, ["k03", "k07", "k11"]);
    assert_eq!(["k03", "k07", "k11"].map(|key| drill.source.opened(key)), [1, 5, 5]);
    let others: Vec<_> = keys.iter().map(String::as_str).filter(|key| !refused.contains(key)).collect();
    drill.published_are(&others);
}

#[test]
fn a_body_without_a_checksum_counts_by_its_length() {
    let drill = Drill::new(&[("k", SMALL)], |_| Fault::Wordless);
    let outcome = drill.copy().unwrap();
    assert!(matches!(outcome.receipts[0].provider_checksum, Confirmation::Unavailable(_)));
    drill.published_are(&["k"]);
}

/// A provider that never ends a body must not fill the disk.
#[test]
fn a_body_that_is_longer_than_listed_is_not_read_to_its_end() {
    for size in [SMALL, MEDIUM, LARGE] {
        let drill = Drill::new(&[("k", size)], |_| Fault::Longer { by: 64 << 20 });
        let outcome = drill.copy().unwrap();
        assert_eq!(outcome.refusals.len(), 1);
        let read = drill.source.longest_read.load(SeqCst);
        assert!(read < size as u64 + (16 << 20), "{read} bytes of {size} were read in one attempt");
        drill.published_are(&[]);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is given up

/// Objects that fail while the provider answers are refused one by one, however many there are in a row.
#[test]
fn many_that_fail_in_a_row_do_not_cost_the_others() {
    let keys: Vec<_> = (0..300).map(|number| format!("k{number:03}")).collect();
    let objects: Vec<_> = keys.iter().map(|key| (key.as_str(), SMALL)).collect();
    let drill = Drill::new(&objects, |open| match open.key {
        "k000" | "k001" => Fault::None,
        _ => Fault::Refused(transient()),
    });
    let outcome = drill.copy().unwrap();
    assert_eq!((outcome.receipts.len(), outcome.refusals.len()), (2, 298));
    assert!(outcome.ended.is_none(), "{:?}", outcome.ended);
    drill.published_are(&["k000", "k001"]);
    drill.nothing_is_staged();
}

/// A provider that does not answer at all ends the unit after a while, and what came before is published.
#[test]
fn an_outage_ends_the_unit_and_what_came_is_published() {
    let keys: Vec<_> = (0..300).map(|number| format!("k{number:03}")).collect();
    let objects: Vec<_> = keys.iter().map(|key| (key.as_str(), SMALL)).collect();
    let mut drill = Drill::new(&objects, |open| match open.key {
        "k000" | "k001" => Fault::None,
        _ => Fault::Refused(unreached()),
    });
    drill.timeouts = Timeouts { away: Duration::from_millis(500), ..Timeouts::default() };
    drill.source.away.store(u64::MAX, SeqCst);
    let outcome = drill.copy().unwrap();
    let ended = outcome.ended.as_ref();
    assert!(matches!(ended, Some(TransferError::Away(SourceError::Unreached { .. }))), "{ended:?}");
    assert_eq!(outcome.refusals.len(), 0, "an outage says nothing about objects");
    let opened: u64 = keys.iter().map(|key| drill.source.opened(key)).sum();
    let bound = 2 * OBJECTS_IN_FLIGHT as u64 + 2;
    assert!(opened <= bound, "{opened} attempts before giving up, more than {bound}");
    drill.published_are(&["k000", "k001"]);
    drill.nothing_is_staged();
}

/// An outage that ends in time costs nothing, however many attempts fell into it.
#[test]
fn an_outage_is_waited_for() {
    let mut drill = Drill::new(&[("medium", MEDIUM), ("small", SMALL)], |open| match open.attempt {
        1..=6 => Fault::Refused(unreached()),
        _ => Fault::None,
    });
    drill.timeouts = Timeouts { away: Duration::from_secs(1), ..Timeouts::default() };
    drill.source.away.store(1, SeqCst);
    drill.source.each_outage.store(true, SeqCst);
    drill.everything_arrives();
}

/// A server without ranges is read as a whole; what breaks off begins anew.
#[test]
fn a_server_without_ranges_serves_whole_objects() {
    let drill = Drill::new(&[("large", LARGE), ("small", SMALL)], |open| match (open.attempt, open.ranged) {
        (_, true) => Fault::Refused(SourceError::Unranged { what: "k".into(), reason: "scripted".into() }),
        (1..=3, false) => Fault::Breaks { after: 12_345 },
        _ => Fault::None,
    });
    drill.everything_arrives();
}

#[test]
fn a_sink_that_fails_ends_the_unit() {
    let drill = Drill::new(&[("a", SMALL), ("b", MEDIUM), ("c", LARGE)], |_| Fault::None);
    let places = [At::Begin, At::Create, At::Write, At::Finish, At::Commit];
    for (at, errno) in places.into_iter().flat_map(|at| [(at, NO_SPACE), (at, IO_ERROR)]) {
        let sink = FailingSink { inner: MemorySink::default(), at, errno };
        let published = sink.inner.clone();
        let error = run(&drill.copier(Arc::new(sink), &Interrupt::default()), drill.unit()).unwrap_err();
        let expected = |error: &io::Error| error.raw_os_error() == Some(errno);
        assert!(
            matches!(&error, TransferError::Sink(SinkError::Write { source, .. }) if expected(source)),
            "{error:?}"
        );
        assert!(published.published().is_empty());
        if at != At::Commit {
            assert_eq!((at, drill.meter.read().bytes), (at, 0));
        }
    }
}

#[test]
fn an_interrupt_ends_the_unit_and_leaves_no_staging() {
    for hanging in ["large", "medium", "small"] {
        let drill = Drill::new(&[("large", LARGE), ("medium", MEDIUM), ("small", SMALL)], move |open| {
            if open.key == hanging { Fault::Hangs { after: 20_000 } } else { Fault::None }
        });
        let interrupt = Interrupt::default();
        let copier = drill.copier(drill.tree.clone(), &interrupt);
        let unit = drill.unit();
        let copying = thread::spawn(move || run(&copier, unit));
        drill.source.wait_until_hung();
        interrupt.ask();
        let error = copying.join().unwrap().unwrap_err();
        assert!(matches!(error, TransferError::Interrupted), "{error:?}");
        drill.published_are(&[]);
        drop(Tree::open(drill.root()).unwrap());
        drill.nothing_is_staged();
        assert_eq!((drill.meter.read().items, drill.meter.read().bytes), (0, 0));
    }
}

/// An error of the copier means that nothing of the unit is published: a journal that is closed by then would not know
/// of it.
#[test]
fn an_interrupt_during_the_commit_publishes_nothing_behind_the_callers_back() {
    let drill = Drill::new(&[("k", SMALL)], |_| Fault::None);
    let (begun, begins) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let sink = SlowCommit { inner: MemorySink::default(), begun, goes_on: Arc::new(Mutex::new(goes_on)) };
    let target = sink.inner.clone();
    let interrupt = Interrupt::default();
    let copier = drill.copier(Arc::new(sink), &interrupt);
    let unit = drill.unit();
    let copying = thread::spawn(move || block_on(copier.copy(unit)));
    begins.recv().unwrap();
    interrupt.ask();
    // It may wait for the commit, or give the unit up; but then the commit has to come to nothing.
    thread::sleep(Duration::from_millis(300));
    go_on.send(()).unwrap();
    let result = copying.join().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(result.is_ok(), !target.published().is_empty(), "{result:?}, published {:?}", target.published().keys());
}

// ---------------------------------------------------------------------------------------------------------------------
// The drill

/// Objects in memory, a provider that misbehaves as scripted, and a tree to restore into.
struct Drill {
    directory: TempDir,
    bodies: BTreeMap<String, Bytes>,
    source: Arc<Faulty>,
    tree: Arc<Tree>,
    meter: Arc<Meter>,
    budget: Budget,
    timeouts: Timeouts,
}

impl Drill {
    fn new(objects: &[(&str, usize)], script: impl Fn(&Opening<'_>) -> Fault + Send + Sync + 'static) -> Self {
        let directory = TempDir::new();
        let tree = Arc::new(Tree::open(directory.join("asset")).unwrap());
        let bodies: BTreeMap<_, _> =
            objects.iter().map(|(key, size)| ((*key).to_owned(), sample(key, *size))).collect();
        let inner = MemorySource::new(1_000);
        bodies.iter().for_each(|(key, bytes)| inner.put(key, bytes.clone()));
        let budget = Budget::default();
        let timeouts = Timeouts::default();
        let source = Arc::new(Faulty::new(inner, script));
        Drill { directory, bodies, source, tree, meter: Arc::default(), budget, timeouts }
    }

    fn root(&self) -> PathBuf {
        self.directory.join("asset")
    }

    fn unit(&self) -> ObjectUnit {
        let entries = block_on(self.source.list(None)).unwrap().entries;
        let placed = entries.into_iter().map(|entry| PlacedObject { place: self.tree.place(&entry), entry });
        ObjectUnit { id: UnitId::numbered(1), objects: placed.collect() }
    }

    fn copier(&self, sink: Arc<dyn ObjectSink>, interrupt: &Interrupt) -> ObjectCopier {
        let source = self.source.clone();
        let budget = self.budget.clone();
        let timeouts = self.timeouts;
        ObjectCopier::between(Ends { source, sink, budget, timeouts }, Arc::clone(&self.meter), interrupt.clone())
    }

    /// Copies everything into the tree.
    fn copy(&self) -> Result<UnitOutcome, TransferError> {
        run(&self.copier(self.tree.clone(), &Interrupt::default()), self.unit())
    }

    fn everything_arrives(&self) {
        let outcome = self.copy().unwrap();
        assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
        assert_eq!(outcome.receipts.len(), self.bodies.len());
        for receipt in &outcome.receipts {
            let body = &self.bodies[&receipt.key];
            assert_eq!((receipt.size, receipt.sha256), (body.len() as u64, Sha256Digest::of(body)));
            assert_eq!(receipt.provider_checksum, Confirmation::Confirmed(ChecksumKind::Md5Etag));
        }
        self.published_are(&self.bodies.keys().map(String::as_str).collect::<Vec<_>>());
        self.nothing_is_staged();
        let read = self.meter.read();
        let bytes = self.bodies.values().map(Bytes::len).sum::<usize>() as u64;
        assert_eq!((read.items, read.bytes), (self.bodies.len() as u64, bytes));
    }

    /// Under their final names lie these objects with their bytes, and nothing else.
    fn published_are(&self, keys: &[&str]) {
        let mut found: Vec<_> = names(&self.root().join("tree"));
        found.sort();
        let mut expected: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected);
        for key in keys {
            let bytes = fs::read(self.root().join("tree").join(key)).unwrap();
            assert!(bytes == self.bodies[*key], "the restored bytes of {key} are wrong");
        }
    }

    fn nothing_is_staged(&self) {
        assert_eq!(names(&self.root().join(".staging")), Vec::<String>::new());
    }
}

/// Runs the copier as a process would: when this returns, every thread of it has ended.
fn run(copier: &ObjectCopier, unit: ObjectUnit) -> Result<UnitOutcome, TransferError> {
    Runtime::new().unwrap().block_on(copier.copy(unit))
}

/// The names in a directory; none if it isn't there.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Bytes that differ from key to key and from place to place.
fn sample(key: &str, size: usize) -> Bytes {
    let seed = key.bytes().map(usize::from).sum::<usize>();
    (0..size).map(|at| (at * at / 251 + at + seed) as u8).collect::<Vec<_>>().into()
}

fn unreached() -> SourceError {
    SourceError::Unreached { what: "scripted".to_owned(), reason: "connection refused".to_owned() }
}

fn transient() -> SourceError {
    SourceError::Transient { what: "scripted".to_owned(), reason: "503".to_owned() }
}

// ---------------------------------------------------------------------------------------------------------------------
// A provider that misbehaves

/// What becomes of one opening.
enum Fault {
    None,
    /// There is no body, but this error.
    Refused(SourceError),
    /// The body ends early, and nothing says so.
    Ends {
        after: usize,
    },
    /// The body ends early with an error.
    Breaks {
        after: usize,
    },
    /// One byte is wrong.
    Flips {
        at: usize,
    },
    /// More bytes than were listed.
    Longer {
        by: usize,
    },
    /// Nothing comes any more.
    Hangs {
        after: usize,
    },
    /// Byte by byte, with pauses.
    Trickles,
    /// The provider has no checksum.
    Wordless,
}

/// One opening of an object or a range.
struct Opening<'a> {
    key: &'a str,
    /// How often this object, or its range in which the opening begins, has been opened, this time included.
    attempt: u32,
    /// Not the whole object is asked for.
    ranged: bool,
    /// A number that looks random and is the same in every run.
    dice: u64,
}

struct Faulty {
    inner: MemorySource,
    script: Box<dyn Fn(&Opening<'_>) -> Fault + Send + Sync>,
    opened: Mutex<HashMap<(String, u64), u32>>,
    longest_read: Arc<AtomicU64>,
    /// So many questions whether the provider is there are not answered.
    away: AtomicU64,
    /// After each of them that is answered, the next is not.
    each_outage: AtomicBool,
    hung: (mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>),
}

impl Faulty {
    fn new(inner: MemorySource, script: impl Fn(&Opening<'_>) -> Fault + Send + Sync + 'static) -> Self {
        let (hangs, hung) = mpsc::channel();
        let hung = (hangs, Mutex::new(hung));
        let (opened, longest_read, away) = Default::default();
        let each_outage = AtomicBool::new(false);
        Faulty { inner, script: Box::new(script), opened, longest_read, away, each_outage, hung }
    }

    /// How often an object was opened, all its ranges taken together.
    fn opened(&self, key: &str) -> u64 {
        let opened = self.opened.lock().unwrap();
        opened.iter().filter(|((opened, _), _)| opened == key).map(|(_, times)| u64::from(*times)).sum()
    }

    fn wait_until_hung(&self) {
        self.hung.1.lock().unwrap().recv().unwrap();
    }

    fn fault(&self, key: &str, number: u64, ranged: bool) -> Fault {
        let attempt = {
            let mut opened = self.opened.lock().unwrap();
            let times = opened.entry((key.to_owned(), number)).or_default();
            *times += 1;
            *times
        };
        let mut hasher = DefaultHasher::new();
        (key, number, attempt).hash(&mut hasher);
        (self.script)(&Opening { key, attempt, ranged, dice: hasher.finish() })
    }

    async fn damaged(&self, mut body: ObjectBody, fault: Fault) -> Result<ObjectBody, SourceError> {
        let mut bytes = Vec::new();
        while let Some(piece) = body.pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        let mut end = None;
        match fault {
            Fault::None => {}
            Fault::Refused(error) => return Err(error),
            Fault::Ends { after } => bytes.truncate(after.min(bytes.len() - 1)),
            Fault::Breaks { after } => {
                bytes.truncate(after.min(bytes.len() - 1));
                end = Some(stream::once(async { Err(transient()) }).boxed());
            }
            Fault::Flips { at } => bytes[at] ^= 1,
            Fault::Longer { by } => bytes.resize(bytes.len() + by, 0),
            Fault::Hangs { after } => {
                bytes.truncate(after);
                let hangs = self.hung.0.clone();
                end = Some(stream::once(async move { hang(&hangs).await }).boxed());
            }
            Fault::Trickles => {
                let bytes = bytes.split_off(bytes.len() - 1_000);
                end = Some(stream::iter(bytes).then(trickle).boxed());
            }
            Fault::Wordless => body.checksum = Err("scripted".to_owned()),
        }
        let pieces = memory::pieces(bytes.into()).chain(end.unwrap_or_else(|| stream::empty().boxed()));
        Ok(ObjectBody { pieces: self.watched(pieces.boxed()), ..body })
    }

    /// Notes how many bytes are taken from a body.
    fn watched(&self, pieces: Pieces) -> Pieces {
        let longest = Arc::clone(&self.longest_read);
        let mut read = 0;
        let watched = pieces.inspect(move |piece| {
            read += piece.as_ref().map_or(0, Bytes::len) as u64;
            longest.fetch_max(read, SeqCst);
        });
        watched.boxed()
    }
}

type Pieces = BoxStream<'static, Result<Bytes, SourceError>>;

async fn trickle(byte: u8) -> Result<Bytes, SourceError> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(Bytes::from(vec![byte]))
}

async fn hang(hangs: &mpsc::Sender<()>) -> Result<Bytes, SourceError> {
    let _ = hangs.send(());
    pending().await
}

impl ObjectSource for Faulty {
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        async {
            match self.away.load(SeqCst) {
                0 if self.each_outage.load(SeqCst) => {
                    self.away.store(1, SeqCst);
                    Ok(())
                }
                0 => Ok(()),
                left => {
                    self.away.store(left - 1, SeqCst);
                    Err(unreached())
                }
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        self.inner.list(from)
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        async move {
            let fault = self.fault(&entry.key, range.map_or(0, |range| range.first / RANGE_BYTES), range.is_some());
            let body = self.inner.open(entry, range).await?;
            self.damaged(body, fault).await
        }
        .boxed()
    }

    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
        self.inner.find(entry)
    }

    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
        self.inner.describe(entry)
    }
}
