//! Thousands of objects that can't be read: none is lost, the result stays small, and the verdict is that of a few.

use std::{collections::BTreeSet, fs, path::Path};

use jiff::civil::Date;
use serde_json::{Value, json};
use walkaway::{
    domain::finding::FindingKind,
    evidence::{BagInfo, check_bundle, seal},
};

use crate::{
    object_faults::{
        provider::{Act, Beside},
        wire::World,
    },
    support::disturb::Drill,
};

const DENIED: usize = 2_500;
/// As many of a kind as a result shows.
const SHOWN: usize = 1_000;
const FILED: &str = "data/assets/files/findings.ndjson";

fn keys() -> Vec<&'static str> {
    let denied = (0..DENIED).map(|number| &*format!("denied-{number:04}").leak());
    denied.chain(["kept", "kept-too"]).collect()
}

/// A run over a bucket of which all but two objects are denied.
fn denied(more: &str) -> World {
    World::described(&keys(), Beside::default(), ["", more], |asked| match asked.key.starts_with("denied") {
        true => Act::Refuse(403, "AccessDenied"),
        false => Act::Serve,
    })
}

fn asset(drill: &Drill) -> Value {
    drill.result()["assets"][0].clone()
}

#[test]
fn thousands_of_denied_objects_are_filed_by_name_and_the_first_ones_shown() {
    let world = denied("");
    let ended = world.run().expect(2);
    let drill = &world.drill;
    let asset = asset(&world.drill);
    assert_eq!(asset["verdict"], "NOT RUN");
    assert_eq!(asset["checks"][0], json!({"name": "objects", "expected": DENIED + 2, "compared": 2, "equal": 2}));
    let kinds = json!([{"kind": "object_unreadable", "severity": "not_run", "total": DENIED, "shown": SHOWN}]);
    assert_eq!((&asset["filed"]["file"], &asset["filed"]["kinds"]), (&json!("findings.ndjson"), &kinds));
    let of_kind = |finding: &&(String, String)| finding.0 == "object_unreadable";
    let shown: Vec<String> = world.findings().iter().filter(of_kind).map(|finding| finding.1.clone()).collect();
    let expected: Vec<String> = (0..SHOWN).map(|number| format!("denied-{number:04}")).collect();
    assert_eq!(shown, expected);
    let filed = fs::read_to_string(drill.bundle().join(FILED)).unwrap();
    let subjects: BTreeSet<_> = filed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["subject"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((filed.lines().count(), subjects.len()), (DENIED, DENIED));
    assert_eq!(world.restored().keys().collect::<Vec<_>>(), ["kept", "kept-too"]);
    assert!(ended.stderr.contains("assets/files/findings.ndjson"), "{}", ended.stderr);
    let manifest = fs::read_to_string(drill.bundle().join("manifest-sha256.txt")).unwrap();
    assert!(manifest.contains(FILED));
    let total = drill.journal().last().unwrap()["findings"].as_u64().unwrap();
    assert!(total >= DENIED as u64, "{total}");
    let report = fs::read_to_string(drill.bundle().join("data/report.html")).unwrap();
    assert!(report.contains("and 1,500 more"), "the report says nothing of the rest");
    // Those of the bundle itself: none.
    drill.verify().expect(0);

    damage_is_found(&drill.bundle());
}

/// A bundle whose file of findings was changed and whose manifests were made to agree again is found out.
#[track_caller]
fn damage_is_found(bundle: &Path) {
    let original = |name: &str| fs::read_to_string(bundle.join(name)).unwrap();
    let filed = original(FILED);
    let result = original("data/result.json");
    let first = filed.lines().next().unwrap().to_owned();
    let subject = |key: &str| format!("\"subject\":\"{key}\"");
    let damages = [
        ("a line less", FILED, filed.replacen(&format!("{first}\n"), "", 1)),
        ("a line twice", FILED, format!("{filed}{first}\n")),
        ("another name", FILED, filed.replacen(&subject("denied-0007"), &subject("denied-9999"), 1)),
        ("cut off", FILED, filed[..filed.len() - 5].to_owned()),
        ("another number", "data/result.json", result.replace("\"total\": 2500", "\"total\": 2400")),
        ("fewer shown", "data/result.json", result.replace("\"shown\": 1000", "\"shown\": 999")),
    ];
    for (what, name, damaged) in damages {
        let whole = original(name);
        assert_ne!(whole, damaged, "{what}: the damage does nothing");
        fs::write(bundle.join(name), damaged).unwrap();
        seal_again(bundle);
        let kinds: Vec<_> = check_bundle(bundle).unwrap().findings.into_iter().map(|finding| finding.kind).collect();
        let wrong = [FindingKind::BundleInconsistent, FindingKind::BundleMalformed];
        assert!(kinds.iter().any(|kind| wrong.contains(kind)), "{what}: {kinds:?}");
        fs::write(bundle.join(name), whole).unwrap();
    }
    seal_again(bundle);
    assert_eq!(check_bundle(bundle).unwrap().findings, []);
}

fn seal_again(bundle: &Path) {
    fs::remove_file(bundle.join("tagmanifest-sha256.txt")).unwrap();
    let run = bundle.file_name().unwrap().to_string_lossy().into_owned();
    let description = "a drill".to_owned();
    let software = "walkaway 0".to_owned();
    seal(bundle, &BagInfo { run, date: Date::constant(2026, 10, 1), description, software }).unwrap();
}

/// A waiver answers for what it fits, also beyond what is shown, and for nothing else.
#[test]
fn a_waiver_of_what_is_shown_does_not_waive_what_is_filed() {
    let waiver = |pattern: &str| {
        format!(
            "waivers:\n  - {{finding: \"files: object could not be read: {pattern}\", reason: known, owner: a@acme.example, \
             until: 2999-01-01}}\n"
        )
    };
    let shown_only = denied(&waiver("denied-0*"));
    shown_only.run().expect(2);
    let result = shown_only.drill.result();
    assert_eq!((&result["verdict"], &result["waivers"][0]["waives"]), (&json!("NOT RUN"), &json!(SHOWN)));
    shown_only.drill.verify().expect(0);
    let all = denied(&waiver("denied-*"));
    all.run().expect(0);
    let result = all.drill.result();
    assert_eq!((&result["verdict"], &result["waivers"][0]["waives"]), (&json!("WAIVED"), &json!(DENIED)));
    all.drill.verify().expect(0);
}
