//! A target that is the provider itself is refused before anything is written, whatever it is called.

use crate::{
    Provider,
    support::{self, block_on, disturb::Gate, drill::BUCKET},
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
    let (source, target) = (support::weed(), support::weed());
    let provider = Provider::at(source.endpoint());
    provider.put("k", b"1");
    Provider::at(target.endpoint()).put("k", b"2");
    let drill = provider.drill().s3("layout: s3").target_key(&format!("s3: {{endpoint: \"{}\"}}", target.endpoint()));
    drill.run().assert_ended(0, "PASS");
}
