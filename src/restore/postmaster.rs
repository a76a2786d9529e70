//! Whose server owns the data directory of a managed cluster: one that a walkaway at work started, one that a killed
//! walkaway left behind, or one that a person started to look at what was restored.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use super::cluster_error::ClusterError;

/// The server as its postmaster.pid names it (PostgreSQL's `pidfile.h`).
pub(super) struct Postmaster {
    pub pid: String,
    /// The directory of its socket; empty until it has one.
    socket: String,
}

impl Postmaster {
    /// What the file in a data directory says, if there is one.
    pub fn of(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let line = |number: usize| text.lines().nth(number).unwrap_or_default().to_owned();
        Some(Postmaster { pid: line(0), socket: line(4) })
    }

    /// Whether it listens where no walkaway let it listen.
    pub fn is_by_hand(&self, noted_socket: &str) -> bool {
        !self.socket.is_empty() && self.socket != noted_socket
    }
}

/// Keeps other walkaways off a cluster for as long as the value lives. A process that is killed lets go; the server that it
/// leaves running holds nothing.
pub(super) fn hold(directory: &Path) -> Result<Option<File>, ClusterError> {
    let Ok(file) = File::open(directory) else { return Ok(None) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(ClusterError::InUse { path: directory.display().to_string() }),
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}
