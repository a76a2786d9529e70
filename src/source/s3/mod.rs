//! Objects of a bucket, or of a prefix of one, through the AWS SDK.
//!
//! Every read is pinned to the entity tag that was listed, so an object that was replaced since is noticed and never
//! mixed from two versions.

mod checksum;
pub(super) mod error;
mod keys;

use aws_sdk_s3::{
    Client,
    primitives::{ByteStream, DateTimeFormat},
    types::{ChecksumMode, EncodingType, Object},
};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{BoxStream, try_unfold},
};

use super::aws::Aws;
use crate::transfer::{
    error::SourceError,
    object::{ByteRange, ListPage, ObjectBody, ObjectEntry, ObjectSource, ProviderWord},
};

/// How long a server may take to answer the first question of all.
const PROBE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// One bucket, or the keys of it that begin with a prefix.
pub struct S3Source {
    client: Client,
    bucket: String,
    prefix: Option<String>,
    endpoint: String,
}

impl S3Source {
    /// A source on this bucket. Asks nothing yet.
    pub fn new(aws: &Aws, bucket: &str, prefix: Option<&str>) -> Self {
        S3Source {
            client: aws.s3(),
            bucket: bucket.to_owned(),
            prefix: prefix.map(str::to_owned),
            endpoint: aws.s3_endpoint().to_owned(),
        }
    }

    /// Asks whether the bucket is there and can be listed, with one small request.
    pub async fn probe(&self) -> Result<(), SourceError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).set_prefix(self.prefix.clone()).max_keys(1);
        let what = format!("bucket {} at {}", self.bucket, self.endpoint);
        match tokio::time::timeout(PROBE_TIMEOUT, request.send()).await {
            Ok(answer) => answer.map(drop).map_err(|error| error::of(&what, error)),
            Err(_) => {
                let reason = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
                Err(SourceError::Transient { what, reason })
            }
        }
    }

    async fn list_page(&self, from: Option<&str>) -> Result<ListPage, SourceError> {
        let what = format!("the listing of bucket {}", self.bucket);
        let request = self.client.list_objects_v2().bucket(&self.bucket).encoding_type(EncodingType::Url);
        let request = request.set_prefix(self.prefix.clone()).set_continuation_token(from.map(str::to_owned));
        let page = request.send().await.map_err(|error| error::of(&what, error))?;
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        let broken = |reason: String| SourceError::Permanent { what: what.clone(), reason };
        let entries = page.contents().iter().map(|object| entry(object, encoded));
        let entries = entries.collect::<Result<_, _>>().map_err(broken)?;
        let next = page.next_continuation_token().map(str::to_owned);
        if page.is_truncated() == Some(true) && next.is_none() {
            return Err(broken("the page is cut off and names no next one".to_owned()));
        }
        Ok(ListPage { entries, next: next.filter(|_| page.is_truncated() != Some(false)) })
    }

    async fn get(&self, entry: &ObjectEntry, range: Option<ByteRange>) -> Result<ObjectBody, SourceError> {
        let request = self.client.get_object().bucket(&self.bucket).key(&entry.key);
        let request = request.set_version_id(entry.version_id.clone()).set_if_match(pinned(entry));
        let whole = range.is_none();
        let request = request.set_range(range.map(|range| format!("bytes={}-{}", range.first, range.last)));
        // Asked for by its header: through the SDK's own setting, the SDK would hash every body a second time.
        let request = request.customize().mutate_request(move |request| {
            if whole {
                request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
            }
        });
        let answer = request.send().await.map_err(|error| error::of_object(entry, error))?;
        check_answer(entry, range, answer.e_tag(), answer.content_range())?;
        Ok(ObjectBody {
            word: checksum::of_get(&answer),
            length: answer.content_length().and_then(|length| u64::try_from(length).ok()),
            pieces: pieces(answer.body, entry.key.clone()),
        })
    }

    async fn head(&self, entry: &ObjectEntry) -> Result<ProviderWord, SourceError> {
        let request = self.client.head_object().bucket(&self.bucket).key(&entry.key);
        let request = request.set_version_id(entry.version_id.clone()).set_if_match(pinned(entry));
        let answer = request.checksum_mode(ChecksumMode::Enabled).send().await;
        let answer = answer.map_err(|error| error::of_object(entry, error))?;
        Ok(checksum::of_head(&answer))
    }
}

impl ObjectSource for S3Source {
    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        self.list_page(from).boxed()
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        self.get(entry, range).boxed()
    }

    fn word<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<ProviderWord, SourceError>> {
        self.head(entry).boxed()
    }
}

fn pinned(entry: &ObjectEntry) -> Option<String> {
    entry.etag.as_ref().map(|etag| format!("\"{etag}\""))
}

/// Not every server honours `If-Match` and `Range`; an answer about something else must not be taken for this.
fn check_answer(
    entry: &ObjectEntry,
    range: Option<ByteRange>,
    etag: Option<&str>,
    content_range: Option<&str>,
) -> Result<(), SourceError> {
    if let (Some(listed), Some(answered)) = (&entry.etag, etag)
        && listed != answered.trim_matches('"')
    {
        return Err(SourceError::Changed { what: entry.key.clone() });
    }
    let expected = range.map(|range| format!("bytes {}-{}/{}", range.first, range.last, entry.size));
    if expected.is_some() && expected.as_deref() != content_range {
        let reason = format!("asked for {expected:?}, the answer holds {content_range:?}");
        return Err(SourceError::Transient { what: entry.key.clone(), reason });
    }
    Ok(())
}

fn pieces(body: ByteStream, key: String) -> BoxStream<'static, Result<bytes::Bytes, SourceError>> {
    try_unfold((body, key), |(mut body, key)| async move {
        match body.next().await {
            None => Ok(None),
            Some(Ok(piece)) => Ok(Some((piece, (body, key)))),
            Some(Err(error)) => Err(SourceError::Transient { what: key, reason: error::chain(&error) }),
        }
    })
    .boxed()
}

fn entry(object: &Object, encoded: bool) -> Result<ObjectEntry, String> {
    let listed = object.key().ok_or("an entry has no key")?;
    let key = if encoded { keys::decoded(listed)? } else { listed.to_owned() };
    let size = object.size().and_then(|size| u64::try_from(size).ok());
    Ok(ObjectEntry {
        size: size.ok_or_else(|| format!("the entry {key:?} has no size"))?,
        key,
        etag: object.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
        version_id: None,
        last_modified: object.last_modified().and_then(|time| time.fmt(DateTimeFormat::DateTime).ok()),
        storage_class: object.storage_class().map(|class| class.as_str().to_owned()),
    })
}
