//! The owner of the server on a managed cluster's data directory: a running walkaway, a killed
//! walkaway that left it behind, or a user who started it to inspect the restored copy.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use super::cluster_error::ClusterError;

/// The server according to its postmaster.pid (PostgreSQL's `pidfile.h`).
pub(super) struct Postmaster {
    pub pid: String,
    /// The directory of its socket; empty until it has one.
    socket: String,
}

impl Postmaster {
    /// The content of the file in a data directory, if there is one.
    pub(super) fn of(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let line = |number: usize| text.lines().nth(number).unwrap_or_default().to_owned();
        Some(Postmaster { pid: line(0), socket: line(4) })
    }

    /// Whether it listens where walkaway never does.
    pub(super) fn is_by_hand(&self, noted_socket: &str) -> bool {
        !self.socket.is_empty() && self.socket != noted_socket
    }
}

/// Keeps other walkaways off a cluster for as long as the value lives. A killed process releases it; the server that it
/// leaves running holds no lock.
pub(super) fn hold(directory: &Path) -> Result<Option<File>, ClusterError> {
    let Ok(file) = File::open(directory) else { return Ok(None) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(ClusterError::InUse { path: directory.display().to_string() }),
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}
