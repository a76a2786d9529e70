//! The endpoint of a bucket's objects and the scope of signatures: read from a presigned request.
//!
//! The SDK resolves endpoints from settings, environment, profile, region, dual stack, FIPS and access-point names;
//! signing one request through it, offline, shows the outcome of all of that.

use std::time::Duration;

use aws_sdk_s3::{Client, presigning::PresigningConfig};

use crate::{
    aws::{credentials::Scope, error},
    transfer::error::SourceError,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A key that is the same encoded and plain.
const SAMPLE_KEY: &str = "k";
const SAMPLE_LIFE: Duration = Duration::from_secs(60);

/// The endpoint of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `scheme://host:port`, without a slash at the end.
    pub origin: String,
    /// The value of the `Host` header.
    pub host: String,
    /// The path before the encoded key, `/` or `/bucket/`.
    pub path: String,
    /// The scope of signatures.
    pub scope: Scope,
}

/// Queries the SDK, not the server.
pub(super) async fn resolve(client: &Client, bucket: &str) -> Result<Endpoint, SourceError> {
    let what = format!("bucket {bucket}");
    let broken = |reason: String| SourceError::Permanent { what: what.clone(), reason };
    let config = PresigningConfig::expires_in(SAMPLE_LIFE).map_err(|error| broken(error.to_string()))?;
    let request = client.get_object().bucket(bucket).key(SAMPLE_KEY).presigned(config).await;
    let request = request.map_err(|error| error::of(&what, error))?;
    of_presigned(request.uri()).map_err(broken)
}

fn of_presigned(uri: &str) -> Result<Endpoint, String> {
    let unknown = || format!("cannot read the endpoint off {}", uri.split('?').next().unwrap_or_default());
    let parsed: http::Uri = uri.parse().map_err(|_| unknown())?;
    let scheme = parsed.scheme_str().ok_or_else(unknown)?;
    let host = parsed.authority().ok_or_else(unknown)?.as_str();
    let path = parsed.path().strip_suffix(SAMPLE_KEY).ok_or_else(unknown)?;
    let value = |name: &str| parameter(parsed.query().unwrap_or_default(), name);
    if value("X-Amz-Algorithm") != Some(ALGORITHM) || value("X-Amz-S3session-Token").is_some() {
        return Err("directory buckets and multi-region access points are not supported".to_owned());
    }
    let mut scope = value("X-Amz-Credential").ok_or_else(unknown)?.rsplit("%2F").skip(1);
    let service = scope.next().ok_or_else(unknown)?;
    let region = scope.next().ok_or_else(unknown)?;
    Ok(Endpoint {
        origin: format!("{scheme}://{host}"),
        host: host.to_owned(),
        path: path.to_owned(),
        scope: Scope { region: region.to_owned(), service: service.to_owned() },
    })
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn endpoint() -> Endpoint {
        Endpoint {
            origin: "http://127.0.0.1:8333".into(),
            host: "127.0.0.1:8333".into(),
            path: "/bench/".into(),
            scope: Scope { region: "eu-central-1".into(), service: "s3".into() },
        }
    }

    const SIGNED: &str =
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20261001%2Feu-central-1%2Fs3%2Faws4_request";

    #[test]
    fn path_style_and_virtual_hosts_are_of_presigned() {
        let of = |start: &str| of_presigned(&format!("{start}{SIGNED}")).expect("an endpoint");
        let based = of("http://127.0.0.1:8333/base/bench/k?x-id=GetObject&");
        assert_eq!((based.origin.as_str(), based.path.as_str()), ("http://127.0.0.1:8333", "/base/bench/"));
        assert_eq!(based.scope, endpoint().scope);
        let virtual_host = of("https://b.s3.eu-central-1.amazonaws.com/k?");
        assert_eq!((virtual_host.host.as_str(), virtual_host.path.as_str()), ("b.s3.eu-central-1.amazonaws.com", "/"));
    }

    #[test]
    fn other_signatures_are_refused() {
        assert!(of_presigned("https://h/k?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256").is_err());
        assert!(of_presigned(&format!("https://h/k?{SIGNED}&X-Amz-S3session-Token=t")).is_err());
        assert!(of_presigned("https://h/k").is_err());
    }
}
