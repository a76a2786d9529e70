//! An error of the SDK as a question without an answer.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

pub(super) use crate::account::reply::Failure;
use crate::source::s3::error::chain;

/// Sorts an error of any SDK client. An answer of success that the SDK cannot read is none.
pub(super) fn of_sdk<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(refused) if refused.raw().status().is_success() => Failure::not_understood(chain(error)),
        SdkError::ServiceError(refused) => {
            let inner = refused.err();
            Failure::answered(refused.raw().status().as_u16(), inner.code().unwrap_or_default(), inner.message())
        }
        SdkError::ResponseError(_) => Failure::not_understood(chain(error)),
        _ => Failure::unanswered(chain(error)),
    }
}
