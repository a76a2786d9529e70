//! The least IAM policy that a playbook needs. Its actions only read, except those that create and remove the temporary
//! instance of a database that is read from a snapshot: these are limited to the tag of walkaway's own resources; and
//! those that request an export, which has no tags.
//!
//! Derived from what the playbook asks for, and narrowed by an inventory: which keys buckets and databases are encrypted
//! by, and which identifiers databases have. What it lacks stays as wide as it has to be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    change::OWN_TAG,
    inventory::{Inventory, Item, ItemKind, NONE, fact},
};
use crate::glob;

/// What a playbook needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Buckets that are copied, each with its prefix.
    pub buckets: Vec<(String, Option<String>)>,
    /// Patterns of buckets that are selected when the run starts.
    pub patterns: Vec<String>,
    /// Earlier versions are copied.
    pub versions: bool,
    /// Tags of buckets.
    pub tags: bool,
    /// Encryption of buckets.
    pub encryption: bool,
    /// Block, policy and access list of buckets; sharing of snapshots.
    pub public_access: bool,
    /// Versioning and object lock of buckets.
    pub protection: bool,
    /// Versioning of buckets, for how much of them is covered.
    pub versioning: bool,
    /// All settings of buckets, for before and after.
    pub settings: bool,
    /// Every object and version of every bucket is listed.
    pub sizes_by_listing: bool,
    /// Database users that log in by tokens of IAM.
    pub iam_logins: Vec<IamLogin>,
    /// The account's number, if the playbook names it.
    pub account: Option<String>,
    /// Users and keys.
    pub users: bool,
    /// A database is read from a snapshot, which is restored to a temporary instance, or exported.
    pub restores: bool,
    /// The instances and clusters of such snapshots.
    pub restored: Vec<String>,
    /// Files of an existing export are read; the key that encrypts it is unknown.
    pub reads_exports: bool,
    /// Keys of the buckets that are copied, as ARNs; none where they are not known.
    pub object_keys: Option<BTreeSet<String>>,
    /// The same of the databases of `restored`.
    pub snapshot_keys: Option<BTreeSet<String>>,
    /// Exports of snapshots that are requested: the role that is passed, and the key.
    pub exports: Vec<(String, String)>,
    /// The role's own trust policy.
    pub own_role: bool,
    /// Regions that are inspected.
    pub regions: Vec<String>,
}

/// A login by tokens of IAM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IamLogin {
    /// The database user.
    pub user: String,
    /// The instance or cluster; none for a temporary one.
    pub at: Option<String>,
    /// The provider's own identifier of it, if it is known.
    pub resource: Option<String>,
}

impl Needs {
    /// Adds what an inventory has; returns what it lacks, a line each.
    pub fn narrow(&mut self, inventory: &Inventory) -> Vec<String> {
        let mut unseen = Vec::new();
        let carried = |item: &Item| {
            item.kind == ItemKind::Bucket
                && (self.buckets.iter().any(|(name, _)| *name == item.name)
                    || self.patterns.iter().any(|pattern| glob::matches(pattern, &item.name)))
        };
        let buckets: Vec<_> = inventory.items.iter().filter(|item| carried(item)).collect();
        let is_listed = |(name, _): &(String, _)| buckets.iter().any(|item| item.name == *name);
        let is_whole = self.buckets.iter().all(is_listed)
            && (self.patterns.is_empty() || inventory.unlisted("s3").next().is_none());
        if !self.buckets.is_empty() || !self.patterns.is_empty() {
            let keys = buckets.iter().map(|item| keys_of(item, inventory)).collect::<Option<Vec<_>>>();
            self.object_keys =
                keys.filter(|_| is_whole && !self.reads_exports).map(|keys| keys.concat().into_iter().collect());
            if self.object_keys.is_none() {
                unseen.push("by which keys the objects of the playbook's buckets are encrypted is not known: the policy lets every key be used through S3".to_owned());
            }
        }
        if !self.restored.is_empty() {
            let keys = self.restored.iter().map(|name| keys_of(database(name, inventory)?, inventory));
            self.snapshot_keys = keys.collect::<Option<Vec<_>>>().map(|keys| keys.concat().into_iter().collect());
            if self.snapshot_keys.is_none() {
                unseen.push("by which keys the playbook's snapshots are encrypted is not known: the policy lets every key be used through RDS".to_owned());
            }
        }
        for login in &mut self.iam_logins {
            let item = login.at.as_ref().and_then(|name| database(name, inventory));
            login.resource = item.and_then(|item| item.known(fact::RESOURCE)).map(str::to_owned);
            if login.resource.is_none() {
                unseen.push(format!(
                    "at which database {} logs in is not known: the policy names all of the account",
                    login.user
                ));
            }
        }
        unseen
    }
}

/// The only instance or cluster of a name.
fn database<'a>(name: &str, inventory: &'a Inventory) -> Option<&'a Item> {
    let mut named = inventory.items.iter().filter(|item| item.kind.selector() == "rds" && item.name == name);
    named.next().filter(|_| named.next().is_none())
}

/// The key that something is encrypted by, as an ARN; no key for what is not encrypted or by one of the provider's own,
/// which needs no right. None where that is not known.
fn keys_of(item: &Item, inventory: &Inventory) -> Option<Vec<String>> {
    let encryption = item.known(fact::ENCRYPTION)?;
    let (how, key) = encryption.split_once(' ').map_or((encryption, None), |(how, key)| (how, Some(key)));
    match (how, key) {
        (NONE | "AES256", _) | ("aws:kms" | "aws:kms:dsse", None) => Some(Vec::new()),
        (_, Some(key)) if key.starts_with("arn:") && key.contains(":key/") => Some(vec![key.to_owned()]),
        // An alias is not a resource that a policy can name.
        (_, Some(key)) if !key.contains(['/', ':']) => {
            let region = item.region.as_ref()?;
            let account = inventory.account_id.as_ref()?;
            Some(vec![format!("arn:{}:kms:{region}:{account}:key/{key}", partition(region))])
        }
        _ => None,
    }
}

/// Listing a bucket and reading its whole configuration.
const CARRIED_BUCKETS: [&str; 11] = [
    "s3:GetAccelerateConfiguration",
    "s3:GetAnalyticsConfiguration",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetIntelligentTieringConfiguration",
    "s3:GetInventoryConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetMetricsConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
];
/// An object with everything that is copied or recorded of it.
const CARRIED_OBJECTS: [&str; 7] = [
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectLegalHold",
    "s3:GetObjectRetention",
    "s3:GetObjectTagging",
    "s3:ListMultipartUploadParts",
];
/// The same for earlier versions.
const CARRIED_VERSIONS: [&str; 4] =
    ["s3:GetObjectVersion", "s3:GetObjectVersionAcl", "s3:GetObjectVersionAttributes", "s3:GetObjectVersionTagging"];

/// The calls that show whether a bucket is public.
const PUBLIC_ACCESS: [&str; 4] =
    ["s3:GetBucketAcl", "s3:GetBucketPolicy", "s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock"];
/// All settings of a bucket.
const SETTINGS: [&str; 19] = [
    "s3:GetAccelerateConfiguration",
    "s3:GetAnalyticsConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetIntelligentTieringConfiguration",
    "s3:GetInventoryConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetMetricsConfiguration",
    "s3:GetReplicationConfiguration",
];

impl Needs {
    /// The first part of every ARN (AWS General Reference, "Amazon Resource Names"): an account is in one partition.
    fn partition(&self) -> &'static str {
        partition(self.regions.first().map_or("", String::as_str))
    }
}

fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The policy document (IAM JSON policy reference).
pub fn policy(needs: &Needs) -> Value {
    let partition = needs.partition();
    let mut statements = vec![statement("Inventory", inventory(needs), vec!["*".to_owned()])];
    let buckets: Vec<_> =
        needs.buckets.iter().map(|(bucket, _)| bucket.clone()).chain(needs.patterns.clone()).collect();
    if !buckets.is_empty() {
        let mut list = CARRIED_BUCKETS.to_vec();
        let mut read = CARRIED_OBJECTS.to_vec();
        if needs.versions {
            list.push("s3:ListBucketVersions");
            read.extend(CARRIED_VERSIONS);
        }
        let arn = |bucket: &String| format!("arn:{partition}:s3:::{bucket}");
        statements.push(statement("ListCarriedBuckets", list, buckets.iter().map(arn).collect()));
        let objects = needs.buckets.iter().map(|(bucket, prefix)| {
            format!("arn:{partition}:s3:::{bucket}/{}*", prefix.as_deref().unwrap_or_default())
        });
        let objects = objects.chain(needs.patterns.iter().map(|pattern| format!("arn:{partition}:s3:::{pattern}/*")));
        statements.push(statement("ReadCarriedObjects", read, objects.collect()));
    }
    let settings = bucket_settings(needs);
    if !settings.is_empty() {
        statements.push(statement("ReadBucketSettings", settings, vec![format!("arn:{partition}:s3:::*")]));
    }
    if !buckets.is_empty() {
        let keys = needs.object_keys.as_ref();
        statements.extend(decrypting(needs, "s3", "DecryptCarriedObjects", vec!["kms:Decrypt"], keys));
    }
    if !needs.iam_logins.is_empty() {
        statements.push(statement("LogIntoDatabases", vec!["rds-db:connect"], logins(needs)));
    }
    if needs.restores {
        statements.extend(temporary());
        let actions = vec!["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"];
        statements.extend(decrypting(needs, "rds", "UseTheKeysOfSnapshots", actions, needs.snapshot_keys.as_ref()));
    }
    if !needs.exports.is_empty() {
        statements.extend(exporting(&needs.exports));
    }
    if needs.own_role {
        statements.push(statement(
            "ReadOwnTrustPolicy",
            vec!["iam:GetRole"],
            vec![format!("arn:{partition}:iam::*:role/*")],
        ));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Uses keys through one service only, so that nothing can be decrypted past it (AWS KMS, "kms:ViaService"): every key
/// where they are not known, and nothing where there are none.
fn decrypting(
    needs: &Needs,
    service: &str,
    id: &str,
    actions: Vec<&str>,
    keys: Option<&BTreeSet<String>>,
) -> Option<Value> {
    let services = || needs.regions.iter().filter(|region| !region.is_empty());
    let mut via: Vec<_> = services().map(|region| format!("{service}.{region}.amazonaws.com")).collect();
    if via.is_empty() {
        via.push(format!("{service}.*.amazonaws.com"));
    }
    let resources = keys.map_or(vec!["*".to_owned()], |keys| keys.iter().cloned().collect());
    let mut statement = statement(id, actions, resources);
    statement["Condition"] = json!({"StringLike": {"kms:ViaService": via}});
    keys.is_none_or(|keys| !keys.is_empty()).then_some(statement)
}

/// Users of databases by the provider's own identifiers (Amazon RDS user guide, "Creating and using an IAM policy for IAM
/// database access"); those of temporary ones are not known yet.
fn logins(needs: &Needs) -> Vec<String> {
    let partition = needs.partition();
    let account = needs.account.as_deref().unwrap_or("*");
    let user = |login: &IamLogin| {
        let resource = login.resource.as_deref().unwrap_or("*");
        format!("arn:{partition}:rds-db:*:{account}:dbuser:{resource}/{}", login.user)
    };
    let mut users: Vec<_> = needs.iam_logins.iter().map(user).collect();
    users.sort();
    users.dedup();
    users
}

/// Creates only what has walkaway's tag, and removes only that (Amazon RDS, "Using IAM tags").
fn temporary() -> [Value; 2] {
    let make = json!({"Sid": "MakeTemporary", "Effect": "Allow",
        "Action": ["rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:RestoreDBInstanceFromDBSnapshot"],
        "Resource": ["*"], "Condition": {"StringLike": {format!("aws:RequestTag/{OWN_TAG}"): "*"}}});
    let remove = json!({"Sid": "RemoveTemporary", "Effect": "Allow",
        "Action": ["rds:DeleteDBInstance", "rds:DeleteDBSnapshot"],
        "Resource": ["*"], "Condition": {"StringLike": {format!("aws:ResourceTag/{OWN_TAG}"): "*"}}});
    [make, remove]
}

/// Requests exports, and cancels those in progress (Amazon RDS user guide, "Setting up access to an Amazon S3 bucket").
fn exporting(exports: &[(String, String)]) -> [Value; 3] {
    let task = ["rds:StartExportTask", "rds:CancelExportTask"].to_vec();
    let roles = exports.iter().map(|(role, _)| role.clone()).collect();
    // A key's id or alias is not a resource that a policy can name.
    let key = |key: &String| if key.starts_with("arn:") { key.clone() } else { "*".to_owned() };
    let keys: Vec<String> = exports.iter().map(|(_, name)| key(name)).collect();
    let key_actions =
        ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"].to_vec();
    [
        statement("AskForExports", task, vec!["*".to_owned()]),
        statement("PassTheRoleOfExports", vec!["iam:PassRole"], roles),
        statement("UseTheKeyOfExports", key_actions, keys),
    ]
}

fn inventory(needs: &Needs) -> Vec<&'static str> {
    let mut actions = vec![
        "cloudwatch:GetMetricData",
        "cloudwatch:ListMetrics",
        "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:DescribeDBSnapshots",
        "rds:DescribeExportTasks",
        "s3:ListAllMyBuckets",
        "sts:GetCallerIdentity",
    ];
    if needs.public_access {
        actions.extend([
            "rds:DescribeDBClusterSnapshotAttributes",
            "rds:DescribeDBSnapshotAttributes",
            "s3:GetAccountPublicAccessBlock",
        ]);
    }
    if needs.users {
        actions.extend(["iam:GenerateCredentialReport", "iam:GetCredentialReport"]);
    }
    actions.sort_unstable();
    actions
}

fn bucket_settings(needs: &Needs) -> Vec<&'static str> {
    let groups: [(bool, &[&str]); 7] = [
        (needs.tags, &["s3:GetBucketTagging"]),
        (needs.encryption, &["s3:GetEncryptionConfiguration"]),
        (needs.public_access, &PUBLIC_ACCESS),
        (needs.settings, &SETTINGS),
        (needs.versioning, &["s3:GetBucketVersioning"]),
        (needs.protection, &["s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning"]),
        (needs.sizes_by_listing, &["s3:ListBucket", "s3:ListBucketVersions"]),
    ];
    let mut actions: Vec<_> =
        groups.iter().filter(|(wanted, _)| *wanted).flat_map(|(_, actions)| actions.iter().copied()).collect();
    if !actions.is_empty() {
        actions.push("s3:GetBucketLocation");
    }
    actions.sort_unstable();
    actions.dedup();
    actions
}

fn statement(id: &str, actions: Vec<&str>, resources: Vec<String>) -> Value {
    json!({"Sid": id, "Effect": "Allow", "Action": actions, "Resource": resources})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::inventory::Fact;

    fn actions(policy: &Value) -> Vec<String> {
        let statements = policy["Statement"].as_array().unwrap();
        let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
        actions.map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_action_reads_and_objects_are_named() {
        let needs = Needs {
            buckets: vec![("acme-invoices".into(), Some("2026/".into()))],
            encryption: true,
            public_access: true,
            protection: true,
            users: true,
            tags: true,
            own_role: true,
            ..Needs::default()
        };
        let policy = policy(&needs);
        for action in actions(&policy) {
            let verb = action.split_once(':').unwrap().1;
            let reads = ["Get", "List", "Describe", "Decrypt", "GenerateCredentialReport"]
                .iter()
                .any(|word| verb.starts_with(word));
            assert!(reads, "{action}");
        }
        assert_eq!(policy["Statement"][2]["Resource"][0], "arn:aws:s3:::acme-invoices/2026/*");
    }

    #[test]
    fn what_writes_is_bound_to_the_tag_and_only_there_for_snapshots() {
        let policy = policy(&Needs { restores: true, ..Needs::default() });
        let writing = policy["Statement"].as_array().unwrap().iter().filter(|one| one["Condition"].is_object());
        let tagged = writing.filter(|one| one["Condition"].to_string().contains("walkaway:run"));
        assert_eq!(tagged.count(), 2);
        assert!(policy.to_string().contains("aws:ResourceTag/walkaway:run"));
    }

    #[test]
    fn exports_need_the_role_and_the_key_that_the_playbook_names() {
        let export = ("arn:aws:iam::123456789012:role/export".to_owned(), "alias/exit".to_owned());
        let policy = policy(&Needs { exports: vec![export], ..Needs::default() });
        let of =
            |id: &str| policy["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == id).unwrap().clone();
        assert_eq!(of("PassTheRoleOfExports")["Resource"][0], "arn:aws:iam::123456789012:role/export");
        assert_eq!(of("UseTheKeyOfExports")["Resource"][0], "*");
    }

    #[test]
    fn keys_are_used_through_their_service_and_users_log_in_by_name() {
        let needs = Needs {
            buckets: vec![("acme".into(), None)],
            restores: true,
            iam_logins: vec![IamLogin { user: "exit_reader".into(), ..IamLogin::default() }],
            account: Some("123456789012".into()),
            regions: vec!["eu-central-1".into()],
            ..Needs::default()
        };
        let policy = policy(&needs);
        let of =
            |id: &str| policy["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == id).unwrap().clone();
        let objects = of("DecryptCarriedObjects");
        assert_eq!(objects["Action"], json!(["kms:Decrypt"]));
        assert_eq!(objects["Condition"]["StringLike"]["kms:ViaService"][0], "s3.eu-central-1.amazonaws.com");
        let snapshots = of("UseTheKeysOfSnapshots");
        assert!(snapshots["Action"].as_array().unwrap().contains(&json!("kms:CreateGrant")));
        assert_eq!(of("LogIntoDatabases")["Resource"][0], "arn:aws:rds-db:*:123456789012:dbuser:*/exit_reader");
    }

    #[test]
    fn what_an_inventory_saw_narrows_the_policy_and_what_it_did_not_see_leaves_it_wide() {
        const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let item = |kind, name: &str, facts: &[(&str, &str)]| {
            let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), Fact::listed(*value)));
            Item { facts: facts.collect(), ..Item::named(kind, name, Some("eu-central-1".into())) }
        };
        let bucket = |encryption: &str| item(ItemKind::Bucket, "acme", &[(fact::ENCRYPTION, encryption)]);
        let ledger = |encryption: &str| {
            item(ItemKind::Instance, "ledger", &[(fact::ENCRYPTION, encryption), (fact::RESOURCE, "db-ABC")])
        };
        let login = |at: Option<&str>| IamLogin { user: "u".into(), at: at.map(str::to_owned), resource: None };
        let narrowed = |items: Vec<Item>, login: IamLogin, reads_exports| {
            let mut inventory = Inventory::new(String::new(), vec![]);
            inventory.items = items;
            inventory.account_id = Some("123456789012".into());
            let mut needs = Needs {
                buckets: vec![("acme".into(), None)],
                restores: true,
                restored: vec!["ledger".into()],
                iam_logins: vec![login],
                reads_exports,
                ..Needs::default()
            };
            let unseen = needs.narrow(&inventory).len();
            let policy = policy(&needs);
            let of = |id: &str| {
                let found = policy["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == id).cloned();
                found.map(|one| one["Resource"].clone())
            };
            let logins = of("LogIntoDatabases").unwrap();
            let user = logins[0].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
            (of("DecryptCarriedObjects"), of("UseTheKeysOfSnapshots"), user, unseen)
        };
        let key = || Some(json!([KEY]));
        let any = || Some(json!(["*"]));
        let encrypted = format!("aws:kms {KEY}");
        let by_id = format!("aws:kms {}", KEY.rsplit('/').next().unwrap());
        let of_rds = format!("yes {KEY}");
        let at = || login(Some("ledger"));
        for (bucket_by, ledger_by, login, reads_exports, expected) in [
            (&*encrypted, &*of_rds, at(), false, (key(), key(), "db-ABC/u", 0)),
            (&*by_id, &*of_rds, at(), false, (key(), key(), "db-ABC/u", 0)),
            ("AES256", "none", at(), false, (None, None, "db-ABC/u", 0)),
            ("aws:kms", "none", at(), false, (None, None, "db-ABC/u", 0)),
            ("aws:kms alias/exit", "yes", at(), false, (any(), any(), "db-ABC/u", 2)),
            ("AES256", "none", at(), true, (any(), None, "db-ABC/u", 1)),
            ("AES256", "none", login(None), false, (None, None, "*/u", 1)),
        ] {
            let (objects, snapshots, user, unseen) =
                narrowed(vec![bucket(bucket_by), ledger(ledger_by)], login, reads_exports);
            assert_eq!((objects, snapshots, &*user, unseen), expected, "{bucket_by} {ledger_by}");
        }
        // Nothing is known, or a name is ambiguous.
        let (objects, snapshots, user, unseen) = narrowed(vec![], at(), false);
        assert_eq!((objects, snapshots, &*user, unseen), (any(), any(), "*/u", 3));
        let twins =
            vec![bucket("AES256"), ledger("none"), item(ItemKind::Cluster, "ledger", &[(fact::ENCRYPTION, "none")])];
        let (objects, snapshots, user, unseen) = narrowed(twins, at(), false);
        assert_eq!((objects, snapshots, &*user, unseen), (None, any(), "*/u", 2));
    }

    #[test]
    fn the_names_of_things_are_those_of_the_partition() {
        for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-central-1", "aws")]
        {
            let needs = Needs {
                buckets: vec![("acme".into(), None)],
                patterns: vec!["acme-*".into()],
                settings: true,
                own_role: true,
                iam_logins: vec![IamLogin { user: "reader".into(), ..IamLogin::default() }],
                regions: vec![region.into()],
                ..Needs::default()
            };
            let text = policy(&needs).to_string();
            let arns: Vec<&str> =
                text.match_indices("arn:").filter_map(|(at, _)| text[at..].split(':').nth(1)).collect();
            assert!(arns.len() >= 7 && arns.iter().all(|own| *own == partition), "{region}: {text}");
        }
    }

    #[test]
    fn what_is_not_asked_for_needs_no_right() {
        let few = actions(&policy(&Needs::default()));
        assert!(!few.iter().any(|action| action.starts_with("iam:") || action == "s3:GetObject"));
    }
}
