//! The inputs of `verify --restored` for each kind: a bundle, the restored data beside it, and the target.
//!
//! The bundle is input from outside: its paths are opened only beneath the restored directory, and the statements that
//! read tables are generated anew from the target's catalog.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    domain::{
        event::Monitor,
        finding::{Finding, FindingKind},
        proof::Check,
    },
    evidence::result::AssetResult,
    interrupt::Interrupt,
    transfer::object::RestoredBucket,
    verify::Comparison,
};

/// What was compared again, and what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recheck {
    /// Asset and check.
    pub checks: Vec<(String, Check)>,
    /// What differs, or could not be compared.
    pub findings: Vec<Finding>,
}

impl Recheck {
    pub(crate) fn take(&mut self, asset: &str, compared: Result<Vec<Comparison>, Finding>) {
        match compared {
            Err(finding) => self.findings.push(finding),
            Ok(comparisons) => {
                for Comparison { check, findings } in comparisons {
                    self.checks.push((asset.to_owned(), check));
                    self.findings.extend(findings);
                }
            }
        }
    }
}

/// A bundle whose restored copy is read back. Everything here blocks.
pub(crate) struct Rechecking {
    pub bundle: PathBuf,
    pub restored_to: PathBuf,
    pub monitor: Arc<dyn Monitor>,
    pub interrupt: Interrupt,
    /// Reads what was restored into an S3 server, if the playbook names one.
    pub buckets: Option<Box<dyn RestoredBucket>>,
    /// The reference to the PostgreSQL server that the playbook names; none for managed clusters.
    pub postgres: Option<String>,
}

impl Rechecking {
    pub(crate) fn root(&self, asset: &AssetResult) -> PathBuf {
        self.restored_to.join(&asset.directory)
    }

    pub(crate) fn evidence(&self, asset: &AssetResult) -> PathBuf {
        self.bundle.join("data").join("assets").join(&asset.id)
    }
}

/// Something could not be read.
pub(crate) fn unread(asset: &AssetResult, kind: FindingKind, path: &Path, error: &dyn std::fmt::Display) -> Finding {
    Finding::of(&asset.id, kind, path.display().to_string(), error.to_string())
}
