//! Which of the checksums that S3 keeps can be computed over the whole object.
//!
//! Source: Amazon S3 User Guide, "Checking object integrity": full-object and composite checksums; "Common response
//! headers": an entity tag is the MD5 of the object only when it was put in one part without KMS or customer keys.

use aws_sdk_s3::{
    operation::{get_object::GetObjectOutput, head_object::HeadObjectOutput},
    types::{ChecksumType, ServerSideEncryption},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::transfer::{
    object::{ProviderChecksum, ProviderWord},
    receipt::ChecksumKind,
};

/// What an answer says about the stored object.
struct Stored<'a> {
    values: [(ChecksumKind, Option<&'a str>); 5],
    composite: bool,
    etag: Option<&'a str>,
    opaque_etag: bool,
}

macro_rules! stored {
    ($answer:expr) => {
        Stored {
            values: [
                (ChecksumKind::Crc64nvme, $answer.checksum_crc64_nvme()),
                (ChecksumKind::Crc32c, $answer.checksum_crc32_c()),
                (ChecksumKind::Crc32, $answer.checksum_crc32()),
                (ChecksumKind::Sha256, $answer.checksum_sha256()),
                (ChecksumKind::Sha1, $answer.checksum_sha1()),
            ],
            composite: $answer.checksum_type() == Some(&ChecksumType::Composite),
            etag: $answer.e_tag(),
            opaque_etag: $answer.sse_customer_algorithm().is_some()
                || matches!(
                    $answer.server_side_encryption(),
                    Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
                ),
        }
    };
}

/// The word of a GET of the whole object.
pub fn of_get(answer: &GetObjectOutput) -> ProviderWord {
    stored!(answer).word()
}

/// The word of a HEAD.
pub fn of_head(answer: &HeadObjectOutput) -> ProviderWord {
    stored!(answer).word()
}

impl Stored<'_> {
    fn word(&self) -> ProviderWord {
        self.full_checksum().or_else(|| self.md5()).ok_or_else(|| self.why_none().to_owned())
    }

    fn full_checksum(&self) -> Option<ProviderChecksum> {
        let full = |text: &&str| !self.composite && !text.contains('-');
        self.values.iter().find_map(|(kind, text)| {
            let value = BASE64_STANDARD.decode(text.filter(full)?).ok()?;
            Some(ProviderChecksum { kind: *kind, value })
        })
    }

    fn md5(&self) -> Option<ProviderChecksum> {
        let digits = self.etag?.trim_matches('"');
        let plain = digits.len() == 32 && !self.opaque_etag;
        let value = plain.then(|| u128::from_str_radix(digits, 16).ok())??.to_be_bytes().to_vec();
        Some(ProviderChecksum { kind: ChecksumKind::Md5Etag, value })
    }

    fn why_none(&self) -> &'static str {
        if self.values.iter().any(|(_, value)| value.is_some()) {
            "composite checksum: needs the part list"
        } else if self.etag.is_some_and(|etag| etag.contains('-')) {
            "multipart entity tag: needs the part list"
        } else if self.opaque_etag {
            "encrypted with KMS or a customer's key: the entity tag is not the MD5"
        } else {
            "the provider gives none"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::operation::get_object::builders::GetObjectOutputBuilder;

    const MD5: &str = "\"25f9e794323b453885f5181f1b624d0b\"";
    const MULTIPART: &str = "\"25f9e794323b453885f5181f1b624d0b-2\"";

    fn kind(etag: &str, change: impl FnOnce(GetObjectOutputBuilder) -> GetObjectOutputBuilder) -> Option<ChecksumKind> {
        let answer = change(GetObjectOutput::builder().e_tag(etag)).build();
        of_get(&answer).ok().map(|checksum| checksum.kind)
    }

    #[test]
    fn a_full_object_checksum_comes_before_the_entity_tag() {
        assert_eq!(kind(MD5, |answer| answer), Some(ChecksumKind::Md5Etag));
        assert_eq!(kind(MD5, |answer| answer.checksum_crc32("y/Q5Jg==")), Some(ChecksumKind::Crc32));
    }

    #[test]
    fn composite_multipart_and_encrypted_objects_have_no_word() {
        assert_eq!(kind(MULTIPART, |answer| answer), None);
        assert_eq!(kind(MULTIPART, |answer| answer.checksum_crc32("y/Q5Jg==-2")), None);
        let composite = ChecksumType::Composite;
        assert_eq!(kind(MULTIPART, |answer| answer.checksum_crc32("y/Q5Jg==").checksum_type(composite)), None);
        assert_eq!(kind(MD5, |answer| answer.server_side_encryption(ServerSideEncryption::AwsKms)), None);
    }
}
