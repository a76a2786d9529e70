//! The real binary against a provider that misbehaves on the wire: what it rides out, what it refuses, and that nothing
//! wrong is ever published.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::{
    object_faults::provider::{Act, Asked, Beside, Provider},
    support::disturb::{Drill, Ended},
};

const SMALL: usize = 30_000;
const LARGE: usize = (20 << 20) + 12_345;

/// A run of the real binary over the bucket of a scripted provider.
pub struct World {
    pub provider: Provider,
    pub drill: Drill,
    objects: BTreeMap<&'static str, Vec<u8>>,
}

impl World {
    /// Small objects, something beside them, and more keys of the bucket and of the playbook.
    pub fn described(
        keys: &[&'static str],
        beside: Beside,
        [bucket, more]: [&str; 2],
        script: impl Fn(&Asked) -> Act + Send + Sync + 'static,
    ) -> Self {
        let objects: Vec<_> = keys.iter().map(|key| (*key, key.as_bytes().to_vec())).collect();
        let provider = Provider::describing(&objects, beside, script);
        let drill = Drill::new(&playbook(&provider.endpoint, bucket, more));
        World { provider, drill, objects: objects.into_iter().collect() }
    }

    fn new(sizes: &[(&'static str, usize)], script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let objects: Vec<_> = sizes.iter().map(|(key, size)| (*key, super::sample(key, *size).to_vec())).collect();
        let provider = Provider::start(&objects, script);
        let drill = Drill::new(&playbook(&provider.endpoint, "", ""));
        World { provider, drill, objects: objects.into_iter().collect() }
    }

    pub fn run(&self) -> Ended {
        self.drill.run()
    }

    /// Everything is there, byte for byte, and the bundle is sealed and intact.
    fn everything_arrives(&self) {
        self.run().expect(0);
        assert_eq!(
            self.restored(),
            self.objects.iter().map(|(key, bytes)| ((*key).to_owned(), bytes.clone())).collect()
        );
        self.drill.end(&["verify", &self.drill.bundle().to_string_lossy()]).expect(0);
    }

    pub fn restored(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        read_tree(&self.drill.join("restored"), &mut found);
        found
    }

    pub fn findings(&self) -> Vec<(String, String)> {
        let result = self.drill.result();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let findings = result["assets"][0]["findings"].as_array().unwrap();
        let mut found: Vec<_> =
            findings.iter().map(|finding| (text(&finding["kind"]), text(&finding["subject"]))).collect();
        found.sort();
        found
    }
}

fn playbook(endpoint: &str, bucket: &str, more: &str) -> String {
    format!(
        "version: 1\nid: wire\ntitle: faults on the wire\n\
         provider:\n  aws: {{regions: [us-east-1], endpoints: {{s3: \"{endpoint}\"}}}}\n\
         target: {{path: restored/}}\n\
         assets:\n  - id: files\n    s3: {{bucket: files{bucket}}}\n\
         evidence: {{path: evidence/}}\n{more}"
    )
}

/// Files by their names below `tree`, wherever that is.
fn read_tree(directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_tree(&path, found);
        } else {
            found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_burst_of_503_is_ridden_out() {
    let keys: Vec<&'static str> = (0..60).map(|number| &*format!("k{number:02}").leak()).collect();
    let sizes: Vec<_> = keys.iter().map(|key| (*key, 100)).collect();
    let world = World::new(&sizes, |asked| if asked.number <= 90 { Act::Refuse(503, "SlowDown") } else { Act::Serve });
    world.everything_arrives();
}

#[test]
fn resets_and_ends_at_any_byte_are_taken_up_where_they_happened() {
    let world = World::new(&[("large", LARGE), ("small", SMALL), ("one", 1)], |asked| match asked.attempt {
        1 => Act::Reset(0),
        2 => Act::Cut(7),
        3 => Act::Reset(20_011),
        4 => Act::Cut(9_999),
        _ => Act::Serve,
    });
    world.everything_arrives();
    // What came before a break is not fetched again: the range goes on in its middle.
    assert!(world.provider.asked().iter().any(|asked| asked.key == "small" && asked.first == 7));
}

#[test]
fn slow_bodies_arrive() {
    World::new(&[("small", SMALL)], |_| Act::Slow(3_000)).everything_arrives();
}

#[test]
fn an_error_with_the_status_of_a_success_is_no_object() {
    let objects = [("error", 107), ("large", LARGE), ("small", SMALL)];
    let world = World::new(&objects, |asked| if asked.attempt < 3 { Act::ErrorWithStatus200 } else { Act::Serve });
    world.everything_arrives();
}

#[test]
fn surplus_bytes_are_no_object() {
    let world = World::new(&[("large", LARGE), ("small", SMALL)], |asked| match asked.attempt {
        1 => Act::Surplus(1),
        2 => Act::Surplus(100_000),
        _ => Act::Serve,
    });
    world.everything_arrives();
}

#[test]
fn wrong_bytes_of_the_right_length_are_never_published() {
    let world = World::new(&[("good", SMALL), ("wrong", SMALL), ("large", LARGE)], |asked| match asked.key.as_str() {
        "good" => Act::Serve,
        _ => Act::Flip(4_242),
    });
    world.run().expect(1);
    assert_eq!(world.restored().keys().collect::<Vec<_>>(), ["good"]);
    let expected = ["large", "wrong"].map(|key| ("provider_checksum".to_owned(), key.to_owned()));
    assert_eq!(world.findings(), expected);
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_never_mixed() {
    let world =
        World::new(&[("large", LARGE), ("small", SMALL)], |asked| match (asked.key.as_str(), asked.range_number) {
            ("large", 1) => Act::Replace(b"another object"),
            _ => Act::Serve,
        });
    world.run();
    let restored = world.restored();
    assert_eq!(restored["small"], world.objects["small"]);
    assert!(restored.get("large").is_none_or(|bytes| bytes == b"another object"), "two versions are mixed");
}

#[test]
fn what_never_comes_is_not_run_and_the_others_are_kept() {
    let world = World::new(&[("a", SMALL), ("b", SMALL), ("never", SMALL)], |asked| match asked.key.as_str() {
        "never" => Act::Reset(11),
        _ => Act::Serve,
    });
    let ended = world.run().expect(2);
    assert!(ended.stderr.contains("never"), "{}", ended.stderr);
    world.drill.end(&["resume", "--seal", &world.drill.bundle().to_string_lossy()]).expect(2);
    assert_eq!(world.drill.result()["assets"][0]["verdict"], "NOT RUN");
    assert_eq!(world.restored().keys().collect::<Vec<_>>(), ["a", "b"]);
}
