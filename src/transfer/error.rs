//! What can go wrong on either end of a transfer, sorted by what can be done about it.

use std::io;

use serde::{Deserialize, Serialize};

use super::provider_checksum::ChecksumKind;

/// SQLSTATE `disk_full`, also for a write that a full disk cut short.
const DISK_FULL: &str = "53100";
/// The part of hints about work that is not repeated.
pub const KEPT: &str = "what is finished is kept";

/// A failure to read at the provider.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum SourceError {
    /// The object or bucket does not exist (any more).
    #[error("{what} not found")]
    NotFound { what: String },
    /// The provider denies access to it.
    #[error("access to {what} denied: {reason}")]
    Denied { what: String, reason: String },
    /// The provider no longer accepts the credentials: nothing else can be read either.
    #[error("reading {what}: the credentials are refused: {reason}")]
    Credentials { what: String, reason: String },
    /// The clocks of this machine and of the provider are too far apart for signatures to be accepted.
    #[error("reading {what}: the clocks are apart: {reason}")]
    ClockSkew { what: String, reason: String },
    /// There are no credentials to use.
    #[error("reading {what}: {reason}")]
    NoCredentials { what: String, reason: String },
    /// It is not what was listed: replaced or deleted since.
    #[error("{what} changed since it was listed")]
    Changed { what: String },
    /// It is in an archive tier and would have to be restored first.
    #[error("{what} is archived ({class})")]
    Archived { what: String, class: String },
    /// The bytes contradict the provider's own checksum; another attempt may return the right ones.
    #[error("{what} contradicts the provider's own {}", kind.words())]
    Corrupt { what: String, kind: ChecksumKind },
    /// The provider demands fewer requests, or can't serve this one now: worth another attempt, later.
    #[error("reading {what}: {reason}")]
    Throttled { what: String, reason: String },
    /// The provider failed, or the body ended early: worth another attempt.
    #[error("reading {what}: {reason}")]
    Transient { what: String, reason: String },
    /// No answer came: the connection is broken, or the provider is unreachable.
    #[error("reading {what}: {reason}")]
    Unreached { what: String, reason: String },
    /// It is served with another size than it is listed with, under the same entity tag.
    #[error("{what} is listed with {listed} bytes and served with {served}")]
    Size { what: String, listed: u64, served: u64 },
    /// The server does not answer with the requested range: the object can be read as a whole only.
    #[error("reading {what}: {reason}")]
    Unranged { what: String, reason: String },
    /// The bucket is in another region than the one that was called.
    #[error("{what} is in the region {region}")]
    Elsewhere { what: String, region: String },
    /// The provider answered something that another attempt won't change.
    #[error("reading {what}: {reason}")]
    Permanent { what: String, reason: String },
}

impl SourceError {
    /// What it happened to: an object's key, or a bucket.
    pub fn what(&self) -> &str {
        match self {
            SourceError::NotFound { what }
            | SourceError::Denied { what, .. }
            | SourceError::Credentials { what, .. }
            | SourceError::ClockSkew { what, .. }
            | SourceError::NoCredentials { what, .. }
            | SourceError::Changed { what }
            | SourceError::Archived { what, .. }
            | SourceError::Corrupt { what, .. }
            | SourceError::Throttled { what, .. }
            | SourceError::Transient { what, .. }
            | SourceError::Unreached { what, .. }
            | SourceError::Size { what, .. }
            | SourceError::Unranged { what, .. }
            | SourceError::Elsewhere { what, .. }
            | SourceError::Permanent { what, .. } => what,
        }
    }

    /// What happened, without the name of the object.
    pub fn detail(&self) -> String {
        match self {
            SourceError::NotFound { .. } => "not found".to_owned(),
            SourceError::Denied { reason, .. } => format!("access denied: {reason}"),
            SourceError::Credentials { reason, .. } => format!("the credentials are refused: {reason}"),
            SourceError::ClockSkew { reason, .. } => format!("the clocks are apart: {reason}"),
            SourceError::Changed { .. } => "changed since it was listed".to_owned(),
            SourceError::Size { listed, served, .. } => {
                format!("listed with {listed} bytes, served with {served}")
            }
            SourceError::Elsewhere { region, .. } => format!("is in the region {region}"),
            SourceError::Archived { class, .. } => class.clone(),
            SourceError::Corrupt { kind, .. } => format!("contradicts the provider's own {}", kind.words()),
            SourceError::NoCredentials { reason, .. }
            | SourceError::Throttled { reason, .. }
            | SourceError::Transient { reason, .. }
            | SourceError::Unreached { reason, .. }
            | SourceError::Unranged { reason, .. }
            | SourceError::Permanent { reason, .. } => reason.clone(),
        }
    }

    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        self.is_passing() || matches!(self, Self::Corrupt { .. } | Self::Size { .. })
    }

    /// Whether it is about the connection to the provider, and not about the object.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Throttled { .. } | Self::Unreached { .. })
    }

    /// Whether it is about the caller: then it applies to all requests, or wrongly to this one.
    pub fn is_about_caller(&self) -> bool {
        matches!(self, Self::Credentials { .. } | Self::NoCredentials { .. } | Self::ClockSkew { .. })
    }
}

/// A failure to write on this machine or to the target.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum SinkError {
    /// A file of the restored copy could not be written.
    #[error("writing {path}: {source}")]
    Write {
        path: String,
        #[serde(with = "io_error")]
        source: io::Error,
    },
    /// The target's S3 server refused an object, or could not be reached.
    #[error("restoring into {what}: {reason}")]
    Server { what: String, reason: String },
    /// The target's S3 server rejects this object because of its properties; it accepts others.
    #[error("the target refuses it: {reason}")]
    Refused { reason: String },
    /// The target's S3 server failed over this object in every attempt, and accepts others.
    #[error("the target fails: {reason}")]
    Failed { reason: String },
    /// The target database rejected these rows, or failed as a whole.
    #[error("restoring into {what}: {reason}")]
    Database {
        what: String,
        reason: String,
        /// SQLSTATE; none where the error is not from the server.
        code: Option<String>,
        server_failed: bool,
        /// The server failed because it, or the connection to it, was lost.
        went_away: bool,
    },
}

impl SinkError {
    /// Wraps an I/O error with the path it happened to.
    pub fn write(path: impl AsRef<std::path::Path>, source: io::Error) -> Self {
        SinkError::Write { path: path.as_ref().display().to_string(), source }
    }

    /// Whether the target's database server, or the connection to it, was lost.
    pub fn is_away(&self) -> bool {
        matches!(self, SinkError::Database { went_away: true, .. })
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        let full = match self {
            SinkError::Refused { .. } => return Some("`layout: tar` takes any object".to_owned()),
            SinkError::Failed { .. } => {
                return Some("see whether the target's server is well, then run the drill again".to_owned());
            }
            SinkError::Write { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            SinkError::Server { .. } => false,
            SinkError::Database { code, .. } => code.as_deref() == Some(DISK_FULL),
        };
        full.then(|| format!("free up space on the target's file system; {KEPT}"))
    }
}

/// Why a unit could not be finished.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum TransferError {
    /// The source failed in a way that affects more than one object.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The provider does not answer any more, whatever the request; what was copied before is published.
    #[error(transparent)]
    Away(SourceError),
    /// The sink failed; everything after would fail too.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A stop was requested.
    #[error("interrupted")]
    Interrupted,
    /// What ran a unit returned something else than its receipt; nothing of the unit counts.
    #[error("{unit} was not answered: {reason}")]
    Unanswered { unit: String, reason: String },
    /// A part of walkaway failed.
    #[error("internal error: {0}")]
    Internal(String),
}

impl TransferError {
    /// A thread that hashes or writes ended before its work did.
    pub fn of_thread() -> Self {
        TransferError::Internal("a working thread failed".to_owned())
    }

    /// Whether another attempt may succeed: only the source's failures are tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, TransferError::Source(error) if error.is_transient())
    }
}

/// An operating system error in a receipt: its message, and the one kind that a decision depends on.
mod io_error {
    use std::io;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Told {
        words: String,
        is_full: bool,
    }

    pub(super) fn serialize<S: Serializer>(error: &io::Error, serializer: S) -> Result<S::Ok, S::Error> {
        let is_full = error.kind() == io::ErrorKind::StorageFull;
        Told { words: error.to_string(), is_full }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<io::Error, D::Error> {
        let Told { words, is_full } = Told::deserialize(deserializer)?;
        let kind = if is_full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        Ok(io::Error::new(kind, words))
    }
}

impl From<tokio::task::JoinError> for TransferError {
    fn from(error: tokio::task::JoinError) -> Self {
        if error.is_cancelled() { TransferError::Interrupted } else { TransferError::Internal(error.to_string()) }
    }
}
