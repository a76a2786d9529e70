//! Signed calls to services of which a handful of answers are wanted and no SDK crate is worth its weight: IAM,
//! CloudWatch, S3 Control. The HTTP stack, the credentials and the signatures are the SDK's.

use std::{sync::Arc, time::Duration};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::{
    config::http::HttpRequest,
    primitives::{ByteStream, SdkBody},
};
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::{http::HttpConnector as _, orchestrator::HttpResponse, result::ConnectorError};

use super::failure::Failure;
use crate::{
    clock,
    digest::Sha256Digest,
    source::{
        aws::{Aws, Service},
        pace::kind_of,
        s3::error::chain,
    },
};

const ATTEMPTS_MAX: u32 = 8;
const DELAY_BASE_MS: u64 = 100;
const DELAY_MAX_MS: u64 = 5_000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One call, ready but for its signature.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    /// The name that the signature uses: `iam`, `monitoring`, `s3`.
    pub service: &'a str,
    /// The region that the signature uses.
    pub region: &'a str,
    pub method: &'a str,
    /// Scheme, host, path and query.
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// The raw answer and its digest.
pub(super) type Raw = (Vec<u8>, Sha256Digest);

/// The one connection pool for such calls.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    aws: Aws,
    connector: Arc<Connector>,
    credentials: SharedCredentialsProvider,
    attempts_max: u32,
    patient: bool,
}

impl Wire {
    /// None where nobody provides credentials.
    pub fn new(aws: &Aws, patient: bool) -> Option<Self> {
        let attempts_max = if patient { ATTEMPTS_MAX } else { 2 };
        let (connector, credentials) = (aws.connector(), aws.credentials()?);
        Some(Wire { aws: aws.clone(), connector, credentials, attempts_max, patient })
    }

    /// Sends, again after a busy answer.
    pub async fn send(&self, call: &Call<'_>) -> Result<Raw, Failure> {
        let mut tried = 1;
        loop {
            match self.attempt(call).await {
                Err(failure) if failure.busy && tried < self.attempts_max => {
                    tokio::time::sleep(delay(tried)).await;
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Raw, Failure> {
        let request = self.signed(call).await?;
        let answer = async {
            let answer = self.paced(call, &request).await.map_err(|error| chain(&error))?;
            let status = answer.status().as_u16();
            let body = tokio::time::timeout(ANSWER_TIMEOUT, ByteStream::new(answer.into_body()).collect()).await;
            let body = body.map_err(|_| no_answer())?.map_err(|error| error.to_string())?;
            Ok::<_, String>((status, body.to_vec()))
        };
        let (status, body) = answer.await.map_err(Failure::unanswered)?;
        match status {
            200..300 => {
                let digest = Sha256Digest::of(&body);
                Ok((body, digest))
            }
            _ => Err(refusal(status, &body)),
        }
    }

    /// Sends at the pace of its service.
    async fn paced(&self, call: &Call<'_>, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let service = match call.service {
            "iam" => Service::Iam,
            "monitoring" => Service::CloudWatch,
            _ => Service::S3Control,
        };
        let send = || async {
            let request = request.try_clone().ok_or_else(|| ConnectorError::user("a request is not whole".into()))?;
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.connector.call(request)).await;
            answer.map_err(|_| ConnectorError::timeout(no_answer().into()))?
        };
        self.aws.pace(service).send(&kind_of(request), self.patient, send).await
    }

    async fn signed(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let credentials = self.credentials.provide_credentials().await;
        let identity = credentials.map_err(|error| Failure::unanswered(error.to_string()))?.into();
        let broken = |error: &dyn std::fmt::Display| Failure::not_asked(format!("cannot be signed: {error}"));
        let mut settings = SigningSettings::default();
        if call.service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.region)
            .name(call.service)
            .time(clock::system(clock::now()))
            .settings(settings)
            .build()
            .map_err(|error| broken(&error))?
            .into();
        let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(call.body.as_bytes());
        let signable = SignableRequest::new(call.method, call.url.as_str(), headers, body);
        let signed = sign(signable.map_err(|error| broken(&error))?, &params).map_err(|error| broken(&error))?;
        let mut request = HttpRequest::new(SdkBody::from(call.body.as_str()));
        request.set_method(call.method).map_err(|error| broken(&error))?;
        request.set_uri(call.url.as_str()).map_err(|error| broken(&error))?;
        for (name, value) in &call.headers {
            request.headers_mut().insert(*name, value.clone());
        }
        let (instructions, _) = signed.into_parts();
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())
}

/// Reads a refusal in JSON or in XML.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) {
        let word = |names: &[&str]| names.iter().find_map(|name| json[*name].as_str());
        let code = word(&["__type", "code"]).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        return Failure::answered(status, code, word(&["message", "Message"]));
    }
    let code = element(&text, "Code").unwrap_or_default();
    Failure::answered(status, &code, element(&text, "Message").as_deref())
}

/// The text of the first element of that name; enough for answers that hold a value or two.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let unescaped = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#34;", "\""), ("&amp;", "&")];
    Some(unescaped.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// A random time up to a bound that doubles.
fn delay(tried: u32) -> Duration {
    let bound = DELAY_MAX_MS.min(DELAY_BASE_MS << tried.min(16));
    Duration::from_millis(getrandom::u64().unwrap_or(bound) % (bound + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_both_languages() {
        let json = refusal(400, br#"{"__type": "com.amazon#AccessDeniedException", "Message": "no"}"#);
        assert_eq!((json.code.as_str(), json.is_refusal()), ("AccessDeniedException", true));
        let xml = refusal(404, b"<Error><Code>NoSuchEntity</Code><Message>a &lt;b&gt;</Message></Error>");
        assert_eq!((xml.reason.as_str(), xml.is_refusal()), ("NoSuchEntity: a <b>", false));
        assert!(refusal(503, b"").busy);
    }
}
