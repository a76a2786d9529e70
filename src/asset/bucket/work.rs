//! The context of the work on one bucket, for all of its files.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    pseudonym_map::{self, PseudonymMap},
    sink::Destination,
};
use crate::{
    asset::{stop::Stop, work::Work},
    evidence::{
        EvidenceError,
        findings::{FindingsList, SHOWN_MAX},
    },
    playbook::SampleSpec,
    transfer::{
        object::{AWAY, Configured, ObjectSource},
        pseudonyms::Pseudonyms,
    },
};

/// Copies one bucket and verifies the copy.
pub(crate) struct BucketWork {
    pub work: Work,
    /// The bucket and prefix as text.
    pub source_name: String,
    pub source: Arc<dyn ObjectSource>,
    /// The pseudonyms of its keys, where they are used.
    pub names: Option<Pseudonyms>,
    /// The same source, for requests about the bucket itself.
    pub bucket: Arc<dyn Configured>,
    /// The form in which the objects are restored.
    pub into: Destination,
    /// Only a sample of the objects is copied.
    pub sample: Option<SampleSpec>,
    /// Earlier versions are copied, too.
    pub versions: bool,
    /// An empty selection is not a failure.
    pub may_be_empty: bool,
    /// How long either end may be unreachable.
    pub stall: Duration,
}

impl BucketWork {
    pub(super) fn no_findings(&self) -> Result<FindingsList, Stop> {
        Ok(FindingsList::new(&self.evidence_directory()?, SHOWN_MAX))
    }

    /// The asset's directory in the bundle, created if missing.
    pub(super) fn evidence_directory(&self) -> Result<PathBuf, Stop> {
        evidence_directory(&self.work)
    }

    /// The book of the names behind pseudonyms, where there are any.
    pub(super) fn pseudonym_map(&self) -> Result<Option<PseudonymMap>, Stop> {
        self.names.as_ref().map(|names| PseudonymMap::open(pseudonym_map::path(&self.work), names)).transpose()
    }

    pub(super) fn unreadable_receipts(&self, source: std::io::Error) -> Stop {
        unreadable(self.work.layout.receipts(&self.work.asset), source)
    }
}

/// The asset's directory in the bundle, created if missing.
pub(super) fn evidence_directory(work: &Work) -> Result<PathBuf, Stop> {
    let directory = work.layout.asset_evidence(&work.asset);
    let failed = |source| EvidenceError::Io { action: "create", path: directory.clone(), source };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    Ok(directory)
}

pub(crate) fn unreadable(path: PathBuf, source: std::io::Error) -> Stop {
    let away = source.kind() == AWAY;
    let hint = away.then(|| "see whether the target's server can be reached, then resume the run".to_owned());
    Stop::Asset { reason: format!("reading {}: {source}", path.display()), hint }
}
