//! The SHA-256 of an answer as it arrived, before anything understood it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::AfterDeserializationInterceptorContextRef},
    error::BoxError,
};

use crate::digest::Sha256Digest;

/// Listens to one request; the last attempt counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Tap(Arc<Mutex<Option<Sha256Digest>>>);

impl Tap {
    /// The digest of the answer's body, if there was one.
    pub fn digest(&self) -> Option<Sha256Digest> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Tap {
    fn name(&self) -> &'static str {
        "digest of the raw answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let digest = context.response().body().bytes().map(Sha256Digest::of);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = digest;
        Ok(())
    }
}

/// Sends a request of any SDK client and gives its answer with the digest of the raw one.
macro_rules! ask {
    ($request:expr) => {{
        let tap = $crate::source::account::tap::Tap::default();
        match $request.customize().interceptor(tap.clone()).send().await {
            Ok(answer) => Ok((answer, tap.digest())),
            Err(error) => Err($crate::source::account::failure::Failure::of_sdk(&error)),
        }
    }};
}
pub(super) use ask;
