//! Runs that are killed in the midst and resumed, for what `tests/resume.rs` does not carry: archives, another S3 server,
//! and all versions. Each ends with the verdict and the content of an undisturbed run, and nothing lies beside it.

use std::{collections::BTreeMap, sync::atomic::AtomicU32};

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::Value;

use crate::support::{
    self, WeedServer, block_on,
    disturb::{Drill, Gate, Moment, bytes, count},
    fill_bucket,
};

const BUCKET: &str = "files";
/// Bytes of a large object that pass before the gate is shut.
const STALL_BYTES: i64 = 16 << 20;

/// Where in a run it is killed.
#[derive(Clone, Copy, Debug)]
enum At {
    /// A large object is on its way.
    Underway,
    Moment(Moment),
}

const MOMENTS: [At; 5] = [
    At::Underway,
    At::Moment(Moment::Event("unit_done", 1)),
    At::Moment(Moment::Event("unit_done", 2)),
    At::Moment(Moment::Event("asset_transferred", 1)),
    At::Moment(Moment::Event("asset_verified", 1)),
];

/// A bucket behind a gate.
struct World {
    weed: WeedServer,
    gate: Gate,
    /// More keys of the bucket, and of the target.
    keys: [String; 2],
}

/// What a run is compared by.
#[derive(Debug, PartialEq)]
struct Content {
    verdict: Value,
    asset: [Value; 6],
    /// Key, place among its versions, size and digest of every receipt.
    receipts: Vec<[Value; 4]>,
}

impl World {
    fn new(bucket_keys: &str, target_keys: &str) -> Self {
        let weed = support::weed();
        let gate = Gate::before(weed.endpoint());
        World { weed, gate, keys: [bucket_keys, target_keys].map(str::to_owned) }
    }

    fn drill(&self) -> Drill {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Runs are named after the playbook and the second; what is shared at the target must not meet.
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let ([bucket, target], s3) = (&self.keys, self.gate.through(self.weed.endpoint()));
        Drill::new(&format!(
            "version: 1\nid: drill-{number}\n\
             provider: {{aws: {{regions: [us-east-1], endpoints: {{s3: \"{s3}\"}}}}}}\n\
             target: {{path: restored/{target}}}\n\
             assets:\n  - {{id: files, s3: {{bucket: {BUCKET}{bucket}}}}}\n\
             evidence: {{path: evidence/}}\n"
        ))
    }

    fn killed(&self, at: At) -> Drill {
        let drill = self.drill();
        if matches!(at, At::Underway) {
            self.gate.stall_after(STALL_BYTES);
        }
        let mut running = drill.start();
        match at {
            At::Underway => self.gate.wait_for_stall(),
            At::Moment(moment) => assert!(running.wait_for(moment), "{moment:?} never came: {:?}", running.end()),
        }
        running.kill();
        self.gate.open();
        drill
    }

    /// Kills a run at each moment, and checks what a resumption makes of it.
    fn kill_at_each(&self, check: impl Fn(&Drill, &str)) {
        let whole = self.drill();
        whole.run().expect(0);
        let undisturbed = content(&whole);
        assert_eq!(undisturbed.verdict, "PASS");
        check(&whole, "undisturbed");
        for at in MOMENTS {
            let drill = self.killed(at);
            let when = format!("{at:?}");
            let ended_before = count(&drill.journal(), "run_done");
            assert!(ended_before == 0 || !matches!(at, At::Underway), "{when}: the run was too fast");
            let before = units(&drill);
            drill.resume().expect(0);
            assert_eq!(content(&drill), undisturbed, "{when}");
            assert_eq!(units(&drill)[..before.len()], before, "{when}: a finished unit was repeated");
            check(&drill, &when);
            drill.verify().expect(0);
        }
    }
}

fn units(drill: &Drill) -> Vec<Value> {
    let journal = drill.journal().into_iter();
    journal.filter(|line| line["event"] == "unit_done").map(|line| line["unit"].clone()).collect()
}

fn receipts(drill: &Drill) -> Vec<Value> {
    let lines = std::fs::read_to_string(drill.bundle().join("data/assets/files/objects.ndjson")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn content(drill: &Drill) -> Content {
    let result = drill.result();
    let asset = &result["assets"][0];
    let objects = &result["assets"][0]["objects"];
    let of = |receipt: Value| {
        [&receipt["key"], &receipt["version"]["order"], &receipt["size"], &receipt["sha256"]].map(Clone::clone)
    };
    Content {
        verdict: result["verdict"].clone(),
        asset: [
            &asset["verdict"],
            &asset["content_sha256"],
            &asset["items"],
            &asset["checks"],
            &objects["listed"],
            &objects["delete_markers"],
        ]
        .map(Clone::clone),
        receipts: receipts(drill).into_iter().map(of).collect(),
    }
}

fn objects() -> Vec<(String, Vec<u8>)> {
    let small = |n: usize| (format!("small/{n:03}"), bytes(n as u64, 10 * n));
    let mut objects: Vec<_> = (0..200).map(small).collect();
    // Large enough for a unit of its own.
    objects.push(("large".to_owned(), bytes(1001, 33 << 20)));
    objects
}

/// Every member of every archive, by the path of its receipt, and the archives that have no member.
fn members(drill: &Drill) -> BTreeMap<String, Vec<u8>> {
    let mut members = BTreeMap::new();
    for entry in std::fs::read_dir(drill.restored().join("files")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_some_and(|ending| ending == "tar"), "{} is no archive", path.display());
        for member in tar::Archive::new(std::fs::File::open(path).unwrap()).entries().unwrap() {
            let mut member = member.unwrap();
            let name = String::from_utf8(member.path_bytes().into_owned()).unwrap();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut member, &mut content).unwrap();
            assert!(members.insert(name.clone(), content).is_none(), "{name} comes twice");
        }
    }
    members
}

/// What the receipts name is what there is, byte for byte.
#[track_caller]
fn assert_same(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>, when: &str) {
    let wrong: Vec<_> =
        expected.iter().filter(|(key, bytes)| found.get(*key) != Some(bytes)).map(|one| one.0).collect();
    let stray: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(wrong.is_empty() && stray.is_empty(), "{when}: wrong or missing: {wrong:?}; stray: {stray:?}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_killed_run_into_archives_ends_like_an_undisturbed_one() {
    let world = World::new(", layout: tar", "");
    let objects = objects();
    fill_bucket(world.weed.endpoint(), BUCKET, &objects);
    world.kill_at_each(|drill, when| {
        let by_key: BTreeMap<_, _> = objects.iter().cloned().collect();
        let path = |receipt: Value| {
            let text = |name: &str| receipt[name].as_str().unwrap().to_owned();
            (text("path"), by_key[&text("key")].clone())
        };
        assert_same(&receipts(drill).into_iter().map(path).collect(), &members(drill), when);
    });
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_killed_run_into_another_server_ends_like_an_undisturbed_one() {
    let target = support::weed();
    let world = World::new(", layout: s3", &format!(", s3: {{endpoint: \"{}\"}}", target.endpoint()));
    let objects = objects();
    fill_bucket(world.weed.endpoint(), BUCKET, &objects);
    let client = support::client(target.endpoint());
    world.kill_at_each(|drill, when| {
        let bucket = receipts(drill)[0]["within"]["bucket"]["name"].as_str().unwrap().to_owned();
        let found = block_on(async {
            let listed = client.list_objects_v2().bucket(&bucket).send().await.unwrap();
            let mut found = BTreeMap::new();
            for object in listed.contents() {
                let key = object.key().unwrap();
                let answer = client.get_object().bucket(&bucket).key(key).send().await.unwrap();
                found.insert(key.to_owned(), answer.body.collect().await.unwrap().to_vec());
            }
            found
        });
        assert_same(&objects.iter().cloned().collect(), &found, when);
    });
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_killed_run_of_all_versions_ends_like_an_undisturbed_one() {
    let world = World::new(", versions: all", "");
    fill_versions(world.weed.endpoint());
    world.kill_at_each(|drill, when| {
        let root = drill.restored().join("files");
        let mut markers = 0;
        let mut large = 0;
        for receipt in receipts(drill) {
            if receipt["version"]["delete_marker"] == true {
                markers += 1;
                continue;
            }
            let content = std::fs::read(root.join(receipt["path"].as_str().unwrap())).unwrap();
            assert_eq!(content.len() as u64, receipt["size"].as_u64().unwrap(), "{when}: {receipt}");
            large += usize::from(content.len() > 1 << 20);
        }
        assert_eq!((markers, large), (20, 2), "{when}");
    });
}

/// Sixty keys of three versions, every third one deleted since, and a large one that was replaced.
fn fill_versions(endpoint: &str) {
    fill_bucket::<&str, &[u8]>(endpoint, BUCKET, &[]);
    let client = support::client(endpoint);
    block_on(async {
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioning).send().await.unwrap();
        let put = async |key: &str, content: Vec<u8>| {
            client.put_object().bucket(BUCKET).key(key).body(content.into()).send().await.unwrap();
        };
        for version in 0..3_u64 {
            for number in 0..60_u64 {
                put(&format!("small/{number:02}"), bytes(version * 100 + number, 200)).await;
            }
            if version > 0 {
                put("large", bytes(1_000 + version, 33 << 20)).await;
            }
        }
        for number in (0..60).step_by(3) {
            client.delete_object().bucket(BUCKET).key(format!("small/{number:02}")).send().await.unwrap();
        }
    });
}
