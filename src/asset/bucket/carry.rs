//! One bucket from listing to verdict: list, cut into units, copy, read back, compare, write the evidence.

use std::{path::PathBuf, sync::Arc};

use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    changes::Reconciled,
    evidence::{self, write_evidence},
    listing::Known,
    transfer::{Carried, Undated},
    work::{BucketWork, unreadable},
};
use crate::{
    asset::stop::Stop,
    clock::Stopwatch,
    domain::{
        event::{AssetKind, Phase},
        finding::{Finding, FindingKind, FindingSink, Verdict},
        proof::{Check, Control, Tier},
    },
    evidence::{
        findings::{self, FindingsList},
        merge,
        result::{AssetResult, SampleResult, Timings},
    },
    provider::s3::UPLOADS,
    transfer::{
        bucket::BucketConfiguration,
        error::TransferError,
        meter::Meter,
        object::{AWAY, RestoredBucket},
        pseudonyms::Pseudonyms,
    },
    verify::{control, objects::ReadBack},
    words,
};

/// A bucket whose objects have been copied.
pub(crate) struct CarriedBucket {
    work: BucketWork,
    carried: Carried,
    known: Known,
    configuration: BucketConfiguration,
}

impl CarriedBucket {
    /// Everything up to the asset's result.
    pub(crate) async fn prove(self) -> Result<AssetResult, Stop> {
        let CarriedBucket { work, mut carried, known, configuration } = self;
        let sample = carried.sampler.take().map(|sampler| sampler.result());
        let refused = std::mem::replace(&mut carried.refused, work.no_findings()?);
        let buckets = work.into.reader();
        let work = Arc::new(work);
        let carried = Arc::new(carried);
        let proving = {
            let work = Arc::clone(&work);
            let carried = Arc::clone(&carried);
            spawn_blocking(move || work.prove(&carried, refused, buckets.as_deref()))
        };
        // The provider is queried while the disk is read.
        let changes = work.reconcile(known, &carried).await;
        let proof = proving.await.map_err(TransferError::from)??;
        let all = Everything { carried, configuration, proof, changes: changes?, sample };
        spawn_blocking(move || work.result(all)).await.map_err(TransferError::from)?
    }
}

/// The result of verifying a copy.
struct Proof {
    check: Check,
    /// The findings of the transfer and of the read-back.
    findings: FindingsList,
    controls: Vec<Control>,
    verify_ms: u64,
}

impl BucketWork {
    /// Everything from the listing to the last object.
    pub(crate) async fn carry(self) -> Result<CarriedBucket, Stop> {
        self.work.started(AssetKind::S3)?;
        let fresh = !self.work.root().exists() && self.work.ledger.next_unit(&self.work.asset) == 1;
        self.work.make_root()?;
        // Findings of an earlier attempt do not belong to this one.
        findings::discard(&self.evidence_directory()?)?;
        let configuration = self.ask_for_configuration();
        let (carried, known) = self.transfer(fresh).await?;
        let mut configuration = configuration.await.map_err(TransferError::from)?;
        if self.names.is_some() {
            configuration.withhold(UPLOADS, "left out: the names of uploads are keys");
        }
        self.work.check_interrupt()?;
        Ok(CarriedBucket { work: self, carried, known, configuration })
    }

    fn ask_for_configuration(&self) -> JoinHandle<BucketConfiguration> {
        let bucket = Arc::clone(&self.bucket);
        tokio::spawn(async move { bucket.configuration().await })
    }

    /// Reads everything back, and plants damage.
    fn prove(
        &self,
        carried: &Carried,
        mut findings: FindingsList,
        buckets: Option<&dyn RestoredBucket>,
    ) -> Result<Proof, Stop> {
        let watch = Stopwatch::start();
        let refused = findings.total();
        let mut check = self.read_back(carried, &mut findings, buckets)?;
        check.expected += refused;
        if check.expected < carried.listed {
            let missing = words::count(carried.listed - check.expected, "listed object", "listed objects");
            let reason = format!("neither a receipt nor a finding says what became of {missing}");
            return Err(Stop::Asset { reason, hint: Some("resume the run, which carries them".to_owned()) });
        }
        self.work.check_interrupt()?;
        let controls = self.plant_damage(&carried.files, buckets)?;
        Ok(Proof { check, findings, controls, verify_ms: watch.elapsed_ms() })
    }

    fn read_back(
        &self,
        carried: &Carried,
        findings: &mut FindingsList,
        buckets: Option<&dyn RestoredBucket>,
    ) -> Result<Check, Stop> {
        let root = self.work.root();
        let meter = Arc::new(Meter::default());
        let receipts = || merge(carried.files.clone());
        let with_bytes = receipts().flatten().filter(|receipt| !receipt.is_marker());
        with_bytes.for_each(|receipt| meter.expect(1, receipt.size));
        let ticker = self.work.ticker(Phase::Verify, &meter);
        let asset = &self.work.asset;
        let interrupt = &self.work.interrupt;
        let reader = ReadBack { asset, root: &root, meter: &meter, interrupt, buckets };
        let watch = Stopwatch::start();
        let mut findings = Hinting { findings, resumed: carried.resumed };
        let check =
            reader.compare_into(receipts(), &mut findings).map_err(|source| unreadable(root.clone(), source))?;
        drop(ticker);
        self.work.check_interrupt()?;
        let read = meter.read();
        self.work.verified(read.items, read.bytes, watch.elapsed_ms())?;
        Ok(check)
    }

    /// The smallest non-empty object is used; an empty one, or generated content, if there is no other.
    fn plant_damage(&self, files: &[PathBuf], buckets: Option<&dyn RestoredBucket>) -> Result<Vec<Control>, Stop> {
        let receipts = merge(files.to_vec()).flatten().filter(|receipt| !receipt.is_marker());
        let fit = receipts.filter(|receipt| receipt.size <= control::SCRATCH_BYTES_MAX);
        let sample = fit.min_by_key(|receipt| (receipt.size == 0, receipt.size));
        let scratch = tempfile::Builder::new().prefix(".control-").tempdir_in(&self.work.layout.restored);
        let scratch = scratch.map_err(|source| unreadable(self.work.layout.restored.clone(), source))?;
        let asset = &self.work.asset;
        let root = self.work.root();
        let plant = |sample| control::of_object(asset, &root, buckets, sample, scratch.path());
        let controls = match plant(sample.as_ref()) {
            // The read-back has reported the sample already; generated content is used.
            Err(error) if error.kind() != AWAY => plant(None),
            controls => controls,
        };
        controls.map_err(|source| unreadable(scratch.path().to_owned(), source))
    }

    fn result(&self, all: Everything) -> Result<AssetResult, Stop> {
        let Everything { carried, configuration, proof, changes, sample } = all;
        let Proof { check, mut findings, controls, verify_ms } = proof;
        let written = write_evidence(&self.work, &carried.files)?;
        evidence::write_bucket(&self.evidence_directory()?, &configuration)?;
        // They are of kinds of which there may be many already.
        changes.findings.into_iter().for_each(|finding| findings.take(finding));
        let (mut findings, filed) = findings.finish()?;
        findings.extend(self.work.controls(&controls)?);
        // Units may have left files without a receipt, or with those of delete markers only.
        if carried.listed == 0 && written.evidence.objects == 0 {
            findings.push(self.work.empty(self.may_be_empty, &self.source_name, "no object"));
        }
        findings.extend(self.configuration_finding(&configuration));
        findings.extend(written.findings(&self.work));
        findings.extend(self.undated_finding(&carried.undated));
        findings.extend(self.changes_finding(changes.count));
        let mut objects = written.numbers();
        objects.listed = carried.listed;
        objects.bucket_classes = configuration.classes();
        objects.changes = changes.count;
        let tier = if sample.is_some() { Tier::Sample } else { Tier::Full };
        (objects.layout, objects.sample) = (self.into.layout(), sample);
        objects.pseudonyms = self.names.as_ref().map(Pseudonyms::mark);
        objects.versions = self.versions;
        let evidence = written.evidence;
        Ok(AssetResult {
            id: self.work.asset.clone(),
            kind: AssetKind::S3,
            source: self.source_name.clone(),
            verdict: Verdict::from_findings(&findings),
            tier,
            directory: self.work.asset.clone(),
            items: evidence.objects,
            bytes: evidence.bytes,
            content_sha256: evidence.content_sha256,
            checks: vec![check],
            controls,
            timings: Timings { transfer_ms: carried.duration_ms, rebuild_ms: 0, verify_ms },
            findings,
            filed,
            database: None,
            objects: Some(objects),
        })
    }

    /// One note for all: they are copied and compared like any other.
    fn undated_finding(&self, undated: &Undated) -> Option<Finding> {
        let Undated { count, first } = undated;
        let detail = format!(
            "the listing dates {} in a way that can't be read, the first: {first}",
            words::count(*count, "object", "objects")
        );
        (*count > 0).then(|| self.work.finding(FindingKind::PropertyUnreadable, "last modified", detail))
    }
}

/// Says beside what differs of a copy that a resumed run does not bring it.
struct Hinting<'a> {
    findings: &'a mut FindingsList,
    resumed: bool,
}

impl FindingSink for Hinting<'_> {
    fn take(&mut self, mut finding: Finding) {
        let of_copy = [FindingKind::ObjectMissing, FindingKind::ObjectSize, FindingKind::ObjectDigest];
        if self.resumed && of_copy.contains(&finding.kind) {
            finding.detail += "; the run was resumed, which does not fetch again what it had carried before: for this \
                               object run the drill again";
        }
        self.findings.take(finding);
    }
}

/// The inputs of the result.
struct Everything {
    carried: Arc<Carried>,
    configuration: BucketConfiguration,
    proof: Proof,
    changes: Reconciled,
    sample: Option<SampleResult>,
}
