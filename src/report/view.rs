//! The story of a run in words and rows: what every form of the report says, said once.

use super::{
    filed,
    phrases::{account_rows, compared, controls, format_of, items, kind, named, times, times_of, weight},
    table::{Cell, Table, class, judgement, number},
};
use crate::{
    account::controls::Control,
    digest::Sha256Digest,
    event::AssetKind,
    evidence::{
        facts::{PastRun, Window},
        result::{AssetResult, RunResult, Tier},
    },
    finding::{Finding, Severity, Verdict, Waives as _, begins},
    words::{count, dollars, duration, of, percent, size, thousands},
};

/// How the time to exit is projected.
pub(super) const METHOD: &str = "Fitted from the units in the journal, per class: T = setup + max(bytes ÷ rate, items × time per item) + \
                                 rebuild + verify; spread by a moving-block bootstrap (Künsch 1989) of 2,000 repetitions, \
                                 seeded by the run's id.";
/// Where nothing bounds the exit.
pub(super) const NO_TERMS: &str = "The playbook names no objective and no term of a contract to hold it against.";
/// The list that the account is held against.
pub(super) const CHECKLIST: &str = "The checklist for cloud services (ISO/IEC 27001:2022, A.5.23)";
/// What evidence can do.
pub(super) const SUPPORTS: &str =
    "The evidence supports these controls; whether it is enough is the auditor's judgement.";

/// A result and what follows from it.
pub struct View<'a> {
    /// The result.
    pub result: &'a RunResult,
    /// SHA-256 of `result.json`.
    pub result_sha256: Sha256Digest,
    /// The digest of the sealed bundle, for what lies outside of it.
    pub bundle_digest: Option<Sha256Digest>,
    /// The checklist for cloud services, with the files that support each row.
    pub checklist: &'a [Control],
}

impl<'a> View<'a> {
    /// The story of a result.
    pub fn new(result: &'a RunResult, result_json: &[u8]) -> Self {
        View { result, result_sha256: Sha256Digest::of(result_json), bundle_digest: None, checklist: &[] }
    }

    fn assets(&self) -> &'a [AssetResult] {
        &self.result.assets
    }

    fn sum(&self, number: impl Fn(&AssetResult) -> u64) -> u64 {
        self.assets().iter().map(number).fold(0, u64::saturating_add)
    }

    fn passed(&self) -> Vec<&'a AssetResult> {
        self.assets().iter().filter(|asset| asset.verdict == Verdict::Pass).collect()
    }

    /// The verdict, and that it speaks of a sample only, where it does.
    pub fn verdict_words(&self) -> String {
        match self.result.tier {
            Tier::Full => self.result.verdict.to_string(),
            Tier::Sample => format!("{} (SAMPLE TIER)", self.result.verdict),
        }
    }

    /// What the report is called: no two ends share a title.
    pub fn title(&self) -> String {
        format!("{}: {}", self.verdict_words(), self.result.run)
    }

    /// The verdict with what it covers, in one line.
    pub(super) fn headline(&self) -> String {
        let passed = self.passed();
        let proven = passed.iter().map(|asset| asset.bytes).fold(0, u64::saturating_add);
        let all = self.sum(|asset| asset.bytes);
        format!(
            "{} of {} proven equal: {} of {} carried ({})",
            thousands(passed.len() as u64),
            count(self.assets().len() as u64, "asset", "assets"),
            size(proven),
            size(all),
            percent(proven, all)
        )
    }

    /// What the verdict means, in one sentence that fits no other verdict.
    pub(super) fn meaning(&self) -> &'static str {
        match self.result.verdict.to_string().as_str() {
            "PASS" => "Everything in scope was restored here and compared with the source, and agrees.",
            "FAIL" => {
                "This drill FAILED: something was compared and differs, or a bound was missed. The exit is not proven."
            }
            "NOT RUN" => "This drill is NO proof of an exit: something in scope could not be compared.",
            "WAIVED" => {
                "This drill did NOT pass: what it found is accepted for a time, by name. See deviations and waivers."
            }
            _ => "This drill did not pass.",
        }
    }

    /// What is not proven, in one sentence.
    pub(super) fn limits(&self) -> String {
        if self.result.tier == Tier::Sample {
            return "Not proven: everything that the sample did not take, whatever lies outside these assets, and the \
                    statements below."
                .to_owned();
        }
        let statements = count(self.result.not_proven.len() as u64, "statement", "statements");
        format!("Not proven: whatever lies outside these assets, and what the {statements} below name.")
    }

    /// Facts for the first page.
    pub(super) fn first_page(&self) -> Vec<(&'static str, String)> {
        let result = self.result;
        let person = |role: &str| {
            let named = result.plan.roles.iter().find(|(name, _)| name == role);
            named.map_or_else(|| "not named in the playbook".to_owned(), |(_, person)| person.clone())
        };
        let retest =
            result.plan.retest.clone().unwrap_or_else(|| "now: this run does not count as a passed drill".to_owned());
        vec![
            ("Run", result.run.clone()),
            ("Playbook", named(&result.playbook.id, result.playbook.title.as_deref())),
            ("Started, ended (UTC)", format!("{} – {}", result.started, result.ended)),
            ("Work", format!("{}, resumed {}", duration(result.duration_ms), times(result.resumed))),
            ("Scenario", result.plan.scenario.clone().unwrap_or_else(|| "not named in the playbook".to_owned())),
            ("Accountable", person("accountable")),
            ("Run by", person("operator")),
            ("Reviewed by", format!("{}; valid only with a signature in sig/reviewer.sig", person("reviewer"))),
            ("Retest by", retest),
            (
                "Plan reviewed next",
                result.plan.next_review.clone().unwrap_or_else(|| "no date in the playbook".to_owned()),
            ),
        ]
    }

    /// Bytes by what became of them: label, class, bytes.
    pub(super) fn coverage(&self) -> Vec<(String, String, u64)> {
        let mut parts: Vec<(String, String, u64)> = Vec::new();
        for asset in self.assets() {
            let verdict = asset.verdict.to_string();
            match parts.iter_mut().find(|(label, ..)| *label == verdict) {
                Some((.., bytes)) => *bytes = bytes.saturating_add(asset.bytes),
                None => parts.push((verdict.clone(), class(&verdict), asset.bytes)),
            }
        }
        parts
    }

    /// What was tested, left out, and not looked at.
    pub(super) fn coverage_table(&self) -> Table {
        let all = self.sum(|asset| asset.bytes);
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for (verdict, _, bytes) in self.coverage() {
            let number_of = self.assets().iter().filter(|asset| asset.verdict.to_string() == verdict).count() as u64;
            let share = percent(bytes, all);
            let what = Cell { text: verdict, key: None, verdict: true };
            rows.push(vec![
                what,
                number(thousands(number_of), number_of),
                number(size(bytes), bytes),
                share.into(),
                "".into(),
            ]);
        }
        for exclusion in &self.result.exclusions {
            let why = format!("{}; {}, until {}", exclusion.reason, exclusion.owner, exclusion.until);
            let past = if exclusion.expired { " (past its date)" } else { "" };
            let what = format!("EXCLUDED {}{past}", exclusion.pattern);
            rows.push(vec![what.into(), "not counted".into(), "not measured".into(), "–".into(), why.into()]);
        }
        if let Some(coverage) = &self.result.coverage {
            rows.extend(account_rows("", &coverage.totals));
            for region in &coverage.regions {
                rows.extend(account_rows(&region.region, &region.totals));
            }
            return Table { headings: vec!["What", "Assets", "Bytes", "Share of what was carried", "Why"], rows };
        }
        rows.push(vec![
            "NOT LOOKED AT".into(),
            "unknown".into(),
            "unknown".into(),
            "–".into(),
            "Everything in the account that no asset of the playbook names.".into(),
        ]);
        Table { headings: vec!["What", "Assets", "Bytes", "Share of what was carried", "Why"], rows }
    }

    /// One row for each asset.
    pub(super) fn asset_table(&self) -> Table {
        let row = |asset: &AssetResult| {
            vec![
                asset.id.clone().into(),
                judgement(asset.verdict),
                match asset.tier {
                    Tier::Full => kind(asset.kind).into(),
                    Tier::Sample => format!("{}, SAMPLE", kind(asset.kind)).into(),
                },
                asset.source.clone().into(),
                format_of(asset).into(),
                number(items(asset), asset.items),
                number(size(asset.bytes), asset.bytes),
                compared(asset).into(),
                controls(asset).into(),
                number(times_of(asset), asset.timings.transfer_ms),
                asset.content_sha256.to_string().into(),
            ]
        };
        Table {
            headings: vec![
                "Asset",
                "Verdict",
                "Kind",
                "Source",
                "Format",
                "Carried",
                "Bytes",
                "Compared: equal / compared / expected",
                "Planted damage found",
                "Transfer, rebuild, verify",
                "Content SHA-256",
            ],
            rows: self.assets().iter().map(row).collect(),
        }
    }

    /// Tables that the playbook leaves out of assets that are carried.
    pub(super) fn left_out(&self) -> Vec<String> {
        let tables = |asset: &'a AssetResult| {
            let tables = asset.database.iter().flat_map(|database| &database.excluded_tables);
            tables.map(|table| {
                format!("{}: table {} was left out by the playbook: {}", asset.id, table.table, table.reason)
            })
        };
        self.assets().iter().flat_map(tables).collect()
    }

    /// The sentence above the time to exit.
    pub(super) fn exit_sentence(&self) -> String {
        match &self.result.exit_time {
            None => "This result has no projection.".to_owned(),
            Some(time) => match (time.p50_ms, time.p90_ms) {
                (Some(p50), Some(p90)) => format!(
                    "Half of all exits like this one take up to {}, nine in ten up to {} ({}).",
                    duration(p50),
                    duration(p90),
                    time.scope
                ),
                _ => format!("REFUSED: the sample cannot carry a projection. {}.", time.refused.join("; ")),
            },
        }
    }

    pub(super) fn windows(&self) -> Vec<&'a Window> {
        self.result.exit_time.iter().flat_map(|time| &time.windows).collect()
    }

    /// The terms that the exit is held against.
    pub(super) fn window_table(&self) -> Table {
        let fits = |fits: Option<bool>| match fits {
            Some(true) => "fits",
            Some(false) => "DOES NOT FIT",
            None => "refused",
        };
        let row = |window: &&Window| {
            vec![
                window.name.clone().into(),
                number(duration(window.limit_ms), window.limit_ms),
                fits(window.p50_fits).into(),
                fits(window.p90_fits).into(),
                window.bytes_max.map_or_else(|| "refused".into(), |bytes| number(size(bytes), bytes)),
            ]
        };
        Table {
            headings: vec!["Term", "Length", "P50", "P90", "Largest volume at the P10 rate"],
            rows: self.windows().iter().map(row).collect(),
        }
    }

    /// What the projection rests on.
    pub(super) fn class_table(&self) -> Table {
        let time = |ms: Option<u64>| ms.map_or_else(|| "refused".into(), |ms| number(duration(ms), ms));
        let speed =
            |rate: Option<u64>| rate.map_or_else(|| "–".into(), |rate| number(format!("{}/s", size(rate)), rate));
        let classes = self.result.exit_time.iter().flat_map(|time| &time.classes);
        let row = |class: &crate::evidence::facts::ClassTime| {
            vec![
                kind(class.kind).into(),
                number(thousands(class.units), class.units),
                number(duration(class.measured_ms), class.measured_ms),
                number(size(class.measured_bytes), class.measured_bytes),
                number(size(class.scope_bytes), class.scope_bytes),
                speed(class.rate_p10),
                speed(class.rate_p50),
                speed(class.rate_p90),
                time(class.p50_ms),
                time(class.p90_ms),
            ]
        };
        Table {
            headings: vec![
                "Class",
                "Units",
                "Measured for",
                "Carried",
                "Exit carries",
                "Rate P10",
                "Rate P50",
                "Rate P90",
                "P50",
                "P90",
            ],
            rows: classes.map(row).collect(),
        }
    }

    /// Amounts and what they rest on.
    pub(super) fn cost_rows(&self) -> Vec<(&'static str, String)> {
        let Some(cost) = &self.result.cost else {
            return vec![("Cost", "not computed: the playbook names no provider".to_owned())];
        };
        let amount = |millionths: Option<u64>| {
            millionths.map_or_else(|| format!("refused: {}", cost.refused.as_deref().unwrap_or("unknown")), dollars)
        };
        vec![
            ("This drill", amount(cost.drill_usd_millionths)),
            ("The exit, at list price", amount(cost.exit_usd_millionths)),
            ("The exit, traffic waived", amount(cost.exit_waived_usd_millionths)),
            ("Prices", format!("{}, region {}, as of {}", cost.source, cost.region, cost.as_of)),
        ]
    }

    /// Remarks on the cost.
    pub(super) fn cost_remarks(&self) -> &'a [String] {
        self.result.cost.as_ref().map_or(&[], |cost| &cost.remarks)
    }

    /// All findings, the heaviest first.
    pub(super) fn findings(&self) -> Vec<&'a Finding> {
        let mut findings: Vec<_> = self.result.all_findings().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    pub(super) fn finding_table(&self) -> Table {
        let row = |finding: &&Finding| {
            vec![
                Cell {
                    text: weight(finding.severity).to_owned(),
                    key: None,
                    verdict: finding.severity > Severity::Note,
                },
                finding.asset.clone().unwrap_or_else(|| "the run".to_owned()).into(),
                finding.kind.title().into(),
                finding.subject.clone().into(),
                finding.detail.clone().into(),
                self.owner_of(finding).into(),
            ]
        };
        let headings = vec!["Weight", "Asset", "Finding", "About", "Detail", "Owner, due"];
        let filed = filed::rows(self.result, |finding| self.owner_of(finding));
        Table { headings, rows: filed.into_iter().chain(self.findings().iter().map(row)).collect() }
    }

    /// Whether the result shows only the first findings of its kind.
    fn is_filed(&self, finding: &Finding) -> bool {
        let own = self.result.assets.iter().filter(|asset| finding.asset.as_ref() == Some(&asset.id));
        own.filter_map(|asset| asset.filed.as_ref()).any(|filed| filed.of_kind(finding.kind).is_some())
    }

    /// Who answers for a finding that weighs, or mends it, and until when.
    fn owner_of(&self, finding: &Finding) -> String {
        let until = |who: &str, day: &str, word: &str| match self.result.started.get(..day.len()) {
            Some(today) if day < today => format!("{who}, OVERDUE since {day}"),
            _ => format!("{who}, {word} {day}"),
        };
        let mends = self.result.plan.follow_up.iter().find(|entry| begins(finding, &entry.finding));
        let waives = self.result.waivers.iter().find(|waiver| waiver.waives(finding));
        match (mends, waives) {
            _ if finding.severity == Severity::Note => String::new(),
            (Some(entry), _) => until(&entry.owner, &entry.due, "due"),
            (None, Some(waiver)) => until(&waiver.owner, &waiver.until, "waived until"),
            (None, None) => "nobody yet: name one in plan.follow_up".to_owned(),
        }
    }

    /// What the run before found, and whether it is still there.
    pub(super) fn followed_up(&self) -> Option<Table> {
        let previous = self.result.chain.previous.as_ref()?;
        let row = |finding: &Finding| {
            let same = |now: &&Finding| {
                (&now.asset, now.kind, &now.subject) == (&finding.asset, finding.kind, &finding.subject)
            };
            let state = match self.result.all_findings().any(|now| same(&now)) {
                true => "OPEN",
                false if self.is_filed(finding) => "UNKNOWN, see findings.ndjson",
                false => "not found again",
            };
            let owner = if state == "OPEN" { self.owner_of(finding) } else { String::new() };
            vec![state.into(), weight(finding.severity).into(), finding.to_string().into(), owner.into()]
        };
        let mut rows: Vec<Vec<Cell>> = previous.findings.iter().map(row).collect();
        if previous.withheld {
            let why = "findings about objects that had other names in that run: see its own bundle";
            rows.push(vec!["UNKNOWN".into(), "".into(), why.into(), "".into()]);
        }
        Some(Table { headings: vec!["Now", "Weight then", "Finding", "Owner, due"], rows })
    }

    /// Findings that somebody answers for.
    pub(super) fn waiver_table(&self) -> Table {
        let row = |waiver: &crate::evidence::result::WaiverResult| {
            let state = if waiver.expired { "PAST ITS DATE".to_owned() } else { format!("waives {}", waiver.waives) };
            let (reason, owner) = (waiver.reason.clone().into(), waiver.owner.clone().into());
            vec![waiver.finding.clone().into(), state.into(), reason, owner, waiver.until.clone().into()]
        };
        let headings = vec!["Finding", "State", "Reason", "Owner", "Until"];
        Table { headings, rows: self.result.waivers.iter().map(row).collect() }
    }

    /// Each threshold with what was measured.
    pub(super) fn threshold_table(&self) -> Table {
        let row = |threshold: &crate::evidence::result::ThresholdResult| {
            let met = Cell {
                text: if threshold.met { "met" } else { "FAIL" }.to_owned(),
                key: None,
                verdict: !threshold.met,
            };
            vec![threshold.name.clone().into(), threshold.limit.clone().into(), threshold.measured.clone().into(), met]
        };
        let headings = vec!["Threshold", "Limit", "Measured", "Met"];
        Table { headings, rows: self.result.thresholds.iter().map(row).collect() }
    }

    /// Who held what when.
    pub(super) fn custody(&self) -> Vec<(&'static str, String)> {
        let result = self.result;
        let caller = result.caller.as_ref();
        let before = result.chain.previous.as_ref();
        vec![
            ("Run id", result.run.clone()),
            ("Playbook SHA-256", result.playbook.sha256.to_string()),
            ("Program", format!("{} {}, SHA-256 {}", result.tool.name, result.tool.version, result.tool.binary_sha256)),
            ("Restored on", format!("{}, below {}", result.host, result.restored_to)),
            (
                "Identity at the provider",
                caller.map_or_else(|| "not told".to_owned(), |c| format!("{} in {}", c.arn, c.account)),
            ),
            ("Clock", "this machine's own; see sig/ for a time-stamp authority's word".to_owned()),
            ("Journal", format!("{}, head {}", count(result.journal.lines, "line", "lines"), result.journal.head)),
            ("result.json SHA-256", self.result_sha256.to_string()),
            (
                "Bundle digest",
                self.bundle_digest.map_or_else(
                    || {
                        "SHA-256 of tagmanifest-sha256.txt; it covers this very file, so it cannot stand in it"
                            .to_owned()
                    },
                    |digest| digest.to_string(),
                ),
            ),
            (
                "The run before",
                before.map_or_else(
                    || "none named".to_owned(),
                    |b| format!("{} ({}), bundle digest {}", b.run, b.verdict, b.bundle_digest),
                ),
            ),
        ]
    }

    /// Who could take over.
    pub(super) fn alternative_table(&self) -> Table {
        let row = |alternative: &crate::evidence::facts::AlternativeFact| {
            let maps: Vec<_> = alternative.maps.iter().map(|(from, to)| format!("{from} → {to}")).collect();
            vec![
                alternative.name.clone().into(),
                alternative.country.clone().into(),
                maps.join(", ").into(),
                alternative.gap.clone().into(),
                alternative.assessed.clone().into(),
            ]
        };
        Table {
            headings: vec!["Name", "Owner's country", "Services", "Gap", "Assessed"],
            rows: self.result.plan.alternatives.iter().map(row).collect(),
        }
    }

    /// What the business runs on it.
    pub(super) fn services(&self) -> Vec<String> {
        let services = self.result.plan.services.iter();
        services
            .map(|service| format!("{} ({}): {}", service.name, service.criticality, service.data.join(", ")))
            .collect()
    }

    /// The runs before and this one, oldest first.
    pub(super) fn trend(&self) -> Vec<PastRun> {
        let mut runs = self.result.chain.history.clone();
        let time = self.result.exit_time.as_ref();
        runs.push(PastRun {
            run: self.result.run.clone(),
            started: self.result.started.clone(),
            verdict: self.result.verdict,
            duration_ms: self.result.duration_ms,
            bytes: self.sum(|asset| asset.bytes),
            passed: self.passed().len() as u64,
            assets: self.assets().len() as u64,
            exit_p50_ms: time.and_then(|time| time.p50_ms),
            exit_p90_ms: time.and_then(|time| time.p90_ms),
            bundle_digest: Sha256Digest([0; 32]),
        });
        runs.drain(..runs.len().saturating_sub(8));
        runs
    }

    pub(super) fn trend_table(&self) -> Table {
        let time = |ms: Option<u64>| ms.map_or_else(|| "refused".into(), |ms| number(duration(ms), ms));
        let row = |run: &PastRun| {
            vec![
                run.run.clone().into(),
                run.started.clone().into(),
                judgement(run.verdict),
                of(run.passed, run.assets).into(),
                number(size(run.bytes), run.bytes),
                number(duration(run.duration_ms), run.duration_ms),
                time(run.exit_p50_ms),
                time(run.exit_p90_ms),
            ]
        };
        Table {
            headings: vec!["Run", "Started", "Verdict", "Assets passed", "Bytes", "Work", "Exit P50", "Exit P90"],
            rows: self.trend().iter().map(row).collect(),
        }
    }

    /// What supports which control, and where it lies.
    pub(super) fn control_table(&self) -> Table {
        let mut rows = Vec::new();
        for control in &self.result.plan.controls {
            for (what, file) in self.evidence() {
                rows.push(vec![control.clone().into(), what.into(), file.into()]);
            }
        }
        Table { headings: vec!["Control", "Supported by", "Evidence and its SHA-256"], rows }
    }

    /// Row by row of the checklist, which files support it.
    pub(super) fn checklist_table(&self) -> Table {
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for control in self.checklist {
            let mut adds = control.person_adds.as_str();
            let mut row = |file: &str, digest: String| {
                let (number, words) = (number(control.row.to_string(), control.row.into()), control.control.clone());
                rows.push(vec![number, words.into(), file.into(), digest.into(), std::mem::take(&mut adds).into()]);
            };
            if control.supported_by.is_empty() {
                row("nothing in this bundle", String::new());
            }
            control.supported_by.iter().for_each(|(file, digest)| row(file, digest.to_string()));
        }
        Table { headings: vec!["Row", "Control", "Supported by", "SHA-256", "A person adds"], rows }
    }

    /// The same for a playbook that names no controls.
    pub(super) fn evidence_table(&self) -> Table {
        let rows = self.evidence().into_iter().map(|(what, file)| vec![what.into(), file.into()]).collect();
        Table { headings: vec!["What", "Evidence and its SHA-256"], rows }
    }

    /// What the bundle holds that a control can rest on.
    pub(super) fn evidence(&self) -> Vec<(String, String)> {
        let mut evidence = vec![
            ("The plan that was run".to_owned(), format!("data/playbook.yaml, {}", self.result.playbook.sha256)),
            ("The result".to_owned(), format!("data/result.json, {}", self.result_sha256)),
            (
                "What happened, line by line".to_owned(),
                format!("data/journal.ndjson, head {}", self.result.journal.head),
            ),
        ];
        for asset in self.assets() {
            let file = match asset.kind {
                AssetKind::S3 => "objects.ndjson",
                AssetKind::Postgres => "tables.csv",
            };
            let what = format!("{} {}: {}", kind(asset.kind), asset.id, asset.verdict);
            evidence.push((what, format!("data/assets/{}/{file}, content {}", asset.id, asset.content_sha256)));
        }
        evidence
    }
}
