//! The raw body of a response, beside the SDK's parsed value.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        http::HttpResponse,
        interceptors::{
            AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut, InterceptorContext,
        },
        retry::{ClassifyRetry, RetryAction},
    },
    error::{BoxError, ProvideErrorMetadata, SdkError},
    primitives::{DateTime, DateTimeFormat, SdkBody},
};
use http_body_util::Limited;
use jiff::Timestamp;

use super::{
    error::{self, OperationError},
    xml,
};
use crate::{domain::digest::Sha256Digest, transfer::error::SourceError};

/// A page of 1,000 entries has about 4 MB at most; servers that send more entries at once are read up to here.
const PAGE_BYTES_MAX: usize = 128 << 20;
/// The status of a partial response, which is never requested here.
const PARTIAL_CONTENT: u16 = 206;

/// Keeps the body of the last response to one request, and gives up on one that is larger than any page.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawBody(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// None if none was read to its end, or it is streamed.
    body: Option<Vec<u8>>,
    /// It is only a part of a response.
    is_part: bool,
    date: Option<Timestamp>,
}

/// Why a response is unusable.
#[derive(Debug)]
pub(crate) enum Unread<E> {
    /// There is none, or it is a refusal.
    Failed(Box<SdkError<E, HttpResponse>>),
    /// It is incomplete, or contradicts itself; how, without its content.
    NotWhole(String),
}

impl<E: OperationError> Unread<E> {
    /// As an error about a resource of the provider's; an incomplete response may be complete at the next attempt.
    pub(crate) fn about(self, what: &str) -> SourceError {
        match self {
            Unread::Failed(failed) => error::of(what, *failed),
            Unread::NotWhole(reason) => SourceError::Transient { what: what.to_owned(), reason },
        }
    }
}

impl RawBody {
    /// The body; none if none was read to its end, or it is streamed.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        self.kept().body.clone()
    }

    /// The time of the response, by the server's clock.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        self.kept().date
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its digest.
    pub(crate) fn digest(&self) -> Option<Sha256Digest> {
        self.kept().body.as_deref().map(Sha256Digest::of)
    }

    /// The body of a success, also where the SDK could not parse it: it rejects a page for one malformed entry.
    ///
    /// # Errors
    /// The SDK's own, if there was no response or it was a refusal.
    #[allow(clippy::result_large_err, reason = "the SDK's own error, passed on as it came")]
    pub(crate) fn of<A, E>(
        &self,
        response: Result<A, SdkError<E, HttpResponse>>,
    ) -> Result<Vec<u8>, SdkError<E, HttpResponse>>
    where
        E: ProvideErrorMetadata,
    {
        let is_success = |error: &SdkError<E, HttpResponse>| {
            error.code().is_none() && error.raw_response().is_some_and(|response| response.status().is_success())
        };
        match (response, self.bytes()) {
            (Ok(_), body) => Ok(body.unwrap_or_default()),
            (Err(error), Some(body)) if is_success(&error) => Ok(body),
            (Err(error), _) => Err(error),
        }
    }

    /// Reads the body of a success without the SDK, which treats a truncated page as complete.
    ///
    /// # Errors
    /// See [`Unread`].
    pub(crate) fn read<A, E, T>(
        &self,
        response: Result<A, SdkError<E, HttpResponse>>,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, Unread<E>>
    where
        E: ProvideErrorMetadata,
    {
        let body = self.of(response).map_err(|failed| Unread::Failed(Box::new(failed)))?;
        let not_whole = |reason| format!("the answer is not whole, or contradicts itself: {reason}");
        if self.kept().is_part {
            return Err(Unread::NotWhole(not_whole("its status says that it is a part".to_owned())));
        }
        parse(&body).map_err(|reason| Unread::NotWhole(not_whole(reason)))
    }
}

impl Intercept for RawBody {
    fn name(&self) -> &'static str {
        "RawBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, PAGE_BYTES_MAX));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let date =
            response.headers().get("date").and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.kept() = Kept {
            body: response.body().bytes().map(<[u8]>::to_vec),
            is_part: response.status().as_u16() == PARTIAL_CONTENT,
            date: date.and_then(|date| Timestamp::from_second(date.secs()).ok()),
        };
        Ok(())
    }
}

/// The roots of pages of objects and versions, and the bytes that are searched for them.
const PAGES: [&str; 3] = ["ListBucketResult", "ListVersionsResult", "ListObjectVersionsResult"];
const PAGE_HEAD_BYTES: usize = 512;

/// Turns every success with incomplete XML into an error, whatever the SDK read of it, and has it retried as after a
/// broken connection. Responses without a body, with a streamed one, or with JSON (policies) pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeResponses {
    /// Pages of objects and versions, too: they are not read by [`super::listing`], which checks more of them.
    pub of_pages: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is not whole: {0}")]
struct NotWhole(String);

impl Intercept for WholeResponses {
    fn name(&self) -> &'static str {
        "WholeResponses"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() || !is_xml(body) || (!self.of_pages && is_page(body)) {
            return Ok(());
        }
        xml::parse(body).map(drop).map_err(|reason| NotWhole(reason).into())
    }
}

impl ClassifyRetry for WholeResponses {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.output_or_error() {
            Some(Err(error)) if error.is_interceptor_error() => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "WholeResponses"
    }
}

/// Whether it starts like an XML document.
fn is_xml(body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

/// Whether it starts like a page of objects or versions.
fn is_page(body: &[u8]) -> bool {
    let head = &body[..body.len().min(PAGE_HEAD_BYTES)];
    PAGES.iter().any(|root| memchr::memmem::find(head, root.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_other_answers() {
        assert!(
            is_page(b"<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\">") && is_page(b"<s3:ListVersionsResult>")
        );
        assert!(!is_page(b"<Tagging><TagSet>") && !is_page(b""));
        assert!(is_xml("\u{feff} <a/>".as_bytes()) && !is_xml(b"{}") && !is_xml(b""));
    }
}
