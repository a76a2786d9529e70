//! Which of the checksums that S3 keeps can be computed over the object.
//!
//! Source: Amazon S3 User Guide, "Checking object integrity": full-object and composite checksums; "Common response
//! headers": an entity tag is the MD5 of the object only when it was put in one part without KMS or customer keys.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::transfer::{
    object::{Parts, ProviderChecksum},
    receipt::ChecksumKind,
};

/// A checksum in the headers of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// A checksum over the whole object.
    Whole(ProviderChecksum),
    /// A checksum over the checksums of this many parts, whose sizes have to be queried.
    OfParts { kind: ChecksumKind, value: Vec<u8>, count: u64 },
}

/// The headers that hold checksums.
const VALUES: [(ChecksumKind, &str); 5] = [
    (ChecksumKind::Crc64nvme, "x-amz-checksum-crc64nvme"),
    (ChecksumKind::Crc32c, "x-amz-checksum-crc32c"),
    (ChecksumKind::Crc32, "x-amz-checksum-crc32"),
    (ChecksumKind::Sha256, "x-amz-checksum-sha256"),
    (ChecksumKind::Sha1, "x-amz-checksum-sha1"),
];

/// The checksum headers of a response about the stored object.
struct Stored<'a> {
    /// Each checksum as often as it is given.
    values: Vec<(ChecksumKind, &'a str)>,
    content_md5: Vec<&'a str>,
    composite: bool,
    etag: Option<&'a str>,
    opaque_etag: bool,
}

/// The checksums in a response's headers about a whole object (S3 API reference, `GetObject` and `HeadObject`), at least
/// one; `values` returns those of a header.
///
/// # Errors
/// Why there is none that could be computed.
pub(super) fn of_headers<'a>(values: impl Fn(&str) -> Vec<&'a str>) -> Result<Vec<Offer>, &'static str> {
    let text = |name: &str| values(name).first().copied();
    let encryption = text("x-amz-server-side-encryption");
    let of = |(kind, name): (ChecksumKind, &str)| values(name).into_iter().map(move |value| (kind, value));
    let stored = Stored {
        values: VALUES.into_iter().flat_map(of).collect(),
        content_md5: values("content-md5"),
        composite: text("x-amz-checksum-type") == Some("COMPOSITE"),
        etag: text("etag").map(|etag| etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')),
        opaque_etag: text("x-amz-server-side-encryption-customer-algorithm").is_some()
            || encryption.is_some_and(|algorithm| algorithm.starts_with("aws:kms")),
    };
    stored.offers()
}

/// The checksum in an entity tag that is the MD5 of the object.
pub(super) fn of_md5(etag: &str) -> Option<Offer> {
    let value = md5_of(etag)?;
    Some(Offer::Whole(ProviderChecksum { kind: ChecksumKind::Md5Etag, value, parts: Parts::None }))
}

impl Stored<'_> {
    /// All checksums that are given. An entity tag serves where no other is kept: only some servers make it of the content.
    /// Content-MD5 says nothing about what is kept: it may be made of whatever is sent.
    fn offers(&self) -> Result<Vec<Offer>, &'static str> {
        let mut offers: Vec<_> = self.values.iter().filter_map(|(kind, text)| self.offer(*kind, text)).collect();
        if offers.is_empty() {
            offers
                .extend(self.etag.filter(|_| !self.opaque_etag).and_then(|tag| of_md5(tag).or_else(|| of_parts(tag))));
        }
        offers.extend(self.content_md5.iter().map(|text| whole(ChecksumKind::ContentMd5, text)));
        if offers.is_empty() { Err(self.why_none()) } else { Ok(offers) }
    }

    /// For a checksum over parts, their number follows the value, or the entity tag.
    fn offer(&self, kind: ChecksumKind, text: &str) -> Option<Offer> {
        let count = match text.split_once('-').map(|(_, count)| count.parse()) {
            None if !self.composite => return Some(whole(kind, text)),
            None => parts_of(self.etag?)?,
            Some(Ok(count)) => count,
            // No base64 either.
            Some(Err(_)) => return Some(whole(kind, text)),
        };
        let digits = text.split('-').next().unwrap_or_default();
        Some(Offer::OfParts { kind: composite(kind)?, value: decoded(digits), count })
    }

    fn why_none(&self) -> &'static str {
        if self.opaque_etag {
            "encrypted with KMS or a customer's key: the entity tag is not the MD5"
        } else if !self.values.is_empty() {
            "the provider gives one of parts, and not of how many or how it is made of them"
        } else {
            "the provider gives none"
        }
    }
}

fn whole(kind: ChecksumKind, text: &str) -> Offer {
    Offer::Whole(ProviderChecksum { kind, value: decoded(text), parts: Parts::None })
}

/// Empty if it can't be decoded, which contradicts any object.
fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap_or_default()
}

/// The checksum in the entity tag of a multipart upload.
fn of_parts(etag: &str) -> Option<Offer> {
    let (digits, _) = etag.split_once('-')?;
    Some(Offer::OfParts { kind: ChecksumKind::MultipartEtag, value: md5_of(digits)?, count: parts_of(etag)? })
}

/// There is no composite CRC-64/NVME.
fn composite(kind: ChecksumKind) -> Option<ChecksumKind> {
    match kind {
        ChecksumKind::Crc32 => Some(ChecksumKind::CompositeCrc32),
        ChecksumKind::Crc32c => Some(ChecksumKind::CompositeCrc32c),
        ChecksumKind::Sha1 => Some(ChecksumKind::CompositeSha1),
        ChecksumKind::Sha256 => Some(ChecksumKind::CompositeSha256),
        _ => None,
    }
}

fn md5_of(digits: &str) -> Option<Vec<u8>> {
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(plain.then(|| u128::from_str_radix(digits, 16).ok())??.to_be_bytes().to_vec())
}

fn parts_of(etag: &str) -> Option<u64> {
    etag.split_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "\"25f9e794323b453885f5181f1b624d0b\"";
    const MULTIPART: &str = "\"25f9e794323b453885f5181f1b624d0b-2\"";

    fn offers(etag: &'static str, others: &[(&'static str, &'static str)]) -> Vec<(ChecksumKind, u64)> {
        let values = |name: &str| match name {
            "etag" => vec![etag],
            name => others.iter().filter(|(other, _)| *other == name).map(|(_, value)| *value).collect(),
        };
        let kind_of = |offer| match offer {
            Offer::Whole(checksum) => (checksum.kind, 0),
            Offer::OfParts { kind, count, .. } => (kind, count),
        };
        of_headers(values).unwrap_or_default().into_iter().map(kind_of).collect()
    }

    fn offer(etag: &'static str, others: &[(&'static str, &'static str)]) -> Option<(ChecksumKind, u64)> {
        let offers = offers(etag, others);
        assert!(offers.len() < 2, "{offers:?}");
        offers.first().copied()
    }

    #[test]
    fn all_checksums_that_are_given_are_offered() {
        let crc32 = ("x-amz-checksum-crc32", "y/Q5Jg==");
        let given = [crc32, ("x-amz-checksum-crc32", "!"), ("x-amz-checksum-sha256", "AAAA"), ("content-md5", "")];
        let kinds = [ChecksumKind::Crc32, ChecksumKind::Crc32, ChecksumKind::Sha256, ChecksumKind::ContentMd5];
        assert_eq!(offers(MD5, &given), kinds.map(|kind| (kind, 0)));
        assert_eq!(offers(MD5, &[("content-md5", "")]), [(ChecksumKind::Md5Etag, 0), (ChecksumKind::ContentMd5, 0)]);
        assert_eq!(offers("opaque", &[("content-md5", "")]), [(ChecksumKind::ContentMd5, 0)]);
        assert_eq!(offers(MD5, &[("x-amz-checksum-crc32", "AAAA-x")]), [(ChecksumKind::Crc32, 0)]);
        let parts = ("x-amz-checksum-sha1", "y/Q5Jg==-3");
        assert_eq!(offers(MD5, &[crc32, parts]), [(ChecksumKind::Crc32, 0), (ChecksumKind::CompositeSha1, 3)]);
        assert_eq!(decoded("!"), b"");
    }

    #[test]
    fn a_full_object_checksum_comes_before_the_entity_tag() {
        assert_eq!(offer(MD5, &[]), Some((ChecksumKind::Md5Etag, 0)));
        assert_eq!(offer(MD5, &[("x-amz-checksum-crc32", "y/Q5Jg==")]), Some((ChecksumKind::Crc32, 0)));
        assert_eq!(
            offer(MULTIPART, &[("x-amz-checksum-crc64nvme", "rosUhgp5mIg=")]),
            Some((ChecksumKind::Crc64nvme, 0))
        );
    }

    #[test]
    fn checksums_over_parts_say_how_many_there_are() {
        let composite = ("x-amz-checksum-type", "COMPOSITE");
        assert_eq!(offer(MULTIPART, &[]), Some((ChecksumKind::MultipartEtag, 2)));
        assert_eq!(
            offer(MULTIPART, &[("x-amz-checksum-crc32", "y/Q5Jg==-2")]),
            Some((ChecksumKind::CompositeCrc32, 2))
        );
        assert_eq!(
            offer(MULTIPART, &[("x-amz-checksum-sha1", "y/Q5Jg=="), composite]),
            Some((ChecksumKind::CompositeSha1, 2))
        );
    }

    #[test]
    fn an_entity_tag_under_kms_or_a_customer_key_is_no_md5() {
        for etag in [MD5, MULTIPART] {
            assert_eq!(offer(etag, &[("x-amz-server-side-encryption", "aws:kms")]), None);
            assert_eq!(offer(etag, &[("x-amz-server-side-encryption-customer-algorithm", "AES256")]), None);
        }
    }
}
