//! The protocol of units: what is to be copied, and the outcome, each as a serializable value; and the interface between
//! what cuts work into units and what runs them.
//!
//! Units hold no secret and borrow nothing. What runs them resolves the references of the playbook itself, on any
//! machine. Names of objects are in them: the channel between machines has to keep them confidential.

use std::{
    pin::pin,
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    error::TransferError,
    object::UnitOutcome,
    unit::{ObjectUnit, PlacedObject, UNIT_BYTES_MAX, UNIT_OBJECTS_MAX, UnitId},
};

/// The version of [`UnitSpec`] and [`UnitReceipt`] that is written; no other is read.
pub const UNIT_VERSION: u32 = 1;
/// Units that run at once in one process whatever their size, so that the end of one doesn't leave the network idle.
pub const UNITS_IN_FLIGHT: usize = 3;

/// A unit that is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSpec {
    /// [`UNIT_VERSION`].
    pub version: u32,
    /// The run that it belongs to.
    pub run: String,
    /// The asset that it is part of.
    pub asset: String,
    /// Its name within the asset.
    pub unit: UnitId,
    /// What is to be copied.
    pub work: UnitWork,
}

/// What a unit copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitWork {
    /// A batch of objects, each with the state that it was listed in and its place.
    Objects(Vec<PlacedObject>),
    /// One large object.
    Object(Box<PlacedObject>),
    /// Ranges of a table.
    Rows {
        /// The database engine, which determines the form of ranges.
        engine: String,
        /// Table, ranges, and the snapshot that they are of.
        ranges: Value,
    },
}

/// The outcome of a unit.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnitReceipt {
    /// [`UNIT_VERSION`].
    pub version: u32,
    /// The run that it belongs to.
    pub run: String,
    /// The asset that it is part of.
    pub asset: String,
    /// Its name within the asset.
    pub unit: UnitId,
    /// What was copied, and what was not.
    pub done: UnitDone,
}

/// What a unit copied.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitDone {
    /// Objects, each with its outcome.
    Objects(UnitOutcome),
    /// Ranges of a table.
    Rows {
        /// The database engine.
        engine: String,
        /// The outcome of each.
        parts: Value,
    },
}

impl UnitSpec {
    /// The unit of these objects.
    pub fn of_objects(run: &str, asset: &str, unit: ObjectUnit) -> Self {
        let ObjectUnit { id, objects } = unit;
        let work = match <[PlacedObject; 1]>::try_from(objects) {
            Ok([object]) if object.is_large() => UnitWork::Object(Box::new(object)),
            Ok(objects) => UnitWork::Objects(objects.into()),
            Err(objects) => UnitWork::Objects(objects),
        };
        UnitSpec { version: UNIT_VERSION, run: run.to_owned(), asset: asset.to_owned(), unit: id, work }
    }

    /// Its objects; an error for any other kind of unit, or of another version.
    pub fn into_objects(self) -> Result<ObjectUnit, TransferError> {
        self.check_version()?;
        let objects = match self.work {
            UnitWork::Objects(objects) => objects,
            UnitWork::Object(object) => vec![*object],
            UnitWork::Rows { .. } => return Err(not_this("a unit of rows, where objects are expected")),
        };
        Ok(ObjectUnit { id: self.unit, objects })
    }

    /// The ranges of a table of this engine; an error for any other kind of unit, or of another version.
    pub fn into_rows<T: serde::de::DeserializeOwned>(self, engine: &str) -> Result<T, TransferError> {
        self.check_version()?;
        match self.work {
            UnitWork::Rows { engine: named, ranges } if named == engine => parse(ranges),
            _ => Err(not_this("a unit of something else, where rows are expected")),
        }
    }

    /// The receipt of this unit.
    pub fn receipt(&self, done: UnitDone) -> UnitReceipt {
        let UnitSpec { run, asset, unit, .. } = self.clone_names();
        UnitReceipt { version: UNIT_VERSION, run, asset, unit, done }
    }

    /// Everything but the work itself.
    pub fn clone_names(&self) -> Self {
        let run = self.run.clone();
        let asset = self.asset.clone();
        let unit = self.unit.clone();
        UnitSpec { version: self.version, run, asset, unit, work: UnitWork::Objects(Vec::new()) }
    }

    fn check_version(&self) -> Result<(), TransferError> {
        if self.version == UNIT_VERSION { Ok(()) } else { Err(not_this("a unit of another version of walkaway")) }
    }
}

impl UnitReceipt {
    /// The outcome of objects.
    pub fn into_objects(self) -> Result<UnitOutcome, TransferError> {
        match self.done {
            UnitDone::Objects(outcome) if self.version == UNIT_VERSION => Ok(outcome),
            _ => Err(not_this("the receipt of another unit, or of another version of walkaway")),
        }
    }

    /// The outcome of ranges of a table.
    pub fn into_rows<T: serde::de::DeserializeOwned>(self, engine: &str) -> Result<T, TransferError> {
        match self.done {
            UnitDone::Rows { engine: named, parts } if self.version == UNIT_VERSION && named == engine => parse(parts),
            _ => Err(not_this("the receipt of another unit, or of another version of walkaway")),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, TransferError> {
    serde_json::from_value(value).map_err(|error| TransferError::Internal(format!("a unit's rows: {error}")))
}

fn not_this(what: &str) -> TransferError {
    TransferError::Internal(format!("expected another unit: {what}"))
}

/// Runs units of one asset, in this process.
pub trait UnitWorker: Send + Sync {
    /// Runs a unit to its end. What could not be copied is in the receipt; an error means that nothing of the unit
    /// counts. A worker for rows may block: it is polled on a thread of its own.
    fn work<'a>(&'a self, spec: UnitSpec) -> BoxFuture<'a, Result<UnitReceipt, TransferError>>;
}

/// Decides where units are run.
pub trait UnitExecutor: Send + Sync {
    /// How much may be in progress at once.
    fn limits(&self) -> UnitLimits {
        UnitLimits::ONE_PROCESS
    }

    /// Runs a unit somewhere, and waits for its receipt. `here` runs it in this process.
    fn run<'a>(&'a self, spec: UnitSpec, here: &'a dyn UnitWorker)
    -> BoxFuture<'a, Result<UnitReceipt, TransferError>>;
}

/// Runs every unit in this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalExecutor;

impl UnitExecutor for LocalExecutor {
    fn run<'a>(
        &'a self,
        spec: UnitSpec,
        here: &'a dyn UnitWorker,
    ) -> BoxFuture<'a, Result<UnitReceipt, TransferError>> {
        here.work(spec).boxed()
    }
}

/// Waits for a future on a thread that may block, like those that copy rows.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => woken.wait(),
        }
    }
}

/// Whether the future was woken since it was last polled. A parked thread would not do: a future that blocks, as one for
/// rows may, takes the one token that a thread has, and with it somebody's wake-up.
#[derive(Default)]
struct Woken {
    is_woken: Mutex<bool>,
    changed: Condvar,
}

impl Woken {
    fn wait(&self) {
        let asleep = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut awake = self.changed.wait_while(asleep, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
        *awake = false;
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

/// How many units may be in progress at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitLimits {
    /// Units of any size.
    pub units: usize,
    /// The most units: a large object is a unit of its own.
    pub units_max: usize,
    /// Another additional one starts only if those in progress have no more objects, each with its receipt in memory …
    pub objects: usize,
    /// … nor more bytes: what is staged at once never exceeds as many units of the largest kind as run anyway.
    pub bytes: u64,
}

impl UnitLimits {
    /// The values for one process.
    pub const ONE_PROCESS: UnitLimits = UnitLimits {
        units: UNITS_IN_FLIGHT,
        units_max: 12,
        objects: (UNITS_IN_FLIGHT - 1) * UNIT_OBJECTS_MAX,
        bytes: (UNITS_IN_FLIGHT as u64 - 1) * UNIT_BYTES_MAX,
    };

    /// Whether a unit has to end before another one starts, when these are in progress.
    pub fn are_reached(&self, units: usize, objects: usize, bytes: u64) -> bool {
        units >= self.units_max || units >= self.units && (objects > self.objects || bytes > self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::{
        error::SourceError,
        object::{ObjectEntry, Refusal},
        unit::LARGE_OBJECT_BYTES,
    };

    fn placed(key: &str, size: u64) -> PlacedObject {
        let entry = ObjectEntry { key: key.to_owned(), size, etag: Some("e".to_owned()), ..ObjectEntry::default() };
        PlacedObject { entry, place: format!("tree/{key}") }
    }

    #[test]
    fn units_and_receipts_are_the_same_after_a_journey() {
        for objects in
            [vec![placed("a", 1), placed("b", 2)], vec![placed("a", 1)], vec![placed("large", LARGE_OBJECT_BYTES)]]
        {
            let unit = ObjectUnit { id: UnitId::numbered(7), objects };
            let spec = UnitSpec::of_objects("r", "a", unit.clone());
            assert_eq!(spec.clone().into_objects().unwrap(), unit);
            let there: UnitSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
            assert_eq!(there, spec);
            let error = SourceError::Throttled { what: "b".to_owned(), reason: "SlowDown".to_owned() };
            let refusals = vec![Refusal { object: placed("b", 2), error }];
            let sent = spec.receipt(UnitDone::Objects(UnitOutcome { refusals, ..UnitOutcome::default() }));
            let back: UnitReceipt = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
            let outcome = back.into_objects().unwrap();
            assert!(
                matches!(&outcome.refusals[0].error, SourceError::Throttled { reason, .. } if reason == "SlowDown")
            );
        }
    }

    #[test]
    fn a_wake_up_is_not_lost_when_a_future_blocks_after_it() {
        let mut polls = 0;
        let done = wait_for(std::future::poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            // Takes the thread's token, as waiting for a thread or a channel does.
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            if polls == 3 { Poll::Ready(polls) } else { Poll::Pending }
        }));
        assert_eq!(done, 3);
    }

    #[test]
    fn a_unit_of_another_version_is_not_run() {
        let unit = ObjectUnit { id: UnitId::numbered(1), objects: vec![placed("a", 1)] };
        let spec = UnitSpec { version: UNIT_VERSION + 1, ..UnitSpec::of_objects("r", "a", unit) };
        assert!(spec.into_objects().is_err());
    }

    #[test]
    fn more_units_begin_only_while_they_are_small() {
        let limits = UnitLimits::ONE_PROCESS;
        assert!(!limits.are_reached(2, usize::MAX, u64::MAX) && !limits.are_reached(11, 11, 11));
        assert!(limits.are_reached(3, limits.objects + 1, 0) && limits.are_reached(3, 0, limits.bytes + 1));
        assert!(limits.are_reached(12, 0, 0));
    }
}
