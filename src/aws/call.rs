//! Signed calls to services of which only a few calls are needed, too few for an SDK crate: IAM,
//! CloudWatch, S3 Control. The HTTP stack and the credentials are the SDK's.

use std::{fmt::Display, sync::Arc, time::Duration};

use aws_sdk_s3::{
    config::http::HttpRequest,
    primitives::{ByteStream, SdkBody},
};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::{http::HttpConnector as _, orchestrator::HttpResponse, result::ConnectorError};
use http::Uri;

use super::{
    client::Aws,
    credentials::{CredentialCache, Scope},
    error::ErrorDocument,
    service::Service,
    sign::{Headers, Signable, signed},
    throttle::kind_of,
};
use crate::{clock, words::causes};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// One call before signing.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub service: Service,
    /// The service's endpoint.
    pub region: &'a str,
    pub method: &'static str,
    /// Scheme, host and path.
    pub url: String,
    pub headers: Headers,
    pub body: String,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It could not be made: why.
    Impossible(String),
    /// No response came, or there are no credentials for now.
    NoResponse(String),
    /// The response is not a success.
    Refused { status: u16, document: ErrorDocument },
}

/// Makes such calls, on the connections of an [`Aws`].
pub(crate) struct Caller {
    aws: Aws,
    connector: Arc<Connector>,
    credentials: CredentialCache,
    patient: bool,
}

impl Caller {
    /// None where nothing provides credentials.
    pub fn new(aws: &Aws, patient: bool) -> Option<Self> {
        let credentials = CredentialCache::new(Some(aws.credentials()?));
        Some(Caller { aws: aws.clone(), connector: aws.connector(), credentials, patient })
    }

    /// The body of a success, at the rate that the service allows.
    pub async fn send(&self, call: &Call<'_>) -> Result<Vec<u8>, CallError> {
        let request = self.signed(call).await?;
        let response = self.throttled(call, &request).await;
        let response = response.map_err(|error| CallError::NoResponse(causes(&error)))?;
        let status = response.status();
        let body = tokio::time::timeout(RESPONSE_TIMEOUT, ByteStream::new(response.into_body()).collect()).await;
        let body = body.map_err(|_| CallError::NoResponse(no_response()))?;
        let body = body.map_err(|error| CallError::NoResponse(error.to_string()))?.to_vec();
        if status.is_success() {
            return Ok(body);
        }
        Err(CallError::Refused { status: status.as_u16(), document: ErrorDocument::read(&body) })
    }

    async fn throttled(&self, call: &Call<'_>, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let send = || async {
            let request = request.try_clone().ok_or_else(|| ConnectorError::user("a request is not whole".into()))?;
            let response = tokio::time::timeout(RESPONSE_TIMEOUT, self.connector.call(request)).await;
            response.map_err(|_| ConnectorError::timeout(no_response().into()))?
        };
        self.aws.throttle(call.service).send(&kind_of(request), self.patient, send).await
    }

    async fn signed(&self, call: &Call<'_>) -> Result<HttpRequest, CallError> {
        let impossible = |error: &dyn Display| CallError::Impossible(format!("cannot be signed: {error}"));
        let uri: Uri = call.url.parse().map_err(|error| impossible(&error))?;
        let scope = Scope {
            region: call.service.signing_region(call.region).to_owned(),
            service: call.service.signing_name().to_owned(),
        };
        let now = clock::now();
        let credentials = self.credentials.current(&scope, now).await;
        let credentials = credentials.map_err(|error| CallError::NoResponse(error.detail()))?;
        let signable = Signable {
            method: call.method,
            host: host_of(&uri),
            path: uri.path(),
            query: uri.query(),
            headers: call.headers.clone(),
            body: call.body.as_bytes(),
        };
        let mut request = HttpRequest::new(SdkBody::from(call.body.as_str()));
        request.set_method(call.method).map_err(|error| impossible(&error))?;
        request.set_uri(call.url.as_str()).map_err(|error| impossible(&error))?;
        for (name, value) in signed(signable, &credentials, now) {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

/// What the HTTP client makes the `Host` header of: without the default port of a scheme.
fn host_of(uri: &Uri) -> &str {
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let implied = if uri.scheme_str() == Some("https") { ":443" } else { ":80" };
    host.strip_suffix(implied).unwrap_or(host)
}

fn no_response() -> String {
    format!("no answer within {} s", RESPONSE_TIMEOUT.as_secs())
}
