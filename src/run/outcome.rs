//! How a run ended, and the exit code that follows from it: decided here and nowhere else.

use std::path::PathBuf;

use super::endorse::Endorsement;
use crate::{
    domain::{
        digest::Sha256Digest,
        finding::{Finding, Verdict},
    },
    evidence::result::RunResult,
    exit_code::ExitCode,
};

/// What `run` and `resume` leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// The run's directory; a finished bundle if the run was sealed.
    pub bundle: PathBuf,
    /// How it ended.
    pub end: RunEnd,
    /// What walkaway made at the provider and could not remove.
    pub left_behind: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Everything was done that could be done, and the bundle is sealed.
    Sealed {
        /// The whole result.
        result: Box<RunResult>,
        /// SHA-256 of `tagmanifest-sha256.txt`: the one value that identifies the bundle.
        bundle_digest: Sha256Digest,
        /// The operator's signature, if the playbook asks for one.
        signed: Option<Endorsement>,
    },
    /// Errors ended the work on some assets; the run is open and can be resumed.
    Stopped {
        /// Asset and reason.
        assets: Vec<StoppedAsset>,
    },
    /// A stop was requested; the run is open and can be resumed.
    Interrupted,
}

/// An asset whose work ended with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedAsset {
    /// The asset's id.
    pub asset: String,
    /// What happened, to what.
    pub reason: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
}

impl StoppedAsset {
    /// The run as a whole stopped, not one asset.
    pub(crate) fn of_run(reason: String, hint: Option<String>) -> Self {
        StoppedAsset { asset: "the run".to_owned(), reason, hint }
    }
}

impl RunOutcome {
    /// The exit code of this end.
    pub fn exit_code(&self) -> ExitCode {
        if !self.left_behind.is_empty() {
            return ExitCode::LeftBehind;
        }
        match &self.end {
            RunEnd::Sealed { result, .. } => of_verdict(result.verdict),
            RunEnd::Stopped { .. } => ExitCode::NotVerified,
            RunEnd::Interrupted => ExitCode::Interrupted,
        }
    }
}

/// The exit code of a verdict.
pub fn of_verdict(verdict: Verdict) -> ExitCode {
    match verdict {
        // A waiver is a named person's decision, with a date: the verdict shows it, the exit code is zero.
        Verdict::Pass | Verdict::Waived => ExitCode::Verified,
        Verdict::Fail => ExitCode::Finding,
        Verdict::NotRun => ExitCode::NotVerified,
    }
}

/// The exit code of a check whose result is a list of findings.
pub fn of_findings(findings: &[Finding]) -> ExitCode {
    of_verdict(Verdict::from_findings(findings))
}
