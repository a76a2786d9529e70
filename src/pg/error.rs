//! Failures of PostgreSQL servers and programs, without secrets and without rows.

use std::error::Error as _;

/// What went wrong with a PostgreSQL server or program.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The URL can't be understood. The message never repeats it.
    #[error("the PostgreSQL URL is not valid: {reason}")]
    Url { reason: String },
    /// No connection came about.
    #[error("connecting to {server}: {reason}")]
    Connect { server: String, reason: String },
    /// A statement failed.
    #[error("{what}: {reason}")]
    Statement { what: String, reason: String, connection_lost: bool },
    /// A program that comes with PostgreSQL is not on this machine.
    #[error("{program} is neither on the PATH nor in /usr/lib/postgresql/*/bin")]
    NoProgram { program: &'static str },
    /// A program that comes with PostgreSQL failed.
    #[error("{program}: {reason}")]
    Program { program: &'static str, reason: String },
}

impl PgError {
    /// A statement that failed, with what it was for.
    pub fn statement(what: impl Into<String>, error: &postgres::Error) -> Self {
        PgError::Statement { what: what.into(), reason: reason(error), connection_lost: connection_lost(error) }
    }

    /// Whether the server or the way to it went away, rather than refused.
    pub fn connection_lost(&self) -> bool {
        matches!(self, PgError::Connect { .. } | PgError::Statement { connection_lost: true, .. })
    }

    /// Whether a lock was waited for in vain, by a statement or by pg_dump.
    pub fn is_lock_not_had(&self) -> bool {
        matches!(self, PgError::Program { reason, .. } | PgError::Statement { reason, .. } if reason.contains("lock timeout"))
    }

    /// What to do next, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            PgError::Url { .. } => Some("expected postgres://user:password@host:port/database".to_owned()),
            PgError::Connect { reason, .. } => Some(connect_hint(reason)),
            PgError::NoProgram { .. } => Some(
                "install PostgreSQL (Debian, Ubuntu: apt-get install postgresql), or put its bin on the PATH".into(),
            ),
            PgError::Program { reason, .. } | PgError::Statement { reason, .. }
                if ["No space left on device", "could not extend file"].iter().any(|words| reason.contains(words)) =>
            {
                Some(
                    "make room on the target's file system; a database starts again when the run is resumed".to_owned(),
                )
            }
            error if error.is_lock_not_had() => Some(LOCKED.to_owned()),
            PgError::Program { reason, .. }
                if ["server closed", "connection to"].iter().any(|w| reason.contains(w)) =>
            {
                Some(connect_hint(reason))
            }
            PgError::Statement { connection_lost: true, reason, .. } => Some(connect_hint(reason)),
            PgError::Statement { .. } | PgError::Program { .. } => None,
        }
    }
}

/// What to do about a lock that was waited for in vain.
const LOCKED: &str = "see in pg_stat_activity and with pg_blocking_pids() who holds it; run again when no DDL is under way \
                      there, or let the drill wait longer with limits.lock_timeout";

fn connect_hint(reason: &str) -> String {
    let advice = if reason.contains("authentication failed") && !reason.contains("password") {
        "a token of IAM was refused: check rds-db:connect in the policy, the role rds_iam, and this machine's clock"
    } else if reason.contains("password") {
        "check user and password behind the URL's reference"
    } else if reason.contains("does not exist") {
        "check the database's name behind the URL's reference"
    } else if reason.contains("certificate") || reason.contains("TLS") {
        "name the server's CA file with ?sslrootcert=… in the URL (`ca` for RDS), or sslmode=disable where the way is safe without TLS"
    } else {
        "check host and port behind the URL's reference, and that the server is up and reachable from here"
    };
    advice.to_owned()
}

/// The server's own words, or the chain of causes. Never the server's DETAIL, which may show a row, and never the words
/// of a data exception (class 22) or of a function that raises one (P0001), which may quote a value.
pub fn reason(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return told(db.severity(), db.code().code(), db.message());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The server's words, as far as they can't show a row.
pub(super) fn told(severity: &str, code: &str, message: &str) -> String {
    match code.starts_with("22") || code == "P0001" {
        true => format!("{severity}: a value was refused (SQLSTATE {code})"),
        false => format!("{severity}: {message}"),
    }
}

/// Whether the server as a whole failed, or the way to it, rather than one statement: no connection, no resources
/// (class 53, which a full disk belongs to), an operator or crash (57P), a system error (58).
/// Source: PostgreSQL documentation, "PostgreSQL Error Codes".
pub fn connection_lost(error: &postgres::Error) -> bool {
    error.code().map_or_else(
        || error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()),
        |code| code_ends_all(code.code()),
    )
}

/// Whether an SQLSTATE says that the server as a whole failed.
pub(super) fn code_ends_all(code: &str) -> bool {
    ["53", "57P", "58", "08"].iter().any(|class| code.starts_with(class))
}
