//! Puts staged objects into the target's bucket: the one writer there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use aws_sdk_s3::{
    Client,
    primitives::{ByteStream, Length},
    types::{CompletedMultipartUpload, CompletedPart},
};
use aws_smithy_runtime_api::{client::orchestrator::HttpRequest, http::HttpError};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::server::{CallError, CallErrorKind, Server};
use crate::{
    aws::encoding::encoded,
    transfer::{
        error::SinkError,
        properties::Properties,
        receipt::{ObjectReceipt, Within},
        retry::{Attempts, Met},
    },
};

/// Prefix of the keys of superseded versions.
pub const VERSIONS: &str = "walkaway-";

/// Nothing is ever put under this key.
const ASKED_KEY: &str = "walkaway-takes-any";
/// Objects are put in one piece up to this size.
const PUT_BYTES_MAX: u64 = 64 << 20;
/// The most parts of an object in S3.
const PARTS_MAX: u64 = 10_000;

/// A request with an object's properties; the two kinds of request have the same methods, but no common type.
macro_rules! with_properties {
    ($request:expr, $properties:expr) => {{
        let Properties { headers, metadata, website_redirect, .. } = $properties;
        $request
            .set_content_type(headers.content_type.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_language(headers.content_language.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_website_redirect_location(website_redirect.clone())
            .set_metadata(some_metadata(metadata))
            .set_tagging(tagging($properties))
            .customize()
            .map_request(with_expires(headers.expires.clone()))
    }};
}

/// The key at the target.
fn target_key(receipt: &ObjectReceipt) -> String {
    match receipt.version {
        Some(mark) if !mark.is_latest => format!("{VERSIONS}{}", receipt.path),
        _ => receipt.key.clone(),
    }
}

/// The one writer.
pub(super) struct Put {
    pub server: Server,
    pub bucket: String,
}

impl Put {
    /// Puts an object; the inner error is the server's, the outer one this machine's.
    pub(super) async fn object(
        &self,
        staged: PathBuf,
        receipt: &mut ObjectReceipt,
    ) -> Result<Result<(), CallError>, SinkError> {
        let key = target_key(receipt);
        let there = std::fs::metadata(&staged).map_err(|error| SinkError::write(&staged, error))?;
        let mut attempts = Attempts::default();
        let put = loop {
            let put = if there.len() <= PUT_BYTES_MAX {
                self.whole(&staged, &key, receipt).await
            } else {
                self.in_parts(&staged, &key, receipt).await
            };
            let Err(error) = put else { break put };
            if !matches!(error.kind, CallErrorKind::Passing | CallErrorKind::Refused | CallErrorKind::NotFound) {
                break Err(error);
            }
            // A server that answers may still take nothing, for a while or from this login.
            match self.server.reach.wait(|| self.takes_any(), CallError::is_passing).await {
                Ok(Met::Back) if attempts.outlives_outage() => {}
                Ok(_) => break Err(error),
                Err(of_all) if of_all.kind == CallErrorKind::Full => break Err(of_all),
                Err(_) => break Err(CallError { kind: CallErrorKind::Away, ..error }),
            }
        };
        if put.is_ok() {
            receipt.within = Some(Within::Bucket { name: self.bucket.clone(), key });
        }
        Ok(put)
    }

    /// Whether the server takes anything into the bucket: it is asked to begin an upload, which needs the same right as an
    /// object does, and leaves nothing.
    async fn takes_any(&self) -> Result<(), CallError> {
        let begun = self.client().create_multipart_upload().bucket(&self.bucket).key(ASKED_KEY).send().await;
        match begun.map_err(|error| CallError::of(&error)) {
            Ok(begun) => {
                if let Some(upload) = begun.upload_id {
                    self.give_up(ASKED_KEY, &upload).await;
                }
                Ok(())
            }
            // A server that knows no uploads in parts does not say.
            Err(error) if error.kind == CallErrorKind::AboutObject => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn give_up(&self, key: &str, upload: &str) {
        let abort = self.client().abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        // What is left is no object; the error that led here is the one that counts.
        let _ = abort.send().await;
    }

    fn client(&self) -> &Client {
        &self.server.client
    }

    async fn whole(&self, staged: &Path, key: &str, receipt: &ObjectReceipt) -> Result<(), CallError> {
        let attempt = || async {
            let request = self.client().put_object().bucket(&self.bucket).key(key);
            let request = request.checksum_sha256(BASE64_STANDARD.encode(receipt.sha256.0));
            let body = ByteStream::from_path(staged).await.map_err(|error| CallError::of_machine(&error))?;
            let request = with_properties!(request.body(body), &receipt.properties);
            request.send().await.map(drop).map_err(|error| CallError::of(&error))
        };
        self.server.attempt(Some(&self.bucket), attempt).await
    }

    async fn in_parts(&self, staged: &Path, key: &str, receipt: &ObjectReceipt) -> Result<(), CallError> {
        match self.in_parts_once(staged, key, receipt).await {
            // The server has forgotten the upload in the midst of it.
            Err(error) if error.kind == CallErrorKind::NotFound => self.in_parts_once(staged, key, receipt).await,
            put => put,
        }
    }

    async fn in_parts_once(&self, staged: &Path, key: &str, receipt: &ObjectReceipt) -> Result<(), CallError> {
        let begin = || {
            let request = self.client().create_multipart_upload().bucket(&self.bucket).key(key);
            with_properties!(request, &receipt.properties).send()
        };
        let upload = self.server.call(Some(&self.bucket), begin).await?.upload_id;
        let nameless = || CallError { reason: "the server names no upload".into(), kind: CallErrorKind::Refused };
        let upload = upload.ok_or_else(nameless)?;
        let put = self.parts(staged, key, &upload, receipt.size).await;
        if put.as_ref().is_err_and(|error| error.kind != CallErrorKind::Away) {
            self.give_up(key, &upload).await;
        }
        put
    }

    async fn parts(&self, staged: &Path, key: &str, upload: &str, size: u64) -> Result<(), CallError> {
        let step = PUT_BYTES_MAX.max(size.div_ceil(PARTS_MAX));
        let stride = usize::try_from(step).map_err(|error| CallError::of_machine(&error))?;
        let mut completed = CompletedMultipartUpload::builder();
        for (number, first) in (1..).zip((0..size).step_by(stride)) {
            let length = step.min(size - first);
            let put = || async move {
                let body = ByteStream::read_from().path(staged).offset(first).length(Length::Exact(length)).build();
                let body = body.await.map_err(|error| CallError::of_machine(&error))?;
                let request = self.client().upload_part().bucket(&self.bucket).key(key).upload_id(upload);
                request.part_number(number).body(body).send().await.map_err(|error| CallError::of(&error))
            };
            let part = self.server.attempt(Some(&self.bucket), put).await?;
            let done = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
            // The SDK may have sent one; then the server requires it again.
            completed = completed.parts(done.set_checksum_crc32(part.checksum_crc32).build());
        }
        let completed = completed.build();
        let complete = || {
            let request = self.client().complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
            request.multipart_upload(completed.clone()).send()
        };
        match self.server.call(Some(&self.bucket), complete).await {
            // An earlier attempt may have completed it, with a lost response. The object is read back anyway.
            Err(error) if error.kind == CallErrorKind::NotFound => {
                let head = || self.client().head_object().bucket(&self.bucket).key(key).send();
                let there = self.server.call(Some(&self.bucket), head).await;
                let there = there.ok().and_then(|there| there.content_length).and_then(|size| u64::try_from(size).ok());
                if there == Some(size) { Ok(()) } else { Err(error) }
            }
            done => done.map(drop),
        }
    }
}

/// Adds `Expires` word for word: the SDK takes dates only, and writes them its own way.
fn with_expires(header: Option<String>) -> impl Fn(HttpRequest) -> Result<HttpRequest, HttpError> + Send + Sync {
    move |mut request| {
        if let Some(header) = &header {
            request.headers_mut().try_insert("expires", header.clone())?;
        }
        Ok(request)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_is_sent_word_for_word() {
        for header in ["0", "-1", "Thu, 01 Dec 2994 16:00:00 UTC"] {
            let request = with_expires(Some(header.to_owned()))(HttpRequest::empty()).expect("a header");
            assert_eq!(request.headers().get("expires"), Some(header));
        }
    }

    #[test]
    fn tags_are_a_query() {
        let mut properties = Properties::default();
        properties.tags.insert("a b".into(), "1&2=ü".into());
        assert_eq!(tagging(&properties).as_deref(), Some("a%20b=1%262%3D%C3%BC"));
    }
}
