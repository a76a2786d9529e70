//! What walkaway finds on this machine, and waivers.

use std::fs;

use crate::account::world::{Drilled, World};

const ONE_BUCKET: &str = "assets: [{id: invoices, s3: {bucket: acme-invoices}}]\n";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn preconditions_hold_a_run_back_and_waivers_let_it_go() {
    let world = World::of("clean");
    fs::create_dir_all(world.home.join(".aws")).unwrap();
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    fs::write(world.home.join(".aws/credentials"), format!("[x]\naws_secret_access_key = {secret}\n")).unwrap();
    fs::write(world.home.join("app.env"), "\nKEY=AKIAIOSFODNN7EXAMPLE\n").unwrap();
    let asked = format!("{ONE_BUCKET}preconditions: [identity.mfa, identity.short_lived, local.no_secrets]\n");
    world.playbook(&asked);
    let output = world.command(&["run", "drill.yaml"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for wanted in ["identity.mfa", "identity.short_lived", "app.env:2: ", ".aws/credentials:2: "] {
        assert!(stderr.contains(wanted), "{wanted} is not in {stderr}");
    }
    assert!(!stderr.contains(secret) && !stderr.contains("AKIAIOSFODNN7EXAMPLE"), "{stderr}");

    let waiver = |finding: &str| {
        format!("  - {{finding: \"{finding}\", reason: drill of a test, owner: me, until: 2999-01-01}}\n")
    };
    let waived = format!("{asked}waivers:\n{}", waiver("precondition does not hold: *"));
    let ran = world.run(&waived);
    ran.assert_ended(0, "WAIVED").assert_verifies();
    assert_eq!(ran.result["waivers"][0]["waives"], 3);
    assert_eq!(ran.result["session"]["session"], "user_with_key");
    let told = ran.text("data/checks/secrets.json");
    assert!(told.contains("app.env") && !told.contains("AKIAIOSFODNN7EXAMPLE"));

    let expired = waived.replace("2999", "2020");
    world.playbook(&expired);
    assert_eq!(world.command(&["run", "drill.yaml"]).output().unwrap().status.code(), Some(2));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_waiver_that_fits_nothing_is_told_and_a_finding_without_one_stays() {
    let world = World::of("faulty");
    let lines = format!(
        "{ONE_BUCKET}posture: [residency]\nwaivers:\n\
         \x20 - {{finding: \"lies outside the allowed regions: bucket acme-far\", reason: moves in May, owner: me, until: 2999-01-01}}\n\
         \x20 - {{finding: \"*encrypted at rest\", reason: none, owner: me, until: 2999-01-01}}\n"
    );
    let ran = world.run(&lines);
    ran.assert_ended(0, "WAIVED").assert_verifies();
    // The pattern would fit the finding about itself.
    assert_eq!(ran.findings(), ["region_not_allowed bucket acme-far", "waiver_unused *encrypted at rest"]);
    // A waiver's count is checked: the result can't claim another.
    let text = ran.text("data/result.json").replace("\"waives\": 1", "\"waives\": 2");
    fs::write(ran.bundle.join("data/result.json"), text).unwrap();
    let output = world.command(&["verify", ran.bundle.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("waives 1 findings, not 2"));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn this_machine_is_looked_at_and_judged_only_when_required() {
    let world = World::of("clean");
    let recorded = world.run(&format!("target: {{path: restored/, non_cloud: recorded}}\n{ONE_BUCKET}"));
    recorded.assert_ended(0, "PASS").assert_verifies();
    let told = recorded.json("data/checks/target.json");
    assert!(told["firmware"].is_object() && told["metadata_service"].is_null(), "{told:#}");
    let required = world.run(&format!("target: {{path: restored2/, non_cloud: required}}\n{ONE_BUCKET}"));
    let expected = match required.result["target"]["in_cloud"].as_bool() {
        Some(false) => (0, "PASS"),
        Some(true) => (1, "FAIL"),
        None => (2, "NOT RUN"),
    };
    required.assert_ended(expected.0, expected.1).assert_verifies();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn coverage_that_was_tampered_with_does_not_verify() {
    let world = World::of("clean");
    let ran = world.run(ONE_BUCKET);
    ran.assert_ended(0, "PASS").assert_verifies();
    // Nobody asked, and the account was looked at all the same, from its lists alone.
    assert_eq!(ran.result["coverage"]["totals"]["untested"]["assets"], 2);
    tamper(&world, &ran, "data/coverage.csv", "UNTESTED", "EXCLUDED", "does not follow");
    tamper(&world, &ran, "data/result.json", "\"assets\": 2", "\"assets\": 1", "coverage does not follow");
    tamper(&world, &ran, "data/inventory.json", "ledger", "ledges", "was made from another");
}

fn tamper(world: &World, ran: &Drilled, name: &str, from: &str, to: &str, expected: &str) {
    let path = ran.bundle.join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let output = world.command(&["verify", ran.bundle.to_str().unwrap()]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(expected), "{told}");
    fs::write(&path, text).unwrap();
}
