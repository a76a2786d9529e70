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
    evidence::{
        self, EvidenceError,
        files::read_whole,
        result::{RESULT_VERSION, RunResult},
    },
    finding::{Finding, FindingKind},
    record::{error::EngineError, identity::binary_digest},
    run::{not_proven, reports},
};

/// The first version whose bundles hold every file of the list, and a result that the journal binds.
const BINDING: u32 = 3;

/// A bundle compared with its playbook.
struct Claims<'a> {
    bundle: &'a Path,
    result: &'a RunResult,
    /// Whether this same program wrote it.
    own: bool,
    findings: Vec<Finding>,
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
    let Some(result) = read(bundle, evidence::RESULT).ok().and_then(|json| evidence::parse_result(&json).ok()) else {
        return Vec::new();
    };
    let own = binary_digest().is_ok_and(|digest| digest == result.tool.binary_sha256);
    let mut claims = Claims { bundle, result: &result, own, findings: Vec::new() };
    claims.version();
    claims.files();
    match claims.playbook() {
        Some(read) => {
            claims.promises(&read);
            claims.judgement(&read);
        }
        None => claims.unproven(evidence::PLAYBOOK, "can't be understood, so that nothing that it asks for is known"),
    }
    claims.findings
}

/// The statements of what is not proven in a result of this version, without an account.
pub fn statements(result: &RunResult) -> Vec<String> {
    not_proven::statements(&result.assets, result.coverage.is_some())
}

fn read(bundle: &Path, name: &str) -> Result<Vec<u8>, EngineError> {
    let path = bundle.join(name);
    Ok(read_whole(&path).map_err(|source| EvidenceError::Io { action: "read", path, source })?)
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
            self.findings.push(Finding::of_run(FindingKind::OtherVersion, evidence::RESULT, detail));
        }
    }

    /// A contradiction in every bundle.
    fn contradicts(&mut self, subject: &str, detail: impl Into<String>) {
        self.findings.push(Finding::of_run(FindingKind::BundleInconsistent, subject, detail));
    }

    /// A contradiction where this program wrote the bundle; otherwise it was not compared.
    fn unproven(&mut self, subject: &str, detail: &str) {
        self.findings.push(reports::differs(self.own, &self.result.tool, subject, detail));
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
