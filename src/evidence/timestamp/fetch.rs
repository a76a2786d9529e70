//! Requests time-stamps over HTTP (RFC 3161, sections 2.4.1 and 3.4). The only part of the evidence that uses a
//! network: it sends 32 bytes of a digest and nothing else.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{ACCEPT, CONTENT_TYPE},
};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sha2::{Digest as _, Sha256};

use super::{
    der::{BOOLEAN, INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, write},
    token::{SHA256_OID, Stamp, TokenError},
};
use crate::tls;

/// An answer with all certificates is a few kilobytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no time-stamp.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// No proper response from an authority.
    #[error("{url}: {reason}")]
    Http {
        /// The authority's address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The response is not a time-stamp of what was sent.
    #[error("{url}: {source}")]
    Answer {
        /// The authority's address.
        url: String,
        /// What is wrong with it.
        source: TokenError,
    },
}

/// Requests a time-stamp of a message and returns the whole response, as `openssl ts -verify -in` reads it.
pub async fn fetch(url: &str, message: &[u8]) -> Result<(Vec<u8>, Stamp), TimestampError> {
    let failed = |reason: String| TimestampError::Http { url: url.to_owned(), reason };
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|error| failed(error.to_string()))?;
    // A positive integer, minimally encoded.
    nonce[0] = nonce[0] & 0x3f | 0x40;
    let answer = tokio::time::timeout(TIMEOUT, post(url, request(message, &nonce)));
    let answer = answer.await.map_err(|_| failed("no answer in time".to_owned()))?.map_err(failed)?;
    let wrong = |source| TimestampError::Answer { url: url.to_owned(), source };
    let stamp = Stamp::read(&answer, message).map_err(wrong)?;
    if stamp.nonce.as_deref() == Some(&nonce) { Ok((answer, stamp)) } else { Err(wrong(TokenError::OtherMessage)) }
}

fn request(message: &[u8], nonce: &[u8]) -> Vec<u8> {
    let algorithm = write(SEQUENCE, &[write(OID, SHA256_OID), write(NULL, &[])].concat());
    let imprint = write(SEQUENCE, &[algorithm, write(OCTET_STRING, &Sha256::digest(message))].concat());
    let parts = [write(INTEGER, &[1]), imprint, write(INTEGER, nonce), write(BOOLEAN, &[0xff])];
    write(SEQUENCE, &parts.concat())
}

async fn post(url: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls_config(url)?).https_or_http().enable_http1().build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/timestamp-query")
        .header(ACCEPT, "application/timestamp-reply")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| in_full(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

/// Plain HTTP, which most authorities use because the answer is signed, works where no CA certificates are installed.
fn tls_config(url: &str) -> Result<rustls::ClientConfig, String> {
    match tls::verified(None) {
        Err(_) if url.starts_with("http:") => tls::without_roots(),
        config => config,
    }
}

fn in_full(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", in_full(cause)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_openssl_writes() {
        // openssl ts -query -data <(printf x) -sha256 -cert, with the nonce 0x4142434445464748
        let hex: String = request(b"x", b"ABCDEFGH").iter().map(|byte| format!("{byte:02x}")).collect();
        let imprint = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(
            hex,
            format!(
                "3043020101303130\
                     0d06096086480165030402010500\
                     0420{imprint}0208414243444546474801 01ff"
            )
            .replace(' ', "")
        );
    }
}
