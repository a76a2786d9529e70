//! Tests of coverage: statuses, sums, unions, versions, namesakes.

use super::*;
use crate::account::inventory::{Fact, Unreadable};

/// A bucket that never had versions.
fn bucket(name: &str, bytes: Option<u64>) -> Item {
    let mut item = Item { bytes, ..Item::named(ItemKind::Bucket, name, Some("eu-central-1".into())) };
    item.facts.insert(fact::VERSIONING.into(), Fact::listed(NONE));
    item
}

fn inventory(items: Vec<Item>) -> Inventory {
    Inventory { items, ..Inventory::new("2026-11-24T00:00:00Z".into(), vec!["eu-central-1".into()]) }
}

fn carried(name: &str, whole: bool, bytes: u64) -> Carried {
    let prefix = if whole { String::new() } else { "2026/".to_owned() };
    let from = CarriedFrom::Bucket { name: name.into(), prefix, sample: false, versions: false };
    Carried { id: format!("asset-{name}"), from, bytes, listed_bytes: None, compared: true }
}

fn excluding(pattern: &str, expired: bool) -> Excluding {
    Excluding { pattern: pattern.into(), tags: BTreeMap::new(), because: "reproducible".into(), expired }
}

#[test]
fn everything_has_exactly_one_status_and_bytes_add_up() {
    let items = ["a", "b", "c", "d"].map(|name| bucket(name, Some(100))).to_vec();
    let assets = [carried("a", true, 90), carried("b", false, 30)];
    let coverage = Coverage::of(&inventory(items), &assets, &[excluding("s3:c*", false)], Rules::Second);
    let status: Vec<_> = coverage.rows.iter().map(|row| row.status).collect();
    assert_eq!(status, [Status::Tested, Status::PartlyTested, Status::Excluded, Status::Untested]);
    let totals = &coverage.totals;
    assert_eq!((totals.bytes_tested(), totals.untested.bytes, totals.excluded.bytes), (120, 170, 100));
    assert_eq!((totals.assets_in_scope(), totals.bytes_in_scope(), totals.of_unknown_size), (3, 290, 0));
    assert_eq!(coverage.regions.len(), 1);
}

#[test]
fn an_expired_exclusion_does_not_exclude() {
    let coverage = Coverage::of(&inventory(vec![bucket("c", None)]), &[], &[excluding("s3:c", true)], Rules::Second);
    assert_eq!(coverage.rows[0].status, Status::Untested);
    assert!(coverage.rows[0].why.contains("past its date"));
    assert_eq!(coverage.totals.of_unknown_size, 1);
}

#[test]
fn what_was_not_compared_is_untested() {
    let asset = Carried { compared: false, ..carried("a", true, 90) };
    let coverage = Coverage::of(&inventory(vec![bucket("a", Some(90))]), &[asset], &[], Rules::Second);
    assert_eq!((coverage.rows[0].status, coverage.totals.bytes_tested()), (Status::Untested, 0));
}

#[test]
fn a_sample_is_a_part_of_what_the_run_listed() {
    let asset = Carried { listed_bytes: Some(500), ..carried("a", false, 20) };
    let coverage = Coverage::of(&inventory(vec![bucket("a", None)]), &[asset], &[], Rules::Second);
    let row = &coverage.rows[0];
    assert_eq!((row.status, row.bytes, row.tested_bytes), (Status::PartlyTested, Some(500), 20));
    assert_eq!((coverage.totals.of_unknown_size, coverage.totals.untested.bytes), (0, 480));
}

#[test]
fn a_list_that_was_refused_is_one_unreadable_thing_until_it_is_excluded() {
    let mut inventory = inventory(vec![]);
    inventory.unreadable.push(Unreadable {
        call: "rds DescribeDBInstances".into(),
        region: Some("eu-central-1".into()),
        subject: None,
        reason: "AccessDenied".into(),
        denied: true,
        why: None,
        right: None,
        lists: vec!["rds".into()],
    });
    let coverage = Coverage::of(&inventory, &[], &[], Rules::Second);
    assert_eq!((coverage.totals.unreadable.assets, coverage.totals.of_unknown_size), (1, 1));
    let coverage = Coverage::of(&inventory, &[], &[excluding("rds:*", false)], Rules::Second);
    assert_eq!((coverage.totals.unreadable.assets, coverage.totals.of_unknown_size), (0, 0));
}

#[test]
fn tags_that_are_not_known_do_not_match() {
    let mut exclusion = excluding("s3:*", false);
    exclusion.tags.insert("class".into(), "scratch".into());
    let tagged = Item { tags: Some(exclusion.tags.clone()), ..bucket("a", Some(1)) };
    let coverage = Coverage::of(&inventory(vec![tagged, bucket("b", Some(1))]), &[], &[exclusion], Rules::Second);
    assert_eq!([coverage.rows[0].status, coverage.rows[1].status], [Status::Excluded, Status::Untested]);
}

#[test]
fn a_database_is_a_part_of_its_instance_and_a_cluster_member_is_no_asset() {
    let mut instance = Item::named(ItemKind::Instance, "ledger", Some("eu-central-1".into()));
    instance.facts.insert(fact::ENDPOINT.into(), Fact::listed("ledger.rds.test:5432"));
    let mut member = Item::named(ItemKind::Instance, "node", Some("eu-central-1".into()));
    member.facts.insert(fact::CLUSTER.into(), Fact::listed("aurora"));
    let from = CarriedFrom::of_source(AssetKind::Postgres, "ledger.rds.test:5432/ledger");
    let asset = Carried { id: "ledger".into(), from, bytes: 7, listed_bytes: None, compared: true };
    let coverage = Coverage::of(&inventory(vec![instance, member]), &[asset], &[], Rules::Second);
    assert_eq!(coverage.rows.len(), 1);
    assert_eq!((coverage.rows[0].status, coverage.rows[0].tested_bytes), (Status::PartlyTested, 7));
}

#[test]
fn sources_are_understood_as_the_result_writes_them() {
    let bucket = |source| match CarriedFrom::of_source(AssetKind::S3, source) {
        CarriedFrom::Bucket { name, prefix, .. } => (name, prefix),
        other => panic!("{other:?}"),
    };
    assert_eq!(bucket("s3://a/"), ("a".to_owned(), String::new()));
    assert_eq!(bucket("s3://a/2026/"), ("a".to_owned(), "2026/".to_owned()));
}

/// Status, bytes and tested bytes of the only row.
fn only_row(item: Item, assets: &[Carried]) -> (Status, Option<u64>, u64) {
    let coverage = Coverage::of(&inventory(vec![item]), assets, &[], Rules::Second);
    let row = &coverage.rows[0];
    (row.status, row.bytes, row.tested_bytes)
}

#[test]
fn bytes_of_one_bucket_are_a_union_of_prefixes() {
    let part = |prefix: &str, sample, bytes| {
        let name = "a".to_owned();
        let prefix = prefix.to_owned();
        let from = CarriedFrom::Bucket { name, prefix, sample, versions: false };
        Carried { id: "x".into(), from, bytes, listed_bytes: None, compared: true }
    };
    let partly = |assets: &[Carried]| only_row(bucket("a", Some(300)), assets);
    let expected = |tested| (Status::PartlyTested, Some(300), tested);
    assert_eq!(partly(&[part("x/", false, 100), part("x/", false, 100), part("x/1/", false, 90)]), expected(100));
    assert_eq!(partly(&[part("x/", false, 100), part("y/", false, 100), part("", true, 20)]), expected(200));
    assert_eq!(partly(&[part("", true, 250), part("y/", false, 100)]), expected(250));
    // 30 of yesterday's 20 bytes are not all of today's.
    let grown = only_row(bucket("a", Some(20)), &[part("x/", false, 30)]);
    assert_eq!(grown, (Status::PartlyTested, None, 30));
}

#[test]
fn earlier_versions_that_were_not_asked_for_are_untested() {
    let by = |rules, item: Item, assets: &[Carried]| {
        let coverage = Coverage::of(&inventory(vec![item]), assets, &[], rules);
        let row = &coverage.rows[0];
        (row.status, row.bytes, row.tested_bytes)
    };
    let versioned = |state: &str, bytes, earlier_bytes| {
        let mut item = Item { earlier_bytes, ..bucket("a", bytes) };
        item.facts.insert(fact::VERSIONING.into(), Fact::listed(state));
        item
    };
    let latest = [carried("a", true, 10)];
    let whole = (Status::Tested, Some(10), 10);
    let more = (Status::PartlyTested, Some(1_000), 10);
    let unknown = (Status::PartlyTested, None, 10);
    let mut untold = bucket("a", None);
    untold.facts.clear();
    let mut refused = bucket("a", Some(10));
    let denied = crate::account::reply::Failure::answered(403, "AccessDenied", None);
    refused.facts.insert(fact::VERSIONING.into(), Fact::unreadable("GetBucketVersioning", &denied));
    for (item, expected, before) in [
        (versioned("Enabled", Some(1_000), None), more, more),
        (versioned("Suspended", Some(1_000), Some(990)), more, more),
        (versioned("Enabled", None, None), unknown, unknown),
        (versioned("Enabled", Some(10), None), unknown, whole),
        (versioned("Enabled", Some(10), Some(0)), whole, whole),
        (versioned("none", Some(1_000), None), whole, whole),
        (Item { bytes: Some(1_000), ..untold.clone() }, unknown, unknown),
        (Item { bytes: Some(10), ..untold.clone() }, unknown, whole),
        (untold, unknown, whole),
        (refused, unknown, whole),
    ] {
        assert_eq!(by(Rules::Third, item.clone(), &latest), expected, "{item:?}");
        // Bundles of the second rules stay what they were.
        assert_eq!(by(Rules::Second, item.clone(), &latest), before, "{item:?}");
    }
    let all = CarriedFrom::Bucket { name: "a".into(), prefix: String::new(), sample: false, versions: true };
    let all = [Carried { from: all, bytes: 1_000, ..carried("a", true, 0) }];
    let expected = (Status::Tested, Some(1_000), 1_000);
    assert_eq!(by(Rules::Third, versioned("Enabled", Some(999), None), &all), expected);
}

#[test]
fn an_asset_tests_the_thing_that_its_arn_names_and_no_namesake() {
    let thing = |kind: ItemKind, region: &str, word: &str| Item {
        arn: Some(format!("arn:aws:rds:{region}:1:{word}:ledger")),
        bytes: Some(9),
        ..Item::named(kind, "ledger", Some(region.into()))
    };
    let things = vec![
        thing(ItemKind::Instance, "eu-central-1", "db"),
        thing(ItemKind::Instance, "us-east-1", "db"),
        thing(ItemKind::Cluster, "eu-central-1", "cluster"),
    ];
    let tested = |arn: &str, inventory: &Inventory| -> Vec<usize> {
        let from = CarriedFrom::Instance { name: "ledger".into(), arn: Some(arn.into()), database: "d".into() };
        let asset = Carried { id: "l".into(), from, bytes: 7, listed_bytes: None, compared: true };
        let rows = Coverage::of(inventory, &[asset], &[], Rules::Second).rows;
        rows.iter().enumerate().filter(|(_, row)| row.status == Status::PartlyTested).map(|(at, _)| at).collect()
    };
    let mut inventory = inventory(things);
    assert_eq!(tested("arn:aws:rds:us-east-1:1:db:ledger", &inventory), [1]);
    assert_eq!(tested("arn:aws:rds:eu-central-1:1:cluster:ledger", &inventory), [2]);
    assert!(tested("arn:aws:rds:eu-west-1:1:db:ledger", &inventory).is_empty());
    // An instance of a cluster serves the cluster's data.
    inventory.items[0].facts.insert(fact::CLUSTER.into(), Fact::listed("ledger"));
    assert_eq!(tested("arn:aws:rds:eu-central-1:1:db:ledger", &inventory), [1]);
}

#[test]
fn a_bundle_of_the_first_rules_counts_the_snapshots_that_it_counted() {
    let known = |item: Item, facts: &[(&str, &str)]| {
        let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), Fact::listed(*value)));
        Item { facts: facts.collect(), ..item }
    };
    let here = || Some("eu-central-1".to_owned());
    let source = Item::named(ItemKind::Instance, "db", here());
    let source = known(source, &[(fact::ENGINE, "postgres 16.1"), (fact::CREATED, "2026-05-02T00:00:00Z")]);
    // Of what was there before under that name.
    let old = [(fact::SOURCE, "db"), (fact::ENGINE, "postgres 15.4"), (fact::CREATED, "2026-05-01T00:00:00Z")];
    let old = known(Item::named(ItemKind::Snapshot, "old", here()), &old);
    let of_another_engine = [(fact::SOURCE, "db"), (fact::ENGINE, "mysql 8.0")];
    let of_another_engine = known(Item::named(ItemKind::Snapshot, "mysql", here()), &of_another_engine);
    // A copy, whose source lies where databases were not looked for.
    let copy = [(fact::SOURCE, "far"), (fact::COPY_OF, "arn:aws:rds:us-east-1:1:snapshot:s")];
    let copy = known(Item::named(ItemKind::Snapshot, "copy", here()), &copy);
    let mut inventory = inventory(vec![source, old, of_another_engine, copy]);
    let counted = |inventory: &Inventory, rules| -> Vec<String> {
        let rows = Coverage::of(inventory, &[], &[], rules).rows;
        rows.into_iter().map(|row| row.name).filter(|name| name != "*").collect()
    };
    assert_eq!(counted(&inventory, Rules::First), ["db", "copy"]);
    assert_eq!(counted(&inventory, Rules::Second), ["db", "old", "mysql"]);
    let denied = crate::account::reply::Failure::answered(403, "AccessDenied", None);
    inventory.missed("rds DescribeDBInstances", Some("eu-central-1"), None, &denied, "", &["rds"]);
    assert_eq!(counted(&inventory, Rules::First), ["db"]);
}

#[test]
fn a_thing_that_is_listed_twice_counts_once_and_makes_its_list_one_with_a_hole() {
    let mut inventory = inventory(vec![bucket("a", Some(1)), bucket("b", Some(1)), bucket("a", Some(1))]);
    inventory.sort();
    let rows = Coverage::of(&inventory, &[], &[], Rules::Second).rows;
    let rows: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.status)).collect();
    assert_eq!(rows, [("a", Status::Untested), ("b", Status::Untested), ("*", Status::Unreadable)]);
}
