//! Signature version 4 in the Authorization header, for requests without a body.
//!
//! Source: AWS General Reference, "Signature Version 4", and Amazon S3 API reference, "Authenticating Requests": S3
//! encodes a key once and does not normalise paths. Compared in tests with the SDK's own signer.

use std::fmt::Write as _;

use aws_sigv4::sign::v4::calculate_signature;
use jiff::{Timestamp, tz::TimeZone};

use super::{Ask, Method, pass::Pass, site::Site};
use crate::digest::Sha256Digest;

/// SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request that a server believes.
pub(super) struct Signed {
    pub uri: String,
    /// Without `host`, which the HTTP client derives from the URI.
    pub headers: Vec<(&'static str, String)>,
}

/// Signs `ask` as of `now`.
pub(super) fn signed(site: &Site, pass: &Pass, ask: &Ask<'_>, now: Timestamp) -> Signed {
    let path = encoded_path(&site.path, ask.key);
    let query = ask.version_id.map(|version| format!("versionId={}", encoded(version, false)));
    let stamp = stamp(now);
    let mut headers = ask.headers.clone();
    headers.push(("x-amz-content-sha256", EMPTY_SHA256.to_owned()));
    headers.push(("x-amz-date", stamp.clone()));
    headers.extend(pass.credentials.session_token().map(|token| ("x-amz-security-token", token.to_owned())));
    headers.push(("host", site.host.clone()));
    headers.sort_unstable();

    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = canonical(ask.method, &path, query.as_deref(), &headers, &names);
    let scope = format!("{}/{}/{}/aws4_request", pass.day, site.region, site.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", Sha256Digest::of(canonical));
    let signature = calculate_signature(&pass.signing_key, to_sign.as_bytes());
    let key_id = pass.credentials.access_key_id();
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}");

    headers.retain(|(name, _)| *name != "host");
    headers.push(("authorization", authorization));
    if ask.accept_gzip {
        headers.push(("accept-encoding", "gzip".to_owned()));
    }
    let mut uri = format!("{}{path}", site.origin);
    if let Some(query) = query {
        uri.push('?');
        uri.push_str(&query);
    }
    Signed { uri, headers }
}

fn canonical(
    method: Method,
    path: &str,
    query: Option<&str>,
    headers: &[(&'static str, String)],
    names: &str,
) -> String {
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let mut text = format!("{method}\n{path}\n{}\n", query.unwrap_or_default());
    for (name, value) in headers {
        text.extend([name, ":", value.trim(), "\n"]);
    }
    text.extend(["\n", names, "\n", EMPTY_SHA256]);
    text
}

/// `YYYYMMDDTHHMMSSZ`.
fn stamp(now: Timestamp) -> String {
    let at = TimeZone::UTC.to_datetime(now);
    let (year, month, day, hour, minute, second) =
        (at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

pub(super) fn encoded_path(before: &str, key: &str) -> String {
    let mut path = before.to_owned();
    path.push_str(&encoded(key, true));
    path
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, and slashes where they separate.
fn encoded(text: &str, slashes_stay: bool) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if slashes_stay => out.push('/'),
            // Writing to a String does not fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::{pass::tests::pass, site::tests::site},
        *,
    };
    use aws_sigv4::http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
    };

    fn by_the_sdk(signed: &Signed, site: &Site, pass: &Pass, now: Timestamp) -> String {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = pass.credentials.clone().into();
        let parameters = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(&site.region)
            .name(&site.service)
            .time(crate::clock::system(now))
            .settings(settings)
            .build()
            .expect("parameters");
        let others =
            signed.headers.iter().filter(|(name, _)| !["authorization", "x-amz-security-token"].contains(name));
        let headers = others.map(|(name, value)| (*name, value.as_str()));
        let request = SignableRequest::new("GET", &signed.uri, headers, SignableBody::Bytes(b"")).expect("a request");
        let (instructions, _) = sign(request, &parameters.into()).expect("signed").into_parts();
        let (headers, _) = instructions.into_parts();
        let found = headers.into_iter().find(|header| header.name() == "authorization").expect("a signature");
        found.value().to_owned()
    }

    #[test]
    fn the_signature_is_the_one_of_the_sdk() {
        let now = "2026-10-01T12:34:56Z".parse().expect("a time");
        let site = site();
        for token in [None, Some("a/session+token==")] {
            let pass = pass(&site, now, token);
            for key in ["a", "a b/ü+%2F//../~x", "line\nbreak", "\u{1}\\\"'*()!$&,;=:@"] {
                for version_id in [None, Some("v/1+2 =")] {
                    let headers = vec![("range", "bytes=0-9".to_owned()), ("if-match", "\"25f9\"".to_owned())];
                    let ask = Ask { method: Method::Get, key, version_id, headers, accept_gzip: false };
                    let signed = signed(&site, &pass, &ask, now);
                    let ours = &signed.headers.last().expect("the signature is last").1;
                    assert_eq!(*ours, by_the_sdk(&signed, &site, &pass, now), "{key:?} {version_id:?}");
                }
            }
        }
    }
}
