//! GET and HEAD of single objects, below the SDK's request machinery and on its own HTTP and TLS stack.
//!
//! The SDK's orchestrator costs more CPU per request than all the rest of a small object, and its connection pool as much
//! again. What it knows is kept: the endpoint and the scope of the signature are read off a request that the SDK signs
//! itself ([`site`]), the credentials come from its provider, and where a proxy stands between, its connector is used
//! ([`road`]). Nothing here tries again, except once with fresh credentials when the old ones have run out, once where a
//! server sends a request elsewhere ([`redirect`]), and once when a kept connection turns out to be closed; the caller
//! decides about the rest.

mod lines;
mod pass;
mod redirect;
mod refusal;
mod road;
mod sign;
mod site;

use std::sync::{Arc, PoisonError, RwLock};

use aws_sdk_s3::Client;
use aws_smithy_http_client::Connector;
use http::{HeaderMap, Response, StatusCode};

pub(super) use self::road::Body;
use self::{
    pass::Passes,
    redirect::Redirect,
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
    /// What is stored packed may come packed. Not signed: servers in between change this header.
    pub accept_gzip: bool,
}

/// A success; refusals are errors.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Whether some headers are not among them.
    pub left_out: HeadersLeftOut,
    pub body: Body,
}

/// Whether an answer had headers that are no valid HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HeadersLeftOut {
    #[default]
    None,
    Some,
}

/// Asks for objects of one bucket.
pub(super) struct Transport {
    client: Client,
    bucket: String,
    connector: Arc<Connector>,
    passes: Passes,
    way: RwLock<Option<Arc<Way>>>,
}

type Way = (Site, Road);

impl Transport {
    /// Asks nothing yet.
    pub fn new(aws: &Aws, client: &Client, bucket: &str) -> Self {
        Transport {
            client: client.clone(),
            bucket: bucket.to_owned(),
            connector: aws.connector(),
            passes: Passes::new(aws.credentials()),
            way: RwLock::default(),
        }
    }

    /// Sends one request and waits for the head of the answer.
    pub async fn send(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let way = self.way().await?;
        let (pass, answer) = self.attempt(&way, ask).await?;
        let refused = match refusal::of(answer).await {
            Ok(answer) => return Ok(answer),
            Err(refused) => refused,
        };
        if let Some(redirect) = refused.redirect() {
            return self.follow(&way.0, redirect, ask).await;
        }
        if !refused.credentials_ran_out() {
            return Err(refused.sorted(ask.key));
        }
        self.passes.forget(&pass).await;
        let (_, answer) = self.attempt(&way, ask).await?;
        refusal::of(answer).await.map_err(|refused| refused.sorted(ask.key))
    }

    /// The way that is known, or the one that the SDK would go.
    async fn way(&self) -> Result<Arc<Way>, SourceError> {
        let known = self.way.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(way) => Ok(way),
            None => {
                let found = Arc::new(self.find_way().await?);
                Ok(Arc::clone(self.way.write().unwrap_or_else(PoisonError::into_inner).get_or_insert(found)))
            }
        }
    }

    /// Asks once where the server sent the request. A server that sends it on again leads nowhere.
    async fn follow(&self, from: &Site, redirect: Redirect, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let what = || ask.key.to_owned();
        let Some(site) = redirect.site(from, &sign::encoded_path("", ask.key)) else {
            return Err(redirect.unfollowed(ask.key));
        };
        let unusable = |reason| SourceError::Permanent { what: what(), reason };
        let road = Road::to(&site, &self.connector).map_err(unusable)?;
        let way = Arc::new((site, road));
        let (_, answer) = self.attempt(&way, ask).await.map_err(|error| redirect.led_to(&way.0, error))?;
        let refused = match refusal::of(answer).await {
            Ok(answer) => {
                if redirect.is_permanent() {
                    *self.way.write().unwrap_or_else(PoisonError::into_inner) = Some(way);
                }
                return Ok(answer);
            }
            Err(refused) => refused,
        };
        match refused.redirect() {
            Some(again) => Err(again.unfollowed(ask.key)),
            None => Err(refused.sorted(ask.key)),
        }
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
            Unanswered::Unreached(reason) => SourceError::Unreached { what: what(), reason },
            Unanswered::Unreadable(reason) => SourceError::Transient { what: what(), reason },
            Unanswered::Impossible(reason) => SourceError::Permanent { what: what(), reason },
        })?;
        Ok((pass, answer))
    }
}
