//! Why the work on a snapshot ended early, and which of these a new snapshot may fix.

use serde::{Deserialize, Serialize};

use crate::{
    asset::stop::Stop,
    pg::{
        PgError,
        sqlstate::{Concern, SERIALIZATION_FAILURE},
    },
    transfer::error::TransferError,
};

/// Why the work ended early.
pub(crate) enum CopyEnd {
    /// Nothing more can be read from this snapshot; a new one may work.
    SnapshotLost(Lost),
    Stop(Stop),
}

/// Why a snapshot was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lost {
    pub reason: String,
    pub to: LostTo,
}

/// What takes snapshots away. Each may happen so often before the database is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LostTo {
    /// A connection that broke, a lock that others wanted, or a lack of memory.
    Trouble,
    /// The source is a standby, and replayed removals by the primary.
    Conflict,
    /// Definitions that were changed since.
    Change,
}

impl Lost {
    pub(crate) fn of(error: &PgError) -> Self {
        let in_conflict = error.code() == Some(SERIALIZATION_FAILURE);
        Lost { reason: error.to_string(), to: if in_conflict { LostTo::Conflict } else { LostTo::Trouble } }
    }

    pub(crate) fn to_change(reason: String) -> Self {
        Lost { reason, to: LostTo::Change }
    }
}

impl From<String> for Lost {
    fn from(reason: String) -> Self {
        Lost { reason, to: LostTo::Trouble }
    }
}

impl CopyEnd {
    /// What an error on the connection that holds the snapshot means: with the connection, or its transaction, the
    /// snapshot is lost.
    pub(crate) fn of_snapshot(error: PgError) -> Self {
        if Self::is_of_snapshot(&error) { CopyEnd::SnapshotLost(Lost::of(&error)) } else { error.into() }
    }

    /// Whether a new snapshot may work. The wait for a lock took as long as allowed.
    pub(crate) fn is_of_snapshot(error: &PgError) -> bool {
        match error.concern() {
            Concern::Session | Concern::Snapshot => true,
            Concern::Moment => !error.is_lock_not_had(),
            Concern::Statement | Concern::Room | Concern::Login => false,
        }
    }
}

impl<S: Into<Stop>> From<S> for CopyEnd {
    fn from(stop: S) -> Self {
        CopyEnd::Stop(stop.into())
    }
}

/// A thread ended before its work did.
pub(crate) fn panicked() -> Stop {
    TransferError::Internal("a worker died".to_owned()).into()
}
