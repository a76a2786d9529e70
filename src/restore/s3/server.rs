//! One server of the target: failed calls are retried, and an outage of the server is waited for.
//!
//! Whether the server is unreachable, or refuses only this call, is decided by a small request independent of the call.

use std::{fmt, io, sync::Arc, time::Duration};

use aws_sdk_s3::{Client, config::http::HttpResponse, error::SdkError};

use crate::{
    aws::{
        error::{OperationError, TOO_MANY_HEADERS, has_too_many_headers, message},
        response::Unread,
    },
    transfer::{
        error::SinkError,
        object::AWAY,
        retry::{Attempts, Met, OutageTracker},
    },
    words::causes,
};

/// A server of the target, shared by all that write there or read back from there.
#[derive(Clone)]
pub struct Server {
    pub(super) client: Client,
    pub(super) reach: Arc<OutageTracker>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) struct CallError {
    pub reason: String,
    pub kind: CallErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallErrorKind {
    /// The server rejects this object because of its properties, and would reject it again.
    AboutObject,
    /// The requested resource does not exist.
    NotFound,
    /// Another attempt may succeed.
    Passing,
    /// The server was away for longer than it may be, or takes nothing at all any more.
    Away,
    /// There is no room for more.
    Full,
    /// Not the server failed, but this machine.
    Machine,
    /// Anything else.
    Refused,
}

impl Server {
    /// The server may be unreachable for as long as `stall`.
    pub fn new(client: Client, stall: Duration) -> Self {
        Server { client, reach: Arc::new(OutageTracker::new(stall)) }
    }

    /// Makes a call until it succeeds, is refused, or has no attempts left. `bucket` is one that must exist.
    pub(super) async fn call<T, E, F>(&self, bucket: Option<&str>, call: impl Fn() -> F) -> Result<T, CallError>
    where
        E: OperationError,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.attempt(bucket, || async { call().await.map_err(|error| CallError::of(&error)) }).await
    }

    /// The same for several calls, which are retried together.
    pub(super) async fn attempt<T, F>(&self, bucket: Option<&str>, attempt: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut attempts = Attempts::default();
        loop {
            let error = match attempt().await {
                Err(error) if !matches!(error.kind, CallErrorKind::AboutObject | CallErrorKind::NotFound) => error,
                done => return done,
            };
            let met = self.reach.wait(|| self.answers(bucket), CallError::is_passing).await;
            match met {
                Ok(Met::Back) if attempts.outlives_outage() => {}
                Ok(_) if error.is_passing() && attempts.pause().await => {}
                Ok(_) => return Err(error),
                Err(away) if away.is_passing() => {
                    let reason = format!("the server has been away for too long: {}", away.reason);
                    return Err(CallError { reason, kind: CallErrorKind::Away });
                }
                Err(useless) => return Err(CallError { reason: useless.reason, kind: CallErrorKind::Away }),
            }
        }
    }

    async fn answers(&self, bucket: Option<&str>) -> Result<(), CallError> {
        match bucket {
            Some(bucket) => is_there(self.client.list_objects_v2().bucket(bucket).max_keys(1).send().await),
            None => is_there(self.client.list_buckets().send().await),
        }
    }
}

impl CallError {
    pub(super) fn of<E: OperationError>(error: &SdkError<E, HttpResponse>) -> Self {
        let kind = match error {
            SdkError::ServiceError(refused) => {
                sort(refused.raw().status().as_u16(), refused.err().code().unwrap_or_default())
            }
            SdkError::ConstructionFailure(_) => CallErrorKind::AboutObject,
            other if has_too_many_headers(other) => {
                return CallError { reason: TOO_MANY_HEADERS.to_owned(), kind: CallErrorKind::AboutObject };
            }
            _ => CallErrorKind::Passing,
        };
        CallError { reason: message(error), kind }
    }

    /// A page of a listing that was not read.
    pub(super) fn of_page<E: OperationError>(unread: Unread<E>) -> Self {
        match unread {
            Unread::Failed(failed) => CallError::of(&failed),
            Unread::NotWhole(reason) => CallError { reason, kind: CallErrorKind::Passing },
        }
    }

    /// A truncated body.
    pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        CallError { reason: causes(error), kind: CallErrorKind::Passing }
    }

    /// A failure of this machine.
    pub(super) fn of_machine(error: &(dyn std::error::Error + 'static)) -> Self {
        CallError { reason: causes(error), kind: CallErrorKind::Machine }
    }

    pub(super) fn is_passing(&self) -> bool {
        self.kind == CallErrorKind::Passing
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        let kind = match error.kind {
            CallErrorKind::NotFound => io::ErrorKind::NotFound,
            CallErrorKind::Away => AWAY,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error.to_string())
    }
}

/// A server with an unreadable response is reachable.
fn is_there<T, E: OperationError>(answer: Result<T, SdkError<E, HttpResponse>>) -> Result<(), CallError> {
    match answer {
        Err(error) if !error.raw_response().is_some_and(|answer| answer.status().is_success()) => {
            Err(CallError::of(&error))
        }
        _ => Ok(()),
    }
}

/// An error about a bucket of the target.
pub(super) fn failed(bucket: &str, doing: &str, error: &CallError) -> SinkError {
    let full = if error.kind == CallErrorKind::Full { "there is no room for more: " } else { "" };
    SinkError::Server { what: format!("bucket {bucket}"), reason: format!("{doing}: {full}{error}") }
}

/// What can be done about a refusal: about the object, the caller, the bucket, or the moment.
fn sort(status: u16, code: &str) -> CallErrorKind {
    // Those of digests: bytes that were right when they were staged did not arrive as they are.
    const PASSING: [&str; 8] = [
        "BadDigest",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    ];
    // Those of Ceph and MinIO, beside the status of WebDAV.
    const FULL: [&str; 3] = ["QuotaExceeded", "StorageFull", "InsufficientStorage"];
    const OF_ALL: [&str; 7] = [
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "IllegalLocationConstraintException",
        "InvalidBucketName",
        "InvalidSecurity",
        "InvalidToken",
        "TokenRefreshRequired",
    ];
    match status {
        _ if PASSING.contains(&code) => CallErrorKind::Passing,
        _ if FULL.iter().any(|ending| code.ends_with(ending)) => CallErrorKind::Full,
        _ if OF_ALL.contains(&code) => CallErrorKind::Refused,
        507 => CallErrorKind::Full,
        // "A header you provided implies functionality that is not implemented": the next object may not have it.
        501 => CallErrorKind::AboutObject,
        408 | 409 | 425 | 429 | 500.. => CallErrorKind::Passing,
        404 | 410 => CallErrorKind::NotFound,
        401..=403 | 405 | 407 => CallErrorKind::Refused,
        400..=499 => CallErrorKind::AboutObject,
        _ => CallErrorKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_about_the_object_the_caller_or_the_load() {
        for (status, code) in [(400, "InvalidRequest"), (400, "KeyTooLongError"), (400, "MetadataTooLarge"), (413, "")]
        {
            assert_eq!(sort(status, code), CallErrorKind::AboutObject, "{status} {code}");
        }
        for status in [408, 409, 429, 500, 503] {
            assert_eq!(sort(status, "InvalidRequest"), CallErrorKind::Passing, "{status}");
        }
        for (status, code) in [(507, ""), (403, "QuotaExceeded"), (400, "XMinioAdminBucketQuotaExceeded")] {
            assert_eq!(sort(status, code), CallErrorKind::Full, "{status} {code}");
        }
        assert_eq!(sort(501, "NotImplemented"), CallErrorKind::AboutObject);
        for (status, code) in
            [(401, ""), (403, "AccessDenied"), (405, ""), (301, "PermanentRedirect"), (400, "ExpiredToken")]
        {
            assert_eq!(sort(status, code), CallErrorKind::Refused, "{status} {code}");
        }
        for code in ["RequestTimeout", "BadDigest"] {
            assert_eq!(sort(400, code), CallErrorKind::Passing, "{code}");
        }
        assert_eq!(sort(404, "NoSuchKey"), CallErrorKind::NotFound);
    }
}
