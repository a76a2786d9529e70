//! The properties of an object in the headers of a response.
//!
//! Source: Amazon S3 API reference, `GetObject`, "Response Elements". Names come in lower case. No header's content
//! is dropped: a value that is not text, or two different values, make its item unreadable, with the reason.

use std::collections::BTreeMap;

use crate::transfer::properties::{Item, Properties};

/// The prefix of user metadata.
const METADATA: &str = "x-amz-meta-";
/// The prefix of checksums, and the two headers with that name that are not checksums.
const CHECKSUM: &str = "x-amz-checksum-";

/// Sorts the headers of a GET or HEAD, each as often as it occurs. Also returns how many tags the object has.
pub(super) fn of_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> (Properties, u64) {
    let mut values = BTreeMap::<&str, Vec<&[u8]>>::new();
    for (name, value) in headers {
        values.entry(name).or_default().push(value);
    }
    let mut properties = Properties::default();
    let mut tags = 0;
    for (name, values) in values {
        let Some(item) = item_of(name) else { continue };
        match text_of(name, &values) {
            Ok(text) => tags += sort(name, text, &mut properties),
            Err(reason) => make_unreadable(&mut properties, item, reason),
        }
    }
    (properties, tags)
}

/// Which item a header belongs to; none if it describes nothing that is kept.
fn item_of(name: &str) -> Option<Item> {
    Some(match name {
        "content-type"
        | "content-encoding"
        | "content-language"
        | "content-disposition"
        | "cache-control"
        | "expires" => Item::ContentHeaders,
        "x-amz-website-redirect-location" => Item::WebsiteRedirect,
        "x-amz-replication-status" => Item::Replication,
        "x-amz-expiration" => Item::Expiration,
        "x-amz-restore" => Item::Restoration,
        "x-amz-missing-meta" => Item::MissingMetadata,
        "x-amz-tagging-count" => Item::Tags,
        name if name.starts_with("x-amz-server-side-encryption") => Item::Encryption,
        name if name.starts_with("x-amz-object-lock-") => Item::Lock,
        name if name.starts_with(METADATA) => Item::Metadata,
        name if name.starts_with(CHECKSUM) => Item::Checksums,
        _ => return None,
    })
}

/// The text of a header. Several values form one list where allowed (RFC 9110, 5.3), as S3 keeps metadata.
fn text_of(name: &str, values: &[&[u8]]) -> Result<String, String> {
    let texts = values.iter().map(|value| std::str::from_utf8(value)).collect::<Result<Vec<_>, _>>();
    let texts = texts.map_err(|_| format!("the value of {name} is not UTF-8"))?;
    let is_list =
        name.starts_with(METADATA) || matches!(name, "cache-control" | "content-encoding" | "content-language");
    match texts.as_slice() {
        [text] => Ok((*text).to_owned()),
        texts if is_list => Ok(texts.join(", ")),
        [first, others @ ..] if others.iter().all(|other| other == first) => Ok((*first).to_owned()),
        _ => Err(format!("{name} is given {} times, and differs", texts.len())),
    }
}

fn make_unreadable(properties: &mut Properties, item: Item, reason: String) {
    let reasons = properties.unreadable.entry(item).or_default();
    if !reasons.is_empty() {
        reasons.push_str("; ");
    }
    reasons.push_str(&reason);
}

/// Puts the text of a header where it belongs; the number of tags, if it is that one.
fn sort(name: &str, text: String, properties: &mut Properties) -> u64 {
    match name {
        "content-type" => properties.headers.content_type = Some(text),
        "content-encoding" => properties.headers.content_encoding = stored_encoding(&text),
        "content-language" => properties.headers.content_language = Some(text),
        "content-disposition" => properties.headers.content_disposition = Some(text),
        "cache-control" => properties.headers.cache_control = Some(text),
        "expires" => properties.headers.expires = Some(text),
        "x-amz-server-side-encryption" => properties.encryption.algorithm = Some(text),
        "x-amz-server-side-encryption-aws-kms-key-id" => properties.encryption.kms_key = Some(text),
        "x-amz-server-side-encryption-bucket-key-enabled" => properties.encryption.bucket_key = Some(text),
        "x-amz-server-side-encryption-customer-algorithm" => properties.encryption.customer_algorithm = Some(text),
        "x-amz-object-lock-mode" => properties.lock.mode = Some(text),
        "x-amz-object-lock-retain-until-date" => properties.lock.retain_until = Some(text),
        "x-amz-object-lock-legal-hold" => properties.lock.legal_hold = Some(text),
        "x-amz-website-redirect-location" => properties.website_redirect = Some(text),
        "x-amz-replication-status" => properties.replication = Some(text),
        "x-amz-expiration" => properties.expiration = Some(text),
        "x-amz-restore" => properties.restoration = Some(text),
        "x-amz-missing-meta" => match text.parse() {
            Ok(count) => properties.missing_metadata = Some(count).filter(|count| *count > 0),
            Err(_) => make_unreadable(properties, Item::Metadata, format!("{name} is no number")),
        },
        "x-amz-tagging-count" => match text.parse() {
            Ok(count) => return count,
            Err(_) => make_unreadable(properties, Item::Tags, format!("{name} is no number")),
        },
        _ => named(name, text, properties),
    }
    0
}

fn named(name: &str, value: String, properties: &mut Properties) {
    if let Some(name) = name.strip_prefix(METADATA) {
        properties.metadata.insert(name.to_owned(), value);
    } else if let Some(name) = name.strip_prefix(CHECKSUM) {
        properties.checksums.insert(name.to_owned(), value);
    }
}

/// `aws-chunked` is how the object was sent, not how it was stored.
fn stored_encoding(value: &str) -> Option<String> {
    let stored: Vec<_> = value.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    Some(stored.join(", ")).filter(|codings| !codings.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> (Properties, u64) {
        of_headers(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn headers_become_properties() {
        let (properties, tags) = of(&[
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
        assert!(properties.unreadable.is_empty());
    }

    #[test]
    fn text_outside_ascii_is_kept_and_what_is_no_text_is_unreadable() {
        let (properties, _) = of_headers([
            ("x-amz-meta-city", "Zürich".as_bytes()),
            ("content-disposition", "attachment; filename=\"Größe.txt\"".as_bytes()),
            ("x-amz-meta-l1", b"caf\xe9".as_slice()),
            ("x-amz-meta-l2", b"\xff".as_slice()),
            ("etag", b"\xff".as_slice()),
        ]);
        assert_eq!(properties.metadata["city"], "Zürich");
        assert_eq!(properties.headers.content_disposition.as_deref(), Some("attachment; filename=\"Größe.txt\""));
        assert!(!properties.metadata.contains_key("l1"));
        let reason = "the value of x-amz-meta-l1 is not UTF-8; the value of x-amz-meta-l2 is not UTF-8";
        assert_eq!(properties.unreadable, BTreeMap::from([(Item::Metadata, reason.to_owned())]));
    }

    #[test]
    fn repeated_headers_are_a_list_or_a_contradiction() {
        let (properties, tags) = of(&[
            ("x-amz-meta-a", "one"),
            ("x-amz-meta-a", "two"),
            ("cache-control", "no-cache"),
            ("cache-control", "private"),
            ("content-type", "text/csv"),
            ("content-type", "text/html"),
            ("expires", "0"),
            ("expires", "0"),
            ("x-amz-tagging-count", "many"),
            ("x-amz-missing-meta", "some"),
        ]);
        assert_eq!((properties.metadata["a"].as_str(), tags), ("one, two", 0));
        assert_eq!(properties.headers.cache_control.as_deref(), Some("no-cache, private"));
        assert_eq!(
            (properties.headers.content_type.as_deref(), properties.headers.expires.as_deref()),
            (None, Some("0"))
        );
        let unreadable: Vec<_> = properties.unreadable.keys().copied().collect();
        assert_eq!(unreadable, [Item::ContentHeaders, Item::Metadata, Item::Tags]);
    }
}
