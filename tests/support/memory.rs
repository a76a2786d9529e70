//! A provider and a target in memory: the plainest implementations of the traits of `transfer::object`.
//!
//! What they do is what the contract suites ask of every implementation, and tests of the copier use them where servers
//! and disks would only be in the way. Limits: nothing is synced, and a listing is not a snapshot.
#![allow(dead_code, reason = "every test file that includes this module uses a part of it")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use md5::{Digest as _, Md5};
use walkaway::transfer::{
    error::{SinkError, SourceError},
    object::{
        Arriving, ByteRange, Described, ListPage, ObjectBody, ObjectEntry, ObjectSink, ObjectSource, Parts,
        PendingObject, Pin, ProviderChecksum, Refused, StatedChecksums, UnitSink,
    },
    properties::Properties,
    receipt::{ChecksumKind, ObjectReceipt},
    unit::UnitId,
};

/// Bytes of one piece of a body.
pub const PIECE_BYTES: usize = 10_000;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// ---------------------------------------------------------------------------------------------------------------------
// The provider

/// Objects by their keys; the entity tag is the MD5.
pub struct MemorySource {
    objects: Mutex<BTreeMap<String, Object>>,
    page_entries: usize,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    md5: Vec<u8>,
}

impl Object {
    fn entry(&self, key: &str) -> ObjectEntry {
        ObjectEntry {
            key: key.to_owned(),
            size: self.bytes.len() as u64,
            etag: Some(self.etag()),
            last_modified: Some("2026-10-01T00:00:00Z".to_owned()),
            ..ObjectEntry::default()
        }
    }

    fn etag(&self) -> String {
        hex(&self.md5)
    }

    fn checksum(&self) -> StatedChecksums {
        Ok(vec![ProviderChecksum { kind: ChecksumKind::Md5Etag, value: self.md5.clone(), parts: Parts::None }])
    }

    fn slice(&self, range: ByteRange) -> Bytes {
        let end = (range.last as usize + 1).min(self.bytes.len());
        self.bytes.slice((range.first as usize).min(end)..end)
    }
}

impl MemorySource {
    /// An empty bucket whose listing has pages of so many entries.
    pub fn new(page_entries: usize) -> Self {
        MemorySource { objects: Mutex::default(), page_entries }
    }

    /// Puts an object, in place of the one under this key.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let md5 = Md5::digest(&bytes).to_vec();
        locked(&self.objects).insert(key.to_owned(), Object { bytes, md5 });
    }

    /// Removes an object.
    pub fn remove(&self, key: &str) {
        locked(&self.objects).remove(key);
    }

    /// The object, if it is still what was listed.
    fn find(&self, entry: &ObjectEntry) -> Result<Object, SourceError> {
        let found = locked(&self.objects).get(&entry.key).cloned();
        let same = found.filter(|object| entry.etag.as_ref().is_none_or(|etag| *etag == object.etag()));
        same.ok_or_else(|| SourceError::Changed { what: entry.key.clone() })
    }

    fn page(&self, from: Option<&str>) -> ListPage {
        let objects = locked(&self.objects);
        let mut rest = objects.range::<str, _>((from.map_or(Unbounded, Excluded), Unbounded));
        let entries: Vec<_> = rest.by_ref().take(self.page_entries).map(|(key, object)| object.entry(key)).collect();
        let next = rest.next().and(entries.last()).map(|entry| entry.key.clone());
        ListPage { entries, next, ..ListPage::default() }
    }
}

impl ObjectSource for MemorySource {
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        async { Ok(()) }.boxed()
    }

    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        async move { Ok(self.page(from)) }.boxed()
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        async move {
            let object = self.find(entry)?;
            let (bytes, checksum) = match range {
                Some(range) => (object.slice(range), Err("a range".to_owned())),
                None => (object.bytes.clone(), object.checksum()),
            };
            Ok(ObjectBody {
                checksum,
                properties: Properties::default(),
                pin: Pin::default(),
                length: Some(bytes.len() as u64),
                pieces: pieces(bytes),
            })
        }
        .boxed()
    }

    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
        async move { Ok(locked(&self.objects).get(&entry.key).map(|object| object.entry(&entry.key))) }.boxed()
    }

    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
        let described = |object: Object| Described {
            checksum: object.checksum(),
            properties: Properties::default(),
            pin: Pin::default(),
        };
        async move { self.find(entry).map(described) }.boxed()
    }
}

/// A body of these bytes in pieces.
pub fn pieces(bytes: Bytes) -> stream::BoxStream<'static, Result<Bytes, SourceError>> {
    let starts = (0..bytes.len()).step_by(PIECE_BYTES);
    stream::iter(starts.map(move |start| Ok(bytes.slice(start..bytes.len().min(start + PIECE_BYTES))))).boxed()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// The target

/// Takes objects in; what is published can be looked at.
#[derive(Clone, Default)]
pub struct MemorySink {
    published: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl MemorySink {
    /// Everything under its final name.
    pub fn published(&self) -> BTreeMap<String, Vec<u8>> {
        locked(&self.published).clone()
    }
}

impl ObjectSink for MemorySink {
    /// The key in hexadecimal digits, which no two keys share, and the version where another one replaced it.
    fn place(&self, entry: &ObjectEntry) -> String {
        let version = entry.version_id.as_deref().filter(|_| entry.is_superseded()).unwrap_or_default();
        format!("by-key/{}-{}", hex(entry.key.as_bytes()), hex(version.as_bytes()))
    }

    fn occupy(&self, _key: &str, _place: &str) {}

    fn discard_unrecorded(&self, _recorded: &HashSet<u128>) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&self) -> Result<(), SinkError> {
        Ok(())
    }

    fn begin(&self, _unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        Ok(Box::new(MemoryUnit { published: Arc::clone(&self.published), staged: Mutex::default() }))
    }
}

type Staged = Arc<Mutex<Vec<u8>>>;

struct MemoryUnit {
    published: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    staged: Mutex<HashMap<usize, Staged>>,
}

impl UnitSink for MemoryUnit {
    /// A pending object that was opened before goes on writing where nobody looks.
    fn create(&self, index: usize, _: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        let staged = Staged::default();
        locked(&self.staged).insert(index, Arc::clone(&staged));
        Ok(Box::new(MemoryObject(staged)))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        for (index, ObjectReceipt { path, .. }) in published {
            let staged = locked(&self.staged).remove(index);
            let staged = staged.ok_or_else(|| SinkError::write(&*path, io::ErrorKind::NotFound.into()))?;
            locked(&self.published).insert(path.clone(), locked(&staged).clone());
        }
        Ok(Refused::new())
    }
}

struct MemoryObject(Staged);

impl PendingObject for MemoryObject {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        locked(&self.0).extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}
