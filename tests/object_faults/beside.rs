//! What stands beside the bytes and neither stand-in shows: access control lists, object lock and legal hold, and single
//! objects that rights or keys hide. Each by name: said where it is, and not where it isn't.

use std::{collections::HashMap, fs};

use serde_json::{Value, json};

use crate::object_faults::{
    provider::{Act, Beside},
    wire::World,
};

const OWNER_READS: &str = "<AccessControlPolicy><Owner><ID>owner</ID></Owner><AccessControlList>\
    <Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>owner</ID>\
    </Grantee><Permission>FULL_CONTROL</Permission></Grant>\
    <Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
    <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
    </AccessControlList></AccessControlPolicy>";
const LOCKED: &str =
    "x-amz-object-lock-mode: COMPLIANCE\r\nx-amz-object-lock-retain-until-date: 2031-01-01T00:00:00Z\r\n";
const HELD: &str = "x-amz-object-lock-legal-hold: ON\r\n";
const LOCK_RULE: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
    <Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>";

fn serve(_: &crate::object_faults::provider::Asked) -> Act {
    Act::Serve
}

/// The receipt of an object.
fn receipt(world: &World, key: &str) -> Value {
    let lines = fs::read_to_string(world.drill.bundle().join("data/assets/files/objects.ndjson")).unwrap();
    let receipts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    receipts.into_iter().find(|receipt| receipt["key"] == key).unwrap_or_else(|| panic!("no receipt of {key}"))
}

/// What the bucket's record says of one part of its configuration.
fn configured(world: &World, name: &str) -> Value {
    let bucket = fs::read(world.drill.bundle().join("data/assets/files/bucket.json")).unwrap();
    let bucket: Value = serde_json::from_slice(&bucket).unwrap();
    bucket["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap().clone()
}

fn is_recorded(receipt: &Value, item: &str) -> bool {
    receipt["classes"]["recorded"].as_array().is_some_and(|items| items.contains(&json!(item)))
}

#[test]
fn object_lock_and_legal_hold_are_recorded() {
    let beside = Beside {
        headers: HashMap::from([("locked", LOCKED), ("held", HELD)]),
        answers: HashMap::from([(("", "object-lock"), Ok(LOCK_RULE))]),
        ..Beside::default()
    };
    let world = World::described(&["locked", "held", "free"], beside, ["", ""], serve);
    world.run().expect(0);
    let lock = json!({"mode": "COMPLIANCE", "retain_until": "2031-01-01T00:00:00Z"});
    assert_eq!(receipt(&world, "locked")["properties"]["lock"], lock);
    assert_eq!(receipt(&world, "held")["properties"]["lock"], json!({"legal_hold": "ON"}));
    let recorded = ["locked", "held", "free"].map(|key| is_recorded(&receipt(&world, key), "lock"));
    assert_eq!(recorded, [true, true, false]);
    assert_eq!(receipt(&world, "free")["properties"]["lock"], Value::Null);
    assert_eq!(configured(&world, "object_lock")["class"], "recorded");
    assert!(configured(&world, "object_lock")["answer"].as_str().unwrap().contains("GOVERNANCE"));
    assert_eq!(configured(&world, "versioning")["class"], Value::Null, "what is not configured is not recorded");
}

#[test]
fn access_control_lists_are_recorded_where_asked_for_and_named_where_refused() {
    let answers = HashMap::from([
        (("open", "acl"), Ok(OWNER_READS)),
        (("closed", "acl"), Err((403, "AccessDenied"))),
        (("", "acl"), Ok(OWNER_READS)),
    ]);
    let beside = Beside { answers, ..Beside::default() };
    let world = World::described(&["open", "closed"], beside.clone(), [", acls: true", ""], serve);
    world.run().expect(0);
    let grants = json!(["FULL_CONTROL owner", "READ http://acs.amazonaws.com/groups/global/AllUsers"]);
    assert_eq!(receipt(&world, "open")["properties"]["acl"], grants);
    assert!(is_recorded(&receipt(&world, "open"), "acl") && !is_recorded(&receipt(&world, "closed"), "acl"));
    let closed = receipt(&world, "closed");
    assert_eq!(closed["classes"]["unreadable"], json!(["acl"]));
    assert!(closed["properties"]["unreadable"]["acl"].as_str().unwrap().contains("AccessDenied"), "{closed:#}");
    assert_eq!(configured(&world, "acl")["class"], "recorded");
    let about_acls = |world: &World| world.findings().iter().any(|finding| finding.1 == "access control lists");
    assert!(about_acls(&world), "{:?}", world.findings());

    let unasked = World::described(&["open", "closed"], beside, ["", ""], serve);
    unasked.run().expect(0);
    assert_eq!(receipt(&unasked, "open")["properties"]["acl"], Value::Null);
    assert!(!about_acls(&unasked), "{:?}", unasked.findings());
}

#[test]
fn objects_that_rights_and_keys_hide_are_findings_by_name_and_the_rest_is_carried() {
    let world =
        World::described(&["denied", "disabled-key", "plain"], Beside::default(), ["", ""], |asked| {
            match asked.key.as_str() {
                "denied" => Act::Refuse(403, "AccessDenied"),
                "disabled-key" => Act::Refuse(400, "KMS.DisabledException"),
                _ => Act::Serve,
            }
        });
    world.run().expect(2);
    let unreadable = ["denied", "disabled-key"].map(|key| ("object_unreadable".to_owned(), key.to_owned()));
    assert_eq!(world.findings(), unreadable);
    let result = world.drill.result();
    let details = result["assets"][0]["findings"].to_string();
    assert!(details.contains("AccessDenied") && details.contains("KMS.DisabledException"), "{details}");
    assert_eq!(world.restored().keys().collect::<Vec<_>>(), ["plain"]);
    // Neither answer is worth another attempt.
    assert_eq!(world.provider.asked().len(), 3);
}
