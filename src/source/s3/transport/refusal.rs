//! Answers that are no success: the code and message of S3's error document, where there is one.
//!
//! Source: Amazon S3 API reference, "Error responses". A HEAD has no body, so its refusals say only their status.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::{HeaderMap, Response, header::LOCATION};

use tokio::time::timeout;

use super::{super::error, Answer, Body, redirect::Redirect};
use crate::transfer::error::SourceError;

/// Error documents are small; of anything longer only the beginning is read.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// What has not come by then of an error document is not waited for.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(20);

/// What a server said instead of yes.
pub(super) struct Refused {
    status: u16,
    code: String,
    message: Option<String>,
    redirect: Option<Redirect>,
}

/// The answer, or what was said in its place.
pub(super) async fn of(reply: Response<Body>) -> Result<Answer, Refused> {
    let (parts, body) = reply.into_parts();
    if parts.status.is_success() {
        let left_out = parts.extensions.get().copied().unwrap_or_default();
        return Ok(Answer { status: parts.status, headers: parts.headers, left_out, body });
    }
    let document = timeout(DOCUMENT_TIMEOUT, beginning(body)).await.unwrap_or_default();
    let document = String::from_utf8_lossy(&document);
    let code = element(&document, "Code").unwrap_or_default();
    let (status, message) = (parts.status.as_u16(), element(&document, "Message"));
    let redirect = redirect_of(status, &code, &parts.headers, &document);
    Err(Refused { status, code, message, redirect })
}

/// Where the server sends the request: with the status of a redirection, or by naming the region that a signature has to be
/// for (Amazon S3 API reference, "Error responses", `PermanentRedirect`, `AuthorizationHeaderMalformed`).
fn redirect_of(status: u16, code: &str, headers: &HeaderMap, document: &str) -> Option<Redirect> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let region = header("x-amz-bucket-region").or_else(|| element(document, "Region"));
    let region = region.filter(|region| !region.is_empty());
    match status {
        301 | 302 | 307 | 308 => Some(Redirect { status, location: header(LOCATION.as_str()), region }),
        400 if code == "AuthorizationHeaderMalformed" && region.is_some() => {
            Some(Redirect { status, location: None, region })
        }
        _ => None,
    }
}

impl Refused {
    /// Whether other credentials might be believed.
    pub fn credentials_ran_out(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException")
    }

    /// Where the server sends the request.
    pub fn redirect(&self) -> Option<Redirect> {
        self.redirect.clone()
    }

    /// As an error about the object with this key.
    pub fn sorted(self, key: &str) -> SourceError {
        error::sort(key.to_owned(), Some(self.status), &self.code, self.message.as_deref())
    }
}

/// A broken error document says less, and is no other error.
async fn beginning(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > DOCUMENT_BYTES_MAX {
            bytes.truncate(DOCUMENT_BYTES_MAX);
            break;
        }
    }
    bytes
}

/// The text of the first element by this name.
fn element(document: &str, name: &str) -> Option<String> {
    let after = document.split_once(&format!("<{name}>"))?.1;
    let text = after.split_once(&format!("</{name}>"))?.0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_found() {
        let document =
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a &amp; &lt;b&gt;</Message></Error>";
        assert_eq!(element(document, "Code").as_deref(), Some("SlowDown"));
        assert_eq!(element(document, "Message").as_deref(), Some("a & <b>"));
        assert_eq!(element("<Code>cut", "Code"), None);
    }
}
