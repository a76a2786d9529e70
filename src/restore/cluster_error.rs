//! What can go wrong with a managed cluster.

use std::{io, path::Path};

use crate::pg::PgError;

/// What went wrong with the managed cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A directory of the cluster could not be created or read.
    #[error("preparing {path} for the managed PostgreSQL: {source}")]
    Directory { path: String, source: io::Error },
    /// The user that runs the server can't access its directory.
    #[error("the user {user}, who runs the managed PostgreSQL, cannot enter {path}")]
    Unreachable { user: String, path: String },
    /// The machine crashed while the cluster was being loaded.
    #[error("the machine crashed while {path} was being loaded: its content can't be trusted")]
    WentDown { path: String },
    /// Another walkaway process uses it.
    #[error("another walkaway is at work on the managed PostgreSQL in {path}")]
    InUse { path: String },
    /// A user started it to inspect the restored copy.
    #[error("the managed PostgreSQL in {path} is up as process {pid}, and walkaway did not start it")]
    ByHand { path: String, pid: String, stop: String },
    /// There is no unprivileged user for root to run the server as.
    #[error("the managed PostgreSQL cannot run as root, and there is no user postgres or nobody")]
    NoServerUser,
    /// The cluster could not be created, and its file system has no space for one.
    #[error("{error}; {path} has {free} bytes left")]
    Full { path: String, free: u64, error: PgError },
    /// One of PostgreSQL's programs failed, or is missing.
    #[error(transparent)]
    Pg(#[from] PgError),
}

impl ClusterError {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClusterError::Unreachable { path, .. } => {
                Some(format!("chmod o+x {path}, choose another target.path, or run walkaway as an ordinary user"))
            }
            ClusterError::WentDown { .. } => Some("start a new run".to_owned()),
            ClusterError::InUse { .. } => Some("wait until it has ended".to_owned()),
            ClusterError::ByHand { stop, .. } => Some(format!("stop it first: {stop}")),
            ClusterError::NoServerUser => Some("run walkaway as an ordinary user".to_owned()),
            ClusterError::Directory { .. } => Some("check target.path: space, rights, file system".to_owned()),
            ClusterError::Full { .. } => Some(
                "free up space on the target's file system; a database starts again when the run is resumed".to_owned(),
            ),
            ClusterError::Pg(error) => error.hint(),
        }
    }
}

pub(super) fn directory_error(path: &Path, source: io::Error) -> ClusterError {
    ClusterError::Directory { path: path.display().to_string(), source }
}
