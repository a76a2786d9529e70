//! What was found in the account: its data, its users, and what could not be looked at. Written as `inventory.json`.
//!
//! Access that was refused stands here as unreadable, never as absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// The format that this version writes; a reader refuses others.
pub const INVENTORY_VERSION: u32 = 1;

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Version of this format.
    pub inventory_version: u32,
    /// When it was taken, UTC, RFC 3339.
    pub taken: String,
    /// Regions in which databases and snapshots were looked for. Buckets are listed over all regions.
    pub regions: Vec<String>,
    /// Buckets, databases, snapshots and exports, ordered by kind, region and name.
    pub items: Vec<Item>,
    /// The account's own settings, such as its block of public access.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub account: BTreeMap<String, Fact>,
    /// Users and their credentials, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<User>>,
    /// Calls that were refused or failed.
    pub unreadable: Vec<Unreadable>,
    /// The answers behind the listings, in the order in which they were asked for.
    pub answers: Vec<Answer>,
}

impl Inventory {
    /// An inventory of nothing yet.
    pub fn new(taken: String, regions: Vec<String>) -> Self {
        Inventory {
            inventory_version: INVENTORY_VERSION,
            taken,
            regions,
            items: Vec::new(),
            account: BTreeMap::new(),
            users: None,
            unreadable: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Brings everything into an order that does not depend on who answered first.
    pub fn sort(&mut self) {
        self.items.sort_by(|a, b| (a.kind, &a.region, &a.name).cmp(&(b.kind, &b.region, &b.name)));
        self.unreadable.sort();
        self.unreadable.dedup();
        self.answers.sort();
    }

    /// The items of one kind.
    pub fn of(&self, kind: ItemKind) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.kind == kind)
    }

    /// What stands in the way of a whole list of this kind of thing.
    pub fn unlisted(&self, kind: &str) -> impl Iterator<Item = &Unreadable> {
        self.unreadable.iter().filter(move |missing| missing.lists.iter().any(|listed| listed == kind))
    }
}

/// What kind of thing an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A bucket.
    Bucket,
    /// A database instance; one that belongs to a cluster holds the cluster's data.
    Instance,
    /// An Aurora or Multi-AZ cluster.
    Cluster,
    /// A snapshot of an instance.
    Snapshot,
    /// A snapshot of a cluster.
    ClusterSnapshot,
    /// An export of a snapshot to S3.
    Export,
}

impl ItemKind {
    /// The word that selects such things in a playbook.
    pub fn selector(self) -> &'static str {
        match self {
            ItemKind::Bucket => "s3",
            ItemKind::Instance | ItemKind::Cluster => "rds",
            ItemKind::Snapshot | ItemKind::ClusterSnapshot => "snapshot",
            ItemKind::Export => "export",
        }
    }

    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            ItemKind::Bucket => "bucket",
            ItemKind::Instance => "instance",
            ItemKind::Cluster => "cluster",
            ItemKind::Snapshot => "snapshot",
            ItemKind::ClusterSnapshot => "cluster snapshot",
            ItemKind::Export => "export",
        }
    }
}

/// One thing in the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The bucket's name, the instance's, cluster's or snapshot's identifier.
    pub name: String,
    /// Where it lies, if that could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Bytes that it holds, if that could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where the number comes from: `CloudWatch 2026-11-23`, `listing`, `allocated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_from: Option<String>,
    /// Objects of a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
    /// Its tags, if they were asked for and could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Settings and properties by name.
    pub facts: BTreeMap<String, Fact>,
}

impl Item {
    /// An item of which no more than the name is known.
    pub fn named(kind: ItemKind, name: impl Into<String>, region: Option<String>) -> Self {
        Item {
            kind,
            name: name.into(),
            region,
            bytes: None,
            bytes_from: None,
            objects: None,
            tags: None,
            facts: BTreeMap::new(),
        }
    }

    /// A fact's value, if it is known.
    pub fn known(&self, fact: &str) -> Option<&str> {
        self.facts.get(fact)?.value.as_deref()
    }

    /// For people: `bucket acme-invoices`.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.word(), self.name)
    }

    /// Whether the item holds data that nothing else in the account holds: what coverage counts. Automated snapshots,
    /// and manual ones whose source is there, repeat what their source holds; a cluster's instance, its cluster.
    pub fn holds_data(&self, inventory: &Inventory) -> bool {
        match self.kind {
            ItemKind::Bucket | ItemKind::Cluster => true,
            ItemKind::Instance => self.known(fact::CLUSTER).is_none(),
            ItemKind::Snapshot | ItemKind::ClusterSnapshot => self.is_orphan(inventory),
            ItemKind::Export => false,
        }
    }

    /// Whether the item is a snapshot of something that is gone. Unknown (then `false`) where sources could not be
    /// listed; the list of what is unreadable says so.
    pub fn is_orphan(&self, inventory: &Inventory) -> bool {
        let of = match self.kind {
            ItemKind::Snapshot => ItemKind::Instance,
            ItemKind::ClusterSnapshot => ItemKind::Cluster,
            _ => return false,
        };
        let Some(source) = self.known(fact::SOURCE) else { return false };
        let unlisted =
            inventory.unlisted(of.selector()).any(|missing| missing.region.is_none() || missing.region == self.region);
        !unlisted && !inventory.of(of).any(|item| item.name == source && item.region == self.region)
    }
}

/// The names of facts.
pub mod fact {
    /// `AES256`, `aws:kms KEY`, `yes KEY`, or `none`.
    pub const ENCRYPTION: &str = "encryption";
    /// The settings of the block of public access that are on, or `none`.
    pub const PUBLIC_ACCESS_BLOCK: &str = "public_access_block";
    /// Whether the provider takes the bucket's policy for public: `public`, `not public`, or `none`.
    pub const POLICY: &str = "policy";
    /// Groups outside the account that the access list names, or `private`.
    pub const ACL: &str = "acl";
    /// `Enabled`, `Suspended`, or `none`.
    pub const VERSIONING: &str = "versioning";
    /// The default retention of object lock, or `none`.
    pub const OBJECT_LOCK: &str = "object_lock";
    /// Whether an instance has an address that the whole world can reach: `yes` or `no`.
    pub const PUBLIC: &str = "publicly_accessible";
    /// The accounts that may restore a snapshot; `all` for everybody; `none`.
    pub const SHARED_WITH: &str = "shared_with";
    /// `manual`, `automated`, …
    pub const SNAPSHOT_TYPE: &str = "snapshot_type";
    /// What a snapshot was taken of.
    pub const SOURCE: &str = "source";
    /// The cluster that an instance belongs to.
    pub const CLUSTER: &str = "cluster";
    /// Engine and version.
    pub const ENGINE: &str = "engine";
    /// Host and port.
    pub const ENDPOINT: &str = "endpoint";
    /// Days for which automated backups are kept.
    pub const BACKUP_DAYS: &str = "backup_retention_days";
    /// `yes` or `no`.
    pub const DELETION_PROTECTION: &str = "deletion_protection";
    /// Status of an export.
    pub const STATUS: &str = "status";
    /// When it was made.
    pub const CREATED: &str = "created";
}

/// One setting, and the answer that it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The value in a word or two; none if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// The call that was made, where it was made for this alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// SHA-256 of the raw answer to that call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_sha256: Option<Sha256Digest>,
}

impl Fact {
    /// A value out of a listing.
    pub fn listed(value: impl Into<String>) -> Self {
        Fact { value: Some(value.into()), unreadable: None, operation: None, answer_sha256: None }
    }

    /// A value out of a call of its own.
    pub fn answered(operation: &str, value: impl Into<String>, answer_sha256: Option<Sha256Digest>) -> Self {
        Fact { operation: Some(operation.to_owned()), answer_sha256, ..Fact::listed(value) }
    }

    /// What could not be read.
    pub fn unreadable(operation: &str, reason: impl Into<String>) -> Self {
        let unreadable = Some(reason.into());
        Fact { value: None, unreadable, operation: Some(operation.to_owned()), answer_sha256: None }
    }
}

/// A row of IAM's credential report (IAM User Guide, "Generate credential reports").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name; `<root_account>` for the root user.
    pub name: String,
    /// Whether the user has a password for the console.
    pub console: bool,
    /// Whether a second factor is active.
    pub mfa: bool,
    /// Keys that are active.
    pub keys: Vec<AccessKey>,
}

/// An active access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// The first or the second.
    pub number: u8,
    /// The day it was made or rotated, if the report says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The day it was last used, if it ever was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
}

/// A call that gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// The service and the call, such as `rds DescribeDBInstances`.
    pub call: String,
    /// Where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// About what, if about one thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// Whether the account refused it for want of a right.
    pub denied: bool,
    /// The right that was missing, or would be needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// The kinds of things whose list is incomplete without the answer: `s3`, `rds`, `snapshot`, `export`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

/// A raw answer behind a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The service and the call.
    pub call: String,
    /// Where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The page, from 1.
    pub page: u32,
    /// SHA-256 of the answer's body as it arrived.
    pub sha256: Sha256Digest,
}
