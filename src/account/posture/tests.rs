//! Tests of the checks of posture.

use super::*;
use crate::account::{inventory::AccessKey, reply::Failure};

fn inventory(items: Vec<Item>) -> Inventory {
    Inventory { items, ..Inventory::new("2026-11-24T00:00:00Z".into(), vec!["eu-central-1".into()]) }
}

fn rules() -> Rules {
    Rules { regions: vec!["eu-central-1".into()], today: jiff::civil::date(2026, 11, 24) }
}

fn item(kind: ItemKind, name: &str, facts: &[(&str, &str)]) -> Item {
    let mut item = Item::named(kind, name, Some("eu-central-1".into()));
    item.facts.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), Fact::listed(*value))));
    item
}

fn refused(operation: &str) -> Fact {
    Fact::unreadable(operation, &Failure::answered(403, "AccessDenied", None))
}

fn kinds(check: &str, inventory: &Inventory) -> Vec<Kind> {
    judge(check, inventory, &rules()).findings.iter().map(|finding| finding.kind).collect()
}

/// A bucket about which everything was answered: nothing is open, and no block is on.
fn closed() -> Item {
    let facts = [fact::PUBLIC_ACCESS_BLOCK, fact::POLICY, fact::POLICY_TEXT].map(|name| (name, NONE));
    let mut bucket = item(ItemKind::Bucket, "a", &facts);
    bucket.facts.insert(fact::ACL.into(), Fact::listed("private"));
    bucket
}

fn with(bucket: &Item, facts: &[(&str, &str)]) -> Item {
    let mut bucket = bucket.clone();
    bucket.facts.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), Fact::listed(*value))));
    bucket
}

#[test]
fn a_block_takes_the_force_of_what_is_public() {
    assert!(kinds("public_access", &inventory(vec![closed()])).is_empty());
    let bucket = with(&closed(), &[(fact::POLICY, "public"), (fact::ACL, "AllUsers:READ")]);
    assert_eq!(kinds("public_access", &inventory(vec![bucket.clone()])), [Kind::PubliclyReachable; 2]);
    let half = with(&bucket, &[(fact::PUBLIC_ACCESS_BLOCK, "IgnorePublicAcls")]);
    assert_eq!(kinds("public_access", &inventory(vec![half])), [Kind::PubliclyReachable]);
    let mut blocked = inventory(vec![bucket.clone()]);
    blocked.account.insert(fact::PUBLIC_ACCESS_BLOCK.into(), Fact::listed("all"));
    assert!(kinds("public_access", &blocked).is_empty());
    // Whether something open is blocked has to be known, and then it is known whatever else is not.
    blocked.account.insert(fact::PUBLIC_ACCESS_BLOCK.into(), refused("GetPublicAccessBlock"));
    assert_eq!(kinds("public_access", &blocked), [Kind::AccountUnreadable; 3]);
}

#[test]
fn every_setting_that_public_access_rests_on_must_be_an_answer() {
    for name in [fact::PUBLIC_ACCESS_BLOCK, fact::POLICY, fact::POLICY_TEXT, fact::ACL] {
        let mut bucket = closed();
        bucket.facts.insert(name.into(), refused("Get"));
        assert_eq!(kinds("public_access", &inventory(vec![bucket.clone()])), [Kind::AccountUnreadable], "{name}");
        bucket.facts.remove(name);
        assert_eq!(kinds("public_access", &inventory(vec![bucket])), [Kind::AccountUnreadable], "{name}");
    }
}

#[test]
fn policies_are_read_whatever_the_provider_calls_them() {
    let allow = |rest: &str| format!("{{\"Statement\":[{{\"Effect\":\"Allow\",{rest}}}]}}");
    let everywhere = r#""Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#;
    for (text, status, expected) in [
        (allow(everywhere), "not public", vec![Kind::PubliclyReachable]),
        (allow(everywhere), NONE, vec![Kind::PubliclyReachable]),
        (allow(r#""Principal":{"AWS":"222222222222"}"#), "not public", vec![Kind::SnapshotShared]),
        (allow(r#""Principal":{"AWS":"111111111111"}"#), "not public", vec![]),
        (format!("{},{{\"Effect\":\"Deny\"}}]}}", allow(everywhere).trim_end_matches("]}")), "not public", vec![]),
        ("<html>".to_owned(), "not public", vec![Kind::AccountUnreadable]),
    ] {
        let bucket = with(&closed(), &[(fact::POLICY, status), (fact::POLICY_TEXT, &text)]);
        let mut inventory = inventory(vec![bucket]);
        inventory.account_id = Some("111111111111".into());
        assert_eq!(kinds("public_access", &inventory), expected, "{text}");
    }
    let granted = with(&closed(), &[(fact::ACL, "account:abc:READ AllUsers:READ")]);
    assert_eq!(kinds("public_access", &inventory(vec![granted])), [Kind::PubliclyReachable, Kind::SnapshotShared]);
}

#[test]
fn protection_that_could_not_be_read_is_not_recorded() {
    let bucket = item(ItemKind::Bucket, "a", &[(fact::VERSIONING, "Enabled"), (fact::OBJECT_LOCK, NONE)]);
    assert!(kinds("protection", &inventory(vec![bucket.clone()])).is_empty());
    let mut hidden = bucket;
    hidden.facts.insert(fact::VERSIONING.into(), refused("GetBucketVersioning"));
    assert_eq!(kinds("protection", &inventory(vec![hidden])), [Kind::AccountUnreadable]);
    let instance = item(ItemKind::Instance, "db", &[(fact::BACKUP_DAYS, "7")]);
    assert_eq!(kinds("protection", &inventory(vec![instance])), [Kind::AccountUnreadable]);
}

#[test]
fn a_setting_that_could_not_be_read_is_neither_good_nor_bad() {
    let mut bucket = item(ItemKind::Bucket, "a", &[]);
    bucket.facts.insert(fact::ENCRYPTION.into(), refused("GetBucketEncryption"));
    assert_eq!(kinds("encryption", &inventory(vec![bucket])), [Kind::AccountUnreadable]);
    let plain = item(ItemKind::Bucket, "a", &[(fact::ENCRYPTION, "none")]);
    assert_eq!(kinds("encryption", &inventory(vec![plain])), [Kind::NotEncrypted]);
    let good = item(ItemKind::Bucket, "a", &[(fact::ENCRYPTION, "AES256")]);
    assert!(kinds("encryption", &inventory(vec![good])).is_empty());
}

#[test]
fn a_snapshot_is_an_orphan_when_its_source_is_gone() {
    let snapshot = item(ItemKind::Snapshot, "s", &[(fact::SOURCE, "db"), (fact::ENCRYPTION, "none")]);
    assert_eq!(kinds("orphan_snapshots", &inventory(vec![snapshot.clone()])), [Kind::SnapshotOrphaned]);
    let source = item(ItemKind::Instance, "db", &[]);
    assert!(kinds("orphan_snapshots", &inventory(vec![source, snapshot])).is_empty());
}

#[test]
fn a_name_that_was_given_again_is_no_source_and_a_copy_has_its_own_elsewhere() {
    let of = |facts: &[(&str, &str)]| item(ItemKind::Snapshot, "s", &[&[(fact::SOURCE, "db")], facts].concat());
    let old = [(fact::RESOURCE, "db-1"), (fact::ENGINE, "postgres 15.4"), (fact::CREATED, "2026-05-01T00:00:00Z")];
    for (facts, orphan) in [
        (
            vec![(fact::RESOURCE, "db-1"), (fact::ENGINE, "postgres 16.1"), (fact::CREATED, "2026-01-01T00:00:00Z")],
            false,
        ),
        (vec![], false),
        (vec![(fact::RESOURCE, "db-2")], true),
        (vec![(fact::ENGINE, "mysql 8.0")], true),
        (vec![(fact::CREATED, "2026-05-02T00:00:00Z")], true),
    ] {
        let inventory = inventory(vec![item(ItemKind::Instance, "db", &facts), of(&old)]);
        assert_eq!(kinds("orphan_snapshots", &inventory) == [Kind::SnapshotOrphaned], orphan, "{facts:?}");
    }
    // A thing keeps the provider's identifier and the time at which it was made when it is renamed.
    for (resource, created, source_created, orphan) in [
        ("db-1", "2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.123Z", false),
        ("db-1", "2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00Z", false),
        ("db-1", "2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.124Z", true),
        ("db-1", "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", true),
        ("db-2", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", true),
    ] {
        let facts = [(fact::RESOURCE, resource), (fact::ENGINE, "postgres 15.4"), (fact::CREATED, created)];
        let snapshot = of(&[&old[..], &[(fact::SOURCE_CREATED, source_created)]].concat());
        let inventory = inventory(vec![item(ItemKind::Instance, "db-renamed", &facts), snapshot]);
        assert_eq!(kinds("orphan_snapshots", &inventory) == [Kind::SnapshotOrphaned], orphan, "{facts:?}");
    }
    let copy = of(&[(fact::COPY_OF, "arn:aws:rds:us-east-1:111111111111:snapshot:s")]);
    let mut far = item(ItemKind::Instance, "db", &[]);
    far.region = Some("us-east-1".into());
    let mut inventory = inventory(vec![copy, far.clone()]);
    assert_eq!(kinds("orphan_snapshots", &inventory), [Kind::AccountUnreadable], "the region was not looked at");
    inventory.regions.push("us-east-1".into());
    assert!(kinds("orphan_snapshots", &inventory).is_empty());
    inventory.items.retain(|item| *item != far);
    assert_eq!(kinds("orphan_snapshots", &inventory), [Kind::SnapshotOrphaned]);
}

#[test]
fn an_old_credential_report_says_nothing_about_today() {
    for (made, fresh) in [
        ("2026-11-24T00:05:00Z", true),
        ("2026-11-23T20:00:00Z", true),
        ("2026-11-23T20:00:00+00:00", true),
        ("2026-11-24T01:00:00Z", false),
        ("2026-11-23T19:00:00Z", false),
        ("2026-11-01T00:00:00Z", false),
        ("2027-11-24T00:00:00Z", false),
        ("x", false),
    ] {
        let reported = Inventory { users: Some(vec![]), users_reported: Some(made.into()), ..inventory(vec![]) };
        assert_eq!(kinds("credentials", &reported).is_empty(), fresh, "{made}");
    }
    // A look may take hours: what counts is when the report was read.
    for (read, fresh) in
        [("2026-11-24T02:00:00Z", false), ("2026-11-24T03:00:10Z", true), ("2026-11-24T09:00:00Z", false)]
    {
        let mut reported = Inventory { users: Some(vec![]), users_read: Some(read.into()), ..inventory(vec![]) };
        reported.users_reported = Some("2026-11-24T03:00:00Z".into());
        assert_eq!(kinds("credentials", &reported).is_empty(), fresh, "{read}");
    }
}

#[test]
fn snapshots_for_everybody_are_public_and_others_are_noted() {
    let shared = |with| inventory(vec![item(ItemKind::Snapshot, "s", &[(fact::SHARED_WITH, with)])]);
    assert_eq!(kinds("public_access", &shared("all")), [Kind::PubliclyReachable]);
    assert_eq!(kinds("public_access", &shared("123456789012")), [Kind::SnapshotShared]);
    assert!(kinds("public_access", &shared("none")).is_empty());
}

#[test]
fn users_and_keys_are_judged_by_the_day() {
    let key = |since: &str, used: Option<&str>| AccessKey {
        number: 1,
        since: Some(since.into()),
        last_used: used.map(str::to_owned),
    };
    let user = |console, mfa, keys| User { name: "bob".into(), console, mfa, keys };
    let of = |user| {
        let inventory = Inventory { users: Some(vec![user]), ..inventory(vec![]) };
        kinds("credentials", &inventory)
    };
    assert_eq!(of(user(true, false, vec![])), [Kind::UserWithoutMfa]);
    assert!(of(user(true, true, vec![key("2026-09-01", Some("2026-11-01"))])).is_empty());
    assert_eq!(of(user(false, false, vec![key("2026-01-01", Some("2026-11-01"))])), [Kind::KeyTooOld]);
    assert_eq!(of(user(false, false, vec![key("2026-01-01", None)])), [Kind::KeyTooOld, Kind::KeyUnused]);
    assert_eq!(kinds("credentials", &inventory(vec![])), [Kind::AccountUnreadable]);
}

#[test]
fn regions_are_held_against_the_allowed_ones() {
    let mut far = item(ItemKind::Bucket, "a", &[]);
    far.region = Some("us-east-1".into());
    assert_eq!(kinds("residency", &inventory(vec![far.clone()])), [Kind::RegionNotAllowed]);
    far.region = None;
    assert_eq!(kinds("residency", &inventory(vec![far])), [Kind::AccountUnreadable]);
}
