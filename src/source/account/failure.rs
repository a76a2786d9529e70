//! Why a question to the account was not answered, sorted by what it means for the inventory.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::source::s3::error::chain;

/// Codes that say that a right is missing, whatever the status.
const DENIED: [&str; 6] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "NotAuthorized",
    "UnauthorizedOperation",
    "UnauthorizedAccess",
];
/// Codes that ask to come back later.
const BUSY: [&str; 8] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "RequestTimeout",
    "ServiceUnavailable",
];

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The provider's code; empty if there was no answer at all.
    pub code: String,
    /// Code and message, or what happened on the way.
    pub reason: String,
    /// The caller lacks the right.
    pub denied: bool,
    /// Another attempt may be answered.
    pub busy: bool,
}

impl Failure {
    /// What the provider answered.
    pub fn answered(status: u16, code: &str, message: Option<&str>) -> Self {
        let reason = match (code, message) {
            ("", _) => format!("HTTP status {status}"),
            (code, None) => code.to_owned(),
            (code, Some(message)) => format!("{code}: {message}"),
        };
        Failure {
            code: code.to_owned(),
            reason,
            denied: DENIED.contains(&code) || (status == 403 && !is_about_credentials(code)),
            busy: BUSY.contains(&code) || status == 429 || status >= 500,
        }
    }

    /// There was no answer.
    pub fn unanswered(reason: impl Into<String>) -> Self {
        Failure { code: String::new(), reason: reason.into(), denied: false, busy: true }
    }

    /// Nobody was asked.
    pub fn not_asked(reason: impl Into<String>) -> Self {
        Failure { busy: false, ..Failure::unanswered(reason) }
    }

    /// An error of the SDK.
    pub fn of_sdk<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(refused) => {
                let inner = refused.err();
                // An answer that nobody understands is no refusal.
                if refused.raw().status().is_success() {
                    return Failure::not_asked(format!("not understood: {}", chain(error)));
                }
                Failure::answered(refused.raw().status().as_u16(), inner.code().unwrap_or_default(), inner.message())
            }
            _ => Failure::unanswered(chain(error)),
        }
    }
}

fn is_about_credentials(code: &str) -> bool {
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidClientTokenId", "RequestTimeTooSkewed"]
        .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_told_from_bad_credentials_and_from_haste() {
        assert!(Failure::answered(403, "AccessDenied", None).denied);
        assert!(Failure::answered(400, "AccessDeniedException", None).denied);
        assert!(!Failure::answered(403, "ExpiredToken", None).denied);
        assert!(Failure::answered(400, "Throttling", Some("Rate exceeded")).busy);
        assert!(!Failure::answered(404, "NoSuchBucketPolicy", None).busy);
    }
}
