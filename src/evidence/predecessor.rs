//! The previous run: found among the bundles of a directory, read, and passed to the next run.

use std::{fs, io, path::Path};

use super::{
    bag::{TAG_MANIFEST, is_sealed},
    contents::{RESULT, inconsistent},
    facts::{Chain, HISTORY_RUNS_MAX, PastRun, PreviousRun},
    files::{EvidenceError, IoContext, read_whole},
    result::{AssetResult, RunResult, parse_result, pseudonyms_mark},
};
use crate::domain::{
    digest::Sha256Digest,
    event::AssetKind,
    finding::{Finding, FindingKind, Severity},
    proof::Tier,
};

/// The latest sealed run of a playbook below `evidence`, and what it passes to the next. A directory whose result can't
/// be read is not a run that could be continued.
pub fn latest(evidence: &Path, playbook: &str) -> Result<Option<Chain>, EvidenceError> {
    let entries = match fs::read_dir(evidence) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.when("read", evidence)?,
    };
    let mut latest: Option<(RunResult, Sha256Digest)> = None;
    for entry in entries {
        let Some((result, digest)) = read(&entry.when("read", evidence)?.path()) else { continue };
        let later = latest.as_ref().is_none_or(|(best, _)| best.started < result.started);
        if result.playbook.id == playbook && later {
            latest = Some((result, digest));
        }
    }
    Ok(latest.map(|(result, digest)| told_by(&result, digest, None)))
}

/// What the bundle of one run passes to the next, whose objects have pseudonyms with this mark, or their keys.
pub fn of_bundle(bundle: &Path, mark: Option<&str>) -> Option<Chain> {
    read(bundle).map(|(result, digest)| told_by(&result, digest, mark))
}

fn read(bundle: &Path) -> Option<(RunResult, Sha256Digest)> {
    if !is_sealed(bundle) {
        return None;
    }
    let digest = Sha256Digest::of(read_whole(&bundle.join(TAG_MANIFEST)).ok()?);
    let result = parse_result(&read_whole(&bundle.join(RESULT)).ok()?).ok()?;
    Some((result, digest))
}

fn told_by(result: &RunResult, bundle_digest: Sha256Digest, mark: Option<&str>) -> Chain {
    let weighs = |finding: &&Finding| finding.kind.severity() > Severity::Note;
    let (told, withheld): (Vec<_>, Vec<_>) = result.all_findings().filter(weighs).partition(|finding| {
        let of_it = |asset: &&AssetResult| finding.asset.as_ref() == Some(&asset.id) && asset.kind == AssetKind::S3;
        result.assets.iter().find(of_it).is_none_or(|asset| asset.pseudonyms() == mark)
    });
    let previous = PreviousRun {
        run: result.run.clone(),
        bundle_digest,
        journal_head: result.journal.head,
        verdict: result.verdict,
        findings: told.into_iter().cloned().collect(),
        withheld: !withheld.is_empty(),
    };
    let mut history = result.chain.history.clone();
    history.push(summary(result, bundle_digest));
    history.drain(..history.len().saturating_sub(HISTORY_RUNS_MAX));
    Chain { previous: Some(previous), history }
}

/// One run in numbers.
pub fn summary(result: &RunResult, bundle_digest: Sha256Digest) -> PastRun {
    PastRun {
        run: result.run.clone(),
        started: result.started.clone(),
        verdict: result.verdict,
        sampled: result.tier == Tier::Sample,
        duration_ms: result.duration_ms,
        bytes: result.assets.iter().fold(0, |sum, asset| sum.saturating_add(asset.bytes)),
        passed: result.assets.iter().filter(|asset| asset.verdict == crate::domain::finding::Verdict::Pass).count()
            as u64,
        assets: result.assets.len() as u64,
        exit_p50_ms: result.exit_time.as_ref().and_then(|time| time.p50_ms),
        exit_p90_ms: result.exit_time.as_ref().and_then(|time| time.p90_ms),
        bundle_digest,
    }
}

/// Whether the run that a result names as the previous one is the one in this directory.
pub(crate) fn check(result: &RunResult, bundle: &Path) -> Option<Finding> {
    let previous = result.chain.previous.as_ref()?;
    let wrong = |detail: String| Some(Finding::of_run(FindingKind::PredecessorDiffers, &previous.run, detail));
    let Some((before, digest)) = read(bundle) else {
        return wrong(format!("{} is no sealed bundle that can be read", bundle.display()));
    };
    if digest != previous.bundle_digest {
        return wrong(format!("its digest is {digest}, {RESULT} has {}", previous.bundle_digest));
    }
    (told_by(&before, digest, pseudonyms_mark(&result.assets)) != result.chain)
        .then(|| inconsistent(RESULT, "tells of the run before otherwise than that run's own bundle"))
}
