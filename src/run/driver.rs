//! A run from preflight to outcome.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use tokio::task::spawn_blocking;

use super::{
    endorse,
    outcome::{RunEnd, RunOutcome, StoppedAsset},
    plan::Plan,
    preflight::{self, Consent},
    seal,
};
use crate::{
    account::drive,
    asset::{
        endpoints::{Endpoints, Ready},
        kinds::{self, Kinds},
        look::{RecheckCounts, RecheckDepth},
        rds::{guard::Guards, leftovers},
        seam::Asset,
        stop::Stop,
        work::Work,
    },
    domain::{
        digest::Sha256Digest,
        event::{Event, Monitor},
    },
    evidence::{self, Journal, facts::PreviousRun, result::AssetResult},
    interrupt::Interrupt,
    playbook::{Playbook, Previous},
    record::{
        directory::{self, name_of_its_own},
        error::{EngineError, Obstacle},
        identity::{binary_digest, host_name, version},
        layout::Layout,
        ledger::Ledger,
        recorder::{Recorder, SIGN_OF_LIFE},
    },
    transfer::{
        executor::{LocalExecutor, UnitExecutor},
        objects::Budget,
    },
};

/// What a run may use of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Bytes of objects in memory at once.
    pub memory_bytes: u64,
    /// How thoroughly a resumed run re-checks the restored copies of finished assets.
    pub look: RecheckDepth,
}

/// The dependencies of a run.
#[derive(Clone)]
pub struct RunDependencies {
    /// What it may use of this machine.
    pub options: RunOptions,
    /// The monitor.
    pub monitor: Arc<dyn Monitor>,
    /// Cancellation.
    pub interrupt: Interrupt,
    /// What runs its units.
    pub executor: Arc<dyn UnitExecutor>,
    /// What creates assets from the playbook's entries, where a run is read back from its directory.
    pub kinds: Kinds,
}

impl RunDependencies {
    /// In this process, with the kinds that are built in.
    pub fn new(options: RunOptions, monitor: Arc<dyn Monitor>, interrupt: Interrupt) -> Self {
        RunDependencies { options, monitor, interrupt, executor: Arc::new(LocalExecutor), kinds: kinds::built_in() }
    }
}

/// Runs a plan from the start, in a new run directory.
///
/// # Errors
/// Obstacles that were found before the transfer, and failures to write evidence. What goes wrong with an asset is
/// part of the outcome.
pub async fn run(mut plan: Plan, consent: Consent, driving: RunDependencies) -> Result<RunOutcome, EngineError> {
    let looking = async {
        plan.measure_free_space().await?;
        loop {
            let (id, layout) = name_of_its_own(&plan.playbook).await;
            let ready = look(&plan, (&layout, &id), &consent).await?;
            match directory::make(&layout, &plan.playbook, &plan.text, &plan.origin) {
                // Another run started in the same second, and was first.
                Err(error) if error.is_taken(&layout.bundle) => {}
                made => return Ok::<_, EngineError>((id, layout, ready, made?)),
            }
        }
    };
    let looked = driving.interrupt.unless_asked(looking).await.ok_or(EngineError::Interrupted)?;
    let (id, layout, ready, journal) = looked?;
    begin(plan, id, layout, journal, ready, driving).await
}

pub(super) async fn look(plan: &Plan, at: (&Layout, &str), consent: &Consent) -> Result<Ready, EngineError> {
    preflight::look(&plan.playbook, &plan.assets, at, consent, plan.before.obstacles.clone()).await
}

/// Records the start, then does the work.
pub(super) async fn begin(
    plan: Plan,
    id: String,
    layout: Layout,
    journal: Journal,
    ready: Ready,
    driving: RunDependencies,
) -> Result<RunOutcome, EngineError> {
    let read = plan.before.write(&layout)?;
    let ledger = Ledger::from_journal(&layout, &[]);
    let playbook_sha256 = Sha256Digest::of(&plan.text);
    let run = Run::new(id, (plan.playbook, plan.assets), layout, ledger, journal, driving);
    run.begin(ready, playbook_sha256, read.as_ref()).await
}

/// One run in progress.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) playbook: Playbook,
    pub(super) assets: Vec<Arc<dyn Asset>>,
    pub(super) layout: Layout,
    pub(super) ledger: Arc<Ledger>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) budget: Budget,
    pub(super) interrupt: Interrupt,
    pub(super) executor: Arc<dyn UnitExecutor>,
    pub(super) guards: Guards,
    /// How thoroughly finished assets are re-checked.
    pub(super) depth: RecheckDepth,
}

/// The outcome of one asset.
pub(super) enum AssetEnd {
    Done(Box<AssetResult>),
    Stopped(StoppedAsset),
    /// The provider's server can't open it, for this reason: nothing was started.
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
    pub(super) fn new(
        id: String,
        planned: (Playbook, Vec<Arc<dyn Asset>>),
        layout: Layout,
        ledger: Ledger,
        journal: Journal,
        driving: RunDependencies,
    ) -> Self {
        let RunDependencies { options, monitor, interrupt, executor, .. } = driving;
        let (playbook, assets) = planned;
        Run {
            id,
            playbook,
            assets,
            layout,
            ledger: Arc::new(ledger),
            recorder: Arc::new(Recorder::new(journal, monitor)),
            budget: Budget::new(options.memory_bytes),
            interrupt,
            executor,
            guards: Guards::default(),
            depth: options.look,
        }
    }

    /// The previous run is named before anything is known of this one.
    fn name_predecessor(&self) -> Result<(), EngineError> {
        if self.playbook.previous() == Previous::None {
            return Ok(());
        }
        let chain = evidence::predecessor::latest(self.playbook.evidence_path(), self.playbook.id().as_str())?;
        let Some(before) = chain.and_then(|chain| chain.previous) else { return Ok(()) };
        let PreviousRun { run, bundle_digest, journal_head, .. } = before;
        Ok(self.recorder.fact(&Event::Continues { previous: run, bundle_digest, journal_head })?)
    }

    /// Records the start, then does the work.
    async fn begin(
        self,
        ready: Ready,
        playbook_sha256: Sha256Digest,
        read: Option<&Event>,
    ) -> Result<RunOutcome, EngineError> {
        let binary_sha256 = binary_digest()?;
        let walkaway = version();
        let host = host_name();
        let run = self.id.clone();
        let place = self.recorder.place();
        self.recorder.fact(&Event::RunStarted { run, playbook_sha256, walkaway, binary_sha256, host, place })?;
        self.name_predecessor()?;
        if let Some(read) = read {
            self.recorder.fact(read)?;
        }
        self.go(ready).await
    }

    pub(super) async fn go(self, ready: Ready) -> Result<RunOutcome, EngineError> {
        if let Some(caller) = &ready.caller {
            let account = caller.account.clone();
            let arn = caller.arn.clone();
            let region = ready.aws.as_ref().map(|aws| aws.region());
            self.recorder.fact(&Event::CallerIdentified { account, arn, region })?;
        }
        if ready.aws.is_some() {
            let evidence = self.playbook.evidence_path();
            let work = self.work_named("");
            let removing = leftovers::remove_of_other_runs(&self.guards, &work, evidence);
            self.interrupt.unless_asked(removing).await.transpose()?;
        }
        let endpoints = self.endpoints(ready);
        let ends = tokio::select! {
            ends = self.carry_all(&endpoints) => ends,
            broken = self.tell_the_time() => Err(Stop::Run(broken)),
        };
        // The target is stopped whatever happened; a bundle must not refer to a server that is still writing.
        let stopped = endpoints.ready.stop().await;
        // Nothing of walkaway's remains at the provider, whatever happened.
        let left_behind = self.guards.finish().await;
        let outcome = self.ended(ends, stopped).await?;
        Ok(RunOutcome { left_behind: merged(outcome.left_behind, left_behind), ..outcome })
    }

    pub(super) async fn ended(
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
            (Err(Stop::Asset { reason, hint } | Stop::Away { reason, hint }), _) => Ok(self.stopped(reason, hint)),
            (Ok(_), Err(error)) => Ok(self.stopped(error, None)),
            (Ok(ends), Ok(())) => self.end(ends).await,
        }
    }

    /// The run as a whole can't continue now, but it has a directory and can be resumed.
    fn stopped(&self, reason: String, hint: Option<String>) -> RunOutcome {
        self.outcome(RunEnd::Stopped { assets: vec![StoppedAsset::of_run(reason, hint)] })
    }

    /// Records a heartbeat every minute; ends only when it can't.
    async fn tell_the_time(&self) -> EngineError {
        loop {
            tokio::time::sleep(SIGN_OF_LIFE).await;
            if let Err(error) = self.recorder.fact(&Event::StillAtWork) {
                return error.into();
            }
        }
    }

    /// Every asset in the playbook's order; one that stops doesn't stop the others.
    async fn carry_all(&self, endpoints: &Endpoints) -> Result<Vec<AssetEnd>, Stop> {
        fs::create_dir_all(&self.layout.restored)
            .map_err(|source| EngineError::Directory { path: self.layout.restored.clone(), source })?;
        let mut ends = Vec::new();
        for asset in &self.assets {
            if self.interrupt.asked() {
                return Err(Stop::Interrupted);
            }
            ends.push(match self.intact_or_carried(asset.as_ref(), endpoints).await {
                Ok(Some(result)) => AssetEnd::Done(Box::new(result)),
                Ok(None) => self.not_run(asset.id(), &endpoints.ready.unopened)?,
                Err(Stop::Asset { .. } | Stop::Away { .. }) if self.interrupt.asked() => return Err(Stop::Interrupted),
                Err(Stop::Asset { reason, hint } | Stop::Away { reason, hint }) => {
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

    /// The result of an asset that is finished and still intact, or of copying it.
    /// None where its server can't open it.
    async fn intact_or_carried(&self, asset: &dyn Asset, endpoints: &Endpoints) -> Result<Option<AssetResult>, Stop> {
        if let Some(finished) = self.ledger.outcome(asset.id())?
            && let Some(intact) = self.looked_at(asset, finished, endpoints).await?
        {
            return Ok(Some(intact));
        }
        if endpoints.ready.unopened.contains_key(asset.id()) {
            return Ok(None);
        }
        let carried = asset.carry(self.work(asset), endpoints).await?;
        let result = carried.prove().await?;
        self.work(asset).done(&result)?;
        Ok(Some(result))
    }

    fn not_run(&self, asset: &str, unopened: &BTreeMap<String, Obstacle>) -> Result<AssetEnd, EngineError> {
        let why = unopened.get(asset).map_or(String::new(), |Obstacle { what, hint }| {
            hint.as_ref().map_or_else(|| what.clone(), |hint| format!("{what}; {hint}"))
        });
        self.recorder.fact(&Event::AssetStopped { asset: asset.to_owned(), reason: why.clone() })?;
        Ok(AssetEnd::NotRun { why })
    }

    /// The result of an asset that is finished, if its restored copy is still in place. Otherwise the asset is
    /// reopened: a bucket is read back, a database is restored anew.
    pub(super) async fn looked_at(
        &self,
        asset: &dyn Asset,
        result: AssetResult,
        endpoints: &Endpoints,
    ) -> Result<Option<AssetResult>, Stop> {
        let RecheckCounts { items, differ } = asset.recheck(self.work(asset), endpoints, self.depth, &result).await?;
        self.recorder.fact(&Event::AssetLookedAt { asset: asset.id().to_owned(), items, differ })?;
        Ok((differ == 0).then_some(result))
    }

    pub(super) fn endpoints(&self, ready: Ready) -> Endpoints {
        Endpoints::new(self.playbook.clone(), ready, self.guards.clone())
    }

    pub(super) fn work(&self, asset: &dyn Asset) -> Work {
        self.work_named(asset.id())
    }

    pub(super) fn work_named(&self, asset: &str) -> Work {
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
        let stopped: Vec<_> = ends.iter().filter_map(AssetEnd::stopped).cloned().collect();
        if !stopped.is_empty() {
            return Ok(self.outcome(RunEnd::Stopped { assets: stopped }));
        }
        let mut results = Vec::new();
        for (asset, end) in self.assets.iter().zip(ends) {
            match end {
                AssetEnd::Done(result) => results.push(*result),
                AssetEnd::Stopped(_) => {}
                AssetEnd::NotRun { why } => {
                    let asset = asset.as_ref();
                    results.push(seal::unfinished(&self.work(asset), asset, &self.playbook, &why)?);
                }
            }
        }
        let looking = drive::finish(&self.playbook, &self.layout, &self.recorder, false);
        let Some(looked) = self.interrupt.unless_asked(looking).await else {
            self.recorder.fact(&Event::Interrupted)?;
            return Ok(self.outcome(RunEnd::Interrupted));
        };
        looked?;
        self.seal(results).await
    }

    pub(super) async fn seal(self, results: Vec<AssetResult>) -> Result<RunOutcome, EngineError> {
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

/// The outcome of a sealed run, once it is signed; a run whose playbook asks for a signature is unfinished without.
pub(super) async fn signed_outcome(bundle: &Path, mut outcome: RunOutcome) -> Result<RunOutcome, EngineError> {
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

pub(super) fn internal(error: tokio::task::JoinError) -> EngineError {
    EngineError::Internal(error.to_string())
}
