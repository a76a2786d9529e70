//! The printed policy against the code: every call that the code makes is allowed by an action of the policy, every action
//! is there for a call, and every right that is named as missing is one of the policy's.
//!
//! Reads the text of the modules that speak to the provider. What a call needs is AWS's word (Service Authorization
//! Reference; Amazon S3 user guide, "Required permissions for S3 API operations").

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use walkaway::account::rights::{IamLogin, Needs, policy};

/// Each call, as the SDK's method or as the word of a request that is signed by hand, and the actions that allow it.
const CALLS: &[(&str, &[&str])] = &[
    ("add_tags_to_resource", &["rds:AddTagsToResource"]),
    ("cancel_export_task", &["rds:CancelExportTask"]),
    ("create_db_snapshot", &["rds:CreateDBSnapshot", "rds:AddTagsToResource"]),
    ("delete_db_instance", &["rds:DeleteDBInstance"]),
    ("delete_db_snapshot", &["rds:DeleteDBSnapshot"]),
    ("describe_db_cluster_snapshot_attributes", &["rds:DescribeDBClusterSnapshotAttributes"]),
    ("describe_db_cluster_snapshots", &["rds:DescribeDBClusterSnapshots"]),
    ("describe_db_clusters", &["rds:DescribeDBClusters"]),
    ("describe_db_instances", &["rds:DescribeDBInstances"]),
    ("describe_db_snapshot_attributes", &["rds:DescribeDBSnapshotAttributes"]),
    ("describe_db_snapshots", &["rds:DescribeDBSnapshots"]),
    ("describe_export_tasks", &["rds:DescribeExportTasks"]),
    (
        "restore_db_instance_from_db_snapshot",
        &[
            "rds:RestoreDBInstanceFromDBSnapshot",
            "rds:AddTagsToResource",
            "kms:CreateGrant",
            "kms:DescribeKey",
            "kms:GenerateDataKeyWithoutPlaintext",
        ],
    ),
    (
        "start_export_task",
        &[
            "rds:StartExportTask",
            "iam:PassRole",
            "kms:CreateGrant",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey*",
        ],
    ),
    ("get_bucket_accelerate_configuration", &["s3:GetAccelerateConfiguration"]),
    ("get_bucket_acl", &["s3:GetBucketAcl"]),
    ("get_bucket_cors", &["s3:GetBucketCORS"]),
    ("get_bucket_encryption", &["s3:GetEncryptionConfiguration"]),
    ("get_bucket_lifecycle_configuration", &["s3:GetLifecycleConfiguration"]),
    ("get_bucket_location", &["s3:GetBucketLocation"]),
    ("get_bucket_logging", &["s3:GetBucketLogging"]),
    ("get_bucket_notification_configuration", &["s3:GetBucketNotification"]),
    ("get_bucket_ownership_controls", &["s3:GetBucketOwnershipControls"]),
    ("get_bucket_policy", &["s3:GetBucketPolicy"]),
    ("get_bucket_policy_status", &["s3:GetBucketPolicyStatus"]),
    ("get_bucket_replication", &["s3:GetReplicationConfiguration"]),
    ("get_bucket_request_payment", &["s3:GetBucketRequestPayment"]),
    ("get_bucket_tagging", &["s3:GetBucketTagging"]),
    ("get_bucket_versioning", &["s3:GetBucketVersioning"]),
    ("get_bucket_website", &["s3:GetBucketWebsite"]),
    ("get_object", &["s3:GetObject", "s3:GetObjectVersion", "kms:Decrypt"]),
    ("get_object_acl", &["s3:GetObjectAcl", "s3:GetObjectVersionAcl"]),
    (
        "get_object_attributes",
        &["s3:GetObject", "s3:GetObjectAttributes", "s3:GetObjectVersion", "s3:GetObjectVersionAttributes"],
    ),
    ("get_object_lock_configuration", &["s3:GetBucketObjectLockConfiguration"]),
    ("question: Some(\"tagging\")", &["s3:GetObjectTagging", "s3:GetObjectVersionTagging"]),
    ("get_public_access_block", &["s3:GetBucketPublicAccessBlock"]),
    // Its answer has retention and legal hold for whoever may read these.
    (
        "head_object",
        &["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold", "kms:Decrypt"],
    ),
    ("list_bucket_analytics_configurations", &["s3:GetAnalyticsConfiguration"]),
    ("list_bucket_intelligent_tiering_configurations", &["s3:GetIntelligentTieringConfiguration"]),
    ("list_bucket_inventory_configurations", &["s3:GetInventoryConfiguration"]),
    ("list_bucket_metrics_configurations", &["s3:GetMetricsConfiguration"]),
    ("list_buckets", &["s3:ListAllMyBuckets"]),
    ("list_multipart_uploads", &["s3:ListBucketMultipartUploads"]),
    ("list_object_versions", &["s3:ListBucketVersions"]),
    ("list_objects_v2", &["s3:ListBucket"]),
    ("get_caller_identity", &["sts:GetCallerIdentity"]),
    ("Action=GenerateCredentialReport", &["iam:GenerateCredentialReport"]),
    ("Action=GetCredentialReport", &["iam:GetCredentialReport"]),
    ("Action=GetRole", &["iam:GetRole"]),
    ("GetMetricData", &["cloudwatch:GetMetricData"]),
    ("ListMetrics", &["cloudwatch:ListMetrics"]),
    ("publicAccessBlock", &["s3:GetAccountPublicAccessBlock"]),
    ("AuthTokenGenerator", &["rds-db:connect"]),
];

/// Allowed without a call of the code's: parts of an upload that S3 looks into for attributes of an object in parts.
const WITHOUT_A_CALL: &[&str] = &["s3:ListMultipartUploadParts", "s3:GetBucket*"];

const VERBS: [&str; 22] = [
    "abort", "add", "assume", "cancel", "complete", "copy", "create", "delete", "describe", "get", "head", "list",
    "modify", "promote", "put", "reboot", "remove", "restore", "simulate", "start", "stop", "upload",
];

/// Everything that any playbook can need.
fn every_need() -> Needs {
    Needs {
        buckets: vec![("acme".to_owned(), None)],
        versions: true,
        tags: true,
        encryption: true,
        public_access: true,
        protection: true,
        versioning: true,
        settings: true,
        sizes_by_listing: true,
        iam_logins: vec![IamLogin { user: "reader".to_owned(), ..IamLogin::default() }],
        users: true,
        restores: true,
        exports: vec![("arn:aws:iam::123456789012:role/export".to_owned(), "alias/exit".to_owned())],
        own_role: true,
        regions: vec!["eu-central-1".to_owned()],
        ..Needs::default()
    }
}

fn granted() -> BTreeSet<String> {
    let policy = policy(&every_need());
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

fn allows(granted: &BTreeSet<String>, action: &str) -> bool {
    granted.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => action.starts_with(beginning),
        None => pattern == action,
    })
}

/// The code that speaks to the provider, without its tests, its servers for tests, and what speaks PostgreSQL.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = ["src/account/look", "src/aws", "src/provider"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .to_vec();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let speaks = !["tests", "tests.rs", "denial_tests.rs", "scripted.rs", "parquet_rows", "postgres.rs"]
                .contains(&&*name);
            match path.is_dir() {
                true if speaks => folders.push(path),
                false if speaks => {
                    let text = fs::read_to_string(&path).unwrap();
                    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
                    files.push((path, code));
                }
                _ => {}
            }
        }
    }
    files
}

/// Methods of SDK clients: a verb of AWS's, called without arguments or given to a macro that calls it.
fn calls(code: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(|c: char| c.is_ascii_lowercase()) {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let word: &str = code[at..].split(|c| !is_word(c)).next().unwrap_or_default();
        let after = &code[at + word.len()..];
        let is_verb = word.split_once('_').is_some_and(|(verb, _)| VERBS.contains(&verb));
        let is_variable = code.contains(&format!("{word}: "));
        if is_verb && !is_variable && (after.starts_with("()") || after.starts_with(',')) {
            found.insert(word.to_owned());
        }
    }
    found
}

#[test]
fn every_call_is_allowed_by_the_printed_policy_and_every_action_is_there_for_a_call() {
    let sources = sources();
    let granted = granted();
    let known: BTreeMap<&str, &[&str]> = CALLS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, code) in &sources {
        let unknown = calls(code).into_iter().filter(|call| !known.contains_key(call.as_str()));
        wrong.extend(unknown.map(|call| format!("{}: the rights that {call} needs are not known", path.display())));
    }
    for (call, actions) in CALLS {
        if !sources.iter().any(|(_, code)| code.contains(call)) {
            wrong.push(format!("{call} is called by nobody"));
        }
        let missing = actions.iter().filter(|action| !allows(&granted, action));
        wrong.extend(missing.map(|action| format!("{call} needs {action}, which the policy does not grant")));
    }
    let needed: BTreeSet<&str> = CALLS.iter().flat_map(|(_, actions)| actions.iter().copied()).collect();
    let idle = granted.iter().filter(|action| !needed.contains(action.as_str()));
    let idle = idle.filter(|action| !WITHOUT_A_CALL.contains(&action.as_str()));
    wrong.extend(idle.map(|action| format!("{action} is granted and needed by no call")));
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_right_that_is_named_as_missing_is_one_that_the_policy_grants() {
    let granted = granted();
    let services = ["cloudwatch:", "iam:", "kms:", "rds:", "s3:", "sts:"];
    let mut named = BTreeSet::new();
    for (_, code) in sources() {
        for word in code.split(|c: char| !(c.is_ascii_alphanumeric() || ":*".contains(c))) {
            let is_right = services.iter().any(|service| {
                word.strip_prefix(service).is_some_and(|verb| verb.starts_with(|c: char| c.is_ascii_uppercase()))
            });
            if is_right {
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() > 10, "{named:?}");
    let wrong: Vec<_> = named.iter().filter(|right| !allows(&granted, right)).collect();
    assert_eq!(wrong, Vec::<&String>::new());
}
