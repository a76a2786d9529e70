//! Reports of a bundle, rendered and compared: all follow from `result.json`, `controls.json` and the playbook.

use std::{fs, path::Path};

use crate::{
    account::{controls::Checklist, coverage::Row},
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    evidence::{
        self, EvidenceError,
        files::read_whole,
        result::{RunResult, Tool},
        write_replacing,
    },
    record::{error::EngineError, identity::binary_digest},
    report,
};

/// The checklist, in the bag.
pub(crate) const CONTROLS: &str = "data/controls.json";
const COVERAGE: &str = "data/coverage.csv";

/// The inputs of reports.
struct Material {
    result: RunResult,
    json: Vec<u8>,
    playbook: Vec<u8>,
    checklist: Checklist,
    account: Vec<Row>,
}

impl Material {
    fn read(bundle: &Path) -> Result<Self, EngineError> {
        let json = read(bundle, evidence::RESULT)?;
        let wrong = |reason| EngineError::NotARun { path: bundle.join(evidence::RESULT), reason };
        let result = evidence::parse_result(&json).map_err(wrong)?;
        // Bundles of the first version have no checklist.
        let checklist = read(bundle, CONTROLS).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let playbook = read(bundle, evidence::PLAYBOOK)?;
        // Absent where the account was not inspected; that it is the right one is checked elsewhere.
        let account =
            read(bundle, COVERAGE).ok().and_then(|bytes| evidence::read_coverage_csv(&String::from_utf8(bytes).ok()?));
        let account = account.filter(|_| result.coverage.is_some()).unwrap_or_default();
        Ok(Material { result, json, playbook, checklist: checklist.unwrap_or_default(), account })
    }

    /// One report; with the digest of the sealed bundle for a copy outside of it.
    fn report(&self, name: &str, sealed: Option<Sha256Digest>) -> Result<Vec<u8>, EngineError> {
        let bundle_digest = sealed.filter(|_| name == report::PDF);
        let view = report::View::new(&self.result, &self.json);
        let view = report::View { bundle_digest, checklist: &self.checklist.controls, account: &self.account, ..view };
        Ok(report::make(name, &view, &self.json, &self.playbook)?)
    }
}

fn read(bundle: &Path, name: &str) -> Result<Vec<u8>, EngineError> {
    let path = bundle.join(name);
    Ok(read_whole(&path).map_err(|source| EvidenceError::Io { action: "read", path, source })?)
}

/// Writes the reports into a bundle that is otherwise complete and about to be sealed.
pub(crate) fn write(bundle: &Path) -> Result<(), EngineError> {
    make_unsealed(bundle, &bundle.join("data")).map(drop)
}

/// Regenerates the reports of a bundle, from its result, its checklist and its playbook, into a directory. Returns the
/// names. For a sealed bundle every page of the PDF shows the digest.
///
/// # Errors
/// When the result can't be read or the directory not written.
pub fn make(bundle: &Path, out: &Path) -> Result<Vec<&'static str>, EngineError> {
    let unsealed = !bundle.join(evidence::RESULT).exists() && bundle.join("data").join("journal.ndjson").exists();
    if unsealed {
        return Err(EvidenceError::NotSealed { root: bundle.to_owned() }.into());
    }
    write_into(bundle, out, read(bundle, evidence::TAG_MANIFEST).ok().map(Sha256Digest::of))
}

/// The same without the digest of the bundle: like the reports in the bundle itself.
///
/// # Errors
/// As [`make`].
pub fn make_unsealed(bundle: &Path, out: &Path) -> Result<Vec<&'static str>, EngineError> {
    write_into(bundle, out, None)
}

fn write_into(bundle: &Path, out: &Path, sealed: Option<Sha256Digest>) -> Result<Vec<&'static str>, EngineError> {
    let material = Material::read(bundle)?;
    fs::create_dir_all(out).map_err(|source| EngineError::Directory { path: out.to_owned(), source })?;
    for name in report::NAMES {
        write_replacing(&out.join(name), &material.report(name, sealed)?)?;
    }
    Ok(report::NAMES.to_vec())
}

/// Whether the reports in a bundle are those of its result. Another build's reports can't be reproduced here: then
/// the verdict and the run are compared, and the rest is reported as not compared.
pub(crate) fn check(bundle: &Path) -> Vec<Finding> {
    let Ok(material) = Material::read(bundle) else { return Vec::new() };
    let own = binary_digest().is_ok_and(|digest| digest == material.result.tool.binary_sha256);
    let title = report::View::new(&material.result, &material.json).title();
    let mut findings = Vec::new();
    for name in report::NAMES {
        let path = format!("data/{name}");
        // Which are required depends on the version.
        let Ok(found) = read_whole(&bundle.join(&path)) else { continue };
        if material.report(name, None).is_ok_and(|expected| expected == found) {
            continue;
        }
        let tells_its_end = [report::HTML, report::PDF].contains(&name);
        let contradicts = tells_its_end && memchr::memmem::find(&found, title.as_bytes()).is_none();
        let detail = "is not the report of this result; walkaway report makes that again";
        findings.push(differs(own || contradicts, &material.result.tool, &path, detail));
    }
    findings
}

/// What does not follow by this build's rules: a contradiction if it wrote the bundle itself. Another build may word
/// and judge differently, so its bundles are not compared.
pub(crate) fn differs(own: bool, tool: &Tool, subject: &str, detail: &str) -> Finding {
    if own {
        return Finding::of_run(FindingKind::BundleInconsistent, subject, detail);
    }
    let version = &tool.version;
    let binary = tool.binary_sha256;
    let detail = format!(
        "written by another build, walkaway {version} with SHA-256 {binary}, and not the same as this build would write: \
         verify the bundle with that build"
    );
    Finding::of_run(FindingKind::OtherVersion, subject, detail)
}
