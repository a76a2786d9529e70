//! Puts staged objects into the target's bucket: the one writer there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::SdkError,
    operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder,
    primitives::{ByteStream, DateTime, DateTimeFormat, Length},
    types::{CompletedMultipartUpload, CompletedPart},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    VERSIONS, failed,
    said::{Said, in_full, said},
};
use crate::transfer::{
    error::SinkError,
    properties::Properties,
    receipt::{ObjectReceipt, Within},
};

/// Objects are put in one piece up to this size.
const PUT_BYTES_MAX: u64 = 64 << 20;
/// S3 allows so many parts of an object.
const PARTS_MAX: u64 = 10_000;

/// The key at the target.
fn target_key(receipt: &ObjectReceipt) -> String {
    match receipt.version {
        Some(mark) if !mark.is_latest => format!("{VERSIONS}{}", receipt.path),
        _ => receipt.key.clone(),
    }
}

/// The one writer.
pub(super) struct Put {
    pub client: Client,
    pub bucket: String,
}

impl Put {
    pub async fn object(&self, staged: PathBuf, receipt: &mut ObjectReceipt) -> Result<(), SinkError> {
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
    }
}
