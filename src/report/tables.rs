//! The tables of the reports.

use super::{
    filed,
    first_page::fit,
    phrases::{
        account_rows, compared, controls, format_of, items, kind, limit_words, measured_words, region_rows, span, term,
        times_of, weight,
    },
    table::{Cell, Table, judgement, number},
    view::View,
};
use crate::{
    account::{
        controls::Control,
        coverage::{Row, Status},
    },
    domain::finding::{Finding, Severity, Waives as _, begins},
    evidence::{
        facts::{AlternativeFact, ClassTime, PastRun, Window},
        result::{AssetResult, ThresholdResult, WaiverResult},
    },
    words::{duration, of, size, thousands},
};

/// Text for a finding without an owner.
const NO_OWNER: &str = "no owner";
/// The action for it.
pub(super) const OWNERS: &str =
    "Findings without an owner: plan.follow_up in the playbook names who resolves them, and by when.";

impl<'a> View<'a> {
    /// Whether a severe finding has no owner.
    pub(super) fn lacks_owners(&self) -> bool {
        self.findings().into_iter().any(|finding| self.owner_of(finding) == NO_OWNER)
    }

    /// What was tested, left out, and not read.
    pub(super) fn coverage_table(&self) -> Table {
        const HEADINGS: [&str; 4] = ["What", "Number", "Bytes", "Why"];
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for (verdict, assets, bytes) in self.coverage() {
            let assets = number(thousands(assets), assets);
            let bytes = number(size(bytes), bytes);
            let what = "asset of the playbook, as carried";
            rows.push(vec![judgement(verdict), assets, bytes, what.into()]);
        }
        for exclusion in &self.result.exclusions {
            let why = format!("{}; {}, until {}", exclusion.reason, exclusion.owner, exclusion.until);
            let past = if exclusion.expired { " (past its date)" } else { "" };
            let what = format!("EXCLUDED {}{past}", exclusion.pattern);
            rows.push(vec![what.into(), "not counted".into(), "not measured".into(), why.into()]);
        }
        if let Some(coverage) = &self.result.coverage {
            rows.extend(self.scope().iter().flat_map(account_rows));
            // A single region equals the account.
            for region in coverage.regions.iter().filter(|_| coverage.regions.len() > 1) {
                rows.extend(region_rows(&region.region, &region.totals));
            }
            return Table { headings: HEADINGS.to_vec(), rows };
        }
        rows.push(vec![
            "NOT LOOKED AT".into(),
            "unknown".into(),
            "unknown".into(),
            "Everything in the account that no asset of the playbook names.".into(),
        ]);
        Table { headings: HEADINGS.to_vec(), rows }
    }

    /// What of the account was not tested in full, by name.
    pub(super) fn uncovered_table(&self) -> Table {
        let row = |row: &&Row| {
            let size = match row.bytes {
                None => "unknown".into(),
                Some(bytes) => number(size(bytes), bytes),
            };
            vec![
                row.status.word().into(),
                row.kind.clone().into(),
                row.name.clone().into(),
                row.region.clone().unwrap_or_else(|| "not stated".to_owned()).into(),
                size,
                number(crate::words::size(row.tested_bytes), row.tested_bytes),
                row.why.clone().into(),
            ]
        };
        let open = self.account.iter().filter(|row| row.status != Status::Tested);
        Table {
            headings: vec!["Status", "Kind", "Name", "Region", "Size", "Tested of it", "Why"],
            rows: open.collect::<Vec<_>>().iter().map(row).collect(),
        }
    }

    /// One row for each asset.
    pub(super) fn asset_table(&self) -> Table {
        let row = |asset: &AssetResult| {
            vec![
                asset.id.clone().into(),
                judgement(asset.verdict_words()),
                kind(asset.kind).into(),
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

    /// The terms that the exit is compared with.
    pub(super) fn window_table(&self) -> Table {
        let projected = self.result.exit_time.as_ref().and_then(|time| Some((time.p50_ms?, time.p90_ms?)));
        let row = |window: &&Window| {
            let expected = projected.map_or_else(
                || "not known".to_owned(),
                |(p50, p90)| format!("{}; in one of ten exits {} or more", span(p50), span(p90)),
            );
            vec![
                term(&window.name).into(),
                number(span(window.limit_ms), window.limit_ms),
                expected.into(),
                fit(window, projected).into(),
                window.bytes_max.map_or_else(|| "not known".into(), |bytes| number(size(bytes), bytes)),
            ]
        };
        Table {
            headings: vec!["Term", "Allowed", "Expected", "Fits, by how much", "Largest volume at the P10 rate"],
            rows: self.windows().iter().map(row).collect(),
        }
    }

    /// The basis of the projection.
    pub(super) fn class_table(&self) -> Table {
        let time = |ms: Option<u64>| ms.map_or_else(|| "refused".into(), |ms| number(duration(ms), ms));
        let speed =
            |rate: Option<u64>| rate.map_or_else(|| "–".into(), |rate| number(format!("{}/s", size(rate)), rate));
        let classes = self.result.exit_time.iter().flat_map(|time| &time.classes);
        let row = |class: &ClassTime| {
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

    /// The previous run's findings, and whether they persist.
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

    /// Waived findings.
    pub(super) fn waiver_table(&self) -> Table {
        let row = |waiver: &WaiverResult| {
            let state = if waiver.expired { "PAST ITS DATE".to_owned() } else { format!("waives {}", waiver.waives) };
            let reason = waiver.reason.clone().into();
            let owner = waiver.owner.clone().into();
            vec![waiver.finding.clone().into(), state.into(), reason, owner, waiver.until.clone().into()]
        };
        let headings = vec!["Finding", "State", "Reason", "Owner", "Until"];
        Table { headings, rows: self.result.waivers.iter().map(row).collect() }
    }

    /// Each threshold with what was measured.
    pub(super) fn threshold_table(&self) -> Table {
        let row = |threshold: &ThresholdResult| {
            let met = Cell {
                text: if threshold.met { "met" } else { "FAIL" }.to_owned(),
                key: None,
                verdict: !threshold.met,
            };
            vec![term(&threshold.name).into(), limit_words(threshold).into(), measured_words(threshold).into(), met]
        };
        let headings = vec!["Threshold", "Limit", "Measured", "Met"];
        Table { headings, rows: self.result.thresholds.iter().map(row).collect() }
    }

    /// Alternative providers.
    pub(super) fn alternative_table(&self) -> Table {
        let row = |alternative: &AlternativeFact| {
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

    pub(super) fn trend_table(&self) -> Table {
        let time = |ms: Option<u64>| ms.map_or_else(|| "refused".into(), |ms| number(duration(ms), ms));
        let row = |run: &PastRun| {
            vec![
                run.run.clone().into(),
                run.started.clone().into(),
                judgement(run.verdict.words(run.sampled)),
                of(run.passed, run.assets).into(),
                number(size(run.bytes), run.bytes),
                number(duration(run.duration_ms), run.duration_ms),
                time(run.exit_p50_ms),
                time(run.exit_p90_ms),
            ]
        };
        Table {
            headings: vec!["Run", "Started", "Verdict", "Assets passed", "Bytes", "Duration", "Exit P50", "Exit P90"],
            rows: self.trend().iter().map(row).collect(),
        }
    }

    /// Row by row of the checklist, which files support it; their digests stand in `controls.json`.
    pub(super) fn checklist_table(&self) -> Table {
        let row = |control: &Control| {
            let files: Vec<&str> = control.supported_by.keys().map(|file| file.trim_start_matches("data/")).collect();
            let files = if files.is_empty() { "nothing in this bundle".to_owned() } else { files.join(", ") };
            let number = number(control.row.to_string(), control.row.into());
            vec![number, control.control.clone().into(), files.into(), control.person_adds.replace('`', "").into()]
        };
        Table {
            headings: vec!["Row", "Control", "Supported by, below data/", "A person adds"],
            rows: self.checklist.iter().map(row).collect(),
        }
    }

    /// The evidence for controls in the bundle.
    pub(super) fn evidence_table(&self) -> Table {
        let rows = self.evidence().into_iter().map(|(what, file)| vec![what.into(), file.into()]).collect();
        Table { headings: vec!["What", "Evidence and its SHA-256"], rows }
    }

    /// Whether the result shows only the first findings of its kind.
    fn is_filed(&self, finding: &Finding) -> bool {
        let own = self.result.assets.iter().filter(|asset| finding.asset.as_ref() == Some(&asset.id));
        own.filter_map(|asset| asset.filed.as_ref()).any(|filed| filed.of_kind(finding.kind).is_some())
    }

    /// Who accepts a severe finding, or fixes it, and until when.
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
            (None, None) => NO_OWNER.to_owned(),
        }
    }
}
