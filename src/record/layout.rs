//! The paths of one run: the bundle below `evidence.path`, the restored data below `target.path`, both in
//! directories named after the run.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, tz::TimeZone};

use crate::playbook::Playbook;

/// The directories and files of one run.
#[derive(Clone, Debug)]
pub struct Layout {
    pub bundle: PathBuf,
    pub restored: PathBuf,
}

/// `<playbook id>-<UTC time>`, such as `acme-aws-quarterly-20261001T083000Z`.
pub(crate) fn run_id(playbook: &Playbook, at: Timestamp) -> String {
    let time = TimeZone::UTC.to_datetime(at);
    format!("{}-{}Z", playbook.id(), time.strftime("%Y%m%dT%H%M%S"))
}

impl Layout {
    /// The layout of a new run.
    pub fn of(playbook: &Playbook, run: &str) -> Self {
        Layout { bundle: playbook.evidence_path().join(run), restored: playbook.target().path.join(run) }
    }

    /// The layout of a run whose bundle is here.
    pub fn at(bundle: &Path, playbook: &Playbook, run: &str) -> Self {
        Layout { bundle: bundle.to_owned(), ..Self::of(playbook, run) }
    }

    pub fn data(&self) -> PathBuf {
        self.bundle.join("data")
    }

    pub fn journal(&self) -> PathBuf {
        self.data().join("journal.ndjson")
    }

    pub fn playbook(&self) -> PathBuf {
        self.data().join("playbook.yaml")
    }

    pub fn resolved(&self) -> PathBuf {
        self.data().join("playbook.resolved.json")
    }

    pub fn result(&self) -> PathBuf {
        self.data().join("result.json")
    }

    /// What was found in the account.
    pub fn inventory(&self) -> PathBuf {
        self.data().join("inventory.json")
    }

    /// The same after the run, where it must be unchanged.
    pub fn inventory_after(&self) -> PathBuf {
        self.data().join("after.json")
    }

    /// What the run did with each resource of the account.
    pub fn coverage(&self) -> PathBuf {
        self.data().join("coverage.csv")
    }

    /// Buckets that patterns selected.
    pub fn selected(&self) -> PathBuf {
        self.data().join("selected.json")
    }

    /// One check of the account, of this machine, or of documents.
    pub fn check(&self, name: &str) -> PathBuf {
        self.data().join("checks").join(format!("{name}.json"))
    }

    /// Documents that people are responsible for.
    pub fn documents(&self) -> PathBuf {
        self.check("documents")
    }

    /// Which file supports which control.
    pub fn controls(&self) -> PathBuf {
        self.data().join("controls.json")
    }

    pub fn asset_evidence(&self, asset: &str) -> PathBuf {
        self.data().join("assets").join(asset)
    }

    /// What a resumed run needs and a finished bundle doesn't.
    pub fn state(&self) -> PathBuf {
        self.bundle.join("state")
    }

    pub fn origin(&self) -> PathBuf {
        self.state().join("origin.json")
    }

    pub fn receipts(&self, asset: &str) -> PathBuf {
        self.state().join("receipts").join(asset)
    }

    pub fn outcome(&self, asset: &str) -> PathBuf {
        self.state().join("outcomes").join(format!("{asset}.json"))
    }

    pub fn asset_root(&self, asset: &str) -> PathBuf {
        self.restored.join(asset)
    }

    /// The first managed cluster; the name can't be an asset's, which never begins with a dot.
    pub fn cluster(&self) -> PathBuf {
        self.restored.join(".postgres")
    }
}
