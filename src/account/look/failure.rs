//! A failed call as a missing answer.

use aws_sdk_s3::{config::http::HttpResponse, error::SdkError};

pub(super) use crate::account::reply::Failure;
use crate::{
    aws::{call::CallError, error::OperationError},
    words::causes,
};

/// Sorts an error of any SDK client. A success response that the SDK cannot parse is an error.
pub(super) fn of_sdk<E: OperationError>(error: &SdkError<E, HttpResponse>) -> Failure {
    match error {
        SdkError::ServiceError(refused) if refused.raw().status().is_success() => {
            Failure::not_understood(causes(error))
        }
        SdkError::ServiceError(refused) => {
            let inner = refused.err();
            Failure::answered(refused.raw().status().as_u16(), inner.code().unwrap_or_default(), inner.message())
        }
        SdkError::ResponseError(_) => Failure::not_understood(causes(error)),
        _ => Failure::unanswered(causes(error)),
    }
}

/// Sorts an error of a call past the SDK's clients.
pub(super) fn of_call(error: CallError) -> Failure {
    match error {
        CallError::Impossible(reason) => Failure::not_asked(reason),
        CallError::NoResponse(reason) => Failure::unanswered(reason),
        CallError::Refused { status, document } => {
            Failure::answered(status, &document.code, document.message.as_deref())
        }
    }
}
