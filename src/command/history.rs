//! Runs of one playbook side by side, and whether the next one is due.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{StillThere, claims};
use crate::{
    asset::{kinds, rds::leftovers},
    clock,
    domain::{
        finding::{Finding, Severity, Verdict},
        proof::Tier,
    },
    evidence::{self, BundleCheck, Trust, Vouched, facts::PastRun, result::RunResult, signing::Role, vouched},
    playbook::Playbook,
    record::error::EngineError,
    run::projection,
};

/// Runs of equal scope, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Each in numbers.
    pub runs: Vec<PastRun>,
    /// What got worse from one run to the next, in words.
    pub worse: Vec<String>,
}

/// Compares bundles.
///
/// # Errors
/// When one is not intact, or when they are not of the same scope.
pub fn compare(bundles: &[std::path::PathBuf]) -> Result<Comparison, EngineError> {
    let mut runs = Vec::new();
    for path in bundles {
        let check = evidence::check_bundle(path)?;
        let refused = |reason: String| EngineError::NotComparable { path: path.clone(), reason };
        if let Some(finding) = speaks_against(&check, path) {
            return Err(refused(format!("the bundle is not intact: {finding}")));
        }
        let result = check.result.ok_or_else(|| refused("the bundle has no result".to_owned()))?;
        if let Some((first, _)) = runs.first()
            && let Some(reason) = difference(first, &result)
        {
            return Err(refused(reason));
        }
        let digest = check.bundle_digest;
        runs.push((result, digest));
    }
    runs.sort_by(|one, other| one.0.started.cmp(&other.0.started));
    let worse = runs.windows(2).flat_map(|pair| worse(&pair[0].0, &pair[1].0)).collect();
    let runs = runs.iter().map(|(result, digest)| evidence::predecessor::summary(result, *digest)).collect();
    Ok(Comparison { runs, worse })
}

/// What speaks against taking a bundle's word. That another version wrote it, and that alone, does not.
fn speaks_against(check: &BundleCheck, bundle: &Path) -> Option<Finding> {
    let weighs = |finding: &&Finding| finding.severity > Severity::Note;
    let own = check.findings.iter().find(weighs).cloned();
    own.or_else(|| claims::check_counting(bundle).iter().find(weighs).cloned())
}

/// Why two results don't have the same scope.
fn difference(one: &RunResult, other: &RunResult) -> Option<String> {
    if one.playbook.id != other.playbook.id {
        return Some(format!("its playbook is {}, the first bundle's {}", other.playbook.id, one.playbook.id));
    }
    let scope = |result: &RunResult| -> BTreeSet<String> {
        let assets = result.assets.iter().map(|asset| format!("asset {} ({})", asset.id, asset.source));
        let tables = result.assets.iter().flat_map(|asset| {
            let excluded = asset.database.iter().flat_map(|database| &database.excluded_tables);
            excluded.map(|table| format!("without table {} of {}", table.table, asset.id))
        });
        let exclusions = result.exclusions.iter().map(|exclusion| format!("without {}", exclusion.pattern));
        assets.chain(tables).chain(exclusions).collect()
    };
    let first = scope(one);
    let second = scope(other);
    let only: Vec<_> = first.symmetric_difference(&second).cloned().collect();
    (!only.is_empty()).then(|| format!("the scopes differ: {}", only.join("; ")))
}

fn worse(before: &RunResult, after: &RunResult) -> Vec<String> {
    let proven = |result: &RunResult| {
        let passed = result.assets.iter().filter(|asset| asset.verdict == Verdict::Pass);
        passed.fold((0, 0u64), |(assets, bytes), asset| (assets + 1, bytes.saturating_add(asset.bytes)))
    };
    let then = proven(before);
    let now = proven(after);
    let mut worse = Vec::new();
    if now.0 < then.0 {
        worse.push(format!("{}: coverage fell from {} to {} assets proven", after.run, then.0, now.0));
    }
    if now.1 < then.1 {
        worse.push(format!("{}: coverage fell from {} to {} bytes proven", after.run, then.1, now.1));
    }
    if before.verdict == Verdict::Pass && after.verdict != Verdict::Pass {
        worse.push(format!("{}: {} after a PASS", after.run, after.verdict));
    }
    worse
}

/// When a playbook last passed, and how long that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The last run that passed and counts.
    pub last: Option<LastRun>,
    /// Later runs that passed and do not count, each with the reason.
    pub passed_over: Vec<String>,
    /// How long a run is valid.
    pub every: Duration,
    /// Why something is due now; empty if nothing is.
    pub reasons: Vec<String>,
}

/// A run that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// Its id.
    pub run: String,
    /// When it started.
    pub started: Timestamp,
}

/// Reads the bundles in the playbook's evidence folder. A run counts that passed, whose bundle is intact, signed where the
/// playbook requires that, that copied all that the playbook asks for today, and no sample of it unless `samples` do.
///
/// # Errors
/// When the folder can't be read.
pub fn due(playbook: &Playbook, samples: bool) -> Result<Due, EngineError> {
    let every = projection::every(playbook);
    let now = clock::now();
    let (last, passed_over) = last_pass(playbook, samples, now)?;
    let mut reasons = Vec::new();
    match &last {
        None => reasons.push("no run of this playbook has passed with an intact bundle that counts".to_owned()),
        Some(last) => {
            let age =
                Duration::from_secs(u64::try_from(now.as_second() - last.started.as_second()).unwrap_or_default());
            if age > every {
                reasons.push(format!("the last passed run is {} days old", age.as_secs() / 86_400));
            }
        }
    }
    if let Some(date) = playbook.plan().next_review.filter(|date| *date < clock::today()) {
        reasons.push(format!("the plan's review was due on {date}"));
    }
    Ok(Due { last, passed_over, every, reasons })
}

/// What runs of a playbook may have left at the provider: where copying assets creates something there, it is queried for
/// what has the playbook's tag, too.
pub async fn still_there(playbook: &Playbook) -> Vec<StillThere> {
    let makes = kinds::all(playbook).iter().any(|asset| asset.describe().makes.is_some());
    leftovers::still_there(playbook, makes).await
}

/// Newest first, until one counts; and why those before it don't.
fn last_pass(
    playbook: &Playbook,
    samples: bool,
    now: Timestamp,
) -> Result<(Option<LastRun>, Vec<String>), EngineError> {
    let path = playbook.evidence_path();
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((None, Vec::new())),
        entries => entries.map_err(|source| EngineError::Directory { path: path.to_owned(), source })?,
    };
    let mut runs: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let chain = evidence::predecessor::of_bundle(&entry.path(), None)?;
            let run = chain.history.last()?.clone();
            Some((run.started.parse::<Timestamp>().ok()?, run, entry.path()))
        })
        .filter(|(_, run, _)| run.verdict == Verdict::Pass)
        .collect();
    runs.sort_by_key(|(started, ..)| std::cmp::Reverse(*started));
    let mut passed_over = Vec::new();
    for (started, run, path) in runs {
        match counts(playbook, samples, started > now, &path) {
            Some(None) => return Ok((Some(LastRun { run: run.run, started }), passed_over)),
            Some(Some(reason)) => passed_over.push(format!("{}: {reason}", run.run)),
            None => {}
        }
    }
    Ok((None, passed_over))
}

/// Why a run that passed does not count, the inner none if it does; the outer one if it is another playbook's.
fn counts(playbook: &Playbook, samples: bool, in_future: bool, bundle: &Path) -> Option<Option<String>> {
    let trust = Trust { allowed_signers: None, authorities: None, previous: None, now: clock::now() };
    let check = evidence::check_bundle_against(bundle, &trust).ok()?;
    let result = check.result.as_ref()?;
    if result.playbook.id != playbook.id().as_str() {
        return None;
    }
    let signed = vouched(&check.signatures, Role::Operator) != Vouched::ByNobody;
    Some(if in_future {
        Some("it begins in the future".to_owned())
    } else if result.result_version < claims::BINDING {
        Some(format!("its result is of version {}, which no journal binds", result.result_version))
    } else if let Some(finding) = speaks_against(&check, bundle) {
        Some(format!("its bundle is not intact: {finding}"))
    } else if playbook.signing_key().is_some() && !signed {
        Some("its bundle is not signed, as the playbook wants it".to_owned())
    } else if result.tier == Tier::Sample && !samples {
        Some("it carried a sample".to_owned())
    } else {
        missing(playbook, bundle)
            .map(|asset| format!("the asset {asset} of the playbook was not in it, or another one"))
    })
}

/// An asset of the playbook that a run did not copy, or copied from another source.
fn missing(playbook: &Playbook, bundle: &Path) -> Option<String> {
    // How it is copied does not change what is copied.
    const HOW: [&str; 6] = ["layout", "acls", "sample", "limits", "parallel", "verify"];
    let read = fs::read(bundle.join(evidence::RESOLVED)).unwrap_or_default();
    let then: Value = serde_json::from_slice(&read).unwrap_or_default();
    let now = serde_json::to_value(playbook).unwrap_or_default();
    let assets = |playbook: &Value| playbook["assets"].as_array().cloned().unwrap_or_default();
    let source = |asset: &Value| {
        let mut asset = asset.clone();
        for kind in asset.as_object_mut().into_iter().flat_map(|kinds| kinds.values_mut()) {
            kind.as_object_mut()
                .into_iter()
                .for_each(|kind| HOW.map(|key| kind.remove(key)).into_iter().for_each(drop));
        }
        asset
    };
    let then = assets(&then);
    let carried = |asset: &Value| then.iter().any(|old| source(old) == source(asset));
    let lost = assets(&now).into_iter().find(|asset| !carried(asset))?;
    Some(lost["id"].as_str().unwrap_or_default().to_owned())
}

/// The result of the latest sealed run of a playbook, whatever its verdict.
pub fn latest_result(playbook: &Playbook, bundle: Option<&Path>) -> Option<RunResult> {
    let named = || {
        let chain = evidence::predecessor::latest(playbook.evidence_path(), playbook.id().as_str()).ok()??;
        Some(playbook.evidence_path().join(chain.previous?.run))
    };
    let path = bundle.map(Path::to_owned).or_else(named)?;
    evidence::parse_result(&fs::read(path.join(evidence::RESULT)).ok()?).ok()
}
