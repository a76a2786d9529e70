//! The body of an answer as it came, beside what the SDK makes of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, http::HttpResponse,
        interceptors::AfterDeserializationInterceptorContextRef,
    },
    error::BoxError,
};

/// Keeps the last answer to one request.
#[derive(Clone, Debug, Default)]
pub struct RawAnswer(Arc<Mutex<Vec<u8>>>);

impl RawAnswer {
    /// The body as text, if it was not streamed; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept()).into_owned()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, answer: &HttpResponse) {
        *self.kept() = answer.body().bytes().map(<[u8]>::to_vec).unwrap_or_default();
    }
}

impl Intercept for RawAnswer {
    fn name(&self) -> &'static str {
        "RawAnswer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.keep(context.response());
        Ok(())
    }
}
