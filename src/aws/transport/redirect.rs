//! The target of a redirect: another address, or the same one with a signature for another region.

use http::Uri;

use super::endpoint::Endpoint;
use crate::transfer::error::SourceError;

/// The redirect in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub status: u16,
    /// The value of `Location`.
    pub location: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

impl Redirect {
    /// The endpoint to use instead of `from`, if it is another one. `key` is the encoded key, which the address ends with. A
    /// request that went over TLS is never redirected to one without.
    pub(super) fn endpoint(&self, from: &Endpoint, key: &str) -> Option<Endpoint> {
        let mut endpoint = from.clone();
        if let Some(region) = &self.region {
            endpoint.scope.region.clone_from(region);
        }
        if let Some(location) = &self.location {
            let target: Uri = location.parse().ok()?;
            if let (Some(scheme), Some(host)) = (target.scheme_str(), target.authority()) {
                let downgraded = from.origin.starts_with("https:") && scheme != "https";
                if downgraded || !matches!(scheme, "http" | "https") || host.as_str().contains('@') {
                    return None;
                }
                endpoint.origin = format!("{scheme}://{host}");
                endpoint.host = host.as_str().to_owned();
            }
            endpoint.path = target.path().strip_suffix(key)?.to_owned();
            return Some(endpoint);
        }
        if endpoint.host.ends_with(".amazonaws.com") || endpoint.host.ends_with(".amazonaws.com.cn") {
            // Regional addresses name their region (AWS General Reference, "Amazon S3 endpoints").
            let before = format!(".{}.", from.scope.region);
            let after = format!(".{}.", endpoint.scope.region);
            endpoint.host = endpoint.host.replace(&before, &after);
            endpoint.origin = endpoint.origin.replace(&before, &after);
        }
        (endpoint != *from).then_some(endpoint)
    }

    /// Whether later requests go there directly. 307 is about this one only (RFC 9110, 15.4.8).
    pub(super) fn is_permanent(&self) -> bool {
        matches!(self.status, 301 | 308 | 400)
    }

    /// Nothing to follow, or followed once already.
    pub(super) fn unfollowed(&self, key: &str) -> SourceError {
        let place = match (&self.location, &self.region) {
            (Some(location), _) => format!("sends the request to {}", location.split('?').next().unwrap_or_default()),
            (None, Some(region)) => format!("says that the bucket is in the region {region}"),
            (None, None) => "sends the request elsewhere and does not say where".to_owned(),
        };
        let reason = format!("HTTP status {}: the server {place}", self.status);
        SourceError::Permanent { what: key.to_owned(), reason }
    }

    /// An address that does not answer is not an outage of the provider.
    pub(super) fn led_to(&self, endpoint: &Endpoint, error: SourceError) -> SourceError {
        match error {
            SourceError::Unreached { what, reason } => {
                let reason = format!("HTTP status {}: sent on to {}: {reason}", self.status, endpoint.origin);
                SourceError::Transient { what, reason }
            }
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::endpoint::tests::endpoint, *};

    fn redirect(location: Option<&str>, region: Option<&str>) -> Redirect {
        Redirect { status: 307, location: location.map(str::to_owned), region: region.map(str::to_owned) }
    }

    #[test]
    fn a_redirect_names_an_address_or_a_region() {
        let to = |location: &str| redirect(Some(location), None).endpoint(&endpoint(), "a%20b");
        let other = to("https://bench.s3.eu-west-2.amazonaws.com/a%20b?x-id=GetObject").expect("a place");
        assert_eq!((other.origin.as_str(), other.path.as_str()), ("https://bench.s3.eu-west-2.amazonaws.com", "/"));
        assert_eq!(to("/elsewhere/a%20b").map(|to| (to.host, to.path)).expect("a place").1, "/elsewhere/");
        assert_eq!(to("http://other/another-object"), None, "it leads to another object");
        assert_eq!(to("ftp://other/a%20b"), None);
        let regional = redirect(None, Some("eu-west-2")).endpoint(&endpoint(), "k").expect("a place");
        assert_eq!((regional.scope.region.as_str(), regional.host), ("eu-west-2", endpoint().host));
        let aws = Endpoint { host: "b.s3.eu-central-1.amazonaws.com".into(), ..endpoint() };
        let regional = redirect(None, Some("eu-west-2")).endpoint(&aws, "k").expect("a place");
        assert_eq!(regional.host, "b.s3.eu-west-2.amazonaws.com");
        assert_eq!(redirect(None, None).endpoint(&endpoint(), "k"), None);
        assert_eq!(redirect(None, Some("eu-central-1")).endpoint(&endpoint(), "k"), None, "that was asked already");
    }

    #[test]
    fn a_secure_request_is_not_sent_on_without_tls() {
        let secure = Endpoint { origin: "https://127.0.0.1:8333".into(), ..endpoint() };
        assert_eq!(redirect(Some("http://other/k"), None).endpoint(&secure, "k"), None);
    }
}
