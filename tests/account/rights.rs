//! The printed policy where it is enforced: with all of it a plan is not refused anything, and whatever action is missing,
//! the plan names it.

use std::{collections::BTreeMap, fs};

use crate::account::world::World;

const PLAYBOOK: &str = "assets: [{id: invoices, s3: {bucket: acme-invoices}}]\nposture: [residency, encryption, \
                        public_access, orphan_snapshots, protection, credentials]\npostconditions: [source_unchanged]\n";

/// The actions of that playbook's policy that moto tells apart from others and that a plan makes use of.
const ENFORCED: [&str; 24] = [
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "iam:GenerateCredentialReport",
    "iam:GetCredentialReport",
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSnapshotAttributes",
    "rds:DescribeDBSnapshots",
    "rds:DescribeExportTasks",
    "s3:GetAccelerateConfiguration",
    "s3:GetAccountPublicAccessBlock",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketPolicy",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetLifecycleConfiguration",
    "s3:ListAllMyBuckets",
];

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn whatever_action_of_the_printed_policy_is_missing_the_plan_names_it() {
    let printed = World::at("http://127.0.0.1:1");
    printed.playbook(PLAYBOOK);
    let policy = printed.command(&["plan", "--iam-policy", "drill.yaml"]).output().unwrap();
    let path = printed.home.join("policy.json");
    fs::write(&path, policy.stdout).unwrap();
    let world = World::of(&format!("rights:{}", path.display()));
    world.playbook(PLAYBOOK);
    let keys = fs::read(printed.home.join("policy.json.keys")).unwrap();
    let keys: Vec<(String, String, String)> = serde_json::from_slice(&keys).unwrap();
    let keys: BTreeMap<_, _> = keys.into_iter().map(|(missing, id, secret)| (missing, (id, secret))).collect();
    let told = |missing: &str| {
        let (id, secret) = &keys[missing];
        let mut command = world.command(&["plan", "drill.yaml"]);
        let output = command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret).output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    };
    let whole = told("");
    assert!(whole.contains("a run would test 1 of") && !whole.contains("missing rights"), "{whole}");
    for missing in ENFORCED {
        let told = told(missing);
        assert!(told.contains("missing rights") && told.contains(missing), "{missing}: {told}");
    }
}
