//! What waits for memory and what waits for a request must never wait for each other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::time::timeout;
use walkaway::{
    interrupt::Interrupt,
    transfer::{
        error::SourceError,
        object::{ByteRange, Described, ListPage, ObjectBody, ObjectEntry, ObjectSource, Pin},
        objects::{Budget, Ends, OBJECTS_IN_FLIGHT, ObjectCopier, PLAIN_BYTES_MAX, Timeouts},
        properties::Properties,
        unit::{ObjectUnit, PlacedObject, UnitId},
    },
};

use crate::support::{block_on, memory::MemorySink};

/// Small objects are zeros; large ones come in no ranges, and break off for good at their first byte.
struct WithoutRanges;

impl WithoutRanges {
    fn body(entry: &ObjectEntry, range: Option<ByteRange>) -> Result<ObjectBody, SourceError> {
        let what = entry.key.clone();
        let reason = "scripted".to_owned();
        let is_large = entry.size > PLAIN_BYTES_MAX;
        let pieces: BoxStream<'static, _> = match range {
            Some(_) if is_large => return Err(SourceError::Unranged { what, reason }),
            _ if is_large => stream::once(async { Err(SourceError::Permanent { what, reason }) }).boxed(),
            _ => crate::support::memory::pieces(Bytes::from(vec![0; entry.size as usize])).boxed(),
        };
        let checksum = Err("scripted".to_owned());
        let length = Some(entry.size);
        Ok(ObjectBody { checksum, properties: Properties::default(), pin: Pin::default(), length, pieces })
    }
}

impl ObjectSource for WithoutRanges {
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        async { Ok(()) }.boxed()
    }

    fn list<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        async { Ok(ListPage::default()) }.boxed()
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        async move { WithoutRanges::body(entry, range) }.boxed()
    }

    fn find<'a>(&'a self, _: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
        async { Ok(None) }.boxed()
    }

    fn describe<'a>(&'a self, _: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
        let checksum = Err("scripted".to_owned());
        async { Ok(Described { checksum, properties: Properties::default(), pin: Pin::default() }) }.boxed()
    }
}

/// More bodies than requests may be under way, and an object that takes most of the memory.
#[test]
fn bodies_without_ranges_and_small_memory_end() {
    let large = (0..OBJECTS_IN_FLIGHT + 8).map(|number| (format!("large/{number:02}"), PLAIN_BYTES_MAX + 1));
    let placed = large.chain([("plain".to_owned(), 10 << 20)]).map(|(key, size)| {
        let place = format!("tree/{key}");
        PlacedObject { entry: ObjectEntry { key, size, ..ObjectEntry::default() }, place }
    });
    let unit = ObjectUnit { id: UnitId::numbered(1), objects: placed.collect() };
    let ends = Ends {
        source: Arc::new(WithoutRanges),
        sink: Arc::new(MemorySink::default()),
        budget: Budget::new(12 << 20),
        timeouts: Timeouts::default(),
    };
    let copier = ObjectCopier::between(ends, Arc::default(), Interrupt::default());
    let outcome = block_on(async { timeout(Duration::from_secs(30), copier.copy(unit)).await });
    let outcome = outcome.expect("the copier waits for itself").unwrap();
    assert_eq!((outcome.receipts.len(), outcome.refusals.len()), (1, OBJECTS_IN_FLIGHT + 8));
}
