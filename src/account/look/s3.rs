//! Buckets: their list over all regions, and the requested settings of each.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use aws_sdk_s3::{Client, operation::get_bucket_acl::GetBucketAclOutput, types::BucketLocationConstraint};
use futures_util::{StreamExt as _, stream};

use super::{
    failure::Failure,
    request::{Look, Wanted, settings_on},
    settings,
    tap::{RawBody, all_read, ask, ask_raw, root_of},
};
use crate::{
    account::{
        coverage::SIZE,
        inventory::{Fact, Item, ItemKind, NONE, fact},
        posture::OTHER_ACCOUNT,
        reply::Reply,
    },
    aws::{paging::Paging, xml::Element},
    domain::digest::Sha256Digest,
};

/// The most that a page holds. With less, some servers truncate the list without indicating it.
const PAGE_BUCKETS: i32 = 10_000;
/// Concurrent requests.
const CONCURRENCY: usize = 16;
/// Pages of a thousand objects, and how long a list of a bucket's objects may take.
const OBJECT_PAGES_MAX: u64 = 10_000_000;
const OBJECTS_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// Amazon S3 API reference, `ServerSideEncryptionByDefault`.
const ENCRYPTIONS: [&str; 4] = ["AES256", "aws:fsx", "aws:kms", "aws:kms:dsse"];
/// Public groups (Amazon S3 User Guide, "Access control list (ACL) overview").
const EVERYBODY: [&str; 2] = ["/global/AllUsers", "/global/AuthenticatedUsers"];

impl Look<'_> {
    /// Every bucket with its region and what else was requested.
    pub(super) async fn buckets(&mut self) {
        let mut listed = self.list_buckets().await;
        listed.extend(self.carried_and_not_listed(&listed).await);
        let clients = RegionClients::new(self);
        let wanted = &self.wanted;
        let done: Vec<Item> = stream::iter(listed)
            .map(|item| bucket(item, &clients, wanted))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for item in done {
            self.note_unreadable_facts(&item);
            self.inventory.items.push(item);
        }
    }

    /// Buckets that the run copies and no page names. Unless the provider says that another account owns them, the list
    /// contradicts itself, whatever else it lacks.
    async fn carried_and_not_listed(&mut self, listed: &[Item]) -> Vec<Item> {
        let client = self.aws.s3_for_account(None, self.wanted.patient);
        let mut items = Vec::new();
        for name in self.wanted.carried_buckets.clone() {
            if listed.iter().any(|item| item.name == name) {
                continue;
            }
            if !is_of_another(&client, &name, self.inventory.account_id.as_deref()).await {
                let failure = Failure::not_understood(format!("the list does not hold {name}, which the run carries"));
                self.refused("s3 ListBuckets", None, Some(name.as_str()), &failure, "", &["s3"]);
            }
            let arn = Some(format!("arn:aws:s3:::{name}"));
            items.push(Item { arn, ..Item::named(ItemKind::Bucket, name, None) });
        }
        items
    }

    async fn list_buckets(&mut self) -> Vec<Item> {
        let client = self.aws.s3_for_account(None, self.wanted.patient);
        let mut items = Vec::new();
        let mut token = None::<String>;
        let mut page = 1;
        let mut paging = Paging::new();
        loop {
            let request = client.list_buckets().max_buckets(PAGE_BUCKETS).set_continuation_token(token.take());
            match ask!(request) {
                Ok((answer, raw)) => {
                    self.answered("s3 ListBuckets", None, page, raw.digest());
                    if let Err(reason) = has_list(&raw, answer.buckets().len()) {
                        let failure = Failure::not_understood(reason);
                        self.refused("s3 ListBuckets", None, None, &failure, "s3:ListAllMyBuckets", &["s3"]);
                    }
                    let named = answer.buckets().iter().filter_map(bucket_item);
                    let before = items.len();
                    items.extend(named);
                    let without_name = before + answer.buckets().len() - items.len();
                    if without_name > 0 {
                        let failure = Failure::not_understood(format!("{without_name} buckets without a name"));
                        self.refused("s3 ListBuckets", None, None, &failure, "s3:ListAllMyBuckets", &["s3"]);
                    }
                    token = paging.next(answer.continuation_token()).unwrap_or_else(|endless| {
                        let failure = Failure::not_understood(endless);
                        self.refused("s3 ListBuckets", None, None, &failure, "", &["s3"]);
                        None
                    });
                }
                Err(failure) => {
                    self.refused("s3 ListBuckets", None, None, &failure, "s3:ListAllMyBuckets", &["s3"]);
                    return items;
                }
            }
            page += 1;
            if token.is_none() {
                return items;
            }
        }
    }

    /// A setting that could not be read is recorded with its item and in the list of what is unreadable.
    pub(super) fn note_unreadable_facts(&mut self, item: &Item) {
        for fact in item.facts.values() {
            let Some(failure) = fact.failure() else { continue };
            let operation = fact.operation.as_deref().unwrap_or_default();
            let call = format!("{} {operation}", if item.kind == ItemKind::Bucket { "s3" } else { "rds" });
            let region = item.region.as_deref();
            let subject = Some(item.name.as_str());
            self.refused(&call, region, subject, &failure, &right_of(operation), &[]);
        }
    }
}

/// Whether the provider lets the caller access a bucket, but denies it where the expected owner is this account.
async fn is_of_another(client: &Client, bucket: &str, account: Option<&str>) -> bool {
    let Some(account) = account else { return false };
    let asked = ask_raw!(client.get_bucket_location().bucket(bucket));
    let as_own = ask_raw!(client.get_bucket_location().bucket(bucket).expected_bucket_owner(account));
    asked.is_ok_and(|tap| root_of(&tap, "GetBucketLocation", "LocationConstraint").is_ok())
        && as_own.is_err_and(|failure| failure.is_refusal())
}

/// Whether a response is a list of buckets, all of which were read.
fn has_list(raw: &RawBody, read: usize) -> Result<(), String> {
    let root = root_of(raw, "ListBuckets", "ListAllMyBucketsResult")?;
    root.all("Buckets").next().ok_or("the answer holds no list of buckets")?;
    all_read(&root, "Buckets", read)
}

fn bucket_item(bucket: &aws_sdk_s3::types::Bucket) -> Option<Item> {
    let name = bucket.name().filter(|name| !name.is_empty())?;
    let mut item = Item::named(ItemKind::Bucket, name, bucket.bucket_region().map(str::to_owned));
    item.arn = Some(bucket.bucket_arn().map_or_else(|| format!("arn:aws:s3:::{name}"), str::to_owned));
    if let Some(made) = bucket.creation_date() {
        item.facts.insert(fact::CREATED.into(), Fact::listed(made.to_string()));
    }
    Some(item)
}

/// The IAM action that a call needs, where it has a different name.
pub(super) fn right_of(operation: &str) -> String {
    let action = match operation {
        "GetBucketCors" => "s3:GetBucketCORS",
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "GetObjectLockConfiguration" => "s3:GetBucketObjectLockConfiguration",
        "GetBucketAccelerateConfiguration" => "s3:GetAccelerateConfiguration",
        "GetBucketLifecycleConfiguration" => "s3:GetLifecycleConfiguration",
        "GetBucketNotificationConfiguration" => "s3:GetBucketNotification",
        "GetBucketReplication" => "s3:GetReplicationConfiguration",
        "ListBucketAnalyticsConfigurations" => "s3:GetAnalyticsConfiguration",
        "ListBucketIntelligentTieringConfigurations" => "s3:GetIntelligentTieringConfiguration",
        "ListBucketInventoryConfigurations" => "s3:GetInventoryConfiguration",
        "ListBucketMetricsConfigurations" => "s3:GetMetricsConfiguration",
        "ListObjectVersions" => "s3:ListBucketVersions",
        "ListObjectsV2" => "s3:ListBucket",
        other if other.starts_with("Describe") => return format!("rds:{other}"),
        other => return format!("s3:{other}"),
    };
    action.to_owned()
}

/// A client for each region; a server with its own endpoint is one region.
struct RegionClients<'a> {
    look: (&'a crate::provider::aws::Aws, bool),
    made: std::sync::Mutex<BTreeMap<Option<String>, Client>>,
}

impl<'a> RegionClients<'a> {
    fn new(look: &Look<'a>) -> Self {
        RegionClients { look: (look.aws, look.wanted.patient), made: std::sync::Mutex::default() }
    }

    fn client(&self, region: Option<&str>) -> Client {
        let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = || self.look.0.s3_for_account(region, self.look.1);
        made.entry(region.map(str::to_owned)).or_insert_with(new).clone()
    }
}

async fn bucket(mut item: Item, clients: &RegionClients<'_>, wanted: &Wanted) -> Item {
    if item.region.is_none() {
        match location(&clients.client(None), &item.name).await {
            Ok(region) => item.region = Some(region),
            Err(failure) => {
                item.facts.insert("region".into(), Fact::unreadable("GetBucketLocation", &failure));
            }
        }
    }
    if !wanted.asks_buckets() {
        return item;
    }
    let asking = Asking { client: clients.client(item.region.as_deref()), bucket: item.name.clone() };
    if wanted.tags {
        match asking.tags().await {
            Ok(tags) => item.tags = Some(tags),
            Err(failure) => {
                item.facts.insert("tags".into(), Fact::unreadable("GetBucketTagging", &failure));
            }
        }
    }
    if wanted.encryption {
        item.facts.insert(fact::ENCRYPTION.into(), asking.encryption().await);
    }
    if wanted.public_access {
        let facts = tokio::join!(asking.block(), asking.policy_status(), asking.acl());
        item.facts.insert(fact::PUBLIC_ACCESS_BLOCK.into(), facts.0);
        item.facts.insert(fact::POLICY.into(), facts.1);
        item.facts.insert(fact::ACL.into(), facts.2);
    }
    if wanted.public_access || wanted.settings {
        let policy = Fact::of("GetBucketPolicy", settings::policy(&asking.client, &asking.bucket).await);
        item.facts.insert(fact::POLICY_TEXT.into(), policy);
    }
    if wanted.settings {
        settings::of_bucket(&asking.client, &asking.bucket, &mut item).await;
    }
    if wanted.protection || wanted.versioning || wanted.carried_buckets.contains(&item.name) {
        item.facts.insert(fact::VERSIONING.into(), asking.versioning().await);
    }
    if wanted.protection {
        item.facts.insert(fact::OBJECT_LOCK.into(), asking.object_lock().await);
    }
    if wanted.sizes_by_listing {
        asking.size(&mut item).await;
    }
    item
}

async fn location(client: &Client, bucket: &str) -> Result<String, Failure> {
    let (answer, raw) = ask!(client.get_bucket_location().bucket(bucket))?;
    // The SDK parses any document as an empty constraint.
    root_of(&raw, "GetBucketLocation", "LocationConstraint").map_err(Failure::not_understood)?;
    // Amazon S3 API reference, GetBucketLocation: no constraint is us-east-1, EU is eu-west-1.
    Ok(match answer.location_constraint() {
        None => "us-east-1".to_owned(),
        Some(BucketLocationConstraint::Eu) => "eu-west-1".to_owned(),
        Some(region) if region.as_str().is_empty() => "us-east-1".to_owned(),
        Some(region) => region.as_str().to_owned(),
    })
}

struct Asking {
    client: Client,
    bucket: String,
}

type Read = (String, Option<Sha256Digest>);

impl Asking {
    async fn tags(&self) -> Result<BTreeMap<String, String>, Failure> {
        let asked = ask!(self.client.get_bucket_tagging().bucket(&self.bucket));
        let tags = Reply::of(asked, &["NoSuchTagSet"]).read(|(answer, raw)| {
            all_read(&root_of(&raw, "GetBucketTagging", "Tagging")?, "TagSet", answer.tag_set().len())?;
            Ok(answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
        });
        Ok(tags.answer()?.unwrap_or_default())
    }

    async fn encryption(&self) -> Fact {
        let asked = ask!(self.client.get_bucket_encryption().bucket(&self.bucket));
        let reply = Reply::of(asked, &["ServerSideEncryptionConfigurationNotFoundError"]).read(|(answer, raw)| {
            let rules = answer.server_side_encryption_configuration().map(|configuration| configuration.rules());
            let default = rules.unwrap_or_default().iter().find_map(|r| r.apply_server_side_encryption_by_default());
            let default = default.ok_or("no rule of the answer names a default encryption")?;
            let algorithm = default.sse_algorithm().as_str();
            if !ENCRYPTIONS.contains(&algorithm) {
                return Err(format!("the default encryption is called {algorithm:?}, which is none that is known"));
            }
            let value = default.kms_master_key_id().map_or(algorithm.to_owned(), |key| format!("{algorithm} {key}"));
            Ok((value, raw.digest()))
        });
        Fact::of("GetBucketEncryption", reply)
    }

    async fn block(&self) -> Fact {
        let asked = ask!(self.client.get_public_access_block().bucket(&self.bucket));
        let reply = Reply::of(asked, &["NoSuchPublicAccessBlockConfiguration"]).read(|(answer, raw)| {
            let settings = answer.public_access_block_configuration().ok_or("the answer holds no configuration")?;
            let on = [
                ("BlockPublicAcls", settings.block_public_acls()),
                ("IgnorePublicAcls", settings.ignore_public_acls()),
                ("BlockPublicPolicy", settings.block_public_policy()),
                ("RestrictPublicBuckets", settings.restrict_public_buckets()),
            ];
            Ok((settings_on(on)?, raw.digest()))
        });
        Fact::of("GetPublicAccessBlock", reply)
    }

    async fn policy_status(&self) -> Fact {
        let asked = ask!(self.client.get_bucket_policy_status().bucket(&self.bucket));
        let reply = Reply::of(asked, &["NoSuchBucketPolicy"]).read(|(answer, raw)| {
            let public = answer.policy_status().and_then(|status| status.is_public());
            let public = public.ok_or("the answer does not say whether the policy is public")?;
            Ok((if public { "public" } else { "not public" }.to_owned(), raw.digest()))
        });
        Fact::of("GetBucketPolicyStatus", reply)
    }

    async fn acl(&self) -> Fact {
        let asked = ask!(self.client.get_bucket_acl().bucket(&self.bucket));
        Fact::of("GetBucketAcl", Reply::of(asked, &[]).read(|(answer, raw)| open_grants(&answer, &raw)))
    }

    async fn versioning(&self) -> Fact {
        let asked = ask_raw!(self.client.get_bucket_versioning().bucket(&self.bucket));
        let reply = Reply::of(asked, &[]).read(|raw| {
            // A bucket that never had versions returns an empty element of this name.
            let root = root_of(&raw, "GetBucketVersioning", "VersioningConfiguration")?;
            Ok((root.text_of("Status")?.map_or(NONE, str::trim).to_owned(), raw.digest()))
        });
        Fact::of("GetBucketVersioning", reply)
    }

    async fn object_lock(&self) -> Fact {
        let asked = ask!(self.client.get_object_lock_configuration().bucket(&self.bucket));
        let reply = Reply::of(asked, &["ObjectLockConfigurationNotFoundError"]).read(|(answer, raw)| {
            let lock = answer.object_lock_configuration().ok_or("the answer holds no configuration")?;
            let retention = lock.rule().and_then(|rule| rule.default_retention());
            let value = retention.map_or("enabled, no default retention".to_owned(), |retention| {
                let mode = retention.mode().map_or("?", |mode| mode.as_str());
                match (retention.days(), retention.years()) {
                    (Some(days), _) => format!("{mode} {days} days"),
                    (None, Some(years)) => format!("{mode} {years} years"),
                    (None, None) => mode.to_owned(),
                }
            });
            Ok((value, raw.digest()))
        });
        Fact::of("GetObjectLockConfiguration", reply)
    }

    /// Counts every object of the bucket, and every earlier version of one. A server that cannot list versions has none.
    async fn size(&self, item: &mut Item) {
        let sizes = match self.versions().await {
            Err(failure) if failure.is_unknown_call() => self.objects().await.map_err(|why| ("ListObjectsV2", why)),
            sizes => sizes.map_err(|why| ("ListObjectVersions", why)),
        };
        match sizes {
            Ok(sizes) => {
                (item.objects, item.bytes) =
                    (Some(sizes.objects), Some(sizes.bytes.saturating_add(sizes.earlier_bytes)));
                (item.earlier_bytes, item.bytes_from) = (Some(sizes.earlier_bytes), Some("listing".to_owned()));
            }
            Err((operation, failure)) => {
                item.facts.insert(SIZE.into(), Fact::unreadable(operation, &failure));
            }
        }
    }

    async fn objects(&self) -> Result<Sizes, Failure> {
        let mut sizes = Sizes::default();
        let mut token = None::<String>;
        let mut firsts = HashSet::new();
        let mut paging = Paging::bounded(OBJECT_PAGES_MAX, OBJECTS_TIME_MAX);
        loop {
            let request = self.client.list_objects_v2().bucket(&self.bucket).set_continuation_token(token.take());
            let (answer, raw) = ask!(request)?;
            let root = root_of(&raw, "ListObjectsV2", "ListBucketResult").map_err(Failure::not_understood)?;
            objects_read(&root, "Contents", answer.contents().len())?;
            let first = answer.contents().first().map(|one| one.key().map(str::to_owned));
            if first.is_some_and(|first| !firsts.insert(first)) {
                return Err(Failure::not_understood("a page of the list came again"));
            }
            for object in answer.contents() {
                sizes.add(object.size(), true)?;
            }
            token = paging.next(answer.next_continuation_token()).map_err(Failure::not_understood)?;
            match &token {
                None if answer.is_truncated() == Some(true) => return Err(cut()),
                None => return Ok(sizes),
                Some(_) => {}
            }
        }
    }

    async fn versions(&self) -> Result<Sizes, Failure> {
        let mut sizes = Sizes::default();
        let mut key = None::<String>;
        let mut version = None::<String>;
        let mut firsts = HashSet::new();
        let mut paging = Paging::bounded(OBJECT_PAGES_MAX, OBJECTS_TIME_MAX);
        loop {
            let request = self.client.list_object_versions().bucket(&self.bucket);
            let request = request.set_key_marker(key.take()).set_version_id_marker(version.take());
            let (answer, raw) = ask!(request)?;
            let root = root_of(&raw, "ListObjectVersions", "ListVersionsResult").map_err(Failure::not_understood)?;
            objects_read(&root, "Version", answer.versions().len())?;
            let first = answer
                .versions()
                .first()
                .map(|one| (one.key().map(str::to_owned), one.version_id().map(str::to_owned)));
            if first.is_some_and(|first| !firsts.insert(first)) {
                return Err(Failure::not_understood("a page of the list came again"));
            }
            for one in answer.versions() {
                sizes.add(one.size(), one.is_latest() != Some(false))?;
            }
            if answer.is_truncated() != Some(true) {
                return Ok(sizes);
            }
            key = answer.next_key_marker().filter(|key| !key.is_empty()).map(str::to_owned);
            version = answer.next_version_id_marker().filter(|id| !id.is_empty()).map(str::to_owned);
            let marker = key.as_ref().map(|key| format!("{key}\0{}", version.as_deref().unwrap_or_default()));
            if paging.next(marker.as_deref()).map_err(Failure::not_understood)?.is_none() {
                return Err(cut());
            }
        }
    }
}

fn cut() -> Failure {
    Failure::not_understood("the list goes on, and the answer does not say where")
}

/// Whether as many objects were read from a page as it has elements of that name.
fn objects_read(page: &Element, name: &str, read: usize) -> Result<(), Failure> {
    let listed = page.children.iter().filter(|child| child.name == name).count();
    if listed == read {
        return Ok(());
    }
    Err(Failure::not_understood(format!("{read} objects of {listed} could be read")))
}

/// What a bucket holds.
#[derive(Default)]
struct Sizes {
    objects: u64,
    bytes: u64,
    earlier_bytes: u64,
}

impl Sizes {
    fn add(&mut self, size: Option<i64>, latest: bool) -> Result<(), Failure> {
        let size = size.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| Failure::not_understood("an object without a size"))?;
        self.objects += u64::from(latest);
        let sum = if latest { &mut self.bytes } else { &mut self.earlier_bytes };
        *sum = sum.saturating_add(size);
        Ok(())
    }
}

/// The grantees of a bucket's access list besides its owner: public groups, and other accounts.
fn open_grants(answer: &GetBucketAclOutput, raw: &RawBody) -> Result<Read, String> {
    let root = root_of(raw, "GetBucketAcl", "AccessControlPolicy")?;
    root.all("AccessControlList").next().ok_or("the answer holds no access list")?;
    all_read(&root, "AccessControlList", answer.grants().len())?;
    let owner = answer.owner().and_then(|owner| owner.id());
    let mut open = Vec::new();
    for grant in answer.grants() {
        let (Some(grantee), Some(right)) = (grant.grantee(), grant.permission()) else {
            return Err("a grant has no grantee, or no right".to_owned());
        };
        let right = right.as_str();
        match (grantee.uri(), grantee.id()) {
            (Some(group), _) => {
                let everybody = EVERYBODY.iter().find(|everybody| group.ends_with(**everybody));
                open.extend(everybody.map(|group| format!("{}:{right}", group.trim_start_matches("/global/"))));
            }
            (None, Some(id)) if Some(id) == owner => {}
            (None, Some(id)) => open.push(format!("{OTHER_ACCOUNT}{id}:{right}")),
            (None, None) => return Err("a grant has no grantee".to_owned()),
        }
    }
    open.sort();
    Ok((if open.is_empty() { "private".to_owned() } else { open.join(" ") }, raw.digest()))
}
