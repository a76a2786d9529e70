//! Everything that can be set about a bucket or a database, as canonical text, so that two looks can be compared without
//! knowing what each setting means. Long ones stand by their digest.
//!
//! What is not here: the objects of a bucket, the rows of a database, the contents of parameter groups and the rules of
//! security groups, which have names here only; passwords, which no provider shows.

use aws_sdk_s3::Client;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};

use super::{
    tap::{Tap, ask_raw, root_of},
    xml::Element,
};
use crate::{
    account::{
        inventory::{Fact, Item},
        policy,
        reply::Reply,
    },
    digest::Sha256Digest,
};

/// Longer values stand by their digest.
const TEXT_BYTES_MAX: usize = 240;
/// What RDS changes by itself while an instance, a cluster or a snapshot lives (Amazon RDS API reference), and what stands
/// in the inventory under a name of its own.
const VOLATILE: [&str; 19] = [
    "AutomaticRestartTime",
    "BacktrackConsumedChangeRecords",
    "Capacity",
    "DBClusterIdentifier",
    "DBClusterSnapshotIdentifier",
    "DBInstanceIdentifier",
    "DBInstanceStatus",
    "DBSnapshotIdentifier",
    "EarliestBacktrackTime",
    "EarliestRestorableTime",
    "IOOptimizedNextAllowedModificationTime",
    "LatestRestorableTime",
    "PercentProgress",
    "Status",
    "StatusInfos",
    "StorageOptimizationStatus",
    "StorageVolumeStatus",
    "TagList",
    "ValidTill",
];

/// One setting of a bucket by its name in the inventory, and how the question for it ended.
type Setting = (&'static str, &'static str, Reply<(String, Option<Sha256Digest>)>);

/// Settings whose parts mean something by their order: the first rule that fits counts.
const IN_ORDER: [&str; 2] = ["cors", "website"];

/// Asks a bucket for everything that can be set.
pub(super) async fn of_bucket(client: &Client, bucket: &str, item: &mut Item) {
    macro_rules! setting {
        ($name:literal, $call:ident, $operation:literal, $root:literal, $absent:expr) => {
            async {
                let asked = ask_raw!(client.$call().bucket(bucket));
                (
                    $name,
                    $operation,
                    Reply::of_optional(asked, $absent).read(|tap| in_words(($name, $operation, $root), &tap)),
                )
            }
            .boxed()
        };
    }
    let no_configuration = ["NoSuchConfiguration"];
    let questions: Vec<BoxFuture<'_, Setting>> = vec![
        setting!(
            "accelerate",
            get_bucket_accelerate_configuration,
            "GetBucketAccelerateConfiguration",
            "AccelerateConfiguration",
            &[]
        ),
        setting!("access_list", get_bucket_acl, "GetBucketAcl", "AccessControlPolicy", &[]),
        setting!(
            "analytics",
            list_bucket_analytics_configurations,
            "ListBucketAnalyticsConfigurations",
            "ListBucketAnalyticsConfigurationResult",
            &no_configuration
        ),
        setting!(
            "block",
            get_public_access_block,
            "GetPublicAccessBlock",
            "PublicAccessBlockConfiguration",
            &["NoSuchPublicAccessBlockConfiguration"]
        ),
        setting!("cors", get_bucket_cors, "GetBucketCors", "CORSConfiguration", &["NoSuchCORSConfiguration"]),
        setting!(
            "default_encryption",
            get_bucket_encryption,
            "GetBucketEncryption",
            "ServerSideEncryptionConfiguration",
            &["ServerSideEncryptionConfigurationNotFoundError"]
        ),
        setting!(
            "inventory",
            list_bucket_inventory_configurations,
            "ListBucketInventoryConfigurations",
            "ListInventoryConfigurationsResult",
            &no_configuration
        ),
        setting!(
            "lifecycle",
            get_bucket_lifecycle_configuration,
            "GetBucketLifecycleConfiguration",
            "LifecycleConfiguration",
            &["NoSuchLifecycleConfiguration"]
        ),
        setting!(
            "lock",
            get_object_lock_configuration,
            "GetObjectLockConfiguration",
            "ObjectLockConfiguration",
            &["ObjectLockConfigurationNotFoundError"]
        ),
        setting!("logging", get_bucket_logging, "GetBucketLogging", "BucketLoggingStatus", &[]),
        setting!(
            "metrics",
            list_bucket_metrics_configurations,
            "ListBucketMetricsConfigurations",
            "ListMetricsConfigurationsResult",
            &no_configuration
        ),
        setting!(
            "notification",
            get_bucket_notification_configuration,
            "GetBucketNotificationConfiguration",
            "NotificationConfiguration",
            &[]
        ),
        setting!(
            "ownership",
            get_bucket_ownership_controls,
            "GetBucketOwnershipControls",
            "OwnershipControls",
            &["OwnershipControlsNotFoundError"]
        ),
        setting!(
            "request_payment",
            get_bucket_request_payment,
            "GetBucketRequestPayment",
            "RequestPaymentConfiguration",
            &[]
        ),
        setting!(
            "replication",
            get_bucket_replication,
            "GetBucketReplication",
            "ReplicationConfiguration",
            &["ReplicationConfigurationNotFoundError"]
        ),
        setting!(
            "tiering",
            list_bucket_intelligent_tiering_configurations,
            "ListBucketIntelligentTieringConfigurations",
            "ListBucketIntelligentTieringConfigurationsOutput",
            &no_configuration
        ),
        setting!("versions", get_bucket_versioning, "GetBucketVersioning", "VersioningConfiguration", &[]),
        setting!(
            "website",
            get_bucket_website,
            "GetBucketWebsite",
            "WebsiteConfiguration",
            &["NoSuchWebsiteConfiguration"]
        ),
    ];
    for (name, operation, reply) in join_all(questions).await {
        item.facts.insert(name.to_owned(), Fact::of(operation, reply));
    }
}

/// The policy of a bucket as canonical JSON; it is kept whole, because it is judged by its text.
pub(super) async fn policy(client: &Client, bucket: &str) -> Reply<(String, Option<Sha256Digest>)> {
    let asked = ask_raw!(client.get_bucket_policy().bucket(bucket));
    Reply::of(asked, &["NoSuchBucketPolicy"]).read(|tap| Ok((policy::canonical(&tap.text())?, tap.digest())))
}

fn in_words(
    (name, operation, expected): (&str, &str, &str),
    tap: &Tap,
) -> Result<(String, Option<Sha256Digest>), String> {
    let root = root_of(tap, operation, expected)?;
    // A list of configurations comes in pages of a hundred; more than one page is more than is compared here.
    if root.text_of("IsTruncated") == Some("true") {
        return Err("there are more than a hundred configurations, and only the first page was read".to_owned());
    }
    Ok((shortened(&root.canonical(IN_ORDER.contains(&name))), tap.digest()))
}

fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX { text.to_owned() } else { format!("sha256 {}", Sha256Digest::of(text)) }
}

/// Puts every setting of the described things into the items that were read from the same answer, in its order.
pub(super) fn of_described(list: &Element, items: &mut [Item]) {
    for (item, described) in items.iter_mut().zip(&list.children) {
        item.facts.extend(facts(described));
    }
}

fn facts(described: &Element) -> impl Iterator<Item = (String, Fact)> {
    let settings = described.children.iter().filter(|child| !VOLATILE.contains(&child.name.as_str()));
    let state = described.children.iter().find(|child| ["DBInstanceStatus", "Status"].contains(&child.name.as_str()));
    let state = state.map(|state| ("state".to_owned(), Fact::listed(settled(&state.text))));
    let settings = settings.map(|setting| {
        let text = if setting.children.is_empty() { setting.text.clone() } else { setting.canonical(false) };
        (setting.name.clone(), Fact::listed(shortened(&text)))
    });
    settings.chain(state)
}

/// What a state comes to once it is settled: being backed up, or modified, passes by itself; what was stopped, is going, or
/// has failed stays so (Amazon RDS User Guide, "Viewing Amazon RDS DB instance status").
fn settled(status: &str) -> &str {
    match status {
        "stopping" | "stopped" => "stopped",
        "deleting" | "failed" | "storage-full" | "restore-error" | "insufficient-capacity" => status,
        _ if status.starts_with("inaccessible-") || status.starts_with("incompatible-") => status,
        _ => "in service",
    }
}
