//! A run from preflight to outcome, and its resumption after an interruption, an error, or a kill.

mod assets;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use tokio::task::spawn_blocking;

use super::{
    account, clusters,
    directory::{self, first_line, name_of_its_own, not_a_run, read_back_playbook, reopen, write_json},
    endorse,
    error::{EngineError, Obstacle},
    guard::{self, Guards},
    identity::{binary_digest, executable, host_name, version},
    layout::Layout,
    ledger::Ledger,
    leftovers::{self, Asker, Outstanding},
    look::Depth,
    outcome::{RunEnd, RunOutcome, StoppedAsset},
    preflight::{self, Consent, Ready},
    recorder::Recorder,
    seal,
    stop::Stop,
    survey,
    target::Target,
    work::Work,
};
use crate::{
    digest::Sha256Digest,
    event::{Event, Monitor},
    evidence::{self, facts::PreviousRun, result::AssetResult},
    interrupt::Interrupt,
    playbook::{Asset, AssetKind, BucketSpec, Loaded, Playbook, Previous, ProcessEnvironment},
    restore::cluster::{Cluster, ClusterError},
    transfer::{error::TransferError, objects::Budget, pseudonyms::Pseudonyms},
};

/// How often a run says that it is alive.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// What a run may use of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Bytes of objects in memory at once.
    pub memory_bytes: u64,
    /// How closely a resumed run looks at what its finished assets restored.
    pub look: Depth,
}

/// Runs a playbook from the beginning, in a run directory of its own.
///
/// # Errors
/// Obstacles that were found before anything moved, and failures to write evidence. What goes wrong with an asset is
/// part of the outcome.
pub async fn run(
    loaded: Loaded,
    consent: Consent,
    means: Means,
    monitor: Arc<dyn Monitor>,
    interrupt: Interrupt,
) -> Result<RunOutcome, EngineError> {
    let Loaded { playbook, text, origin } = loaded;
    let looking = async {
        let (playbook, mut before) = account::prepare(playbook, &origin.folder).await?;
        survey::look_for_room(&playbook, &mut before).await?;
        let (id, layout) = name_of_its_own(&playbook).await;
        let ready = preflight::look(&playbook, &layout, &id, &consent, before.obstacles.clone()).await?;
        Ok::<_, EngineError>((playbook, before, id, layout, ready))
    };
    let looked = interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)?;
    let (playbook, before, id, layout, ready) = looked?;
    let journal = directory::make(&layout, &playbook, &text, &origin)?;
    let read = before.write(&layout)?;
    let ledger = Ledger::from_journal(&layout, &[]);
    let run = Run::new(id, playbook, layout, ledger, Recorder::new(journal, monitor), means, interrupt);
    run.begin(ready, &text, read.as_ref()).await
}

/// Begins a run anew whose process was ended before the first line of its journal, in the directory that it has.
async fn begin_again(
    run_dir: &Path,
    consent: Consent,
    means: Means,
    monitor: Arc<dyn Monitor>,
    interrupt: Interrupt,
) -> Result<RunOutcome, EngineError> {
    let never_began = || EngineError::NeverBegan { path: run_dir.to_owned() };
    let id = run_dir.file_name().and_then(|name| name.to_str()).ok_or_else(never_began)?.to_owned();
    let (playbook, text) = read_back_playbook(run_dir).map_err(|_| never_began())?;
    let origin = directory::read_origin(run_dir)?;
    let looking = async {
        let (playbook, mut before) = account::prepare(playbook, &origin.folder).await?;
        survey::look_for_room(&playbook, &mut before).await?;
        let layout = Layout::at(run_dir, &playbook, &id);
        let ready = preflight::look(&playbook, &layout, &id, &consent, before.obstacles.clone()).await?;
        Ok::<_, EngineError>((playbook, before, layout, ready))
    };
    let looked = interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)?;
    let (playbook, before, layout, ready) = looked?;
    let journal = directory::complete(&layout, &playbook, &text, &origin)?;
    let read = before.write(&layout)?;
    let ledger = Ledger::from_journal(&layout, &[]);
    let run = Run::new(id, playbook, layout, ledger, Recorder::new(journal, monitor), means, interrupt);
    run.begin(ready, &text, read.as_ref()).await
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
    means: Means,
    monitor: Arc<dyn Monitor>,
    interrupt: Interrupt,
) -> Result<RunOutcome, EngineError> {
    if evidence::is_sealed(run_dir) {
        return signed_outcome(run_dir, seal::sealed_before(run_dir)?).await;
    }
    if directory::never_began(run_dir) {
        return match seal_as_is {
            true => Err(EngineError::NeverBegan { path: run_dir.to_owned() }),
            false => begin_again(run_dir, consent, means, monitor, interrupt).await,
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
    for cluster in clusters::all(&layout) {
        spawn_blocking(move || Cluster::stop_left_behind(&cluster)).await.map_err(internal)?.map_err(left_running)?;
    }
    let work_done = matches!(entries.last().map(|entry| &entry.event), Some(Event::RunDone { .. }));
    let ready = match work_done || seal_as_is {
        true => None,
        false => {
            let looking = preflight::look(&playbook, &layout, &id, &consent, Vec::new());
            Some(interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)??)
        }
    };
    let ledger = Ledger::from_journal(&layout, &entries);
    let open = leftovers::Record::read(run_dir).map(|record| record.open).unwrap_or_default();
    let run = Run::new(id, playbook, layout, ledger, Recorder::new(journal, monitor), means, interrupt);
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
    layout: Layout,
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    budget: Budget,
    interrupt: Interrupt,
    guards: Guards,
    /// How closely finished assets are looked at.
    look: Depth,
}

/// What became of one asset.
enum AssetEnd {
    Done(Box<AssetResult>),
    Stopped(StoppedAsset),
    /// The provider's server can't open it, for this reason: nothing was begun.
    NotRun {
        why: String,
    },
}

impl AssetEnd {
    fn stopped(&self) -> Option<&StoppedAsset> {
        match self {
            AssetEnd::Stopped(asset) => Some(asset),
            _ => None,
        }
    }
}

impl Run {
    fn new(
        id: String,
        playbook: Playbook,
        layout: Layout,
        ledger: Ledger,
        recorder: Recorder,
        means: Means,
        interrupt: Interrupt,
    ) -> Self {
        let (ledger, recorder, guards) = (Arc::new(ledger), Arc::new(recorder), Guards::default());
        let (budget, look) = (Budget::new(means.memory_bytes), means.look);
        Run { id, playbook, layout, ledger, recorder, budget, interrupt, guards, look }
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
    async fn begin(self, ready: Ready, text: &str, read: Option<&Event>) -> Result<RunOutcome, EngineError> {
        let (binary_sha256, walkaway, host) = (binary_digest()?, version(), host_name());
        let (run, playbook_sha256) = (self.id.clone(), Sha256Digest::of(text));
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
        let mut target = None;
        let ends = tokio::select! {
            ends = self.work_off(&ready, &mut target) => ends,
            broken = self.tell_the_time() => Err(Stop::Run(broken)),
        };
        // The target goes down whatever happened; a bundle must not promise a server that is still writing.
        let stopped = spawn_blocking(move || target.map_or(Ok(()), stop_target)).await.map_err(internal)?;
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
        for asset in self.playbook.assets().iter().filter(|asset| makes_export(asset)) {
            if self.ledger.outcome(asset.id.as_str())?.is_none() {
                kept.push(asset.id.as_str());
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
    async fn work_off(&self, ready: &Ready, target: &mut Option<Arc<Target>>) -> Result<Vec<AssetEnd>, Stop> {
        fs::create_dir_all(&self.layout.restored)
            .map_err(|source| EngineError::Directory { path: self.layout.restored.clone(), source })?;
        let mut ends = Vec::new();
        for asset in self.playbook.assets() {
            if self.interrupt.asked() {
                return Err(Stop::Interrupted);
            }
            let finished = self.ledger.outcome(asset.id.as_str())?;
            let done = match finished {
                Some(result) => self.looked_at(asset, result, ready, target).await,
                None => Ok(None),
            };
            let done = match done {
                Ok(Some(intact)) => {
                    ends.push(AssetEnd::Done(Box::new(intact)));
                    continue;
                }
                Ok(None) if ready.unopened.contains_key(asset.id.as_str()) => {
                    ends.push(self.not_run(asset, &ready.unopened)?);
                    continue;
                }
                Ok(None) => self.carry(asset, ready, target).await,
                Err(stop) => Err(stop),
            };
            match done {
                Ok(result) => {
                    self.work(asset).done(&result)?;
                    ends.push(AssetEnd::Done(Box::new(result)));
                }
                Err(Stop::Asset { .. }) if self.interrupt.asked() => return Err(Stop::Interrupted),
                Err(Stop::Asset { reason, hint }) => {
                    let asset = asset.id.to_string();
                    let event = Event::AssetStopped { asset: asset.clone(), reason: reason.clone() };
                    self.recorder.fact(&event)?;
                    ends.push(AssetEnd::Stopped(StoppedAsset { asset, reason, hint }));
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(ends)
    }

    fn not_run(&self, asset: &Asset, unopened: &BTreeMap<String, Obstacle>) -> Result<AssetEnd, EngineError> {
        let asset = asset.id.to_string();
        let why = unopened.get(&asset).map_or(String::new(), |Obstacle { what, hint }| {
            hint.as_ref().map_or_else(|| what.clone(), |hint| format!("{what}; {hint}"))
        });
        self.recorder.fact(&Event::AssetStopped { asset, reason: why.clone() })?;
        Ok(AssetEnd::NotRun { why })
    }

    fn work(&self, asset: &Asset) -> Work {
        self.work_named(asset.id.as_str())
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
        }
    }

    async fn end(self, ends: Vec<AssetEnd>) -> Result<RunOutcome, EngineError> {
        let stopped: Vec<_> = ends.iter().filter_map(AssetEnd::stopped).cloned().collect();
        if !stopped.is_empty() {
            return Ok(self.outcome(RunEnd::Stopped { assets: stopped }));
        }
        let names = pseudonyms(&self.playbook).map_err(stop_error)?;
        let mut results = Vec::new();
        for (asset, end) in self.playbook.assets().iter().zip(ends) {
            match end {
                AssetEnd::Done(result) => results.push(*result),
                AssetEnd::Stopped(_) => {}
                AssetEnd::NotRun { why } => {
                    let result = seal::unfinished(&self.work(asset), asset, names.as_ref(), &why);
                    results.push(result.map_err(stop_error)?);
                }
            }
        }
        let looking = account::finish(&self.playbook, &self.layout, &self.recorder, false);
        let Some(looked) = self.interrupt.unless_asked(looking).await else {
            self.recorder.fact(&Event::Interrupted)?;
            return Ok(self.outcome(RunEnd::Interrupted));
        };
        looked?;
        self.seal(results).await
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
        let names = pseudonyms(&self.playbook).map_err(stop_error)?;
        let mut results = Vec::new();
        for (asset, end) in self.playbook.assets().iter().zip(ends) {
            results.push(match end {
                Ok(result) => *result,
                Err(why) => seal::unfinished(&self.work(asset), asset, names.as_ref(), &why).map_err(stop_error)?,
            });
        }
        self.seal(results).await
    }

    /// Each asset's outcome, or why it has none.
    fn finished_before(&self) -> Result<Vec<Result<Box<AssetResult>, String>>, Stop> {
        let end = |asset: &Asset| {
            let outcome = self.ledger.outcome(asset.id.as_str())?.map(Box::new);
            let stop = self.ledger.last_stop(asset.id.as_str());
            let why = stop.map_or(String::new(), |reason| format!("; it had stopped: {reason}"));
            Ok::<_, Stop>(outcome.ok_or_else(|| format!("sealed before its work was finished{why}")))
        };
        self.playbook.assets().iter().map(end).collect()
    }

    /// The same, and what finished assets restored is looked at: a verdict is about what is there when it is sealed.
    async fn look_again(&self) -> Result<Vec<Result<Box<AssetResult>, String>>, Stop> {
        let ready = preflight::at_target(&self.playbook).await;
        let mut target = None;
        let mut ends = self.finished_before()?;
        let mut interrupted = Ok(());
        for (asset, end) in self.playbook.assets().iter().zip(&mut ends) {
            let Ok(result) = end else { continue };
            let looked = if self.interrupt.asked() {
                Err(Stop::Interrupted)
            } else {
                self.looked_at(asset, (**result).clone(), &ready, &mut target).await
            };
            match looked {
                Ok(Some(_)) => {}
                Ok(None) => *end = Err("it was finished, and what it restored is not as it was left".to_owned()),
                Err(Stop::Asset { reason, .. }) => {
                    let reason = format!("it was finished, and what it restored can't be looked at again: {reason}");
                    let event = Event::AssetStopped { asset: asset.id.to_string(), reason: reason.clone() };
                    self.recorder.fact(&event)?;
                    *end = Err(reason);
                }
                Err(stop) => {
                    interrupted = Err(stop);
                    break;
                }
            }
        }
        let stopped = spawn_blocking(move || target.map_or(Ok(()), stop_target)).await.map_err(TransferError::from)?;
        interrupted?;
        stopped.map_err(|reason| Stop::Asset { reason, hint: None }).map(|()| ends)
    }

    /// Removes what the record leaves open. What may still be there is on record, and becomes a finding.
    async fn remove_open(&self, open: Vec<Outstanding>) -> Result<(), EngineError> {
        let Some(spec) = self.playbook.provider().filter(|_| !open.is_empty()) else { return Ok(()) };
        open.iter().for_each(|one| self.interrupt.hold(&one.resource));
        let asker = Asker::new(&preflight::aws(spec).await).await;
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

fn makes_export(asset: &Asset) -> bool {
    match &asset.kind {
        AssetKind::Database(spec) => spec.server.rds().is_some_and(|rds| rds.new_export().is_some()),
        AssetKind::Objects(_) => false,
    }
}

fn stop_target(target: Arc<Target>) -> Result<(), String> {
    // No worker is left that could hold another reference.
    Arc::into_inner(target).map_or(Ok(()), Target::stop).map_err(|error| error.to_string())
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

/// `s3://bucket/prefix`.
pub(crate) fn bucket_name(bucket: &BucketSpec) -> String {
    format!("s3://{}/{}", bucket.bucket, bucket.prefix.as_deref().unwrap_or_default())
}

/// What keys are called in the evidence, where they go by pseudonyms.
pub(crate) fn pseudonyms(playbook: &Playbook) -> Result<Option<Pseudonyms>, Stop> {
    let secret = playbook.pseudonyms().map(|reference| reference.resolve(&ProcessEnvironment)).transpose();
    let missing = |error: crate::playbook::Unresolved| Stop::Asset {
        reason: error.to_string(),
        hint: Some(error.hint().to_owned()),
    };
    Ok(secret.map_err(missing)?.map(|secret| Pseudonyms::under(secret.expose())))
}
