//! All settings of a bucket or a database, as canonical text, so that two inspections can be compared without
//! knowing what each setting means. Long ones are represented by their digest.
//!
//! Not included: the objects of a bucket, the rows of a database, the contents of parameter groups and the rules of
//! security groups, of which only the names are here; passwords, which no provider shows.

use aws_sdk_s3::Client;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};

use super::tap::{RawBody, ask_raw, root_of};
use crate::{
    account::{
        inventory::{Fact, Item},
        policy,
        reply::Reply,
    },
    aws::{entry::flag, xml::Element},
    domain::digest::Sha256Digest,
};

/// Longer values are represented by their digest.
const TEXT_BYTES_MAX: usize = 240;
/// What RDS changes by itself while an instance, a cluster or a snapshot lives (Amazon RDS API reference), and what is
/// in the inventory under its own name.
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

/// One setting of a bucket by its name in the inventory, and the result of its query.
type Setting = (&'static str, &'static str, Reply<(String, Option<Sha256Digest>)>);

/// Settings whose order is significant: the first matching rule applies.
const IN_ORDER: [&str; 2] = ["cors", "website"];

/// Reads all settings of a bucket.
pub(super) async fn of_bucket(client: &Client, bucket: &str, item: &mut Item) {
    // Name, call, operation, root of the response, and the codes by which S3 reports that there is none.
    macro_rules! settings {
        ($($name:literal: $call:ident, $operation:literal, $root:literal, $absent:expr;)*) => {
            vec![$(async {
                let asked = ask_raw!(client.$call().bucket(bucket));
                let reply = Reply::of_optional(asked, &$absent);
                ($name, $operation, reply.read(|raw| in_words(($name, $operation, $root), &raw)))
            }.boxed()),*]
        };
    }
    let questions: Vec<BoxFuture<'_, Setting>> = settings! {
        "accelerate": get_bucket_accelerate_configuration, "GetBucketAccelerateConfiguration",
            "AccelerateConfiguration", [];
        "access_list": get_bucket_acl, "GetBucketAcl", "AccessControlPolicy", [];
        "analytics": list_bucket_analytics_configurations, "ListBucketAnalyticsConfigurations",
            "ListBucketAnalyticsConfigurationResult", ["NoSuchConfiguration"];
        "block": get_public_access_block, "GetPublicAccessBlock",
            "PublicAccessBlockConfiguration", ["NoSuchPublicAccessBlockConfiguration"];
        "cors": get_bucket_cors, "GetBucketCors", "CORSConfiguration", ["NoSuchCORSConfiguration"];
        "default_encryption": get_bucket_encryption, "GetBucketEncryption",
            "ServerSideEncryptionConfiguration", ["ServerSideEncryptionConfigurationNotFoundError"];
        "inventory": list_bucket_inventory_configurations, "ListBucketInventoryConfigurations",
            "ListInventoryConfigurationsResult", ["NoSuchConfiguration"];
        "lifecycle": get_bucket_lifecycle_configuration, "GetBucketLifecycleConfiguration",
            "LifecycleConfiguration", ["NoSuchLifecycleConfiguration"];
        "lock": get_object_lock_configuration, "GetObjectLockConfiguration",
            "ObjectLockConfiguration", ["ObjectLockConfigurationNotFoundError"];
        "logging": get_bucket_logging, "GetBucketLogging", "BucketLoggingStatus", [];
        "metrics": list_bucket_metrics_configurations, "ListBucketMetricsConfigurations",
            "ListMetricsConfigurationsResult", ["NoSuchConfiguration"];
        "notification": get_bucket_notification_configuration, "GetBucketNotificationConfiguration",
            "NotificationConfiguration", [];
        "ownership": get_bucket_ownership_controls, "GetBucketOwnershipControls",
            "OwnershipControls", ["OwnershipControlsNotFoundError"];
        "request_payment": get_bucket_request_payment, "GetBucketRequestPayment", "RequestPaymentConfiguration", [];
        "replication": get_bucket_replication, "GetBucketReplication",
            "ReplicationConfiguration", ["ReplicationConfigurationNotFoundError"];
        "tiering": list_bucket_intelligent_tiering_configurations, "ListBucketIntelligentTieringConfigurations",
            "ListBucketIntelligentTieringConfigurationsOutput", ["NoSuchConfiguration"];
        "versions": get_bucket_versioning, "GetBucketVersioning", "VersioningConfiguration", [];
        "website": get_bucket_website, "GetBucketWebsite", "WebsiteConfiguration", ["NoSuchWebsiteConfiguration"];
    };
    for (name, operation, reply) in join_all(questions).await {
        item.facts.insert(name.to_owned(), Fact::of(operation, reply));
    }
}

/// The policy of a bucket as canonical JSON; it is kept whole, because its text is evaluated.
pub(super) async fn policy(client: &Client, bucket: &str) -> Reply<(String, Option<Sha256Digest>)> {
    let asked = ask_raw!(client.get_bucket_policy().bucket(bucket));
    Reply::of(asked, &["NoSuchBucketPolicy"]).read(|raw| {
        let text = raw.bytes().unwrap_or_default();
        Ok((policy::canonical(&String::from_utf8_lossy(&text))?, raw.digest()))
    })
}

fn in_words(
    (name, operation, expected): (&str, &str, &str),
    raw: &RawBody,
) -> Result<(String, Option<Sha256Digest>), String> {
    let root = root_of(raw, operation, expected)?;
    // A list of configurations comes in pages of a hundred; more than one page is more than is compared here.
    if flag(&root, "IsTruncated")? == Some(true) {
        return Err("there are more than a hundred configurations, and only the first page was read".to_owned());
    }
    Ok((shortened(&root.canonical(IN_ORDER.contains(&name))), raw.digest()))
}

fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX { text.to_owned() } else { format!("sha256 {}", Sha256Digest::of(text)) }
}

/// Puts every setting of the described resources into the items that were read from the same response, in its order.
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
        let text = if setting.children.is_empty() { setting.text.trim().to_owned() } else { setting.canonical(false) };
        (setting.name.clone(), Fact::listed(shortened(&text)))
    });
    settings.chain(state)
}

/// The state after transitions: being backed up, or modified, ends by itself; what was stopped, is being deleted, or
/// has failed stays so (Amazon RDS User Guide, "Viewing Amazon RDS DB instance status").
fn settled(status: &str) -> &str {
    match status {
        "stopping" | "stopped" => "stopped",
        "deleting" | "failed" | "storage-full" | "restore-error" | "insufficient-capacity" => status,
        _ if status.starts_with("inaccessible-") || status.starts_with("incompatible-") => status,
        _ => "in service",
    }
}
