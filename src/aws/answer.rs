//! The body of an answer as it came, beside what the SDK makes of it.

use std::sync::{Arc, Mutex, PoisonError};

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
    primitives::SdkBody,
};
use http_body_util::Limited;

use super::xml;

/// A page of 1,000 entries has some 4 MB at most; servers that send more entries at once are heard out up to here.
const PAGE_BYTES_MAX: usize = 128 << 20;

/// Keeps the last answer to one request, and gives up on one that is larger than any page.
#[derive(Clone, Debug, Default)]
pub struct RawAnswer(Arc<Mutex<Option<Vec<u8>>>>);

impl RawAnswer {
    /// The body; none if none came to its end, or it is streamed.
    fn body(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The body of a success, also where the SDK could not read it: it refuses a page for one odd entry of it.
    ///
    /// # Errors
    /// The SDK's own, if there was no answer or it was a refusal.
    #[allow(clippy::result_large_err, reason = "the SDK's own error, passed on as it came")]
    pub fn of<A, E>(&self, answer: Result<A, SdkError<E, HttpResponse>>) -> Result<Vec<u8>, SdkError<E, HttpResponse>>
    where
        E: ProvideErrorMetadata,
    {
        let is_success = |error: &SdkError<E, HttpResponse>| {
            error.code().is_none() && error.raw_response().is_some_and(|answer| answer.status().is_success())
        };
        match (answer, self.body()) {
            (Ok(_), body) => Ok(body.unwrap_or_default()),
            (Err(error), Some(body)) if is_success(&error) => Ok(body),
            (Err(error), _) => Err(error),
        }
    }
}

impl Intercept for RawAnswer {
    fn name(&self) -> &'static str {
        "RawAnswer"
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
        let body = context.response().body().bytes().map(<[u8]>::to_vec);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        Ok(())
    }
}

/// What the SDK's own HTTP client makes of an answer with more headers than it reads (hyper's limit).
pub const TOO_MANY_HEADERS: &str = "the answer has more headers than can be read here (100), or too long ones";

/// Whether that is what failed.
pub fn has_too_many_headers(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse_too_large)
}

/// The roots of pages of objects and versions, and where they are looked for.
const PAGES: [&str; 3] = ["ListBucketResult", "ListVersionsResult", "ListObjectVersionsResult"];
const PAGE_HEAD_BYTES: usize = 512;

/// Makes an error of every success whose XML is not whole, whatever the SDK read of it, and has it asked again as after a
/// broken connection. Answers without a body, with a streamed one, or with JSON (policies) pass.
#[derive(Clone, Copy, Debug)]
pub struct WholeAnswers {
    /// Pages of objects and versions, too: they are not read by [`super::listing`], which knows more of them.
    pub of_pages: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is not whole: {0}")]
struct NotWhole(String);

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        let body = answer.body().bytes().unwrap_or_default();
        if !answer.status().is_success() || !is_xml(body) || (!self.of_pages && is_page(body)) {
            return Ok(());
        }
        xml::parse(body).map(drop).map_err(|reason| NotWhole(reason).into())
    }
}

impl ClassifyRetry for WholeAnswers {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.output_or_error() {
            Some(Err(error)) if error.is_interceptor_error() => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "WholeAnswers"
    }
}

/// Whether it begins like an XML document.
fn is_xml(body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

/// Whether it begins like a page of objects or versions.
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
