//! Buckets that are chosen by pattern and by tags.

use std::fs;

use crate::account::world::World;

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn patterns_and_tags_choose_buckets_and_exclusions_leave_some_out() {
    let world = World::of("clean");
    let all = world.run("assets: [{id: acme, match: \"s3:acme-*\"}]\nthresholds: {coverage_assets: \">= 60%\"}\n");
    all.assert_ended(0, "PASS").assert_verifies();
    let ids = |ran: &crate::account::world::Drilled| -> Vec<String> {
        let assets = ran.result["assets"].as_array().unwrap().iter();
        assets.map(|asset| asset["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&all), ["acme-acme-contracts", "acme-acme-invoices"]);
    assert_eq!(all.result["thresholds"][0]["measured"], "2 of 3 assets, 66.66%");

    let tagged = world.run(
        "assets: [{id: acme, match: \"s3:*\", tags: {class: records}}]\nthresholds: {coverage_assets: \">= 60%\"}\n",
    );
    assert_eq!(ids(&tagged), ["acme-acme-invoices"]);
    tagged.assert_ended(1, "FAIL").assert_verifies();
    assert_eq!(tagged.findings(), ["threshold_missed coverage_assets"]);

    let excluded = world.run(
        "assets: [{id: acme, match: \"s3:acme-*\"}]\nexclude:\n\
         \x20 - {match: \"s3:*\", tags: {class: scratch}, reason: scratch, owner: me, until: 2999-01-01}\n\
         \x20 - {match: \"rds:*\", reason: none here, owner: me, until: 2999-01-01}\n\
         thresholds: {coverage_assets: \">= 100%\", coverage_bytes: \">= 100%\"}\n",
    );
    assert_eq!(ids(&excluded), ["acme-acme-invoices"]);
    excluded.assert_ended(0, "PASS").assert_verifies();
    assert_eq!(excluded.result["coverage"]["totals"]["excluded"]["assets"], 2);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_pattern_that_fits_nothing_is_a_finding() {
    let world = World::of("clean");
    let ran = world.run("assets: [{id: none, match: \"s3:nothing-*\"}, {id: one, s3: {bucket: acme-contracts}}]\n");
    ran.assert_ended(1, "FAIL").assert_verifies();
    assert_eq!(ran.findings(), ["nothing_matched none s3:nothing-*"]);
    assert!(fs::read_to_string(ran.bundle.join("data/selected.json")).unwrap().contains("s3:nothing-*"));
}
