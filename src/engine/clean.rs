//! `clean`: removes what a run left at the provider, by the run's tag, and ends the server that it left on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    clusters,
    directory::{not_a_run, recorded_run},
    error::EngineError,
    layout::Layout,
    leftovers::{Outstanding, Record, remove_named, settle, spared},
    preflight,
};
use crate::{
    evidence::journal,
    interrupt::Interrupt,
    playbook::{Asset, AssetKind},
    restore::cluster::{Cluster, ClusterError},
    source::rds::{
        Rds, Removed,
        export::{self, Exports},
        temporary::{self, EXPORTS_MAX, Owner, Resource, Tagged, Temporary},
    },
    transfer::error::SourceError,
};

/// What became of what a run had left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What was removed.
    pub removed: Vec<String>,
    /// The managed server that ran on, and was stopped.
    pub stopped: Option<String>,
    /// What could not be removed, and why.
    pub left: Vec<(String, String)>,
}

fn asks_for_export(asset: &Asset) -> bool {
    match &asset.kind {
        AssetKind::Database(database) => database.server.rds().is_some_and(|rds| rds.new_export().is_some()),
        AssetKind::Objects(_) => false,
    }
}

/// Exports carry no tags; those of a run are known by their names. What they wrote stays.
async fn cancel_exports(rds: &Rds, run: &str, asset: &str, cleaned: &mut Cleaned) {
    let exports = Exports::new(rds);
    for id in (1..=EXPORTS_MAX).map(|attempt| export::name_of(run, asset, attempt)) {
        match exports.cancel(&id).await {
            Ok(true) => cleaned.removed.push(Resource::Export(id).to_string()),
            Ok(false) => {}
            // What is denied of one is denied of all.
            Err(error @ SourceError::Denied { .. }) => {
                cleaned.left.push((format!("RDS exports of asset {asset}"), error.to_string()));
                return;
            }
            Err(error) => cleaned.left.push((Resource::Export(id).to_string(), error.to_string())),
        }
    }
}

/// Whether the run may have made something at the provider.
fn makes_resources(asset: &Asset) -> bool {
    match &asset.kind {
        AssetKind::Database(database) => database.server.rds().is_some_and(|rds| rds.makes_resources()),
        AssetKind::Objects(_) => false,
    }
}

/// The one part of the resolved playbook that leads to the restored data.
#[derive(Deserialize)]
struct Resolved {
    target: ResolvedTarget,
}

#[derive(Deserialize)]
struct ResolvedTarget {
    path: PathBuf,
}

/// Ends the managed servers that a killed run left. What a person started to look at the data stays up.
fn stop_cluster(run_dir: &Path, run: &str, cleaned: &mut Cleaned) {
    let resolved = fs::read(run_dir.join("data").join("playbook.resolved.json"));
    let resolved = resolved.ok().and_then(|bytes| serde_json::from_slice::<Resolved>(&bytes).ok());
    let Some(Resolved { target }) = resolved else { return };
    let layout = Layout { bundle: run_dir.to_owned(), restored: target.path.join(run) };
    for directory in clusters::all(&layout) {
        let what = format!("the managed PostgreSQL in {}", directory.display());
        match Cluster::stop_left_behind(&directory) {
            Ok(None) | Err(ClusterError::ByHand { .. }) => {}
            Ok(Some(pid)) => cleaned.stopped = Some(format!("{what} (process {pid})")),
            Err(error) => cleaned.left.push((what, error.to_string())),
        }
    }
}

/// Removes everything that the run in this directory made at the provider, and stops the managed server that it left. What
/// it was about to make when it was killed is looked for until it can no longer appear, or for `wait` if that is shorter.
/// The directory itself is not changed, but that an open run remembers what is gone.
///
/// # Errors
/// The directory is no run, a process is at work on it, or the provider can't be asked.
pub async fn clean(run_dir: &Path, wait: Duration, interrupt: &Interrupt) -> Result<Cleaned, EngineError> {
    let (playbook, run) = recorded_run(run_dir)?;
    let record = Record::read(run_dir).ok_or_else(|| not_a_run(run_dir, "its journal can't be read"))?;
    // Whoever is at work on the run needs its things, and removes them.
    let _held = journal::hold(&run_dir.join("data").join("journal.ndjson"))?;
    let mut cleaned = Cleaned::default();
    stop_cluster(run_dir, &run, &mut cleaned);
    let made = playbook.assets().iter().any(makes_resources) || !record.open.is_empty();
    let Some(spec) = playbook.provider().filter(|_| made) else { return Ok(cleaned) };
    record.open.iter().for_each(|one| interrupt.hold(&one.resource));
    let rds = Rds::new(&preflight::aws(spec).await);
    let cleaning = Cleaning { rds: &rds, run_dir, run: &run, wait, interrupt };
    for one in &record.open {
        cleaning.named(one, &mut cleaned).await?;
    }
    let unreachable = |error: SourceError| {
        let hint = Some("check credentials (profile, environment), region and endpoints.rds".to_owned());
        EngineError::NotReady(vec![super::Obstacle { what: error.to_string(), hint }])
    };
    let listing = interrupt.unless_asked(temporary::tagged(&rds)).await;
    for found in listing.transpose().map_err(unreachable)?.unwrap_or_default() {
        if found.run == run && record.open.iter().all(|one| one.resource != found.resource) {
            cleaning.tagged(found, &record, &mut cleaned).await;
        }
    }
    for asset in playbook.assets().iter().filter(|asset| asks_for_export(asset)) {
        if interrupt.asked() {
            break;
        }
        cancel_exports(&rds, &run, asset.id.as_str(), &mut cleaned).await;
    }
    Ok(cleaned)
}

/// What removes one thing after the other.
struct Cleaning<'a> {
    rds: &'a Rds,
    run_dir: &'a Path,
    run: &'a str,
    wait: Duration,
    interrupt: &'a Interrupt,
}

impl Cleaning<'_> {
    /// Something that the record names and does not call gone.
    async fn named(&self, one: &Outstanding, cleaned: &mut Cleaned) -> Result<(), EngineError> {
        match remove_named(self.rds, self.run, one, self.wait, self.interrupt).await {
            Ok(removed) => {
                self.interrupt.release(&one.resource);
                settle(self.run_dir, &one.resource)?;
                if removed == Removed::Gone {
                    cleaned.removed.push(one.resource.to_string());
                }
            }
            Err(reason) => cleaned.left.push((one.resource.to_string(), reason)),
        }
        Ok(())
    }

    /// Something with the run's tag. What the record does not name was made by a run of the same name on another machine.
    async fn tagged(&self, found: Tagged, record: &Record, cleaned: &mut Cleaned) {
        let resource = found.resource.to_string();
        let record = Record { in_use: false, ..record.clone() };
        if let Some(reason) = spared(&found, Some(&record)) {
            cleaned.left.push((resource, reason));
            return;
        }
        let owner = Owner { run: self.run.to_owned(), playbook: found.playbook, asset: String::new() };
        let removing = Temporary::of_others(self.rds, owner);
        match removing.remove(&found.resource, self.run, self.interrupt).await {
            Ok(_) => cleaned.removed.push(resource),
            Err(error) => cleaned.left.push((resource, error.to_string())),
        }
    }
}
