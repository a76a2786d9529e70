//! GET and HEAD of single objects, below the SDK's request machinery and on its own HTTP and TLS stack.
//!
//! The SDK's orchestrator costs more CPU per request than the rest of a small object, and its connection pool as much
//! again. Its knowledge is used: the endpoint and the scope of the signature are read from a request that the SDK signs
//! itself ([`endpoint`]), the credentials come from its provider, and with a proxy, its connector is used
//! ([`route`]). Nothing here is retried, except once with new credentials when the old ones have expired, once where a
//! server redirects a request ([`redirect`]), and once when a kept connection turns out to be closed ([`pool`]); the
//! caller decides on the rest.

mod endpoint;
mod pool;
mod redirect;
mod refusal;
mod route;

use std::sync::{Arc, PoisonError, RwLock};

use aws_sdk_s3::Client;
use aws_smithy_http_client::Connector;

use self::{
    endpoint::Endpoint,
    redirect::Redirect,
    refusal::{Refusal, checked},
    route::{NoResponse, Route, Signed},
};
pub(crate) use self::{
    pool::HeadersLeftOut,
    route::{Body, Response},
};
use super::{
    client::Aws,
    credentials::{CredentialCache, SigningCredentials},
    encoding::{encoded, encoded_path},
    sign::{Headers, Signable, signed},
};
use crate::{clock, transfer::error::SourceError};

/// The request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
}

/// One request about one object.
pub(crate) struct Request<'a> {
    pub method: Method,
    pub key: &'a str,
    pub version_id: Option<&'a str>,
    /// What is asked about it, if it is not the object itself: the name of a parameter without a value.
    pub question: Option<&'static str>,
    /// All of them are signed.
    pub headers: Headers<'static>,
    /// Compressed objects may be returned compressed. Not signed: servers in between change this header.
    pub accept_gzip: bool,
}

/// Requests objects of one bucket.
pub(crate) struct Transport {
    client: Client,
    bucket: String,
    connector: Arc<Connector>,
    credentials: CredentialCache,
    target: RwLock<Option<Arc<Target>>>,
}

/// The endpoint of requests, and the route to it.
struct Target {
    endpoint: Endpoint,
    route: Route,
}

impl Transport {
    /// Sends no request yet.
    pub(crate) fn new(aws: &Aws, client: &Client, bucket: &str) -> Self {
        Transport {
            client: client.clone(),
            bucket: bucket.to_owned(),
            connector: aws.connector(),
            credentials: CredentialCache::new(aws.credentials()),
            target: RwLock::default(),
        }
    }

    /// Sends one request and waits for the head of a success; refusals are errors.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Response, SourceError> {
        self.answer(request).await?.map_err(|refusal| refusal.about(request.key))
    }

    /// The same; none where the server does not know what it is asked.
    pub(crate) async fn send_if_known(&self, request: &Request<'_>) -> Result<Option<Response>, SourceError> {
        match self.answer(request).await? {
            Err(refusal) if refusal.is_unknown_call() => Ok(None),
            answer => answer.map(Some).map_err(|refusal| refusal.about(request.key)),
        }
    }

    async fn answer(&self, request: &Request<'_>) -> Result<Result<Response, Refusal>, SourceError> {
        let target = self.target().await?;
        let (credentials, response) = self.attempt(&target, request).await?;
        let refusal = match checked(response).await {
            Ok(response) => return Ok(Ok(response)),
            Err(refusal) => refusal,
        };
        if let Some(redirect) = &refusal.redirect {
            return self.follow(&target.endpoint, redirect, request).await.map(Ok);
        }
        if !refusal.credentials_ran_out() {
            return Ok(Err(refusal));
        }
        self.credentials.forget(&credentials).await;
        let (_, response) = self.attempt(&target, request).await?;
        Ok(checked(response).await)
    }

    /// The known target, or the one that the SDK would use.
    async fn target(&self) -> Result<Arc<Target>, SourceError> {
        let known = self.target.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(target) = known {
            return Ok(target);
        }
        let endpoint = endpoint::resolve(&self.client, &self.bucket).await?;
        let found = Arc::new(self.target_at(endpoint, || format!("bucket {}", self.bucket))?);
        Ok(Arc::clone(self.target.write().unwrap_or_else(PoisonError::into_inner).get_or_insert(found)))
    }

    fn target_at(&self, endpoint: Endpoint, what: impl Fn() -> String) -> Result<Target, SourceError> {
        let route = Route::to(&endpoint, &self.connector);
        let route = route.map_err(|reason| SourceError::Permanent { what: what(), reason })?;
        Ok(Target { endpoint, route })
    }

    /// Follows a redirect once. A second redirect is an error.
    async fn follow(
        &self,
        from: &Endpoint,
        redirect: &Redirect,
        request: &Request<'_>,
    ) -> Result<Response, SourceError> {
        let Some(endpoint) = redirect.endpoint(from, &encoded_path(request.key)) else {
            return Err(redirect.unfollowed(request.key));
        };
        let target = Arc::new(self.target_at(endpoint, || request.key.to_owned())?);
        let attempted = self.attempt(&target, request).await;
        let (_, response) = attempted.map_err(|error| redirect.led_to(&target.endpoint, error))?;
        let refusal = match checked(response).await {
            Ok(response) => {
                if redirect.is_permanent() {
                    *self.target.write().unwrap_or_else(PoisonError::into_inner) = Some(target);
                }
                return Ok(response);
            }
            Err(refusal) => refusal,
        };
        match &refusal.redirect {
            Some(again) => Err(again.unfollowed(request.key)),
            None => Err(refusal.about(request.key)),
        }
    }

    async fn attempt(
        &self,
        target: &Target,
        request: &Request<'_>,
    ) -> Result<(Arc<SigningCredentials>, Response), SourceError> {
        let now = clock::now();
        let credentials = self.credentials.current(&target.endpoint.scope, now).await?;
        let path = format!("{}{}", target.endpoint.path, encoded_path(request.key));
        let version = request.version_id.map(|version| format!("versionId={}", encoded(version)));
        // Signatures have an equals sign behind each name, addresses need none: not every server looks for the name alone.
        let [canonical, query] = ["=", ""].map(|sign| {
            let question = request.question.map(|name| format!("{name}{sign}"));
            let parameters: Vec<_> = question.into_iter().chain(version.clone()).collect();
            Some(parameters.join("&")).filter(|parameters| !parameters.is_empty())
        });
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
        };
        let signable = Signable {
            method: method.as_str(),
            host: &target.endpoint.host,
            path: &path,
            query: canonical.as_deref(),
            headers: request.headers.clone(),
            body: b"",
        };
        let mut headers = signed(signable, &credentials, now);
        if request.accept_gzip {
            headers.push(("accept-encoding", "gzip".to_owned()));
        }
        let path_and_query = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let signed = Signed { method, path_and_query, headers };
        let what = || request.key.to_owned();
        let response = target.route.send(&target.endpoint, &signed).await.map_err(|failed| match failed {
            NoResponse::Unreached(reason) => SourceError::Unreached { what: what(), reason },
            NoResponse::Unreadable(reason) => SourceError::Transient { what: what(), reason },
            NoResponse::Impossible(reason) => SourceError::Permanent { what: what(), reason },
        })?;
        Ok((credentials, response))
    }
}
