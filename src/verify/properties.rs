//! The properties of a restored object, compared with the provider's.

use jiff::Timestamp;

use super::archive::Member;
use crate::transfer::{
    properties::{ContentHeaders, Item, Properties},
    receipt::ObjectReceipt,
};

/// The names of the properties in an archive member's records that differ from the receipt, of those carried.
pub(super) fn differing_member(receipt: &ObjectReceipt, member: &Member) -> Vec<String> {
    // Receipts of the first versions classify nothing.
    if receipt.classes.is_empty() {
        return Vec::new();
    }
    let records = &member.records;
    let mut differ = differing(&receipt.properties, &records.properties);
    if receipt.properties.checksums != records.properties.checksums {
        differ.push("checksums".to_owned());
    }
    if differ.is_empty() && receipt.properties != records.properties {
        differ.push("other properties".to_owned());
    }
    if records.key.as_ref() != Some(&receipt.key) {
        differ.push("the key".to_owned());
    }
    if receipt.version_id != records.version_id {
        differ.push("the version".to_owned());
    }
    let modified = receipt.last_modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let modified_s = modified.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or_default();
    if receipt.classes.carried.contains(&Item::LastModified) && modified_s != member.modified_s {
        differ.push("the time of the last change".to_owned());
    }
    differ
}

/// The names of the properties that differ on a server of the target, of those restored there. Values are not shown: they
/// may be confidential.
pub(super) fn differing(carried: &Properties, there: &Properties) -> Vec<String> {
    let mut differ: Vec<_> = headers(&carried.headers, &there.headers).into_iter().map(str::to_owned).collect();
    let maps = [("metadata", &carried.metadata, &there.metadata), ("tag", &carried.tags, &there.tags)];
    for (what, carried, there) in maps {
        let mut names: Vec<_> = carried.keys().chain(there.keys()).collect();
        names.sort();
        names.dedup();
        let other = names.into_iter().filter(|name| carried.get(*name) != there.get(*name));
        differ.extend(other.map(|name| format!("{what} {name}")));
    }
    if carried.website_redirect != there.website_redirect {
        differ.push("the website's redirection".to_owned());
    }
    differ
}

/// A server may add a default type (RFC 9110, 8.3), which contradicts nothing.
fn headers(carried: &ContentHeaders, there: &ContentHeaders) -> Vec<&'static str> {
    let lacks_type = carried.content_type.is_none();
    [
        ("Content-Type", &carried.content_type, &there.content_type),
        ("Content-Encoding", &carried.content_encoding, &there.content_encoding),
        ("Content-Language", &carried.content_language, &there.content_language),
        ("Content-Disposition", &carried.content_disposition, &there.content_disposition),
        ("Cache-Control", &carried.cache_control, &there.cache_control),
        ("Expires", &carried.expires, &there.expires),
    ]
    .into_iter()
    .filter(|(name, carried, there)| carried != there && !(lacks_type && *name == "Content-Type"))
    .map(|(name, ..)| name)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Properties {
        let mut properties = Properties::default();
        properties.headers.cache_control = Some("no-store".to_owned());
        properties.metadata.insert("owner".to_owned(), "finance".to_owned());
        properties.tags.insert("class".to_owned(), "secret".to_owned());
        properties
    }

    #[test]
    fn each_part_that_is_restored_is_compared_and_told_by_name_only() {
        let carried = described();
        assert_eq!(differing(&carried, &described()), Vec::<String>::new());
        let mut there = described();
        there.headers.cache_control = None;
        there.metadata.insert("owner".to_owned(), "sales".to_owned());
        there.tags = [("more".to_owned(), String::new())].into();
        there.website_redirect = Some("/".to_owned());
        let told = ["Cache-Control", "metadata owner", "tag class", "tag more", "the website's redirection"];
        assert_eq!(differing(&carried, &there), told);
    }

    #[test]
    fn a_type_that_the_server_invents_contradicts_nothing() {
        let mut there = described();
        there.headers.content_type = Some("binary/octet-stream".to_owned());
        assert!(differing(&described(), &there).is_empty());
        assert_eq!(differing(&there, &described()), ["Content-Type"]);
    }
}
