//! GET and HEAD of single objects, below the SDK's request machinery and on its own HTTP and TLS stack.
//!
//! The SDK's orchestrator costs more CPU per request than all the rest of a small object, and its connection pool as much
//! again. What it knows is kept: the endpoint and the scope of the signature are read off a request that the SDK signs
//! itself ([`site`]), the credentials come from its provider, and where a proxy stands between, its connector is used
//! ([`road`]). Nothing here tries again, except once with fresh credentials when the old ones have run out, and once when
//! a kept connection turns out to be closed; whoever asks decides about the rest.

mod lines;
mod pass;
mod refusal;
mod road;
mod sign;
mod site;

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_smithy_http_client::Connector;
use http::{HeaderMap, Response};
use tokio::sync::OnceCell;

pub(super) use self::road::Body;
use self::{
    pass::Passes,
    road::{Road, Unanswered},
    site::Site,
};
use super::super::aws::Aws;
use crate::{clock, transfer::error::SourceError};

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
    pub body: Body,
}

/// Asks for objects of one bucket.
pub(super) struct Transport {
    client: Client,
    bucket: String,
    connector: Arc<Connector>,
    passes: Passes,
    way: OnceCell<(Site, Road)>,
}

impl Transport {
    /// Asks nothing yet.
    pub fn new(aws: &Aws, client: &Client, bucket: &str) -> Self {
        Transport {
            client: client.clone(),
            bucket: bucket.to_owned(),
            connector: aws.connector(),
            passes: Passes::new(aws.credentials()),
            way: OnceCell::new(),
        }
    }

    /// Sends one request and waits for the head of the answer.
    pub async fn send(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let way = self.way.get_or_try_init(|| self.find_way()).await?;
        let (pass, answer) = self.attempt(way, ask).await?;
        let refused = match refusal::of(answer).await {
            Ok(answer) => return Ok(answer),
            Err(refused) => refused,
        };
        if !refused.credentials_ran_out() {
            return Err(refused.sorted(ask.key));
        }
        self.passes.forget(&pass).await;
        let (_, answer) = self.attempt(way, ask).await?;
        refusal::of(answer).await.map_err(|refused| refused.sorted(ask.key))
    }

    async fn find_way(&self) -> Result<(Site, Road), SourceError> {
        let site = site::locate(&self.client, &self.bucket).await?;
        let what = || format!("bucket {}", self.bucket);
        let road =
            Road::to(&site, &self.connector).map_err(|reason| SourceError::Permanent { what: what(), reason })?;
        Ok((site, road))
    }

    async fn attempt(
        &self,
        (site, road): &(Site, Road),
        ask: &Ask<'_>,
    ) -> Result<(Arc<pass::Pass>, Response<Body>), SourceError> {
        let now = clock::now();
        let pass = self.passes.current(site, now).await?;
        let signed = sign::signed(site, &pass, ask, now);
        let method = match ask.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
        };
        let what = || ask.key.to_owned();
        let answer = road.send(site, method, &signed).await.map_err(|failed| match failed {
            Unanswered::Unreached(reason) => SourceError::Transient { what: what(), reason },
            Unanswered::Impossible(reason) => SourceError::Permanent { what: what(), reason },
        })?;
        Ok((pass, answer))
    }
}
