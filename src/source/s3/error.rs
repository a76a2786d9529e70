//! Sorts the SDK's errors by what can be done about them.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{
    aws::answer::{TOO_MANY_HEADERS, has_too_many_headers},
    source::pace::FEWER,
    transfer::{error::SourceError, object::ObjectEntry},
    words,
};

/// What the SDK keeps of an answer.
pub type Answer = aws_sdk_s3::config::http::HttpResponse;

/// An error about a bucket or an account.
pub fn of<E>(what: &str, error: SdkError<E, Answer>) -> SourceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let what = what.to_owned();
    let answer = error.raw_response();
    let status = answer.map(|answer| answer.status().as_u16());
    if let Some(region) = answer.and_then(region_in).filter(|_| is_sent_on(status, &error)) {
        return SourceError::Elsewhere { what, region };
    }
    match &error {
        // A success that the SDK cannot read is no refusal, and no answer either.
        SdkError::ServiceError(read) if read.raw().status().is_success() && read.err().code().is_none() => {
            SourceError::Transient { what, reason: chain(&error) }
        }
        SdkError::ServiceError(refused) => {
            let said = refused.err();
            sort(what, status, said.code().unwrap_or_default(), said.message())
        }
        _ => match (no_credentials(&error), &error) {
            (Some(reason), _) => SourceError::NoCredentials { what, reason },
            (None, _) if has_too_many_headers(&error) => {
                SourceError::Permanent { what, reason: TOO_MANY_HEADERS.to_owned() }
            }
            (None, SdkError::ConstructionFailure(_)) => SourceError::Permanent { what, reason: chain(&error) },
            (None, SdkError::ResponseError(_)) => SourceError::Transient { what, reason: chain(&error) },
            (None, _) => SourceError::Unreached { what, reason: chain(&error) },
        },
    }
}

/// The region that an answer says the bucket lies in.
fn region_in(answer: &Answer) -> Option<String> {
    answer.headers().get("x-amz-bucket-region").filter(|region| !region.is_empty()).map(str::to_owned)
}

/// Whether the answer sends the caller to another region (Amazon S3 API reference, "Error responses").
fn is_sent_on<E: ProvideErrorMetadata>(status: Option<u16>, error: &SdkError<E, Answer>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    matches!(status, Some(301 | 302 | 307 | 308)) || code == Some("AuthorizationHeaderMalformed")
}

/// Why there is nothing to sign a request with, if that is why nothing was asked.
fn no_credentials(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(error.source(), |cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<CredentialsError>())? {
        CredentialsError::ProviderTimedOut(_) => None,
        CredentialsError::CredentialsNotLoaded(_) => {
            Some("there are no credentials where the AWS SDK looks for them".to_owned())
        }
        other => Some(format!("there are no credentials: {}", chain(other))),
    }
}

/// The same error about an object that was listed: its storage class is known, and that it was there.
pub fn of_object(entry: &ObjectEntry, error: SourceError) -> SourceError {
    match error {
        SourceError::Archived { what, .. } => {
            SourceError::Archived { what, class: entry.storage_class.clone().unwrap_or_else(|| "unknown class".into()) }
        }
        // It was listed a moment ago.
        SourceError::NotFound { what } => SourceError::Changed { what },
        other => other,
    }
}

/// Sorts what a server said: its status, and code and message of its error document.
pub fn sort(what: String, status: Option<u16>, code: &str, message: Option<&str>) -> SourceError {
    let reason = match (code, message) {
        ("", None) => format!("HTTP status {}", status.unwrap_or_default()),
        (code, None) => code.to_owned(),
        (code, Some(message)) => format!("{code}: {message}"),
    };
    match (code, status) {
        ("NotImplemented", _) | (_, Some(501)) => SourceError::Permanent { what, reason },
        ("InvalidObjectState", _) => SourceError::Archived { what, class: String::new() },
        (code, _) if code == "ServiceUnavailable" || FEWER.contains(&code) => SourceError::Throttled { what, reason },
        ("RequestTimeout" | "InternalError" | "InternalFailure", _) => SourceError::Transient { what, reason },
        (
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId" | "SignatureDoesNotMatch",
            _,
        ) => SourceError::Credentials { what, reason },
        ("RequestTimeTooSkewed", _) => SourceError::ClockSkew { what, reason },
        (_, Some(502 | 504)) => SourceError::Unreached { what, reason },
        (_, Some(404)) => SourceError::NotFound { what },
        (_, Some(401)) => SourceError::Credentials { what, reason },
        (_, Some(403)) => SourceError::Denied { what, reason },
        (_, Some(412)) => SourceError::Changed { what },
        (_, Some(429 | 503)) => SourceError::Throttled { what, reason },
        (_, Some(500..)) => SourceError::Transient { what, reason },
        _ => SourceError::Permanent { what, reason },
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    words::causes(error)
}
