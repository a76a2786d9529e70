//! How requests get to the server: on connections of their own, or through the SDK's connector where a proxy stands between.

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
use http::{Request, Response, Uri, header::HOST};
use http_body_util::Empty;
use hyper_util::client::proxy::matcher::Matcher;

use super::{
    lines::{LineBody, LineErrorKind, Lines},
    sign::Signed,
    site::Site,
};
use crate::{
    aws::answer::{TOO_MANY_HEADERS, has_too_many_headers},
    source::s3::error,
};

const USER_AGENT: &str = concat!("walkaway/", env!("CARGO_PKG_VERSION"));

/// The way to one site.
pub(super) enum Road {
    Direct(Arc<Lines>),
    Proxied(Arc<Connector>),
}

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The server could not be reached, or went away before it answered.
    Unreached(String),
    /// What the server answered is no HTTP.
    Unreadable(String),
    /// No such request can be made, or no such answer be taken.
    Impossible(String),
}

/// The body of an answer.
pub(in crate::source::s3) enum Body {
    Line(Box<LineBody>),
    Sdk(Box<ByteStream>),
}

impl Stream for Body {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Body::Line(body) => Pin::new(body).poll_next(context),
            Body::Sdk(body) => {
                let piece = Pin::new(&mut **body).poll_next(context);
                piece.map(|piece| piece.map(|piece| piece.map_err(|failed| error::chain(&failed))))
            }
        }
    }
}

impl Road {
    /// Looks for a proxy in the environment, as the SDK does (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    pub fn to(site: &Site, connector: &Arc<Connector>) -> Result<Self, String> {
        let server: Uri = site.origin.parse().map_err(|error| format!("{}: {error}", site.origin))?;
        match Matcher::from_env().intercept(&server) {
            Some(_) => Ok(Road::Proxied(Arc::clone(connector))),
            None => Ok(Road::Direct(Lines::to(server)?)),
        }
    }

    /// Sends one request and waits for the head of the answer.
    pub async fn send(&self, site: &Site, method: http::Method, signed: &Signed) -> Result<Response<Body>, Unanswered> {
        match self {
            Road::Direct(lines) => {
                let path = signed.uri.strip_prefix(&site.origin).unwrap_or(&signed.uri);
                let request = || request(&method, path, signed, Some(&site.host), Empty::new());
                let answer = lines.send(request).await;
                let answer = answer.map_err(|failed| match failed.kind {
                    LineErrorKind::Unreached => Unanswered::Unreached(failed.to_string()),
                    LineErrorKind::Unreadable => Unanswered::Unreadable(failed.to_string()),
                    LineErrorKind::TooLarge => Unanswered::Impossible(failed.to_string()),
                })?;
                Ok(answer.map(|body| Body::Line(Box::new(body))))
            }
            Road::Proxied(connector) => {
                let impossible = |error: String| Unanswered::Impossible(error);
                let request = request(&method, &signed.uri, signed, None, SdkBody::empty()).map_err(impossible)?;
                let request = HttpRequest::try_from(request).map_err(|error| impossible(error.to_string()))?;
                let answer = connector.call(request).await.map_err(|failed| {
                    if has_too_many_headers(&failed) {
                        return impossible(format!("{TOO_MANY_HEADERS}; without a proxy more can be read"));
                    }
                    let reason = error::chain(&failed);
                    if failed.is_user() { Unanswered::Impossible(reason) } else { Unanswered::Unreached(reason) }
                })?;
                let answer = answer.try_into_http1x().map_err(|error| impossible(error.to_string()))?;
                Ok(answer.map(|body| Body::Sdk(Box::new(ByteStream::new(body)))))
            }
        }
    }
}

fn request<B>(
    method: &http::Method,
    uri: &str,
    signed: &Signed,
    host: Option<&str>,
    body: B,
) -> Result<Request<B>, String> {
    let mut request = Request::builder().method(method).uri(uri).header(http::header::USER_AGENT, USER_AGENT);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    request.body(body).map_err(|error| error.to_string())
}
