//! How much is carried: samples, plans, and a provider that moves on while a run goes on.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    objects::{Provider, by_key, verifies},
    support::{
        self,
        disturb::Gate,
        drill::{Drill, FILES, content},
    },
};

fn some_objects() -> Vec<(String, Vec<u8>)> {
    let sizes = [0, 10, 300, 5_000, 70_000];
    (0..400).map(|number| (format!("n/{number:03}"), content(&number.to_string(), sizes[number % 5]))).collect()
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_sample_is_reproducible_and_never_looks_like_the_whole() {
    let objects = some_objects();
    let drill = Drill::new().bucket(&objects).asset("sample: {share: 10%, seed: 20261001}");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!((&ran.result["tier"], &ran.asset(FILES)["tier"]), (&json!("sample"), &json!("sample")));
    assert!(ran.stderr.contains("PASS OF A SAMPLE ("), "{}", ran.stderr);
    let keys: BTreeSet<_> = ran.places().into_keys().collect();
    assert!((20..80).contains(&keys.len()), "{} of 400", keys.len());
    let sample = &ran.asset(FILES)["objects"]["sample"];
    let strata = sample["strata"].as_array().unwrap();
    let sum = |name: &str| strata.iter().map(|stratum| stratum[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("objects"), sum("taken_objects")), (400, keys.len() as u64));
    assert!(
        strata.len() == 5 && strata.iter().all(|stratum| stratum["taken_objects"].as_u64() > Some(0)),
        "{strata:#?}"
    );
    verifies(&drill, &ran);
    let again: BTreeSet<_> = drill.run().places().into_keys().collect();
    assert_eq!(again, keys);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_plan_says_sizes_requests_time_and_cost() {
    let objects = some_objects();
    let drill = Drill::new().bucket(&objects);
    drop(drill.prepared(&[]));
    let plan = |arguments: &[&str]| {
        let output = drill.walkaway(&[&["plan", "drill.yaml"], arguments].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = plan(&[]);
    for word in ["objects of at least", "requests", "USD", "as of an unrecorded day", "check them", "an assumed"] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let json = plan(&["--json"]);
    let asset: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let survey = &asset["objects"];
    let sizes = survey["sizes"].as_array().unwrap();
    assert_eq!(sizes.iter().map(|class| class["objects"].as_u64().unwrap()).sum::<u64>(), 400);
    assert_eq!(survey["get_requests"], 400);
    assert!(survey["expected_basis"].as_str().unwrap().contains(ran.result["run"].as_str().unwrap()), "{survey:#}");
}

/// The answers stop in the midst of the transfer; meanwhile one object comes and one is replaced.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_changes_at_the_provider_during_a_run_is_named_and_what_is_carried_is_consistent() {
    let server = support::weed();
    let provider = Provider::at(server.endpoint());
    for number in 0..4 {
        provider.put(&format!("large/{number}"), &content(&number.to_string(), 6 << 20));
    }
    provider.put("replaced", b"before");
    provider.put("deleted", b"once");
    let gate = Gate::before(server.endpoint());
    let drill = Drill::new().bucket_at(&gate.through(server.endpoint()));
    gate.stall_after(3 << 20);
    let running = drill.prepared(&[]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let running = running.unwrap();
    gate.wait_for_stall();
    provider.put("came", b"late");
    provider.put("replaced", b"after.");
    support::block_on(provider.client.delete_object().bucket(support::drill::BUCKET).key("deleted").send()).unwrap();
    gate.open();
    let ran = support::drill::Ran::of(&running.wait_with_output().unwrap());
    ran.assert_found("source_moved", "drill-files");
    // Read before it was deleted, it is proven; if it was not, it is named.
    match ran.places().contains_key("deleted") {
        true => ran.assert_ended(0, "PASS"),
        false => ran.assert_found("object_changed", "deleted"),
    };
    let changes = ran.read(&format!("data/assets/{FILES}/changes.ndjson"));
    assert!(changes.contains(r#"{"movement":"came","key":"came"}"#), "{changes}");
    // Whether it was read before or after, it is not what was listed first.
    assert!(changes.contains(r#"{"movement":"changed","key":"replaced"}"#), "{changes}");
    assert!(changes.contains(r#"{"movement":"went","key":"deleted"}"#), "{changes}");
    assert_eq!(ran.asset(FILES)["objects"]["changes"], json!({"came": 1, "changed": 1, "went": 1}));
    let restored = by_key(&ran, &ran.restored(FILES))["replaced"].clone();
    assert!(restored == b"before" || restored == b"after.", "{restored:?}");
    assert!(!ran.places().contains_key("came"));
}
