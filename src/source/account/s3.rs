//! Buckets: their list over all regions, and the settings of each that were asked for.

use std::collections::BTreeMap;

use aws_sdk_s3::{Client, types::BucketLocationConstraint};
use futures_util::{StreamExt as _, stream};

use super::{Look, failure::Failure, tap::ask};
use crate::{
    account::{
        coverage::SIZE,
        inventory::{Fact, Item, ItemKind, fact},
    },
    digest::Sha256Digest,
};

/// The most that a page holds. Asking for less makes some servers cut the list without saying so.
const PAGE_BUCKETS: i32 = 10_000;
/// Requests on their way at a time.
const CONCURRENCY: usize = 16;
/// Groups of everybody (Amazon S3 User Guide, "Access control list (ACL) overview").
const EVERYBODY: [&str; 2] = ["/global/AllUsers", "/global/AuthenticatedUsers"];

impl Look<'_> {
    /// Every bucket with its region and what else was asked for.
    pub(super) async fn buckets(&mut self) {
        let listed = self.list_buckets().await;
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

    async fn list_buckets(&mut self) -> Vec<Item> {
        let client = self.aws.s3_for_account(None, self.wanted.patient);
        let (mut items, mut token, mut page) = (Vec::new(), None::<String>, 1);
        loop {
            let request = client.list_buckets().max_buckets(PAGE_BUCKETS).set_continuation_token(token.take());
            match ask!(request) {
                Ok((answer, digest)) => {
                    self.answered("s3 ListBuckets", None, page, digest);
                    items.extend(answer.buckets().iter().filter_map(|bucket| {
                        let region = bucket.bucket_region().map(str::to_owned);
                        let mut item = Item::named(ItemKind::Bucket, bucket.name()?, region);
                        if let Some(made) = bucket.creation_date() {
                            item.facts.insert(fact::CREATED.into(), Fact::listed(made.to_string()));
                        }
                        Some(item)
                    }));
                    token = answer.continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
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

    /// A setting that could not be read stands with its bucket and in the list of what is unreadable.
    fn note_unreadable_facts(&mut self, item: &Item) {
        for fact in item.facts.values().filter(|fact| fact.unreadable.is_some()) {
            let (operation, reason) = (fact.operation.as_deref().unwrap_or_default(), fact.unreadable.as_deref());
            let failure = Failure {
                denied: reason.is_some_and(|reason| reason.contains("AccessDenied")),
                ..Failure::not_asked(reason.unwrap_or_default())
            };
            let call = format!("{} {operation}", if item.kind == ItemKind::Bucket { "s3" } else { "rds" });
            let (region, subject) = (item.region.as_deref(), Some(item.name.as_str()));
            self.refused(&call, region, subject, &failure, &right_of(operation), &[]);
        }
    }
}

/// The IAM action that a call needs, where it has another name.
pub(super) fn right_of(operation: &str) -> String {
    let action = match operation {
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "GetObjectLockConfiguration" => "s3:GetBucketObjectLockConfiguration",
        "ListObjectsV2" => "s3:ListBucket",
        other if other.starts_with("Describe") => return format!("rds:{other}"),
        other => return format!("s3:{other}"),
    };
    action.to_owned()
}

/// A client for each region; a server under an address of its own is one region.
struct RegionClients<'a> {
    look: (&'a crate::source::aws::Aws, bool),
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

async fn bucket(mut item: Item, clients: &RegionClients<'_>, wanted: &super::Wanted) -> Item {
    if item.region.is_none() {
        match location(&clients.client(None), &item.name).await {
            Ok(region) => item.region = Some(region),
            Err(failure) => {
                item.facts.insert("region".into(), Fact::unreadable("GetBucketLocation", failure.reason));
            }
        }
    }
    if !(wanted.tags || wanted.encryption || wanted.public_access || wanted.protection || wanted.sizes_by_listing) {
        return item;
    }
    let asking = Asking { client: clients.client(item.region.as_deref()), bucket: item.name.clone() };
    if wanted.tags {
        match asking.tags().await {
            Ok(tags) => item.tags = Some(tags),
            Err(failure) => {
                item.facts.insert("tags".into(), Fact::unreadable("GetBucketTagging", failure.reason));
            }
        }
    }
    if wanted.encryption {
        item.facts.insert(fact::ENCRYPTION.into(), asking.encryption().await);
    }
    if wanted.public_access {
        let facts = tokio::join!(asking.block(), asking.policy(), asking.acl());
        item.facts.insert(fact::PUBLIC_ACCESS_BLOCK.into(), facts.0);
        item.facts.insert(fact::POLICY.into(), facts.1);
        item.facts.insert(fact::ACL.into(), facts.2);
    }
    if wanted.protection {
        let facts = tokio::join!(asking.versioning(), asking.object_lock());
        item.facts.insert(fact::VERSIONING.into(), facts.0);
        item.facts.insert(fact::OBJECT_LOCK.into(), facts.1);
    }
    if wanted.sizes_by_listing {
        asking.size(&mut item).await;
    }
    item
}

async fn location(client: &Client, bucket: &str) -> Result<String, Failure> {
    let (answer, _) = ask!(client.get_bucket_location().bucket(bucket))?;
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

/// An answer as a fact; a code that says "there is none" is an answer too.
fn as_fact(operation: &str, none: &[&str], answer: Result<(String, Option<Sha256Digest>), Failure>) -> Fact {
    match answer {
        Ok((value, digest)) => Fact::answered(operation, value, digest),
        Err(failure) if none.contains(&failure.code.as_str()) => Fact::answered(operation, "none", None),
        Err(failure) => Fact::unreadable(operation, failure.reason),
    }
}

impl Asking {
    async fn tags(&self) -> Result<BTreeMap<String, String>, Failure> {
        match ask!(self.client.get_bucket_tagging().bucket(&self.bucket)) {
            Ok((answer, _)) => {
                Ok(answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
            }
            Err(failure) if failure.code == "NoSuchTagSet" => Ok(BTreeMap::new()),
            Err(failure) => Err(failure),
        }
    }

    async fn encryption(&self) -> Fact {
        let answer = ask!(self.client.get_bucket_encryption().bucket(&self.bucket)).map(|(answer, digest)| {
            let rules = answer.server_side_encryption_configuration().map(|configuration| configuration.rules());
            let default = rules.unwrap_or_default().iter().find_map(|r| r.apply_server_side_encryption_by_default());
            let value = default.map_or_else(
                || "none".to_owned(),
                |default| {
                    let algorithm = default.sse_algorithm().as_str();
                    default.kms_master_key_id().map_or(algorithm.to_owned(), |key| format!("{algorithm} {key}"))
                },
            );
            (value, digest)
        });
        as_fact("GetBucketEncryption", &["ServerSideEncryptionConfigurationNotFoundError"], answer)
    }

    async fn block(&self) -> Fact {
        let answer = ask!(self.client.get_public_access_block().bucket(&self.bucket)).map(|(answer, digest)| {
            let settings = answer.public_access_block_configuration();
            let on = [
                ("BlockPublicAcls", settings.and_then(|s| s.block_public_acls())),
                ("IgnorePublicAcls", settings.and_then(|s| s.ignore_public_acls())),
                ("BlockPublicPolicy", settings.and_then(|s| s.block_public_policy())),
                ("RestrictPublicBuckets", settings.and_then(|s| s.restrict_public_buckets())),
            ];
            (super::settings_on(on), digest)
        });
        as_fact("GetPublicAccessBlock", &["NoSuchPublicAccessBlockConfiguration"], answer)
    }

    async fn policy(&self) -> Fact {
        let answer = ask!(self.client.get_bucket_policy_status().bucket(&self.bucket)).map(|(answer, digest)| {
            let public = answer.policy_status().and_then(|status| status.is_public()).unwrap_or_default();
            (if public { "public" } else { "not public" }.to_owned(), digest)
        });
        as_fact("GetBucketPolicyStatus", &["NoSuchBucketPolicy"], answer)
    }

    async fn acl(&self) -> Fact {
        let answer = ask!(self.client.get_bucket_acl().bucket(&self.bucket)).map(|(answer, digest)| {
            let open = answer.grants().iter().filter_map(|grant| {
                let uri = grant.grantee()?.uri()?;
                let group = EVERYBODY.iter().find(|group| uri.ends_with(**group))?;
                let right = grant.permission().map_or("?", |permission| permission.as_str());
                Some(format!("{}:{right}", group.trim_start_matches("/global/")))
            });
            let open: Vec<_> = open.collect();
            (if open.is_empty() { "private".to_owned() } else { open.join(" ") }, digest)
        });
        as_fact("GetBucketAcl", &[], answer)
    }

    async fn versioning(&self) -> Fact {
        let answer = ask!(self.client.get_bucket_versioning().bucket(&self.bucket));
        let answer = answer
            .map(|(answer, digest)| (answer.status().map_or("none", |status| status.as_str()).to_owned(), digest));
        as_fact("GetBucketVersioning", &[], answer)
    }

    async fn object_lock(&self) -> Fact {
        let answer = ask!(self.client.get_object_lock_configuration().bucket(&self.bucket)).map(|(answer, digest)| {
            let rule = answer.object_lock_configuration().and_then(|lock| lock.rule());
            let retention = rule.and_then(|rule| rule.default_retention());
            let value = retention.map_or("enabled, no default retention".to_owned(), |retention| {
                let mode = retention.mode().map_or("?", |mode| mode.as_str());
                match (retention.days(), retention.years()) {
                    (Some(days), _) => format!("{mode} {days} days"),
                    (None, Some(years)) => format!("{mode} {years} years"),
                    (None, None) => mode.to_owned(),
                }
            });
            (value, digest)
        });
        as_fact("GetObjectLockConfiguration", &["ObjectLockConfigurationNotFoundError"], answer)
    }

    /// Counts every object of the bucket.
    async fn size(&self, item: &mut Item) {
        let (mut objects, mut bytes, mut token) = (0_u64, 0_u64, None::<String>);
        loop {
            let request = self.client.list_objects_v2().bucket(&self.bucket).set_continuation_token(token.take());
            match request.send().await {
                Ok(answer) => {
                    objects += answer.contents().len() as u64;
                    let sizes = answer.contents().iter().filter_map(|object| u64::try_from(object.size()?).ok());
                    bytes = sizes.fold(bytes, u64::saturating_add);
                    token = answer.next_continuation_token().map(str::to_owned);
                }
                Err(error) => {
                    let reason = Failure::of_sdk(&error).reason;
                    item.facts.insert(SIZE.into(), Fact::unreadable("ListObjectsV2", reason));
                    return;
                }
            }
            if token.is_none() {
                break;
            }
        }
        (item.objects, item.bytes, item.bytes_from) = (Some(objects), Some(bytes), Some("listing".to_owned()));
    }
}
