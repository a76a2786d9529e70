//! Objects of a bucket, or of a prefix of one: listed through the AWS SDK, read through `transport`.
//!
//! Every read is pinned to the entity tag that was listed, so an object that was replaced since is noticed and never
//! mixed from two versions.

mod checksum;
mod configuration;
pub(super) mod error;
mod parts;
mod properties;
mod transport;

use std::collections::BTreeMap;

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTimeFormat,
    types::{EncodingType, Grant},
};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream::BoxStream};
use http::{
    HeaderMap, HeaderName,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG},
};

pub use self::configuration::UPLOADS;
use self::{
    checksum::Offer,
    transport::{Ask, Body, Method, Transport},
};
use super::aws::Aws;
use crate::{
    aws::{
        answer::RawAnswer,
        listing::{self, PageStart, Question},
    },
    transfer::{
        bucket::BucketConfiguration,
        error::SourceError,
        object::{ByteRange, Described, ListPage, ObjectBody, ObjectEntry, ObjectSource, ProviderChecksum},
        properties::{Item, Properties},
    },
};

/// How long a server may take to answer the first question of all.
const PROBE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// A list of buckets that fills more pages than this does not end. Servers that know no prefix list all buckets.
const BUCKET_PAGES_MAX: usize = 1_000;

/// One bucket, or the keys of it that begin with a prefix.
pub struct S3Source {
    client: Client,
    transport: Transport,
    bucket: String,
    prefix: Option<String>,
    endpoint: String,
    all_versions: bool,
    acls: bool,
}

impl S3Source {
    /// A source on this bucket. Asks nothing yet.
    pub fn new(aws: &Aws, bucket: &str, prefix: Option<&str>) -> Self {
        let client = aws.s3();
        S3Source {
            transport: Transport::new(aws, &client, bucket),
            client,
            bucket: bucket.to_owned(),
            prefix: prefix.map(str::to_owned),
            endpoint: aws.s3_endpoint().to_owned(),
            all_versions: false,
            acls: false,
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

    /// Everything that the provider says about the bucket itself.
    pub async fn configuration(&self) -> BucketConfiguration {
        configuration::of(&self.client, &self.bucket).await
    }

    /// Asks whether the bucket is there and can be listed, with one small request.
    pub async fn probe(&self) -> Result<(), SourceError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).set_prefix(self.prefix.clone()).max_keys(1);
        let what = format!("bucket {} at {}", self.bucket, self.endpoint);
        let raw = RawAnswer::default();
        let request = request.encoding_type(EncodingType::Url).customize().interceptor(raw.clone());
        match tokio::time::timeout(PROBE_TIMEOUT, request.send()).await {
            Ok(answer) => read(&what, answer, &raw, listing::is_listing),
            Err(_) => {
                let reason = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
                Err(SourceError::Transient { what, reason })
            }
        }
    }

    /// When the bucket was made, as far as the caller may list buckets.
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

    async fn list_objects(&self, from: Option<&str>) -> Result<ListPage, SourceError> {
        let what = format!("the listing of bucket {}", self.bucket);
        let from = PageStart::parse(from);
        let request = self.client.list_objects_v2().bucket(&self.bucket).encoding_type(EncodingType::Url);
        let request = request.set_prefix(self.prefix.clone());
        let request = match &from {
            PageStart::Token { token, .. } => request.continuation_token(token),
            PageStart::After(key) => request.start_after(key),
            PageStart::Beginning | PageStart::Marker { .. } => request,
        };
        let raw = RawAnswer::default();
        let answer = request.customize().interceptor(raw.clone()).send().await;
        read(&what, answer, &raw, |body| listing::objects(body, self.question(&from)))
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
        let raw = RawAnswer::default();
        let answer = request.customize().interceptor(raw.clone()).send().await;
        read(&what, answer, &raw, |body| listing::versions(body, self.question(&from)))
    }

    fn question<'a>(&'a self, from: &'a PageStart) -> Question<'a> {
        Question { bucket: &self.bucket, prefix: self.prefix.as_deref().unwrap_or_default(), from }
    }

    async fn get(&self, entry: &ObjectEntry, range: Option<ByteRange>) -> Result<ObjectBody, SourceError> {
        let mut ask = asked(Method::Get, entry);
        match range {
            Some(range) => ask.headers.push(("range", format!("bytes={}-{}", range.first, range.last))),
            None => ask.headers.push(checksums_wanted()),
        }
        let answer = self.transport.send(&ask).await.map_err(|error| error::of_object(entry, error))?;
        check_answer(entry, range, &answer.headers)?;
        let Described { word, properties } = match range {
            None => self.described(entry, &answer.headers).await,
            Some(_) => Described { word: Err("a range".to_owned()), properties: Properties::default() },
        };
        Ok(ObjectBody {
            word,
            properties,
            length: text(&answer.headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            pieces: pieces(answer.body, entry.key.clone()),
        })
    }

    /// Checksum and properties out of the headers of an answer; asks for more only where they say that there is more.
    async fn described(&self, entry: &ObjectEntry, headers: &HeaderMap) -> Described {
        let word = match checksum::of_headers(|name| headers.get(name).and_then(|value| value.to_str().ok())) {
            Offer::Whole(checksum) => Ok(checksum),
            Offer::Nothing(reason) => Err(reason.to_owned()),
            Offer::OfParts { kind, value, count } => {
                let parts = parts::of(&self.client, &self.bucket, entry, count).await;
                parts.map(|parts| ProviderChecksum { kind, value, parts })
            }
        };
        let texts = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let (mut properties, tags) = properties::of_headers(texts);
        if tags > 0 {
            self.read_tags(entry, tags, &mut properties).await;
        }
        if self.acls {
            self.read_acl(entry, &mut properties).await;
        }
        Described { word, properties }
    }

    /// Reads the tags, of which the headers state the number.
    async fn read_tags(&self, entry: &ObjectEntry, stated: u64, properties: &mut Properties) {
        let request = self.client.get_object_tagging().bucket(&self.bucket).key(&entry.key);
        let answer = request.set_version_id(entry.version_id.clone()).send().await;
        let tags = answer.map_err(|error| error::of("tags", error).to_string()).and_then(|answer| {
            let tags = answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
            let tags: BTreeMap<_, _> = tags.collect();
            let answered = answer.tag_set().len();
            if answered as u64 == stated && answered == tags.len() {
                Ok(tags)
            } else {
                Err(format!("reading tags: the object states {stated}, the answer holds {answered}"))
            }
        });
        match tags {
            Ok(tags) => properties.tags.extend(tags),
            Err(reason) => drop(properties.unreadable.insert(Item::Tags, reason)),
        }
    }

    async fn read_acl(&self, entry: &ObjectEntry, properties: &mut Properties) {
        let request = self.client.get_object_acl().bucket(&self.bucket).key(&entry.key);
        match request.set_version_id(entry.version_id.clone()).send().await {
            Ok(answer) => properties.acl.extend(answer.grants().iter().map(grant)),
            Err(error) => {
                drop(properties.unreadable.insert(Item::Acl, error::of("access control list", error).to_string()))
            }
        }
    }

    /// The object as it is now; a version never changes, it can only go.
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
        Ok(size.map(|size| ObjectEntry {
            size,
            etag: answer.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
            last_modified: answer.last_modified().and_then(|time| time.fmt(DateTimeFormat::DateTime).ok()),
            storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
            ..entry.clone()
        }))
    }

    async fn head(&self, entry: &ObjectEntry) -> Result<Described, SourceError> {
        let mut ask = asked(Method::Head, entry);
        ask.headers.push(checksums_wanted());
        let answer = self.transport.send(&ask).await.map_err(|error| error::of_object(entry, error))?;
        check_answer(entry, None, &answer.headers)?;
        Ok(self.described(entry, &answer.headers).await)
    }
}

/// Who may do what, in one line.
fn grant(grant: &Grant) -> String {
    let permission = grant.permission().map_or("", |permission| permission.as_str());
    let grantee = grant.grantee();
    let whom = grantee.and_then(|whom| whom.uri().or(whom.id()).or(whom.email_address()));
    format!("{permission} {}", whom.unwrap_or_default())
}

impl ObjectSource for S3Source {
    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        match self.all_versions {
            true => self.list_versions(from).boxed(),
            false => self.list_objects(from).boxed(),
        }
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

/// A request about the object that was listed, and about no other one under its key.
fn asked(method: Method, entry: &ObjectEntry) -> Ask<'_> {
    let pinned = entry.etag.as_ref().map(|etag| ("if-match", format!("\"{etag}\"")));
    Ask { method, key: &entry.key, version_id: entry.version_id.as_deref(), headers: pinned.into_iter().collect() }
}

fn checksums_wanted() -> (&'static str, String) {
    ("x-amz-checksum-mode", "ENABLED".to_owned())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Not every server honours `If-Match` and `Range`; an answer about something else must not be taken for this. Neither
/// must an error that comes with the status of a success: it has no entity tag.
fn check_answer(entry: &ObjectEntry, range: Option<ByteRange>, headers: &HeaderMap) -> Result<(), SourceError> {
    let what = || entry.key.clone();
    match (&entry.etag, text(headers, ETAG)) {
        (Some(listed), Some(answered)) if listed != answered.trim_matches('"') => {
            return Err(SourceError::Changed { what: what() });
        }
        (Some(_), None) => {
            let reason = "the answer names no entity tag, the listing does".to_owned();
            return Err(SourceError::Transient { what: what(), reason });
        }
        _ => {}
    }
    let content_range = text(headers, CONTENT_RANGE);
    let expected = range.map(|range| format!("bytes {}-{}/{}", range.first, range.last, entry.size));
    if expected.is_some() && expected.as_deref() != content_range {
        let reason = format!("asked for {expected:?}, the answer holds {content_range:?}");
        return Err(SourceError::Transient { what: what(), reason });
    }
    Ok(())
}

fn pieces(body: Body, key: String) -> BoxStream<'static, Result<bytes::Bytes, SourceError>> {
    body.map_err(move |reason| SourceError::Transient { what: key.clone(), reason }).boxed()
}

/// Reads the body of an answer past the SDK, which takes a page that was cut off for a whole one.
fn read<A, E, T>(
    what: &str,
    answer: Result<A, SdkError<E, error::Answer>>,
    raw: &RawAnswer,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, SourceError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let body = raw.of(answer).map_err(|refused| error::of(what, refused))?;
    let reason = |reason| format!("the answer is not whole, or contradicts itself: {reason}");
    parse(&body).map_err(|wrong| SourceError::Transient { what: what.to_owned(), reason: reason(wrong) })
}
