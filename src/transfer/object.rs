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
    entry::{ListPage, ObjectEntry, Odd, Pin, ProblemEntry, same_entity_tag},
    provider_checksum::{Parts, ProviderChecksum, StatedChecksums},
};
use crate::domain::digest::Sha256Digest;

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
    /// The checksum of the whole object, if this read covers the whole object.
    pub checksum: StatedChecksums,
    /// The object's properties at the provider, as far as this answer has them.
    pub properties: Properties,
    /// The state of the object in the answer.
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
    /// The object's properties at the provider.
    pub properties: Properties,
    /// The state of the object in the answer.
    pub pin: Pin,
}

/// Reads objects at the provider.
pub trait ObjectSource: Send + Sync {
    /// Whether the provider answers at all, by a small request that does not depend on any object.
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>>;

    /// One page of the listing, from the beginning or from a token of the previous page.
    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>>;

    /// Opens an object, whole or a range of it, pinned to the listed version and entity tag.
    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>>;

    /// The object under an entry's key now, as a listing would show it; none if it is gone.
    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>>;

    /// Checksum and properties of an object that is read in ranges.
    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>>;
}

/// Reads a bucket's configuration.
pub trait Configured: Send + Sync {
    /// Everything that is queried about the bucket itself. What can't be read is marked in the result.
    fn configuration<'a>(&'a self) -> BoxFuture<'a, BucketConfiguration>;
}

/// Stores objects.
pub trait ObjectSink: Send + Sync {
    /// Chooses an object's place, relative to the asset's directory. Called in the order of the listing; no two
    /// objects or versions get the same place, and every place is inside the asset's directory.
    fn place(&self, entry: &ObjectEntry) -> String;

    /// The properties of an object that this sink restores; the rest is kept in the record only.
    fn carries(&self) -> &'static [Item] {
        &[]
    }

    /// Records the place that an earlier part of the run gave to a key.
    fn occupy(&self, key: &str, place: &str);

    /// Removes what an interrupted unit published without recording it: it is fetched again. `recorded` holds
    /// [`crate::domain::digest::Sha256Digest::short`] of every [`ObjectReceipt::file`] that has a receipt.
    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError>;

    /// Opens a unit: a private area for its temporary names, empty.
    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError>;

    /// Removes temporary files of the transfer, after the last unit.
    fn close(&self) -> Result<(), SinkError>;
}

/// The kind of error of a target that stays unreachable: failed reads then prove nothing about the restored copy.
pub const AWAY: io::ErrorKind = io::ErrorKind::HostUnreachable;

/// Reads back the objects in a bucket of the target. An error of the kind [`AWAY`] is about the server. Blocking, and never called on a runtime's own thread.
pub trait RestoredBucket: Send + Sync {
    /// An object as the server returns it; its tags are requested with `with_tags`, or where the server states that it
    /// has some.
    fn read_back(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered>;

    /// The size of an object according to the server.
    fn size(&self, bucket: &str, key: &str) -> io::Result<u64>;

    /// An object's bytes.
    fn content(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>>;

    /// Passes on every key of the bucket, page by page.
    fn each_key(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()>;
}

/// An object according to a server of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub sha256: Sha256Digest,
    /// The properties of those that a sink restores.
    pub properties: Properties,
}

/// What a sink gets about an object before its bytes.
#[derive(Clone, Copy)]
pub struct Arriving<'a> {
    /// As listed.
    pub object: &'a PlacedObject,
    /// The object's properties at the provider.
    pub properties: &'a Properties,
}

/// The temporary area of one unit. Dropped without [`UnitSink::commit`], it leaves nothing.
pub trait UnitSink: Send + Sync {
    /// Opens a temporary name for the object with this index in the unit; an earlier attempt's bytes are discarded.
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError>;

    /// Syncs every staged object, gives each its final name, syncs the names. Only what has a receipt here is
    /// published; the sink adds the object's location to the receipt, if its path doesn't show it. Objects that the
    /// target rejects because of their properties are returned, and the others are published.
    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError>;
}

/// One object that is being written under its temporary name.
pub trait PendingObject: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Closes the file; errors of the close are errors of the object.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// An object that could not be copied, although the unit continued.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The object, and the place intended for it.
    pub object: PlacedObject,
    /// The reason.
    pub error: SourceError,
}

/// Objects that the target rejects, by their index in the unit, and why; any other error than a refusal means that the
/// target is unreachable.
pub type Refused = Vec<(usize, SinkError)>;

/// An object that was read whole, but rejected by the target, although the unit continued.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unrestored {
    /// Its receipt.
    pub receipt: ObjectReceipt,
    /// The reason.
    pub error: SinkError,
}

/// The outcome of one unit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// One receipt for each object that was restored, in ascending order.
    pub receipts: Vec<ObjectReceipt>,
    /// Objects that could not be read.
    pub refusals: Vec<Refusal>,
    /// Objects that were read but not restored.
    pub unrestored: Vec<Unrestored>,
    /// One end stayed unreachable: objects of the unit that are in none of the lists were not read or not restored.
    pub ended: Option<TransferError>,
}
