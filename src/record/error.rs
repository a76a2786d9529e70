//! Why the engine could not do what was requested. Discrepancies of data are findings, not errors.

use std::{
    error::Error as _,
    io,
    path::{Path, PathBuf},
};

use super::refusal::Refusal;
use crate::{
    evidence::{EvidenceError, JournalError, signing::SignError},
    exit_code::ExitCode,
    playbook::Invalid,
    report::PdfError,
};

/// One obstacle to a run, found before the transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What happened, to what.
    pub what: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
}

/// An asset that its server can't open: only that asset is lost.
pub struct Unopened(pub Obstacle);

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The playbook isn't valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Preconditions do not hold; nothing was copied. Every obstacle is listed.
    #[error("{}", list(.0))]
    NotReady(Vec<Obstacle>),
    /// The directory isn't a run of walkaway.
    #[error("{path} is not a run of walkaway: {reason}")]
    NotARun { path: PathBuf, reason: String },
    /// The run's directory could not be created or read.
    #[error("{path}: {source}")]
    Directory { path: PathBuf, source: io::Error },
    /// Evidence could not be written; the run can't continue.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The journal could not be written or read; the run can't continue.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A run that ended before it started: nothing was copied.
    #[error("the run in {path} was ended before it began: nothing was moved")]
    NeverBegan { path: PathBuf },
    /// A written file was changed since.
    #[error("{path} contradicts itself, so it was not left sealed: {reason}")]
    Changed { path: PathBuf, reason: String },
    /// A bundle was not signed.
    #[error("{path} was not signed: {refusal}")]
    NotApproved { path: PathBuf, refusal: Refusal },
    /// A reader's roots of trust can't be read.
    #[error("{path}: {reason}")]
    Trust { path: PathBuf, reason: String },
    /// Bundles with different scopes.
    #[error("{path} cannot be compared: {reason}")]
    NotComparable { path: PathBuf, reason: String },
    /// The key can't sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A document could not be rendered.
    #[error(transparent)]
    Pdf(#[from] PdfError),
    /// A stop was requested before there was anything to resume.
    #[error("stopped before anything was moved")]
    Interrupted,
    /// A part of walkaway failed.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// The message and its cause, where the message doesn't say it already.
    pub(crate) fn in_full(&self) -> String {
        let cause = match self {
            EngineError::Evidence(error) => error.source(),
            EngineError::Journal(error) => error.source(),
            _ => None,
        };
        cause.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }

    /// Whether something exists already where a directory was to be created.
    pub(crate) fn is_taken(&self, directory: &Path) -> bool {
        matches!(self, EngineError::Directory { path, source }
            if path == directory && source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// What to do next, where that is known. Obstacles have hints of their own.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Invalid(_) | EngineError::NotReady(_) | EngineError::Interrupted => None,
            EngineError::NotARun { .. } => Some("name the directory that `walkaway run` printed".to_owned()),
            EngineError::NeverBegan { .. } => Some("remove the directory, and start the run again".to_owned()),
            EngineError::Directory { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => Some(
                "something exists there already, and a run creates its own directory: move it away, or start again"
                    .to_owned(),
            ),
            EngineError::Directory { .. } => Some("check that it exists, and its rights and free space".to_owned()),
            EngineError::Evidence(error) => error.hint(),
            EngineError::Journal(error) => error.hint(),
            EngineError::Changed { .. } => {
                Some("a run whose record was damaged can't be sealed; start a new run".to_owned())
            }
            EngineError::NotApproved { path, refusal } => Some(refusal.hint(path)),
            EngineError::NotComparable { .. } => {
                Some("compare intact bundles of one playbook with the same assets and exclusions".to_owned())
            }
            EngineError::Trust { .. } => {
                Some("allowed_signers is described in ssh-keygen(1); authorities' certificates are PEM".to_owned())
            }
            EngineError::Sign(error) => Some(error.hint()),
            EngineError::Pdf(_) | EngineError::Internal(_) => {
                Some("run again with RUST_LOG=debug and report what it prints".to_owned())
            }
        }
    }

    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            EngineError::Invalid(_)
            | EngineError::NotARun { .. }
            | EngineError::NeverBegan { .. }
            | EngineError::NotComparable { .. }
            | EngineError::Trust { .. }
            | EngineError::Evidence(EvidenceError::NotABundle { .. }) => ExitCode::Invalid,
            EngineError::Interrupted => ExitCode::Interrupted,
            _ => ExitCode::NotVerified,
        }
    }
}

fn list(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(|obstacle| obstacle.what.clone()).collect::<Vec<_>>().join("\n")
}
