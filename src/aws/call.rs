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
    sign::{Headers, Signable, host_of, signed},
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
    pub headers: Headers<'static>,
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
    pub(crate) fn new(aws: &Aws, patient: bool) -> Option<Self> {
        let credentials = CredentialCache::new(Some(aws.credentials()?));
        Some(Caller { aws: aws.clone(), connector: aws.connector(), credentials, patient })
    }

    /// The body of a success, at the pace that the service asks for. What is sent again is signed again: a signature is
    /// believed for minutes only.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Vec<u8>, CallError> {
        let unsigned = unsigned(call)?;
        let throttle = self.aws.throttle(call.service);
        let response = throttle.send(&kind_of(&unsigned), self.patient, || self.attempt(call, &unsigned)).await?;
        let status = response.status();
        let body = tokio::time::timeout(RESPONSE_TIMEOUT, ByteStream::new(response.into_body()).collect()).await;
        let body = body.map_err(|_| CallError::NoResponse(no_response()))?;
        let body = body.map_err(|error| CallError::NoResponse(error.to_string()))?.to_vec();
        if status.is_success() {
            return Ok(body);
        }
        Err(CallError::Refused { status: status.as_u16(), document: ErrorDocument::read(&body) })
    }

    async fn attempt(&self, call: &Call<'_>, unsigned: &HttpRequest) -> Result<HttpResponse, CallError> {
        let request = self.signed(call, unsigned).await?;
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, self.connector.call(request)).await;
        Ok(response.map_err(|_| CallError::NoResponse(no_response()))??)
    }

    async fn signed(&self, call: &Call<'_>, unsigned: &HttpRequest) -> Result<HttpRequest, CallError> {
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
        let mut request = unsigned.try_clone().ok_or_else(|| impossible(&"it is not whole"))?;
        for (name, value) in signed(signable, &credentials, now) {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

impl From<ConnectorError> for CallError {
    fn from(error: ConnectorError) -> Self {
        CallError::NoResponse(causes(&error))
    }
}

fn impossible(error: &dyn Display) -> CallError {
    CallError::Impossible(format!("cannot be signed: {error}"))
}

fn unsigned(call: &Call<'_>) -> Result<HttpRequest, CallError> {
    let mut request = HttpRequest::new(SdkBody::from(call.body.as_str()));
    request.set_method(call.method).map_err(|error| impossible(&error))?;
    request.set_uri(call.url.as_str()).map_err(|error| impossible(&error))?;
    for (name, value) in &call.headers {
        request.headers_mut().insert(*name, value.clone());
    }
    Ok(request)
}

fn no_response() -> String {
    format!("no answer within {} s", RESPONSE_TIMEOUT.as_secs())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::{
        io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// Is busy at first, for longer than it believes a date; then it answers.
    async fn impatient() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let mut dates = HashSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let mut socket = BufReader::new(socket);
                let mut date = String::new();
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    socket.read_line(&mut line).await.expect("a line");
                    match line.trim_end().split_once(": ") {
                        Some(("x-amz-date", value)) => date = value.to_owned(),
                        Some(("content-length", value)) => length = value.parse().expect("a length"),
                        Some(_) => {}
                        None if line.trim_end().is_empty() => break,
                        None => {}
                    }
                }
                socket.read_exact(&mut vec![0; length]).await.expect("a body");
                let is_first = dates.is_empty();
                let answer = match (is_first, dates.insert(date)) {
                    (true, _) => "503 -\r\n\r\n<Error><Code>SlowDown</Code></Error>",
                    (_, false) => "403 -\r\n\r\n<Error><Code>RequestTimeTooSkewed</Code></Error>",
                    (_, true) => "200 -\r\n\r\n<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
                };
                if is_first {
                    tokio::time::sleep(Duration::from_millis(1_100)).await;
                }
                let answer = format!("HTTP/1.1 {}", answer.replacen("\r\n", "\r\nConnection: close\r\n", 1));
                socket.write_all(answer.as_bytes()).await.expect("sent");
            }
        });
        endpoint
    }

    #[tokio::test]
    async fn what_is_sent_again_has_a_new_signature() {
        let endpoint = impatient().await;
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let body = "Action=GetUser".to_owned();
        let call =
            Call { service: Service::Iam, region: "us-east-1", method: "POST", url: endpoint.clone(), headers, body };
        let caller = Caller::new(&Aws::for_test(&endpoint), true).expect("credentials");
        caller.send(&call).await.expect("answered");

        let client = Aws::for_test(&impatient().await).s3_for_account(None, true);
        client.list_buckets().send().await.expect("answered");
    }
}
