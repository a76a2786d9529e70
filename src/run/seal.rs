//! The end of a run: thresholds and exclusions, the verdict, result and documents, and the bag around them.
//!
//! Every step replaces what an interrupted sealing left, so it can be repeated.

use std::{fs, io, path::Path, sync::Arc};

use jiff::{Timestamp, civil::Date};

use super::{
    not_proven,
    outcome::{RunEnd, RunOutcome},
    projection, reports,
};
use crate::{
    account::drive::{self, Facts, Judged},
    asset::{
        kinds,
        rds::{files_of, leftovers},
        seam::{Asset, Description},
        stop::Stop,
        work::Work,
    },
    clock,
    domain::{
        digest::Sha256Digest,
        event::Event,
        finding::{Finding, FindingKind, Severity, Verdict, Waives as _, Weight},
        proof::Tier,
    },
    evidence::{
        self, BagInfo, DatabaseAccess, Entry, TABLE_DIGEST_PY,
        facts::{Chain, ExitTime, PreviousRun},
        files::open_regular,
        findings::{self, FINDINGS_NDJSON},
        journal,
        result::{
            AssetResult, Caller, ExclusionResult, PlaybookRef, RESULT_VERSION, RunResult, ThresholdResult, Timings,
            Tool, carried, result_schema,
        },
        write_replacing,
    },
    playbook::Playbook,
    record::{
        directory::write_json, error::EngineError, identity::version, layout::Layout as RunLayout, recorder::Recorder,
    },
};

/// Everything that sealing needs.
pub(crate) struct Sealing {
    pub run: String,
    pub playbook: Playbook,
    pub layout: RunLayout,
    pub recorder: Arc<Recorder>,
    pub results: Vec<AssetResult>,
    pub tool: Tool,
    pub host: String,
}

/// The program, as the result names it.
pub(crate) fn tool(version: String, binary_sha256: Sha256Digest) -> Tool {
    Tool { name: "walkaway".to_owned(), version, binary_sha256 }
}

/// What the journal states about the run as a whole.
struct Story {
    started: Timestamp,
    worked_ms: u64,
    resumed: u32,
    caller: Option<Caller>,
    /// The machine of the run's last process.
    host: Option<String>,
    /// Time and result of the last line of a run that ended and was not sealed.
    ended: Option<(Timestamp, Option<Sha256Digest>)>,
    playbook_sha256: Sha256Digest,
    continues: Option<(String, Sha256Digest, Sha256Digest)>,
}

impl Story {
    fn of(entries: &[Entry]) -> Self {
        let started = entries.first().map_or_else(clock::now, |entry| entry.at);
        let mut story = Story {
            started,
            worked_ms: 0,
            resumed: 0,
            caller: None,
            host: None,
            ended: None,
            playbook_sha256: Sha256Digest::of(""),
            continues: None,
        };
        let mut since = started;
        let mut last = started;
        let mut told_ms = None;
        for entry in entries {
            match &entry.event {
                Event::RunStarted { playbook_sha256, host, .. } => {
                    story.playbook_sha256 = *playbook_sha256;
                    story.host = Some(host.clone());
                }
                Event::RunResumed { host, .. } => {
                    story.host = Some(host.clone());
                    story.worked_ms += between_ms(since, last);
                    story.resumed += 1;
                    // A resumed run writes its own end.
                    (story.ended, told_ms) = (None, None);
                    since = entry.at;
                }
                Event::Continues { previous, bundle_digest, journal_head } => {
                    story.continues = Some((previous.clone(), *bundle_digest, *journal_head));
                }
                Event::CallerIdentified { account, arn, .. } => {
                    story.caller = Some(Caller { account: account.clone(), arn: arn.clone() });
                }
                Event::RunDone { duration_ms, result_sha256, .. } => {
                    (story.ended, told_ms) = (Some((entry.at, *result_sha256)), Some(*duration_ms));
                }
                _ => {}
            }
            last = entry.at;
        }
        story.worked_ms = told_ms.unwrap_or(story.worked_ms + between_ms(since, last));
        story
    }
}

fn between_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or_default()
}

impl Sealing {
    /// Decides the verdict, writes everything that is still missing, seals the bag, and removes the run's state.
    pub(crate) fn seal(self) -> Result<(RunResult, Sha256Digest), EngineError> {
        let entries = journal::read(&self.layout.journal())?;
        let story = Story::of(&entries);
        let today = drive::today_of(story.started);
        let exclusions = exclusions(&self.playbook, today);
        let exit_time = projection::exit_time(&self.playbook, &entries, &self.run, &self.results);
        let judged = self.judge(&story, &exclusions, &exit_time)?;
        let coverage = judged.coverage.as_ref().map(|(_, coverage)| coverage);
        let mut thresholds: Vec<_> = run_time(&self.playbook, story.worked_ms).into_iter().collect();
        thresholds.extend(projection::thresholds(&self.playbook, &exit_time));
        thresholds.extend(drive::thresholds(&self.playbook, coverage));
        let mut findings = run_findings(&thresholds, &exclusions);
        findings.extend(judged.findings.iter().cloned());
        findings.extend(leftovers::unremoved(&entries, self.results.iter().flat_map(|result| &result.findings)));
        findings.sort();
        findings.dedup();
        let mut waivers = drive::waivers(&self.playbook, today);
        self.each_finding(&findings, |finding| {
            let waiving = waivers.iter_mut().filter(|waiver| waiver.waives(finding));
            waiving.for_each(|waiver| waiver.waives += 1);
        })?;
        findings.extend(drive::wrong_waivers(&waivers));
        let mut weight = Weight::default();
        self.each_finding(&findings, |finding| weight.add(finding, &waivers))?;
        let verdict = weight.verdict();
        let ended = story.ended;
        let mut result =
            RunResult { waivers, ..self.result(story, verdict, findings, thresholds, exclusions, &judged) };
        result.cost = projection::cost(&self.playbook, &self.results, &exit_time);
        result.exit_time = Some(exit_time);
        result.pace = evidence::exit_time::pace(&entries);
        let bound = result.bound_sha256().map_err(|error| EngineError::Internal(error.to_string()))?;
        let at = match ended {
            Some((at, told)) if told == Some(bound) => at,
            _ => self.record_end(&result, bound)?,
        };
        (result.ended, result.journal) = (at.to_string(), self.recorder.head());
        self.write_documents(&result, &judged)?;
        let bundle_digest = evidence::seal(&self.layout.bundle, &self.bag_info(&result))?;
        self.check_own_bundle()?;
        remove_directory(&self.layout.state())?;
        Ok((result, bundle_digest))
    }

    /// Every finding of the run and of the assets, including those in files.
    fn each_finding(&self, of_run: &[Finding], take: impl FnMut(&Finding)) -> Result<(), EngineError> {
        let path = |asset: &AssetResult| self.layout.asset_evidence(&asset.id).join(FINDINGS_NDJSON);
        let read = findings::each(of_run, &self.results, |asset| open_regular(&path(asset)), take);
        read.map_err(|source| EngineError::Directory { path: self.layout.data(), source })
    }

    fn judge(
        &self,
        story: &Story,
        exclusions: &[ExclusionResult],
        exit_time: &ExitTime,
    ) -> Result<Judged, EngineError> {
        let facts = Facts::read(&self.layout)?;
        let outcome = drive::Outcome {
            carried: &carried(&self.results),
            exclusions,
            today: drive::today_of(story.started),
            worked_ms: story.worked_ms,
            exit: Some(exit_time),
            host: story.host.as_ref().unwrap_or(&self.host),
        };
        drive::judge(&self.playbook, &facts, outcome)
    }

    /// A bundle that contradicts itself is not left sealed: evidence may have been changed before a run was resumed.
    fn check_own_bundle(&self) -> Result<(), EngineError> {
        let findings = evidence::check_bundle(&self.layout.bundle)?.findings;
        let Some(finding) = findings.iter().find(|finding| !may_stand(finding)) else { return Ok(()) };
        let path = self.layout.bundle.clone();
        fs::remove_file(path.join("tagmanifest-sha256.txt"))
            .map_err(|source| EngineError::Directory { path: path.clone(), source })?;
        Err(EngineError::Changed { path, reason: finding.to_string() })
    }

    /// The last line, which binds the result; returns its time.
    fn record_end(&self, result: &RunResult, bound: Sha256Digest) -> Result<Timestamp, EngineError> {
        for finding in &result.findings {
            self.recorder.fact(&Event::Found { finding: finding.clone() })?;
        }
        let verdict = result.verdict;
        let findings = result.findings_total();
        let duration_ms = result.duration_ms;
        let sampled = result.tier == Tier::Sample;
        let result_sha256 = Some(bound);
        Ok(self.recorder.fact_at(&Event::RunDone { verdict, findings, duration_ms, sampled, result_sha256 })?)
    }

    fn result(
        &self,
        story: Story,
        verdict: Verdict,
        findings: Vec<Finding>,
        thresholds: Vec<ThresholdResult>,
        exclusions: Vec<ExclusionResult>,
        judged: &Judged,
    ) -> RunResult {
        let title = self.playbook.title().map(str::to_owned);
        let chain = self.chain(&story);
        RunResult {
            result_version: RESULT_VERSION,
            run: self.run.clone(),
            playbook: PlaybookRef { id: self.playbook.id().to_string(), title, sha256: story.playbook_sha256 },
            tool: self.tool.clone(),
            host: story.host.clone().unwrap_or_else(|| self.host.clone()),
            started: story.started.to_string(),
            // Both are set once the last line is written.
            ended: String::new(),
            duration_ms: story.worked_ms,
            resumed: story.resumed,
            caller: story.caller,
            session: judged.session.clone(),
            change: self.playbook.account().change.as_ref().map(ToString::to_string),
            target: judged.target.clone(),
            coverage: judged.coverage.as_ref().map(|(result, _)| result.clone()),
            restored_to: self.layout.restored.display().to_string(),
            verdict,
            tier: self.tier(),
            assets: self.results.clone(),
            exclusions,
            waivers: Vec::new(),
            findings,
            thresholds,
            not_proven: [not_proven::statements(&self.results, judged.coverage.is_some()), judged.statements.clone()]
                .concat(),
            journal: self.recorder.head(),
            chain,
            plan: projection::plan(&self.playbook, story.started, verdict),
            exit_time: None,
            cost: None,
            pace: Vec::new(),
        }
    }

    /// A sample in any asset makes the run a sample.
    fn tier(&self) -> Tier {
        let sampled = self.results.iter().any(|result| result.tier == Tier::Sample);
        if sampled { Tier::Sample } else { Tier::Full }
    }

    /// What is taken over from the previous run. If its bundle has changed since this run started, only its name and
    /// digest are stated.
    fn chain(&self, story: &Story) -> Chain {
        let Some((run, bundle_digest, journal_head)) = &story.continues else { return Chain::default() };
        let mark = evidence::result::pseudonyms_mark(&self.results);
        let told = evidence::predecessor::of_bundle(&self.playbook.evidence_path().join(run), mark);
        let same = |chain: &Chain| chain.previous.as_ref().is_some_and(|before| before.bundle_digest == *bundle_digest);
        told.filter(same).unwrap_or_else(|| {
            let run = run.clone();
            let bundle_digest = *bundle_digest;
            let journal_head = *journal_head;
            let previous = PreviousRun {
                run,
                bundle_digest,
                journal_head,
                verdict: Verdict::NotRun,
                findings: vec![],
                withheld: false,
            };
            Chain { previous: Some(previous), history: Vec::new() }
        })
    }

    fn write_documents(&self, result: &RunResult, judged: &Judged) -> Result<(), EngineError> {
        let data = self.layout.data();
        for (name, check) in &judged.checks {
            let path = self.layout.check(name);
            make_parent(&path)?;
            write_json(&path, check)?;
        }
        if let Some((_, coverage)) = &judged.coverage {
            write_replacing(&self.layout.coverage(), evidence::coverage_csv(coverage).as_bytes())?;
        }
        write_json(&self.layout.result(), result)?;
        write_json(&data.join("result.schema.json"), &result_schema())?;
        write_replacing(&data.join("table_digest.py"), TABLE_DIGEST_PY.as_bytes())?;
        write_json(&self.layout.controls(), &drive::controls(&self.layout.bundle)?)?;
        reports::write(&self.layout.bundle)?;
        let document = evidence::verify_md(result, &self.databases(), ".");
        Ok(write_replacing(&self.layout.bundle.join("VERIFY.md"), document.as_bytes())?)
    }

    fn databases(&self) -> Vec<DatabaseAccess> {
        let access = |result| kinds::access(result, self.playbook.target(), &self.layout);
        self.results.iter().filter_map(access).collect()
    }

    fn bag_info(&self, result: &RunResult) -> BagInfo {
        BagInfo {
            run: self.run.clone(),
            date: clock::today(),
            description: format!("Evidence of exit drill {}: {}", self.run, result.verdict_words()),
            software: format!("walkaway {}", version()),
        }
    }
}

/// The exclusions, with whether they are valid today.
pub(crate) fn exclusions(playbook: &Playbook, today: Date) -> Vec<ExclusionResult> {
    let exclusions = playbook.exclusions().iter();
    exclusions
        .map(|exclusion| ExclusionResult {
            pattern: exclusion.selector.to_string(),
            tags: exclusion.tags.clone(),
            reason: exclusion.reason.to_string(),
            owner: exclusion.owner.to_string(),
            until: exclusion.until.to_string(),
            expired: exclusion.expired(today),
        })
        .collect()
}

/// The threshold on the time of the run.
pub(crate) fn run_time(playbook: &Playbook, worked_ms: u64) -> Option<ThresholdResult> {
    let measured = std::time::Duration::from_millis(worked_ms);
    playbook.thresholds().run_time.as_ref().map(|limit| ThresholdResult {
        name: "run_time".to_owned(),
        limit: limit.to_string(),
        measured: format!("{:.1}s", measured.as_secs_f64()),
        met: limit.allows(measured),
        unknown: false,
    })
}

fn make_parent(path: &Path) -> Result<(), EngineError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| EngineError::Directory { path: parent.to_owned(), source })
}

pub(crate) fn run_findings(thresholds: &[ThresholdResult], exclusions: &[ExclusionResult]) -> Vec<Finding> {
    let missed = thresholds.iter().filter(|threshold| !threshold.met).map(|threshold| {
        let detail = format!("limit {}, measured {}", threshold.limit, threshold.measured);
        let kind = if threshold.unknown { FindingKind::ThresholdUnknown } else { FindingKind::ThresholdMissed };
        Finding::of_run(kind, &threshold.name, detail)
    });
    let expired = exclusions.iter().filter(|exclusion| exclusion.expired).map(|exclusion| {
        let detail = format!("ended {}, owner {}", exclusion.until, exclusion.owner);
        Finding::of_run(FindingKind::ExclusionExpired, &exclusion.pattern, detail)
    });
    missed.chain(expired).collect()
}

fn remove_directory(path: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(EngineError::Directory { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// What is still at the provider according to a result.
pub(crate) fn left_behind(result: &RunResult) -> Vec<String> {
    let left = result.all_findings().filter(|finding| finding.kind == FindingKind::LeftBehind);
    left.map(|finding| finding.subject.clone()).collect()
}

/// Findings about a bundle that do not count against this run: its state is beside the seal for a moment, a signature
/// may have been interrupted before all of it was written, and an earlier build of walkaway, which started the run, may
/// have recorded less than this one, which `verify` reports of the bundle.
fn may_stand(finding: &Finding) -> bool {
    let subject = finding.subject.as_str();
    match finding.kind {
        FindingKind::BundleFileUnexpected => Path::new(subject).starts_with("state"),
        FindingKind::BundleFileMissing => Path::new(subject).starts_with("sig"),
        kind => kind == FindingKind::OtherVersion,
    }
}

/// The outcome of a run that was sealed before. State that a killed process left beside the seal is removed.
pub(crate) fn sealed_before(bundle: &Path) -> Result<RunOutcome, EngineError> {
    let check = evidence::check_bundle(bundle)?;
    let damaged = |reason: String| EngineError::NotARun { path: bundle.to_owned(), reason };
    if let Some(finding) = check.findings.iter().find(|finding| !may_stand(finding)) {
        return Err(damaged(format!("the sealed bundle was changed: {finding}")));
    }
    let result = check.result.ok_or_else(|| damaged("the sealed bundle has no result".to_owned()))?;
    remove_directory(&bundle.join("state"))?;
    let left_behind = left_behind(&result);
    let end = RunEnd::Sealed { result: Box::new(result), bundle_digest: check.bundle_digest, signed: None };
    Ok(RunOutcome { bundle: bundle.to_owned(), end, left_behind })
}

/// The entry of an asset that was not finished, or whose end was revoked: what was copied and found is
/// in it, and it is NOT RUN, if not worse.
pub(super) fn unfinished(
    work: &Work,
    asset: &dyn Asset,
    playbook: &Playbook,
    why: &str,
) -> Result<AssetResult, EngineError> {
    let finding = work.finding(FindingKind::AssetStopped, asset.id(), why);
    work.recorder.fact(&Event::Found { finding: finding.clone() })?;
    let mut findings = work.ledger.found(&work.asset);
    // Findings about the files of an export are findings about the export.
    let of_files = work.ledger.found(&files_of(&work.asset)).into_iter();
    let heavy = of_files.filter(|finding| finding.severity != Severity::Note);
    findings.extend(heavy.map(|finding| Finding { asset: Some(work.asset.clone()), ..finding }));
    findings.push(finding);
    findings.sort();
    findings.dedup();
    let Description { kind, source, .. } = asset.describe();
    let mut result = AssetResult {
        id: asset.id().to_owned(),
        kind,
        source,
        verdict: Verdict::from_findings(&findings),
        tier: Tier::Full,
        directory: asset.id().to_owned(),
        items: 0,
        bytes: 0,
        content_sha256: Sha256Digest::of(""),
        checks: Vec::new(),
        controls: Vec::new(),
        timings: Timings::default(),
        findings,
        database: None,
        objects: None,
        filed: None,
    };
    asset.as_it_stands(work, playbook, &mut result).map_err(stop_error)?;
    Ok(result)
}

fn stop_error(stop: Stop) -> EngineError {
    match stop {
        Stop::Run(error) => error,
        Stop::Asset { reason, .. } | Stop::Away { reason, .. } => EngineError::Internal(reason),
        Stop::Interrupted => EngineError::Internal("interrupted while sealing".to_owned()),
    }
}
