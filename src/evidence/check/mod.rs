//! The offline check of a bundle: its files against the manifests, the journal against its head, and everything that
//! is stated twice against itself.
//!
//! It opens nothing outside the bundle but the predecessor's. A consistent rewrite of every file is detected
//! by the signatures, if the reader provides the allowed signers.

pub(crate) mod account;
pub(crate) mod asset;
pub mod bag;
pub(crate) mod journal;
pub(crate) mod run;
pub(crate) mod signatures;

use std::{
    collections::BTreeSet,
    io::{self, BufReader},
    path::Path,
};

use jiff::Timestamp;

use super::{
    bag::is_sealed,
    chain::Reading,
    contents::{ASSETS, JOURNAL, RESULT, inconsistent},
    files::{EvidenceError, IoContext},
    predecessor,
    replay::Replay,
    result::{RunResult, parse_result},
    signing::Role,
};
use crate::{
    domain::{
        digest::Sha256Digest,
        event::FILES_SUFFIX,
        finding::{Finding, FindingKind},
    },
    evidence::check::{
        asset::AssetCheck,
        bag::Bag,
        journal::check_journal,
        run::check_run,
        signatures::{CLOCKS_APART_S, SignatureSeen, Trust, check_signatures},
    },
};

/// The first version whose bundles hold no empty directories.
const WITHOUT_EMPTY: u32 = 4;

/// An operator's signature that was stamped later than this was not made at sealing.
const SIGNED_LATE_S: i64 = 24 * 60 * 60;

/// The result of checking a bundle.
#[derive(Debug)]
pub struct BundleCheck {
    /// The result, if it could be read.
    pub result: Option<RunResult>,
    /// What is wrong with the bundle; empty for a bundle that is as walkaway wrote it. Findings of the run itself are
    /// in the result.
    pub findings: Vec<Finding>,
    /// Files in the bundle, without signatures.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 of `tagmanifest-sha256.txt`.
    pub bundle_digest: Sha256Digest,
    /// The signatures over it.
    pub signatures: Vec<SignatureSeen>,
}

/// Checks a bundle. A directory that isn't a sealed bundle is an error; anything wrong inside one is a finding whose
/// subject names the file, and the line where there is one. Existing signatures must be valid; none is required.
pub fn check_bundle(root: &Path) -> Result<BundleCheck, EvidenceError> {
    examine(root, None)
}

/// As [`check_bundle`], for a reader with roots of trust: signatures that the playbook or the reader requires
/// must exist, and the previous run must be the one that is named.
pub fn check_bundle_against(root: &Path, trust: &Trust) -> Result<BundleCheck, EvidenceError> {
    examine(root, Some(trust))
}

fn examine(root: &Path, trust: Option<&Trust>) -> Result<BundleCheck, EvidenceError> {
    if !is_sealed(root) {
        return Err(unsealed(root));
    }
    let mut bag = Bag::inspect(root);
    let mut findings = std::mem::take(&mut bag.findings);
    let result = read_result(&bag).map_err(|finding| findings.push(finding)).ok();
    findings.extend(empty_directories(&bag, result.as_ref()));
    match &result {
        Some(result) => findings.extend(check_story(&bag, result)),
        None => findings.extend(check_journal_alone(&bag)),
    }
    let (signatures, more) = check_signatures(&bag, result.as_ref(), trust);
    findings.extend(more);
    if let Some(result) = &result {
        findings.extend(check_time_stamps(result, &signatures));
    }
    if let (Some(result), Some(trust)) = (&result, trust) {
        findings.extend(check_predecessor(root, result, trust));
    }
    Ok(BundleCheck {
        result,
        signatures,
        findings,
        files: bag.files.len() as u64,
        bytes: bag.files.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
        bundle_digest: bag.digest.ok_or_else(|| EvidenceError::NotSealed { root: root.to_owned() })?,
    })
}

/// A directory is known by the files that it holds, so one that holds none is in no bundle; earlier versions may have left
/// some.
fn empty_directories(bag: &Bag, result: Option<&RunResult>) -> Vec<Finding> {
    let exact = result.is_none_or(|result| result.result_version >= WITHOUT_EMPTY);
    let unexpected = |name: &String| {
        Finding::of_run(FindingKind::BundleFileUnexpected, name, "empty directory, which no bundle has")
    };
    bag.empty.iter().filter(|_| exact).map(unexpected).collect()
}

/// A signature is made over the sealed bag, so its stamp can't precede the run's end; whether the authority's clock or this
/// record is wrong, they can't both be right. The operator's is made at sealing.
fn check_time_stamps(result: &RunResult, signatures: &[SignatureSeen]) -> Vec<Finding> {
    let Ok(ended) = result.ended.parse::<Timestamp>() else { return Vec::new() };
    let judge = |seen: &SignatureSeen| {
        let at: Timestamp = seen.stamped.as_ref()?.parse().ok()?;
        let after = at.as_second() - ended.as_second();
        let detail = format!("stamped {at}, the run ended {ended}");
        let file = seen.file.clone();
        if after < -CLOCKS_APART_S {
            return Some(inconsistent(file, detail));
        }
        let is_late = seen.role == Role::Operator.name() && after > SIGNED_LATE_S;
        is_late.then(|| Finding::of_run(FindingKind::TimestampLate, file, detail))
    };
    signatures.iter().filter_map(judge).collect()
}

/// The kind of a directory without a seal: a run, a bundle that lost its seal, or not walkaway's.
fn unsealed(root: &Path) -> EvidenceError {
    match root.metadata().when("read", root) {
        Err(EvidenceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return error,
        Ok(_) => {
            let traces = ["bagit.txt", JOURNAL, RESULT, "state/origin.json"];
            if traces.iter().any(|name| root.join(name).exists()) {
                return EvidenceError::NotSealed { root: root.to_owned() };
            }
        }
    }
    EvidenceError::NotABundle { root: root.to_owned() }
}

/// The bundle that the reader names, or the one beside this.
fn check_predecessor(root: &Path, result: &RunResult, trust: &Trust) -> Option<Finding> {
    let previous = result.chain.previous.as_ref()?;
    let beside = || Some(root.canonicalize().ok()?.parent()?.join(&previous.run)).filter(|path| is_sealed(path));
    match trust.previous.clone().or_else(beside) {
        Some(bundle) => predecessor::check(result, &bundle),
        None => Some(Finding::of_run(FindingKind::PredecessorUnseen, &previous.run, "its bundle is not here")),
    }
}

fn read_result(bag: &Bag) -> Result<RunResult, Finding> {
    let malformed = |detail: String| Finding::of_run(FindingKind::BundleMalformed, RESULT, detail);
    let bytes = bag.read(RESULT).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Finding::of_run(FindingKind::BundleFileMissing, RESULT, "every bundle has one"),
        _ => malformed(format!("unreadable: {error}")),
    })?;
    parse_result(&bytes).map_err(malformed)
}

fn read_journal(bag: &Bag) -> Result<Reading, Finding> {
    bag.open(JOURNAL)
        .and_then(|file| Reading::of(BufReader::new(file)))
        .map_err(|error| Finding::of_run(FindingKind::JournalBroken, JOURNAL, format!("unreadable: {error}")))
}

/// Without a result the journal's head is unknown; its chain still shows where it is broken.
fn check_journal_alone(bag: &Bag) -> Vec<Finding> {
    read_journal(bag).map_or_else(|finding| vec![finding], |journal| journal.findings(JOURNAL, journal.head))
}

fn check_story(bag: &Bag, result: &RunResult) -> Vec<Finding> {
    let mut findings = Vec::new();
    let journal = read_journal(bag).map_err(|finding| findings.push(finding)).ok();
    findings.extend(journal.iter().flat_map(|journal| journal.findings(JOURNAL, result.journal)));
    let entries: &[_] = journal.as_ref().map_or(&[], |journal| &journal.entries);
    let replay = Replay::of(entries);
    findings.extend(check_run(bag, result, entries, &replay));
    findings.extend(check_journal(bag, result, entries, &replay));
    for asset in &result.assets {
        findings.extend(AssetCheck { bag, asset, version: result.result_version, replay: &replay }.run());
    }
    findings.extend(check_asset_names(bag, result, &replay));
    findings
}

/// Each asset is in the result once, and elsewhere only if it is there.
fn check_asset_names(bag: &Bag, result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    let mut known = BTreeSet::new();
    let twice = result.assets.iter().filter(|asset| !known.insert(asset.id.as_str()));
    let mut findings: Vec<_> = twice.map(|asset| inconsistent(RESULT, format!("two assets {:?}", asset.id))).collect();
    for name in bag.files.keys().filter(|name| name.starts_with(ASSETS)) {
        if !name.split('/').nth(2).is_some_and(|id| known.contains(id)) {
            findings.push(inconsistent(name, "belongs to no asset of the result"));
        }
    }
    let of_known = |id: &str| known.contains(id.strip_suffix(FILES_SUFFIX).unwrap_or(id));
    let unexpected = replay.assets.keys().filter(|id| !of_known(id));
    findings.extend(unexpected.map(|id| inconsistent(JOURNAL, format!("asset {id:?} is not in the result"))));
    findings
}
