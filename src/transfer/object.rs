//! The two ends of an object transfer as traits, and the values that pass between them.
//!
//! A source can list and open; it has no method that writes. A sink stages objects of a unit under temporary names and
//! publishes them together, after one sync.

use std::{collections::HashSet, io};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use serde::{Deserialize, Serialize};

use super::{
    bucket::BucketConfiguration,
    error::{SinkError, SourceError, TransferError},
    properties::{Item, Properties},
    receipt::ObjectReceipt,
    unit::{PlacedObject, UnitId},
};
pub use super::{
    entry::{ListPage, ObjectEntry, Odd, OddEntry, Pin, same_entity_tag},
    provider_checksum::{Parts, ProviderChecksum, StatedChecksums},
};
use crate::digest::Sha256Digest;

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

/// An object that is being read.
pub struct ObjectBody {
    /// The checksum of the whole object, if this read was of the whole object.
    pub checksum: StatedChecksums,
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
    pub checksum: StatedChecksums,
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
