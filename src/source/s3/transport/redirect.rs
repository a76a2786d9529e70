//! Where a server sends a request on to: another address, or the same one with a signature for another region.

use http::Uri;

use super::site::Site;
use crate::transfer::error::SourceError;

/// What an answer says about where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub status: u16,
    /// The value of `Location`.
    pub location: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

impl Redirect {
    /// The place to ask instead of `from`, if it is another one. `key` is the encoded key, which the address ends with. A
    /// request that went over TLS is not sent on without.
    pub fn site(&self, from: &Site, key: &str) -> Option<Site> {
        let mut site = from.clone();
        if let Some(region) = &self.region {
            site.region.clone_from(region);
        }
        if let Some(location) = &self.location {
            let target: Uri = location.parse().ok()?;
            if let (Some(scheme), Some(host)) = (target.scheme_str(), target.authority()) {
                let downgraded = from.origin.starts_with("https:") && scheme != "https";
                if downgraded || !matches!(scheme, "http" | "https") || host.as_str().contains('@') {
                    return None;
                }
                site.origin = format!("{scheme}://{host}");
                site.host = host.as_str().to_owned();
            }
            site.path = target.path().strip_suffix(key)?.to_owned();
            return Some(site);
        }
        if site.host.ends_with(".amazonaws.com") || site.host.ends_with(".amazonaws.com.cn") {
            // Regional addresses name their region (AWS General Reference, "Amazon S3 endpoints").
            let (before, after) = (format!(".{}.", from.region), format!(".{}.", site.region));
            site.host = site.host.replace(&before, &after);
            site.origin = site.origin.replace(&before, &after);
        }
        (site != *from).then_some(site)
    }

    /// Whether later requests go there at once. 307 is about this one only (RFC 9110, 15.4.8).
    pub fn is_permanent(&self) -> bool {
        matches!(self.status, 301 | 308 | 400)
    }

    /// Nothing to follow, or followed once already.
    pub fn unfollowed(&self, key: &str) -> SourceError {
        let place = match (&self.location, &self.region) {
            (Some(location), _) => format!("sends the request to {}", location.split('?').next().unwrap_or_default()),
            (None, Some(region)) => format!("says that the bucket lies in the region {region}"),
            (None, None) => "sends the request elsewhere and does not say where".to_owned(),
        };
        let reason = format!("HTTP status {}: the server {place}", self.status);
        SourceError::Permanent { what: key.to_owned(), reason }
    }

    /// An address that does not answer is no outage of the provider.
    pub fn led_to(&self, site: &Site, error: SourceError) -> SourceError {
        match error {
            SourceError::Unreached { what, reason } => {
                let reason = format!("HTTP status {}: sent on to {}: {reason}", self.status, site.origin);
                SourceError::Transient { what, reason }
            }
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::site::tests::site, *};

    fn redirect(location: Option<&str>, region: Option<&str>) -> Redirect {
        Redirect { status: 307, location: location.map(str::to_owned), region: region.map(str::to_owned) }
    }

    #[test]
    fn a_redirect_names_an_address_or_a_region() {
        let to = |location: &str| redirect(Some(location), None).site(&site(), "a%20b");
        let other = to("https://bench.s3.eu-west-2.amazonaws.com/a%20b?x-id=GetObject").expect("a place");
        assert_eq!((other.origin.as_str(), other.path.as_str()), ("https://bench.s3.eu-west-2.amazonaws.com", "/"));
        assert_eq!(to("/elsewhere/a%20b").map(|site| (site.host, site.path)).expect("a place").1, "/elsewhere/");
        assert_eq!(to("http://other/another-object"), None, "it leads to another object");
        assert_eq!(to("ftp://other/a%20b"), None);
        let regional = redirect(None, Some("eu-west-2")).site(&site(), "k").expect("a place");
        assert_eq!((regional.region.as_str(), regional.host), ("eu-west-2", site().host));
        let aws = Site { host: "b.s3.eu-central-1.amazonaws.com".into(), ..site() };
        let regional = redirect(None, Some("eu-west-2")).site(&aws, "k").expect("a place");
        assert_eq!(regional.host, "b.s3.eu-west-2.amazonaws.com");
        assert_eq!(redirect(None, None).site(&site(), "k"), None);
        assert_eq!(redirect(None, Some("eu-central-1")).site(&site(), "k"), None, "that was asked already");
    }

    #[test]
    fn a_secure_request_is_not_sent_on_without_tls() {
        let secure = Site { origin: "https://127.0.0.1:8333".into(), ..site() };
        assert_eq!(redirect(Some("http://other/k"), None).site(&secure, "k"), None);
    }
}
