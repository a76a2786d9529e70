//! `S3Target` on SeaweedFS and on moto. It names objects by their keys, and the cases name places: a sink around it keeps
//! which place belongs to which key.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use aws_sdk_s3::{Client, types::EncodingType};
use walkaway::{
    restore::s3::{S3Target, Server},
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink, PendingObject, Refused, UnitSink},
        receipt::ObjectReceipt,
        retry::STALL,
        unit::UnitId,
    },
};

use super::Target;
use crate::{
    contract_objects::keys::{oddities, oddities_of_xml},
    support::{self, TempDir, block_on},
};

type Case = (&'static str, fn(&dyn Target));
type Keys = Arc<Mutex<BTreeMap<String, String>>>;

const CASES: [Case; 11] = [
    ("visible", super::nothing_is_visible_before_the_commit),
    ("dropped", super::dropped_without_commit_nothing_is_left),
    ("second", super::a_second_create_discards_the_first),
    ("goes-on", super::a_second_create_discards_even_a_first_that_goes_on),
    ("named", super::only_what_is_named_appears),
    ("unstaged", super::what_was_never_staged_is_an_error),
    ("again", super::a_unit_can_begin_again),
    ("directories", super::commits_go_into_existing_directories),
    ("parallel", super::units_in_parallel_do_not_meet),
    ("places", super::places_never_collide_and_never_leave_the_root),
    ("occupied", super::occupied_places_are_not_given_again),
];

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn s3_target_on_seaweedfs() {
    let server = support::weed();
    let plain: HashSet<_> = oddities().into_iter().collect();
    every_case_holds(server.endpoint(), move |key| plain.contains(key));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn s3_target_on_moto() {
    let server = support::moto();
    let unspeakable = oddities_of_xml();
    // An empty key is no key; control characters fail at moto.
    every_case_holds(server.endpoint(), move |key| {
        let speakable = !key.is_empty() && !key.contains(char::is_control) && !unspeakable.iter().any(|one| one == key);
        // moto takes a slash at the beginning for the bucket's.
        speakable && !key.starts_with('/') && key.len() <= 1_024
    });
}

#[track_caller]
fn every_case_holds(endpoint: &str, holds: impl Fn(&str) -> bool + Sync) {
    let failed = CASES.iter().filter(|(name, case)| {
        let target = ServerTarget::new(endpoint, name, &holds);
        catch_unwind(AssertUnwindSafe(|| case(&target))).is_err()
    });
    assert_eq!(failed.map(|(name, _)| *name).collect::<Vec<_>>(), Vec::<&str>::new());
}

struct ServerTarget<'a> {
    directory: TempDir,
    sink: NamingSink,
    client: Client,
    bucket: String,
    holds: &'a (dyn Fn(&str) -> bool + Sync),
}

impl<'a> ServerTarget<'a> {
    fn new(endpoint: &str, bucket: &str, holds: &'a (dyn Fn(&str) -> bool + Sync)) -> Self {
        let directory = TempDir::new();
        let client = support::client(endpoint);
        let bucket = format!("case-{bucket}");
        let staging = directory.join("staging");
        let server = Server::new(client.clone(), STALL);
        let opened = block_on(S3Target::open(server, bucket.clone(), staging, true));
        let sink = NamingSink { inner: opened.unwrap(), keys: Keys::default() };
        ServerTarget { directory, sink, client, bucket, holds }
    }
}

impl Target for ServerTarget<'_> {
    fn sink(&self) -> &dyn ObjectSink {
        &self.sink
    }

    fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let keys = self.sink.keys.lock().unwrap().clone();
        let places: BTreeMap<_, _> = keys.into_iter().map(|(place, key)| (key, place)).collect();
        block_on(async {
            let request = self.client.list_objects_v2().bucket(&self.bucket).encoding_type(EncodingType::Url);
            let listed = request.send().await.unwrap();
            assert_ne!(listed.is_truncated(), Some(true));
            let mut found = BTreeMap::new();
            for object in listed.contents() {
                let key = support::decoded(object.key().unwrap());
                let request = self.client.get_object().bucket(&self.bucket).key(&key);
                let answer = request.send().await.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
                let place = places.get(&key).unwrap_or_else(|| panic!("nobody put {key:?}"));
                found.insert(place.clone(), answer.body.collect().await.unwrap().to_vec());
            }
            found
        })
    }

    fn staged(&self) -> Vec<PathBuf> {
        fs::read_dir(self.directory.join("staging")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn holds(&self, key: &str) -> bool {
        (self.holds)(key)
    }
}

/// The target, with the key of every place filled in.
struct NamingSink {
    inner: S3Target,
    keys: Keys,
}

struct NamingUnit {
    inner: Box<dyn UnitSink>,
    keys: Keys,
}

impl ObjectSink for NamingSink {
    fn place(&self, entry: &ObjectEntry) -> String {
        let place = self.inner.place(entry);
        self.keys.lock().unwrap().insert(place.clone(), entry.key.clone());
        place
    }

    fn occupy(&self, key: &str, place: &str) {
        self.inner.occupy(key, place);
    }

    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError> {
        self.inner.discard_unrecorded(recorded)
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        Ok(Box::new(NamingUnit { inner: self.inner.begin(unit)?, keys: Arc::clone(&self.keys) }))
    }

    fn close(&self) -> Result<(), SinkError> {
        self.inner.close()
    }
}

impl UnitSink for NamingUnit {
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        self.inner.create(index, arriving)
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        for (_, receipt) in published.iter_mut() {
            receipt.key = self.keys.lock().unwrap()[&receipt.path].clone();
        }
        self.inner.commit(published)
    }
}
