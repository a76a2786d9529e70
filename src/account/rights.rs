//! The least IAM policy that a playbook needs. Every action in it reads, but for those that make and remove the temporary
//! instance of a database that is read from a snapshot: these are bound to the tag that walkaway's own things carry; and
//! for those that ask for an export, which carries no tags.

use serde_json::{Value, json};

use super::change::OWN_TAG;

/// What a playbook asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Buckets that are carried, each with its prefix.
    pub buckets: Vec<(String, Option<String>)>,
    /// Patterns of buckets that are chosen when the run begins.
    pub patterns: Vec<String>,
    /// Earlier versions are carried.
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
    /// Everything that can be set about buckets, for before and after.
    pub settings: bool,
    /// Every object and version of every bucket is listed.
    pub sizes_by_listing: bool,
    /// Database users that log in by tokens of IAM.
    pub iam_logins: Vec<String>,
    /// The account's number, if the playbook names it.
    pub account: Option<String>,
    /// Users and keys.
    pub users: bool,
    /// A database is read from a snapshot, which is restored to a temporary instance.
    pub restores: bool,
    /// Exports of snapshots that are asked for: the role that is passed on, and the key.
    pub exports: Vec<(String, String)>,
    /// The role's own trust policy.
    pub own_role: bool,
    /// Regions that are looked at.
    pub regions: Vec<String>,
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
/// An object with everything that is carried or recorded of it.
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

/// What says whether a bucket is open.
const PUBLIC_ACCESS: [&str; 4] =
    ["s3:GetBucketAcl", "s3:GetBucketPolicy", "s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock"];
/// Everything that can be set about a bucket.
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

/// The policy document (IAM JSON policy reference).
pub fn policy(needs: &Needs) -> Value {
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
        let arn = |bucket: &String| format!("arn:aws:s3:::{bucket}");
        statements.push(statement("ListCarriedBuckets", list, buckets.iter().map(arn).collect()));
        let objects = needs
            .buckets
            .iter()
            .map(|(bucket, prefix)| format!("arn:aws:s3:::{bucket}/{}*", prefix.as_deref().unwrap_or_default()));
        let objects = objects.chain(needs.patterns.iter().map(|pattern| format!("arn:aws:s3:::{pattern}/*")));
        statements.push(statement("ReadCarriedObjects", read, objects.collect()));
    }
    let settings = bucket_settings(needs);
    if !settings.is_empty() {
        statements.push(statement("ReadBucketSettings", settings, vec!["arn:aws:s3:::*".to_owned()]));
    }
    if !buckets.is_empty() {
        statements.push(decrypting(needs, "s3", "DecryptCarriedObjects", vec!["kms:Decrypt"]));
    }
    if !needs.iam_logins.is_empty() {
        statements.push(statement("LogIntoDatabases", vec!["rds-db:connect"], logins(needs)));
    }
    if needs.restores {
        statements.extend(temporary());
        let actions = vec!["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"];
        statements.push(decrypting(needs, "rds", "UseTheKeysOfSnapshots", actions));
    }
    if !needs.exports.is_empty() {
        statements.extend(exporting(&needs.exports));
    }
    if needs.own_role {
        statements.push(statement("ReadOwnTrustPolicy", vec!["iam:GetRole"], vec!["arn:aws:iam::*:role/*".to_owned()]));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Uses keys through one service only, so that nothing can be decrypted past it (AWS KMS, "kms:ViaService"). Which keys,
/// the buckets and snapshots say; a playbook does not.
fn decrypting(needs: &Needs, service: &str, id: &str, actions: Vec<&str>) -> Value {
    let services = || needs.regions.iter().filter(|region| !region.is_empty());
    let mut via: Vec<_> = services().map(|region| format!("{service}.{region}.amazonaws.com")).collect();
    if via.is_empty() {
        via.push(format!("{service}.*.amazonaws.com"));
    }
    let mut statement = statement(id, actions, vec!["*".to_owned()]);
    statement["Condition"] = json!({"StringLike": {"kms:ViaService": via}});
    statement
}

/// Users of databases, whose resource identifiers are known to the provider only (Amazon RDS user guide, "Creating and
/// using an IAM policy for IAM database access").
fn logins(needs: &Needs) -> Vec<String> {
    let account = needs.account.as_deref().unwrap_or("*");
    let mut users: Vec<_> =
        needs.iam_logins.iter().map(|user| format!("arn:aws:rds-db:*:{account}:dbuser:*/{user}")).collect();
    users.sort();
    users.dedup();
    users
}

/// Makes only what carries walkaway's tag, and removes only that (Amazon RDS, "Using IAM tags").
fn temporary() -> [Value; 2] {
    let make = json!({"Sid": "MakeTemporary", "Effect": "Allow",
        "Action": ["rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:RestoreDBInstanceFromDBSnapshot"],
        "Resource": ["*"], "Condition": {"StringLike": {format!("aws:RequestTag/{OWN_TAG}"): "*"}}});
    let remove = json!({"Sid": "RemoveTemporary", "Effect": "Allow",
        "Action": ["rds:DeleteDBInstance", "rds:DeleteDBSnapshot"],
        "Resource": ["*"], "Condition": {"StringLike": {format!("aws:ResourceTag/{OWN_TAG}"): "*"}}});
    [make, remove]
}

/// Asks for exports, and cancels those under way (Amazon RDS user guide, "Setting up access to an Amazon S3 bucket").
fn exporting(exports: &[(String, String)]) -> [Value; 3] {
    let task = ["rds:StartExportTask", "rds:CancelExportTask"].to_vec();
    let roles = exports.iter().map(|(role, _)| role.clone()).collect();
    // A key's id or alias is no resource that a policy could name.
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
            iam_logins: vec!["exit_reader".into()],
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
    fn what_is_not_asked_for_needs_no_right() {
        let few = actions(&policy(&Needs::default()));
        assert!(!few.iter().any(|action| action.starts_with("iam:") || action == "s3:GetObject"));
    }
}
