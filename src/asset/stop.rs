//! Why the work on an asset ended early, sorted by what ends with it.

use crate::{
    evidence::{EvidenceError, JournalError},
    pg::PgError,
    record::error::EngineError,
    restore::{cluster::ClusterError, database::TargetError},
    transfer::error::{KEPT, SinkError, SourceError, TransferError},
};

/// What is done about an outage.
const AWAY_HINT: &str = "see whether the provider can be reached, then resume the run, or seal it as it stands with \
                         --seal; `limits.stall` says how long an outage is waited for";

/// An early end.
#[derive(Debug)]
pub enum Stop {
    /// A stop was requested; nothing else is started.
    Interrupted,
    /// This asset can't continue now; others can, and a resumed run tries again.
    Asset {
        /// What happened, to what.
        reason: String,
        /// What to do next, where that is known.
        hint: Option<String>,
    },
    /// The same because a database's server or the connection to it was lost: once it is back, work may be restarted.
    Away {
        /// What happened, to what.
        reason: String,
        /// What to do next, where that is known.
        hint: Option<String>,
    },
    /// Evidence can't be written; nothing can continue.
    Run(EngineError),
}

impl Stop {
    /// The same for a database, of which nothing is kept: its snapshot is gone with its connection.
    pub fn of_database(self) -> Self {
        match self {
            Stop::Asset { reason, hint } | Stop::Away { reason, hint } => {
                let hint = hint.map(|hint| hint.replace(KEPT, "a database starts again when the run is resumed"));
                Stop::Asset { reason, hint }
            }
            other => other,
        }
    }
}

impl From<TransferError> for Stop {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Interrupted => Stop::Interrupted,
            TransferError::Sink(error) => error.into(),
            TransferError::Source(error) | TransferError::Away(error) => error.into(),
            unanswered @ TransferError::Unanswered { .. } => Stop::Asset {
                reason: unanswered.to_string(),
                hint: Some(format!("resume the run, which has the unit run again; {KEPT}")),
            },
            TransferError::Internal(what) => Stop::Run(EngineError::Internal(what)),
        }
    }
}

impl From<SinkError> for Stop {
    fn from(error: SinkError) -> Self {
        let reason = error.to_string();
        let hint = error.hint();
        if error.is_away() { Stop::Away { reason, hint } } else { Stop::Asset { reason, hint } }
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        let hint = match &error {
            SourceError::Credentials { .. } | SourceError::NoCredentials { .. } => {
                Some("renew the credentials, then resume the run; what is finished is kept".to_owned())
            }
            SourceError::ClockSkew { .. } => {
                Some("set this machine's clock (NTP), then resume the run; what is finished is kept".to_owned())
            }
            SourceError::Elsewhere { .. } => Some("name that region first in provider.aws.regions".to_owned()),
            error => error.is_transient().then(|| AWAY_HINT.to_owned()),
        };
        Stop::Asset { reason: error.to_string(), hint }
    }
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Self {
        let reason = error.to_string();
        let hint = error.hint();
        if error.connection_lost() { Stop::Away { reason, hint } } else { Stop::Asset { reason, hint } }
    }
}

impl From<TargetError> for Stop {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Pg(error) => error.into(),
            occupied => Stop::Asset { reason: occupied.to_string(), hint: None },
        }
    }
}

impl From<ClusterError> for Stop {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Pg(error) => error.into(),
            error => Stop::Asset { hint: error.hint(), reason: error.to_string() },
        }
    }
}

impl From<EvidenceError> for Stop {
    fn from(error: EvidenceError) -> Self {
        Stop::Run(error.into())
    }
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Stop::Run(error.into())
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Stop::Run(error)
    }
}
