//! Which of the checksums that S3 keeps can be computed over the object.
//!
//! Source: Amazon S3 User Guide, "Checking object integrity": full-object and composite checksums; "Common response
//! headers": an entity tag is the MD5 of the object only when it was put in one part without KMS or customer keys.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::transfer::{
    object::{Parts, ProviderChecksum},
    receipt::ChecksumKind,
};

/// What the headers of an answer offer.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// A checksum over the whole object.
    Whole(ProviderChecksum),
    /// A checksum over the checksums of so many parts, whose sizes have to be asked for.
    OfParts { kind: ChecksumKind, value: Vec<u8>, count: u64 },
    /// None that could be computed, and why.
    Nothing(&'static str),
}

/// What an answer says about the stored object.
struct Stored<'a> {
    values: [(ChecksumKind, Option<&'a str>); 5],
    composite: bool,
    etag: Option<&'a str>,
    opaque_etag: bool,
}

/// The offer in the headers of an answer about a whole object (S3 API reference, `GetObject` and `HeadObject`).
pub fn of_headers<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Offer {
    let encryption = text("x-amz-server-side-encryption");
    let stored = Stored {
        values: [
            (ChecksumKind::Crc64nvme, text("x-amz-checksum-crc64nvme")),
            (ChecksumKind::Crc32c, text("x-amz-checksum-crc32c")),
            (ChecksumKind::Crc32, text("x-amz-checksum-crc32")),
            (ChecksumKind::Sha256, text("x-amz-checksum-sha256")),
            (ChecksumKind::Sha1, text("x-amz-checksum-sha1")),
        ],
        composite: text("x-amz-checksum-type") == Some("COMPOSITE"),
        etag: text("etag").map(|etag| etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')),
        opaque_etag: text("x-amz-server-side-encryption-customer-algorithm").is_some()
            || encryption.is_some_and(|algorithm| algorithm.starts_with("aws:kms")),
    };
    stored.offer()
}

impl Stored<'_> {
    fn offer(&self) -> Offer {
        let whole = self.full_checksum().or_else(|| self.md5());
        let offer = whole.map(Offer::Whole).or_else(|| self.composite_checksum()).or_else(|| self.multipart_etag());
        offer.unwrap_or_else(|| Offer::Nothing(self.why_none()))
    }

    fn full_checksum(&self) -> Option<ProviderChecksum> {
        let full = |text: &&str| !self.composite && !text.contains('-');
        self.values.iter().find_map(|(kind, text)| {
            let value = BASE64_STANDARD.decode(text.filter(full)?).ok()?;
            Some(ProviderChecksum { kind: *kind, value, parts: Parts::None })
        })
    }

    fn md5(&self) -> Option<ProviderChecksum> {
        let value = md5_of(self.etag?).filter(|_| !self.opaque_etag)?;
        Some(ProviderChecksum { kind: ChecksumKind::Md5Etag, value, parts: Parts::None })
    }

    /// The number of parts stands behind the value, or behind the entity tag.
    fn composite_checksum(&self) -> Option<Offer> {
        self.values.iter().find_map(|(kind, text)| {
            let text = (*text)?;
            let (digits, count) = text.split_once('-').unwrap_or((text, ""));
            let count = count.parse().ok().or_else(|| parts_of(self.etag?))?;
            let value = BASE64_STANDARD.decode(digits).ok()?;
            Some(Offer::OfParts { kind: composite(*kind)?, value, count })
        })
    }

    fn multipart_etag(&self) -> Option<Offer> {
        let (digits, _) = self.etag?.split_once('-').filter(|_| !self.opaque_etag)?;
        Some(Offer::OfParts { kind: ChecksumKind::MultipartEtag, value: md5_of(digits)?, count: parts_of(self.etag?)? })
    }

    fn why_none(&self) -> &'static str {
        if self.opaque_etag {
            "encrypted with KMS or a customer's key: the entity tag is not the MD5"
        } else {
            "the provider gives none"
        }
    }
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

    fn offer(etag: &'static str, others: &[(&'static str, &'static str)]) -> Option<(ChecksumKind, u64)> {
        let text = |name: &str| match name {
            "etag" => Some(etag),
            name => others.iter().find(|(other, _)| *other == name).map(|(_, value)| *value),
        };
        match of_headers(text) {
            Offer::Whole(checksum) => Some((checksum.kind, 0)),
            Offer::OfParts { kind, count, .. } => Some((kind, count)),
            Offer::Nothing(_) => None,
        }
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
