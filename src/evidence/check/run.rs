//! Whether the result's statements about the run as a whole follow from its parts, and journal, playbook and bag
//! agree.

use crate::{
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind, Verdict, Weight},
        proof::Tier,
    },
    evidence::{
        bag::BAG_INFO,
        chain::Entry,
        check::{account::check_account, bag::Bag},
        contents::{JOURNAL, PLAYBOOK, RESULT, inconsistent},
        exit_time::{self, Term},
        facts::{ExitTime, Window},
        findings::each_finding,
        replay::Replay,
        result::RunResult,
    },
};

/// Everything about the run that is stated more than once.
pub(crate) fn check_run(bag: &Bag, result: &RunResult, entries: &[Entry], replay: &Replay<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check_verdict(bag, result));
    findings.extend(check_tier(result, replay));
    findings.extend(check_thresholds(result));
    findings.extend(check_identity(bag, result));
    findings.extend(check_account(bag, result, replay));
    findings.extend(check_start(result, replay));
    findings.extend(check_chain(result, replay));
    findings.extend(check_projection(result, entries));
    findings.extend(check_end(result, replay));
    findings.extend(check_found(result, replay));
    findings
}

fn check_verdict(bag: &Bag, result: &RunResult) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut weight = Weight::default();
    // An unreadable file is reported with its asset.
    let _ = each_finding(bag, result, |finding| weight.add(finding, &result.waivers));
    let verdict = weight.verdict();
    if verdict != result.verdict {
        findings.push(inconsistent(
            RESULT,
            format!("verdict is {}, its findings and waivers leave {verdict}", result.verdict),
        ));
    }
    if result.verdict == Verdict::Pass && result.assets.is_empty() {
        findings.push(inconsistent(RESULT, "verdict is PASS, and there is no asset"));
    }
    for finding in result.all_findings().filter(|finding| finding.severity != finding.kind.severity()) {
        findings.push(inconsistent(RESULT, format!("finding weighs otherwise than its kind: {finding}")));
    }
    for finding in result.findings.iter().filter(|finding| finding.asset.is_some()) {
        findings.push(inconsistent(RESULT, format!("finding of an asset stands with the run: {finding}")));
    }
    findings
}

/// A run is a sample if one of its assets is; the journal may state no more than that.
fn check_tier(result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    let sampled = result.assets.iter().any(|asset| asset.tier == Tier::Sample);
    let differs = sampled != (result.tier == Tier::Sample);
    let differs = differs.then(|| inconsistent(RESULT, "the run's tier does not follow from its assets"));
    let denied = replay.sampled && !sampled;
    let denied = denied.then(|| inconsistent(JOURNAL, "ends with a sample, and no asset of the result is one"));
    differs.into_iter().chain(denied).collect()
}

fn check_thresholds(result: &RunResult) -> Vec<Finding> {
    let has = |kind: FindingKind| result.all_findings().any(|finding| finding.kind == kind);
    let mut findings = Vec::new();
    let missed = |unknown: bool| result.thresholds.iter().any(|limit| !limit.met && limit.unknown == unknown);
    if missed(false) != has(FindingKind::ThresholdMissed) || missed(true) != has(FindingKind::ThresholdUnknown) {
        findings.push(inconsistent(RESULT, "thresholds and findings disagree on whether one was missed"));
    }
    if result.exclusions.iter().any(|exclusion| exclusion.expired) != has(FindingKind::ExclusionExpired) {
        findings.push(inconsistent(RESULT, "exclusions and findings disagree on whether one is past its date"));
    }
    findings
}

fn check_identity(bag: &Bag, result: &RunResult) -> Vec<Finding> {
    let mut findings = Vec::new();
    if bag.labels("External-Identifier") != [result.run.as_str()] {
        findings.push(inconsistent(BAG_INFO, format!("External-Identifier is not the run {:?}", result.run)));
    }
    match bag.read(PLAYBOOK).map(Sha256Digest::of) {
        Ok(digest) if digest == result.playbook.sha256 => {}
        Ok(digest) => {
            let detail = format!("SHA-256 is {digest}, {RESULT} has {}", result.playbook.sha256);
            findings.push(inconsistent(PLAYBOOK, detail));
        }
        Err(error) => findings.push(Finding::of_run(FindingKind::BundleFileMissing, PLAYBOOK, error.to_string())),
    }
    findings
}

fn check_start(result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match replay.started {
        Some((run, playbook)) if run == result.run && playbook == result.playbook.sha256 => {}
        Some(_) => {
            findings.push(inconsistent(format!("{JOURNAL} line 1"), "another run or playbook than the result's"))
        }
        None => findings.push(inconsistent(format!("{JOURNAL} line 1"), "is not the start of a run")),
    }
    if !replay.binaries.contains(&result.tool.binary_sha256) {
        findings.push(inconsistent(JOURNAL, "the result's executable never worked on this run"));
    }
    if replay.resumed != result.resumed {
        let detail = format!("resumed {} times, {RESULT} has {}", replay.resumed, result.resumed);
        findings.push(inconsistent(JOURNAL, detail));
    }
    findings
}

/// Pace and projection follow from the journal and the totals; terms are taken as given.
fn check_projection(result: &RunResult, entries: &[Entry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(told) = &result.exit_time else { return findings };
    if result.result_version == 1 {
        findings.push(inconsistent(RESULT, "is called version 1, and holds what only later versions hold"));
    }
    if exit_time::pace(entries) != result.pace {
        findings.push(inconsistent(RESULT, "its pace does not follow from the journal"));
    }
    let term = |window: &Window| Term { name: window.name.clone(), limit_ms: window.limit_ms };
    let terms: Vec<_> = told.windows.iter().map(term).collect();
    if exit_time::of_run(entries, &result.run, &result.assets, &told.scope, &terms) != in_current_wording(told) {
        findings.push(inconsistent(RESULT, "its time to exit does not follow from the journal"));
    }
    findings
}

/// The projection in this version's wording: the first ones counted `1 units`.
fn in_current_wording(told: &ExitTime) -> ExitTime {
    let mut now = told.clone();
    now.refused
        .iter_mut()
        .for_each(|reason| *reason = reason.replace(": 1 units were measured", ": 1 unit was measured"));
    now
}

/// The previous run is named at the beginning of the journal, before anything is known of this one.
fn check_chain(result: &RunResult, replay: &Replay<'_>) -> Option<Finding> {
    let previous = result.chain.previous.as_ref();
    let named = previous.map(|previous| (previous.run.as_str(), previous.bundle_digest, previous.journal_head));
    (named != replay.continues).then(|| inconsistent(JOURNAL, "continues another run than the result's"))
}

fn check_end(result: &RunResult, replay: &Replay<'_>) -> Option<Finding> {
    let count = result.findings_total();
    match replay.done {
        Some(done) if done == (result.verdict, count) => None,
        Some((verdict, found)) => {
            let detail =
                format!("ends with {verdict} and {found} findings, {RESULT} with {} and {count}", result.verdict);
            Some(inconsistent(JOURNAL, detail))
        }
        None => Some(inconsistent(JOURNAL, "does not end with the end of the run")),
    }
}

/// Every finding of the result is in the journal; every finding about the run since its last start is in the
/// result.
fn check_found(result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    let unknown = result.all_findings().filter(|finding| !replay.found.contains(finding));
    let unknown = unknown.map(|finding| inconsistent(JOURNAL, format!("lacks a finding of the result: {finding}")));
    let lost = replay.found_of_run.iter().filter(|finding| !result.findings.contains(finding));
    let lost = lost.map(|finding| inconsistent(RESULT, format!("lacks a finding of the journal: {finding}")));
    unknown.chain(lost).collect()
}
