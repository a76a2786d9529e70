//! Who works on a run: this program, on this machine.

use std::{fs, path::PathBuf, sync::OnceLock};

use super::error::EngineError;
use crate::{
    domain::{digest::Sha256Digest, event::Event},
    evidence::{Entry, EvidenceError},
};

/// This program's version.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// SHA-256 of the file that this process was started from, read once; a later file with that name is ignored.
pub(crate) fn binary_digest() -> Result<Sha256Digest, EngineError> {
    static DIGEST: OnceLock<Sha256Digest> = OnceLock::new();
    if let Some(digest) = DIGEST.get() {
        return Ok(*digest);
    }
    let started_from = PathBuf::from("/proc/self/exe");
    let named = || std::env::current_exe().and_then(fs::File::open);
    let digest = fs::File::open(&started_from).or_else(|_| named()).and_then(Sha256Digest::of_reader);
    let digest = digest.map_err(|source| EvidenceError::Io { action: "read", path: started_from, source })?;
    Ok(*DIGEST.get_or_init(|| digest))
}

/// The machine's name, as `uname -n` prints it.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The executable that worked on the run last.
pub(crate) fn executable(entries: &[Entry]) -> Option<Sha256Digest> {
    entries.iter().rev().find_map(|entry| match entry.event {
        Event::RunStarted { binary_sha256, .. } | Event::RunResumed { binary_sha256, .. } => Some(binary_sha256),
        _ => None,
    })
}
