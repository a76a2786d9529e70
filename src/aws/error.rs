//! What a failed call means, by what can be done about it: the one place where statuses and codes of a provider become
//! errors. Decided by codes (Amazon S3 API reference, "Error responses"), never by the text of a message.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::xml;
use crate::{
    transfer::error::SourceError,
    words::{causes, refusal},
};

/// Codes that ask for fewer calls (AWS SDKs and Tools Reference Guide, "Retry behavior", and what S3-compatible servers
/// send instead).
const THROTTLED: [&str; 13] = [
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];
/// Error documents are small; of anything longer only the beginning is read.
pub(super) const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// The SDK's error of a refused operation, of any of its clients.
pub(crate) trait OperationError: ProvideErrorMetadata + Error + 'static {}

impl<E: ProvideErrorMetadata + Error + 'static> OperationError for E {}

/// The content of the body of a refusal. All of it is optional: a HEAD has no body, and proxies in
/// between return pages of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorDocument {
    /// Empty if it names none.
    pub code: String,
    pub message: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

impl ErrorDocument {
    /// Reads one in XML, or in JSON as AWS's newer protocols have it.
    pub(crate) fn read(body: &[u8]) -> Self {
        let body = &body[..body.len().min(DOCUMENT_BYTES_MAX)];
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
            let text = |names: [&str; 2]| names.iter().find_map(|name| json[*name].as_str());
            let code = text(["__type", "code"]).unwrap_or_default();
            let code = code.rsplit('#').next().unwrap_or_default().to_owned();
            return ErrorDocument { code, message: text(["message", "Message"]).map(str::to_owned), region: None };
        }
        let document = xml::closed_elements(body);
        let text = |name: &str| document.find(name).map(|element| element.text.trim().to_owned());
        ErrorDocument {
            code: text("Code").unwrap_or_default(),
            message: text("Message"),
            region: text("Region").filter(|region| !region.is_empty()),
        }
    }

    /// Whether it asks for fewer calls.
    pub(crate) fn is_throttling(&self) -> bool {
        THROTTLED.contains(&self.code.as_str())
    }
}

/// The server's response to a failed call, in one line, or why there is none.
pub(crate) fn message<E: OperationError>(error: &SdkError<E, HttpResponse>) -> String {
    let SdkError::ServiceError(refused) = error else { return causes(error) };
    let status = refused.raw().status().as_u16();
    let refused = refused.err();
    refusal(status, refused.code().unwrap_or_default(), refused.message())
}

/// An error about a bucket or an account.
pub(crate) fn of<E: OperationError>(what: &str, error: SdkError<E, HttpResponse>) -> SourceError {
    let what = what.to_owned();
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    if let Some(region) = response.and_then(region_in).filter(|_| is_redirect(status, &error)) {
        return SourceError::Elsewhere { what, region };
    }
    match &error {
        // A success that the SDK cannot parse is neither a refusal nor an answer.
        SdkError::ServiceError(read) if read.raw().status().is_success() && read.err().code().is_none() => {
            SourceError::Transient { what, reason: causes(&error) }
        }
        SdkError::ServiceError(refused) => {
            let refused = refused.err();
            sort(what, status.unwrap_or_default(), refused.code().unwrap_or_default(), refused.message())
        }
        _ => match (no_credentials(&error), &error) {
            (Some(reason), _) => SourceError::NoCredentials { what, reason },
            (None, _) if has_too_many_headers(&error) => {
                SourceError::Permanent { what, reason: TOO_MANY_HEADERS.to_owned() }
            }
            (None, SdkError::ConstructionFailure(_)) => SourceError::Permanent { what, reason: causes(&error) },
            (None, SdkError::ResponseError(_)) => SourceError::Transient { what, reason: causes(&error) },
            (None, _) => SourceError::Unreached { what, reason: causes(&error) },
        },
    }
}

/// The bucket's region according to a response.
fn region_in(response: &HttpResponse) -> Option<String> {
    response.headers().get("x-amz-bucket-region").filter(|region| !region.is_empty()).map(str::to_owned)
}

/// Whether the response redirects to another region (Amazon S3 API reference, "Error responses").
fn is_redirect<E: ProvideErrorMetadata>(status: Option<u16>, error: &SdkError<E, HttpResponse>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    matches!(status, Some(301 | 302 | 307 | 308)) || code == Some("AuthorizationHeaderMalformed")
}

/// Why there are no credentials to sign with, if that is why no request was sent.
fn no_credentials(error: &(dyn Error + 'static)) -> Option<String> {
    let mut causes_of = std::iter::successors(error.source(), |cause| (*cause).source());
    match causes_of.find_map(|cause| cause.downcast_ref::<CredentialsError>())? {
        CredentialsError::ProviderTimedOut(_) => None,
        CredentialsError::CredentialsNotLoaded(_) => {
            Some("there are no credentials where the AWS SDK looks for them".to_owned())
        }
        other => Some(format!("there are no credentials: {}", causes(other))),
    }
}

/// The error of the SDK's HTTP client for a response with more headers than it reads (hyper's limit).
pub(crate) const TOO_MANY_HEADERS: &str = "the answer has more headers than can be read here (100), or too long ones";

/// Whether that is what failed.
pub(crate) fn has_too_many_headers(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse_too_large)
}

/// Whether a refusal says that the server does not know the call: S3-compatible servers know a part of them only.
pub(crate) fn is_unknown_call(status: u16, code: &str) -> bool {
    matches!(status, 405 | 501) || matches!(code, "NotImplemented" | "MethodNotAllowed")
}

/// Classifies a server's response: its status, and code and message of its error document.
pub(super) fn sort(what: String, status: u16, code: &str, message: Option<&str>) -> SourceError {
    // What stands between has no words of the provider, and pages of its own.
    let message = message.filter(|_| !matches!(status, 502 | 504));
    let reason = refusal(status, code, message);
    match (code, status) {
        ("NotImplemented", _) | (_, 501) => SourceError::Permanent { what, reason },
        ("InvalidObjectState", _) => SourceError::Archived { what, class: String::new() },
        (code, _) if code == "ServiceUnavailable" || THROTTLED.contains(&code) => {
            SourceError::Throttled { what, reason }
        }
        ("RequestTimeout" | "InternalError" | "InternalFailure", _) => SourceError::Transient { what, reason },
        (
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId" | "SignatureDoesNotMatch",
            _,
        ) => SourceError::Credentials { what, reason },
        ("RequestTimeTooSkewed", _) => SourceError::ClockSkew { what, reason },
        (_, 502 | 504) => SourceError::Unreached { what, reason },
        (_, 404) => SourceError::NotFound { what },
        (_, 401) => SourceError::Credentials { what, reason },
        (_, 403) => SourceError::Denied { what, reason },
        (_, 412) => SourceError::Changed { what },
        (_, 429 | 503) => SourceError::Throttled { what, reason },
        (_, 500..) => SourceError::Transient { what, reason },
        _ => SourceError::Permanent { what, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_xml_and_in_json() {
        let json = ErrorDocument::read(br#"{"__type": "com.amazon#AccessDeniedException", "Message": "no"}"#);
        assert_eq!((json.code.as_str(), json.message.as_deref()), ("AccessDeniedException", Some("no")));
        let xml = b"<Error><Code>NoSuchEntity</Code><Message>a &lt;b&gt;</Message><Region>eu-west-1</Region></Error>";
        let xml = ErrorDocument::read(xml);
        assert_eq!((xml.code.as_str(), xml.message.as_deref()), ("NoSuchEntity", Some("a <b>")));
        assert_eq!(xml.region.as_deref(), Some("eu-west-1"));
        for nothing in [&b""[..], b"<html><p>Bad Gateway</html>", b"7", b"<Code>cut"] {
            assert_eq!(ErrorDocument::read(nothing), ErrorDocument::default());
        }
        let long = [&b"<Error><Code>SlowDown</Code><Message>"[..], &vec![b'x'; DOCUMENT_BYTES_MAX]].concat();
        assert!(ErrorDocument::read(&long).is_throttling());
    }
}
