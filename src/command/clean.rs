//! `clean`: removes what a run left at the provider, by the run's tag, and stops its server on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    asset::{
        clients,
        database::clusters,
        kinds,
        rds::leftovers::{Asker, Outstanding, Record, remove_named, settle, spared, spared_by_record},
    },
    evidence::{JournalError, journal},
    interrupt::Interrupt,
    provider::rds::{
        Removed,
        export::{self, Exports},
        temporary::{self, EXPORTS_MAX, Owner, Resource, Tagged, Temporary},
    },
    record::{
        directory::{not_a_run, recorded_run},
        error::EngineError,
        layout::Layout,
    },
    restore::cluster::{Cluster, ClusterError},
    transfer::error::SourceError,
};

/// The outcome of removing what a run left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What was removed.
    pub removed: Vec<String>,
    /// The managed server that was still running, and was stopped.
    pub stopped: Option<String>,
    /// What could not be removed, and why.
    pub left: Vec<(String, String)>,
}

/// The only part of the resolved playbook that locates the restored data.
#[derive(Deserialize)]
struct Resolved {
    target: ResolvedTarget,
}

#[derive(Deserialize)]
struct ResolvedTarget {
    path: PathBuf,
}

/// Stops the managed servers that a killed run left. One that a user started to inspect the data keeps running.
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

/// Removes everything that the run in this directory created at the provider, and stops its managed server. What
/// it was about to create when it was killed is looked up until it can't appear any more, or for `wait` if shorter.
/// The directory itself is not changed, but an open run records removals. Nothing of a run in progress is removed,
/// and everything is reported as left.
///
/// # Errors
/// The directory is not a run, or a process is working on it that creates nothing at the provider.
pub async fn clean(run_dir: &Path, wait: Duration, interrupt: &Interrupt) -> Result<Cleaned, EngineError> {
    let (playbook, run) = recorded_run(run_dir)?;
    let held = journal::hold(&run_dir.join("data").join("journal.ndjson"));
    let record =
        Record::read(run_dir)?.ok_or_else(|| not_a_run(run_dir, "its journal has no line that can be read"))?;
    let assets = kinds::all(&playbook);
    let making: Vec<_> = assets.iter().filter_map(|asset| Some((asset.id(), asset.describe().makes?))).collect();
    let made = !making.is_empty() || !record.open.is_empty();
    let mut cleaned = Cleaned::default();
    // A process that works on the run needs its resources, and removes them.
    let _held = match held {
        Err(error @ JournalError::Locked { .. }) if made => {
            let mut left: Vec<_> = record.open.iter().map(|one| one.resource.to_string()).collect();
            if left.is_empty() {
                left.push(format!("what run {run} makes at the provider"));
            }
            cleaned.left.extend(left.into_iter().map(|resource| (resource, error.to_string())));
            return Ok(cleaned);
        }
        held => held?,
    };
    stop_cluster(run_dir, &run, &mut cleaned);
    let Some(spec) = playbook.provider().filter(|_| made) else { return Ok(cleaned) };
    record.open.iter().for_each(|one| interrupt.hold(&one.resource));
    let asking = async { Asker::new(&clients::aws(spec).await).await };
    let Some(asker) = interrupt.unless_asked(asking).await else { return Ok(cleaned) };
    let exported: Vec<&str> = making.iter().filter(|(_, makes)| makes.export).map(|(asset, _)| *asset).collect();
    let record = Record { in_use: false, ..record };
    Cleaning { asker, run_dir, record, wait, interrupt }.all(&exported, &mut cleaned).await;
    Ok(cleaned)
}

/// Removes one resource after the other. One that can't be removed, or queried, does not stop the others.
pub(crate) struct Cleaning<'a> {
    pub asker: Asker,
    pub run_dir: &'a Path,
    pub record: Record,
    pub wait: Duration,
    pub interrupt: &'a Interrupt,
}

impl Cleaning<'_> {
    /// What the journal leaves open, what has the run's tag, and the exports of these assets.
    pub(super) async fn all(&self, exported: &[&str], cleaned: &mut Cleaned) {
        for one in &self.record.open {
            self.named(one, cleaned).await;
        }
        let listed = format!("what carries the tag of run {}", self.record.run);
        if let Some(reason) = self.asker.is_not_at(&self.record.place) {
            cleaned.left.push((listed, reason));
            return;
        }
        match self.interrupt.unless_asked(temporary::tagged(&self.asker.rds)).await {
            None => return,
            Some(Err(error)) => {
                let hint = "check credentials (profile, environment), region and endpoints.rds";
                cleaned.left.push((listed, format!("{error}; {hint}")));
            }
            Some(Ok(found)) => {
                let is_named = |found: &Tagged| self.record.open.iter().any(|one| one.resource == found.resource);
                for found in found.into_iter().filter(|found| found.run == self.record.run && !is_named(found)) {
                    self.tagged(found, cleaned).await;
                }
            }
        }
        // For a run that may be in progress elsewhere, only what the journal names is queried.
        for asset in exported.iter().filter(|_| self.record.has_ended()) {
            self.cancel_exports(asset, cleaned).await;
        }
    }

    /// A resource that the journal names and does not record as removed.
    async fn named(&self, one: &Outstanding, cleaned: &mut Cleaned) {
        let resource = one.resource.to_string();
        if let Some(reason) = spared_by_record(&self.asker, &self.record, one).await {
            cleaned.left.push((resource, reason));
            return;
        }
        match remove_named(&self.asker, &self.record, one, self.wait, self.interrupt).await {
            Ok(removed) => {
                self.interrupt.release(&one.resource);
                if let Err(error) = settle(self.run_dir, one) {
                    tracing::warn!(%error, "{resource} is gone, which could not be written down with its run");
                }
                if removed == Removed::Gone {
                    cleaned.removed.push(resource);
                }
            }
            Err(reason) => cleaned.left.push((resource, reason)),
        }
    }

    /// A resource with the run's tag. What the journal does not name is of a run of that name on another machine.
    async fn tagged(&self, found: Tagged, cleaned: &mut Cleaned) {
        let resource = found.resource.to_string();
        if let Some(reason) = spared(&found, Some(&self.record)) {
            cleaned.left.push((resource, reason));
            return;
        }
        let run = &self.record.run;
        let owner = Owner { run: run.clone(), playbook: found.playbook, asset: String::new() };
        let has_ended = self.record.has_ended_with(&found.resource);
        let removing = Temporary::of_others_unless_in_use(&self.asker.rds, owner, has_ended);
        match removing.remove(&found.resource, run, self.interrupt).await {
            Ok(_) => cleaned.removed.push(resource),
            Err(error) => cleaned.left.push((resource, error.to_string())),
        }
    }

    /// Exports have no tags; those of a run are identified by their names. What they wrote stays.
    async fn cancel_exports(&self, asset: &str, cleaned: &mut Cleaned) {
        let exports = Exports::new(&self.asker.rds);
        for id in (1..=EXPORTS_MAX).map(|attempt| export::name_of(&self.record.run, asset, attempt)) {
            match self.interrupt.unless_asked(exports.cancel(&id)).await {
                Some(Ok(true)) => cleaned.removed.push(Resource::Export(id).to_string()),
                Some(Ok(false)) => {}
                None => return,
                // What is denied of one is denied of all.
                Some(Err(error @ SourceError::Denied { .. })) => {
                    cleaned.left.push((format!("RDS exports of asset {asset}"), error.to_string()));
                    return;
                }
                Some(Err(error)) => cleaned.left.push((Resource::Export(id).to_string(), error.to_string())),
            }
        }
    }
}
