//! What a real exit from a bucket meets, each case by its name: carried and proven, or named in the report.
//!
//! moto stands for keys, states, rights and configuration; SeaweedFS for bytes, parts, checksums and versions. What is
//! not here because another suite has it: sources and sinks by themselves (`contract_objects`), a provider or a disk
//! that fails in the midst (`object_faults`, `bad_world`), kills and resumption (`resume`).
//!
//! What neither server can show, and so no test does:
//! * CRC-64/NVME that S3 adds to plain uploads: neither adds it; the contract suite's in-memory server stands for it.
//! * Composite checksums with a list of parts: SeaweedFS lists parts without checksums, moto lists none; composites are
//!   covered by the properties of `transfer::checksum`.
//! * Intelligent-Tiering's archive tiers, and an object that is being restored from Glacier.
//! * KMS without the right to decrypt: moto does not ask for the right, SeaweedFS has no rights on keys (scripted, too).
//! * Object lock and legal hold in a moto bucket: it refuses to make one. `object_faults::beside` has a scripted server
//!   say them, access control lists, single objects that rights hide, and a KMS key that is disabled.
//! * Requester pays; access points; the rights of a role that may read some configuration calls and not others.
//! * Keys with control characters on either server: `contract_objects` carries them from the in-memory one.

mod elsewhere;
mod integrity;
mod keys;
mod layouts;
mod proxy;
mod resumed;
mod round_trip;
mod scope;
mod states;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::support::{
    self, block_on,
    drill::{BUCKET, Drill, FILES, Ran},
};
use aws_sdk_s3::{Client, primitives::ByteStream};

/// A bucket on a server of the test's own.
pub struct Provider {
    pub client: Client,
    pub endpoint: String,
}

impl Provider {
    pub fn at(endpoint: &str) -> Self {
        support::fill_bucket::<&str, &[u8]>(endpoint, BUCKET, &[]);
        Provider { client: support::client(endpoint), endpoint: endpoint.to_owned() }
    }

    pub fn put(&self, key: &str, bytes: &[u8]) -> Option<String> {
        let request = self.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(bytes.to_vec()));
        block_on(request.send()).unwrap().version_id
    }

    pub fn drill(&self) -> Drill {
        Drill::new().bucket_at(&self.endpoint)
    }
}

/// What a tar program makes of the archives of an asset.
pub fn extract(program: &str, ran: &Ran) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for archive in archives(ran) {
        let output = Command::new(program).arg("-xf").arg(&archive).arg("-C").arg(directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{program} {}: {said}", archive.display());
    }
    directory
}

pub fn archives(ran: &Ran) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(ran.restored(FILES)).unwrap().map(|entry| entry.unwrap().path());
    let archives: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "tar")).collect();
    assert!(!archives.is_empty(), "no archive");
    archives
}

/// The restored bytes by key, from a directory that holds what the receipts' paths name.
pub fn by_key(ran: &Ran, directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let receipts = ran.receipts().into_iter().filter(|receipt| receipt["path"] != "");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    receipts.map(|receipt| (text(&receipt["key"]), fs::read(directory.join(text(&receipt["path"]))).unwrap())).collect()
}

/// `walkaway verify --restored` agrees.
pub fn verifies(drill: &Drill, ran: &Ran) {
    let output = drill.walkaway(&["verify", ran.bundle.to_str().unwrap(), "--restored"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
