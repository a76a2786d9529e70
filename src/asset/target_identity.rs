//! Whether the server that buckets or databases are restored into is distinct from the provider's. What never left the
//! provider proves no exit, and nothing may be written there. Reads only, before anything is written anywhere.
//!
//! An S3 server has many names, so three things are compared: the names, the addresses they resolve to, and, if
//! the target hold a bucket of the source's name, the contents of the two. PostgreSQL servers identify themselves.

use std::net::{SocketAddr, ToSocketAddrs as _};

use http::Uri;
use tokio::task::spawn_blocking;

use crate::{
    pg::{Address, identity},
    playbook::BucketSpec,
    provider::{aws::Aws, s3::S3Source},
    record::error::Obstacle,
    transfer::{
        error::SourceError,
        object::{ListPage, ObjectSource as _},
        retry::{Backoff, retry},
    },
};

/// Requests for one listing.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 1_000 };

/// Domains of the provider itself, of all of its partitions (AWS General Reference, "Service endpoints"; the SDKs'
/// `partitions.json`).
const AWS_DOMAINS: [&str; 11] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "api.aws",
    "aws.dev",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "sc2s.sgov.gov",
];

/// Why the S3 servers of target and provider are the same, by their names.
pub(crate) async fn s3_obstacle(source: &Aws, target: &Aws) -> Option<Obstacle> {
    let ours = target.s3_address();
    same_place(&source.s3_address(), &ours).await.map(|why| is_provider(&ours, &why))
}

/// The same, if the target has the bucket that is read.
pub(crate) async fn bucket_obstacle(bucket: &BucketSpec, source: &Aws, target: &Aws) -> Option<Obstacle> {
    let why = format!("it holds the bucket {} with the same objects of the same times", bucket.bucket);
    match is_same(bucket, source, target).await {
        Ok(is_same) => is_same.then(|| is_provider(&target.s3_address(), &why)),
        Err(error) => Some(Obstacle {
            what: format!("target.s3: whether {} is the provider is unknown: {error}", target.s3_address()),
            hint: Some(
                "run again when both servers list the bucket, or restore into files (`layout: tree` or `tar`)"
                    .to_owned(),
            ),
        }),
    }
}

fn is_provider(ours: &str, why: &str) -> Obstacle {
    Obstacle {
        what: format!("target.s3: {ours} is the provider that the buckets come from: {why}"),
        hint: Some(
            "name a server that is not the provider's, or restore into files (`layout: tree` or `tar`)".to_owned(),
        ),
    }
}

/// Why a database would be restored into the server that it is read from, or into the provider's. `source` is
/// where it is read, if that is known; `by_provider` whether the provider runs it.
pub(crate) fn database_obstacle(
    subject: &str,
    source: Option<&Address>,
    by_provider: bool,
    target: &Address,
) -> Option<Obstacle> {
    let same = source.and_then(|source| Some((source, identity::why_same(source, target)?)));
    let what = match same {
        Some((source, why)) => {
            format!("{subject}: target.postgres ({target}) is the server that it is read from ({source}): {why}")
        }
        None => {
            let is_aws = |address: &Address| address.hosts().iter().any(|host| is_aws(&host.to_ascii_lowercase()));
            let theirs = by_provider || source.is_some_and(is_aws);
            let inside = theirs && is_aws(target);
            inside.then(|| format!("{subject}: target.postgres ({target}) is AWS, the provider that it comes from"))?
        }
    };
    let hint = "name a server of yours outside the provider, made by initdb and not a copy of the source, or restore into \
                `postgres: {managed: true}`";
    Some(Obstacle { what, hint: Some(hint.to_owned()) })
}

/// Whether a host is the provider's by name.
fn is_aws(host: &str) -> bool {
    let below = |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    AWS_DOMAINS.iter().any(below)
}

/// Whether both names resolve to one server.
async fn same_place(theirs: &str, ours: &str) -> Option<String> {
    let theirs = Place::of(theirs)?;
    let ours = Place::of(ours)?;
    if theirs.is_aws() && ours.is_aws() {
        return Some(format!("{} is AWS", ours.host));
    }
    if theirs == ours {
        return Some("host and port are the same".to_owned());
    }
    let theirs = theirs.addresses().await;
    let ours = ours.addresses().await;
    let shared = ours.into_iter().find(|address| theirs.contains(address))?;
    Some(format!("both names lead to {shared}"))
}

/// The part of an endpoint that distinguishes servers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
}

impl Place {
    fn of(endpoint: &str) -> Option<Self> {
        let uri: Uri = endpoint.parse().ok()?;
        let plain = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        Some(Place { host: host.to_ascii_lowercase(), port: uri.port_u16().unwrap_or(plain) })
    }

    fn is_aws(&self) -> bool {
        is_aws(&self.host)
    }

    /// The addresses of the name; none if it can't be resolved, which the first request reports better.
    async fn addresses(self) -> Vec<SocketAddr> {
        let found = spawn_blocking(move || (self.host.as_str(), self.port).to_socket_addrs());
        found.await.ok().and_then(Result::ok).into_iter().flatten().collect()
    }
}

/// An error where one of the servers does not say.
async fn is_same(bucket: &BucketSpec, source: &Aws, target: &Aws) -> Result<bool, SourceError> {
    let [theirs, ours] =
        [source, target].map(|aws| S3Source::new(aws, bucket.bucket.as_str(), bucket.prefix.as_deref()));
    // Most targets have no bucket of that name, or don't show it: one request is enough then.
    let our_page = match retry(ATTEMPTS_MAX, BACKOFF, SourceError::is_passing, || ours.list(None)).await {
        Ok(page) => page,
        Err(error) if error.is_passing() => return Err(error),
        Err(_) => return Ok(false),
    };
    let their_page = retry(ATTEMPTS_MAX, BACKOFF, SourceError::is_passing, || theirs.list(None)).await?;
    let made = match (theirs.created().await, ours.created().await) {
        (Some(theirs), Some(ours)) => Some(theirs == ours),
        _ => None,
    };
    Ok(judge(&their_page, &our_page, made))
}

/// One bucket, seen twice: an object with the same time in both, and created at the same time as far as known. Others may
/// have been written between the two lists. For empty buckets only the time of their creation decides.
fn judge(theirs: &ListPage, ours: &ListPage, made_together: Option<bool>) -> bool {
    let shared = theirs.entries.iter().any(|entry| entry.last_modified.is_some() && ours.entries.contains(entry));
    match made_together {
        Some(false) => false,
        Some(true) => shared || theirs.entries.is_empty() && ours.entries.is_empty(),
        None => shared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::object::ObjectEntry;

    #[tokio::test]
    async fn one_server_under_two_names_is_found() {
        for (theirs, ours) in [
            ("http://10.0.0.5:9000", "http://10.0.0.5:9000/"),
            ("http://Store.example:80", "http://store.example."),
            ("http://127.0.0.1:8333", "http://localhost:8333"),
            ("https://s3.eu-central-1.amazonaws.com", "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com"),
            ("https://s3.eu-central-1.amazonaws.com", "https://s3.dualstack.eu-central-1.amazonaws.com:443"),
            ("https://s3.eusc-de-east-1.amazonaws.eu", "https://s3.eusc-de-west-1.amazonaws.eu"),
        ] {
            assert!(same_place(theirs, ours).await.is_some(), "{theirs} {ours}");
        }
        for (theirs, ours) in [
            ("http://127.0.0.1:8333", "http://127.0.0.1:9000"),
            ("https://s3.eu-central-1.amazonaws.com", "http://10.0.0.5:9000"),
            ("https://s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000"),
            ("http://127.0.0.1:8333", "https://notamazonaws.com.invalid"),
        ] {
            assert_eq!(same_place(theirs, ours).await, None, "{theirs} {ours}");
        }
    }

    #[test]
    fn a_copy_is_not_the_bucket_itself() {
        let page = |keys: &[(&str, &str)]| {
            let entry = |(key, time): &(&str, &str)| ObjectEntry {
                key: (*key).into(),
                last_modified: Some((*time).into()),
                ..ObjectEntry::default()
            };
            ListPage { entries: keys.iter().map(entry).collect(), ..ListPage::default() }
        };
        let theirs = page(&[("a", "monday")]);
        let copied = page(&[("a", "tuesday")]);
        let written = page(&[("a", "monday"), ("b", "now")]);
        assert!(judge(&theirs, &theirs, None) && judge(&theirs, &theirs, Some(true)));
        assert!(judge(&theirs, &written, None) && judge(&written, &theirs, Some(true)), "written to between the lists");
        assert!(!judge(&theirs, &theirs, Some(false)), "a copy that kept the times");
        assert!(!judge(&theirs, &copied, None) && !judge(&theirs, &copied, Some(true)));
        assert!(!judge(&page(&[]), &page(&[]), None) && judge(&page(&[]), &page(&[]), Some(true)));
    }
}
