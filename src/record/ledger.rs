//! What is finished: receipts and outcomes on disk, each confirmed by its digest in the journal.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{error::EngineError, layout::Layout};
use crate::{
    domain::{digest::Sha256Digest, event::Event, finding::Finding},
    evidence::{Entry, EvidenceError, result::AssetResult, write_replacing},
    transfer::{
        receipt::{ObjectReceipt, TableReceipt},
        unit::UnitId,
    },
};

/// The state of one run, on disk and in the journal.
pub struct Ledger {
    layout: Layout,
    units: BTreeMap<String, BTreeMap<String, Sha256Digest>>,
    /// The valid outcomes: an asset that was reopened, or was found changed, has none.
    finished: BTreeMap<String, Sha256Digest>,
    /// For each asset since it was last started.
    found: BTreeMap<String, Vec<Finding>>,
    /// Why each asset stopped the last time that it did.
    stopped: BTreeMap<String, String>,
}

impl Ledger {
    /// Reads from the journal which units and assets are finished. A restarted database starts anew.
    pub fn from_journal(layout: &Layout, entries: &[Entry]) -> Self {
        let (units, finished, found, stopped) = Default::default();
        let mut ledger = Ledger { layout: layout.clone(), units, finished, found, stopped };
        for entry in entries {
            ledger.take(&entry.event);
        }
        ledger
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::AssetStarted { asset, kind } => {
                self.finished.remove(asset);
                self.found.remove(asset);
                if kind.facts().begins_anew {
                    self.units.remove(asset);
                }
            }
            Event::Found { finding } => {
                if let Some(asset) = &finding.asset {
                    self.found.entry(asset.clone()).or_default().push(finding.clone());
                }
            }
            Event::UnitDone { asset, unit, receipt_sha256, .. } => {
                self.units.entry(asset.clone()).or_default().insert(unit.clone(), *receipt_sha256);
            }
            Event::AssetLookedAt { asset, differ: 1.., .. } => {
                self.finished.remove(asset);
            }
            Event::AssetStopped { asset, reason } => {
                self.finished.remove(asset);
                self.stopped.insert(asset.clone(), reason.clone());
            }
            Event::AssetDone { asset, outcome_sha256, .. } => {
                self.finished.insert(asset.clone(), *outcome_sha256);
            }
            _ => {}
        }
    }

    /// The findings of an asset since it was last started, finished or not.
    pub fn found(&self, asset: &str) -> Vec<Finding> {
        self.found.get(asset).cloned().unwrap_or_default()
    }

    /// Why an asset stopped the last time that it did.
    pub fn last_stop(&self, asset: &str) -> Option<&str> {
        self.stopped.get(asset).map(String::as_str)
    }

    /// The outcome of an asset that is finished.
    pub fn outcome(&self, asset: &str) -> Result<Option<AssetResult>, EngineError> {
        let Some(digest) = self.finished.get(asset) else { return Ok(None) };
        let bytes = vouched(&self.layout.outcome(asset), *digest)?;
        parse(&self.layout.outcome(asset), &bytes).map(Some)
    }

    /// The receipt files of an asset's finished units, checked against the journal, in the order of the units.
    pub fn receipt_files(&self, asset: &str) -> Result<Vec<PathBuf>, EngineError> {
        let units = self.units.get(asset).into_iter().flatten();
        units
            .map(|(unit, digest)| {
                let path = receipt_path(&self.layout, asset, unit);
                vouched(&path, *digest).map(|_| path)
            })
            .collect()
    }

    /// The number of the next unit of an asset.
    pub fn next_unit(&self, asset: &str) -> u64 {
        let numbers = self.units.get(asset).into_iter().flatten().filter_map(|(unit, _)| UnitId::number_in(unit));
        numbers.max().unwrap_or_default() + 1
    }
}

/// Writes the receipts of one unit of objects, one JSON object a line, and returns the digest for the journal.
pub(crate) fn write_object_receipts(
    layout: &Layout,
    asset: &str,
    unit: &UnitId,
    receipts: &[ObjectReceipt],
) -> Result<(PathBuf, Sha256Digest), EngineError> {
    let mut bytes = Vec::new();
    for receipt in receipts {
        serde_json::to_writer(&mut bytes, receipt).map_err(unwritable)?;
        bytes.push(b'\n');
    }
    let path = receipt_path(layout, asset, unit.as_str());
    write(&path, &bytes).map(|digest| (path, digest))
}

/// Writes the receipt of one table and returns the digest for the journal.
pub(crate) fn write_table_receipt(
    layout: &Layout,
    asset: &str,
    unit: &UnitId,
    receipt: &TableReceipt,
) -> Result<Sha256Digest, EngineError> {
    write_json(&receipt_path(layout, asset, unit.as_str()), receipt)
}

/// Writes an asset's outcome and returns the digest for the journal.
pub(crate) fn write_outcome(layout: &Layout, outcome: &AssetResult) -> Result<Sha256Digest, EngineError> {
    write_json(&layout.outcome(&outcome.id), outcome)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<Sha256Digest, EngineError> {
    write(path, &serde_json::to_vec(value).map_err(unwritable)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<Sha256Digest, EngineError> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(|source| EvidenceError::Io {
        action: "create",
        path: directory.to_owned(),
        source,
    })?;
    write_replacing(path, bytes)?;
    Ok(Sha256Digest::of(bytes))
}

fn receipt_path(layout: &Layout, asset: &str, unit: &str) -> PathBuf {
    layout.receipts(asset).join(format!("{unit}.ndjson"))
}

/// A file that must have the digest in the journal.
fn vouched(path: &Path, digest: Sha256Digest) -> Result<Vec<u8>, EngineError> {
    let bytes = fs::read(path).map_err(|source| EngineError::Directory { path: path.to_owned(), source })?;
    if Sha256Digest::of(&bytes) == digest {
        return Ok(bytes);
    }
    let source = io::Error::new(io::ErrorKind::InvalidData, "it is not what the journal says was written");
    Err(EngineError::Directory { path: path.to_owned(), source })
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes)
        .map_err(|error| EngineError::Directory { path: path.to_owned(), source: error.into() })
}

fn unwritable(error: serde_json::Error) -> EngineError {
    EngineError::Internal(format!("a receipt has no JSON form: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{event::AssetKind, finding::Verdict};

    #[test]
    fn an_outcome_stands_until_its_asset_is_taken_up_again_or_found_changed() {
        let asset = || "a".to_owned();
        let done = Event::AssetDone {
            asset: asset(),
            verdict: Verdict::Pass,
            outcome_sha256: Sha256Digest::of("outcome"),
            sampled: false,
        };
        let looked = |differ| Event::AssetLookedAt { asset: asset(), items: 3, differ };
        let started = |kind| Event::AssetStarted { asset: asset(), kind };
        let stopped = Event::AssetStopped { asset: asset(), reason: String::new() };
        for (events, stands) in [
            (vec![done.clone()], true),
            (vec![done.clone(), looked(0)], true),
            (vec![done.clone(), looked(1)], false),
            (vec![done.clone(), looked(1), started(AssetKind::Postgres)], false),
            (vec![done.clone(), started(AssetKind::S3)], false),
            (vec![done.clone(), stopped.clone()], false),
            (vec![done.clone(), Event::AssetStarted { asset: "b".to_owned(), kind: AssetKind::S3 }], true),
            (vec![done.clone(), looked(2), started(AssetKind::S3), done.clone()], true),
        ] {
            let layout = Layout { bundle: PathBuf::new(), restored: PathBuf::new() };
            let mut ledger = Ledger::from_journal(&layout, &[]);
            events.iter().for_each(|event| ledger.take(event));
            assert_eq!(ledger.finished.contains_key("a"), stands, "{events:?}");
        }
    }
}
