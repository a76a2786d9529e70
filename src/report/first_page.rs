//! The first page: the verdict, and five answers in the order of a reader's questions. Each has a number, one
//! sentence, and names; the details are on the following pages.

use std::cmp::Reverse;

use super::{
    phrases::{gravity, items, kind, period, sample_words, span, term, threshold_words, times, weight},
    scope::{Fate, unplaced},
    view::{NO_TERMS, View},
};
use crate::{
    account::coverage::{Row, Status},
    domain::{
        finding::{Finding, FindingKind, Severity, Verdict, Waives as _},
        proof::Check,
    },
    evidence::{
        facts::Window,
        result::{AssetResult, ThresholdResult},
    },
    words::{count, count_of, duration, of, size, thousands},
};

/// Text for a fact that the playbook omits.
const NOT_NAMED: &str = "not named in the playbook";
/// The most names of one answer.
const NAMED_MAX: usize = 8;
/// The most reasons in the sentence of the verdict.
const REASONS_MAX: usize = 3;
/// Of a SHA-256.
const DIGEST_DIGITS: usize = 64;
/// Characters of a line that come from outside.
const LINE_MAX: usize = 160;

/// One answer of the first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The question.
    pub question: &'static str,
    /// The decisive number.
    pub number: String,
    /// What the number means.
    pub sentence: String,
    /// The names, the most important first.
    pub items: Vec<String>,
    /// How many more there are, and the part that lists them.
    pub more: Option<(u64, Part)>,
    /// Whether it requires action.
    pub weighs: bool,
}

/// A part of the report that an answer refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Coverage,
    Assets,
    Findings,
}

impl Part {
    /// The anchor on the page, and the title with its number.
    pub(super) fn place(self) -> (&'static str, &'static str) {
        match self {
            Part::Coverage => ("coverage", "2 Coverage"),
            Part::Assets => ("assets", "3 Assets"),
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
        let account = self.scope().map(|scope| {
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
        let items = self.assets().iter().map(asset_words).chain(account).collect();
        let (items, more) = named(items, Part::Assets);
        Answer {
            question: "What was tested",
            number: self.assets_words(),
            sentence: format!("{}.{}", self.headline_bytes(), self.nothing_carried()),
            items,
            more,
            weighs: false,
        }
    }

    /// Assets of which nothing was copied, with unknown size.
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
        let mut lines: Vec<String> = unplaced(self.result, self.account).into_iter().map(not_run_line).collect();
        lines.extend(self.uncovered().into_iter().map(uncovered_line));
        if self.account.is_empty() {
            lines.extend(self.assets().iter().filter_map(unsampled_line));
        }
        lines.extend(self.exclusion_lines());
        lines.extend(self.left_out());
        let (items, more) = named(lines, Part::Coverage);
        let scope = self.scope();
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

    /// Resources of the account that were not tested in full: unknown sizes first, then the largest.
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
        let question = match self.result.verdict {
            Verdict::NotRun => "What was not run, and why",
            Verdict::Pass | Verdict::Fail | Verdict::Waived => "What failed, and why",
        };
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
        Answer { question, number, sentence, items, more, weighs }
    }

    /// An asset that did not pass, with its most severe finding; those without a waiver first.
    fn asset_line(&self, asset: &AssetResult) -> String {
        let findings = self.by_weight(&asset.findings);
        let kinds = asset.filed.iter().flat_map(|filed| &filed.kinds);
        let beyond = kinds.filter(|kind| kind.severity > Severity::Note).map(|kind| kind.beyond());
        let all = beyond.fold(findings.len() as u64, u64::saturating_add);
        let why = match findings.first() {
            None => "no finding is recorded for it".to_owned(),
            Some(finding) => {
                clipped(&format!("{}: {} – {}", finding.kind.title(), finding.subject, self.detail(finding)))
                    + &self.accepted(finding)
            }
        };
        let more = match all {
            0 | 1 => String::new(),
            _ => format!("; {} in all", count(all, "finding", "findings")),
        };
        format!("{} {}, {}: {why}{more}", asset.verdict, asset.id, carried(asset))
    }

    /// Who accepts a finding, and until when; none for one without a waiver.
    fn accepted(&self, finding: &Finding) -> String {
        let waiver = self.result.waivers.iter().find(|waiver| waiver.waives(finding));
        waiver.map_or_else(String::new, |waiver| {
            format!("; waived until {} by {}: {}", waiver.until, waiver.owner, waiver.reason)
        })
    }

    /// Severe findings that belong to no asset.
    fn run_lines(&self) -> Vec<String> {
        let line = |finding: &&Finding| {
            let told = format!("{}: {}: {}", weight(finding.severity), finding.kind.title(), self.about(finding));
            let detail = self.detail(finding);
            let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            clipped(&(told + &detail)) + &self.accepted(finding)
        };
        self.by_weight(&self.result.findings).iter().map(line).collect()
    }

    /// Severe findings, the most severe first, and waived ones last.
    fn by_weight<'f>(&self, findings: &'f [Finding]) -> Vec<&'f Finding> {
        let mut findings: Vec<&Finding> = findings.iter().filter(|finding| weighs(finding)).collect();
        findings.sort_by_key(|finding| (self.is_waived(finding), gravity(finding)));
        findings
    }

    /// What did not pass and why, for the sentence of the verdict: assets first, then the run's own.
    pub(super) fn reasons(&self) -> String {
        let of_asset = |asset: &&AssetResult| {
            let why = self.by_weight(&asset.findings).first().map_or("no finding", |finding| finding.kind.title());
            format!("{} {} ({why})", kind(asset.kind), asset.id)
        };
        let of_run = |finding: &&Finding| match self.threshold(finding) {
            Some(limit) => format!("{} ({})", self.about(finding), threshold_words(limit)),
            None => format!("{} ({})", finding.subject, finding.kind.title()),
        };
        let wanted = |severity: Severity| match self.result.verdict {
            Verdict::Fail => severity == Severity::Fail,
            _ => severity > Severity::Note,
        };
        let assets = self.assets().iter().filter(|asset| match self.result.verdict {
            Verdict::Fail => asset.verdict == Verdict::Fail,
            _ => asset.verdict != Verdict::Pass,
        });
        let assets: Vec<_> = assets.collect();
        let run = self.by_weight(&self.result.findings);
        let run = run.iter().filter(|finding| {
            wanted(finding.severity) && (self.result.verdict == Verdict::Waived || !self.is_waived(finding))
        });
        let mut all: Vec<String> =
            assets.iter().map(of_asset).chain(run.map(of_run)).map(|text| clipped(&text)).collect();
        if let Some(more @ 1..) = all.len().checked_sub(REASONS_MAX) {
            all.truncate(REASONS_MAX);
            all.push(format!("{} more", thousands(more as u64)));
        }
        if all.is_empty() { "see what follows".to_owned() } else { all.join("; ") }
    }

    /// The threshold that a finding is about.
    fn threshold(&self, finding: &Finding) -> Option<&ThresholdResult> {
        let is_one = matches!(finding.kind, FindingKind::ThresholdMissed | FindingKind::ThresholdUnknown);
        self.result.thresholds.iter().find(|limit| is_one && limit.name == finding.subject)
    }

    fn about(&self, finding: &Finding) -> String {
        self.threshold(finding).map_or_else(|| finding.subject.clone(), |limit| term(&limit.name))
    }

    fn detail(&self, finding: &Finding) -> String {
        self.threshold(finding).map_or_else(|| short_digests(&finding.detail), threshold_words)
    }

    fn is_waived(&self, finding: &Finding) -> bool {
        self.result.waivers.iter().any(|waiver| waiver.waives(finding))
    }

    fn time_to_exit(&self) -> Answer {
        let time = self.result.exit_time.as_ref();
        let projected = time.and_then(|time| Some((time.p50_ms?, time.p90_ms?)));
        let windows = self.windows();
        let number = match (time, projected) {
            (None, _) => "not projected".to_owned(),
            (Some(_), Some((p50, p90))) => format!("Likely {}; in one of ten exits {} or more", span(p50), span(p90)),
            (Some(_), None) => "Not known: too little was measured".to_owned(),
        };
        let line = |window: &&Window| {
            format!("{}: allowed {}; {}", term(&window.name), span(window.limit_ms), fit(window, projected))
        };
        let mut items: Vec<String> = windows.iter().map(line).collect();
        if items.is_empty() {
            items.push(NO_TERMS.to_owned());
        }
        let notice = self.result.plan.notice.as_ref();
        items.extend(notice.map(|notice| {
            format!(
                "{}: {}; how long before its end the contract is given notice",
                term("contract.notice"),
                period(notice)
            )
        }));
        let weighs = projected.is_none_or(|(_, p90)| windows.iter().any(|window| p90 > window.limit_ms));
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
        let named = |role: &str| format!("named by the playbook: {}", self.person(role));
        let caller = self.result.caller.as_ref();
        let at_provider = caller.map_or_else(
            || "identity at the provider not recorded".to_owned(),
            |caller| format!("at the provider as {} in {}", caller.arn, caller.account),
        );
        Answer {
            question: "Who ran, signed and reviewed it",
            number: "Only signatures show it; they are not on this page".to_owned(),
            sentence:
                "A signature is a file that is made after this page; check whose it is, and whether it holds, with \
                       `walkaway verify --allowed-signers FILE`."
                    .to_owned(),
            items: vec![
                format!("Ran: {}; {at_provider}", named("operator")),
                format!("Signed: {}; signature: sig/operator.sig", named("operator")),
                format!(
                    "Reviewed: {}; signature: sig/reviewer.sig, without which the run is unreviewed",
                    named("reviewer")
                ),
            ],
            more: None,
            weighs: false,
        }
    }

    fn person(&self, role: &str) -> &str {
        let found = self.result.plan.roles.iter().find(|(name, _)| name == role);
        found.map_or(NOT_NAMED, |(_, person)| person.as_str())
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
            ("Machine", result.host.clone()),
            ("Accountable, by the playbook", self.person("accountable").to_owned()),
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
        // Not a resource, but the list that would contain resources of the kind.
        "*" => row.kind.clone(),
        name => format!("{} {name}", row.kind),
    };
    clipped(&format!("{} {what}{region}, {amount}{why}", row.status.word()))
}

fn not_run_line(asset: &AssetResult) -> String {
    clipped(&format!("NOT RUN {} {}, size unknown: could not be compared", kind(asset.kind), asset.id))
}

/// What a sample left out, where no row of an account shows it.
fn unsampled_line(asset: &AssetResult) -> Option<String> {
    let [(objects, bytes), (taken, taken_bytes)] = asset.objects.as_ref()?.sample.as_ref()?.totals();
    Some(format!(
        "NOT IN THE SAMPLE of {}: {}, {}",
        asset.id,
        count_of(objects.saturating_sub(taken), objects, "object", "objects"),
        size(bytes.saturating_sub(taken_bytes))
    ))
}

/// An asset with its mark: its kind, its size, and the result of the comparison. A sample proves nothing about the
/// whole.
fn asset_words(asset: &AssetResult) -> String {
    let sample = asset.objects.as_ref().and_then(|objects| objects.sample.as_ref());
    let lacking: Vec<String> =
        asset.checks.iter().filter(|check| check.equal < check.expected).map(check_words).collect();
    let (mark, outcome) = match asset.verdict {
        Verdict::Pass if sample.is_some() => ("◐", "all equal".to_owned()),
        Verdict::Pass => ("✔", "all equal".to_owned()),
        Verdict::Fail if asset.differs() => ("✖", "DIFFERS".to_owned()),
        Verdict::Fail => ("✖", "FAILED, no difference found".to_owned()),
        Verdict::Waived => ("◇", "did not pass, which is accepted for a time".to_owned()),
        Verdict::NotRun => ("○", "NOT RUN".to_owned()),
    };
    let outcome = std::iter::once(outcome).chain(lacking).collect::<Vec<_>>().join("; ");
    let amount = match sample {
        Some(sample) => sample_words(sample),
        None if is_empty_handed(asset) => carried(asset),
        None => format!("{}, {}", size(asset.bytes), items(asset)),
    };
    format!("{mark} {} {}: {amount}; {outcome}", kind(asset.kind), asset.id)
}

fn check_words(check: &Check) -> String {
    let [equal, compared] = [check.equal, check.compared].map(|number| of(number, check.expected));
    if check.compared < check.expected {
        format!("{}: {compared} compared, {} equal", check.name, thousands(check.equal))
    } else {
        format!("{}: {equal} equal", check.name)
    }
}

/// Whether the projection fits into a term, by its numbers; and by how much.
pub(super) fn fit(window: &Window, projected: Option<(u64, u64)>) -> String {
    let limit = window.limit_ms;
    match projected {
        None => "not known whether it fits".to_owned(),
        Some((_, p90)) if p90 <= limit => format!("fits, with {} to spare", span(limit - p90)),
        Some((p50, p90)) if p50 <= limit => {
            format!("DOES NOT FIT in one of ten exits or more, by {}", span(p90 - limit))
        }
        Some((p50, _)) => format!("DOES NOT FIT, by {} or more in half of all exits", span(p50 - limit)),
    }
}

/// Digests by their first digits: whole they fill a line, and are in the table of findings.
fn short_digests(text: &str) -> String {
    let is_digest = |word: &str| word.len() == DIGEST_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let word = |word: &str| if is_digest(word) { format!("{}…", &word[..8]) } else { word.to_owned() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn is_empty_handed(asset: &AssetResult) -> bool {
    asset.items == 0 && asset.verdict == Verdict::NotRun
}

/// What was copied of an asset: nothing is not a size.
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
    fn digests_are_short() {
        let digest = "1f".repeat(32);
        assert_eq!(
            short_digests(&format!("SHA-256 {digest} crossed, a1 lies in x")),
            "SHA-256 1f1f1f1f… crossed, a1 lies in x"
        );
    }

    #[test]
    fn what_is_not_named_is_counted() {
        let (items, more) = named((0..11).map(|number| number.to_string()).collect(), Part::Coverage);
        assert_eq!((items.len(), more), (NAMED_MAX, Some((3, Part::Coverage))));
        assert_eq!(named(vec!["a".to_owned()], Part::Findings), (vec!["a".to_owned()], None));
    }
}
