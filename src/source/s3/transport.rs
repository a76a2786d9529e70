//! GET and HEAD of single objects, below the SDK's request machinery and on its own HTTP and TLS stack.
//!
//! The SDK's orchestrator costs more CPU per request than all the rest of a small object. What it knows is kept: the
//! endpoint and the scope of the signature are read off a request that the SDK signs itself ([`site`]), the credentials
//! come from its provider, the connections from its connector, with its proxies and roots. Nothing here tries again,
//! except once with fresh credentials when the old ones have run out; whoever asks decides about the rest.

mod pass;
mod refusal;
mod sign;
mod site;

use std::sync::Arc;

use aws_sdk_s3::{Client, config::http::HttpRequest, primitives::SdkBody};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::{http::HttpConnector as _, result::ConnectorError};
use http::HeaderMap;
use tokio::sync::OnceCell;

use self::{pass::Passes, site::Site};
use super::{super::aws::Aws, error};
use crate::{clock, transfer::error::SourceError};

const USER_AGENT: &str = concat!("walkaway/", env!("CARGO_PKG_VERSION"));

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// One request about one object.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub key: &'a str,
    pub version_id: Option<&'a str>,
    /// Names in lower case, each once; all of them are signed.
    pub headers: Vec<(&'static str, String)>,
}

/// A success; refusals are errors.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: SdkBody,
}

/// Asks for objects of one bucket.
pub(super) struct Transport {
    client: Client,
    bucket: String,
    connector: Arc<Connector>,
    passes: Passes,
    site: OnceCell<Site>,
}

impl Transport {
    /// Asks nothing yet.
    pub fn new(aws: &Aws, client: &Client, bucket: &str) -> Self {
        Transport {
            client: client.clone(),
            bucket: bucket.to_owned(),
            connector: aws.connector(),
            passes: Passes::new(aws.credentials()),
            site: OnceCell::new(),
        }
    }

    /// Sends one request and waits for the head of the answer.
    pub async fn send(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let site = self.site.get_or_try_init(|| site::locate(&self.client, &self.bucket)).await?;
        let (pass, answer) = self.attempt(site, ask).await?;
        let refused = match refusal::of(answer).await {
            Ok(answer) => return Ok(answer),
            Err(refused) => refused,
        };
        if !refused.credentials_ran_out() {
            return Err(refused.sorted(ask.key));
        }
        self.passes.forget(&pass).await;
        let (_, answer) = self.attempt(site, ask).await?;
        refusal::of(answer).await.map_err(|refused| refused.sorted(ask.key))
    }

    async fn attempt(&self, site: &Site, ask: &Ask<'_>) -> Result<(Arc<pass::Pass>, Reply), SourceError> {
        let now = clock::now();
        let pass = self.passes.current(site, now).await?;
        let request = request(site, &pass, ask, now).map_err(|reason| self.permanent(ask, reason))?;
        let reply = self.connector.call(request).await.map_err(|error| unreached(ask.key, &error))?;
        let reply = reply.try_into_http1x().map_err(|error| self.permanent(ask, error.to_string()))?;
        Ok((pass, reply))
    }

    fn permanent(&self, ask: &Ask<'_>, reason: String) -> SourceError {
        SourceError::Permanent { what: ask.key.to_owned(), reason }
    }
}

type Reply = http::Response<SdkBody>;

fn request(site: &Site, pass: &pass::Pass, ask: &Ask<'_>, now: jiff::Timestamp) -> Result<HttpRequest, String> {
    let signed = sign::signed(site, pass, ask, now);
    let mut request = http::Request::builder().method(match ask.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
    });
    request = request.uri(signed.uri).header(http::header::USER_AGENT, USER_AGENT);
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    let request = request.body(SdkBody::empty()).map_err(|error| error.to_string())?;
    HttpRequest::try_from(request).map_err(|error| error.to_string())
}

/// The server could not be reached, or went away before it answered.
fn unreached(key: &str, failed: &ConnectorError) -> SourceError {
    let (what, reason) = (key.to_owned(), error::chain(failed));
    if failed.is_user() { SourceError::Permanent { what, reason } } else { SourceError::Transient { what, reason } }
}
