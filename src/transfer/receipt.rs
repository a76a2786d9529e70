//! Receipts: what the transfer of one unit observed. Counts, bytes, digests; never a row, never a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    entry::ObjectEntry,
    properties::{Classes, Item, Properties},
};
pub use super::{
    entry::VersionMark,
    provider_checksum::{ChecksumKind, Confirmation},
};
use crate::domain::digest::{RowTotals, Sha256Digest};

/// One object, or one version of an object, as transferred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReceipt {
    /// The key at the provider.
    pub key: String,
    /// Where it was restored, relative to the asset's directory; empty for a delete marker.
    pub path: String,
    /// Bytes that were transferred.
    pub size: u64,
    /// SHA-256 of those bytes, computed from the stream.
    pub sha256: Sha256Digest,
    /// The provider's entity tag, without quotes, as listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The version that was read, where the bucket has versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Its position among the versions of its key, where all versions are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionMark>,
    /// RFC 3339, as listed by the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Storage class as listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether a checksum of the provider confirmed the bytes.
    pub provider_checksum: Confirmation,
    /// Its location in an archive or a bucket, if it is not a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
    /// The object's properties at the provider.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// What happened to each of them.
    #[serde(default, skip_serializing_if = "Classes::is_empty")]
    pub classes: Classes,
    /// The number of its unit; none in receipts of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u64>,
}

impl ObjectReceipt {
    /// The receipt of an object whose bytes were transferred, without properties.
    pub fn new(entry: ObjectEntry, path: String, size: u64, sha256: Sha256Digest, confirmation: Confirmation) -> Self {
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
            provider_checksum: confirmation,
            within: None,
            properties: Properties::default(),
            classes: Classes::default(),
            unit: None,
        }
    }

    /// The record of a delete marker: a place in the order, and no bytes.
    pub fn of_marker(entry: ObjectEntry) -> Self {
        let none = Confirmation::Unavailable("a delete marker has no bytes".to_owned());
        let mut receipt = Self::new(entry, String::new(), 0, Sha256Digest::of(""), none);
        receipt.classes.recorded.push(Item::DeleteMarker);
        receipt
    }

    /// Adds the properties of the object, classified by what the sink restores of them.
    #[must_use]
    pub fn with_properties(mut self, properties: Properties, carried: &[Item]) -> Self {
        let of_entry = [
            (Item::Version, self.version_id.is_some()),
            (Item::LastModified, self.last_modified.is_some()),
            (Item::StorageClass, self.storage_class.is_some()),
        ];
        let of_entry = of_entry.into_iter().filter(|(_, is_there)| *is_there).map(|(item, _)| item);
        self.classes = Classes::of(of_entry, &properties, carried);
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

    /// The sort key of receipts: the key's bytes, then the newest version first.
    pub fn rank(&self) -> (&str, u64, &str) {
        let order = self.version.map_or(0, |mark| mark.order);
        (&self.key, order, self.version_id.as_deref().unwrap_or_default())
    }
}

/// The location of a restored object that is not a file of its own.
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

/// One table as transferred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableReceipt {
    /// `schema.table`, each part as spelled in the catalog.
    pub table: String,
    /// The statement that copies it out; also the context of the row digest.
    pub copy_sql: String,
    /// Rows, bytes and keyed digest of the stream that left the source.
    pub stream: RowTotals,
    /// `count(*)` at the source in the same snapshot, counted by the server.
    pub source_count: u64,
    /// Rows that the source reported as sent, each in its own message.
    pub sent_rows: u64,
    /// Rows that the target reported as accepted.
    pub accepted_rows: u64,
    /// The spooled exports, in the order of the ranges.
    pub exports: Vec<ExportReceipt>,
    /// Milliseconds from the first byte to the target's acceptance.
    pub duration_ms: u64,
    /// What was read of the columns that the target recomputes, if the table has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedReceipt>,
}

/// The rows of a table including the stored values of its generated columns, which are not loaded.
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
    /// SHA-256 of the file, which holds the rows in the order of the source's stream.
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
