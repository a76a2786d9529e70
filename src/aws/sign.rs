//! Signature version 4 in the Authorization header, with a signing key derived once a day: for small objects, what the
//! SDK does for each request costs more than the rest of it.
//!
//! Source: AWS General Reference, "Signature Version 4", and Amazon S3 API reference, "Authenticating Requests": S3
//! encodes a key once, the other services twice. Compared in tests with the SDK's own signer.

use std::borrow::Cow;

use aws_sigv4::sign::v4::calculate_signature;
use jiff::{Timestamp, tz::TimeZone};

use super::{credentials::SigningCredentials, encoding::encoded_path};
use crate::digest::Sha256Digest;

/// SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Headers, their names in lower case and each once.
pub(super) type Headers = Vec<(&'static str, String)>;

/// The signed parts of a request.
pub(super) struct Signable<'a> {
    pub method: &'a str,
    /// As the server gets it.
    pub host: &'a str,
    /// Encoded, as the server gets it.
    pub path: &'a str,
    /// Its parameters encoded and in the order of their names.
    pub query: Option<&'a str>,
    pub headers: Headers,
    pub body: &'a [u8],
}

/// The headers of a request with the signature's, at the time `now`; without `host`.
pub(super) fn signed(request: Signable<'_>, credentials: &SigningCredentials, now: Timestamp) -> Headers {
    let scope = &credentials.scope;
    let is_s3 = scope.service.starts_with("s3");
    let stamp = TimeZone::UTC.to_datetime(now).strftime("%Y%m%dT%H%M%SZ").to_string();
    let body_sha256 = match request.body {
        [] => EMPTY_SHA256.to_owned(),
        body => Sha256Digest::of(body).to_string(),
    };
    let mut headers = request.headers;
    if is_s3 {
        headers.push(("x-amz-content-sha256", body_sha256.clone()));
    }
    headers.push(("x-amz-date", stamp.clone()));
    headers.extend(credentials.credentials.session_token().map(|token| ("x-amz-security-token", token.to_owned())));
    headers.push(("host", request.host.to_owned()));
    headers.sort_unstable();

    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let path = if is_s3 { Cow::Borrowed(request.path) } else { Cow::Owned(encoded_path(request.path)) };
    let mut canonical = format!("{}\n{path}\n{}\n", request.method, request.query.unwrap_or_default());
    for (name, value) in &headers {
        canonical.extend([name, ":", value.trim(), "\n"]);
    }
    canonical.extend(["\n", &names, "\n", &body_sha256]);
    let scope = format!("{}/{}/{}/aws4_request", credentials.day, scope.region, scope.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", Sha256Digest::of(canonical));
    let signature = calculate_signature(&credentials.key, to_sign.as_bytes());
    let key_id = credentials.credentials.access_key_id();
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}");

    headers.retain(|(name, _)| *name != "host");
    headers.push(("authorization", authorization));
    headers
}

#[cfg(test)]
mod tests {
    use aws_sigv4::http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    };

    use super::*;
    use crate::aws::{
        credentials::tests::{credentials, scope},
        encoding::encoded,
    };

    /// The signature of the SDK for a request, its headers being all that are signed.
    fn by_the_sdk(request: &Signable<'_>, credentials: &SigningCredentials, now: Timestamp) -> String {
        let mut settings = SigningSettings::default();
        if credentials.scope.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = credentials.credentials.clone().into();
        let parameters = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(&credentials.scope.region)
            .name(&credentials.scope.service)
            .time(crate::clock::system(now))
            .settings(settings)
            .build()
            .expect("parameters");
        let query = request.query.map_or(String::new(), |query| format!("?{query}"));
        let uri = format!("http://{}{}{query}", request.host, request.path);
        let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new(request.method, uri, headers, SignableBody::Bytes(request.body));
        let (instructions, _) = sign(signable.expect("a request"), &parameters.into()).expect("signed").into_parts();
        let (headers, _) = instructions.into_parts();
        let found = headers.into_iter().find(|header| header.name() == "authorization").expect("a signature");
        found.value().to_owned()
    }

    fn compare(service: &str, request: impl Fn() -> Signable<'static>) {
        let now = "2026-10-01T12:34:56Z".parse().expect("a time");
        for token in [None, Some("a/session+token==")] {
            let credentials = credentials(&scope(service), now, token);
            let ours = signed(request(), &credentials, now).pop().expect("the signature is last").1;
            assert_eq!(ours, by_the_sdk(&request(), &credentials, now), "{service} {}", request().path);
        }
    }

    #[test]
    fn the_signature_is_the_one_of_the_sdk() {
        for key in ["a", "a b/ü+%2F//../~x", "line\nbreak", "\u{1}\\\"'*()!$&,;=:@"] {
            for version in [None, Some("v/1+2 =")] {
                let path: &str = format!("/bench/{}", encoded_path(key)).leak();
                let query = version.map(|version| &*format!("versionId={}", encoded(version)).leak());
                compare("s3", || Signable {
                    method: "GET",
                    host: "127.0.0.1:8333",
                    path,
                    query,
                    headers: vec![("range", "bytes=0-9".to_owned()), ("if-match", "\"25f9\"".to_owned())],
                    body: b"",
                });
            }
        }
        for (service, path) in [("iam", "/"), ("monitoring", "/base/a%20b/")] {
            compare(service, || Signable {
                method: "POST",
                host: "example.com",
                path,
                query: None,
                headers: vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())],
                body: b"Action=GetRole&RoleName=exit%20drill",
            });
        }
    }
}
