//! Why evidence could not be written or read.

use std::{io, path::PathBuf};

/// Why evidence could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `read`, `sync`, …
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A name that manifests or shell tools can't use literally.
    #[error("name is not safe in a manifest: {name:?}")]
    UnsafeName {
        /// The name, relative to the bundle or the asset.
        name: String,
    },
    /// Two receipts speak of the same object or table, or they are out of order.
    #[error("receipts are not in ascending order or repeat themselves at {name:?}")]
    ReceiptOrder {
        /// The key or the table.
        name: String,
    },
    /// The directory is already a sealed bundle.
    #[error("bundle is already sealed: {}", root.display())]
    AlreadySealed {
        /// The bundle.
        root: PathBuf,
    },
    /// The directory is not a bundle, or its run never ended.
    #[error("bundle is not sealed: {}", root.display())]
    NotSealed {
        /// The supposed bundle.
        root: PathBuf,
    },
    /// The directory is not walkaway's.
    #[error("{} is no bundle of walkaway", root.display())]
    NotABundle {
        /// The directory that was named.
        root: PathBuf,
    },
    /// The journal could not be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl EvidenceError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            EvidenceError::Io { source, path, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some(format!("free up space on the file system of {}, then resume the run", path.display()))
            }
            EvidenceError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("evidence is never overwritten; remove nothing, start a new run".to_owned())
            }
            EvidenceError::NotABundle { .. } => Some("name the directory that `walkaway run` printed".to_owned()),
            EvidenceError::NotSealed { .. } => {
                Some("a run that did not end: `walkaway resume RUN`; a bundle that was sealed: its tagmanifest-sha256.txt is gone"
                        .to_owned())
            }
            EvidenceError::Journal(error) => error.hint(),
            _ => None,
        }
    }
}

/// Why the journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("cannot {action} journal {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The journal.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error("another walkaway is at work on this run: {}", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// A line is malformed or doesn't continue the previous one.
    #[error("journal {} is broken at line {}: {}", path.display(), fault.line, fault.reason)]
    Broken {
        /// The journal.
        path: PathBuf,
        /// Where and why.
        fault: Fault,
    },
    /// A write failed before; nothing may be appended to what it left.
    #[error("an earlier write to journal {} failed", path.display())]
    Unusable {
        /// The journal.
        path: PathBuf,
    },
    /// An event has no JSON form, or one that is longer than a line may be.
    #[error("an event can't be written as a line of journal {}", path.display())]
    Unwritable {
        /// The journal.
        path: PathBuf,
    },
}

/// A line that breaks the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}
