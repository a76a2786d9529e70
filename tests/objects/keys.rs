//! Keys that are hard to carry, in every layout.

use std::collections::BTreeMap;

use crate::{
    objects::{Provider, by_key, extract, verifies},
    support::{self, drill::FILES},
};

/// Every one is another object, and each holds its own name.
fn hard_keys() -> Vec<String> {
    let long = "y".repeat(1_024);
    let wide = format!("long/{}", "x".repeat(256));
    let hard = [
        "a",
        "a/b",
        "a/",
        "a//b",
        "/leading",
        "..",
        "../x",
        "a/./b",
        "a/../b",
        "back\\slash",
        "Case",
        "case",
        "composed/\u{e9}",
        "composed/e\u{301}",
        "percent%2Fslash",
        "plus+plus",
        " leading and trailing ",
        "日本語/資料",
        &wide,
        &long,
    ];
    hard.map(str::to_owned).to_vec()
}

fn every_key_is_carried(layout: &str) {
    let server = support::moto();
    let provider = Provider::at(server.endpoint());
    let expected: BTreeMap<_, _> = hard_keys().into_iter().map(|key| (key.clone(), key.into_bytes())).collect();
    expected.iter().for_each(|(key, bytes)| drop(provider.put(key, bytes)));
    let drill = provider.drill().s3(&format!("layout: {layout}"));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    verifies(&drill, &ran);
    match layout {
        "tar" => assert_eq!(by_key(&ran, extract("tar", &ran).path()), expected),
        _ => assert_eq!(by_key(&ran, &ran.restored(FILES)), expected),
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn keys_that_a_file_system_cannot_hold_lie_in_a_tree() {
    every_key_is_carried("tree");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn keys_that_a_file_system_cannot_hold_lie_in_archives() {
    every_key_is_carried("tar");
}
