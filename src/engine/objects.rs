//! One bucket from listing to verdict: list, cut into units, copy, read back, compare, write the evidence.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::PathBuf,
    sync::Arc,
};

use tokio::task::{JoinSet, spawn_blocking};

use super::{ledger, stop::Stop, work::Work};
use crate::{
    clock::Stopwatch,
    digest::Sha256Digest,
    event::{AssetKind, Event, Phase},
    evidence::{
        self, EvidenceError,
        result::{AssetResult, Control, ObjectsResult, Timings},
    },
    finding::{Finding, FindingKind, Verdict},
    restore::tree::Tree,
    transfer::{
        error::{SourceError, TransferError},
        meter::Meter,
        object::{ObjectEntry, ObjectSink as _, ObjectSource, Refusal},
        objects::ObjectCopier,
        receipt::ObjectReceipt,
        retry::with_retries,
        unit::{ObjectUnit, PlacedObject, UnitCutter, UnitId},
    },
    verify::{Comparison, control, objects::ReadBack},
};

/// Units that are copied at once, so that the end of one doesn't leave the network idle.
const UNITS_IN_FLIGHT: usize = 3;

/// Carries one bucket out and proves it.
pub(crate) struct BucketWork {
    pub work: Work,
    /// The bucket and prefix in words.
    pub source_name: String,
    pub source: Arc<dyn ObjectSource>,
}

/// What the transfer left for the verification.
#[derive(Default)]
struct Carried {
    listed: u64,
    files: Vec<PathBuf>,
    refused: Vec<Finding>,
    /// Objects that were refused although another attempt may bring them, and the first one's error.
    may_come: u64,
    first_to_come: String,
    duration_ms: u64,
}

/// Keys that were listed or carried before, by [`Sha256Digest::short`]: none is carried twice.
#[derive(Default)]
struct Known {
    carried: HashMap<u128, u128>,
    listed: HashSet<u128>,
}

enum Novelty {
    New,
    /// Carried before the run was interrupted, or listed twice.
    Known,
    /// Carried before the run was interrupted, and replaced at the provider since.
    Replaced,
}

impl Known {
    fn meet(&mut self, entry: &ObjectEntry) -> Novelty {
        let key = Sha256Digest::of(&entry.key).short();
        if !self.listed.insert(key) {
            return Novelty::Known;
        }
        match self.carried.get(&key) {
            None => Novelty::New,
            Some(state) if *state == state_id(entry.etag.as_deref(), entry.size) => Novelty::Known,
            Some(_) => Novelty::Replaced,
        }
    }

    fn carried(&mut self, receipt: &ObjectReceipt) {
        let key = Sha256Digest::of(&receipt.key).short();
        self.carried.insert(key, state_id(receipt.etag.as_deref(), receipt.size));
    }

    /// Whether a key that was carried before is gone from the listing.
    fn vanished(&self, key: &str) -> bool {
        !self.listed.contains(&Sha256Digest::of(key).short())
    }
}

fn state_id(etag: Option<&str>, size: u64) -> u128 {
    Sha256Digest::of(format!("{size} {}", etag.unwrap_or_default())).short()
}

impl BucketWork {
    /// Everything from the listing to the asset's result.
    pub async fn carry(self) -> Result<AssetResult, Stop> {
        self.work.started(AssetKind::S3)?;
        let carried = self.transfer().await?;
        self.work.go_on()?;
        spawn_blocking(move || self.prove(carried)).await.map_err(TransferError::from)?
    }

    async fn transfer(&self) -> Result<Carried, Stop> {
        let watch = Stopwatch::start();
        let meter = Arc::new(Meter::default());
        let ticker = self.work.ticker(Phase::Transfer, &meter);
        let sink = Arc::new(Tree::open(self.work.root())?);
        let mut carried = Carried { files: self.work.ledger.receipt_files(&self.work.asset)?, ..Carried::default() };
        let mut known = self.remember(&sink, &carried.files, &meter)?;
        let copier =
            ObjectCopier::new(Arc::clone(&self.source), sink.clone(), Arc::clone(&meter), self.work.interrupt.clone());
        self.copy_listing(&copier, &sink, &meter, &mut known, &mut carried).await?;
        if carried.may_come > 0 {
            // A busy or broken way to the provider is no verdict about the objects behind it.
            let hint =
                "see whether the provider can be reached, then resume the run, or seal it as it stands with --seal";
            let reason = format!("{} objects did not come, the first: {}", carried.may_come, carried.first_to_come);
            return Err(Stop::Asset { reason, hint: Some(hint.to_owned()) });
        }
        self.name_vanished(&known, &mut carried)?;
        sink.close()?;
        drop(ticker);
        carried.duration_ms = watch.elapsed_ms();
        let total = meter.read();
        self.work.transferred(total.items, total.bytes, carried.duration_ms)?;
        Ok(carried)
    }

    /// Takes up what an interrupted part of the run finished, and discards what it did not.
    fn remember(&self, sink: &Tree, files: &[PathBuf], meter: &Meter) -> Result<Known, Stop> {
        let (mut known, mut places) = (Known::default(), HashSet::new());
        for receipt in evidence::merge(files.to_vec()) {
            let receipt = receipt.map_err(|source| unreadable(self.work.layout.receipts(&self.work.asset), source))?;
            sink.occupy(&receipt.key, &receipt.path);
            places.insert(Sha256Digest::of(&receipt.path).short());
            known.carried(&receipt);
            meter.expect(1, receipt.size);
            meter.add_items(1);
            meter.add_bytes(receipt.size);
        }
        sink.discard_unrecorded(&places)?;
        Ok(known)
    }

    /// Lists and copies at the same time; at most [`UNITS_IN_FLIGHT`] units and one batch of the listing are in memory.
    async fn copy_listing(
        &self,
        copier: &ObjectCopier,
        sink: &Tree,
        meter: &Meter,
        known: &mut Known,
        carried: &mut Carried,
    ) -> Result<(), Stop> {
        let mut cutter = UnitCutter::starting_at(self.work.ledger.next_unit(&self.work.asset));
        let mut units = JoinSet::new();
        let mut from = None;
        loop {
            let page = self.list(from.as_deref()).await?;
            for entry in page.entries {
                let Some(object) = self.admit(entry, sink, meter, known, carried) else { continue };
                if let Some(unit) = cutter.push(object) {
                    self.start(copier, unit, &mut units, carried).await?;
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        if let Some(unit) = cutter.flush() {
            self.start(copier, unit, &mut units, carried).await?;
        }
        while let Some(done) = units.join_next().await {
            self.file(done.map_err(TransferError::from)??, carried)?;
        }
        Ok(())
    }

    async fn list(&self, from: Option<&str>) -> Result<crate::transfer::object::ListPage, Stop> {
        tokio::select! {
            biased;
            () = self.work.interrupt.wait() => Err(Stop::Interrupted),
            page = with_retries(|| async { Ok(self.source.list(from).await?) }) => Ok(page?),
        }
    }

    /// Counts a listed object and gives it a place, unless it was carried before.
    fn admit(
        &self,
        entry: ObjectEntry,
        sink: &Tree,
        meter: &Meter,
        known: &mut Known,
        carried: &mut Carried,
    ) -> Option<PlacedObject> {
        let novelty = known.meet(&entry);
        if !matches!(novelty, Novelty::Known) || known.carried.contains_key(&Sha256Digest::of(&entry.key).short()) {
            carried.listed += 1;
        }
        match novelty {
            Novelty::Known => None,
            Novelty::Replaced => {
                let detail = "replaced at the provider after it was carried; the run was interrupted in between";
                carried.refused.push(self.work.finding(FindingKind::ObjectChanged, &entry.key, detail));
                None
            }
            Novelty::New => {
                meter.expect(1, entry.size);
                let place = sink.place(&entry.key);
                Some(PlacedObject { entry, place })
            }
        }
    }

    async fn start(
        &self,
        copier: &ObjectCopier,
        unit: ObjectUnit,
        units: &mut JoinSet<Result<Finished, TransferError>>,
        carried: &mut Carried,
    ) -> Result<(), Stop> {
        while units.len() >= UNITS_IN_FLIGHT {
            let Some(done) = units.join_next().await else { break };
            self.file(done.map_err(TransferError::from)??, carried)?;
        }
        let copier = copier.clone();
        units.spawn(async move {
            let id = unit.id.clone();
            let outcome = copier.copy(unit).await?;
            Ok(Finished { id, receipts: outcome.receipts, refusals: outcome.refusals })
        });
        Ok(())
    }

    /// Puts a finished unit on record: first its receipts, then the journal's line.
    fn file(&self, finished: Finished, carried: &mut Carried) -> Result<(), Stop> {
        let Finished { id, receipts, refusals } = finished;
        for refusal in refusals {
            if matches!(refusal.error, SourceError::Transient { .. }) {
                carried.may_come += 1;
                carried.first_to_come = refusal.error.to_string();
            }
            carried.refused.push(self.refusal(refusal));
        }
        let asset = self.work.asset.clone();
        let (path, receipt_sha256) = ledger::write_object_receipts(&self.work.layout, &asset, &id, &receipts)?;
        let (items, bytes) = (receipts.len() as u64, receipts.iter().map(|receipt| receipt.size).sum());
        self.work.recorder.fact(&Event::UnitDone { asset, unit: id.to_string(), items, bytes, receipt_sha256 })?;
        carried.files.push(path);
        Ok(())
    }

    fn refusal(&self, refusal: Refusal) -> Finding {
        let kind = match refusal.error {
            SourceError::Corrupt { .. } => FindingKind::ProviderChecksum,
            SourceError::Changed { .. } => FindingKind::ObjectChanged,
            _ => FindingKind::ObjectUnreadable,
        };
        self.work.finding(kind, refusal.key, refusal.error.to_string())
    }

    /// Objects that were carried before an interruption and are no longer listed.
    fn name_vanished(&self, known: &Known, carried: &mut Carried) -> Result<(), Stop> {
        if known.carried.is_empty() {
            return Ok(());
        }
        for receipt in evidence::merge(carried.files.clone()) {
            let receipt = receipt.map_err(|source| unreadable(self.work.layout.receipts(&self.work.asset), source))?;
            if known.vanished(&receipt.key) {
                let detail = "no longer listed after the run was interrupted";
                carried.refused.push(self.work.finding(FindingKind::ObjectChanged, receipt.key, detail));
            }
        }
        Ok(())
    }

    /// Reads everything back, plants damage, writes the asset's evidence and its result.
    fn prove(&self, carried: Carried) -> Result<AssetResult, Stop> {
        let watch = Stopwatch::start();
        let comparison = self.read_back(&carried)?;
        self.work.go_on()?;
        let controls = self.plant_damage(&carried.files)?;
        let verify_ms = watch.elapsed_ms();
        self.result(carried, comparison, controls, verify_ms)
    }

    fn read_back(&self, carried: &Carried) -> Result<Comparison, Stop> {
        let (root, meter) = (self.work.root(), Arc::new(Meter::default()));
        let receipts = || evidence::merge(carried.files.clone());
        receipts().flatten().for_each(|receipt| meter.expect(1, receipt.size));
        let ticker = self.work.ticker(Phase::Verify, &meter);
        let reader = ReadBack { asset: &self.work.asset, root: &root, meter: &meter, interrupt: &self.work.interrupt };
        let watch = Stopwatch::start();
        let mut comparison = reader.compare(receipts()).map_err(|source| unreadable(root.clone(), source))?;
        drop(ticker);
        self.work.go_on()?;
        let read = meter.read();
        self.work.verified(read.items, read.bytes, watch.elapsed_ms())?;
        for finding in &carried.refused {
            comparison.not_compared(finding.clone());
        }
        Ok(comparison)
    }

    /// The smallest object that has content serves; an empty one, or made-up content, if there is no other.
    fn plant_damage(&self, files: &[PathBuf]) -> Result<Vec<Control>, Stop> {
        let receipts = evidence::merge(files.to_vec()).flatten();
        let fit = receipts.filter(|receipt| receipt.size <= control::SCRATCH_BYTES_MAX);
        let sample = fit.min_by_key(|receipt| (receipt.size == 0, receipt.size));
        let scratch = tempfile::Builder::new().prefix(".control-").tempdir_in(&self.work.layout.restored);
        let scratch = scratch.map_err(|source| unreadable(self.work.layout.restored.clone(), source))?;
        let controls = control::of_object(&self.work.asset, &self.work.root(), sample.as_ref(), scratch.path());
        match controls {
            Ok(controls) => Ok(controls),
            // The read-back has named the sample already.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(unreadable(scratch.path().to_owned(), source)),
        }
    }

    fn result(
        &self,
        carried: Carried,
        comparison: Comparison,
        controls: Vec<Control>,
        verify_ms: u64,
    ) -> Result<AssetResult, Stop> {
        let mut findings = comparison.findings;
        findings.extend(self.work.controls(&controls)?);
        if carried.listed == 0 && carried.files.is_empty() {
            findings.push(self.work.finding(FindingKind::NothingMatched, &self.source_name, "no object is there"));
        }
        let (evidence, mapped) = write_evidence(&self.work, &carried.files)?;
        let objects = ObjectsResult {
            listed: carried.listed,
            provider_confirmed: evidence.provider_confirmed,
            provider_unconfirmed: evidence.provider_unconfirmed,
            mapped,
        };
        Ok(AssetResult {
            id: self.work.asset.clone(),
            kind: AssetKind::S3,
            source: self.source_name.clone(),
            verdict: Verdict::from_findings(&findings),
            directory: self.work.asset.clone(),
            items: evidence.objects,
            bytes: evidence.bytes,
            content_sha256: evidence.content_sha256,
            checks: vec![comparison.check],
            controls,
            timings: Timings { transfer_ms: carried.duration_ms, rebuild_ms: 0, verify_ms },
            findings,
            database: None,
            objects: Some(objects),
        })
    }
}

struct Finished {
    id: UnitId,
    receipts: Vec<ObjectReceipt>,
    refusals: Vec<Refusal>,
}

/// The asset's files in the bundle, and how many objects lie under a mapped name.
pub(crate) fn write_evidence(work: &Work, files: &[PathBuf]) -> Result<(evidence::ObjectsEvidence, u64), Stop> {
    let directory = work.layout.asset_evidence(&work.asset);
    fs::create_dir_all(&directory).map_err(|source| EvidenceError::Io {
        action: "create",
        path: directory.clone(),
        source,
    })?;
    let mut mapped = 0;
    let receipts = evidence::merge(files.to_vec()).inspect(|receipt| {
        mapped += u64::from(receipt.as_ref().is_ok_and(|receipt| receipt.path.starts_with("mapped/")));
    });
    let written = evidence::write_objects(receipts, &directory)?;
    Ok((written, mapped))
}

fn unreadable(path: PathBuf, source: std::io::Error) -> Stop {
    Stop::Asset { reason: format!("reading {}: {source}", path.display()), hint: None }
}
