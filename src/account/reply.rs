//! The result of one query to the provider. There are five, and only the first two are answers: a value; the
//! provider's own statement that there is none; a denial; a transport failure; an invalid response.
//!
//! The result is kept with the value up to where it is judged. Nothing in between may turn the last three into a value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::refusal;

/// Codes that name a missing right, whatever the HTTP status.
const REFUSED: [&str; 7] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "NotAuthorized",
    "OptInRequired",
    "UnauthorizedOperation",
    "UnauthorizedAccess",
];
/// Codes that ask to come back later.
const BUSY: [&str; 9] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "RequestTimeout",
    "ServiceUnavailable",
    "InternalError",
];
/// Codes that come with status 403 and are about the credentials themselves, not about a right.
const ABOUT_CREDENTIALS: [&str; 5] =
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidClientTokenId", "RequestTimeTooSkewed"];
/// Codes of servers that implement only a part of an interface. What a server has no call for, it does not have.
const UNKNOWN_CALL: [&str; 2] = ["NotImplemented", "MethodNotAllowed"];

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// The answer, whole and understood.
    Value(T),
    /// There is none, by this code of the provider.
    Absent(String),
    /// There is no answer.
    Unanswered(Failure),
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The caller lacks a right.
    Refused,
    /// The question or its answer was lost, or the provider answered with an error.
    Failed,
    /// The answer is not whole, contradicts itself, or answers another question.
    NotUnderstood,
    /// It was not asked: the service has no address, or what it needs is not known.
    NotAsked,
}

impl Why {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Why::Refused => "refused",
            Why::Failed => "failed",
            Why::NotUnderstood => "not understood",
            Why::NotAsked => "not asked",
        }
    }
}

/// A query without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why there is none.
    pub why: Why,
    /// The provider's code; empty if it gave none.
    pub code: String,
    /// Code and message, or what happened on the way.
    pub reason: String,
    /// Another attempt may succeed.
    pub busy: bool,
}

impl Failure {
    /// The provider's response, by HTTP status and code. A 403 is a denial even without a code.
    pub fn answered(status: u16, code: &str, message: Option<&str>) -> Self {
        let refused = REFUSED.contains(&code) || (matches!(status, 401 | 403) && !ABOUT_CREDENTIALS.contains(&code));
        Failure {
            why: if refused { Why::Refused } else { Why::Failed },
            code: code.to_owned(),
            reason: refusal(status, code, message),
            busy: BUSY.contains(&code) || status == 429 || (status >= 500 && !UNKNOWN_CALL.contains(&code)),
        }
    }

    /// There was no response.
    pub fn unanswered(reason: impl Into<String>) -> Self {
        Failure { why: Why::Failed, code: String::new(), reason: reason.into(), busy: true }
    }

    /// The provider was not queried.
    pub fn not_asked(reason: impl Into<String>) -> Self {
        Failure { why: Why::NotAsked, busy: false, ..Failure::unanswered(reason) }
    }

    /// The response is not an answer to this query; `reason` states why.
    pub fn not_understood(reason: impl std::fmt::Display) -> Self {
        let reason = format!("not understood: {reason}");
        Failure { why: Why::NotUnderstood, busy: false, ..Failure::unanswered(reason) }
    }

    /// Whether the caller lacks a right.
    pub fn is_refusal(&self) -> bool {
        self.why == Why::Refused
    }

    /// Whether the server has no such call.
    pub fn is_unknown_call(&self) -> bool {
        UNKNOWN_CALL.contains(&self.code.as_str())
    }
}

impl<T> Reply<T> {
    /// Sorts a result: a failure with one of the codes `absent` is the provider's statement that there is none.
    pub fn of(result: Result<T, Failure>, absent: &[&str]) -> Self {
        match result {
            Ok(value) => Reply::Value(value),
            Err(failure) if absent.contains(&failure.code.as_str()) => Reply::Absent(failure.code),
            Err(failure) => Reply::Unanswered(failure),
        }
    }

    /// The same for something that a server may not support: what it has no call for, it does not have.
    pub fn of_optional(result: Result<T, Failure>, absent: &[&str]) -> Self {
        match result {
            Err(failure) if failure.is_unknown_call() => Reply::Absent(failure.code),
            result => Reply::of(result, absent),
        }
    }

    /// Reads the value from a response; a missing part, as the error's text, makes it an invalid one.
    pub fn read<U>(self, read: impl FnOnce(T) -> Result<U, String>) -> Reply<U> {
        match self {
            Reply::Value(value) => match read(value) {
                Ok(value) => Reply::Value(value),
                Err(reason) => Reply::Unanswered(Failure::not_understood(reason)),
            },
            Reply::Absent(code) => Reply::Absent(code),
            Reply::Unanswered(failure) => Reply::Unanswered(failure),
        }
    }

    /// The value, or none where there is none.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn answer(self) -> Result<Option<T>, Failure> {
        match self {
            Reply::Value(value) => Ok(Some(value)),
            Reply::Absent(_) => Ok(None),
            Reply::Unanswered(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_told_from_bad_credentials_haste_and_failure() {
        for (status, code, why, busy) in [
            (403, "AccessDenied", Why::Refused, false),
            (400, "AccessDeniedException", Why::Refused, false),
            (403, "", Why::Refused, false),
            (403, "SomethingNew", Why::Refused, false),
            (403, "ExpiredToken", Why::Failed, false),
            (400, "Throttling", Why::Failed, true),
            (503, "", Why::Failed, true),
            (500, "InternalFailure", Why::Failed, true),
            (501, "NotImplemented", Why::Failed, false),
            (404, "NoSuchBucketPolicy", Why::Failed, false),
        ] {
            let failure = Failure::answered(status, code, None);
            assert_eq!((failure.why, failure.busy), (why, busy), "{status} {code}");
        }
    }

    #[test]
    fn only_a_value_and_the_providers_own_code_are_answers() {
        let of = |result: Result<u8, Failure>| Reply::of(result, &["NoSuchThing"]);
        assert_eq!(of(Ok(7)).answer(), Ok(Some(7)));
        assert_eq!(of(Err(Failure::answered(404, "NoSuchThing", None))).answer(), Ok(None));
        let other = Failure::answered(404, "NoSuchOther", None);
        assert_eq!(of(Err(other.clone())).answer(), Err(other));
        let empty = of(Ok(7)).read(|_| Err::<u8, _>("no content".to_owned())).answer();
        assert_eq!(empty.map_err(|failure| failure.why), Err(Why::NotUnderstood));
    }
}
