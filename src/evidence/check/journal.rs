//! Whether the journal binds the result: the digests that it has of results and receipts are recomputed, and every number,
//! name and time that is in both is compared.
//!
//! What an older version did not record is not required of its bundles, and nothing else is waived: a bundle that calls
//! itself older than what it holds is a contradiction, so that naming an older version takes a forger no further than to
//! a bundle without those parts, whose reports, documents and binary digest are then of another version as well (which
//! `command::claims` says).
//!
//! | fact of `result.json` | where it stands besides | compared by |
//! |---|---|---|
//! | everything but `journal` and `ended` | the journal's last line, as a digest | [`check_bound`] |
//! | `started`, `ended` | the times of the journal's first and last line | [`check_times`] |
//! | `duration_ms` | the last line; the times of all lines | [`check_duration`] |
//! | `tool`, `host` | the line of the run's last process | [`check_worker`] |
//! | `caller` | `caller_identified` | [`check_caller`] |
//! | `tier` | the last line, `asset_done` | [`check_sampled`] |
//! | an asset's whole entry | its `asset_done`, as a digest | [`check_outcomes`] |
//! | an asset's numbers, snapshot, database, timings | its lines | [`check_numbers`] |
//! | an asset's objects and tables | `unit_done`, as a digest of the receipts | `asset::receipts` |
//! | verdicts, findings, controls, units, run, playbook, previous run | their lines | `check_run`, `asset` |
//! | the plan, terms, waivers, exclusions, thresholds, assets | `playbook.yaml` | `command::claims` |

use jiff::Timestamp;

use crate::{
    domain::{
        event::Event,
        finding::{Finding, Verdict},
        proof::Tier,
    },
    evidence::{
        chain::Entry,
        check::bag::Bag,
        contents::{JOURNAL, RESULT, inconsistent},
        replay::{AssetReplay, Replay},
        result::{AssetResult, Caller, RunResult, bound_sha256, outcomes},
    },
};

/// From this version on the last line has the digest of the result, and the result the time of the last line.
pub(crate) const BINDING: u32 = 3;
/// No run started before the first, or ends after the second.
const FIRST_DAY: &str = "2020-01-01T00:00:00Z";
const LAST_DAY: &str = "2100-01-01T00:00:00Z";
/// Older versions recorded `ended` shortly after the last line.
const ENDED_LATER_MS_MAX: u64 = 3_600_000;

/// Everything in the journal about the result.
pub(crate) fn check_journal(bag: &Bag, result: &RunResult, entries: &[Entry], replay: &Replay<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((first, last)) = entries.first().zip(entries.last()) else { return findings };
    let json = bag.read(RESULT).unwrap_or_default();
    findings.extend(check_bound(&json, result, last));
    findings.extend(check_times(result, first, last));
    findings.extend(check_duration(result, entries));
    findings.extend(check_worker(result, entries));
    findings.extend(check_caller(result, entries));
    findings.extend(check_sampled(result, replay));
    findings.extend(check_outcomes(&json, result, replay));
    for asset in &result.assets {
        let replayed = replay.assets.get(asset.id.as_str());
        findings.extend(replayed.into_iter().flat_map(|replay| check_numbers(asset, replay)));
    }
    findings
}

fn check_bound(json: &[u8], result: &RunResult, last: &Entry) -> Option<Finding> {
    let Event::RunDone { result_sha256, .. } = &last.event else { return None };
    match result_sha256 {
        None if result.result_version < BINDING => None,
        None => Some(inconsistent(JOURNAL, "its last line lacks the digest of the result")),
        Some(_) if result.result_version < BINDING => Some(older(result)),
        Some(bound) => {
            let is = bound_sha256(json).is_ok_and(|found| found == *bound);
            (!is).then(|| inconsistent(RESULT, "is not the result that the journal's last line has the digest of"))
        }
    }
}

fn older(result: &RunResult) -> Finding {
    let version = result.result_version;
    inconsistent(RESULT, format!("is called version {version}, and holds what version {BINDING} began with"))
}

/// Start and end of the run are those of the journal, in order, and plausible.
fn check_times(result: &RunResult, first: &Entry, last: &Entry) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sensible = |time: &str| {
        let from = FIRST_DAY.parse::<Timestamp>();
        let to = LAST_DAY.parse::<Timestamp>();
        let at = time.parse::<Timestamp>().ok()?;
        (from.is_ok_and(|from| from <= at) && to.is_ok_and(|to| at < to)).then_some(at)
    };
    let started = sensible(&result.started);
    let ended = sensible(&result.ended);
    for (name, time, at) in [("started", &result.started, started), ("ended", &result.ended, ended)] {
        if at.is_none() {
            findings.push(inconsistent(RESULT, format!("{name}: {time} is no time that a run can have")));
        }
    }
    let (Some(started), Some(ended)) = (started, ended) else { return findings };
    if started != first.at {
        let detail = format!("the run began {}, {RESULT} has {started}", first.at);
        findings.push(inconsistent(format!("{JOURNAL} line 1"), detail));
    }
    let later = between_ms(last.at, ended);
    let agrees =
        if result.result_version < BINDING { ended >= last.at && later <= ENDED_LATER_MS_MAX } else { later == 0 };
    if !agrees || ended < last.at || ended < started {
        let detail = format!("the run ended {}, {RESULT} has {ended}", last.at);
        findings.push(inconsistent(JOURNAL, detail));
    }
    findings
}

/// The time of work is that of the last line, and the sum of the lines up to one of the last ones: the run was timed
/// before its own findings and its end were recorded.
fn check_duration(result: &RunResult, entries: &[Entry]) -> Option<Finding> {
    let Some(Entry { event: Event::RunDone { duration_ms, .. }, .. }) = entries.last() else { return None };
    let of_end = |entry: &&Entry| match &entry.event {
        Event::RunDone { .. } => true,
        Event::Found { finding } => finding.asset.is_none(),
        _ => false,
    };
    let end = entries.iter().rev().take_while(of_end).count();
    let told = result.duration_ms;
    // Older versions counted the last line's own time where a run was sealed a second time.
    let as_told = *duration_ms == told || result.result_version < BINDING;
    let fits = as_told && worked_ms(entries).into_iter().rev().take(end + 1).any(|worked| worked == told);
    (!fits).then(|| {
        let detail =
            format!("{duration_ms} ms of work, {RESULT} has {told} ms, and the times of the lines leave others");
        inconsistent(JOURNAL, detail)
    })
}

/// Milliseconds of work up to each line, as the run is timed: from the first to the last line of each piece. Breaks between
/// interruption and resumption are not counted.
fn worked_ms(entries: &[Entry]) -> Vec<u64> {
    let mut before = 0u64;
    let mut since = None;
    let mut last = None;
    let worked = entries.iter().map(|entry| {
        let since = since.get_or_insert(entry.at);
        if matches!(entry.event, Event::RunResumed { .. }) {
            before = before.saturating_add(between_ms(*since, last.unwrap_or(entry.at)));
            *since = entry.at;
        }
        last = Some(entry.at);
        before.saturating_add(between_ms(*since, entry.at))
    });
    worked.collect()
}

fn between_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or_default()
}

/// The program and the machine are those of the last process's line.
fn check_worker(result: &RunResult, entries: &[Entry]) -> Option<Finding> {
    let worker = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::RunStarted { walkaway, binary_sha256, host, .. }
        | Event::RunResumed { walkaway, binary_sha256, host, .. } => Some((walkaway, binary_sha256, host)),
        _ => None,
    });
    let (walkaway, binary, host) = worker?;
    let told = (&result.tool.version, &result.tool.binary_sha256, &result.host);
    let named = result.tool.name == "walkaway";
    let differs = (walkaway, binary, host) != told || !named;
    differs.then(|| inconsistent(JOURNAL, format!("{RESULT} names another program or machine than who worked last")))
}

fn check_caller(result: &RunResult, entries: &[Entry]) -> Option<Finding> {
    let caller = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::CallerIdentified { account, arn, .. } => Some(Caller { account: account.clone(), arn: arn.clone() }),
        _ => None,
    });
    (caller != result.caller).then(|| inconsistent(JOURNAL, format!("knows another caller than {RESULT}")))
}

/// From the binding version on the journal states for each asset, and for the run, whether it is about a sample.
fn check_sampled(result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    if result.result_version < BINDING {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if replay.sampled != (result.tier == Tier::Sample) && replay.done.is_some() {
        findings.push(inconsistent(JOURNAL, format!("differs from {RESULT} in whether the run is a sample")));
    }
    for asset in &result.assets {
        let sampled =
            replay.assets.get(asset.id.as_str()).and_then(|replay| replay.outcome).map(|(_, sampled)| sampled);
        // An earlier build's line about an asset does not mention a sample.
        let sampled = sampled.filter(|sampled| *sampled || replay.binaries.len() == 1);
        if sampled.is_some_and(|sampled| sampled != (asset.tier == Tier::Sample)) {
            let detail = format!("differs from {RESULT} in whether {} is a sample", asset.id);
            findings.push(inconsistent(JOURNAL, detail));
        }
    }
    findings
}

/// Each asset that ended is in the result as it ended.
fn check_outcomes(json: &[u8], result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    let outcomes = outcomes(json);
    let outcome = |asset: &AssetResult| Some(replay.assets.get(asset.id.as_str())?.outcome?.0);
    let differs = |(index, asset): &(usize, &AssetResult)| {
        outcome(asset).is_some_and(|outcome| outcomes.get(*index) != Some(&outcome))
    };
    let finding = |(_, asset): (usize, &AssetResult)| {
        let mut finding = inconsistent(RESULT, "the asset's entry is not the one that the journal has the digest of");
        finding.asset = Some(asset.id.clone());
        finding
    };
    result.assets.iter().enumerate().filter(differs).map(finding).collect()
}

/// Numbers and names in the journal's lines about an asset.
fn check_numbers(asset: &AssetResult, replay: &AssetReplay<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut differs = |what: &str, is: bool| {
        if !is {
            let mut finding = inconsistent(JOURNAL, format!("differs from {RESULT} in {what}"));
            finding.asset = Some(asset.id.clone());
            findings.push(finding);
        }
    };
    let is_rds = asset.database.as_ref().is_some_and(|database| database.rds.is_some());
    let passed = asset.verdict == Verdict::Pass;
    if let Some((items, bytes, ms)) = replay.transferred.filter(|_| replay.done.is_some()) {
        // Tables that the target accepted late are not among the rows of this line.
        differs("what was transferred", (items <= asset.items && bytes <= asset.bytes) || !passed);
        differs("the time of the transfer", ms == asset.timings.transfer_ms || is_rds);
    }
    if let Some((items, bytes, ms)) = replay.verified.filter(|_| replay.done.is_some()) {
        let lines = if asset.database.is_some() { asset.items } else { 0 };
        let all = items == asset.items && bytes == asset.bytes.saturating_add(lines);
        differs("what was read back", all || !passed);
        differs("the time of reading back", ms <= asset.timings.verify_ms || is_rds);
    }
    if let Some(database) = asset.database.as_ref().filter(|_| !is_rds && replay.done.is_some()) {
        let snapshot = (database.snapshot.as_str(), database.source_version.as_str());
        differs("the snapshot or the server's version", replay.snapshot == Some(snapshot));
        differs("the name of the restored database", replay.database == Some(database.target_database.as_str()));
    }
    if passed && replay.done.is_some() {
        differs("whether anything was read back", replay.verified.is_some() && replay.transferred.is_some());
    }
    findings
}
