//! Responses that are not a success: the code and message of S3's error document, where there is one.
//!
//! Source: Amazon S3 API reference, "Error responses". A HEAD has no body, so its refusals have only their status.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::{HeaderMap, header::LOCATION};
use tokio::time::timeout;

use super::{
    redirect::Redirect,
    route::{Body, Response},
};
use crate::{
    aws::error::{self, DOCUMENT_BYTES_MAX, ErrorDocument},
    transfer::error::SourceError,
};

/// The time limit for reading an error document.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(20);

/// A response that is not a success.
pub(super) struct Refusal {
    status: u16,
    document: ErrorDocument,
    pub redirect: Option<Redirect>,
}

/// The response, or an error if it is a refusal.
pub(super) async fn checked(response: Response) -> Result<Response, Refusal> {
    if response.status.is_success() {
        return Ok(response);
    }
    let Response { status, headers, body, .. } = response;
    let document = timeout(DOCUMENT_TIMEOUT, beginning(body)).await.unwrap_or_default();
    let status = status.as_u16();
    let document = ErrorDocument::read(&document);
    let redirect = redirect_of(status, &headers, &document);
    Err(Refusal { status, document, redirect })
}

/// Where the server redirects the request: by the status of a redirect, or by naming the region that a signature has to be
/// for (Amazon S3 API reference, "Error responses", `PermanentRedirect`, `AuthorizationHeaderMalformed`).
fn redirect_of(status: u16, headers: &HeaderMap, document: &ErrorDocument) -> Option<Redirect> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let region = header("x-amz-bucket-region").filter(|region| !region.is_empty()).or_else(|| document.region.clone());
    match status {
        301 | 302 | 307 | 308 => Some(Redirect { status, location: header(LOCATION.as_str()), region }),
        400 if document.code == "AuthorizationHeaderMalformed" && region.is_some() => {
            Some(Redirect { status, location: None, region })
        }
        _ => None,
    }
}

impl Refusal {
    /// Whether other credentials might be accepted.
    pub(super) fn credentials_ran_out(&self) -> bool {
        matches!(self.document.code.as_str(), "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException")
    }

    /// Whether the server does not know the call.
    pub(super) fn is_unknown_call(&self) -> bool {
        error::is_unknown_call(self.status, &self.document.code)
    }

    /// As an error about the object with this key.
    pub(super) fn about(self, key: &str) -> SourceError {
        error::sort(key.to_owned(), self.status, &self.document.code, self.document.message.as_deref())
    }
}

/// A broken error document has less detail, but is not another error.
async fn beginning(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() >= DOCUMENT_BYTES_MAX {
            break;
        }
    }
    bytes
}
