//! Versions, archived and encrypted objects, the bucket's configuration, and a provider that moves on.

use aws_sdk_s3::types::{BucketVersioningStatus, CorsConfiguration, CorsRule, StorageClass, VersioningConfiguration};
use serde_json::{Value, json};

use crate::{
    objects::{Provider, extract, verifies},
    support::{
        self, block_on,
        drill::{BUCKET, FILES},
    },
};

fn set_versioning(provider: &Provider, status: BucketVersioningStatus) {
    let versioning = VersioningConfiguration::builder().status(status).build();
    let request = provider.client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioning);
    block_on(request.send()).unwrap();
}

fn delete(provider: &Provider, key: &str) {
    block_on(provider.client.delete_object().bucket(BUCKET).key(key).send()).unwrap();
}

/// Key, content or `-` for a delete marker, whether it is the latest; in the order of the record.
fn told(ran: &support::drill::Ran, directory: &std::path::Path) -> Vec<(String, String, bool)> {
    let line = |receipt: Value| {
        let text = |name: &str| receipt[name].as_str().unwrap().to_owned();
        let marker = receipt["version"]["delete_marker"] == true;
        let path = directory.join(text("path"));
        let content = if marker { "-".to_owned() } else { std::fs::read_to_string(path).unwrap() };
        (text("key"), content, receipt["version"]["is_latest"].as_bool().unwrap())
    };
    ran.receipts().into_iter().map(line).collect()
}

/// moto lists all versions before all delete markers and knows seconds only, so it can't show the order between them.
fn versions_are_carried(provider: &Provider, in_order: bool) {
    set_versioning(provider, BucketVersioningStatus::Enabled);
    provider.put("deleted", b"d1");
    delete(provider, "deleted");
    provider.put("deleted/once", b"e1");
    delete(provider, "deleted/once");
    provider.put("deleted/once", b"e2");
    ["k1", "k2", "k3"].iter().for_each(|content| drop(provider.put("kept", content.as_bytes())));
    let expected = [
        ("deleted", "-", true),
        ("deleted", "d1", false),
        ("deleted/once", "e2", true),
        ("deleted/once", "-", false),
        ("deleted/once", "e1", false),
        ("kept", "k3", true),
        ("kept", "k2", false),
        ("kept", "k1", false),
    ];
    let expected: Vec<_> = expected.map(|(key, content, latest)| (key.to_owned(), content.to_owned(), latest)).to_vec();
    for layout in ["tree", "tar"] {
        let drill = provider.drill().s3(&format!("versions: all, layout: {layout}"));
        let ran = drill.run();
        ran.assert_ended(0, "PASS");
        let extracted = (layout == "tar").then(|| extract("tar", &ran));
        let directory = extracted.as_ref().map_or_else(|| ran.restored(FILES), |extracted| extracted.path().to_owned());
        let mut told = told(&ran, &directory);
        let mut expected = expected.clone();
        if !in_order {
            told.sort();
            expected.sort();
        }
        assert_eq!(told, expected, "{layout}");
        let objects = &ran.asset(FILES)["objects"];
        assert_eq!((&objects["listed"], &objects["delete_markers"]), (&json!(6), &json!(2)));
        verifies(&drill, &ran);
    }
    let drill = provider.drill();
    let latest = drill.run();
    latest.assert_ended(0, "PASS");
    assert_eq!(latest.places().keys().collect::<Vec<_>>(), ["deleted/once", "kept"]);
    // A delete marker is no object, and nothing is proven of it.
    let version = provider.put("marked/only", b"gone");
    delete(provider, "marked/only");
    let request = provider.client.delete_object().bucket(BUCKET).key("marked/only").set_version_id(version);
    block_on(request.send()).unwrap();
    let ran = provider.drill().s3("versions: all").prefix("marked/").run();
    ran.assert_ended(1, "FAIL").assert_found("nothing_matched", "");
    assert_eq!(ran.asset(FILES)["objects"]["delete_markers"], 1);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn versions_and_delete_markers_of_moto_are_carried() {
    let server = support::moto();
    versions_are_carried(&Provider::at(server.endpoint()), false);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn versions_and_delete_markers_of_seaweedfs_are_carried_in_order() {
    let server = support::weed();
    versions_are_carried(&Provider::at(server.endpoint()), true);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn suspended_versioning_leaves_a_null_version_that_is_carried() {
    let server = support::weed();
    let provider = Provider::at(server.endpoint());
    set_versioning(&provider, BucketVersioningStatus::Enabled);
    provider.put("k", b"before");
    set_versioning(&provider, BucketVersioningStatus::Suspended);
    provider.put("k", b"null");
    let drill = provider.drill().s3("versions: all");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let said: Vec<_> = told(&ran, &ran.restored(FILES)).into_iter().map(|(_, content, _)| content).collect();
    assert_eq!(said, ["null", "before"]);
    assert_eq!(ran.receipts()[0]["version_id"], "null");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_archived_object_is_a_finding_by_name_and_the_rest_is_carried() {
    let server = support::moto();
    let provider = Provider::at(server.endpoint());
    provider.put("warm", b"here");
    for (key, class) in [("cold", StorageClass::Glacier), ("colder", StorageClass::DeepArchive)] {
        let request = provider.client.put_object().bucket(BUCKET).key(key).body(b"there".to_vec().into());
        block_on(request.storage_class(class).send()).unwrap();
    }
    let drill = provider.drill();
    let ran = drill.run();
    ran.assert_ended(2, "NOT RUN").assert_found("object_archived", "cold").assert_found("object_archived", "colder");
    assert_eq!(ran.places().keys().collect::<Vec<_>>(), ["warm"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_object_under_a_customer_s_key_is_a_finding_by_name() {
    let server = support::weed();
    let provider = Provider::at(server.endpoint());
    provider.put("plain", b"here");
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let md5 = "KYvwGXoFFJ42a2u2GDWhwQ==";
    let request = provider.client.put_object().bucket(BUCKET).key("locked").body(b"hidden".to_vec().into());
    let request = request.sse_customer_algorithm("AES256").sse_customer_key(key).sse_customer_key_md5(md5);
    block_on(request.send()).unwrap();
    let drill = provider.drill();
    let ran = drill.run();
    ran.assert_ended(2, "NOT RUN").assert_found("object_unreadable", "locked");
    assert_eq!(ran.places().keys().collect::<Vec<_>>(), ["plain"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_bucket_s_configuration_is_recorded_and_what_is_absent_is_not_called_unreadable() {
    let server = support::moto();
    let provider = Provider::at(server.endpoint());
    provider.put("k", b"1");
    let rule = CorsRule::builder().allowed_methods("GET").allowed_origins("https://acme.example").build().unwrap();
    let cors = CorsConfiguration::builder().cors_rules(rule).build().unwrap();
    block_on(provider.client.put_bucket_cors().bucket(BUCKET).cors_configuration(cors).send()).unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    block_on(provider.client.put_bucket_policy().bucket(BUCKET).policy(policy).send()).unwrap();
    block_on(provider.client.create_multipart_upload().bucket(BUCKET).key("unfinished").send()).unwrap();
    let drill = provider.drill();
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let bucket: Value = serde_json::from_str(&ran.read(&format!("data/assets/{FILES}/bucket.json"))).unwrap();
    let item = |name: &str| {
        let items = bucket["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {bucket:#}"))
    };
    assert_eq!(item("cors")["class"], "recorded");
    assert!(item("cors")["answer"].as_str().unwrap().contains("acme.example"));
    assert_eq!((&item("policy")["class"], &item("policy")["answer"]), (&json!("recorded"), &json!(policy)));
    for absent in ["lifecycle", "website", "replication", "tagging", "public_access_block"] {
        assert_eq!(item(absent)["class"], Value::Null, "{:#}", item(absent));
    }
    assert_eq!(item("incomplete_uploads")["class"], "lost");
    assert!(item("incomplete_uploads")["answer"].as_str().unwrap().contains("unfinished"));
    let classes = &ran.asset(FILES)["objects"]["bucket_classes"];
    assert!(classes["recorded"].as_u64() >= Some(2) && classes["lost"] == 1, "{classes}");
}
