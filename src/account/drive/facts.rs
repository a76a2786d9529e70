//! The files in the bundle that hold what was found in the account.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    account::{documents::Attested, identity::Identity, inventory::Inventory, machine::Machine},
    domain::digest::Sha256Digest,
    evidence::files::read_whole,
    playbook::{AssetId, BucketName},
    record::{directory::write_json, error::EngineError, layout::Layout},
};

/// A precondition and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The name in the playbook.
    pub precondition: String,
    /// None where it cannot be determined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    /// The reason.
    pub because: String,
}

/// `data/checks/identity.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityCheck {
    /// The caller, if it was determined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Each precondition.
    pub preconditions: Vec<Held>,
}

/// Buckets that a pattern chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selected {
    /// The entry's id.
    pub id: AssetId,
    /// Its pattern and tags, as the playbook writes them.
    pub pattern: String,
    /// The buckets.
    pub buckets: Vec<BucketName>,
    /// Buckets whose name matches and whose tags could not be read.
    pub tags_unreadable: Vec<String>,
}

/// Everything that was found out about the account, this machine and the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub inventory: Option<(Inventory, Sha256Digest)>,
    pub after: Option<Inventory>,
    pub identity: Option<IdentityCheck>,
    pub selected: Vec<Selected>,
    pub machine: Option<Machine>,
    pub documents: Option<Vec<Attested>>,
}

impl Facts {
    /// Reads the files of the inspections.
    pub(crate) fn read(layout: &Layout) -> Result<Self, EngineError> {
        Ok(Facts {
            inventory: read_with_digest(&layout.inventory())?,
            after: read(&layout.inventory_after())?,
            identity: read(&layout.check("identity"))?,
            selected: read(&layout.selected())?.unwrap_or_default(),
            machine: read(&layout.check("target"))?,
            documents: read(&layout.documents())?,
        })
    }
}

/// The buckets that were selected when the run began.
pub(crate) fn selected_before(layout: &Layout) -> Result<Vec<(AssetId, Vec<BucketName>)>, EngineError> {
    let selected: Vec<Selected> = read(&layout.selected())?.unwrap_or_default();
    Ok(selected.into_iter().map(|selected| (selected.id, selected.buckets)).collect())
}

/// Writes a file of facts, and creates its directory.
pub(crate) fn write(path: &Path, facts: &impl Serialize) -> Result<(), EngineError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .map_err(|source| EngineError::Directory { path: directory.to_owned(), source })?;
    }
    write_json(path, facts)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EngineError> {
    Ok(read_with_digest(path)?.map(|(value, _)| value))
}

fn read_with_digest<T: DeserializeOwned>(path: &Path) -> Result<Option<(T, Sha256Digest)>, EngineError> {
    let bytes = match read_whole(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EngineError::Directory { path: path.to_owned(), source }),
    };
    let damaged = |reason: String| EngineError::Changed { path: path.to_owned(), reason };
    let value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(Some((value, Sha256Digest::of(&bytes))))
}
