//! Whether a receipt answers the unit that it is given for. What runs units may be a queue with many at its other end: a
//! receipt of another unit, of fewer objects, or of the same one twice would make a proof of what was never asked for.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use super::{
    entry::VersionMark,
    error::TransferError,
    executor::{UnitDone, UnitExecutor, UnitReceipt, UnitSpec, UnitWork, UnitWorker},
    object::UnitOutcome,
    receipt::ObjectReceipt,
    unit::PlacedObject,
};

/// Has a unit run, and waits for its receipt.
///
/// # Errors
/// Those of the executor; and [`TransferError::Unanswered`] if what it returns is not the receipt of this unit.
pub async fn run_unit(
    executor: &dyn UnitExecutor,
    spec: UnitSpec,
    here: &dyn UnitWorker,
) -> Result<UnitReceipt, TransferError> {
    let asked = Asked::of(&spec);
    let receipt = executor.run(spec, here).await?;
    match asked.mismatch(&receipt) {
        None => Ok(receipt),
        Some(reason) => {
            let unit = format!("{} of {}", asked.names.unit, asked.names.asset);
            Err(TransferError::Unanswered { unit, reason })
        }
    }
}

/// What a receipt has to be about.
struct Asked {
    /// The unit without its work.
    names: UnitSpec,
    work: Work,
    hasher: RandomState,
}

enum Work {
    /// Each as a number: there may be thousands.
    Objects(HashSet<u64>),
    /// Of this engine, which knows its ranges itself.
    Rows(String),
}

impl Asked {
    fn of(spec: &UnitSpec) -> Self {
        let hasher = RandomState::new();
        let number = |object: &PlacedObject| hasher.hash_one(identity(object));
        let work = match &spec.work {
            UnitWork::Objects(objects) => Work::Objects(objects.iter().map(number).collect()),
            UnitWork::Object(object) => Work::Objects(HashSet::from([number(object)])),
            UnitWork::Rows { engine, .. } => Work::Rows(engine.clone()),
        };
        Asked { names: spec.clone_names(), work, hasher }
    }

    /// Why a receipt is not the one of this unit.
    fn mismatch(&self, receipt: &UnitReceipt) -> Option<String> {
        let UnitReceipt { version, run, asset, unit, done } = receipt;
        let UnitSpec { version: asked_version, run: asked_run, asset: asked_asset, unit: asked_unit, .. } = &self.names;
        if version != asked_version {
            return Some(format!("its receipt is of version {version} where {asked_version} was asked for"));
        }
        if (run, asset, unit) != (asked_run, asked_asset, asked_unit) {
            return Some(format!("its receipt is of {unit} of {asset} in the run {run}"));
        }
        match (&self.work, done) {
            (Work::Objects(asked), UnitDone::Objects(outcome)) => self.mismatch_of_objects(asked, outcome),
            (Work::Rows(asked), UnitDone::Rows { engine, .. }) if asked == engine => None,
            _ => Some("its receipt is of another kind of work".to_owned()),
        }
    }

    fn mismatch_of_objects(&self, asked: &HashSet<u64>, outcome: &UnitOutcome) -> Option<String> {
        let UnitOutcome { receipts, refusals, unrestored, ended } = outcome;
        let refused = refusals.iter().map(|refusal| identity(&refusal.object));
        let crossed = receipts.iter().chain(unrestored.iter().map(|object| &object.receipt)).map(identity_of_receipt);
        let mut answered = HashSet::new();
        for object in refused.chain(crossed) {
            let number = self.hasher.hash_one(object);
            if !asked.contains(&number) {
                return Some(format!("its receipt names {:?}, or a state of it, that is not in the unit", object.key));
            }
            if !answered.insert(number) {
                return Some(format!("its receipt names {:?} twice", object.key));
            }
        }
        if ended.is_none() && answered.len() != asked.len() {
            let missing = asked.len() - answered.len();
            return Some(format!("its receipt says nothing of {missing} of {} objects", asked.len()));
        }
        let in_order = receipts.is_sorted_by(|one, next| one.rank() < next.rank());
        (!in_order).then(|| "the objects of its receipt are out of order".to_owned())
    }
}

/// What says which object of a unit is meant, in which state, and at which place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Identity<'a> {
    place: &'a str,
    key: &'a str,
    size: u64,
    etag: Option<&'a str>,
    version_id: Option<&'a str>,
    version: Option<VersionMark>,
    last_modified: Option<&'a str>,
}

fn identity(object: &PlacedObject) -> Identity<'_> {
    let PlacedObject { entry, place } = object;
    Identity {
        place,
        key: &entry.key,
        size: entry.size,
        etag: entry.etag.as_deref(),
        version_id: entry.version_id.as_deref(),
        version: entry.version,
        last_modified: entry.last_modified.as_deref(),
    }
}

fn identity_of_receipt(receipt: &ObjectReceipt) -> Identity<'_> {
    Identity {
        place: &receipt.path,
        key: &receipt.key,
        size: receipt.size,
        etag: receipt.etag.as_deref(),
        version_id: receipt.version_id.as_deref(),
        version: receipt.version,
        last_modified: receipt.last_modified.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        domain::digest::Sha256Digest,
        transfer::{
            error::{SinkError, SourceError},
            executor::UNIT_VERSION,
            object::{ObjectEntry, Refusal, Unrestored},
            receipt::Confirmation,
            unit::{ObjectUnit, UnitId},
        },
    };

    fn placed(key: &str) -> PlacedObject {
        let etag = Some("e".to_owned());
        let entry = ObjectEntry { key: key.to_owned(), size: 1, etag, ..ObjectEntry::default() };
        PlacedObject { entry, place: format!("tree/{key}") }
    }

    fn crossed(key: &str) -> ObjectReceipt {
        let PlacedObject { entry, place } = placed(key);
        ObjectReceipt::new(entry, place, 1, Sha256Digest::of("a"), Confirmation::Unavailable("test".to_owned()))
    }

    fn spec() -> UnitSpec {
        let objects = ["a", "b", "c", "d"].map(placed).to_vec();
        UnitSpec::of_objects("run", "files", ObjectUnit { id: UnitId::numbered(7), objects })
    }

    fn outcome() -> UnitOutcome {
        let error = SourceError::Changed { what: "c".to_owned() };
        let refused = SinkError::Refused { reason: "its key".to_owned() };
        UnitOutcome {
            receipts: vec![crossed("a"), crossed("b")],
            refusals: vec![Refusal { object: placed("c"), error }],
            unrestored: vec![Unrestored { receipt: crossed("d"), error: refused }],
            ended: None,
        }
    }

    fn objects(change: impl FnOnce(&mut UnitOutcome)) -> Option<String> {
        let mut outcome = outcome();
        change(&mut outcome);
        Asked::of(&spec()).mismatch(&spec().receipt(UnitDone::Objects(outcome)))
    }

    #[test]
    fn only_what_was_asked_for_is_an_answer() {
        assert_eq!(objects(|_| {}), None);
        let ended = objects(|outcome| {
            outcome.ended = Some(TransferError::Interrupted);
            outcome.receipts.pop();
        });
        assert_eq!(ended, None, "an end that is said");
        let wrong: [(&str, Option<String>); 9] = [
            ("less", objects(|outcome| drop(outcome.receipts.pop()))),
            ("nothing", objects(|outcome| *outcome = UnitOutcome::default())),
            ("twice", objects(|outcome| outcome.refusals[0].object = placed("a"))),
            ("one for another", objects(|outcome| outcome.receipts[1] = crossed("e"))),
            ("one more", objects(|outcome| outcome.receipts.push(crossed("e")))),
            ("another state", objects(|outcome| outcome.receipts[0].etag = Some("f".to_owned()))),
            ("another size", objects(|outcome| outcome.unrestored[0].receipt.size = 2)),
            ("another place", objects(|outcome| outcome.receipts[0].path = "tree/b".to_owned())),
            ("out of order", objects(|outcome| outcome.receipts.reverse())),
        ];
        for (what, mismatch) in wrong {
            assert!(mismatch.is_some(), "{what}");
        }
    }

    #[test]
    fn a_receipt_of_another_unit_is_no_answer() {
        let asked = Asked::of(&spec());
        let named = |change: fn(&mut UnitReceipt)| {
            let mut receipt = spec().receipt(UnitDone::Objects(outcome()));
            change(&mut receipt);
            asked.mismatch(&receipt)
        };
        let rows = |receipt: &mut UnitReceipt| {
            receipt.done = UnitDone::Rows { engine: "postgres".to_owned(), parts: Value::Null };
        };
        assert_eq!(named(|_| {}), None);
        let changes: [fn(&mut UnitReceipt); 5] = [
            |receipt| receipt.run.push('x'),
            |receipt| receipt.asset.push('x'),
            |receipt| receipt.unit = UnitId::numbered(8),
            |receipt| receipt.version = UNIT_VERSION + 1,
            rows,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(named(change).is_some(), "change {number}");
        }
    }
}
