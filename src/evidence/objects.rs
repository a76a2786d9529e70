//! Evidence of a bucket: `objects.ndjson` with every receipt, and `objects.sha256` for `sha256sum -c`.
//!
//! Everything streams: memory stays flat whatever the number of objects. The receipts must come in ascending order of
//! their keys' bytes, as [`super::merge::merge`] yields them.

use std::{io, path::Path};

use sha2::{Digest as _, Sha256};

use super::files::{EvidenceError, IoContext, PartFile, sha256sum_line};
use crate::{
    digest::Sha256Digest,
    transfer::receipt::{Confirmation, ObjectReceipt},
};

/// Receipts, one JSON object per line.
pub const OBJECTS_NDJSON: &str = "objects.ndjson";
/// Digests and paths, for `sha256sum -c` in the asset's directory.
pub const OBJECTS_SHA256: &str = "objects.sha256";

/// What a bucket's receipts amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectsEvidence {
    /// Number of objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 over one line `<sha256> <size> <key as a JSON string>` per object, in ascending order of the keys' bytes.
    pub content_sha256: Sha256Digest,
    /// Objects whose bytes a checksum of the provider confirmed.
    pub provider_confirmed: u64,
    /// Objects for which there was no checksum that could be computed.
    pub provider_unconfirmed: u64,
}

/// Adds receipts up.
#[derive(Clone, Default)]
pub(crate) struct ObjectsTally {
    content: Sha256,
    last_key: Option<String>,
    objects: u64,
    bytes: u64,
    confirmed: u64,
    unconfirmed: u64,
}

impl ObjectsTally {
    /// Takes the next receipt; keys must ascend.
    pub(crate) fn add(&mut self, receipt: &ObjectReceipt) -> Result<(), EvidenceError> {
        if self.last_key.as_ref().is_some_and(|last| last.as_bytes() >= receipt.key.as_bytes()) {
            return Err(EvidenceError::ReceiptOrder { name: receipt.key.clone() });
        }
        self.content.update(format!("{} {} {}\n", receipt.sha256, receipt.size, json_string(&receipt.key)));
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(receipt.size);
        match receipt.provider_checksum {
            Confirmation::Confirmed(_) => self.confirmed += 1,
            Confirmation::Unavailable(_) => self.unconfirmed += 1,
            Confirmation::Contradicted(_) => {}
        }
        self.last_key = Some(receipt.key.clone());
        Ok(())
    }

    /// The sums.
    pub(crate) fn finish(self) -> ObjectsEvidence {
        ObjectsEvidence {
            objects: self.objects,
            bytes: self.bytes,
            content_sha256: self.content.into(),
            provider_confirmed: self.confirmed,
            provider_unconfirmed: self.unconfirmed,
        }
    }
}

/// A text as JSON writes it, so that no text can be taken for two.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes both files into an existing directory. What an interrupted attempt left there is replaced.
pub fn write_objects(
    receipts: impl Iterator<Item = io::Result<ObjectReceipt>>,
    dir: &Path,
) -> Result<ObjectsEvidence, EvidenceError> {
    let (ndjson_path, sums_path) = (dir.join(OBJECTS_NDJSON), dir.join(OBJECTS_SHA256));
    let (mut ndjson, mut sums) = (PartFile::create(&ndjson_path)?, PartFile::create(&sums_path)?);
    let mut tally = ObjectsTally::default();
    for receipt in receipts {
        let receipt = receipt.when("merge the receipts into", &ndjson_path)?;
        tally.add(&receipt)?;
        let mut line = serde_json::to_vec(&receipt).map_err(io::Error::from).when("write", &ndjson_path)?;
        line.push(b'\n');
        ndjson.write(&line)?;
        sums.write(sha256sum_line(receipt.sha256, &receipt.path)?.as_bytes())?;
    }
    ndjson.finish()?;
    sums.finish()?;
    Ok(tally.finish())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::transfer::receipt::ChecksumKind;

    pub(crate) fn receipt(key: &str, content: &str) -> ObjectReceipt {
        ObjectReceipt {
            key: key.into(),
            path: format!("tree/{key}"),
            size: content.len() as u64,
            sha256: Sha256Digest::of(content),
            etag: None,
            version_id: None,
            last_modified: None,
            storage_class: None,
            provider_checksum: Confirmation::Confirmed(ChecksumKind::Md5Etag),
        }
    }

    #[test]
    fn the_files_are_for_stock_tools() {
        let dir = tempfile::tempdir().expect("directory");
        let evidence = write_objects([receipt("a", "1"), receipt("b \"", "22")].map(Ok).into_iter(), dir.path());
        let evidence = evidence.expect("written");
        let (one, two) = (Sha256Digest::of("1"), Sha256Digest::of("22"));
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
