//! A provider that is gone for a while, and objects that never come although it is there: the first costs time, the second
//! these objects, each by name.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::object_faults::{
    provider::{Act, Asked, Beside},
    wire::World,
};

const OBJECTS: usize = 120;

fn keys() -> Vec<&'static str> {
    (0..OBJECTS).map(|number| &*format!("k{number:03}").leak()).collect()
}

fn world(limits: &'static str, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> World {
    World::described(&keys(), Beside::default(), [limits, ""], script)
}

fn everything() -> BTreeMap<String, Vec<u8>> {
    keys().into_iter().map(|key| (key.to_owned(), key.as_bytes().to_vec())).collect()
}

#[test]
fn an_outage_is_ridden_out() {
    let world = world("", |asked| match asked.number {
        60 => Act::Vanish(Duration::from_secs(4)),
        _ => Act::Serve,
    });
    world.run().expect(0);
    assert_eq!(world.restored(), everything());
}

/// Objects fail and the listing answers, from the beginning or later: what is tried again until it ends costs no object.
#[test]
fn an_outage_of_objects_alone_is_ridden_out() {
    let run = |from: u32| {
        thread::spawn(move || {
            let began = OnceLock::new();
            let world = world("", move |asked| match asked.number >= from {
                true if began.get_or_init(Instant::now).elapsed() < Duration::from_secs(6) => {
                    Act::Refuse(500, "InternalError")
                }
                _ => Act::Serve,
            });
            world.run().expect(0);
            assert_eq!(world.restored(), everything());
        })
    };
    [0, 60].map(run).into_iter().for_each(|ran| ran.join().unwrap());
}

/// What came before the provider went away is kept, nothing is sealed, and a resumed run fetches the rest.
#[test]
fn an_outage_beyond_the_limit_stops_the_asset_and_loses_nothing() {
    let world = world("}\n    limits: {stall: 1s", |asked| match asked.number {
        60 => Act::Vanish(Duration::from_secs(10)),
        _ => Act::Serve,
    });
    let ended = world.run().expect(2);
    assert!(ended.stderr.contains("limits.stall"), "{}", ended.stderr);
    let came = world.restored().len();
    assert!((20..OBJECTS).contains(&came), "{came} objects were kept");
    assert!(!world.drill.bundle().join("tagmanifest-sha256.txt").exists(), "what can be resumed was sealed");
    thread::sleep(Duration::from_secs(9));
    let asked = world.provider.asked().len();
    world.drill.end(&["resume", &world.drill.bundle().to_string_lossy()]).expect(0);
    assert_eq!(world.restored(), everything());
    let again = world.provider.asked().len() - asked;
    assert_eq!(again, OBJECTS - came, "only what was missing is fetched");
}

/// What was carried is not fetched again when its copy went meanwhile, and whoever reads of it learns what to do.
#[test]
fn a_copy_that_went_before_the_run_was_resumed_is_named_with_a_way_out() {
    let world = world("}\n    limits: {stall: 1s", |asked| match asked.number {
        60 => Act::Vanish(Duration::from_secs(10)),
        _ => Act::Serve,
    });
    world.run().expect(2);
    let gone = world.restored().into_keys().next().expect("something came");
    fs::remove_file(world.drill.restored().join("files/tree").join(&gone)).unwrap();
    thread::sleep(Duration::from_secs(9));
    world.drill.end(&["resume", &world.drill.bundle().to_string_lossy()]).expect(1);
    assert_eq!(world.findings(), [("object_missing".to_owned(), gone)]);
    let finding = &world.drill.result()["assets"][0]["findings"][0];
    assert!(finding["detail"].as_str().unwrap().contains("run the drill again"), "{finding}");
}

#[test]
fn objects_that_never_come_are_named_and_cost_the_others_nothing() {
    let broken: Vec<_> = keys()[40..52].to_vec();
    for act in [Act::Refuse(500, "InternalError"), Act::Reset(0), Act::Refuse(400, "ExpiredToken")] {
        let named = broken.clone();
        let world = {
            let act = act.clone();
            world("", move |asked| if named.contains(&&*asked.key) { act.clone() } else { Act::Serve })
        };
        world.run().expect(2);
        let mut expected = everything();
        expected.retain(|key, _| !broken.contains(&&**key));
        assert_eq!(world.restored(), expected, "{act:?}");
        let found: Vec<_> = broken.iter().map(|key| ("object_unreadable".to_owned(), (*key).to_owned())).collect();
        assert_eq!(world.findings(), found, "{act:?}");
        let check = json!({"name": "objects", "expected": OBJECTS, "compared": OBJECTS - 12, "equal": OBJECTS - 12});
        assert_eq!(world.drill.result()["assets"][0]["checks"][0], check, "what came was not read back");
    }
}

/// A listing that lies about a size, and entity tags that agree: what is served is carried, and the lie is named.
#[test]
fn another_size_than_the_listed_one_is_carried_and_named() {
    let beside = Beside { sizes: HashMap::from([("liar", 2)]), ..Beside::default() };
    let world = World::described(&["honest", "liar"], beside, ["", ""], |_| Act::Serve);
    world.run().expect(2);
    assert_eq!(world.restored()["liar"], b"liar");
    assert_eq!(world.findings(), [("object_changed".to_owned(), "liar".to_owned())]);
}

/// Hundreds of headers, text outside ASCII, and headers that come twice: each is in the receipt.
#[test]
fn odd_metadata_is_never_absent() {
    let many = (0..600).map(|number| format!("x-amz-meta-a{number}: {number}\r\n")).collect::<String>().leak();
    let odd = "x-amz-meta-city: Z\u{fc}rich\r\nx-amz-meta-twice: one\r\nx-amz-meta-twice: two\r\n\
               Content-Type: text/csv\r\nContent-Type: text/html\r\n";
    let headers = HashMap::from([("many", &*many), ("odd", odd)]);
    for layout in ["", ", layout: tar"] {
        let beside = Beside { headers: headers.clone(), ..Beside::default() };
        let world = World::described(&["many", "odd", "plain"], beside, [layout, ""], |_| Act::Serve);
        world.run().expect(0);
        let receipts = fs::read_to_string(world.drill.bundle().join("data/assets/files/objects.ndjson")).unwrap();
        let receipts: Vec<Value> = receipts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [many, odd, _] = &receipts[..] else { panic!("{} receipts", receipts.len()) };
        assert_eq!(many["properties"]["metadata"].as_object().unwrap().len(), 600);
        assert_eq!(odd["properties"]["metadata"], json!({"city": "Z\u{fc}rich", "twice": "one, two"}));
        assert_eq!(odd["classes"]["unreadable"], json!(["content_headers"]));
    }
}
