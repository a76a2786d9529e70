//! What follows from the inspections: coverage, a file for each check, findings. Made from values alone, so that a run
//! that is sealed again gets the same result.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    before::unmet,
    facts::{Facts, Selected},
    question::allowed_regions,
};
use crate::{
    account::{
        change::compare,
        controls,
        coverage::{self, Carried, Coverage, Status},
        inventory::Item,
        posture::{self, Rules},
    },
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    evidence::{
        facts::ExitTime,
        files::digest_file,
        result::{
            CoverageResult, ExclusionResult, SessionResult, TargetResult, ThresholdResult, WaiverResult, excluding,
        },
    },
    playbook::{Contract, Floor, NonCloud, Playbook, Postcondition, Posture},
    record::error::EngineError,
    words::duration,
};

/// Everything that sealing needs from the account.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub coverage: Option<(CoverageResult, Coverage)>,
    pub session: Option<SessionResult>,
    pub target: Option<TargetResult>,
    /// Name and content of each file below `checks`.
    pub checks: Vec<(String, Value)>,
    pub findings: Vec<Finding>,
    /// What the checks did not cover, in plain words.
    pub statements: Vec<String>,
}

/// The result of a run so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub carried: &'a [Carried],
    pub exclusions: &'a [ExclusionResult],
    pub today: Date,
    pub worked_ms: u64,
    /// The projection; none where nothing was copied yet.
    pub exit: Option<&'a ExitTime>,
    pub host: &'a str,
}

/// Judges the facts.
pub(crate) fn judge(playbook: &Playbook, facts: &Facts, outcome: Outcome<'_>) -> Result<Judged, EngineError> {
    let mut judged = Judged::default();
    judged.findings.extend(facts.selected.iter().flat_map(selection_findings));
    judged.findings.extend(facts.identity.iter().flat_map(|check| &check.preconditions).filter_map(unmet));
    judged.session = facts.identity.as_ref().and_then(|check| check.identity.as_ref()).map(|identity| SessionResult {
        session: identity.session,
        short_lived: identity.short_lived,
        mfa: identity.mfa.holds,
    });
    judged.cover(facts, outcome);
    judged.unused_exclusions(facts, outcome);
    judged.posture(playbook, facts, outcome)?;
    judged.unchanged(playbook, facts)?;
    judged.target(playbook, facts, outcome.host);
    judged.documents(playbook, facts, outcome);
    Ok(judged)
}

fn selection_findings(selected: &Selected) -> Vec<Finding> {
    let of = |kind, detail: String| Finding::of_run(kind, format!("{} {}", selected.id, selected.pattern), detail);
    if selected.buckets.is_empty() && selected.tags_unreadable.is_empty() {
        return vec![of(FindingKind::NothingMatched, "no bucket of the account fits".to_owned())];
    }
    let unreadable = selected.tags_unreadable.iter();
    unreadable.map(|bucket| of(FindingKind::AccountUnreadable, format!("the tags of bucket {bucket}"))).collect()
}

impl Judged {
    fn cover(&mut self, facts: &Facts, outcome: Outcome<'_>) {
        let Some((inventory, inventory_sha256)) = &facts.inventory else { return };
        let coverage = Coverage::of(inventory, outcome.carried, &excluding(outcome.exclusions), coverage::Rules::Third);
        let result = CoverageResult {
            rules: coverage::Rules::NEWEST,
            inventory_sha256: *inventory_sha256,
            taken: inventory.taken.clone(),
            totals: coverage.totals.clone(),
            regions: coverage.regions.clone(),
        };
        self.coverage = Some((result, coverage));
    }

    /// Exclusions that match nothing: a typing error, or a resource that is gone. Where a list is incomplete, and for what
    /// no list of the account holds, that cannot be determined.
    fn unused_exclusions(&mut self, facts: &Facts, outcome: Outcome<'_>) {
        let Some((inventory, _)) = &facts.inventory else { return };
        let kinds = ["s3", "rds", "snapshot"];
        for exclusion in excluding(outcome.exclusions).iter().filter(|exclusion| !exclusion.expired) {
            let kind = exclusion.kind();
            let names = |item: &Item| exclusion.names(item.kind.selector(), &item.name, item.tags.as_ref());
            let is_open = !kinds.contains(&kind)
                || inventory.unlisted(kind).next().is_some()
                || (!exclusion.tags.is_empty() && inventory.items.iter().any(|item| item.tags.is_none()));
            if !is_open && !inventory.items.iter().any(names) {
                let detail = "nothing in the account has this name and these tags; correct it or take it out";
                self.findings.push(Finding::of_run(FindingKind::ExclusionUnused, &exclusion.pattern, detail));
            }
        }
    }

    fn posture(&mut self, playbook: &Playbook, facts: &Facts, outcome: Outcome<'_>) -> Result<(), EngineError> {
        let rules = Rules { regions: allowed_regions(playbook), today: outcome.today };
        for posture in &playbook.account().posture {
            let word = posture_word(*posture);
            let Some((inventory, _)) = &facts.inventory else {
                let detail = "the account was not looked at";
                self.findings.push(Finding::of_run(FindingKind::AccountUnreadable, word, detail));
                continue;
            };
            let check = posture::judge(word, inventory, &rules);
            self.findings.extend(check.findings.iter().cloned());
            self.checks.push((word.to_owned(), value(&check)?));
        }
        Ok(())
    }

    fn unchanged(&mut self, playbook: &Playbook, facts: &Facts) -> Result<(), EngineError> {
        if !playbook.account().postconditions.contains(&Postcondition::SourceUnchanged) {
            return Ok(());
        }
        let (Some((before, _)), Some(after)) = (&facts.inventory, &facts.after) else {
            let detail = "the account was not looked at twice";
            self.findings.push(Finding::of_run(FindingKind::SourceNotCompared, "source_unchanged", detail));
            return Ok(());
        };
        let comparison = compare(before, after);
        self.findings.extend(comparison.findings());
        self.statements.push(comparison.in_words());
        self.checks.push(("source_unchanged".to_owned(), value(&comparison)?));
        Ok(())
    }

    fn target(&mut self, playbook: &Playbook, facts: &Facts, host: &str) {
        let Some(machine) = &facts.machine else { return };
        if playbook.account().non_cloud == Some(NonCloud::Required) {
            self.findings.extend(machine.findings(host));
        }
        self.target = Some(machine.conclusion().into());
    }

    fn documents(&mut self, playbook: &Playbook, facts: &Facts, outcome: Outcome<'_>) {
        let Some(documents) = &facts.documents else { return };
        let inventory = facts.inventory.as_ref().map(|(inventory, _)| inventory);
        self.findings.extend(documents.iter().flat_map(|entry| entry.findings(inventory)));
        let Some(contract) = &playbook.account().contract else { return };
        let terms = Terms { contract, worked_ms: outcome.worked_ms, exit: outcome.exit };
        self.findings.extend(terms.findings());
        let file = documents.iter().find(|entry| entry.id == "contract").and_then(|entry| entry.documents.first());
        self.checks.push(("contract".to_owned(), terms.told(file.map(|file| (file.name.as_str(), file.sha256)))));
    }
}

/// The contract's terms, the time that a whole exit is projected to take, and the time that this run took.
struct Terms<'a> {
    contract: &'a Contract,
    worked_ms: u64,
    exit: Option<&'a ExitTime>,
}

impl Terms<'_> {
    fn limits(&self) -> [(&'static str, u64); 2] {
        let ms = |period: crate::playbook::Period| u64::try_from(period.duration().as_millis()).unwrap_or(u64::MAX);
        [("transition", ms(self.contract.transition)), ("retrieval", ms(self.contract.retrieval))]
    }

    /// Milliseconds that nine of ten projected exits take at most.
    fn projected_ms(&self) -> Option<u64> {
        self.exit.and_then(|exit| exit.p90_ms)
    }

    /// Why there is no projection.
    fn refused(&self) -> &[String] {
        self.exit.map_or(&[], |exit| &exit.refused)
    }

    /// The terms that are exceeded, and one note for all terms that could not be checked.
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut open = Vec::new();
        for (term, limit) in self.limits() {
            match self.exceeded(term, limit) {
                Some(finding) => findings.push(finding),
                None if !self.refused().is_empty() => open.push(term),
                None => {}
            }
        }
        if !open.is_empty() {
            let reasons = self.refused().join("; ");
            let run = duration(self.worked_ms);
            let detail = format!("the projection of the exit is refused ({reasons}); the run alone took {run}");
            findings.push(Finding::of_run(FindingKind::ContractUnprojected, open.join(", "), detail));
        }
        findings
    }

    /// A drill that took longer than a term is proof by itself; one that did not proves nothing about the exit.
    fn exceeded(&self, term: &str, limit: u64) -> Option<Finding> {
        let over = |ms: &u64| *ms > limit;
        let projected = self.projected_ms().filter(over);
        let projected = projected.map(|ms| format!("the exit is projected to take {} (90th percentile)", duration(ms)));
        let measured = Some(self.worked_ms).filter(over).map(|ms| format!("the run took {}", duration(ms)));
        let why = projected.or(measured)?;
        let detail = format!("{why}, the contract allows {}", duration(limit));
        Some(Finding::of_run(FindingKind::ContractExceeded, term, detail))
    }

    /// Whether the projection stays within a limit; none where there is no projection, unless the run was longer.
    fn within(&self, limit: u64) -> Option<bool> {
        match self.projected_ms() {
            _ if self.worked_ms > limit => Some(false),
            projected => projected.map(|projected| projected <= limit),
        }
    }

    fn told(&self, file: Option<(&str, Sha256Digest)>) -> Value {
        json!({
            "check": "contract",
            "file": file.map(|(name, _)| name),
            "sha256": file.map(|(_, sha256)| sha256),
            "notice": self.contract.notice.to_string(),
            "transition": self.contract.transition.to_string(),
            "retrieval": self.contract.retrieval.to_string(),
            "projected_exit_ms": self.projected_ms(),
            "projection_refused": self.refused(),
            "measured_run_ms": self.worked_ms,
            "within_transition": self.within(self.limits()[0].1),
            "within_retrieval": self.within(self.limits()[1].1),
            "remark": "held against the projected time of the exit, 90th percentile; null where the projection is refused",
        })
    }
}

fn value(check: &impl Serialize) -> Result<Value, EngineError> {
    serde_json::to_value(check).map_err(|error| EngineError::Internal(error.to_string()))
}

fn posture_word(posture: Posture) -> &'static str {
    match posture {
        Posture::Residency => "residency",
        Posture::Encryption => "encryption",
        Posture::PublicAccess => "public_access",
        Posture::OrphanSnapshots => "orphan_snapshots",
        Posture::Credentials => "credentials",
        Posture::Protection => "protection",
    }
}

/// The thresholds on coverage. One that could not be measured is not met.
pub(crate) fn thresholds(playbook: &Playbook, coverage: Option<&Coverage>) -> Vec<ThresholdResult> {
    let limits = playbook.thresholds();
    let assets = limits.coverage_assets.map(|floor| {
        measured("coverage_assets", floor, coverage, |coverage| {
            let unlisted =
                coverage.rows.iter().filter(|row| row.name == "*" && row.status == Status::Unreadable).count();
            let part = coverage.totals.tested.assets;
            let whole = coverage.totals.assets_in_scope();
            (part, whole, unlisted as u64, "assets")
        })
    });
    let bytes = limits.coverage_bytes.map(|floor| {
        measured("coverage_bytes", floor, coverage, |coverage| {
            let totals = &coverage.totals;
            (totals.bytes_tested(), totals.bytes_in_scope(), totals.of_unknown_size, "bytes")
        })
    });
    assets.into_iter().chain(bytes).collect()
}

fn measured(
    name: &str,
    floor: Floor,
    coverage: Option<&Coverage>,
    numbers: impl Fn(&Coverage) -> (u64, u64, u64, &'static str),
) -> ThresholdResult {
    let name = name.to_owned();
    let limit = floor.to_string();
    let Some((part, whole, unknown, noun)) = coverage.map(numbers) else {
        let measured = "the account was not looked at".to_owned();
        return ThresholdResult { name, limit, measured, met: false, unknown: true };
    };
    if unknown > 0 {
        let measured = format!("{part} of {whole} {noun}, and {unknown} things of unknown size or number");
        return ThresholdResult { name, limit, measured, met: false, unknown: true };
    }
    if whole == 0 {
        let measured = format!("0 of 0 {noun}: there is nothing to measure");
        return ThresholdResult { name, limit, measured, met: false, unknown: true };
    }
    let hundredths = (u128::from(part) * 10_000).checked_div(u128::from(whole)).unwrap_or(10_000);
    let measured = format!("{part} of {whole} {noun}, {}.{:02}%", hundredths / 100, hundredths % 100);
    ThresholdResult { name, limit, measured, met: floor.allows(part, whole), unknown: false }
}

/// The waivers and whether they are valid today; what they waive is not counted yet.
pub(crate) fn waivers(playbook: &Playbook, today: Date) -> Vec<WaiverResult> {
    let told = playbook.account().waivers.iter().map(|waiver| WaiverResult {
        finding: waiver.finding.to_string(),
        reason: waiver.reason.to_string(),
        owner: waiver.owner.to_string(),
        until: waiver.until.to_string(),
        expired: today > waiver.until,
        waives: 0,
    });
    told.collect()
}

/// What is wrong with waivers whose findings are counted.
pub(crate) fn wrong_waivers(waivers: &[WaiverResult]) -> Vec<Finding> {
    let wrong = waivers.iter().filter_map(|waiver| {
        let detail = format!("{}, owner {}", waiver.until, waiver.owner);
        if waiver.expired {
            return Some(Finding::of_run(FindingKind::WaiverExpired, &waiver.finding, format!("ended {detail}")));
        }
        (waiver.waives == 0)
            .then(|| Finding::of_run(FindingKind::WaiverUnused, &waiver.finding, format!("until {detail}")))
    });
    wrong.collect()
}

/// The checklist with the files of a bundle that support it.
pub(crate) fn controls(bundle: &Path) -> Result<Value, EngineError> {
    let mut files = BTreeMap::new();
    gather(bundle, &bundle.join("data"), &mut files)?;
    files.remove("data/controls.json");
    value(&json!({
        "list": "ISO/IEC 27001:2022 Annex A 5.23, cloud services",
        "meaning": "a file supports a control; whether it is met, a person decides",
        "controls": controls::controls(&files),
    }))
}

/// Whether a file can support a control: by its ending.
pub(crate) fn supports(name: &str) -> bool {
    let known = ["json", "ndjson", "csv", "yaml", "sha256"];
    name.rsplit_once('.').is_some_and(|(_, ending)| known.contains(&ending))
}

fn gather(bundle: &Path, directory: &Path, files: &mut BTreeMap<String, Sha256Digest>) -> Result<(), EngineError> {
    let failed = |source| EngineError::Directory { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            gather(bundle, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(bundle) {
            // The receipts of the data are listed in their manifests.
            if supports(&name.to_string_lossy()) {
                let file = fs::File::open(&path).map_err(failed)?;
                let (digest, _) = digest_file(&file).map_err(failed)?;
                files.insert(name.to_string_lossy().into_owned(), digest);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    /// Kinds and subjects that a contract of 2 and 10 days results in.
    fn found(p90_ms: Option<u64>, worked_ms: u64) -> Vec<(FindingKind, String)> {
        let period = |text: &str| text.parse().expect("a period");
        let notice = period("60d");
        let transition = period("10d");
        let retrieval = period("2d");
        let contract = Contract { file: "contract.pdf".into(), notice, transition, retrieval };
        let refused = if p90_ms.is_none() { vec!["too little".to_owned()] } else { vec![] };
        let exit = ExitTime {
            scope: String::new(),
            replicates: 1,
            classes: vec![],
            p50_ms: p90_ms,
            p90_ms,
            windows: vec![],
            refused,
        };
        let findings = Terms { contract: &contract, worked_ms, exit: Some(&exit) }.findings();
        findings.into_iter().map(|finding| (finding.kind, finding.subject)).collect()
    }

    #[test]
    fn the_contract_is_held_against_the_projected_exit() {
        use FindingKind::{ContractExceeded, ContractUnprojected};
        assert_eq!(found(Some(DAY_MS), 1), []);
        assert_eq!(found(Some(3 * DAY_MS), 1), [(ContractExceeded, "retrieval".to_owned())]);
        let both = ["transition", "retrieval"].map(|term| (ContractExceeded, term.to_owned()));
        assert_eq!(found(Some(11 * DAY_MS), 1), both);
        assert_eq!(found(Some(DAY_MS), 3 * DAY_MS), [(ContractExceeded, "retrieval".to_owned())], "the run itself");
        assert_eq!(found(None, 1), [(ContractUnprojected, "transition, retrieval".to_owned())]);
        let partly = [(ContractExceeded, "retrieval".to_owned()), (ContractUnprojected, "transition".to_owned())];
        assert_eq!(found(None, 3 * DAY_MS), partly);
    }
}
