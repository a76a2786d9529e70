//! A run from preflight to outcome, and its resumption after an interruption, an error, or a kill.

use std::{fs, path::Path, sync::Arc, time::Duration};

use tokio::task::spawn_blocking;

use super::{
    account, endorse,
    outcome::{RunEnd, RunOutcome, StoppedAsset},
    plan::Plan,
    preflight::{self, Consent},
    seal,
};
use crate::{
    asset::{
        clients,
        database::clusters,
        kinds::{self, Kinds},
        look::{Depth, Looked},
        rds::{
            guard::{self, Guards},
            leftovers::{self, Asker, Outstanding},
        },
        seam::Asset,
        site::{Ready, Site},
        stop::Stop,
        work::Work,
    },
    digest::Sha256Digest,
    event::{Event, Monitor},
    evidence::{self, Journal, facts::PreviousRun, result::AssetResult},
    interrupt::Interrupt,
    playbook::{Loaded, Playbook, Previous},
    record::{
        directory::{self, first_line, name_of_its_own, not_a_run, read_back_playbook, reopen, write_json},
        error::{EngineError, Obstacle},
        identity::{binary_digest, executable, host_name, version},
        layout::Layout,
        ledger::Ledger,
        recorder::{Recorder, SIGN_OF_LIFE},
    },
    restore::cluster::{Cluster, ClusterError},
    transfer::{
        executor::{LocalExecutor, UnitExecutor},
        objects::Budget,
    },
};

/// What a run may use of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Bytes of objects in memory at once.
    pub memory_bytes: u64,
    /// How closely a resumed run looks at what its finished assets restored.
    pub look: Depth,
}

/// What a run is driven with.
#[derive(Clone)]
pub struct Driving {
    /// What it may use of this machine.
    pub means: Means,
    /// Who hears of it.
    pub monitor: Arc<dyn Monitor>,
    /// The wish to stop.
    pub interrupt: Interrupt,
    /// What runs its units.
    pub executor: Arc<dyn UnitExecutor>,
    /// What makes assets of the playbook's entries, where a run is read back from its directory.
    pub kinds: Kinds,
}

impl Driving {
    /// In this process, with the kinds that are built in.
    pub fn new(means: Means, monitor: Arc<dyn Monitor>, interrupt: Interrupt) -> Self {
        Driving { means, monitor, interrupt, executor: Arc::new(LocalExecutor), kinds: kinds::built_in() }
    }
}

/// Runs a plan from the beginning, in a run directory of its own.
///
/// # Errors
/// Obstacles that were found before anything moved, and failures to write evidence. What goes wrong with an asset is
/// part of the outcome.
pub async fn run(mut plan: Plan, consent: Consent, driving: Driving) -> Result<RunOutcome, EngineError> {
    let looking = async {
        plan.look_for_room().await?;
        let (id, layout) = name_of_its_own(&plan.playbook).await;
        let ready = look(&plan, (&layout, &id), &consent).await?;
        Ok::<_, EngineError>((id, layout, ready))
    };
    let looked = driving.interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)?;
    let (id, layout, ready) = looked?;
    let journal = directory::make(&layout, &plan.playbook, &plan.text, &plan.origin)?;
    begin(plan, id, layout, journal, ready, driving).await
}

/// Begins a run anew whose process was ended before the first line of its journal, in the directory that it has.
async fn begin_again(run_dir: &Path, consent: Consent, driving: Driving) -> Result<RunOutcome, EngineError> {
    let never_began = || EngineError::NeverBegan { path: run_dir.to_owned() };
    let id = run_dir.file_name().and_then(|name| name.to_str()).ok_or_else(never_began)?.to_owned();
    let (playbook, text) = read_back_playbook(run_dir).map_err(|_| never_began())?;
    let origin = directory::read_origin(run_dir)?;
    let looking = async {
        let mut plan = Plan::of_kinds(Loaded { playbook, text, origin }, &driving.kinds).await?;
        plan.look_for_room().await?;
        let layout = Layout::at(run_dir, &plan.playbook, &id);
        let ready = look(&plan, (&layout, &id), &consent).await?;
        Ok::<_, EngineError>((plan, layout, ready))
    };
    let looked = driving.interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)?;
    let (plan, layout, ready) = looked?;
    let journal = directory::complete(&layout, &plan.playbook, &plan.text, &plan.origin)?;
    begin(plan, id, layout, journal, ready, driving).await
}

async fn look(plan: &Plan, at: (&Layout, &str), consent: &Consent) -> Result<Ready, EngineError> {
    preflight::look(&plan.playbook, &plan.assets, at, consent, plan.before.obstacles.clone()).await
}

/// Puts the beginning on record, then does the work.
async fn begin(
    plan: Plan,
    id: String,
    layout: Layout,
    journal: Journal,
    ready: Ready,
    driving: Driving,
) -> Result<RunOutcome, EngineError> {
    let read = plan.before.write(&layout)?;
    let ledger = Ledger::from_journal(&layout, &[]);
    let playbook_sha256 = Sha256Digest::of(&plan.text);
    let run = Run::new(id, (plan.playbook, plan.assets), layout, ledger, journal, driving);
    run.begin(ready, playbook_sha256, read.as_ref()).await
}

/// Goes on with a run that did not end. A sealed one is not touched: its outcome is returned again. With `seal_as_is`
/// nothing more is moved; what was not done is NOT RUN, and the bundle is sealed.
///
/// # Errors
/// As [`run`]; also when the directory isn't a run, or its record was damaged.
pub async fn resume(
    run_dir: &Path,
    seal_as_is: bool,
    consent: Consent,
    driving: Driving,
) -> Result<RunOutcome, EngineError> {
    if evidence::is_sealed(run_dir) {
        return signed_outcome(run_dir, seal::sealed_before(run_dir)?).await;
    }
    if directory::never_began(run_dir) {
        return match seal_as_is {
            true => Err(EngineError::NeverBegan { path: run_dir.to_owned() }),
            false => begin_again(run_dir, consent, driving).await,
        };
    }
    let (playbook, text) = read_back_playbook(run_dir)?;
    let (journal, entries, torn_bytes) = reopen(run_dir)?;
    let (id, recorded) = first_line(run_dir, &entries)?;
    if recorded != Sha256Digest::of(&text) {
        return Err(not_a_run(run_dir, "data/playbook.yaml is not the playbook that the journal names"));
    }
    let layout = Layout::at(run_dir, &playbook, &id);
    let playbook = playbook.with_selected(&account::selected_before(&layout)?);
    write_json(&layout.resolved(), &playbook)?;
    let assets: Vec<_> = playbook.assets().iter().map(|asset| (driving.kinds)(asset)).collect();
    for cluster in clusters::all(&layout) {
        spawn_blocking(move || Cluster::stop_left_behind(&cluster)).await.map_err(internal)?.map_err(left_running)?;
    }
    let work_done = matches!(entries.last().map(|entry| &entry.event), Some(Event::RunDone { .. }));
    let ready = match work_done || seal_as_is {
        true => None,
        false => {
            let looking = preflight::look(&playbook, &assets, (&layout, &id), &consent, Vec::new());
            Some(driving.interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)??)
        }
    };
    let ledger = Ledger::from_journal(&layout, &entries);
    let open = leftovers::Record::read(run_dir).map(|record| record.open).unwrap_or_default();
    let run = Run::new(id, (playbook, assets), layout, ledger, journal, driving);
    let binary_sha256 = binary_digest()?;
    // Where only the seal is missing, nobody goes on; but whoever seals has to be on record, and what is removed first.
    if !work_done || !open.is_empty() || executable(&entries) != Some(binary_sha256) {
        let (walkaway, host) = (version(), host_name());
        run.recorder.fact(&Event::RunResumed { walkaway, binary_sha256, host, torn_bytes })?;
    }
    match ready {
        Some(ready) => {
            run.remove_left_by_an_earlier_process(&ready, open).await?;
            run.go(ready).await
        }
        None => run.seal_as_is(work_done, open).await,
    }
}

/// One run at work.
struct Run {
    id: String,
    playbook: Playbook,
    assets: Vec<Arc<dyn Asset>>,
    layout: Layout,
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    budget: Budget,
    interrupt: Interrupt,
    executor: Arc<dyn UnitExecutor>,
    guards: Guards,
    /// How closely finished assets are looked at.
    depth: Depth,
}

/// What became of one asset.
enum AssetEnd {
    Done(Box<AssetResult>),
    Stopped(StoppedAsset),
}

impl Run {
    fn new(
        id: String,
        planned: (Playbook, Vec<Arc<dyn Asset>>),
        layout: Layout,
        ledger: Ledger,
        journal: Journal,
        driving: Driving,
    ) -> Self {
        let Driving { means, monitor, interrupt, executor, .. } = driving;
        let (playbook, assets) = planned;
        Run {
            id,
            playbook,
            assets,
            layout,
            ledger: Arc::new(ledger),
            recorder: Arc::new(Recorder::new(journal, monitor)),
            budget: Budget::new(means.memory_bytes),
            interrupt,
            executor,
            guards: Guards::default(),
            depth: means.look,
        }
    }

    /// The run before is named while nothing is known of this one yet.
    fn name_predecessor(&self) -> Result<(), EngineError> {
        if self.playbook.previous() == Previous::None {
            return Ok(());
        }
        let chain = evidence::predecessor::latest(self.playbook.evidence_path(), self.playbook.id().as_str())?;
        let Some(before) = chain.and_then(|chain| chain.previous) else { return Ok(()) };
        let PreviousRun { run, bundle_digest, journal_head, .. } = before;
        Ok(self.recorder.fact(&Event::Continues { previous: run, bundle_digest, journal_head })?)
    }

    /// Puts the beginning on record, then does the work.
    async fn begin(
        self,
        ready: Ready,
        playbook_sha256: Sha256Digest,
        read: Option<&Event>,
    ) -> Result<RunOutcome, EngineError> {
        let (binary_sha256, walkaway, host) = (binary_digest()?, version(), host_name());
        let run = self.id.clone();
        self.recorder.fact(&Event::RunStarted { run, playbook_sha256, walkaway, binary_sha256, host })?;
        self.name_predecessor()?;
        if let Some(read) = read {
            self.recorder.fact(read)?;
        }
        self.go(ready).await
    }

    async fn go(self, ready: Ready) -> Result<RunOutcome, EngineError> {
        if let Some(caller) = &ready.caller {
            let (account, arn) = (caller.account.clone(), caller.arn.clone());
            let region = ready.aws.as_ref().map(|aws| aws.region());
            self.recorder.fact(&Event::CallerIdentified { account, arn, region })?;
        }
        if ready.aws.is_some() {
            let evidence = self.playbook.evidence_path();
            let work = self.work_named("");
            let removing = leftovers::remove_of_other_runs(&self.guards, &work, evidence);
            self.interrupt.unless_asked(removing).await.transpose()?;
        }
        let site = self.site(ready);
        let ends = tokio::select! {
            ends = self.carry_all(&site) => ends,
            broken = self.tell_the_time() => Err(Stop::Run(broken)),
        };
        // The target goes down whatever happened; a bundle must not promise a server that is still writing.
        let stopped = site.ready.stop().await;
        // Nothing of walkaway's stays at the provider, whatever happened.
        let left_behind = self.guards.finish().await;
        let outcome = self.ended(ends, stopped).await?;
        Ok(RunOutcome { left_behind: merged(outcome.left_behind, left_behind), ..outcome })
    }

    /// What an earlier process of this run was to make and may have made. Exports of assets that are not finished are gone
    /// on with, and the snapshots that they are of removed after them.
    async fn remove_left_by_an_earlier_process(
        &self,
        ready: &Ready,
        open: Vec<Outstanding>,
    ) -> Result<(), EngineError> {
        let Some(aws) = ready.aws.as_ref().filter(|_| !open.is_empty()) else { return Ok(()) };
        open.iter().for_each(|one| self.interrupt.hold(&one.resource));
        let mut kept = Vec::new();
        let exported = |asset: &&Arc<dyn Asset>| asset.describe().makes.is_some_and(|makes| makes.export);
        for asset in self.assets.iter().filter(exported) {
            if self.ledger.outcome(asset.id())?.is_none() {
                kept.push(asset.id());
            }
        }
        let Some(asker) = self.interrupt.unless_asked(Asker::new(aws)).await else { return Ok(()) };
        for one in open.into_iter().filter(|one| !kept.contains(&one.asset.as_str())) {
            leftovers::remove_meanwhile(&self.guards, &asker, &self.work_named(&one.asset), None, one);
        }
        Ok(())
    }

    async fn ended(
        self,
        ends: Result<Vec<AssetEnd>, Stop>,
        stopped: Result<(), String>,
    ) -> Result<RunOutcome, EngineError> {
        match (ends, stopped) {
            (Err(Stop::Interrupted), _) => {
                self.recorder.fact(&Event::Interrupted)?;
                Ok(self.outcome(RunEnd::Interrupted))
            }
            (Err(Stop::Run(error)), _) => Ok(self.stopped(error.in_full(), error.hint())),
            (Err(Stop::Asset { reason, hint }), _) => Ok(self.stopped(reason, hint)),
            (Ok(_), Err(error)) => Ok(self.stopped(error, None)),
            (Ok(ends), Ok(())) => self.end(ends).await,
        }
    }

    /// The run as a whole can't go on now, but it has a directory and can be resumed.
    fn stopped(&self, reason: String, hint: Option<String>) -> RunOutcome {
        self.outcome(RunEnd::Stopped { assets: vec![StoppedAsset::of_run(reason, hint)] })
    }

    /// Puts a sign of life on record every minute; ends only when it can't.
    async fn tell_the_time(&self) -> EngineError {
        loop {
            tokio::time::sleep(SIGN_OF_LIFE).await;
            if let Err(error) = self.recorder.fact(&Event::StillAtWork) {
                return error.into();
            }
        }
    }

    /// Every asset in the playbook's order; one that stops doesn't stop the others.
    async fn carry_all(&self, site: &Site) -> Result<Vec<AssetEnd>, Stop> {
        fs::create_dir_all(&self.layout.restored)
            .map_err(|source| EngineError::Directory { path: self.layout.restored.clone(), source })?;
        let mut ends = Vec::new();
        for asset in &self.assets {
            if self.interrupt.asked() {
                return Err(Stop::Interrupted);
            }
            ends.push(match self.intact_or_carried(asset.as_ref(), site).await {
                Ok(result) => AssetEnd::Done(Box::new(result)),
                Err(Stop::Asset { .. }) if self.interrupt.asked() => return Err(Stop::Interrupted),
                Err(Stop::Asset { reason, hint }) => {
                    let asset = asset.id().to_owned();
                    let event = Event::AssetStopped { asset: asset.clone(), reason: reason.clone() };
                    self.recorder.fact(&event)?;
                    AssetEnd::Stopped(StoppedAsset { asset, reason, hint })
                }
                Err(stop) => return Err(stop),
            });
        }
        Ok(ends)
    }

    /// The result of an asset that is finished and still lies as it was left, or of carrying it.
    async fn intact_or_carried(&self, asset: &dyn Asset, site: &Site) -> Result<AssetResult, Stop> {
        if let Some(finished) = self.ledger.outcome(asset.id())?
            && let Some(intact) = self.looked_at(asset, finished, site).await?
        {
            return Ok(intact);
        }
        let carried = asset.carry(self.work(asset), site).await?;
        let result = carried.prove().await?;
        self.work(asset).done(&result)?;
        Ok(result)
    }

    /// The result of an asset that is finished, if what it restored still lies where it was put. Otherwise the asset is taken
    /// up again: a bucket is read back, a database is restored anew.
    async fn looked_at(
        &self,
        asset: &dyn Asset,
        result: AssetResult,
        site: &Site,
    ) -> Result<Option<AssetResult>, Stop> {
        let Looked { items, differ } = asset.recheck(self.work(asset), site, self.depth, &result).await?;
        self.recorder.fact(&Event::AssetLookedAt { asset: asset.id().to_owned(), items, differ })?;
        Ok((differ == 0).then_some(result))
    }

    fn site(&self, ready: Ready) -> Site {
        Site::new(self.playbook.clone(), ready, self.guards.clone())
    }

    fn work(&self, asset: &dyn Asset) -> Work {
        self.work_named(asset.id())
    }

    fn work_named(&self, asset: &str) -> Work {
        Work {
            asset: asset.to_owned(),
            run: self.id.clone(),
            layout: self.layout.clone(),
            ledger: Arc::clone(&self.ledger),
            recorder: Arc::clone(&self.recorder),
            budget: self.budget.clone(),
            interrupt: self.interrupt.clone(),
            executor: Arc::clone(&self.executor),
        }
    }

    async fn end(self, ends: Vec<AssetEnd>) -> Result<RunOutcome, EngineError> {
        let (mut results, mut stopped) = (Vec::new(), Vec::new());
        for end in ends {
            match end {
                AssetEnd::Done(result) => results.push(*result),
                AssetEnd::Stopped(asset) => stopped.push(asset),
            }
        }
        if stopped.is_empty() {
            let looking = account::finish(&self.playbook, &self.layout, &self.recorder, false);
            let Some(looked) = self.interrupt.unless_asked(looking).await else {
                self.recorder.fact(&Event::Interrupted)?;
                return Ok(self.outcome(RunEnd::Interrupted));
            };
            looked?;
            self.seal(results).await
        } else {
            Ok(self.outcome(RunEnd::Stopped { assets: stopped }))
        }
    }

    /// Seals what is there; assets without an outcome, and those whose restored data isn't as they left it, are put down as
    /// NOT RUN. What they made at the provider is removed first: nobody goes on with them.
    async fn seal_as_is(self, work_done: bool, open: Vec<Outstanding>) -> Result<RunOutcome, EngineError> {
        // Where the verdict of the run is on record nothing is decided any more.
        let looked = if work_done { self.finished_before() } else { self.look_again().await };
        let ends = match looked {
            Ok(ends) => ends,
            Err(stop) => return self.ended(Err(stop), Ok(())).await,
        };
        self.remove_open(open).await?;
        if !work_done {
            account::finish(&self.playbook, &self.layout, &self.recorder, true).await?;
        }
        let mut results = Vec::new();
        for (asset, end) in self.assets.iter().map(AsRef::as_ref).zip(ends) {
            results.push(match end {
                Ok(result) => *result,
                Err(why) => seal::unfinished(&self.work(asset), asset, &self.playbook, &why).map_err(stop_error)?,
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

    /// The same, and what finished assets restored is looked at: a verdict is about what is there when it is sealed.
    async fn look_again(&self) -> Result<Vec<Result<Box<AssetResult>, String>>, Stop> {
        let site = self.site(kinds::targets_unseen(self.playbook.target()).await);
        let mut ends = self.finished_before()?;
        let mut interrupted = Ok(());
        for (asset, end) in self.assets.iter().map(AsRef::as_ref).zip(&mut ends) {
            let Ok(result) = end else { continue };
            let looked = if self.interrupt.asked() {
                Err(Stop::Interrupted)
            } else {
                self.looked_at(asset, (**result).clone(), &site).await
            };
            match looked {
                Ok(Some(_)) => {}
                Ok(None) => *end = Err("it was finished, and what it restored is not as it was left".to_owned()),
                Err(Stop::Asset { reason, .. }) => {
                    let reason = format!("it was finished, and what it restored can't be looked at again: {reason}");
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
        let stopped = site.ready.stop().await;
        interrupted?;
        stopped.map_err(|reason| Stop::Asset { reason, hint: None }).map(|()| ends)
    }

    /// Removes what the record leaves open. What may still be there is on record, and becomes a finding.
    async fn remove_open(&self, open: Vec<Outstanding>) -> Result<(), EngineError> {
        let Some(spec) = self.playbook.provider().filter(|_| !open.is_empty()) else { return Ok(()) };
        open.iter().for_each(|one| self.interrupt.hold(&one.resource));
        let asker = Asker::new(&clients::aws(spec).await).await;
        for one in open {
            let removed = leftovers::remove_named(&asker, &self.id, &one, Duration::MAX, &self.interrupt).await;
            guard::record(&self.recorder, &one.asset, &one.resource, &removed)?;
            if removed.is_ok() {
                self.interrupt.release(&one.resource);
            }
        }
        Ok(())
    }

    async fn seal(self, results: Vec<AssetResult>) -> Result<RunOutcome, EngineError> {
        let bundle = self.layout.bundle.clone();
        let sealing = seal::Sealing {
            run: self.id,
            playbook: self.playbook,
            layout: self.layout,
            recorder: self.recorder,
            results,
            tool: seal::tool(version(), binary_digest()?),
            host: host_name(),
        };
        let end = match spawn_blocking(move || sealing.seal()).await.map_err(internal)? {
            Ok((result, bundle_digest)) => RunEnd::Sealed { result: Box::new(result), bundle_digest, signed: None },
            Err(error) => RunEnd::Stopped { assets: vec![StoppedAsset::of_run(error.in_full(), error.hint())] },
        };
        let left_behind = match &end {
            RunEnd::Sealed { result, .. } => seal::left_behind(result),
            _ => Vec::new(),
        };
        signed_outcome(&bundle, RunOutcome { bundle: bundle.clone(), end, left_behind }).await
    }

    fn outcome(&self, end: RunEnd) -> RunOutcome {
        RunOutcome { bundle: self.layout.bundle.clone(), end, left_behind: Vec::new() }
    }
}

fn merged(mut some: Vec<String>, others: Vec<String>) -> Vec<String> {
    some.extend(others);
    some.sort();
    some.dedup();
    some
}

/// The outcome of a sealed run, once it is signed; a run whose playbook asks for a signature is not finished without.
async fn signed_outcome(bundle: &Path, mut outcome: RunOutcome) -> Result<RunOutcome, EngineError> {
    if let RunEnd::Sealed { signed, .. } = &mut outcome.end {
        match endorse::sign_as_operator(bundle).await {
            Ok(endorsement) => *signed = endorsement,
            Err(error) => {
                let reason = format!("sealed, and not signed: {}", error.in_full());
                let hint = error.hint().map(|hint| format!("{hint}; resuming the run signs it"));
                outcome.end = RunEnd::Stopped { assets: vec![StoppedAsset::of_run(reason, hint)] };
            }
        }
    }
    Ok(outcome)
}

fn left_running(error: ClusterError) -> EngineError {
    let what = format!("stopping the managed PostgreSQL that the run left behind: {error}");
    EngineError::NotReady(vec![Obstacle { what, hint: error.hint() }])
}

fn stop_error(stop: Stop) -> EngineError {
    match stop {
        Stop::Run(error) => error,
        Stop::Asset { reason, .. } => EngineError::Internal(reason),
        Stop::Interrupted => EngineError::Internal("interrupted while sealing".to_owned()),
    }
}

fn internal(error: tokio::task::JoinError) -> EngineError {
    EngineError::Internal(error.to_string())
}
