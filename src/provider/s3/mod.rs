//! Objects of a bucket, or of a prefix of one: listed through the AWS SDK, read through `Transport`.
//!
//! Every read is pinned to the entity tag that was listed, so an object that was replaced since is detected and never
//! mixed from two versions.

mod checksum;
mod configuration;
mod parts;
mod properties;
mod question;
mod read;
mod tagging;
mod tags;

use std::sync::atomic::AtomicBool;

use aws_sdk_s3::{Client, primitives::DateTimeFormat, types::EncodingType};
use futures_util::{FutureExt as _, future::BoxFuture};

pub use self::configuration::UPLOADS;
use super::aws::Aws;
use crate::{
    aws::{
        error,
        listing::{self, PageStart, Question},
        response::RawBody,
        transport::Transport,
    },
    transfer::{
        bucket::BucketConfiguration,
        error::SourceError,
        object::{ByteRange, Configured, Described, ListPage, ObjectBody, ObjectEntry, ObjectSource},
    },
};

/// How long a server may take to answer the first request of all.
const PROBE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// A list of buckets that fills more pages than this does not end. Servers without prefix support list all buckets.
const BUCKET_PAGES_MAX: usize = 1_000;

/// One bucket, or the keys of it that start with a prefix.
pub struct S3Source {
    client: Client,
    transport: Transport,
    bucket: String,
    prefix: Option<String>,
    endpoint: String,
    all_versions: bool,
    acls: bool,
    /// The server rejects requests with `If-Match`, even where the tag is right.
    fails_if_match: AtomicBool,
    /// It is AWS itself that is asked, and nothing in between.
    is_aws: bool,
    tagging: tagging::Tagging,
    parts: parts::Questions,
    grants: question::Question,
}

impl S3Source {
    /// A source on this bucket. Sends no request yet.
    pub fn new(aws: &Aws, bucket: &str, prefix: Option<&str>) -> Self {
        let client = aws.s3_of(bucket);
        S3Source {
            transport: Transport::new(aws, &client, bucket),
            client,
            bucket: bucket.to_owned(),
            prefix: prefix.map(str::to_owned),
            endpoint: aws.s3_endpoint(),
            all_versions: false,
            acls: false,
            fails_if_match: AtomicBool::new(false),
            is_aws: aws.s3_is_aws(),
            tagging: tagging::Tagging::default(),
            parts: parts::Questions::default(),
            grants: question::Question::default(),
        }
    }

    /// Lists all versions and delete markers rather than the current objects.
    #[must_use]
    pub fn with_versions(self, all_versions: bool) -> Self {
        S3Source { all_versions, ..self }
    }

    /// Reads the access control list of each object too, one request more for each.
    #[must_use]
    pub fn with_acls(self, acls: bool) -> Self {
        S3Source { acls, ..self }
    }

    /// The configuration of the bucket itself.
    pub async fn configuration(&self) -> BucketConfiguration {
        configuration::of(&self.client, &self.bucket).await
    }

    /// Checks that the bucket exists and can be listed, with one small request.
    pub async fn probe(&self) -> Result<(), SourceError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).set_prefix(self.prefix.clone()).max_keys(1);
        let what = format!("bucket {} at {}", self.bucket, self.endpoint);
        let raw = RawBody::default();
        let request = request.encoding_type(EncodingType::Url).customize().interceptor(raw.clone());
        match tokio::time::timeout(PROBE_TIMEOUT, request.send()).await {
            Ok(answer) => raw.read(answer, listing::is_listing).map_err(|unread| unread.about(&what)),
            Err(_) => {
                let reason = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
                Err(SourceError::Unreached { what, reason })
            }
        }
    }

    /// When the bucket was created, as far as the caller may list buckets.
    pub async fn created(&self) -> Option<String> {
        let mut from = None;
        for _ in 0..BUCKET_PAGES_MAX {
            let request = self.client.list_buckets().prefix(&self.bucket).set_continuation_token(from);
            let page = tokio::time::timeout(PROBE_TIMEOUT, request.send()).await.ok()?.ok()?;
            if let Some(bucket) = page.buckets().iter().find(|bucket| bucket.name() == Some(&self.bucket)) {
                return bucket.creation_date()?.fmt(DateTimeFormat::DateTime).ok();
            }
            from = Some(page.continuation_token().filter(|token| !token.is_empty())?.to_owned());
        }
        None
    }

    /// A server that no longer knows its own token is asked to continue after the last key, where keys came in order so
    /// far; a listing with a refused request in between is incomplete.
    async fn list_objects(&self, from: Option<&str>) -> Result<ListPage, SourceError> {
        let from = PageStart::parse(from);
        let page = match (self.page_of_objects(&from).await, &from) {
            (Err(SourceError::Permanent { .. }), PageStart::Token { behind: Some(key), .. }) => {
                self.page_of_objects(&PageStart::After(key.clone())).await
            }
            (page, _) => page,
        };
        page.map_err(|error| in_the_middle(&from, error))
    }

    async fn page_of_objects(&self, from: &PageStart) -> Result<ListPage, SourceError> {
        let page = listing::ask_for_objects(&self.client, self.question(from)).await;
        page.map_err(|unread| unread.about(&format!("the listing of bucket {}", self.bucket)))
    }

    async fn list_versions(&self, from: Option<&str>) -> Result<ListPage, SourceError> {
        let what = format!("the listing of the versions of bucket {}", self.bucket);
        let from = PageStart::parse(from);
        let request = self.client.list_object_versions().bucket(&self.bucket).encoding_type(EncodingType::Url);
        let request = request.set_prefix(self.prefix.clone());
        let request = match &from {
            PageStart::Marker { key, version, .. } => request.key_marker(key).set_version_id_marker(version.clone()),
            _ => request,
        };
        let raw = RawBody::default();
        let answer = request.customize().interceptor(raw.clone()).send().await;
        let page = raw.read(answer, |body| listing::versions(body, self.question(&from)));
        let page = page.map_err(|unread| in_the_middle(&from, unread.about(&what)))?;
        Ok(ListPage { answered: raw.date(), ..page })
    }

    fn question<'a>(&'a self, from: &'a PageStart) -> Question<'a> {
        Question { bucket: &self.bucket, prefix: self.prefix.as_deref().unwrap_or_default(), from }
    }

    /// The object as it is now; a version never changes, it can only disappear.
    async fn find_again(&self, entry: &ObjectEntry) -> Result<Option<ObjectEntry>, SourceError> {
        let request = self.client.head_object().bucket(&self.bucket).key(&entry.key);
        let answer = match request.set_version_id(entry.version_id.clone()).send().await {
            Ok(answer) => answer,
            Err(error) => match error::of(&entry.key, error) {
                SourceError::NotFound { .. } => return Ok(None),
                other => return Err(other),
            },
        };
        let size = answer.content_length().and_then(|size| u64::try_from(size).ok());
        Ok(Some(ObjectEntry {
            // Where none is stated, reading it shows it.
            size: size.unwrap_or(entry.size),
            etag: answer.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
            last_modified: answer.last_modified().and_then(|time| time.fmt(DateTimeFormat::DateTime).ok()),
            storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
            ..entry.clone()
        }))
    }
}

impl Configured for S3Source {
    fn configuration<'a>(&'a self) -> BoxFuture<'a, BucketConfiguration> {
        S3Source::configuration(self).boxed()
    }
}

impl ObjectSource for S3Source {
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        self.probe().boxed()
    }

    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        if self.all_versions { self.list_versions(from).boxed() } else { self.list_objects(from).boxed() }
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        self.get(entry, range).boxed()
    }

    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
        self.find_again(entry).boxed()
    }

    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
        self.head(entry).boxed()
    }
}

/// Earlier responses show that the listing can be read: another attempt may return the rest.
fn in_the_middle(from: &PageStart, error: SourceError) -> SourceError {
    match error {
        SourceError::Permanent { what, reason } if *from != PageStart::Beginning => {
            SourceError::Transient { what, reason }
        }
        error => error,
    }
}
