//! What was found in the account: its data, its users, and what could not be read. Written as `inventory.json`.
//!
//! Denied access is recorded here as unreadable, never as absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reply::{Failure, Reply, Why};
use crate::domain::digest::Sha256Digest;

/// The format that this version writes; a reader refuses others.
pub(crate) const INVENTORY_VERSION: u32 = 1;

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
    /// The account's number, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Users and their credentials, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<User>>,
    /// When IAM made the report that they stand in, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_reported: Option<String>,
    /// When it was read, RFC 3339: a look may take hours. None in inventories of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_read: Option<String>,
    /// Calls that were denied or failed.
    pub unreadable: Vec<Unreadable>,
    /// The answers behind the listings, in the order in which they were asked for.
    pub answers: Vec<Answer>,
}

impl Inventory {
    /// An empty inventory.
    pub fn new(taken: String, regions: Vec<String>) -> Self {
        Inventory {
            inventory_version: INVENTORY_VERSION,
            taken,
            regions,
            items: Vec::new(),
            account: BTreeMap::new(),
            account_id: None,
            users: None,
            users_reported: None,
            users_read: None,
            unreadable: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Records an unanswered query. `lists` are the kinds of resources whose list is incomplete without it.
    pub fn missed(
        &mut self,
        call: &str,
        region: Option<&str>,
        subject: Option<&str>,
        failure: &Failure,
        right: &str,
        lists: &[&str],
    ) {
        self.unreadable.push(Unreadable {
            call: call.to_owned(),
            region: region.map(str::to_owned),
            subject: subject.map(str::to_owned),
            reason: failure.reason.clone(),
            denied: failure.is_refusal(),
            why: Some(failure.why),
            right: Some(right.to_owned()).filter(|right| !right.is_empty()),
            lists: lists.iter().map(|list| (*list).to_owned()).collect(),
        });
    }

    /// Sorts everything independently of the order of answers. A resource that a list names twice counts
    /// once, and the list is invalid: a page that was returned in place of another hides its content.
    pub fn sort(&mut self) {
        self.items.sort_by(|a, b| (a.kind, &a.region, &a.name).cmp(&(b.kind, &b.region, &b.name)));
        let mut doubled = Vec::new();
        self.items.dedup_by(|next, kept| {
            let same = (next.kind, &next.region, &next.name) == (kept.kind, &kept.region, &kept.name);
            if same {
                doubled.push((kept.kind, kept.region.clone(), kept.name.clone(), next != kept));
            }
            same
        });
        for (kind, region, name, differs) in doubled {
            let how = if differs { " with differing settings" } else { ", so that a page may hide another" };
            let failure = Failure::not_understood(format!("the {} {name} is listed twice{how}", kind.word()));
            let call = format!("{} list", kind.selector());
            self.missed(&call, region.as_deref(), Some(name.as_str()), &failure, "", &[kind.selector()]);
        }
        self.unreadable.sort();
        self.unreadable.dedup();
        self.answers.sort();
    }

    /// The items of one kind.
    pub fn of(&self, kind: ItemKind) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.kind == kind)
    }

    /// Why the list of this kind of resource is incomplete.
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
    /// The word that selects such resources in a playbook.
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
    /// Its ARN, where the provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Bytes that it holds, if that could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where the number comes from: `CloudWatch 2026-11-23`, `listing`, `allocated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_from: Option<String>,
    /// Bytes of earlier versions of objects among them, where versions were listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_bytes: Option<u64>,
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
    /// An item with only its name known.
    pub fn named(kind: ItemKind, name: impl Into<String>, region: Option<String>) -> Self {
        Item {
            kind,
            name: name.into(),
            region,
            arn: None,
            bytes: None,
            bytes_from: None,
            earlier_bytes: None,
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

    /// Whether the item holds data that is nowhere else in the account: what coverage counts. Automated snapshots,
    /// and manual ones whose source exists, repeat what their source holds; a cluster's instance, its cluster.
    pub fn holds_data(&self, inventory: &Inventory) -> bool {
        self.holds(|| self.source(inventory) == Some(Source::Gone))
    }

    /// The same where a snapshot's source is anything with that name in its region: the rules of the first inventories.
    pub fn holds_data_by_names(&self, inventory: &Inventory) -> bool {
        self.holds(|| self.is_orphan_by_names(inventory).unwrap_or_default())
    }

    fn holds(&self, is_orphan: impl FnOnce() -> bool) -> bool {
        match self.kind {
            ItemKind::Bucket | ItemKind::Cluster => true,
            ItemKind::Instance => self.known(fact::CLUSTER).is_none(),
            ItemKind::Snapshot | ItemKind::ClusterSnapshot => is_orphan(),
            ItemKind::Export => false,
        }
    }

    /// The kind of a snapshot's source; none for what is not a snapshot.
    fn snapshot_of(&self) -> Option<ItemKind> {
        match self.kind {
            ItemKind::Snapshot => Some(ItemKind::Instance),
            ItemKind::ClusterSnapshot => Some(ItemKind::Cluster),
            _ => None,
        }
    }

    fn is_orphan_by_names(&self, inventory: &Inventory) -> Option<bool> {
        let of = self.snapshot_of()?;
        let name = self.known(fact::SOURCE)?;
        let is_unlisted =
            inventory.unlisted(of.selector()).any(|missing| missing.region.is_none() || missing.region == self.region);
        Some(!is_unlisted && !inventory.of(of).any(|item| item.name == name && item.region == self.region))
    }

    /// The state of a snapshot's source; none for what is not a snapshot. One with the name of
    /// it is another if the provider's identifier or the engine differs, or if it was created after the snapshot.
    pub fn source(&self, inventory: &Inventory) -> Option<Source> {
        let of = self.snapshot_of()?;
        let name = self.known(fact::SOURCE)?;
        // A copy's source is where the copied snapshot is (ARN: partition, service, region, account).
        let copied = self.known(fact::COPY_OF).and_then(|arn| {
            let mut parts = arn.split(':').skip(3);
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        });
        let region = copied.as_ref().map_or(self.region.clone(), |(region, _)| Some(region.clone()));
        let own = self.arn.as_deref().and_then(|arn| arn.split(':').nth(4));
        if let (Some((_, account)), Some(own)) = (&copied, own)
            && account != own
        {
            return Some(Source::Unknown(format!("it is a copy of a snapshot of account {account}")));
        }
        let elsewhere =
            region != self.region && !region.as_ref().is_some_and(|region| inventory.regions.contains(region));
        if elsewhere {
            let region = region.unwrap_or_default();
            return Some(Source::Unknown(format!("it is a copy from {region}, where databases were not looked for")));
        }
        let unlisted =
            inventory.unlisted(of.selector()).any(|missing| missing.region.is_none() || missing.region == region);
        let mut there = inventory.of(of).filter(|item| item.region == region);
        let lives = there.any(|item| (item.name == name || item.was_renamed_from(self)) && item.may_be_source_of(self));
        Some(match (lives, unlisted) {
            (true, _) => Source::Lives,
            (false, true) => Source::Unknown("what it was taken of could not be listed".to_owned()),
            (false, false) => Source::Gone,
        })
    }

    /// Whether it is a snapshot's source, by the provider's identifier and its creation time, whatever its
    /// name is now.
    fn was_renamed_from(&self, snapshot: &Item) -> bool {
        let at = |item: &Item, name: &str| item.known(name)?.parse::<jiff::Timestamp>().ok();
        let made = at(self, fact::CREATED).zip(at(snapshot, fact::SOURCE_CREATED)).is_some_and(|(own, its)| {
            // Not every response has fractions of a second.
            let whole = own.subsec_nanosecond() == 0 || its.subsec_nanosecond() == 0;
            own == its || (whole && own.as_second() == its.as_second())
        });
        made && self.known(fact::RESOURCE).is_some_and(|own| snapshot.known(fact::RESOURCE) == Some(own))
    }

    fn may_be_source_of(&self, snapshot: &Item) -> bool {
        let agree = |name: &str, read: fn(&str) -> String| {
            let both = self.known(name).zip(snapshot.known(name));
            both.is_none_or(|(own, its)| read(own) == read(its))
        };
        let at = |item: &Item| item.known(fact::CREATED)?.parse::<jiff::Timestamp>().ok();
        let made_after = at(self).zip(at(snapshot)).is_some_and(|(own, its)| own > its);
        // To the second: not every response has the fractions.
        let second = |item: &Item, name: &str| item.known(name).and_then(|at| at.get(..19)).map(str::to_owned);
        let made = second(self, fact::CREATED).zip(second(snapshot, fact::SOURCE_CREATED));
        agree(fact::RESOURCE, str::to_owned)
            && agree(fact::ENGINE, |engine| engine.split(' ').next().unwrap_or_default().to_owned())
            && !made_after
            && made.is_none_or(|(own, its)| own == its)
    }
}

/// The state of a snapshot's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is there.
    Lives,
    /// It is not there.
    Gone,
    /// Why that could not be told.
    Unknown(String),
}

/// The names of facts.
pub(crate) mod fact {
    /// `AES256`, `aws:kms KEY`, `yes KEY`, or `none`.
    pub(crate) const ENCRYPTION: &str = "encryption";
    /// The settings of the block of public access that are on, or `none`.
    pub(crate) const PUBLIC_ACCESS_BLOCK: &str = "public_access_block";
    /// Whether the provider takes the bucket's policy for public: `public`, `not public`, or `none`.
    pub(crate) const POLICY: &str = "policy";
    /// The text of a bucket's policy as canonical JSON, or `none`.
    pub(crate) const POLICY_TEXT: &str = "policy_text";
    /// Groups outside the account that the access list names, or `private`.
    pub(crate) const ACL: &str = "acl";
    /// `Enabled`, `Suspended`, or `none`.
    pub(crate) const VERSIONING: &str = "versioning";
    /// The default retention of object lock, or `none`.
    pub(crate) const OBJECT_LOCK: &str = "object_lock";
    /// Whether an instance has an address that the whole world can reach: `yes` or `no`.
    pub(crate) const PUBLIC: &str = "publicly_accessible";
    /// The accounts that may restore a snapshot; `all` for everybody; `none`.
    pub(crate) const SHARED_WITH: &str = "shared_with";
    /// `manual`, `automated`, …
    pub(crate) const SNAPSHOT_TYPE: &str = "snapshot_type";
    /// What a snapshot was taken of.
    pub(crate) const SOURCE: &str = "source";
    /// The ARN of the snapshot, of another region or account, that a snapshot is a copy of.
    pub(crate) const COPY_OF: &str = "copy_of";
    /// When the thing that a snapshot was taken of was made.
    pub(crate) const SOURCE_CREATED: &str = "source_created";
    /// The provider's own identifier of a database, or of the one that a snapshot was taken of; names are used again.
    pub(crate) const RESOURCE: &str = "resource";
    /// The cluster that an instance belongs to.
    pub(crate) const CLUSTER: &str = "cluster";
    /// Engine and version.
    pub(crate) const ENGINE: &str = "engine";
    /// Host and port.
    pub(crate) const ENDPOINT: &str = "endpoint";
    /// Days for which automated backups are kept.
    pub(crate) const BACKUP_DAYS: &str = "backup_retention_days";
    /// `yes` or `no`.
    pub(crate) const DELETION_PROTECTION: &str = "deletion_protection";
    /// Status of an export.
    pub(crate) const STATUS: &str = "status";
    /// When it was made.
    pub(crate) const CREATED: &str = "created";
}

/// One setting, and the answer that it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The value in a word or two; none if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The provider's code for that there is none, where it answered with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// What kind of ending that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
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
        Fact { value: Some(value.into()), ..Fact::default() }
    }

    /// A value out of a call of its own.
    pub fn answered(operation: &str, value: impl Into<String>, answer_sha256: Option<Sha256Digest>) -> Self {
        Fact { operation: Some(operation.to_owned()), answer_sha256, ..Fact::listed(value) }
    }

    /// What could not be read.
    pub fn unreadable(operation: &str, failure: &Failure) -> Self {
        Fact {
            unreadable: Some(failure.reason.clone()),
            why: Some(failure.why),
            operation: Some(operation.to_owned()),
            ..Fact::default()
        }
    }

    /// How a call of its own ended; what is absent is `none`.
    pub fn of(operation: &str, reply: Reply<(String, Option<Sha256Digest>)>) -> Self {
        match reply {
            Reply::Value((value, answer_sha256)) => Fact::answered(operation, value, answer_sha256),
            Reply::Absent(code) => Fact { absent: Some(code), ..Fact::answered(operation, NONE, None) },
            Reply::Unanswered(failure) => Fact::unreadable(operation, &failure),
        }
    }

    /// The question without an answer, if that is what this is.
    pub fn failure(&self) -> Option<Failure> {
        let reason = self.unreadable.clone()?;
        Some(Failure { why: self.why.unwrap_or(Why::Failed), code: String::new(), reason, busy: false })
    }
}

/// The value of a setting that is not there.
pub(crate) const NONE: &str = "none";

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
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The right that was missing, or would be needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// The kinds of things whose list is incomplete without the answer: `s3`, `rds`, `snapshot`, `export`,
    /// `users`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

impl Unreadable {
    /// Why there is no answer; inventories of earlier versions know refusals only.
    pub fn ending(&self) -> Why {
        self.why.unwrap_or(if self.denied { Why::Refused } else { Why::Failed })
    }
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
