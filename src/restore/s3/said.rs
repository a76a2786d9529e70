//! What a server of the target says of a call that failed, in one line.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::words;

/// What a call's error can say.
pub(super) trait Said: ProvideErrorMetadata + std::error::Error + 'static {}

impl<E: ProvideErrorMetadata + std::error::Error + 'static> Said for E {}

/// What the server said, or why it said nothing.
pub(super) fn said<E: Said>(error: &SdkError<E, HttpResponse>) -> String {
    let SdkError::ServiceError(refused) = error else { return in_full(error) };
    match (refused.err().code(), refused.err().message()) {
        (Some(code), Some(message)) if !message.replace(' ', "").eq_ignore_ascii_case(code) => {
            format!("{code}: {message}")
        }
        (Some(code), _) => code.to_owned(),
        (None, _) => format!("HTTP status {}", refused.raw().status().as_u16()),
    }
}

/// An error and its causes in one line.
pub(super) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    words::causes(error)
}
