//! The requests that the lean server answers.

use std::{ops::Range, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use s3s::{
    Body, S3, S3Request, S3Response, S3Result,
    dto::{
        ChecksumMode, ChecksumType, CommonPrefix, ETag, ETagCondition, EncodingType, GetObjectInput, GetObjectOutput,
        HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListObjectsInput, ListObjectsOutput,
        ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass, StreamingBlob,
    },
    s3_error,
};

use super::{
    bucket::{Bucket, Listing, Page},
    content::Content,
};

const PAGE_KEYS_MAX: usize = 1_000;

/// The service over one bucket.
pub struct Lean(pub Arc<Bucket>);

impl Lean {
    fn check(&self, bucket: &str) -> S3Result<()> {
        if bucket == self.0.name { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    fn find(&self, bucket: &str, key: &str, if_match: Option<&ETagCondition>) -> S3Result<Content> {
        self.check(bucket)?;
        let content = self.0.get(key).ok_or_else(|| s3_error!(NoSuchKey))?;
        match if_match.and_then(ETagCondition::as_etag) {
            Some(wanted) if wanted.value() != content.etag => Err(s3_error!(PreconditionFailed)),
            _ => Ok(content),
        }
    }

    fn listed(&self, page: Page, encoding: Encoding) -> (Vec<Object>, Vec<CommonPrefix>) {
        let objects = page.objects.into_iter().map(|(key, content)| Object {
            key: Some(encoding.apply(key)),
            size: Some(content.size as i64),
            e_tag: Some(ETag::Strong(content.etag)),
            last_modified: Some(self.0.modified.into()),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Object::default()
        });
        let prefixes = page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encoding.apply(prefix)) });
        (objects.collect(), prefixes.collect())
    }
}

#[async_trait::async_trait]
impl S3 for Lean {
    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.check(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let content = self.find(&input.bucket, &input.key, input.if_match.as_ref())?;
        let range = input.range.map(|range| range.check(content.size)).transpose()?;
        // S3 keeps its checksums over whole objects.
        let checked = input.checksum_mode.is_some_and(is_enabled) && range.is_none();
        let content_range = range.as_ref().map(|range| content_range(range, content.size));
        let range = range.unwrap_or(0..content.size);
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some((range.end - range.start) as i64),
            content_range,
            body: Some(body(&content, range)),
            last_modified: Some(self.0.modified.into()),
            checksum_crc64nvme: checked.then_some(content.crc64nvme),
            checksum_type: checked.then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            e_tag: Some(ETag::Strong(content.etag)),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let content = self.find(&input.bucket, &input.key, input.if_match.as_ref())?;
        let checked = input.checksum_mode.is_some_and(is_enabled);
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(content.size as i64),
            last_modified: Some(self.0.modified.into()),
            checksum_crc64nvme: checked.then_some(content.crc64nvme),
            checksum_type: checked.then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            e_tag: Some(ETag::Strong(content.etag)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        self.check(&input.bucket)?;
        let after = input.continuation_token.as_deref().map(key_of).transpose()?.or(input.start_after);
        let mut page = self.0.page(&Listing {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: after.as_deref(),
            keys_max: keys_max(input.max_keys),
        });
        let encoding = Encoding::of(input.encoding_type.as_ref());
        let next = page.next.take();
        let (objects, prefixes) = self.listed(page, encoding);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            key_count: Some((objects.len() + prefixes.len()) as i32),
            max_keys: input.max_keys,
            is_truncated: Some(next.is_some()),
            next_continuation_token: next.map(|key| BASE64_URL_SAFE.encode(key)),
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            prefix: input.prefix.map(|prefix| encoding.apply(prefix)),
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        self.check(&input.bucket)?;
        let mut page = self.0.page(&Listing {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: input.marker.as_deref(),
            keys_max: keys_max(input.max_keys),
        });
        let encoding = Encoding::of(input.encoding_type.as_ref());
        let next = page.next.take();
        let (objects, prefixes) = self.listed(page, encoding);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            max_keys: input.max_keys,
            is_truncated: Some(next.is_some()),
            next_marker: next.map(|next| encoding.apply(next)),
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            prefix: input.prefix.map(|prefix| encoding.apply(prefix)),
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }
}

fn body(content: &Content, range: Range<u64>) -> StreamingBlob {
    let length = range.end - range.start;
    match content.pieces(range.clone()).next() {
        None => StreamingBlob::from(Body::empty()),
        Some(whole) if whole.len() as u64 == length => StreamingBlob::from(Body::from(whole)),
        Some(_) => StreamingBlob::new(content.pieces(range)),
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Continuation tokens are keys in base64: XML can't hold every key.
fn key_of(token: &str) -> S3Result<String> {
    let key = BASE64_URL_SAFE.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| s3_error!(InvalidArgument))
}

fn keys_max(asked: Option<i32>) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(PAGE_KEYS_MAX).clamp(1, PAGE_KEYS_MAX)
}

fn is_enabled(mode: ChecksumMode) -> bool {
    mode.as_str() == ChecksumMode::ENABLED
}

/// How keys stand in a listing.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    fn of(asked: Option<&EncodingType>) -> Self {
        if asked.is_some_and(|asked| asked.as_str() == EncodingType::URL) { Encoding::Url } else { Encoding::Plain }
    }

    /// As S3 does it: everything but the unreserved characters and the slash, a space as a plus.
    fn apply(self, key: String) -> String {
        match self {
            Encoding::Plain => key,
            Encoding::Url => key.bytes().map(encoded).collect(),
        }
    }
}

fn encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    }
}
