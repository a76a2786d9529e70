//! The checksums that a provider keeps of an object, and their comparison with the bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A checksum that the provider keeps over the whole object, or over the checksums of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderChecksum {
    /// The algorithm.
    pub kind: ChecksumKind,
    /// The raw bytes, decoded from base64 or hexadecimal. What can't be decoded is empty, and contradicts any object.
    pub value: Vec<u8>,
    /// For a checksum over the checksums of parts, how the object was cut into them.
    pub parts: Parts,
}

/// How an object was cut into the parts that its provider's checksum is computed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// The checksum is over the whole object.
    #[default]
    None,
    /// The bytes of each part, as listed by the provider.
    Listed(Vec<u64>),
    /// The bytes of each part but the last, guessed: agreement is a proof, a difference is none.
    Guessed(u64),
}

/// The provider's statement about an object's content: the checksums to confirm, at least one, or why there is none.
pub type StatedChecksums = Result<Vec<ProviderChecksum>, String>;

/// The comparison of the provider's checksum with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// The named checksum was computed over the bytes and agrees.
    Confirmed(ChecksumKind),
    /// The named checksum contradicts the bytes, after every attempt.
    Contradicted(ChecksumKind),
    /// There was none that could be computed over the whole object; the reason.
    Unavailable(String),
}

/// A checksum that providers keep for a whole object.
/// Source: Amazon S3 User Guide, "Checking object integrity in Amazon S3".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumKind {
    /// CRC-64/NVME, base64 of eight bytes.
    Crc64nvme,
    /// CRC-32C (Castagnoli), base64 of four bytes.
    Crc32c,
    /// CRC-32 (ISO-HDLC), base64 of four bytes.
    Crc32,
    /// SHA-1, base64.
    Sha1,
    /// SHA-256, base64.
    Sha256,
    /// The header `Content-MD5` of a response, base64.
    ContentMd5,
    /// The entity tag of an object put in one part without KMS or customer keys, hexadecimal.
    Md5Etag,
    /// The entity tag of a multipart upload: the MD5 of the parts' MD5s, then `-` and their number.
    MultipartEtag,
    /// The CRC-32 of the parts' CRC-32s.
    CompositeCrc32,
    /// The CRC-32C of the parts' CRC-32Cs.
    CompositeCrc32c,
    /// The SHA-1 of the parts' SHA-1s.
    CompositeSha1,
    /// The SHA-256 of the parts' SHA-256s.
    CompositeSha256,
}

impl ChecksumKind {
    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            ChecksumKind::Crc64nvme => "CRC-64/NVME",
            ChecksumKind::Crc32c => "CRC-32C",
            ChecksumKind::Crc32 => "CRC-32",
            ChecksumKind::Sha1 => "SHA-1",
            ChecksumKind::Sha256 => "SHA-256",
            ChecksumKind::ContentMd5 => "Content-MD5",
            ChecksumKind::Md5Etag => "MD5 entity tag",
            ChecksumKind::MultipartEtag => "entity tag of its parts",
            ChecksumKind::CompositeCrc32 => "CRC-32 of its parts",
            ChecksumKind::CompositeCrc32c => "CRC-32C of its parts",
            ChecksumKind::CompositeSha1 => "SHA-1 of its parts",
            ChecksumKind::CompositeSha256 => "SHA-256 of its parts",
        }
    }
}
