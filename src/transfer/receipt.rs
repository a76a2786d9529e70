//! Receipts: what the transfer of one unit observed. Counts, bytes, digests; never a row, never a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{RowTotals, Sha256Digest};

/// One object as it crossed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReceipt {
    /// The key at the provider.
    pub key: String,
    /// Where it was restored, relative to the asset's directory.
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
    /// RFC 3339, as the provider lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Storage class as listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether a checksum of the provider's own confirmed the bytes.
    pub provider_checksum: Confirmation,
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
    /// The entity tag of an object put in one part without KMS or customer keys, hexadecimal.
    Md5Etag,
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
    /// Rows that the target said it accepted.
    pub accepted_rows: u64,
    /// The spooled export, relative to the asset's directory.
    pub spool: String,
    /// SHA-256 of the spooled export, in the order in which the rows left the source.
    pub spool_sha256: Sha256Digest,
    /// Milliseconds from the first byte to the target's acceptance.
    pub duration_ms: u64,
}
