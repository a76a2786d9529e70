//! After the transfer and before the run is sealed: the inventory that no check needed, the second inventory where the
//! source must be unchanged, this machine, and the documents. What is recorded already is not repeated.

use std::{fs, path::Path};

use tokio::task::spawn_blocking;

use super::{documents::attested, facts::write, machine::machine_here, question};
use crate::{
    account::{inventory::Inventory, look, reply::Failure},
    asset::clients,
    clock,
    domain::{digest::Sha256Digest, event::Event},
    evidence::journal,
    playbook::{Playbook, Postcondition},
    record::{error::EngineError, layout::Layout, recorder::Recorder},
};

/// Collects what is still missing. With `as_it_stands`, nothing outside this machine is queried any more.
pub(crate) async fn finish(
    playbook: &Playbook,
    layout: &Layout,
    recorder: &Recorder,
    as_it_stands: bool,
) -> Result<(), EngineError> {
    let unchanged = playbook.account().postconditions.contains(&Postcondition::SourceUnchanged);
    let looks = [(layout.inventory(), "inventory.json", true), (layout.inventory_after(), "after.json", unchanged)];
    for (path, name, wanted) in looks {
        if !wanted || playbook.provider().is_none() || is_recorded(layout, name)? {
            continue;
        }
        // One that was written but not recorded was interrupted by a kill; it is as valid as a new one.
        let read = if exists(&path) {
            read_look(&path, name)?
        } else {
            write_look(&path, name, &look(playbook, as_it_stands).await)?
        };
        recorder.fact(&read)?;
    }
    local(playbook, layout).await
}

/// This machine and the documents.
async fn local(playbook: &Playbook, layout: &Layout) -> Result<(), EngineError> {
    let account = playbook.account().clone();
    let target = layout.check("target");
    let documents = layout.documents();
    let work = move || -> Result<(), EngineError> {
        if account.non_cloud.is_some() && !exists(&target) {
            write(&target, &machine_here(account.ask_metadata_service))?;
        }
        let names_some = !account.attest.is_empty() || account.contract.is_some();
        if names_some && !exists(&documents) {
            write(&documents, &attested(&account, clock::today()))?;
        }
        Ok(())
    };
    spawn_blocking(work).await.map_err(|error| EngineError::Internal(error.to_string()))?
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Inspects the account of a playbook's provider.
pub(crate) async fn look(playbook: &Playbook, as_it_stands: bool) -> Inventory {
    let taken = clock::now().to_string();
    let Some(spec) = playbook.provider().filter(|_| !as_it_stands) else {
        let mut inventory = Inventory::new(taken, question::allowed_regions(playbook));
        let failure = Failure::not_asked("the run was sealed as it stood");
        inventory.missed("the whole look", None, None, &failure, "", &["s3", "rds", "snapshot", "users"]);
        return inventory;
    };
    let aws = clients::aws(spec).await;
    let wanted = question::wanted(playbook, spec, &aws.region());
    let account = spec.account.as_ref().map(ToString::to_string);
    let account = match account {
        None if wanted.public_access => aws.caller().await.ok().map(|caller| caller.account),
        account => account,
    };
    look::look(&aws, account.as_deref(), wanted, taken).await
}

/// Whether the journal has an inspection of this name.
fn is_recorded(layout: &Layout, name: &str) -> Result<bool, EngineError> {
    let entries = journal::read(&layout.journal())?;
    Ok(entries.iter().any(|entry| matches!(&entry.event, Event::AccountRead { look, .. } if look == name)))
}

/// The event of an inspection, from the file that it wrote.
fn read_look(path: &Path, name: &str) -> Result<Event, EngineError> {
    let bytes = fs::read(path).map_err(|source| EngineError::Directory { path: path.to_owned(), source })?;
    let damaged = |error: serde_json::Error| EngineError::Changed { path: path.to_owned(), reason: error.to_string() };
    Ok(account_read(name, &bytes, &serde_json::from_slice(&bytes).map_err(damaged)?))
}

fn account_read(name: &str, bytes: &[u8], inventory: &Inventory) -> Event {
    Event::AccountRead {
        look: name.to_owned(),
        sha256: Sha256Digest::of(bytes),
        things: inventory.items.len() as u64,
        unreadable: inventory.unreadable.len() as u64,
    }
}

/// Writes an inventory; returns the event for the journal.
pub(super) fn write_look(path: &Path, name: &str, inventory: &Inventory) -> Result<Event, EngineError> {
    write(path, inventory)?;
    let bytes = fs::read(path).map_err(|source| EngineError::Directory { path: path.to_owned(), source })?;
    Ok(account_read(name, &bytes, inventory))
}
