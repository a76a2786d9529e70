//! How requests reach the server: on connections of their own, or through the SDK's connector where a proxy is in between.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use aws_sdk_s3::{
    config::http::HttpRequest,
    primitives::{ByteStream, SdkBody},
};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode, Uri, header::HOST};
use http_body_util::Empty;
use hyper_util::client::proxy::matcher::Matcher;

use super::{
    endpoint::Endpoint,
    pool::{ConnectionPool, ExchangeErrorKind, HeadersLeftOut, PooledBody},
};
use crate::{
    aws::{
        error::{TOO_MANY_HEADERS, has_too_many_headers},
        sign::Headers,
    },
    words::causes,
};

const USER_AGENT: &str = concat!("walkaway/", env!("CARGO_PKG_VERSION"));

/// The route to one endpoint.
pub(super) enum Route {
    Direct(Arc<ConnectionPool>),
    Proxied(Arc<Connector>),
}

/// A signed request.
pub(super) struct Signed {
    pub method: http::Method,
    /// After the endpoint's origin.
    pub path_and_query: String,
    /// Without `host`.
    pub headers: Headers<'static>,
}

/// The head of a response, its body still to come.
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Whether some headers are not among them.
    pub left_out: HeadersLeftOut,
    pub body: Body,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum NoResponse {
    /// The server could not be reached, or closed the connection before it answered.
    Unreached(String),
    /// The server's response is not HTTP.
    Unreadable(String),
    /// Such a request or response is not supported.
    Impossible(String),
}

/// The body of a response.
pub(crate) enum Body {
    Pooled(Box<PooledBody>),
    Sdk(Box<ByteStream>),
}

impl Stream for Body {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Body::Pooled(body) => Pin::new(body).poll_next(context),
            Body::Sdk(body) => {
                let piece = Pin::new(&mut **body).poll_next(context);
                piece.map(|piece| piece.map(|piece| piece.map_err(|failed| causes(&failed))))
            }
        }
    }
}

impl Response {
    fn new<B>(response: http::Response<B>, body: impl FnOnce(B) -> Body) -> Self {
        let (parts, content) = response.into_parts();
        let left_out = parts.extensions.get().copied().unwrap_or_default();
        Response { status: parts.status, headers: parts.headers, left_out, body: body(content) }
    }
}

impl Route {
    /// Looks for a proxy in the environment, as the SDK does (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    pub(super) fn to(endpoint: &Endpoint, connector: &Arc<Connector>) -> Result<Self, String> {
        let server: Uri = endpoint.origin.parse().map_err(|error| format!("{}: {error}", endpoint.origin))?;
        match Matcher::from_env().intercept(&server) {
            Some(_) => Ok(Route::Proxied(Arc::clone(connector))),
            None => Ok(Route::Direct(ConnectionPool::to(server)?)),
        }
    }

    /// Sends one request and waits for the head of the response.
    pub(super) async fn send(&self, endpoint: &Endpoint, signed: &Signed) -> Result<Response, NoResponse> {
        match self {
            Route::Direct(pool) => {
                let request = || request(&signed.path_and_query, signed, Some(&endpoint.host), Empty::new());
                let response = pool.send(request).await.map_err(|failed| match failed.kind {
                    ExchangeErrorKind::Unreached => NoResponse::Unreached(failed.to_string()),
                    ExchangeErrorKind::Unreadable => NoResponse::Unreadable(failed.to_string()),
                    ExchangeErrorKind::TooLarge => NoResponse::Impossible(failed.to_string()),
                })?;
                Ok(Response::new(response, |body| Body::Pooled(Box::new(body))))
            }
            Route::Proxied(connector) => {
                let impossible = |error: String| NoResponse::Impossible(error);
                let uri = format!("{}{}", endpoint.origin, signed.path_and_query);
                let request = request(&uri, signed, None, SdkBody::empty()).map_err(impossible)?;
                let request = HttpRequest::try_from(request).map_err(|error| impossible(error.to_string()))?;
                let response = connector.call(request).await.map_err(|failed| {
                    if has_too_many_headers(&failed) {
                        return impossible(format!("{TOO_MANY_HEADERS}; without a proxy more can be read"));
                    }
                    let reason = causes(&failed);
                    if failed.is_user() { NoResponse::Impossible(reason) } else { NoResponse::Unreached(reason) }
                })?;
                let response = response.try_into_http1x().map_err(|error| impossible(error.to_string()))?;
                Ok(Response::new(response, |body| Body::Sdk(Box::new(ByteStream::new(body)))))
            }
        }
    }
}

fn request<B>(uri: &str, signed: &Signed, host: Option<&str>, body: B) -> Result<http::Request<B>, String> {
    let mut request =
        http::Request::builder().method(&signed.method).uri(uri).header(http::header::USER_AGENT, USER_AGENT);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    request.body(body).map_err(|error| error.to_string())
}
