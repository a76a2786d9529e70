//! Reports of a bundle, made and compared: whoever has `result.json` can make them again.

use std::{fs, path::Path};

use super::{error::EngineError, run::binary_digest};
use crate::{
    evidence::{self, EvidenceError, result::RunResult, write_replacing},
    finding::{Finding, FindingKind},
    report,
};

/// Makes the reports of a bundle again, from its result alone, into a directory. Returns the names.
///
/// # Errors
/// When the result can't be read or the directory not written.
pub fn make(bundle: &Path, out: &Path) -> Result<Vec<&'static str>, EngineError> {
    let (result, bytes) = read(bundle)?;
    fs::create_dir_all(out).map_err(|source| EngineError::Directory { path: out.to_owned(), source })?;
    let mut names = Vec::new();
    for (name, bytes) in report::all(&result, &bytes) {
        write_replacing(&out.join(name), &bytes)?;
        names.push(name);
    }
    Ok(names)
}

fn read(bundle: &Path) -> Result<(RunResult, Vec<u8>), EngineError> {
    let path = bundle.join(evidence::RESULT);
    let bytes = fs::read(&path).map_err(|source| EvidenceError::Io { action: "read", path: path.clone(), source })?;
    let result = evidence::parse_result(&bytes).map_err(|reason| EngineError::NotARun { path, reason })?;
    Ok((result, bytes))
}

/// Whether the reports in a bundle are those that its result gives. Another build of walkaway may write them otherwise;
/// then only the verdict and the run are compared, and the rest is a note.
pub fn check(bundle: &Path) -> Vec<Finding> {
    let Ok((result, bytes)) = read(bundle) else { return Vec::new() };
    let same_build = binary_digest().is_ok_and(|digest| digest == result.tool.binary_sha256);
    let mut findings = Vec::new();
    for (name, expected) in report::all(&result, &bytes) {
        let (path, subject) = (bundle.join("data").join(name), format!("data/{name}"));
        // Bundles of the first version have no reports, and what a manifest names is missed elsewhere.
        let Ok(found) = fs::read(&path) else { continue };
        let told = String::from_utf8_lossy(&found);
        let title = format!("<title>{}: ", report::View::new(&result, &bytes).verdict_words());
        let contradicts = name == "report.html" && !told.contains(&title);
        if found != expected && (same_build || contradicts) {
            let detail = "is not the report of this result; walkaway report makes that again";
            findings.push(Finding::of_run(FindingKind::BundleInconsistent, subject, detail));
        } else if found != expected {
            let detail = "made by another build of walkaway; walkaway report makes it again with this one";
            findings.push(Finding::of_run(FindingKind::Deviation, subject, detail));
        }
    }
    findings
}
