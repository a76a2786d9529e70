//! What the headers of an answer say about an object beside its bytes.
//!
//! Source: Amazon S3 API reference, `GetObject`, "Response Elements". Names come in lower case.

use crate::transfer::properties::Properties;

/// The prefix of user metadata.
const METADATA: &str = "x-amz-meta-";
/// The prefix of checksums, and the two headers of that name that are none.
const CHECKSUM: &str = "x-amz-checksum-";

/// Sorts the headers of a GET or HEAD. Says also how many tags the object has.
pub fn of_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Properties, u64) {
    let (mut properties, mut tags) = (Properties::default(), 0);
    for (name, value) in headers {
        let kept = || Some(value.to_owned());
        match name {
            "content-type" => properties.headers.content_type = kept(),
            "content-encoding" => properties.headers.content_encoding = stored_encoding(value),
            "content-language" => properties.headers.content_language = kept(),
            "content-disposition" => properties.headers.content_disposition = kept(),
            "cache-control" => properties.headers.cache_control = kept(),
            "expires" => properties.headers.expires = kept(),
            "x-amz-server-side-encryption" => properties.encryption.algorithm = kept(),
            "x-amz-server-side-encryption-aws-kms-key-id" => properties.encryption.kms_key = kept(),
            "x-amz-server-side-encryption-bucket-key-enabled" => properties.encryption.bucket_key = kept(),
            "x-amz-server-side-encryption-customer-algorithm" => properties.encryption.customer_algorithm = kept(),
            "x-amz-object-lock-mode" => properties.lock.mode = kept(),
            "x-amz-object-lock-retain-until-date" => properties.lock.retain_until = kept(),
            "x-amz-object-lock-legal-hold" => properties.lock.legal_hold = kept(),
            "x-amz-website-redirect-location" => properties.website_redirect = kept(),
            "x-amz-replication-status" => properties.replication = kept(),
            "x-amz-expiration" => properties.expiration = kept(),
            "x-amz-restore" => properties.restoration = kept(),
            "x-amz-missing-meta" => properties.missing_metadata = value.parse().ok().filter(|count| *count > 0),
            "x-amz-tagging-count" => tags = value.parse().unwrap_or_default(),
            _ => named(name, value, &mut properties),
        }
    }
    (properties, tags)
}

fn named(name: &str, value: &str, properties: &mut Properties) {
    if let Some(name) = name.strip_prefix(METADATA) {
        properties.metadata.insert(name.to_owned(), value.to_owned());
    } else if let Some(name) = name.strip_prefix(CHECKSUM) {
        properties.checksums.insert(name.to_owned(), value.to_owned());
    }
}

/// `aws-chunked` is how the object was sent, not what was stored.
fn stored_encoding(value: &str) -> Option<String> {
    let stored: Vec<_> = value.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    Some(stored.join(", ")).filter(|codings| !codings.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_properties() {
        let (properties, tags) = of_headers([
            ("content-type", "text/csv"),
            ("content-encoding", "gzip,aws-chunked"),
            ("x-amz-meta-owner", "finance"),
            ("x-amz-missing-meta", "2"),
            ("x-amz-tagging-count", "3"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("server", "x"),
        ]);
        assert_eq!(tags, 3);
        assert_eq!(properties.headers.content_type.as_deref(), Some("text/csv"));
        assert_eq!(properties.headers.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(properties.metadata["owner"], "finance");
        assert_eq!((properties.missing_metadata, properties.lock.mode.as_deref()), (Some(2), Some("GOVERNANCE")));
        assert_eq!(properties.checksums["crc32"], "y/Q5Jg==");
    }
}
