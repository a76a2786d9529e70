//! Whether the account's part of the result follows from the inventory, the assets and the exclusions; whether the
//! journal has the inventory; and whether the controls name the existing files.

use crate::{
    account::{
        controls::{self, Checklist},
        coverage::{Coverage, Rules},
        inventory::{INVENTORY_VERSION, Inventory},
    },
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind, Waives as _},
    },
    evidence::{
        check::bag::Bag,
        contents::{JOURNAL, RESULT, inconsistent},
        coverage::coverage_csv,
        findings::each_finding,
        replay::Replay,
        result::{CoverageResult, RunResult, carried, excluding},
    },
};

/// What was found in the account.
const INVENTORY: &str = "data/inventory.json";
/// The same after the run.
const AFTER: &str = "data/after.json";
/// What the run did with each thing.
const COVERAGE: &str = "data/coverage.csv";
/// How long before its start a run may have listed the account: many thousand resources, read at a provider that
/// throttles, takes hours.
const BEFORE_THE_START: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// Which file supports which control.
const CONTROLS: &str = "data/controls.json";

/// Everything about the account that is stated more than once.
pub(crate) fn check_account(bag: &Bag, result: &RunResult, replay: &Replay<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check_looks(bag, replay));
    findings.extend(check_after(bag, result));
    match &result.coverage {
        Some(told) => findings.extend(check_coverage(bag, result, told)),
        None => {
            let strays = [INVENTORY, COVERAGE].into_iter().filter(|name| bag.files.contains_key(*name));
            findings.extend(strays.map(|name| inconsistent(name, format!("{RESULT} says nothing of coverage"))));
        }
    }
    findings.extend(check_controls(bag, result));
    findings.extend(check_waivers(bag, result));
    findings
}

/// The inventories are those in the journal.
fn check_looks(bag: &Bag, replay: &Replay<'_>) -> Vec<Finding> {
    let unknown = [INVENTORY, AFTER].into_iter().filter(|name| bag.files.contains_key(*name)).filter_map(|name| {
        let bytes = bag.read(name).ok()?;
        (!replay.looks.contains(&Sha256Digest::of(bytes)))
            .then(|| inconsistent(name, format!("{JOURNAL} knows another")))
    });
    unknown.collect()
}

/// The second inventory is dated within the run.
fn check_after(bag: &Bag, result: &RunResult) -> Option<Finding> {
    let bytes = bag.read(AFTER).ok()?;
    let inventory = match serde_json::from_slice::<Inventory>(&bytes) {
        Ok(inventory) => inventory,
        Err(error) => return Some(Finding::of_run(FindingKind::BundleMalformed, AFTER, error.to_string())),
    };
    let is_of_run = || {
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let taken = time(&inventory.taken)?;
        Some(time(&result.started)? <= taken && taken <= time(&result.ended)?)
    };
    let detail = || format!("was taken at {}, not in the time of this run", inventory.taken);
    (is_of_run() != Some(true)).then(|| inconsistent(AFTER, detail()))
}

fn check_coverage(bag: &Bag, result: &RunResult, told: &CoverageResult) -> Vec<Finding> {
    let bytes = match bag.read(INVENTORY) {
        Ok(bytes) => bytes,
        Err(error) => return vec![Finding::of_run(FindingKind::BundleFileMissing, INVENTORY, error.to_string())],
    };
    let inventory = match serde_json::from_slice::<Inventory>(&bytes) {
        Ok(inventory) if inventory.inventory_version == INVENTORY_VERSION => inventory,
        Ok(other) => {
            let detail = format!("version {}, this walkaway reads {INVENTORY_VERSION}", other.inventory_version);
            return vec![Finding::of_run(FindingKind::BundleMalformed, INVENTORY, detail)];
        }
        Err(error) => return vec![Finding::of_run(FindingKind::BundleMalformed, INVENTORY, error.to_string())],
    };
    let mut findings = Vec::new();
    if Sha256Digest::of(&bytes) != told.inventory_sha256 || inventory.taken != told.taken {
        findings.push(inconsistent(INVENTORY, format!("{RESULT} was made from another")));
    }
    if !taken_for(result, &told.taken).unwrap_or(false) {
        findings.push(inconsistent(INVENTORY, format!("was taken at {}, not for this run", told.taken)));
    }
    let Some(rules) = Rules::of_number(told.rules) else {
        let detail = format!("coverage by rules {}, this walkaway knows those up to {}", told.rules, Rules::NEWEST);
        findings.push(Finding::of_run(FindingKind::BundleMalformed, RESULT, detail));
        return findings;
    };
    let coverage = Coverage::of(&inventory, &carried(&result.assets), &excluding(&result.exclusions), rules);
    if coverage.totals != told.totals || coverage.regions != told.regions {
        let detail = "coverage does not follow from inventory, assets and exclusions";
        findings.push(inconsistent(RESULT, detail));
    }
    match bag.read(COVERAGE) {
        Ok(rows) if rows == coverage_csv(&coverage).as_bytes() => {}
        Ok(_) => findings.push(inconsistent(COVERAGE, "does not follow from inventory, assets and exclusions")),
        Err(error) => findings.push(Finding::of_run(FindingKind::BundleFileMissing, COVERAGE, error.to_string())),
    }
    findings
}

/// The account is inspected before the transfer, so before the run's start is recorded. An inventory of another time proves
/// nothing about this run.
fn taken_for(result: &RunResult, taken: &str) -> Option<bool> {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let earliest = time(&result.started)?.checked_sub(BEFORE_THE_START).ok()?;
    let taken = time(taken)?;
    Some(earliest <= taken && taken <= time(&result.ended)?)
}

fn check_controls(bag: &Bag, result: &RunResult) -> Vec<Finding> {
    if result.result_version == 1 && !bag.files.contains_key(CONTROLS) {
        return Vec::new();
    }
    if !bag.files.contains_key(CONTROLS) {
        return vec![Finding::of_run(FindingKind::BundleFileMissing, CONTROLS, "every bundle of this version has it")];
    }
    let read = bag.read(CONTROLS).map_err(|error| error.to_string());
    let read = read.and_then(|bytes| serde_json::from_slice::<Checklist>(&bytes).map_err(|error| error.to_string()));
    let told = match read {
        Ok(controls) => controls.controls,
        Err(error) => return vec![Finding::of_run(FindingKind::BundleMalformed, CONTROLS, error)],
    };
    let mut findings = Vec::new();
    if told.iter().map(|control| control.row).ne(controls::rows()) {
        findings.push(inconsistent(CONTROLS, "does not have the rows of the checklist"));
    }
    for (file, digest) in told.iter().flat_map(|control| &control.supported_by) {
        match bag.open(file).and_then(Sha256Digest::of_reader) {
            Ok(found) if found == *digest => {}
            _ => findings.push(inconsistent(CONTROLS, format!("names {file} with a digest that it does not have"))),
        }
    }
    findings
}

/// Every waiver waives as many findings as it states.
fn check_waivers(bag: &Bag, result: &RunResult) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut counts = vec![0; result.waivers.len()];
    // An unreadable file is reported with its asset.
    let _ = each_finding(bag, result, |finding| {
        let waived = counts.iter_mut().zip(&result.waivers).filter(|(_, waiver)| waiver.waives(finding));
        waived.for_each(|(count, _)| *count += 1);
    });
    for (waiver, waives) in result.waivers.iter().zip(counts) {
        if waives != waiver.waives {
            findings.push(inconsistent(
                RESULT,
                format!("waiver {:?} waives {waives} findings, not {}", waiver.finding, waiver.waives),
            ));
        }
    }
    let expired = result.waivers.iter().any(|waiver| waiver.expired);
    if expired != result.all_findings().any(|finding| finding.kind == FindingKind::WaiverExpired) {
        findings.push(inconsistent(RESULT, "waivers and findings disagree on whether one is past its date"));
    }
    findings
}
