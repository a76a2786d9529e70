//! The resumption of a run after an interruption, an error, or a kill; or its sealing as it is.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::task::spawn_blocking;

use super::{
    driver::{Run, RunDependencies, begin, internal, look, signed_outcome},
    outcome::RunOutcome,
    plan::Plan,
    preflight::{self, Consent},
    seal,
};
use crate::{
    account::drive,
    asset::{
        clients,
        database::clusters,
        endpoints::Ready,
        kinds,
        rds::{
            guard,
            leftovers::{self, Asker},
        },
        seam::Asset,
        stop::Stop,
    },
    domain::{digest::Sha256Digest, event::Event},
    evidence::{self, result::AssetResult},
    playbook::Loaded,
    record::{
        directory::{self, first_line, not_a_run, read_back_playbook, reopen, write_json},
        error::{EngineError, Obstacle},
        identity::{binary_digest, executable, host_name, version},
        layout::Layout,
        ledger::Ledger,
    },
    restore::cluster::{Cluster, ClusterError},
};

/// Continues a run that did not end. A sealed one is not changed: its outcome is returned again. With `seal_as_is`
/// nothing more is copied; what was not done is NOT RUN, and the bundle is sealed.
///
/// # Errors
/// As [`super::run`]; also when the directory isn't a run, or its record was damaged.
pub async fn resume(
    run_dir: &Path,
    seal_as_is: bool,
    consent: Consent,
    driving: RunDependencies,
) -> Result<RunOutcome, EngineError> {
    if evidence::is_sealed(run_dir) {
        return signed_outcome(run_dir, seal::sealed_before(run_dir)?).await;
    }
    if directory::never_began(run_dir) {
        return if seal_as_is {
            Err(EngineError::NeverBegan { path: run_dir.to_owned() })
        } else {
            begin_again(run_dir, consent, driving).await
        };
    }
    let (playbook, text) = read_back_playbook(run_dir)?;
    let (journal, entries, torn_bytes) = reopen(run_dir)?;
    let (id, recorded) = first_line(run_dir, &entries)?;
    if recorded != Sha256Digest::of(&text) {
        return Err(not_a_run(run_dir, "data/playbook.yaml is not the playbook that the journal names"));
    }
    let layout = Layout::at(run_dir, &playbook, &id);
    let playbook = playbook.with_selected(&drive::selected_before(&layout)?);
    write_json(&layout.resolved(), &playbook)?;
    let assets: Vec<_> = playbook.assets().iter().map(|asset| (driving.kinds)(asset)).collect();
    for cluster in clusters::all(&layout) {
        spawn_blocking(move || Cluster::stop_left_behind(&cluster)).await.map_err(internal)?.map_err(left_running)?;
    }
    let work_done = matches!(entries.last().map(|entry| &entry.event), Some(Event::RunDone { .. }));
    let ready = if work_done || seal_as_is {
        None
    } else {
        let looking = preflight::look(&playbook, &assets, (&layout, &id), &consent, Vec::new());
        Some(driving.interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)??)
    };
    let ledger = Ledger::from_journal(&layout, &entries);
    // This process holds the journal's lock now.
    let record = leftovers::Record::read(run_dir)?.ok_or_else(|| not_a_run(run_dir, "its journal has no line"))?;
    let record = leftovers::Record { in_use: false, ..record };
    let removed = leftovers::removed_meanwhile(run_dir, &entries);
    let run = Run::new(id, (playbook, assets), layout, ledger, journal, driving);
    let binary_sha256 = binary_digest()?;
    // Where only the seal is missing, nothing is continued; but the sealing process has to be on record, and removals.
    let is_open = !record.open.is_empty() || !removed.is_empty();
    if !work_done || is_open || executable(&entries) != Some(binary_sha256) {
        let walkaway = version();
        let host = host_name();
        let place = run.recorder.place();
        run.recorder.fact(&Event::RunResumed { walkaway, binary_sha256, host, torn_bytes, place })?;
    }
    for (asset, resource) in removed {
        run.recorder.fact(&Event::CloudRemoved { asset, resource })?;
    }
    match ready {
        Some(ready) => {
            run.remove_left_by_an_earlier_process(&ready, record).await?;
            run.go(ready).await
        }
        None => run.seal_as_is(work_done, record).await,
    }
}

/// Restarts a run whose process ended before the first line of its journal, in the same directory.
async fn begin_again(run_dir: &Path, consent: Consent, driving: RunDependencies) -> Result<RunOutcome, EngineError> {
    let never_began = || EngineError::NeverBegan { path: run_dir.to_owned() };
    let id = run_dir.file_name().and_then(|name| name.to_str()).ok_or_else(never_began)?.to_owned();
    let (playbook, text) = read_back_playbook(run_dir).map_err(|_| never_began())?;
    let origin = directory::read_origin(run_dir)?;
    let looking = async {
        let mut plan = Plan::of_kinds(Loaded { playbook, text, origin }, &driving.kinds).await?;
        plan.measure_free_space().await?;
        let layout = Layout::at(run_dir, &plan.playbook, &id);
        let ready = look(&plan, (&layout, &id), &consent).await?;
        Ok::<_, EngineError>((plan, layout, ready))
    };
    let looked = driving.interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)?;
    let (plan, layout, ready) = looked?;
    let journal = directory::complete(&layout, &plan.playbook, &plan.text, &plan.origin)?;
    begin(plan, id, layout, journal, ready, driving).await
}

impl Run {
    /// What an earlier process of this run may have created. Exports of unfinished assets are continued,
    /// and their snapshots removed after them.
    async fn remove_left_by_an_earlier_process(
        &self,
        ready: &Ready,
        record: leftovers::Record,
    ) -> Result<(), EngineError> {
        let Some(aws) = ready.aws.as_ref().filter(|_| !record.open.is_empty()) else { return Ok(()) };
        record.open.iter().for_each(|one| self.interrupt.hold(&one.resource));
        let mut kept = Vec::new();
        let exported = |asset: &&Arc<dyn Asset>| asset.describe().makes.is_some_and(|makes| makes.export);
        for asset in self.assets.iter().filter(exported) {
            if self.ledger.outcome(asset.id())?.is_none() {
                kept.push(asset.id());
            }
        }
        let Some(asker) = self.interrupt.unless_asked(Asker::new(aws)).await else { return Ok(()) };
        for one in record.open.iter().filter(|one| !kept.contains(&one.asset.as_str())) {
            if let Some(reason) = leftovers::spared_by_record(&asker, &record, one).await {
                self.interrupt.release(&one.resource);
                guard::record(&self.recorder, &one.asset, &one.resource, &Err(reason))?;
                continue;
            }
            leftovers::remove_meanwhile(&self.guards, &asker, &self.work_named(&one.asset), &record, None, one.clone());
        }
        Ok(())
    }

    /// Seals what is there; assets without an outcome, and those whose restored data was changed since, are recorded as
    /// NOT RUN. What they created at the provider is removed first: they are not continued.
    async fn seal_as_is(self, work_done: bool, record: leftovers::Record) -> Result<RunOutcome, EngineError> {
        // Where the verdict of the run is on record nothing is decided anew.
        let looked = if work_done { self.finished_before() } else { self.recheck_restored().await };
        let ends = match looked {
            Ok(ends) => ends,
            Err(stop) => return self.ended(Err(stop), Ok(())).await,
        };
        self.remove_open(record).await?;
        if !work_done {
            drive::finish(&self.playbook, &self.layout, &self.recorder, true).await?;
        }
        let mut results = Vec::new();
        for (asset, end) in self.assets.iter().map(AsRef::as_ref).zip(ends) {
            results.push(match end {
                Ok(result) => *result,
                Err(why) => seal::unfinished(&self.work(asset), asset, &self.playbook, &why)?,
            });
        }
        self.seal(results).await
    }

    /// Each asset's outcome, or why it has none.
    fn finished_before(&self) -> Result<Vec<Result<Box<AssetResult>, String>>, Stop> {
        let end = |asset: &Arc<dyn Asset>| {
            let outcome = self.ledger.outcome(asset.id())?.map(Box::new);
            let stop = self.ledger.last_stop(asset.id());
            let why = stop.map_or(String::new(), |reason| format!("; it had stopped: {reason}"));
            Ok::<_, Stop>(outcome.ok_or_else(|| format!("sealed before its work was finished{why}")))
        };
        self.assets.iter().map(end).collect()
    }

    /// The same, with finished assets re-checked: a verdict is about what is there when it is sealed.
    async fn recheck_restored(&self) -> Result<Vec<Result<Box<AssetResult>, String>>, Stop> {
        let endpoints = self.endpoints(kinds::targets_unseen(self.playbook.target()).await);
        let mut ends = self.finished_before()?;
        let mut interrupted = Ok(());
        for (asset, end) in self.assets.iter().map(AsRef::as_ref).zip(&mut ends) {
            let Ok(result) = end else { continue };
            let looked = if self.interrupt.asked() {
                Err(Stop::Interrupted)
            } else {
                self.looked_at(asset, (**result).clone(), &endpoints).await
            };
            match looked {
                Ok(Some(_)) => {}
                Ok(None) => *end = Err("it was finished, and what it restored is not as it was left".to_owned()),
                Err(Stop::Asset { reason, .. } | Stop::Away { reason, .. }) => {
                    let reason = format!("it was finished, but its restored copy can't be re-checked: {reason}");
                    let event = Event::AssetStopped { asset: asset.id().to_owned(), reason: reason.clone() };
                    self.recorder.fact(&event)?;
                    *end = Err(reason);
                }
                Err(stop) => {
                    interrupted = Err(stop);
                    break;
                }
            }
        }
        let stopped = endpoints.ready.stop().await;
        interrupted?;
        stopped.map_err(|reason| Stop::Asset { reason, hint: None }).map(|()| ends)
    }

    /// Removes what the journal leaves open. What may still be there is recorded, and becomes a finding.
    async fn remove_open(&self, record: leftovers::Record) -> Result<(), EngineError> {
        let Some(spec) = self.playbook.provider().filter(|_| !record.open.is_empty()) else { return Ok(()) };
        record.open.iter().for_each(|one| self.interrupt.hold(&one.resource));
        let asker = Asker::new(&clients::aws(spec).await).await;
        for one in &record.open {
            let removed = match leftovers::spared_by_record(&asker, &record, one).await {
                Some(reason) => Err(reason),
                None => leftovers::remove_named(&asker, &record, one, Duration::MAX, &self.interrupt).await,
            };
            guard::record(&self.recorder, &one.asset, &one.resource, &removed)?;
            if removed.is_ok() {
                self.interrupt.release(&one.resource);
            }
        }
        Ok(())
    }
}

fn left_running(error: ClusterError) -> EngineError {
    let what = format!("stopping the managed PostgreSQL that the run left behind: {error}");
    EngineError::NotReady(vec![Obstacle { what, hint: error.hint() }])
}
