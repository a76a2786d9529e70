//! The first page: the verdict, and five answers in the order in which a reader asks for them. Each has a number, one
//! sentence, and what it names; everything behind them stands on the pages that follow.

use std::cmp::Reverse;

use super::{
    phrases::{kind, sample_words, times, weight},
    scope::{Fate, Scope},
    view::{NO_TERMS, View},
};
use crate::{
    account::coverage::{Row, Status},
    evidence::result::AssetResult,
    finding::{Finding, Severity, Verdict, Waives as _},
    words::{count, count_of, duration, of, size, thousands},
};

/// Where the playbook leaves a fact out.
const NOT_NAMED: &str = "not named in the playbook";
/// Things that one answer names.
const NAMED_MAX: usize = 8;
/// Characters of a line that come from outside.
const LINE_MAX: usize = 160;

/// One answer of the first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// What it answers.
    pub question: &'static str,
    /// The number that decides.
    pub number: String,
    /// What the number means.
    pub sentence: String,
    /// What is named, the weightiest first.
    pub items: Vec<String>,
    /// How many more there are, and the part that names them.
    pub more: Option<(u64, Part)>,
    /// Whether a reader has to act on it.
    pub weighs: bool,
}

/// A part of the report that an answer refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Coverage,
    Findings,
}

impl Part {
    /// The anchor on the page, and the title with its number.
    pub(super) fn place(self) -> (&'static str, &'static str) {
        match self {
            Part::Coverage => ("coverage", "2 Coverage"),
            Part::Findings => ("findings", "6 Deviations, waivers, findings"),
        }
    }
}

impl View<'_> {
    /// The answers in their order.
    pub(super) fn answers(&self) -> [Answer; 5] {
        [self.tested(), self.not_tested(), self.failed(), self.time_to_exit(), self.people()]
    }

    fn tested(&self) -> Answer {
        let samples = self.assets().iter().filter_map(|asset| {
            let sample = asset.objects.as_ref()?.sample.as_ref()?;
            Some(format!("{}: {}", asset.id, sample_words(sample)))
        });
        let account = Scope::of(self).map(|scope| {
            let unknown = match scope.unknown() {
                0 => String::new(),
                some => format!("; the size of {} is not known", thousands(some)),
            };
            let [equal, differs] = [Fate::Equal, Fate::Differs].map(|fate| scope.amount(fate).things);
            let differs = match differs {
                0 => String::new(),
                some => format!(", {} compared and different", thousands(some)),
            };
            format!(
                "Of the account: {} tested in full and equal, {} in part{differs}; {} of the known bytes outside of \
                 exclusions were compared{unknown}.",
                count_of(
                    equal,
                    scope.things(),
                    "bucket, database or orphaned snapshot",
                    "buckets, databases and orphaned snapshots"
                ),
                thousands(scope.partly),
                scope.tested_share()
            )
        });
        let all = self.assets().len() as u64;
        Answer {
            question: "What was tested",
            number: format!("{} proven equal", count_of(self.passed().len() as u64, all, "asset", "assets")),
            sentence: format!("{}.{}", self.headline_bytes(), self.nothing_carried()),
            items: account.into_iter().chain(samples).collect(),
            more: None,
            weighs: false,
        }
    }

    /// Assets of which nothing came, and of which no size is known.
    fn nothing_carried(&self) -> String {
        let number = self.assets().iter().filter(|asset| is_empty_handed(asset)).count() as u64;
        match number {
            0 => String::new(),
            _ => format!(
                " Of {} nothing was carried; how much there is, is not known.",
                count(number, "asset", "assets")
            ),
        }
    }

    fn not_tested(&self) -> Answer {
        let mut lines: Vec<String> = self.unplaced().into_iter().map(not_run_line).collect();
        lines.extend(self.uncovered().into_iter().map(uncovered_line));
        if self.account.is_empty() {
            lines.extend(self.assets().iter().filter_map(unsampled_line));
        }
        lines.extend(self.exclusion_lines());
        lines.extend(self.left_out());
        let (items, more) = named(lines, Part::Coverage);
        let scope = Scope::of(self);
        let (number, sentence) = match &scope {
            None => (
                "unknown".to_owned(),
                "The account around these assets was not looked at: what the playbook does not name was not tested."
                    .to_owned(),
            ),
            Some(scope) => {
                let unknown = match scope.unknown() {
                    0 => String::new(),
                    some => format!(" The size of {} is not known.", thousands(some)),
                };
                let rests = match scope.amount(Fate::Untested).rests {
                    0 => "",
                    _ => ", and what was left of those that were tested in part",
                };
                let excluded = match scope.amount(Fate::Excluded).things {
                    0 => String::new(),
                    some => format!(" The playbook excludes {} more, with a reason.", thousands(some)),
                };
                (
                    format!("{} not tested in full, {}", of(scope.open(), scope.things()), scope.open_size()),
                    format!("Buckets, databases and orphaned snapshots that there are{rests}.{unknown}{excluded}"),
                )
            }
        };
        let weighs = scope.is_none_or(|scope| scope.open() > 0);
        Answer { question: "What was not tested", number, sentence, items, more, weighs }
    }

    /// Things of the account that were not tested in full: unknown sizes first, then the largest.
    fn uncovered(&self) -> Vec<&Row> {
        let open = |row: &&Row| !matches!(row.status, Status::Tested | Status::Excluded);
        let mut rows: Vec<&Row> = self.account.iter().filter(open).collect();
        rows.sort_by_key(|row| Reverse(row.bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(row.tested_bytes))));
        rows
    }

    fn exclusion_lines(&self) -> Vec<String> {
        let rows = self.account.iter().filter(|row| row.status == Status::Excluded);
        let seen: Vec<String> = rows
            .map(|row| format!("EXCLUDED {} {}, {}: {}", row.kind, row.name, size_of(row.bytes), row.why))
            .collect();
        if !seen.is_empty() {
            return seen;
        }
        let line = |exclusion: &crate::evidence::result::ExclusionResult| {
            let past = if exclusion.expired { ", past its date" } else { "" };
            format!(
                "EXCLUDED {}, size not measured: {}; {}, until {}{past}",
                exclusion.pattern, exclusion.reason, exclusion.owner, exclusion.until
            )
        };
        self.result.exclusions.iter().map(line).collect()
    }

    fn failed(&self) -> Answer {
        let mut assets: Vec<&AssetResult> =
            self.assets().iter().filter(|asset| asset.verdict != Verdict::Pass).collect();
        assets.sort_by_key(|asset| rank(asset.verdict));
        let mut lines: Vec<String> = assets.iter().map(|asset| self.asset_line(asset)).collect();
        lines.extend(self.run_lines());
        let all = self.assets().len() as u64;
        let sentence = match (assets.is_empty(), lines.len() - assets.len()) {
            (true, 0) => "Every comparison agrees, and every threshold is met.".to_owned(),
            (true, _) => "Every asset agrees; what weighs concerns the run or the account.".to_owned(),
            (false, _) => "Each with the finding that weighs most.".to_owned(),
        };
        let weighs = !lines.is_empty();
        let around = (lines.len() - assets.len()) as u64;
        let (items, more) = named(lines, Part::Findings);
        let number = match assets.len() as u64 {
            0 if weighs => format!("no asset; {} about the run or the account", count(around, "finding", "findings")),
            0 => format!("none of {}", count(all, "asset", "assets")),
            failed => count_of(failed, all, "asset", "assets"),
        };
        Answer { question: "What failed, and why", number, sentence, items, more, weighs }
    }

    /// An asset that did not pass, with its heaviest finding; those first that no waiver accepts.
    fn asset_line(&self, asset: &AssetResult) -> String {
        let mut findings: Vec<&Finding> = asset.findings.iter().filter(|finding| weighs(finding)).collect();
        findings.sort_by_key(|finding| (self.is_waived(finding), Reverse(finding.severity)));
        let kinds = asset.filed.iter().flat_map(|filed| &filed.kinds);
        let beyond = kinds.filter(|kind| kind.severity > Severity::Note).map(|kind| kind.beyond());
        let all = beyond.fold(findings.len() as u64, u64::saturating_add);
        let why = match findings.first() {
            None => "no finding is recorded for it".to_owned(),
            Some(finding) => {
                clipped(&format!("{}: {} – {}", finding.kind.title(), finding.subject, finding.detail))
                    + &self.accepted(finding)
            }
        };
        let more = match all {
            0 | 1 => String::new(),
            _ => format!("; {} in all", count(all, "finding", "findings")),
        };
        format!("{} {}, {}: {why}{more}", asset.verdict, asset.id, carried(asset))
    }

    /// Who accepts a finding, and until when; nothing of one that nobody accepts.
    fn accepted(&self, finding: &Finding) -> String {
        let waiver = self.result.waivers.iter().find(|waiver| waiver.waives(finding));
        waiver.map_or_else(String::new, |waiver| format!("; waived until {} by {}", waiver.until, waiver.owner))
    }

    /// Findings that weigh and belong to no asset.
    fn run_lines(&self) -> Vec<String> {
        let mut findings: Vec<&Finding> = self.result.findings.iter().filter(|finding| weighs(finding)).collect();
        findings.sort_by_key(|finding| (self.is_waived(finding), Reverse(finding.severity)));
        let line =
            |finding: &&Finding| clipped(&format!("{}: {finding}", weight(finding.severity))) + &self.accepted(finding);
        findings.iter().map(line).collect()
    }

    fn is_waived(&self, finding: &Finding) -> bool {
        self.result.waivers.iter().any(|waiver| waiver.waives(finding))
    }

    fn time_to_exit(&self) -> Answer {
        let time = self.result.exit_time.as_ref();
        let number = match time.map(|time| (time.p50_ms, time.p90_ms)) {
            None => "not projected".to_owned(),
            Some((Some(p50), Some(p90))) => format!("P50 {}, P90 {}", duration(p50), duration(p90)),
            Some(_) => "REFUSED".to_owned(),
        };
        let windows = self.windows();
        let line = |window: &&crate::evidence::facts::Window| {
            let held = match (window.p50_fits, window.p90_fits) {
                (_, Some(true)) => "fits",
                (Some(true), Some(false)) => "DOES NOT FIT in one of ten exits or more (P90)",
                (_, Some(false)) => "DOES NOT FIT",
                (_, None) => "not decided: the projection is refused",
            };
            format!("{}, {}: {held}", window.name, duration(window.limit_ms))
        };
        let mut items: Vec<String> = windows.iter().map(line).collect();
        if items.is_empty() {
            items.push(NO_TERMS.to_owned());
        }
        let notice = self.result.plan.notice.as_ref();
        items.extend(notice.map(|notice| format!("contract.notice, {notice}: the time before the contract ends")));
        let weighs = !matches!(time.map(|time| time.p90_ms), Some(Some(_)))
            || windows.iter().any(|window| window.p90_fits != Some(true));
        Answer {
            question: "How long the exit takes, against the contract",
            number,
            sentence: self.exit_sentence(),
            items,
            more: None,
            weighs,
        }
    }

    fn people(&self) -> Answer {
        let person = |role: &str| {
            let found = self.result.plan.roles.iter().find(|(name, _)| name == role);
            found.map(|(_, person)| person.as_str())
        };
        let named = |role: &str| person(role).unwrap_or(NOT_NAMED);
        let of_person = |role: &str| format!(", by the playbook: {}", named(role));
        let caller = self.result.caller.as_ref();
        let at_provider =
            caller.map_or_else(|| "not recorded".to_owned(), |caller| format!("{} in {}", caller.arn, caller.account));
        Answer {
            question: "Who ran, signed and reviewed it",
            number: format!("run on machine {}", self.result.host),
            sentence:
                "The playbook names people; only a signature shows who stands behind the run. Signatures cover this \
                       page, so they cannot stand on it: `walkaway verify --allowed-signers FILE` says whose they are \
                       and whether they hold."
                    .to_owned(),
            items: vec![
                format!("Operator's signature: sig/operator.sig{}", of_person("operator")),
                format!(
                    "Reviewer's signature: sig/reviewer.sig{}; without it the run is unreviewed",
                    of_person("reviewer")
                ),
                format!("Accountable, by the playbook: {}", named("accountable")),
                format!("Identity at the provider: {at_provider}"),
            ],
            more: None,
            weighs: false,
        }
    }

    /// What identifies the run; it follows the answers.
    pub(super) fn identification(&self) -> Vec<(&'static str, String)> {
        let result = self.result;
        let missing = |fact: &Option<String>| fact.clone().unwrap_or_else(|| NOT_NAMED.to_owned());
        let interrupted = match result.resumed {
            0 => "not interrupted".to_owned(),
            resumed => format!("interrupted, resumed {}", times(resumed)),
        };
        let retest = result.plan.retest.clone();
        vec![
            ("Run", result.run.clone()),
            ("Playbook", super::phrases::named(&result.playbook.id, result.playbook.title.as_deref())),
            ("Started, ended (UTC)", format!("{} – {}", result.started, result.ended)),
            ("Duration", format!("{}, {interrupted}", duration(result.duration_ms))),
            ("Change reference", missing(&result.change)),
            ("Scenario", missing(&result.plan.scenario)),
            ("Retest by", retest.unwrap_or_else(|| "now: this run does not count as a passed drill".to_owned())),
            ("Next review of the plan", missing(&result.plan.next_review)),
        ]
    }
}

fn uncovered_line(row: &Row) -> String {
    let region = row.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let why = if row.why.is_empty() { String::new() } else { format!(": {}", row.why) };
    let amount = match (row.status, row.bytes) {
        (Status::PartlyTested, Some(bytes)) => {
            format!("{} of {} not tested", size(bytes.saturating_sub(row.tested_bytes)), size(bytes))
        }
        (Status::PartlyTested, None) => format!("the rest of unknown size, {} tested", size(row.tested_bytes)),
        _ => size_of(row.bytes),
    };
    let what = match row.name.as_str() {
        // Not a thing, but the list in which things of the kind would stand.
        "*" => row.kind.clone(),
        name => format!("{} {name}", row.kind),
    };
    clipped(&format!("{} {what}{region}, {amount}{why}", row.status.word()))
}

fn not_run_line(asset: &AssetResult) -> String {
    clipped(&format!("NOT RUN {} {}, size unknown: could not be compared", kind(asset.kind), asset.id))
}

/// What a sample left, where no row of an account says it.
fn unsampled_line(asset: &AssetResult) -> Option<String> {
    let [(objects, bytes), (taken, taken_bytes)] = asset.objects.as_ref()?.sample.as_ref()?.totals();
    Some(format!(
        "NOT IN THE SAMPLE of {}: {}, {}",
        asset.id,
        count_of(objects.saturating_sub(taken), objects, "object", "objects"),
        size(bytes.saturating_sub(taken_bytes))
    ))
}

fn is_empty_handed(asset: &AssetResult) -> bool {
    asset.items == 0 && asset.verdict == Verdict::NotRun
}

/// What was carried of an asset: nothing is not a size.
fn carried(asset: &AssetResult) -> String {
    if is_empty_handed(asset) {
        return "nothing carried, size unknown".to_owned();
    }
    size(asset.bytes)
}

fn size_of(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "size unknown".to_owned(), size)
}

/// Fails come first, accepted ones last.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::NotRun => 1,
        Verdict::Waived => 2,
        Verdict::Pass => 3,
    }
}

fn weighs(finding: &Finding) -> bool {
    finding.severity > Severity::Note
}

fn named(mut lines: Vec<String>, part: Part) -> (Vec<String>, Option<(u64, Part)>) {
    let more = lines.len().saturating_sub(NAMED_MAX) as u64;
    lines.truncate(NAMED_MAX);
    (lines, (more > 0).then_some((more, part)))
}

/// One line of it.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(LINE_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(LINE_MAX - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one() {
        assert_eq!(clipped("short"), "short");
        let long = clipped(&"é".repeat(500));
        assert!(long.chars().count() == LINE_MAX && long.ends_with('…'));
    }

    #[test]
    fn what_is_not_named_is_counted() {
        let (items, more) = named((0..11).map(|number| number.to_string()).collect(), Part::Coverage);
        assert_eq!((items.len(), more), (NAMED_MAX, Some((3, Part::Coverage))));
        assert_eq!(named(vec!["a".to_owned()], Part::Findings), (vec!["a".to_owned()], None));
    }
}
