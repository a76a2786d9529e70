//! Evidence of a bucket: `objects.ndjson` with every receipt, and `objects.sha256` for `sha256sum -c`.
//!
//! Everything streams: memory is constant for any number of objects. The receipts must come in the ascending order
//! of their ranks, as [`super::merge::merge`] yields them. Delete markers have a receipt and no line for `sha256sum`.

use std::{io, path::Path};

use sha2::{Digest as _, Sha256};

use super::files::{EvidenceError, IoContext, PartFile, sha256sum_line};
use crate::{
    domain::digest::Sha256Digest,
    transfer::{
        properties::ClassCount,
        receipt::{Confirmation, ObjectReceipt},
    },
};

/// Receipts, one JSON object per line.
pub const OBJECTS_NDJSON: &str = "objects.ndjson";
/// The configuration of the bucket itself.
pub const BUCKET_JSON: &str = "bucket.json";
/// Digests and paths, for `sha256sum -c` in the asset's directory.
pub const OBJECTS_SHA256: &str = "objects.sha256";

/// The totals of a bucket's receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectsEvidence {
    /// Number of objects and versions that have bytes.
    pub objects: u64,
    /// Number of delete markers.
    pub delete_markers: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 over one line `<sha256> <size> <key as a JSON string>` per object, in ascending order of the keys' bytes.
    /// Where all versions were carried, the version's id follows as a JSON string, and a delete marker has `-` in place
    /// of the digest.
    pub content_sha256: Sha256Digest,
    /// Objects whose bytes a checksum of the provider confirmed.
    pub provider_confirmed: u64,
    /// Objects for which there was no checksum that could be computed.
    pub provider_unconfirmed: u64,
    /// How many properties of all objects are in each class.
    pub classes: ClassCount,
}

/// Adds receipts up.
#[derive(Clone, Default)]
pub(crate) struct ObjectTotals {
    content: Sha256,
    last: Option<(String, u64, String)>,
    objects: u64,
    delete_markers: u64,
    bytes: u64,
    confirmed: u64,
    unconfirmed: u64,
    classes: ClassCount,
}

impl ObjectTotals {
    /// Takes the next receipt; ranks must ascend.
    pub(crate) fn add(&mut self, receipt: &ObjectReceipt) -> Result<(), EvidenceError> {
        let rank = receipt.rank();
        if self.last.as_ref().is_some_and(|(key, order, id)| (key.as_str(), *order, id.as_str()) >= rank) {
            return Err(EvidenceError::ReceiptOrder { name: receipt.key.clone() });
        }
        self.content.update(content_line(receipt));
        if receipt.is_marker() {
            self.delete_markers += 1;
        } else {
            self.add_bytes(receipt);
        }
        self.classes.add(receipt.classes.count());
        self.last = Some((rank.0.to_owned(), rank.1, rank.2.to_owned()));
        Ok(())
    }

    fn add_bytes(&mut self, receipt: &ObjectReceipt) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(receipt.size);
        match receipt.provider_checksum {
            Confirmation::Confirmed(_) => self.confirmed += 1,
            Confirmation::Unavailable(_) => self.unconfirmed += 1,
            Confirmation::Contradicted(_) => {}
        }
    }

    /// The sums.
    pub(crate) fn finish(self) -> ObjectsEvidence {
        ObjectsEvidence {
            objects: self.objects,
            delete_markers: self.delete_markers,
            bytes: self.bytes,
            content_sha256: self.content.into(),
            provider_confirmed: self.confirmed,
            provider_unconfirmed: self.unconfirmed,
            classes: self.classes,
        }
    }
}

fn content_line(receipt: &ObjectReceipt) -> String {
    let key = json_string(&receipt.key);
    let digest = if receipt.is_marker() { "-".to_owned() } else { receipt.sha256.to_string() };
    match (&receipt.version, &receipt.version_id) {
        (Some(_), version) => {
            let version = json_string(version.as_deref().unwrap_or_default());
            format!("{digest} {} {key} {version}\n", receipt.size)
        }
        (None, _) => format!("{digest} {} {key}\n", receipt.size),
    }
}

/// A text as JSON, which is unambiguous.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes both files into an existing directory. What an interrupted attempt left there is replaced.
pub fn write_objects(
    receipts: impl Iterator<Item = io::Result<ObjectReceipt>>,
    dir: &Path,
) -> Result<ObjectsEvidence, EvidenceError> {
    let ndjson_path = dir.join(OBJECTS_NDJSON);
    let sums_path = dir.join(OBJECTS_SHA256);
    let mut ndjson = PartFile::create(&ndjson_path)?;
    let mut sums = PartFile::create(&sums_path)?;
    let mut totals = ObjectTotals::default();
    for receipt in receipts {
        let receipt = receipt.when("merge the receipts into", &ndjson_path)?;
        totals.add(&receipt)?;
        let mut line = serde_json::to_vec(&receipt).map_err(io::Error::from).when("write", &ndjson_path)?;
        line.push(b'\n');
        ndjson.write(&line)?;
        if !receipt.is_marker() {
            sums.write(sha256sum_line(receipt.sha256, &receipt.path)?.as_bytes())?;
        }
    }
    ndjson.finish()?;
    sums.finish()?;
    Ok(totals.finish())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::transfer::{
        object::ObjectEntry,
        receipt::{ChecksumKind, VersionMark},
    };

    pub(crate) fn receipt(key: &str, content: &str) -> ObjectReceipt {
        let entry = ObjectEntry { key: key.into(), ..ObjectEntry::default() };
        let word = Confirmation::Confirmed(ChecksumKind::Md5Etag);
        ObjectReceipt::new(entry, format!("tree/{key}"), content.len() as u64, Sha256Digest::of(content), word)
    }

    #[test]
    fn versions_follow_each_other_and_a_delete_marker_has_no_bytes() {
        let dir = tempfile::tempdir().expect("directory");
        let version = |order, id: &str, delete_marker| ObjectEntry {
            key: "a".into(),
            version_id: Some(id.into()),
            version: Some(VersionMark { order, is_latest: order == 0, delete_marker }),
            ..ObjectEntry::default()
        };
        let word = Confirmation::Confirmed(ChecksumKind::Md5Etag);
        let old = ObjectReceipt::new(version(1, "v1", false), "versions/x".into(), 1, Sha256Digest::of("1"), word);
        let marker = ObjectReceipt::of_marker(version(0, "v2", true));
        let evidence = write_objects([marker, old].map(Ok).into_iter(), dir.path()).expect("written");
        assert_eq!((evidence.objects, evidence.delete_markers, evidence.bytes), (1, 1, 1));
        let one = Sha256Digest::of("1");
        let sums = std::fs::read_to_string(dir.path().join(OBJECTS_SHA256)).expect("text");
        assert_eq!(sums, format!("{one}  versions/x\n"));
        let content = format!("- 0 \"a\" \"v2\"\n{one} 1 \"a\" \"v1\"\n");
        assert_eq!(evidence.content_sha256, Sha256Digest::of(content));
    }

    #[test]
    fn the_files_are_for_stock_tools() {
        let dir = tempfile::tempdir().expect("directory");
        let evidence = write_objects([receipt("a", "1"), receipt("b \"", "22")].map(Ok).into_iter(), dir.path());
        let evidence = evidence.expect("written");
        let one = Sha256Digest::of("1");
        let two = Sha256Digest::of("22");
        let sums = std::fs::read_to_string(dir.path().join(OBJECTS_SHA256)).expect("text");
        assert_eq!(sums, format!("{one}  tree/a\n{two}  tree/b \"\n"));
        assert_eq!((evidence.objects, evidence.bytes, evidence.provider_confirmed), (2, 3, 2));
        let content = format!("{one} 1 \"a\"\n{two} 2 \"b \\\"\"\n");
        assert_eq!(evidence.content_sha256, Sha256Digest::of(content));
    }

    #[test]
    fn disorder_and_unsafe_paths_are_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let write = |receipts: [ObjectReceipt; 2]| write_objects(receipts.map(Ok).into_iter(), dir.path());
        let twice = write([receipt("a", "1"), receipt("a", "1")]);
        assert!(matches!(twice, Err(EvidenceError::ReceiptOrder { name }) if name == "a"));
        let turned = write([receipt("b", "1"), receipt("a", "1")]);
        assert!(matches!(turned, Err(EvidenceError::ReceiptOrder { .. })));
        let newline = write([receipt("a\nb", "1"), receipt("b", "1")]);
        assert!(matches!(newline, Err(EvidenceError::UnsafeName { .. })));
        assert!(!dir.path().join(OBJECTS_NDJSON).exists());
    }
}
