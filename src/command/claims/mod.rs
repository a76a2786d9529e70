//! Whether a bundle has what its playbook asked for, and nothing that no run writes.
//!
//! The playbook in the bundle is parsed again, without the machine that it was written for, and is binding: what the
//! result says of assets, samples, exclusions, waivers, thresholds, terms and the plan has to follow from it, and so has
//! `playbook.resolved.json`. The account is judged again from the files of the inspections.
//!
//! Two kinds of contradiction exist. What is *claimed* (names, owners, dates, limits) follows from the playbook
//! whatever version wrote it, and is a contradiction in every bundle. What is *worded or judged* by rules that change
//! from version to version (reports, documents, findings about the account) is a contradiction where the same program
//! wrote the bundle; where another one did, it is reported as not compared, which is never exit code 0. Claiming that a
//! bundle is another program's therefore gains a forger no clean result.
//!
//! Whoever asks whether a run counts ([`check_counting`]) does not mind other words, and takes this program's judgement
//! of the run in place of the one that can't be compared.
//!
//! | file | what it compares |
//! |---|---|
//! | `resolved` | the playbook parsed again, and `playbook.resolved.json` with it |
//! | `promises` | the result's statements on the playbook's content |
//! | `judgement` | coverage, checks, findings of the run, statements, projection and cost |
//! | `files`, `document` | the list of files by version; constants byte for byte; `VERIFY.md` but for machine words |

mod document;
mod files;
mod judgement;
mod promises;
mod resolved;

use std::{fs, path::Path};

use crate::{
    domain::finding::{Finding, FindingKind, Severity, Waives as _},
    evidence::{
        self, EvidenceError,
        files::read_whole,
        result::{RESULT_VERSION, RunResult},
    },
    record::{error::EngineError, identity::binary_digest},
    run::{not_proven, reports},
};

/// The first version whose bundles hold every file of the list, and a result that the journal binds.
pub(super) const BINDING: u32 = 3;

/// A bundle compared with its playbook.
struct Claims<'a> {
    bundle: &'a Path,
    result: &'a RunResult,
    /// Whether this same program wrote it.
    own: bool,
    findings: Vec<Finding>,
    /// What this program words or judges otherwise than the one that wrote the bundle.
    other: Vec<Finding>,
    /// What weighs against the run by the rules of this program, and not by its result.
    judged: Vec<Finding>,
}

/// Everything in a bundle that depends on its playbook, including reports and documents. What can't be read without a
/// result is checked by `evidence::check_bundle`, as are the manifests.
pub fn check(bundle: &Path) -> Vec<Finding> {
    let mut findings = check_without_reports(bundle);
    findings.extend(reports::check(bundle));
    findings
}

/// The same without the reports, which take a moment to render.
pub fn check_without_reports(bundle: &Path) -> Vec<Finding> {
    let result = read_result(bundle);
    result.map_or_else(Vec::new, |result| {
        let claims = Claims::of(bundle, &result);
        [claims.findings, claims.other].concat()
    })
}

/// What speaks against counting a run, whichever version wrote its bundle: as [`check`], but that other words don't matter, and
/// that what weighs by the rules of this program does.
pub fn check_counting(bundle: &Path) -> Vec<Finding> {
    let Some(result) = read_result(bundle) else { return Vec::new() };
    let claims = Claims::of(bundle, &result);
    let reports = reports::check(bundle).into_iter().filter(|finding| finding.kind != FindingKind::OtherVersion);
    [claims.findings, claims.judged].concat().into_iter().chain(reports).collect()
}

fn read_result(bundle: &Path) -> Option<RunResult> {
    evidence::parse_result(&read(bundle, evidence::RESULT).ok()?).ok()
}

/// The statements of what is not proven in a result of this version, without an account.
pub fn statements(result: &RunResult) -> Vec<String> {
    not_proven::statements(&result.assets, result.coverage.is_some())
}

fn read(bundle: &Path, name: &str) -> Result<Vec<u8>, EngineError> {
    let path = bundle.join(name);
    Ok(read_whole(&path).map_err(|source| EvidenceError::Io { action: "read", path, source })?)
}

impl<'a> Claims<'a> {
    fn of(bundle: &'a Path, result: &'a RunResult) -> Self {
        let own = binary_digest().is_ok_and(|digest| digest == result.tool.binary_sha256);
        let mut claims = Claims { bundle, result, own, findings: Vec::new(), other: Vec::new(), judged: Vec::new() };
        claims.version();
        claims.files();
        match claims.playbook() {
            Some(read) => {
                claims.promises(&read);
                claims.judgement(&read);
            }
            None => {
                let detail = "can't be understood, so that nothing that it asks for is known";
                claims.findings.push(reports::differs(own, &result.tool, evidence::PLAYBOOK, detail));
            }
        }
        claims
    }
}

impl Claims<'_> {
    /// An older version binds less than this one, so that its bundles are never confirmed.
    fn version(&mut self) {
        let version = self.result.result_version;
        if version < RESULT_VERSION {
            let detail = format!(
                "result of version {version}, whose parts are bound together less than those of version {RESULT_VERSION}: what \
                 is missing cannot be checked"
            );
            self.other.push(Finding::of_run(FindingKind::OtherVersion, evidence::RESULT, detail));
        }
    }

    /// A contradiction in every bundle.
    fn contradicts(&mut self, subject: &str, detail: impl Into<String>) {
        self.findings.push(Finding::of_run(FindingKind::BundleInconsistent, subject, detail));
    }

    /// A contradiction where this program wrote the bundle; otherwise it was not compared.
    fn unproven(&mut self, subject: &str, detail: &str) {
        let finding = reports::differs(self.own, &self.result.tool, subject, detail);
        if self.own { self.findings.push(finding) } else { self.other.push(finding) }
    }

    /// What this program finds about the run, where it weighs more than what the result has.
    fn weigh(&mut self, judged: &[Finding]) {
        let waivers = &self.result.waivers;
        let open = |finding: &&Finding| !waivers.iter().any(|waiver| waiver.waives(finding));
        let told = self.result.findings.iter().filter(open).map(|finding| finding.kind.severity()).max();
        let told = told.unwrap_or(Severity::Note);
        self.judged.extend(judged.iter().filter(open).filter(|finding| finding.kind.severity() > told).cloned());
    }

    /// Reports it unless two values are equal.
    fn same<T: PartialEq>(&mut self, what: &str, told: &T, expected: &T) {
        if told != expected {
            let detail = format!("{what} is not what {} leaves", evidence::PLAYBOOK);
            self.contradicts(evidence::RESULT, detail);
        }
    }

    fn is_there(&self, name: &str) -> bool {
        fs::symlink_metadata(self.bundle.join(name)).is_ok()
    }

    fn is_binding(&self) -> bool {
        self.result.result_version >= BINDING
    }
}
