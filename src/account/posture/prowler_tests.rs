//! Things that Prowler fails, by its check's id, and what they are here; and those that it passes. What Prowler decides is
//! in the source of its checks (github.com/prowler-cloud/prowler, prowler/providers/aws/services).
//!
//! Not judged here at all, because it says nothing about who reads the data or whether it is found again: encryption by a
//! key of one's own, MFA delete, TLS by policy, lifecycle, replication, logging, notifications, names that others could
//! take, blocks of public access where nothing is open, tags, ports, certificates, monitoring, minor versions, password
//! policies, privileges of users and roles. Prowler calls a key unused after 45 days, and one that was never used not at all.

use super::*;
use crate::{account::inventory::AccessKey, domain::finding::Severity};

/// What is made for a row.
enum Made {
    /// A bucket by the facts that differ from those of a closed one.
    Bucket(&'static [(&'static str, &'static str)]),
    /// The same in an account whose own block of public access is on.
    InBlockedAccount(&'static [(&'static str, &'static str)]),
    /// Something of RDS by the facts that differ from those of a sound one.
    Rds(ItemKind, &'static [(&'static str, &'static str)]),
    /// A user: name, console, second factor, and days since keys were made and used.
    User(&'static str, bool, bool, &'static [(u8, i64, Option<i64>)]),
}

use ItemKind::{Cluster, ClusterSnapshot, Instance, Snapshot};
use Made::{Bucket as OfS3, InBlockedAccount, Rds, User as Person};

const ACCOUNT: &str = "111111111111";
const TODAY: Date = jiff::civil::date(2026, 11, 24);

/// Prowler's check, what it fails, and the finding here.
const FAULTY: [(&str, Made, Kind); 48] = [
    (
        "s3_bucket_public_access",
        OfS3(&[(fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}]}"#)]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":{"AWS":"*"}}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":{"AWS":["arn:aws:iam::111111111111:root","*"]}}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":["*"]}]}"#)]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*","Condition":{"StringLike":{"aws:Referer":"https://acme.example/*"}}}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","NotPrincipal":{"AWS":"arn:aws:iam::222222222222:root"}}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":{"AWS":"111111111111"}},{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}]}"#,
        )]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[
            (fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}]}"#),
            (fact::PUBLIC_ACCESS_BLOCK, "BlockPublicAcls IgnorePublicAcls"),
        ]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(fact::ACL, "AllUsers:READ"), (fact::PUBLIC_ACCESS_BLOCK, "BlockPublicPolicy RestrictPublicBuckets")]),
        Kind::PubliclyReachable,
    ),
    ("s3_bucket_public_access", OfS3(&[(fact::POLICY, "public")]), Kind::PubliclyReachable),
    (
        "s3_bucket_policy_public_write_access",
        OfS3(&[(fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:PutObject","Principal":"*"}]}"#)]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_policy_public_write_access",
        OfS3(&[(fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Principal":"*"}]}"#)]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_policy_public_write_access",
        OfS3(&[(fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"*","Principal":{"AWS":"*"}}]}"#)]),
        Kind::PubliclyReachable,
    ),
    ("s3_bucket_public_list_acl", OfS3(&[(fact::ACL, "AllUsers:READ")]), Kind::PubliclyReachable),
    ("s3_bucket_public_list_acl", OfS3(&[(fact::ACL, "AuthenticatedUsers:READ")]), Kind::PubliclyReachable),
    ("s3_bucket_public_list_acl", OfS3(&[(fact::ACL, "AllUsers:FULL_CONTROL")]), Kind::PubliclyReachable),
    ("s3_bucket_public_list_acl", OfS3(&[(fact::ACL, "AuthenticatedUsers:FULL_CONTROL")]), Kind::PubliclyReachable),
    ("s3_bucket_public_write_acl", OfS3(&[(fact::ACL, "AllUsers:WRITE")]), Kind::PubliclyReachable),
    ("s3_bucket_public_write_acl", OfS3(&[(fact::ACL, "AuthenticatedUsers:WRITE")]), Kind::PubliclyReachable),
    ("s3_bucket_public_write_acl", OfS3(&[(fact::ACL, "AllUsers:WRITE_ACP")]), Kind::PubliclyReachable),
    (
        "s3_bucket_public_write_acl",
        OfS3(&[(fact::ACL, "AuthenticatedUsers:WRITE_ACP AuthenticatedUsers:READ")]),
        Kind::PubliclyReachable,
    ),
    (
        "s3_bucket_cross_account_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:PutBucketPolicy","Principal":{"AWS":"arn:aws:iam::222222222222:root"}}]}"#,
        )]),
        Kind::SnapshotShared,
    ),
    (
        "s3_bucket_cross_account_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:DeleteBucketPolicy","Principal":{"AWS":["222222222222"]}}]}"#,
        )]),
        Kind::SnapshotShared,
    ),
    ("s3_bucket_default_encryption", OfS3(&[(fact::ENCRYPTION, NONE)]), Kind::NotEncrypted),
    ("rds_instance_storage_encrypted", Rds(Instance, &[(fact::ENCRYPTION, NONE)]), Kind::NotEncrypted),
    ("rds_cluster_storage_encrypted", Rds(Cluster, &[(fact::ENCRYPTION, NONE)]), Kind::NotEncrypted),
    (
        "neptune_cluster_storage_encrypted",
        Rds(Cluster, &[(fact::ENCRYPTION, NONE), (fact::ENGINE, "neptune 1.3")]),
        Kind::NotEncrypted,
    ),
    (
        "documentdb_cluster_storage_encrypted",
        Rds(Cluster, &[(fact::ENCRYPTION, NONE), (fact::ENGINE, "docdb 5.0")]),
        Kind::NotEncrypted,
    ),
    ("rds_snapshots_encrypted", Rds(Snapshot, &[(fact::ENCRYPTION, NONE)]), Kind::NotEncrypted),
    ("rds_snapshots_encrypted", Rds(ClusterSnapshot, &[(fact::ENCRYPTION, NONE)]), Kind::NotEncrypted),
    (
        "rds_snapshots_encrypted",
        Rds(Snapshot, &[(fact::ENCRYPTION, NONE), (fact::SNAPSHOT_TYPE, "automated")]),
        Kind::NotEncrypted,
    ),
    ("rds_snapshots_public_access", Rds(Snapshot, &[(fact::SHARED_WITH, "all")]), Kind::PubliclyReachable),
    ("rds_snapshots_public_access", Rds(ClusterSnapshot, &[(fact::SHARED_WITH, "all")]), Kind::PubliclyReachable),
    ("rds_snapshots_public_access", Rds(Snapshot, &[(fact::SHARED_WITH, "222222222222 all")]), Kind::PubliclyReachable),
    (
        "neptune_cluster_public_snapshot",
        Rds(ClusterSnapshot, &[(fact::SHARED_WITH, "all"), (fact::ENGINE, "neptune")]),
        Kind::PubliclyReachable,
    ),
    (
        "documentdb_cluster_public_snapshot",
        Rds(ClusterSnapshot, &[(fact::SHARED_WITH, "all"), (fact::ENGINE, "docdb")]),
        Kind::PubliclyReachable,
    ),
    ("rds_instance_no_public_access", Rds(Instance, &[(fact::PUBLIC, "yes")]), Kind::PubliclyReachable),
    ("rds_instance_no_public_access", Rds(Cluster, &[(fact::PUBLIC, "yes")]), Kind::PubliclyReachable),
    ("iam_root_mfa_enabled", Person("<root_account>", false, false, &[]), Kind::UserWithoutMfa),
    ("iam_no_root_access_key", Person("<root_account>", false, true, &[(1, 5, Some(1))]), Kind::RootKey),
    ("iam_no_root_access_key", Person("<root_account>", false, true, &[(2, 5, Some(1))]), Kind::RootKey),
    ("iam_user_mfa_enabled_console_access", Person("bob", true, false, &[]), Kind::UserWithoutMfa),
    ("iam_rotate_access_key_90_days", Person("bob", false, false, &[(1, 91, Some(1))]), Kind::KeyTooOld),
    ("iam_rotate_access_key_90_days", Person("bob", false, false, &[(2, 400, Some(1))]), Kind::KeyTooOld),
    ("iam_user_accesskey_unused", Person("bob", false, false, &[(1, 80, Some(91))]), Kind::KeyUnused),
    ("iam_user_accesskey_unused", Person("bob", false, false, &[(2, 80, Some(200))]), Kind::KeyUnused),
];

/// Prowler's check, and what it passes.
const SOUND: [(&str, Made); 16] = [
    ("s3_bucket_public_access", OfS3(&[])),
    (
        "s3_bucket_public_access",
        OfS3(&[
            (fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}]}"#),
            (fact::POLICY, "public"),
            (fact::PUBLIC_ACCESS_BLOCK, "all"),
        ]),
    ),
    (
        "s3_bucket_public_access",
        InBlockedAccount(&[
            (fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}]}"#),
            (fact::ACL, "AllUsers:READ"),
        ]),
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":{"AWS":"arn:aws:iam::111111111111:role/app"}}]}"#,
        )]),
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(fact::POLICY_TEXT, r#"{"Statement":[{"Effect":"Deny","Action":"s3:*","Principal":"*"}]}"#)]),
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":{"Service":"logging.s3.amazonaws.com"}}]}"#,
        )]),
    ),
    (
        "s3_bucket_public_access",
        OfS3(&[(
            fact::POLICY_TEXT,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Principal":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}]}"#,
        )]),
    ),
    ("s3_bucket_public_list_acl", OfS3(&[(fact::ACL, "AllUsers:READ"), (fact::PUBLIC_ACCESS_BLOCK, "all")])),
    (
        "s3_bucket_default_encryption",
        OfS3(&[(fact::ENCRYPTION, "aws:kms arn:aws:kms:eu-central-1:111111111111:key/k")]),
    ),
    ("rds_instance_storage_encrypted", Rds(Instance, &[])),
    ("rds_cluster_storage_encrypted", Rds(Cluster, &[])),
    ("rds_snapshots_encrypted", Rds(Snapshot, &[])),
    ("rds_snapshots_public_access", Rds(ClusterSnapshot, &[])),
    ("iam_no_root_access_key", Person("<root_account>", false, true, &[])),
    ("iam_user_mfa_enabled_console_access", Person("bob", true, true, &[])),
    ("iam_user_mfa_enabled_console_access", Person("robot", false, false, &[(1, 90, Some(90))])),
];

/// What Prowler fails and is recorded here without being judged.
const RECORDED: [(&str, Made, &str, &str); 5] = [
    ("s3_bucket_object_versioning", OfS3(&[(fact::VERSIONING, NONE)]), fact::VERSIONING, NONE),
    ("s3_bucket_object_lock", OfS3(&[(fact::OBJECT_LOCK, NONE)]), fact::OBJECT_LOCK, NONE),
    ("rds_instance_backup_enabled", Rds(Instance, &[(fact::BACKUP_DAYS, "0")]), fact::BACKUP_DAYS, "0"),
    (
        "rds_instance_deletion_protection",
        Rds(Instance, &[(fact::DELETION_PROTECTION, "no")]),
        fact::DELETION_PROTECTION,
        "no",
    ),
    (
        "rds_cluster_deletion_protection",
        Rds(Cluster, &[(fact::DELETION_PROTECTION, "no")]),
        fact::DELETION_PROTECTION,
        "no",
    ),
];

fn item(kind: ItemKind, name: &str, sound: &[(&str, &str)], facts: &[(&str, &str)]) -> Item {
    let mut item = Item::named(kind, name, Some("eu-central-1".into()));
    item.facts.extend(sound.iter().chain(facts).map(|(name, value)| ((*name).to_owned(), Fact::listed(*value))));
    item
}

fn bucket(facts: &[(&str, &str)]) -> Item {
    let sound = [
        (fact::ENCRYPTION, "AES256"),
        (fact::PUBLIC_ACCESS_BLOCK, NONE),
        (fact::POLICY, NONE),
        (fact::POLICY_TEXT, NONE),
        (fact::ACL, "private"),
        (fact::VERSIONING, "Enabled"),
        (fact::OBJECT_LOCK, "COMPLIANCE 30 days"),
    ];
    item(ItemKind::Bucket, "acme", &sound, facts)
}

/// An account that holds what is made, and nothing else that is wrong.
fn account(made: &Made) -> Inventory {
    let mut inventory = Inventory::new("2026-11-24T00:00:00Z".into(), vec!["eu-central-1".into()]);
    inventory.account_id = Some(ACCOUNT.into());
    inventory.users = Some(vec![]);
    let database = [
        (fact::ENCRYPTION, "yes"),
        (fact::PUBLIC, "no"),
        (fact::BACKUP_DAYS, "7"),
        (fact::DELETION_PROTECTION, "yes"),
        (fact::ENGINE, "postgres 16.1"),
    ];
    let snapshot =
        [(fact::ENCRYPTION, "yes"), (fact::SHARED_WITH, NONE), (fact::SNAPSHOT_TYPE, "manual"), (fact::SOURCE, "db")];
    match made {
        OfS3(facts) => inventory.items.push(bucket(facts)),
        InBlockedAccount(facts) => {
            inventory.items.push(bucket(facts));
            inventory.account.insert(fact::PUBLIC_ACCESS_BLOCK.into(), Fact::listed("all"));
        }
        Rds(kind @ (Snapshot | ClusterSnapshot), facts) => {
            inventory.items.push(item(*kind, "s", &snapshot, facts));
            inventory.items.extend([Instance, Cluster].map(|source| item(source, "db", &database, &[])));
            inventory.items.iter_mut().skip(1).for_each(|source| drop(source.facts.remove(fact::ENGINE)));
        }
        Rds(kind, facts) => inventory.items.push(item(*kind, "db", &database, facts)),
        Person(name, console, mfa, keys) => {
            let day = |days: i64| (TODAY - jiff::Span::new().days(days)).to_string();
            let key = |(number, made, used): &(u8, i64, Option<i64>)| AccessKey {
                number: *number,
                since: Some(day(*made)),
                last_used: used.map(day),
            };
            let keys = keys.iter().map(key).collect();
            inventory.users = Some(vec![User { name: (*name).into(), console: *console, mfa: *mfa, keys }]);
        }
    }
    inventory
}

/// The kinds of findings of all checks, each once.
/// A note is no finding: a grant to a network is told, and closes nothing.
fn weighing(made: &Made) -> Vec<Kind> {
    found(made).into_iter().filter(|kind| kind.severity() != Severity::Note).collect()
}

fn found(made: &Made) -> Vec<Kind> {
    let inventory = account(made);
    let rules = Rules { regions: vec!["eu-central-1".into()], today: TODAY };
    let checks = CHECKS.iter().flat_map(|(check, _)| judge(check, &inventory, &rules).findings);
    let mut kinds: Vec<_> = checks.map(|finding| finding.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn what_prowler_fails_is_one_finding_here() {
    for (number, (check, made, kind)) in FAULTY.iter().enumerate() {
        assert_eq!(found(made), [*kind], "row {number}: {check}");
    }
}

#[test]
fn what_prowler_passes_is_no_finding_here() {
    for (number, (check, made)) in SOUND.iter().enumerate() {
        assert_eq!(weighing(made), [], "row {number}: {check}");
    }
}

#[test]
fn what_is_not_judged_is_recorded() {
    let rules = Rules { regions: vec!["eu-central-1".into()], today: TODAY };
    for (check, made, name, value) in &RECORDED {
        assert_eq!(found(made), [], "{check}");
        let recorded = judge("protection", &account(made), &rules).subjects;
        let facts = recorded.iter().flat_map(|subject| &subject.facts);
        let mut facts = facts.filter(|recorded| recorded.name == *name);
        assert!(facts.any(|recorded| recorded.fact.value.as_deref() == Some(*value)), "{check}");
    }
}
