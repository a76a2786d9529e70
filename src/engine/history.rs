//! Runs of one playbook side by side, and whether the next one is due.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use jiff::Timestamp;

use super::{error::EngineError, projection};
use crate::{
    clock,
    evidence::{self, facts::PastRun, result::RunResult},
    finding::Verdict,
    playbook::Playbook,
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
        let intact = Verdict::from_findings(&check.findings) == Verdict::Pass;
        let refused = |reason: String| EngineError::NotComparable { path: path.clone(), reason };
        let result = check.result.filter(|_| intact).ok_or_else(|| refused("the bundle is not intact".to_owned()))?;
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

/// Why two results don't speak of the same thing.
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
    let (first, second) = (scope(one), scope(other));
    let only: Vec<_> = first.symmetric_difference(&second).cloned().collect();
    (!only.is_empty()).then(|| format!("the scopes differ: {}", only.join("; ")))
}

fn worse(before: &RunResult, after: &RunResult) -> Vec<String> {
    let proven = |result: &RunResult| {
        let passed = result.assets.iter().filter(|asset| asset.verdict == Verdict::Pass);
        passed.fold((0, 0u64), |(assets, bytes), asset| (assets + 1, bytes.saturating_add(asset.bytes)))
    };
    let (then, now) = (proven(before), proven(after));
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

/// When a playbook was last proven, and how long that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The last run that passed and whose bundle is intact.
    pub last: Option<LastRun>,
    /// How long a run counts.
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

/// Looks at the bundles in the playbook's evidence folder.
///
/// # Errors
/// When the folder can't be read.
pub fn due(playbook: &Playbook) -> Result<Due, EngineError> {
    let (last, every, now) = (last_pass(playbook)?, projection::every(playbook), clock::now());
    let mut reasons = Vec::new();
    match &last {
        None => reasons.push("no run of this playbook has passed with an intact bundle".to_owned()),
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
    Ok(Due { last, every, reasons })
}

/// Newest first, until one is intact.
fn last_pass(playbook: &Playbook) -> Result<Option<LastRun>, EngineError> {
    let path = playbook.evidence_path();
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(|source| EngineError::Directory { path: path.to_owned(), source })?,
    };
    let mut runs: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let chain = evidence::predecessor::of_bundle(&entry.path(), None)?;
            let told = chain.history.last()?.clone();
            Some((told.started.parse::<Timestamp>().ok()?, told, entry.path()))
        })
        .filter(|(_, told, _)| told.verdict == Verdict::Pass)
        .collect();
    runs.sort_by_key(|(started, ..)| std::cmp::Reverse(*started));
    for (started, told, path) in runs {
        let intact =
            evidence::check_bundle(&path).ok().filter(|c| Verdict::from_findings(&c.findings) == Verdict::Pass);
        let of_playbook =
            intact.and_then(|check| check.result).is_some_and(|r| r.playbook.id == playbook.id().as_str());
        if of_playbook {
            return Ok(Some(LastRun { run: told.run, started }));
        }
    }
    Ok(None)
}

/// The result of the latest sealed run of a playbook, whatever it came to.
pub fn latest_result(playbook: &Playbook, bundle: Option<&Path>) -> Option<RunResult> {
    let named = || {
        let chain = evidence::predecessor::latest(playbook.evidence_path(), playbook.id().as_str()).ok()??;
        Some(playbook.evidence_path().join(chain.previous?.run))
    };
    let path = bundle.map(Path::to_owned).or_else(named)?;
    evidence::parse_result(&fs::read(path.join(evidence::RESULT)).ok()?).ok()
}
