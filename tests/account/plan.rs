//! `plan`, `plan --iam-policy` and `init` against an account.

use std::fs;

use serde_json::Value;

use crate::account::world::World;

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_plan_shows_coverage_posture_and_what_stands_in_the_way() {
    let world = World::of("faulty");
    world.playbook(
        "assets: [{id: invoices, s3: {bucket: acme-invoices}}]\nposture: [residency, public_access]\n\
         preconditions: [identity.mfa]\nthresholds: {coverage_assets: \">= 1%\"}\n",
    );
    let output = world.command(&["plan", "drill.yaml"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for wanted in [
        "a run would test 1 of ",
        "UNTESTED bucket acme-open: not in the playbook",
        "lies outside the allowed regions: bucket acme-far",
        "open to everybody: bucket acme-open",
        "a run would not begin:",
        "identity.mfa",
    ] {
        assert!(told.contains(wanted), "{wanted} is not in {told}");
    }
    assert!(!world.home.join("restored").exists() && !world.home.join("evidence").exists());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_least_policy_is_printed_where_nobody_answers_and_narrower_where_the_account_does() {
    let world = World::of("clean");
    world.playbook(
        "assets: [{id: invoices, s3: {bucket: acme-invoices, prefix: 2026/}}]\n\
         posture: [encryption, public_access, credentials, protection]\n",
    );
    let mut command = world.command(&["plan", "--iam-policy", "drill.yaml"]);
    let output = command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let policy: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = policy.to_string();
    assert!(text.contains("arn:aws:s3:::acme-invoices/2026/*") && !text.contains("Put") && !text.contains("\"*:*\""));
    assert!(text.contains("kms:Decrypt"), "{text}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("is not known: the policy lets every key be used through S3"), "{stderr}");

    // The account's bucket is encrypted by a key of S3's own.
    let output = world.command(&["plan", "--iam-policy", "drill.yaml"]).output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && seen.contains("ReadCarriedObjects") && !seen.contains("kms:"), "{seen}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn init_writes_a_playbook_that_is_valid_and_leaves_no_bucket_out() {
    let world = World::of("clean");
    let init = world.command(&["init", "--region", "eu-central-1", "-o", "first.yaml"]).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let text = fs::read_to_string(world.home.join("first.yaml")).unwrap();
    assert!(text.contains("bucket: \"acme-invoices\"") && text.contains("bucket: \"acme-contracts\""), "{text}");
    assert!(text.contains("env:LEDGER_URL"), "{text}");
    let mut check = world.command(&["check", "first.yaml"]);
    let output = check.env("LEDGER_URL", "postgres://reader@127.0.0.1/ledger").output().unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    // Nothing is overwritten.
    let again = world.command(&["init", "--region", "eu-central-1", "-o", "first.yaml"]).output().unwrap();
    assert!(!again.status.success());
}
