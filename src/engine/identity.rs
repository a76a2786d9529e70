//! Who works on a run: this program, on this machine.

use std::{fs, path::PathBuf};

use super::error::EngineError;
use crate::{
    digest::Sha256Digest,
    event::Event,
    evidence::{Entry, EvidenceError},
};

/// This program's version.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// SHA-256 of this program's file.
pub(crate) fn binary_digest() -> Result<Sha256Digest, EngineError> {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let file = fs::File::open(&path).or_else(|_| fs::File::open("/proc/self/exe"));
    let digest = file.and_then(Sha256Digest::of_reader);
    Ok(digest.map_err(|source| EvidenceError::Io { action: "read", path, source })?)
}

/// The machine's name, as `uname -n` prints it.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The executable that worked on the run last.
pub(super) fn executable(entries: &[Entry]) -> Option<Sha256Digest> {
    entries.iter().rev().find_map(|entry| match entry.event {
        Event::RunStarted { binary_sha256, .. } | Event::RunResumed { binary_sha256, .. } => Some(binary_sha256),
        _ => None,
    })
}
