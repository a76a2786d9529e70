//! Head and body of an answer as they came, beside what the SDK makes of them.

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
pub struct RawAnswer(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl RawAnswer {
    /// The body as text, if it was not streamed; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept().body).into_owned()
    }

    /// The headers, their names in lower case; those whose value is no text are left out.
    pub fn headers(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.kept().headers)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, answer: &HttpResponse) {
        let headers = answer.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let body = answer.body().bytes().map(<[u8]>::to_vec).unwrap_or_default();
        *self.kept() = Kept { headers: headers.collect(), body };
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
