//! Another S3 server as the target: one that is the provider itself is refused before anything is written, whatever it
//! is called; objects that the server refuses are named, and the others go on.

use crate::{
    objects::{Provider, verifies},
    support::{
        self, block_on,
        disturb::Gate,
        drill::{BUCKET, FILES},
    },
};

/// Tries to restore a bucket into the server at `target`; exit code, stderr, and the buckets of the provider afterwards.
fn tried(provider: &Provider, target: &str) -> (Option<i32>, String, Vec<String>) {
    let drill = provider.drill().s3("layout: s3").target_key(&format!("s3: {{endpoint: \"{target}\"}}"));
    let output = drill.prepared(&[]).output().unwrap();
    assert!(!drill.home().join("restored").join("drill").exists());
    let buckets = block_on(provider.client.list_buckets().send()).unwrap();
    let names = buckets.buckets().iter().map(|bucket| bucket.name().unwrap().to_owned()).collect();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), names)
}

fn is_refused_under_every_name(endpoint: &str) {
    let provider = Provider::at(endpoint);
    provider.put("k", b"1");
    // Another port, as through a proxy: only what lies there tells.
    let gate = Gate::before(endpoint);
    for target in [
        endpoint.to_owned(),
        format!("{endpoint}/"),
        endpoint.replace("127.0.0.1", "localhost"),
        gate.through(endpoint),
    ] {
        let (code, said, buckets) = tried(&provider, &target);
        assert_eq!(code, Some(2), "{target}: {said}");
        assert!(said.contains("target.s3") && said.contains("is the provider"), "{target}: {said}");
        assert_eq!(buckets, [BUCKET], "{target}: something was written");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn seaweedfs_as_its_own_target_is_refused() {
    is_refused_under_every_name(support::weed().endpoint());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn moto_as_its_own_target_is_refused() {
    is_refused_under_every_name(support::moto().endpoint());
}

/// A bucket of the same name at another server is nobody's fault.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_bucket_of_the_same_name_at_another_server_is_no_obstacle() {
    let source = support::weed();
    let target = support::weed();
    let provider = Provider::at(source.endpoint());
    provider.put("k", b"1");
    Provider::at(target.endpoint()).put("k", b"2");
    let drill = provider.drill().s3("layout: s3").target_key(&format!("s3: {{endpoint: \"{}\"}}", target.endpoint()));
    drill.run().assert_ended(0, "PASS");
}

/// SeaweedFS refuses these keys; the provider holds them.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn objects_that_the_target_refuses_are_named_and_the_others_go_on() {
    let source = support::moto();
    let target = support::weed();
    let provider = Provider::at(source.endpoint());
    let long = format!("long/{}", "x".repeat(300));
    for key in ["../x", &long, "a", "b/c"] {
        provider.put(key, key.as_bytes());
    }
    let drill = provider.drill().s3("layout: s3").target_key(&format!("s3: {{endpoint: \"{}\"}}", target.endpoint()));
    let ran = drill.run();
    ran.assert_ended(2, "NOT RUN");
    ran.assert_found("object_unrestored", "../x").assert_found("object_unrestored", &long);
    let mut carried: Vec<_> =
        ran.receipts().iter().map(|receipt| receipt["key"].as_str().unwrap().to_owned()).collect();
    carried.sort();
    assert_eq!(carried, ["a", "b/c"]);
    let findings = ran.asset(FILES)["findings"].as_array().unwrap().clone();
    let told: Vec<_> = findings.iter().filter(|finding| finding["kind"] == "object_unrestored").collect();
    assert_eq!(told.len(), 2, "{findings:?}");
    for finding in told {
        let detail = finding["detail"].as_str().unwrap();
        assert!(detail.starts_with("the target refuses it: ") && detail.ends_with("`layout: tar` takes any object"));
        assert!(!detail.contains("Error {") && detail.matches("Invalid").count() <= 1, "{detail}");
    }
    verifies(&drill, &ran);
}
