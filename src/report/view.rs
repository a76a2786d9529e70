//! The content of the report, shared by all formats. Its tables are built in `tables`.

use super::{
    phrases::{gravity, kind, sample_words, sentence, span},
    scope::Scope,
    table::class,
};
use crate::{
    account::{controls::Control, coverage::Row},
    domain::{
        digest::Sha256Digest,
        finding::{Finding, Verdict},
        proof::Tier,
    },
    evidence::{
        facts::{PastRun, Window},
        result::{AssetResult, RunResult},
    },
    words::{count, count_of, dollars, percent, size, thousands},
};

/// How the time to exit is projected.
pub(super) const METHOD: &str = "Fitted from the units in the journal, per class: T = setup + max(bytes ÷ rate, items × time per item) + \
                                 rebuild + verify; spread by a moving-block bootstrap (Künsch 1989) of 2,000 repetitions, \
                                 seeded by the run's id.";
/// Text where nothing bounds the exit.
pub(super) const NO_TERMS: &str = "The playbook names no objective and no term of a contract to hold it against.";
/// Databases that were read from files.
pub(super) const EXPORT_FILES: &str = "Files of exports";
/// The checklist for the account.
pub(super) const CHECKLIST: &str = "The checklist for cloud services (ISO/IEC 27001:2022, A.5.23)";
/// Where the digests of its files are.
pub(super) const CHECKLIST_DIGESTS: &str = "The SHA-256 of each of these files stands in data/controls.json.";
/// The part of the account that was not tested in full.
pub(super) const UNCOVERED: &str = "Buckets, databases and orphaned snapshots that were not tested in full";
/// Remarks on single assets beside the table.
pub(super) const PARTICULARS: &str = "Particulars of each asset";
/// What is not copied.
pub(super) const NOT_PORTABLE: &str = "Not portable: what another PostgreSQL cannot take over";
/// The limits of evidence.
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
    /// The rows of `coverage.csv`, where the account was looked at.
    pub account: &'a [Row],
}

impl<'a> View<'a> {
    /// The content of a result.
    pub fn new(result: &'a RunResult, result_json: &[u8]) -> Self {
        View { result, result_sha256: Sha256Digest::of(result_json), bundle_digest: None, checklist: &[], account: &[] }
    }

    pub(super) fn assets(&self) -> &'a [AssetResult] {
        &self.result.assets
    }

    pub(super) fn sum(&self, number: impl Fn(&AssetResult) -> u64) -> u64 {
        self.assets().iter().map(number).fold(0, u64::saturating_add)
    }

    pub(super) fn passed(&self) -> Vec<&'a AssetResult> {
        self.assets().iter().filter(|asset| asset.verdict == Verdict::Pass).collect()
    }

    /// The outcome for everything; none where the account was not inspected.
    pub(super) fn scope(&self) -> Option<Scope> {
        Scope::of(self.result, self.account)
    }

    /// The verdict, marked if it is about a sample only.
    pub fn verdict_words(&self) -> String {
        self.result.verdict_words()
    }

    /// The style class of the verdict: a sample's differs from that of a full pass.
    pub(super) fn class(&self) -> String {
        class(&self.verdict_words())
    }

    /// The title of the report, distinct for each outcome.
    pub fn title(&self) -> String {
        format!("{}: {}", self.verdict_words(), self.result.run)
    }

    /// The verdict with what it covers, in one line.
    pub(super) fn headline(&self) -> String {
        format!("{}: {}", self.assets_words(), self.headline_bytes())
    }

    /// The assets by result; equal are only those that were compared in full.
    pub(super) fn assets_words(&self) -> String {
        let number = |wanted: &dyn Fn(&AssetResult) -> bool| self.assets().iter().filter(|asset| wanted(asset)).count();
        let passed = |tier: Tier| number(&|asset| asset.verdict == Verdict::Pass && asset.tier == tier);
        let ended = |verdict: Verdict| number(&|asset| asset.verdict == verdict);
        let others = [
            (passed(Tier::Sample), "equal in a sample"),
            (number(&|asset| asset.verdict == Verdict::Fail && asset.differs()), "compared, differs"),
            (number(&|asset| asset.verdict == Verdict::Fail && !asset.differs()), "failed, no difference found"),
            (ended(Verdict::Waived), "not passed, accepted for a time"),
            (ended(Verdict::NotRun), "not compared"),
        ];
        let others = others.iter().filter(|(number, _)| *number > 0);
        let others: String = others.map(|(number, words)| format!(", {} {words}", thousands(*number as u64))).collect();
        let all = self.assets().len() as u64;
        format!("{} proven equal{others}", count_of(passed(Tier::Full) as u64, all, "asset", "assets"))
    }

    /// The bytes of it.
    pub(super) fn headline_bytes(&self) -> String {
        let proven = self.passed().iter().map(|asset| asset.bytes).fold(0, u64::saturating_add);
        let (all, what, word) = match self.result.tier {
            Tier::Full => (self.sum(|asset| asset.bytes), "that were carried", "proven equal"),
            Tier::Sample => (self.sum(in_scope), "in scope; the sample took no more", "compared and equal"),
        };
        format!("{} {word} of {} {what} ({})", size(proven), size(all), percent(proven, all))
    }

    /// The meaning and the basis of the verdict, in one sentence specific to it.
    pub(super) fn meaning(&self) -> String {
        let reasons = self.reasons();
        match self.result.verdict {
            Verdict::Pass if self.result.tier == Tier::Sample => {
                "What the sample took was restored here and compared with the source, and agrees. Of the rest it says nothing."
                    .to_owned()
            }
            Verdict::Pass => {
                "Every asset of the playbook was restored here and compared with its source, and agrees.".to_owned()
            }
            Verdict::Fail => format!("This drill FAILED: {reasons}. The exit is not proven."),
            Verdict::NotRun => {
                format!("This drill is NO proof of an exit: something in scope could not be compared: {reasons}.")
            }
            Verdict::Waived => format!(
                "This drill did NOT pass: what it found is accepted for a time, by name: {reasons}. See deviations and waivers."
            ),
        }
    }

    /// What is not proven, in one sentence.
    pub(super) fn limits(&self) -> String {
        if self.result.tier == Tier::Sample {
            return "Not proven: everything that the sample did not take, everything outside these assets, and what the \
                    statements below name."
                .to_owned();
        }
        "Not proven: everything outside these assets, and what the statements below name.".to_owned()
    }

    /// Verdicts of assets, with how many have it and their bytes, in the order in which the assets met it.
    pub(super) fn coverage(&self) -> Vec<(String, u64, u64)> {
        let mut parts: Vec<(String, u64, u64)> = Vec::new();
        for asset in self.assets() {
            let words = asset.verdict_words();
            match parts.iter_mut().find(|(known, ..)| *known == words) {
                Some((_, number, bytes)) => (*number, *bytes) = (*number + 1, bytes.saturating_add(asset.bytes)),
                None => parts.push((words, 1, asset.bytes)),
            }
        }
        parts
    }

    /// Tables that the playbook excludes from copied assets.
    pub(super) fn left_out(&self) -> Vec<String> {
        let tables = |asset: &'a AssetResult| {
            let tables = asset.database.iter().flat_map(|database| &database.excluded_tables);
            tables.map(|table| {
                format!("{}: table {} was left out by the playbook: {}", asset.id, table.table, table.reason)
            })
        };
        self.assets().iter().flat_map(tables).collect()
    }

    /// Remarks on each asset, beside its row of the table.
    pub(super) fn particulars(&self) -> Vec<String> {
        self.assets().iter().flat_map(|asset| [objects_of(asset), database_of(asset)]).flatten().collect()
    }

    /// What of a database cannot be moved to another PostgreSQL, by name.
    pub(super) fn not_portable(&self) -> Vec<String> {
        let of_asset = |asset: &'a AssetResult| {
            let items = asset.database.iter().flat_map(|database| &database.not_portable);
            items.map(|item| format!("{}: {item}", asset.id))
        };
        self.assets().iter().flat_map(of_asset).collect()
    }

    /// Files that databases were read from, and where in the bundle each is named.
    pub(super) fn export_files(&self) -> Vec<String> {
        let told = |asset: &&'a AssetResult| {
            let export = asset.export()?;
            let files = &export.files;
            Some(format!(
                "{}: {}, {}, from {}; {}; each by name in data/assets/{}/objects.ndjson",
                asset.id,
                count(files.items, "file of the export", "files of the export"),
                size(files.bytes),
                files.source,
                files.verdict,
                files.id
            ))
        };
        self.assets().iter().filter_map(|asset| told(&asset)).collect()
    }

    /// The sentence above the time to exit.
    pub(super) fn exit_sentence(&self) -> String {
        match &self.result.exit_time {
            None => "This result has no projection.".to_owned(),
            Some(time) => match (time.p50_ms, time.p90_ms) {
                (Some(p50), Some(p90)) => format!(
                    "Half of all exits like this one take up to {}, nine in ten up to {} ({}).",
                    span(p50),
                    span(p90),
                    time.scope
                ),
                _ => {
                    let carrier = match self.result.tier {
                        Tier::Full => "for a projection",
                        Tier::Sample => "by the sample for a projection",
                    };
                    let reasons: Vec<_> = time.refused.iter().map(|reason| sentence(reason)).collect();
                    format!("Not known: too little was measured {carrier}. {}", reasons.join(" "))
                }
            },
        }
    }

    pub(super) fn windows(&self) -> Vec<&'a Window> {
        self.result.exit_time.iter().flat_map(|time| &time.windows).collect()
    }

    /// Amounts and their basis.
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

    /// All findings, the most severe first.
    pub(super) fn findings(&self) -> Vec<&'a Finding> {
        let mut findings: Vec<_> = self.result.all_findings().collect();
        findings.sort_by_key(|finding| gravity(finding));
        findings
    }

    /// The chain of custody.
    pub(super) fn custody(&self) -> Vec<(&'static str, String)> {
        let result = self.result;
        let caller = result.caller.as_ref();
        let before = result.chain.previous.as_ref();
        let is_sample = result.chain.history.last().is_some_and(|run| run.sampled);
        vec![
            ("Run id", result.run.clone()),
            ("Playbook SHA-256", result.playbook.sha256.to_string()),
            ("Program", format!("{} {}, SHA-256 {}", result.tool.name, result.tool.version, result.tool.binary_sha256)),
            ("Restored on", format!("{}, below {}", result.host, result.restored_to)),
            (
                "Identity at the provider",
                caller.map_or_else(|| "not recorded".to_owned(), |c| format!("{} in {}", c.arn, c.account)),
            ),
            ("Clock", "of the machine above; time-stamps of an authority, if any, lie in sig/".to_owned()),
            ("Journal", format!("{}, head {}", count(result.journal.lines, "line", "lines"), result.journal.head)),
            ("result.json SHA-256", self.result_sha256.to_string()),
            (
                "Bundle digest",
                self.bundle_digest.map_or_else(
                    || "SHA-256 of tagmanifest-sha256.txt; it covers this file, so it cannot stand in it".to_owned(),
                    |digest| digest.to_string(),
                ),
            ),
            (
                "The run before",
                before.map_or_else(
                    || "none named".to_owned(),
                    |b| format!("{} ({}), bundle digest {}", b.run, b.verdict.words(is_sample), b.bundle_digest),
                ),
            ),
        ]
    }

    /// The business services that depend on it.
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
            sampled: self.result.tier == Tier::Sample,
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

    /// The evidence for controls in the bundle.
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
            let file = asset.kind.facts().record;
            let what = format!("{} {}: {}", kind(asset.kind), asset.id, asset.verdict_words());
            evidence.push((what, format!("data/assets/{}/{file}, content {}", asset.id, asset.content_sha256)));
        }
        evidence
    }
}

fn objects_of(asset: &AssetResult) -> Option<String> {
    let objects = asset.objects.as_ref()?;
    let sample = objects.sample.as_ref().map(|sample| format!("{}; ", sample_words(sample))).unwrap_or_default();
    Some(format!(
        "{}: {sample}{} confirmed by a checksum of the provider, {} not; {} under another name than the key",
        asset.id,
        count(objects.provider_confirmed, "object", "objects"),
        thousands(objects.provider_unconfirmed),
        count(objects.mapped, "object", "objects")
    ))
}

fn database_of(asset: &AssetResult) -> Option<String> {
    let database = asset.database.as_ref()?;
    Some(format!(
        "{}: {} read in snapshot {}, restored as database {}",
        asset.id,
        count(database.tables, "table", "tables"),
        database.snapshot,
        database.target_database
    ))
}

/// Bytes that an asset has at the source, as far as they were listed.
pub(super) fn in_scope(asset: &AssetResult) -> u64 {
    let sample = asset.objects.as_ref().and_then(|objects| objects.sample.as_ref());
    sample.map_or(asset.bytes, |sample| sample.totals()[0].1)
}
