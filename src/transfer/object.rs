//! The two ends of an object transfer as traits, and the values that pass between them.
//!
//! A source can list and open; it has no method that writes. A sink stages objects of a unit under temporary names and
//! publishes them together, after one sync.

use std::{collections::HashSet, io};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    bucket::BucketConfiguration,
    error::{SinkError, SourceError, TransferError},
    properties::{Item, Properties},
    receipt::{ChecksumKind, ObjectReceipt, VersionMark},
    unit::{PlacedObject, UnitId},
};
use crate::digest::Sha256Digest;

/// One object, or one version of an object, as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectEntry {
    /// The key, as UTF-8 text, or a pseudonym for it.
    pub key: String,
    /// The key that the provider knows, where `key` is a pseudonym. It never gets into a record.
    pub address: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// Version to read, where the listing names one.
    pub version_id: Option<String>,
    /// Where it stands among the versions of its key, in a listing of all versions.
    pub version: Option<VersionMark>,
    /// RFC 3339.
    pub last_modified: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
    /// A digest of the key as the listing writes it: two spellings that are read as one key may be two keys.
    pub spelling: u32,
    /// What an earlier answer about it said, so that all that is read of it belongs to one state.
    pub pin: Pin,
}

/// What an answer says about the state of an object, where the listing does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// The version that was read.
    pub version_id: Option<String>,
    /// The time of the last change, as the answer writes it.
    pub last_modified: Option<String>,
    /// A server that unpacks what is stored packed is asked not to.
    pub packed: bool,
}

impl ObjectEntry {
    /// The same entry, held to the state that an answer was about.
    #[must_use]
    pub fn pinned(&self, pin: Pin) -> Self {
        ObjectEntry { pin, ..self.clone() }
    }

    /// Whether this is a delete marker, which has no bytes.
    pub fn is_delete_marker(&self) -> bool {
        self.version.is_some_and(|mark| mark.delete_marker)
    }

    /// Whether this is a version that another one has replaced.
    pub fn is_superseded(&self) -> bool {
        self.version.is_some_and(|mark| !mark.is_latest)
    }
}

/// Whether two entity tags are about the same object: weakness, quotes, and the case of hexadecimal digits aside
/// (RFC 9110, 8.8.3.2, weak comparison).
pub fn same_entity_tag(one: &str, other: &str) -> bool {
    let (one, other) = (bare(one), bare(other));
    let is_hex = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    one == other || is_hex(one) && one.eq_ignore_ascii_case(other)
}

fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Entries in the order of the provider.
    pub entries: Vec<ObjectEntry>,
    /// Entries that cannot be taken as they stand.
    pub odd: Vec<OddEntry>,
    /// Where the next page begins; none on the last page.
    pub next: Option<String>,
    /// The name of that place, if `next` holds more than it.
    pub place: Option<String>,
    /// When it was answered, by the provider's own clock.
    pub answered: Option<Timestamp>,
}

/// An entry of a listing that cannot be taken as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddEntry {
    /// Its key as listed, or a pseudonym for it.
    pub key: String,
    /// What is odd about it.
    pub odd: Odd,
}

/// What is odd about an entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// It names nothing that could be asked for; why, without its key.
    Unreadable(String),
    /// Its key does not begin with the prefix that was asked for.
    Foreign,
    /// It is carried, and when it was last modified is not known.
    Undated,
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

/// A checksum that the provider keeps over the whole object, or over the checksums of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderChecksum {
    /// Which one.
    pub kind: ChecksumKind,
    /// The raw bytes, decoded from base64 or hexadecimal. What can't be decoded is empty, and contradicts any object.
    pub value: Vec<u8>,
    /// For a checksum over the checksums of parts, how the object was cut into them.
    pub parts: Parts,
}

/// How an object was cut into the parts that its provider's checksum is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// The checksum is over the whole object.
    #[default]
    None,
    /// The bytes of each part, as the provider lists them.
    Listed(Vec<u64>),
    /// The bytes of each part but the last, guessed: agreement is a proof, a difference is none.
    Guessed(u64),
}

/// The provider's word about an object's content: the checksums to confirm, at least one, or why there is none.
pub type ProviderWord = Result<Vec<ProviderChecksum>, String>;

/// An object that is being read.
pub struct ObjectBody {
    /// The checksum of the whole object, if this read was of the whole object.
    pub word: ProviderWord,
    /// What the provider keeps beside the bytes, as far as this answer tells.
    pub properties: Properties,
    /// The state that the answer is about.
    pub pin: Pin,
    /// Bytes that the provider announced.
    pub length: Option<u64>,
    /// The pieces of the body; an error ends it.
    pub pieces: BoxStream<'static, Result<Bytes, SourceError>>,
}

/// What is known of an object without its bytes.
pub struct Described {
    /// The provider's checksum, or why there is none.
    pub word: ProviderWord,
    /// What the provider keeps beside the bytes.
    pub properties: Properties,
    /// The state that the answer is about.
    pub pin: Pin,
}

/// Reads objects at the provider.
pub trait ObjectSource: Send + Sync {
    /// Whether the provider answers at all, by a small question that no single object can make fail.
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>>;

    /// One page of the listing, from the beginning or from a token of the page before.
    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>>;

    /// Opens an object, whole or a range of it, pinned to the listed version and entity tag.
    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>>;

    /// What stands under an entry's key now, as a listing would show it; none if it is gone.
    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>>;

    /// Checksum and properties of an object that is read in ranges.
    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>>;
}

/// Says what a bucket's configuration is.
pub trait Configured: Send + Sync {
    /// Everything that is asked about the bucket itself. What can't be read stands in the answer.
    fn configuration<'a>(&'a self) -> BoxFuture<'a, BucketConfiguration>;
}

/// Takes objects in.
pub trait ObjectSink: Send + Sync {
    /// Chooses where an object will lie, relative to the asset's directory. Called in the order of the listing; no two
    /// objects or versions get the same place, and every place is inside the asset's directory.
    fn place(&self, entry: &ObjectEntry) -> String;

    /// What this sink restores of an object beside its bytes; the rest is kept in the record only.
    fn carries(&self) -> &'static [Item] {
        &[]
    }

    /// Remembers the place that an earlier part of the run gave to a key.
    fn occupy(&self, key: &str, place: &str);

    /// Removes what an interrupted unit published without being recorded: it is fetched again. `recorded` holds
    /// [`crate::digest::Sha256Digest::short`] of every [`ObjectReceipt::file`] that has a receipt.
    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError>;

    /// Opens a unit: a private area for its temporary names, empty.
    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError>;

    /// Removes what only a transfer needs, after the last unit.
    fn close(&self) -> Result<(), SinkError>;
}

/// The kind of error of a target that stays away: what could not be read then says nothing about what was restored.
pub const AWAY: io::ErrorKind = io::ErrorKind::HostUnreachable;

/// Reads back what lies in a bucket of the target. An error of the kind [`AWAY`] is about the server. Blocking, and never called on a runtime's own thread.
pub trait RestoredBucket: Send + Sync {
    /// An object as the server answers for it; its tags are asked for where `with_tags` says so, or the server that it
    /// has some.
    fn read_back(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered>;

    /// The bytes that the server says an object has.
    fn size(&self, bucket: &str, key: &str) -> io::Result<u64>;

    /// An object's bytes.
    fn content(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>>;

    /// Hands over every key of the bucket, page by page.
    fn each_key(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()>;
}

/// What a server of the target says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Bytes.
    pub size: u64,
    /// Of the bytes.
    pub sha256: Sha256Digest,
    /// What lies beside the bytes, of what a sink restores.
    pub properties: Properties,
}

/// What a sink is told about an object before its bytes come.
#[derive(Clone, Copy)]
pub struct Arriving<'a> {
    /// As listed.
    pub object: &'a PlacedObject,
    /// What the provider keeps beside the bytes.
    pub properties: &'a Properties,
}

/// The temporary area of one unit. Dropped without [`UnitSink::commit`], it leaves nothing.
pub trait UnitSink: Send + Sync {
    /// Opens a temporary name for the object with this index in the unit; an earlier attempt's bytes are discarded.
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError>;

    /// Syncs every staged object, gives each its final name, syncs the names. Only what has a receipt here is
    /// published; the sink adds to the receipt where the object lies, if its path doesn't say so. Objects that the
    /// target refuses for what they are come back, and the others are published.
    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError>;
}

/// One object that is being written under its temporary name.
pub trait PendingObject: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Closes the file; errors of the close are errors of the object.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// An object that could not be moved, although the unit went on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Which one, and the place that was meant for it.
    pub object: PlacedObject,
    /// Why.
    pub error: SourceError,
}

/// Objects that the target refuses, by their index in the unit, and why; any other error than a refusal means that the
/// target is away.
pub type Refused = Vec<(usize, SinkError)>;

/// An object that was read whole, and that the target refuses, although the unit went on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unrestored {
    /// What came of it.
    pub receipt: ObjectReceipt,
    /// Why.
    pub error: SinkError,
}

/// What became of one unit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// One receipt for each object that was restored, in ascending order.
    pub receipts: Vec<ObjectReceipt>,
    /// Objects that could not be read.
    pub refusals: Vec<Refusal>,
    /// Objects that could be read and not restored.
    pub unrestored: Vec<Unrestored>,
    /// One end stayed away: objects of the unit that are in none of the lists were not read or not restored.
    pub ended: Option<TransferError>,
}
