//! The two ends of an object transfer as traits, and the values that pass between them.
//!
//! A source can list and open; it has no method that writes. A sink stages objects of a unit under temporary names and
//! publishes them together, after one sync.

use std::path::Path;

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};

use super::{
    error::{SinkError, SourceError},
    receipt::{ChecksumKind, ObjectReceipt},
    unit::UnitId,
};

/// One object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// The key, as UTF-8 text.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// Version to read, where the listing names one.
    pub version_id: Option<String>,
    /// RFC 3339.
    pub last_modified: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Entries in the order of the provider.
    pub entries: Vec<ObjectEntry>,
    /// Where the next page begins; none on the last page.
    pub next: Option<String>,
}

/// Bytes `first..=last` of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
}

impl ByteRange {
    /// Number of bytes.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// A checksum that the provider keeps over the whole object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderChecksum {
    /// Which one.
    pub kind: ChecksumKind,
    /// The raw bytes, decoded from base64 or hexadecimal.
    pub value: Vec<u8>,
}

/// The provider's word about an object's content: a checksum to confirm, or why there is none.
pub type ProviderWord = Result<ProviderChecksum, String>;

/// An object that is being read.
pub struct ObjectBody {
    /// The checksum of the whole object, if this read was of the whole object.
    pub word: ProviderWord,
    /// Bytes that the provider announced.
    pub length: Option<u64>,
    /// The pieces of the body; an error ends it.
    pub pieces: BoxStream<'static, Result<Bytes, SourceError>>,
}

/// Reads objects at the provider.
pub trait ObjectSource: Send + Sync {
    /// One page of the listing, from the beginning or from a token of the page before.
    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>>;

    /// Opens an object, whole or a range of it, pinned to the listed version and entity tag.
    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>>;

    /// The checksum the provider keeps over the whole object, for objects that are read in ranges.
    fn word<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<ProviderWord, SourceError>>;
}

/// Takes objects in.
pub trait ObjectSink: Send + Sync {
    /// Chooses where a key will lie, relative to the asset's directory. Called in the order of the listing; no two keys
    /// get the same place, and every place is inside the asset's directory.
    fn place(&self, key: &str) -> String;

    /// Remembers the place that an earlier part of the run gave to a key.
    fn occupy(&self, key: &str, place: &str);

    /// Opens a unit: a private area for its temporary names, empty.
    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError>;
}

/// The temporary area of one unit. Dropped without [`UnitSink::commit`], it leaves nothing.
pub trait UnitSink: Send + Sync {
    /// Opens a temporary name for the object with this index in the unit; an earlier attempt's bytes are discarded.
    fn create(&self, index: usize) -> Result<Box<dyn PendingObject>, SinkError>;

    /// Syncs every staged object, gives each its final name, syncs the names. Only receipts that are passed here are
    /// published.
    fn commit(&self, published: &[(usize, &Path)]) -> Result<(), SinkError>;
}

/// One object that is being written under its temporary name.
pub trait PendingObject: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Closes the file; errors of the close are errors of the object.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// An object that could not be moved, although the unit went on.
#[derive(Debug)]
pub struct Refusal {
    /// Its key.
    pub key: String,
    /// Why.
    pub error: SourceError,
}

/// What became of one unit.
#[derive(Debug, Default)]
pub struct UnitOutcome {
    /// One receipt for each object that was restored, sorted by the key's bytes.
    pub receipts: Vec<ObjectReceipt>,
    /// Objects that could not be read.
    pub refusals: Vec<Refusal>,
}
