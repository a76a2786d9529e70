//! Objects as objects of another S3-compatible server: the same key, content headers, metadata and tags.
//!
//! Bytes are staged in local files until their digest is right; only then are they put, with that digest, so that the
//! target checks what it gets. The bucket is made for the run, and nothing is ever written anywhere else. Versions that
//! others have replaced are put as objects of their own under [`VERSIONS`], because no server takes over a version's id.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_s3::{
    Client as SdkClient,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        create_multipart_upload::builders::CreateMultipartUploadFluentBuilder, get_object::GetObjectOutput,
        head_bucket::HeadBucketError,
    },
    primitives::{ByteStream, DateTime, DateTimeFormat, Length},
    types::{CompletedMultipartUpload, CompletedPart, EncodingType},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::{file::PendingFile, place::Places, tree};
use crate::transfer::{
    error::SinkError,
    object::{Answered, Arriving, ObjectEntry, ObjectSink, PendingObject, Refused, RestoredBucket, UnitSink},
    properties::{ContentHeaders, Item, Properties},
    receipt::{ObjectReceipt, Within},
    unit::UnitId,
};

/// A client of the target.
pub type Client = SdkClient;
/// Keys of versions that others have replaced begin with this.
pub const VERSIONS: &str = "walkaway-";
/// Objects are put in one piece up to this size.
const PUT_BYTES_MAX: u64 = 64 << 20;
/// S3 allows so many parts of an object.
const PARTS_MAX: u64 = 10_000;
const PUTS_IN_FLIGHT: usize = 16;

/// A bucket of the target, made for one asset of one run.
pub struct S3Target {
    client: Client,
    bucket: String,
    staging: PathBuf,
    runtime: Handle,
    places: Mutex<Places>,
}

impl S3Target {
    /// Makes the bucket if it isn't there. With `fresh` it must be empty: nobody else's objects are mixed with the run's.
    pub async fn open(client: Client, bucket: String, staging: PathBuf, fresh: bool) -> Result<Self, SinkError> {
        tree::remove_tree(&staging)?;
        std::fs::create_dir_all(&staging).map_err(|error| SinkError::write(&staging, error))?;
        let target = S3Target { client, bucket, staging, runtime: Handle::current(), places: Mutex::default() };
        match target.client.head_bucket().bucket(&target.bucket).send().await {
            Err(SdkError::ServiceError(error)) if matches!(error.err(), HeadBucketError::NotFound(_)) => {
                let made = target.client.create_bucket().bucket(&target.bucket).send().await;
                made.map_err(|error| target.failed("making the bucket", &error))?;
            }
            answer => drop(answer.map_err(|error| target.failed("looking for the bucket", &error))?),
        }
        if fresh && !target.is_empty().await? {
            let reason = "it is not empty; a run restores into a bucket of its own only".to_owned();
            return Err(SinkError::Server { what: format!("bucket {}", target.bucket), reason });
        }
        Ok(target)
    }

    /// Asks whether the server is there and knows the caller, with one small request.
    pub async fn probe(client: &Client) -> Result<(), SinkError> {
        let refused = |reason| SinkError::Server { what: "the target's S3 server".to_owned(), reason };
        client.list_buckets().send().await.map(drop).map_err(|error| refused(said(&error)))
    }

    async fn is_empty(&self) -> Result<bool, SinkError> {
        let page = self.client.list_objects_v2().bucket(&self.bucket).max_keys(1).send().await;
        Ok(page.map_err(|error| self.failed("listing the bucket", &error))?.contents().is_empty())
    }

    fn failed<E: Said>(&self, doing: &str, error: &SdkError<E, HttpResponse>) -> SinkError {
        failed(&self.bucket, doing, &said(error))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(bucket: &str, doing: &str, reason: &str) -> SinkError {
    SinkError::Server { what: format!("bucket {bucket}"), reason: format!("{doing}: {reason}") }
}

/// What a call's error can say.
trait Said: ProvideErrorMetadata + std::error::Error + 'static {}

impl<E: ProvideErrorMetadata + std::error::Error + 'static> Said for E {}

/// What the server said, or why it said nothing.
fn said<E: Said>(error: &SdkError<E, HttpResponse>) -> String {
    let SdkError::ServiceError(refused) = error else { return in_full(error) };
    match (refused.err().code(), refused.err().message()) {
        (Some(code), Some(message)) if !message.replace(' ', "").eq_ignore_ascii_case(code) => {
            format!("{code}: {message}")
        }
        (Some(code), _) => code.to_owned(),
        (None, _) => format!("HTTP status {}", refused.raw().status().as_u16()),
    }
}

/// An error and its causes in one line.
fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push(cause);
        }
    }
    told.join(": ")
}

impl ObjectSink for S3Target {
    fn place(&self, entry: &ObjectEntry) -> String {
        self.places().place_entry(entry)
    }

    fn carries(&self) -> &'static [Item] {
        &[Item::ContentHeaders, Item::Metadata, Item::Tags, Item::WebsiteRedirect]
    }

    fn occupy(&self, _key: &str, place: &str) {
        self.places().occupy(place);
    }

    /// Nothing that lies in the bucket without a record is in the way: it is put again, or found by the read-back.
    fn discard_unrecorded(&self, _recorded: &HashSet<u128>) -> Result<(), SinkError> {
        Ok(())
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        let staging = self.staging.join(unit.as_str());
        std::fs::create_dir(&staging).map_err(|error| SinkError::write(&staging, error))?;
        let put = Put { client: self.client.clone(), bucket: self.bucket.clone() };
        Ok(Box::new(S3Unit { put, staging, runtime: self.runtime.clone() }))
    }

    fn close(&self) -> Result<(), SinkError> {
        tree::remove_tree(&self.staging)
    }
}

struct S3Unit {
    put: Put,
    staging: PathBuf,
    runtime: Handle,
}

impl UnitSink for S3Unit {
    fn create(&self, index: usize, _: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        Ok(Box::new(PendingFile::create_in_cache(self.staging.join(index.to_string()))?))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        let puts = published.iter_mut().map(|(index, receipt)| {
            let staged = self.staging.join(index.to_string());
            async move {
                match self.put.object(staged, receipt).await {
                    Err(refused @ SinkError::Refused { .. }) => Ok(Some((*index, refused))),
                    done => done.map(|()| None),
                }
            }
        });
        let puts = stream::iter(puts).buffer_unordered(PUTS_IN_FLIGHT).try_collect::<Vec<_>>();
        let refused = self.runtime.block_on(puts)?;
        tree::remove_tree(&self.staging)?;
        Ok(refused.into_iter().flatten().collect())
    }
}

impl Drop for S3Unit {
    fn drop(&mut self) {
        // After a commit there is nothing left; after a failure what remains is cleared again at the next start.
        let _ = std::fs::remove_dir_all(&self.staging);
    }
}

/// The key at the target.
fn target_key(receipt: &ObjectReceipt) -> String {
    match receipt.version {
        Some(mark) if !mark.is_latest => format!("{VERSIONS}{}", receipt.path),
        _ => receipt.key.clone(),
    }
}

/// The one writer.
struct Put {
    client: Client,
    bucket: String,
}

impl Put {
    async fn object(&self, staged: PathBuf, receipt: &mut ObjectReceipt) -> Result<(), SinkError> {
        let key = target_key(receipt);
        let there = std::fs::metadata(&staged).map_err(|error| SinkError::write(&staged, error))?;
        let put = match there.len() <= PUT_BYTES_MAX {
            true => self.whole(&staged, &key, receipt).await,
            false => self.in_parts(&staged, &key, receipt).await,
        };
        put.map_err(|error| match error.is_about_object {
            true => SinkError::Refused { reason: error.reason },
            false => failed(&self.bucket, &format!("putting {key:?}"), &error.reason),
        })?;
        receipt.within = Some(Within::Bucket { name: self.bucket.clone(), key });
        Ok(())
    }

    async fn whole(&self, staged: &Path, key: &str, receipt: &ObjectReceipt) -> Result<(), PutError> {
        let Properties { headers, metadata, website_redirect, .. } = &receipt.properties;
        let request = self.client.put_object().bucket(&self.bucket).key(key);
        let request = request
            .set_content_type(headers.content_type.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_language(headers.content_language.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_expires(expires(headers.expires.as_deref()))
            .set_website_redirect_location(website_redirect.clone())
            .set_metadata(some_metadata(metadata))
            .set_tagging(tagging(&receipt.properties))
            .checksum_sha256(BASE64_STANDARD.encode(receipt.sha256.0));
        let body = ByteStream::from_path(staged).await.map_err(|error| PutError::of_machine(&error))?;
        request.body(body).send().await?;
        Ok(())
    }

    async fn in_parts(&self, staged: &Path, key: &str, receipt: &ObjectReceipt) -> Result<(), PutError> {
        let request = described(self.client.create_multipart_upload().bucket(&self.bucket).key(key), receipt);
        let upload = request.send().await?.upload_id;
        let upload = upload.ok_or_else(|| PutError::other("the server names no upload"))?;
        let put = self.parts(staged, key, &upload, receipt.size).await;
        if put.is_err() {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(&upload);
            // The error that led here is the one that counts.
            let _ = abort.send().await;
        }
        put
    }

    async fn parts(&self, staged: &Path, key: &str, upload: &str, size: u64) -> Result<(), PutError> {
        let step = PUT_BYTES_MAX.max(size.div_ceil(PARTS_MAX));
        let mut completed = CompletedMultipartUpload::builder();
        for (number, first) in
            (1..).zip((0..size).step_by(usize::try_from(step).map_err(|error| PutError::of_machine(&error))?))
        {
            let length = Length::Exact(step.min(size - first));
            let body = ByteStream::read_from().path(staged).offset(first).length(length).build().await;
            let body = body.map_err(|error| PutError::of_machine(&error))?;
            let request = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(upload);
            let part = request.part_number(number).body(body).send().await?;
            let done = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
            // The SDK may have sent one; then the server wants to hear of it again.
            completed = completed.parts(done.set_checksum_crc32(part.checksum_crc32).build());
        }
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        request.multipart_upload(completed.build()).send().await?;
        Ok(())
    }
}

/// Why an object was not put.
struct PutError {
    reason: String,
    /// The server refuses this one, and would refuse it again.
    is_about_object: bool,
}

impl PutError {
    fn other(reason: impl Into<String>) -> Self {
        PutError { reason: reason.into(), is_about_object: false }
    }

    fn of_machine(error: &(dyn std::error::Error + 'static)) -> Self {
        PutError::other(in_full(error))
    }
}

impl<E: Said> From<SdkError<E, HttpResponse>> for PutError {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let is_about_object = match &error {
            SdkError::ServiceError(refused) => {
                is_about_object(refused.raw().status().as_u16(), refused.err().code().unwrap_or_default())
            }
            _ => false,
        };
        PutError { reason: said(&error), is_about_object }
    }
}

/// Whether a refusal is about the object: not about the caller, the bucket or the load, which concern all others too.
fn is_about_object(status: u16, code: &str) -> bool {
    let of_all = [
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "IllegalLocationConstraintException",
        "IncompleteBody",
        "InvalidBucketName",
        "InvalidSecurity",
        "InvalidToken",
        "RequestTimeout",
        "TokenRefreshRequired",
    ];
    matches!(status, 400..=499) && !matches!(status, 401 | 403 | 404 | 407..=409 | 429) && !of_all.contains(&code)
}

fn described(
    request: CreateMultipartUploadFluentBuilder,
    receipt: &ObjectReceipt,
) -> CreateMultipartUploadFluentBuilder {
    let Properties { headers, metadata, website_redirect, .. } = &receipt.properties;
    request
        .set_content_type(headers.content_type.clone())
        .set_content_encoding(headers.content_encoding.clone())
        .set_content_language(headers.content_language.clone())
        .set_content_disposition(headers.content_disposition.clone())
        .set_cache_control(headers.cache_control.clone())
        .set_expires(expires(headers.expires.as_deref()))
        .set_website_redirect_location(website_redirect.clone())
        .set_metadata(some_metadata(metadata))
        .set_tagging(tagging(&receipt.properties))
}

fn expires(header: Option<&str>) -> Option<DateTime> {
    DateTime::from_str(header?, DateTimeFormat::HttpDate).ok()
}

fn some_metadata(metadata: &std::collections::BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    let metadata: HashMap<_, _> = metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    (!metadata.is_empty()).then_some(metadata)
}

/// Tags as a query (S3 API reference, `x-amz-tagging`).
fn tagging(properties: &Properties) -> Option<String> {
    let pairs = properties.tags.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    (!query.is_empty()).then_some(query)
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Reads restored objects back from the target.
pub struct S3Copy {
    client: Client,
    runtime: Handle,
}

impl S3Copy {
    /// A reader; must be made where the runtime is.
    pub fn new(client: Client) -> Self {
        S3Copy { client, runtime: Handle::current() }
    }

    async fn get(&self, bucket: &str, key: &str) -> io::Result<GetObjectOutput> {
        let answer = self.client.get_object().bucket(bucket).key(key).send().await;
        answer.map_err(|error| read_error(said(&error), error.raw_response().map(|answer| answer.status().as_u16())))
    }

    async fn answered(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered> {
        let (mut answer, mut hasher, mut size) = (self.get(bucket, key).await?, Sha256::new(), 0);
        let mut properties = answered_properties(&answer);
        while let Some(piece) = answer.body.try_next().await.map_err(io::Error::other)? {
            size += piece.len() as u64;
            hasher.update(&piece);
        }
        if with_tags || answer.tag_count.is_some_and(|count| count > 0) {
            properties.tags = self.tags(bucket, key).await?;
        }
        Ok(Answered { size, sha256: hasher.into(), properties })
    }

    async fn tags(&self, bucket: &str, key: &str) -> io::Result<BTreeMap<String, String>> {
        let answer = self.client.get_object_tagging().bucket(bucket).key(key).send().await;
        let answer = answer.map_err(|error| read_error(said(&error), None))?;
        Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    async fn list(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
        let mut from = None;
        loop {
            let request = self.client.list_objects_v2().bucket(bucket).encoding_type(EncodingType::Url);
            let page = request.set_continuation_token(from).send().await;
            let page = page.map_err(|error| read_error(said(&error), None))?;
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            // A key that can't be decoded is none of walkaway's, and not to be passed over.
            let plain = |key: &str| decoded(key).filter(|_| encoded).unwrap_or_else(|| key.to_owned());
            page.contents().iter().filter_map(|object| object.key()).map(plain).for_each(&mut *take);
            from = page.next_continuation_token().map(str::to_owned);
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

/// What a GET says beside the bytes, of what is restored.
fn answered_properties(answer: &GetObjectOutput) -> Properties {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let metadata = answer.metadata().into_iter().flatten();
    Properties {
        headers: ContentHeaders {
            content_type: text(answer.content_type()),
            content_encoding: text(answer.content_encoding()),
            content_language: text(answer.content_language()),
            content_disposition: text(answer.content_disposition()),
            cache_control: text(answer.cache_control()),
            expires: text(answer.expires_string()),
        },
        metadata: metadata.map(|(name, value)| (name.clone(), value.clone())).collect(),
        website_redirect: text(answer.website_redirect_location()),
        ..Properties::default()
    }
}

fn read_error(said: String, status: Option<u16>) -> io::Error {
    let kind = if status == Some(404) { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
    io::Error::new(kind, said)
}

/// `%XX` and `+`, as listings with `encoding-type=url` write keys.
fn decoded(key: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), key.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

impl RestoredBucket for S3Copy {
    fn read_back(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered> {
        self.runtime.block_on(self.answered(bucket, key, with_tags))
    }

    fn content(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>> {
        let collected = async { self.get(bucket, key).await?.body.collect().await.map_err(io::Error::other) };
        Ok(self.runtime.block_on(collected)?.to_vec())
    }

    fn each_key(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
        self.runtime.block_on(self.list(bucket, take))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_every_object_is_no_refusal_of_one() {
        for (status, code) in [(400, "InvalidRequest"), (400, "KeyTooLongError"), (400, "MetadataTooLarge"), (413, "")]
        {
            assert!(is_about_object(status, code), "{status} {code}");
        }
        for status in [200, 301, 401, 403, 404, 408, 409, 429, 500, 503, 507] {
            assert!(!is_about_object(status, "InvalidRequest"), "{status}");
        }
        assert!(!is_about_object(400, "ExpiredToken") && !is_about_object(400, "RequestTimeout"));
    }

    #[test]
    fn tags_are_a_query() {
        let mut properties = Properties::default();
        properties.tags.insert("a b".into(), "1&2=ü".into());
        assert_eq!(tagging(&properties).as_deref(), Some("a%20b=1%262%3D%C3%BC"));
        assert_eq!(decoded("a%2Fb+c%2B").as_deref(), Some("a/b c+"));
    }
}
