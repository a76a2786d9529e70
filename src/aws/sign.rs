//! Signature version 4 in the Authorization header, with a signing key derived once a day: for small objects, what the
//! SDK does for each request costs more than the rest of it.
//!
//! Source: AWS General Reference, "Signature Version 4", and Amazon S3 API reference, "Authenticating Requests": S3
//! encodes a key once, the other services twice. Compared in tests with the SDK's own signer.

use std::borrow::Cow;

use aws_sigv4::sign::v4::calculate_signature;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use http::Uri;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    credentials::{Scope, SigningCredentials},
    encoding::encoded_path,
};
use crate::domain::digest::Sha256Digest;

/// SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Headers, their names in lower case and each once.
pub(super) type Headers<'a> = Vec<(&'a str, String)>;

/// The headers that a signature brings along.
const OF_SIGNATURES: [&str; 4] = ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// The signed parts of a request.
pub(super) struct Signable<'a, 'n> {
    pub method: &'a str,
    /// As the server gets it.
    pub host: &'a str,
    /// Encoded, as the server gets it.
    pub path: &'a str,
    /// Its parameters encoded and in the order of their names.
    pub query: Option<&'a str>,
    pub headers: Headers<'n>,
    pub body: &'a [u8],
}

/// The headers of a request with the signature's, at the time `now`; without `host`.
pub(super) fn signed<'n>(request: Signable<'_, 'n>, credentials: &SigningCredentials, now: Timestamp) -> Headers<'n> {
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

/// What the signature of a request is good for that the SDK signed; none if it is signed in another way, or not at all.
pub(super) fn scope_of(request: &HttpRequest) -> Option<Scope> {
    let (_, credential) = request.headers().get("authorization")?.split_once("AWS4-HMAC-SHA256 Credential=")?;
    let mut scope = credential.split(',').next()?.rsplit('/').skip(1);
    let service = scope.next()?.to_owned();
    Some(Scope { region: scope.next()?.to_owned(), service })
}

/// The headers that put a signature as of `now` in the place of the one that the SDK made; none if the request is not one
/// that can be signed so.
pub(super) fn renewed(
    request: &HttpRequest,
    credentials: &SigningCredentials,
    now: Timestamp,
) -> Option<Headers<'static>> {
    let authorization = request.headers().get("authorization")?;
    let (_, names) = authorization.split_once("SignedHeaders=")?;
    let names = names.split(',').next()?.split(';').filter(|name| !OF_SIGNATURES.contains(name));
    let headers = names.map(|name| Some((name, request.headers().get(name)?.to_owned()))).collect::<Option<_>>()?;
    let uri: Uri = request.uri().parse().ok()?;
    let query = uri.query().map(in_order);
    let signable = Signable {
        method: request.method(),
        host: host_of(&uri),
        path: uri.path(),
        query: query.as_deref(),
        headers,
        body: request.body().bytes()?,
    };
    let signed = signed(signable, credentials, now).into_iter();
    let of_signature =
        |name: &str| ["authorization"].iter().chain(&OF_SIGNATURES).find(|known| **known == name).copied();
    Some(signed.filter_map(|(name, value)| Some((of_signature(name)?, value))).collect())
}

/// Parameters in the order of their names, each with its value.
fn in_order(query: &str) -> String {
    let mut pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// What the HTTP client makes the `Host` header of: without the default port of a scheme.
pub(super) fn host_of(uri: &Uri) -> &str {
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let implied = if uri.scheme_str() == Some("https") { ":443" } else { ":80" };
    host.strip_suffix(implied).unwrap_or(host)
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
    fn by_the_sdk(request: &Signable<'_, '_>, credentials: &SigningCredentials, now: Timestamp) -> String {
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

    #[test]
    fn a_request_of_the_sdk_is_signed_again_as_the_sdk_would() {
        let [old, now] = ["2026-10-01T12:34:56Z", "2026-10-02T00:00:01Z"].map(|at| at.parse().expect("a time"));
        let list = ["list-type=2&continuation-token=a%2Fb&max-keys", "continuation-token=a%2Fb&list-type=2&max-keys="];
        for (service, [query, ordered], body) in [("s3", list, ""), ("rds", ["", ""], "Action=DescribeDBInstances")] {
            let headers = vec![("content-type", "a/b".to_owned()), ("x-amz-user-agent", "sdk".to_owned())];
            let query_of = |query: &'static str| Some(query).filter(|query| !query.is_empty());
            let signable = |query, headers| Signable {
                method: "POST",
                host: "example.com",
                path: "/",
                query: query_of(query),
                headers,
                body: body.as_bytes(),
            };
            let mut request = HttpRequest::new(aws_sdk_s3::primitives::SdkBody::from(body));
            request.set_method("POST").expect("a method");
            let uri = query_of(query)
                .map_or("https://example.com:443/".to_owned(), |query| format!("https://example.com/?{query}"));
            request.set_uri(uri).expect("an address");
            let before = credentials(&scope(service), old, Some("an old token"));
            for (name, value) in signed(signable(ordered, headers.clone()), &before, old) {
                request.headers_mut().insert(name, value);
            }
            assert_eq!(scope_of(&request), Some(scope(service)));
            let after = credentials(&scope(service), now, Some("a token"));
            let renewed = renewed(&request, &after, now).expect("signed anew");
            let expected = by_the_sdk(&signable(ordered, headers), &after, now);
            assert_eq!(
                renewed.last().map(|(name, value)| (*name, value.as_str())),
                Some(("authorization", &*expected))
            );
            let date = renewed.iter().find(|(name, _)| *name == "x-amz-date").map(|(_, value)| value.as_str());
            assert_eq!(date, Some("20261002T000001Z"));
            request.headers_mut().remove("authorization");
            assert_eq!(scope_of(&request), None, "an anonymous request stays one");
        }
    }

    fn compare(service: &str, request: impl Fn() -> Signable<'static, 'static>) {
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
