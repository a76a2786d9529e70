//! Receipts: what the transfer of one unit observed. Counts, bytes, digests; never a row, never a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    object::ObjectEntry,
    properties::{Classes, Item, Properties},
};
use crate::digest::{RowTotals, Sha256Digest};

/// One object, or one version of an object, as it crossed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReceipt {
    /// The key at the provider.
    pub key: String,
    /// Where it was restored, relative to the asset's directory; empty for a delete marker.
    pub path: String,
    /// Bytes that crossed.
    pub size: u64,
    /// SHA-256 of those bytes, taken from the stream.
    pub sha256: Sha256Digest,
    /// The provider's entity tag, without quotes, as listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The version that was read, where the bucket has versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Where it stands among the versions of its key, where all versions are carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionMark>,
    /// RFC 3339, as the provider lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Storage class as listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether a checksum of the provider's own confirmed the bytes.
    pub provider_checksum: Confirmation,
    /// Where in an archive or a bucket it lies, if it is no file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
    /// What the provider keeps beside the bytes.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// What became of each of them.
    #[serde(default, skip_serializing_if = "Classes::is_empty")]
    pub classes: Classes,
    /// The number of the unit that it came in; none in receipts of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u64>,
}

impl ObjectReceipt {
    /// The receipt of an object whose bytes crossed, without properties.
    pub fn new(entry: ObjectEntry, path: String, size: u64, sha256: Sha256Digest, word: Confirmation) -> Self {
        ObjectReceipt {
            key: entry.key,
            path,
            size,
            sha256,
            etag: entry.etag,
            version_id: entry.version_id,
            version: entry.version,
            last_modified: entry.last_modified,
            storage_class: entry.storage_class,
            provider_checksum: word,
            within: None,
            properties: Properties::default(),
            classes: Classes::default(),
            unit: None,
        }
    }

    /// The record of a delete marker: a place in the order, and no bytes.
    pub fn of_marker(entry: ObjectEntry) -> Self {
        let word = Confirmation::Unavailable("a delete marker has no bytes".to_owned());
        let mut receipt = Self::new(entry, String::new(), 0, Sha256Digest::of(""), word);
        receipt.classes.recorded.push(Item::DeleteMarker);
        receipt
    }

    /// Adds what the provider keeps beside the bytes, classified by what the sink restores of it.
    #[must_use]
    pub fn with_properties(mut self, properties: Properties, carried: &[Item]) -> Self {
        self.classes = Classes::of(&self, &properties, carried);
        self.properties = properties;
        self
    }

    /// Whether this is the record of a delete marker, which has no bytes.
    pub fn is_marker(&self) -> bool {
        self.version.is_some_and(|mark| mark.delete_marker)
    }

    /// The file or the key at the target that holds it.
    pub fn file(&self) -> &str {
        match &self.within {
            None => &self.path,
            Some(Within::Archive { name, .. }) => name,
            Some(Within::Bucket { key, .. }) => key,
        }
    }

    /// What receipts are sorted by: the key's bytes, then the newest version first.
    pub fn rank(&self) -> (&str, u64, &str) {
        let order = self.version.map_or(0, |mark| mark.order);
        (&self.key, order, self.version_id.as_deref().unwrap_or_default())
    }
}

/// Where a version stands among those of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionMark {
    /// 0 for the newest, as listed when it was carried.
    pub order: u64,
    /// Whether a plain GET answers with this one.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_marker: bool,
}

/// Where a restored object lies that is no file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// A member of a tar archive in the asset's directory.
    Archive {
        /// The archive's file name.
        name: String,
        /// Where the member's first header begins, in bytes.
        offset: u64,
    },
    /// An object of the target's bucket.
    Bucket {
        /// The bucket.
        name: String,
        /// The key there.
        key: String,
    },
}

/// What the provider's own checksum said about the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// The named checksum was computed over the bytes and agrees.
    Confirmed(ChecksumKind),
    /// The named checksum contradicts the bytes, after every attempt.
    Contradicted(ChecksumKind),
    /// There was none that could be computed over the whole object; why.
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
    /// The header `Content-MD5` of an answer, base64.
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

/// One table as it crossed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableReceipt {
    /// `schema.table`, each part as the catalog spells it.
    pub table: String,
    /// The statement that copies it out; also the context of the row digest.
    pub copy_sql: String,
    /// Rows, bytes and keyed digest of the stream that left the source.
    pub stream: RowTotals,
    /// `count(*)` at the source in the same snapshot, counted by the server.
    pub source_count: u64,
    /// Rows that the source said it sent, each in a message of its own.
    pub sent_rows: u64,
    /// Rows that the target said it accepted.
    pub accepted_rows: u64,
    /// The spooled exports, in the order of the ranges.
    pub exports: Vec<ExportReceipt>,
    /// Milliseconds from the first byte to the target's acceptance.
    pub duration_ms: u64,
    /// What was read of the columns that the target computes anew, if the table has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedReceipt>,
}

/// The rows of a table as they are with the stored values of its generated columns, which are not loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratedReceipt {
    /// The generated columns.
    pub columns: Vec<String>,
    /// The statement that copies the rows out with them; also the context of the row digest.
    pub copy_sql: String,
    /// Rows, bytes and keyed digest.
    pub totals: RowTotals,
}

/// One range of a table as it was spooled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportReceipt {
    /// The file, relative to the asset's directory.
    pub path: String,
    /// SHA-256 of the file, which holds the rows in the order in which they left the source.
    pub sha256: Sha256Digest,
    /// Rows, bytes and keyed digest of the range.
    pub totals: RowTotals,
    /// The range's first block at the source; none if it begins with the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_block: Option<u64>,
    /// The block after the range's last; none if it ends with the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_block: Option<u64>,
}
