//! Failures of PostgreSQL servers and programs, without secrets and without rows.

use std::error::Error as _;

use postgres::types::WasNull;

use super::{
    sharing::Sharing,
    sqlstate::{self, Concern},
};

/// What went wrong with a PostgreSQL server or program.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The URL can't be parsed. The message never repeats it.
    #[error("the PostgreSQL URL is not valid: {reason}")]
    Url { reason: String },
    /// No connection could be made.
    #[error("connecting to {server}: {reason}")]
    Connect { server: String, reason: String, cause: Unreached },
    /// The server, a pooler, shares its sessions.
    #[error("{server} is a connection pooler: {how}")]
    Pooled { server: String, how: Sharing },
    /// A statement failed.
    #[error("{what}: {reason}")]
    Statement {
        what: String,
        reason: String,
        /// SQLSTATE; none where the error is not from the server.
        code: Option<String>,
        concern: Concern,
    },
    /// A program that comes with PostgreSQL is not on this machine.
    #[error("{program} is neither on the PATH nor in /usr/lib/postgresql/*/bin")]
    NoProgram { program: &'static str },
    /// A program that comes with PostgreSQL failed.
    #[error("{program}: {reason}")]
    Program { program: &'static str, reason: String },
}

/// Why no connection could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The network or the server: it may be available later.
    Way,
    /// No password could be made to show: nothing is known of the server.
    NoPassword,
    /// The password was refused (`28P01`), or there is none.
    Password,
    /// The login was refused for another reason (`28000`): by pg_hba.conf, PAM, IAM.
    Login,
    /// The database isn't there.
    Database,
    /// The login may not connect to the database.
    Right,
    /// The database takes no connections: its owner wants none, or an interrupted DROP left it behind.
    Closed,
    /// The server, or a pooler before it, refuses for a reason that is none of the others.
    Refused,
    /// The certificate, or TLS as a whole.
    Tls,
    /// The server is running, but accepts no connections at this moment.
    NotNow,
    /// The server is there, and can't read the database's files.
    Damaged,
}

impl Unreached {
    /// The cause of an error of the general client.
    pub(super) fn of(error: &postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::of_server(severity(db), db.code().code()),
            None if is_tls(error) => Unreached::Tls,
            None => Unreached::Way,
        }
    }

    /// The cause of a server's refusal.
    pub(super) fn of_server(severity: &str, code: &str) -> Self {
        match (sqlstate::concern(severity, code), code) {
            (Concern::Login, "28P01") => Unreached::Password,
            (Concern::Login, "3D000") => Unreached::Database,
            (Concern::Login, sqlstate::INSUFFICIENT_PRIVILEGE) => Unreached::Right,
            (Concern::Login, _) => Unreached::Login,
            (_, sqlstate::NOT_IN_STATE) => Unreached::Closed,
            (_, code) if sqlstate::is_not_now(code) => Unreached::NotNow,
            (_, code) if sqlstate::is_damage(code) => Unreached::Damaged,
            (_, sqlstate::INTERNAL) => Unreached::Refused,
            _ => Unreached::Way,
        }
    }

    /// Whether a connection may come about later, and with it whatever it is wanted for.
    fn is_passing(self) -> bool {
        matches!(self, Unreached::Way | Unreached::NoPassword | Unreached::NotNow)
    }

    fn hint(self) -> &'static str {
        match self {
            Unreached::Way => {
                "check host and port behind the URL's reference, and that the server is up and reachable from here"
            }
            Unreached::NoPassword => {
                "see that this machine can make the password, which may need credentials of the provider"
            }
            Unreached::Password => "check user and password behind the URL's reference",
            Unreached::Login => {
                "the server does not let this login in: check the user behind the URL's reference and pg_hba.conf; for a \
                 token of IAM, rds-db:connect in the policy, the role rds_iam, and this machine's clock"
            }
            Unreached::Database | Unreached::Right => {
                "check the database's name behind the URL's reference, and that the login may connect"
            }
            Unreached::Closed => {
                "the database takes no connections (datallowconn of pg_database): leave the asset out, or let it take them \
                 (ALTER DATABASE … ALLOW_CONNECTIONS true)"
            }
            Unreached::Refused => {
                "the server gives a reason of its own: see its log; behind a pooler, check user and database behind the \
                 URL's reference"
            }
            Unreached::NotNow => "the server is there: wait until it lets sessions in, or see its log; then run again",
            Unreached::Damaged => DAMAGED,
            Unreached::Tls => {
                "name the server's CA file with ?sslrootcert=… in the URL (`ca` for RDS), or sslmode=disable where the way \
                 is safe without TLS"
            }
        }
    }
}

/// Whether TLS itself refused: its error is somewhere among the causes.
pub(super) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(found) = cause {
        let wrapped = found.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if found.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = found.source();
    }
    false
}

impl PgError {
    /// A statement that failed, with its purpose.
    pub fn statement(what: impl Into<String>, error: &postgres::Error) -> Self {
        let code = error.code().map(|code| code.code().to_owned());
        PgError::Statement { what: what.into(), reason: reason(error), code, concern: concern(error) }
    }

    /// An invalid response, with the purpose of the query.
    pub fn answer(what: impl Into<String>, reason: impl Into<String>) -> Self {
        PgError::Statement { what: what.into(), reason: reason.into(), code: None, concern: Concern::Statement }
    }

    /// Whether the server or the connection was lost, rather than refused.
    pub fn connection_lost(&self) -> bool {
        match self {
            PgError::Connect { cause, .. } => cause.is_passing(),
            PgError::Statement { concern, .. } => *concern == Concern::Session,
            _ => false,
        }
    }

    /// Whether the server says that it lets nobody in yet, or at this moment.
    pub fn is_not_now(&self) -> bool {
        self.unreached() == Some(Unreached::NotNow)
    }

    /// What it is about.
    pub fn concern(&self) -> Concern {
        match self {
            PgError::Statement { concern, .. } => *concern,
            PgError::Connect { cause, .. } if cause.is_passing() => Concern::Session,
            PgError::Connect { .. } | PgError::Pooled { .. } => Concern::Login,
            PgError::Url { .. } | PgError::NoProgram { .. } | PgError::Program { .. } => Concern::Statement,
        }
    }

    /// Whether nothing more succeeds at that server: it is gone, its disk is full, or it no longer accepts the login.
    pub fn ends_all(&self) -> bool {
        matches!(self.concern(), Concern::Session | Concern::Room | Concern::Login)
    }

    /// Whether it is this one database's own trouble, which neither a playbook nor the server as a whole has to do with.
    pub fn is_of_database(&self) -> bool {
        match self {
            PgError::Connect { cause, .. } => *cause == Unreached::Damaged,
            PgError::Statement { code: Some(code), concern: Concern::Statement, .. } => {
                sqlstate::is_damage(code) || code == sqlstate::INTERNAL
            }
            _ => false,
        }
    }

    /// Why no connection came about, if it is that.
    pub fn unreached(&self) -> Option<Unreached> {
        match self {
            PgError::Connect { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// SQLSTATE, where a server refused a statement.
    pub fn code(&self) -> Option<&str> {
        match self {
            PgError::Statement { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// The reason, without the purpose.
    pub fn reason(&self) -> String {
        match self {
            PgError::Statement { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// Whether the wait for a lock timed out.
    pub fn is_lock_not_had(&self) -> bool {
        self.code() == Some(sqlstate::LOCK_NOT_AVAILABLE)
    }

    /// Whether text was refused for its bytes: by the server, or while its answer was decoded here.
    pub fn is_of_encoding(&self) -> bool {
        match self {
            PgError::Statement { code: None, concern: Concern::Statement, .. } => true,
            error => matches!(error.code(), Some(sqlstate::NOT_IN_REPERTOIRE | sqlstate::UNTRANSLATABLE)),
        }
    }

    /// Whether what was to be described may have been dropped meanwhile: a description is null then, or refused.
    pub fn is_of_vanished(&self) -> bool {
        match self {
            PgError::Statement { code: None, concern, .. } => *concern == Concern::Snapshot,
            error => error.code().is_some_and(sqlstate::is_vanished),
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            PgError::Url { .. } => "expected postgres://user:password@host:port/database",
            PgError::Connect { cause, .. } => cause.hint(),
            PgError::Pooled { how, .. } => how.hint(),
            PgError::NoProgram { .. } => {
                "install PostgreSQL (Debian, Ubuntu: apt-get install postgresql), or put its bin on the PATH"
            }
            PgError::Statement { concern: Concern::Room, .. } => {
                "free up space on the target's file system; a database starts again when the run is resumed"
            }
            error if error.is_lock_not_had() => LOCKED,
            PgError::Statement { concern: Concern::Session, .. } => Unreached::Way.hint(),
            PgError::Statement { .. } | PgError::Program { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What to do about a database that its server can't open or read.
pub const DAMAGED: &str = "the server is there, and cannot read files of this database: see the server's log, and restore the database \
                       from a backup, or drill a copy";
/// What to do about a database that an interrupted DROP left behind.
pub const INVALID: &str = "drop it, which is all that can still be done with it, and restore the database from a backup if it is \
                       still wanted";

/// What to do about a lock time-out.
const LOCKED: &str = "see in pg_stat_activity and with pg_blocking_pids() who holds it, and in pg_prepared_xacts whether a \
                      prepared transaction does; run again when no DDL is under way there, or let the drill wait longer \
                      with limits.lock_timeout";

/// The server's message, or the chain of causes. Never the server's DETAIL, which may show a row, and never text that
/// may quote a value.
pub fn reason(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let is_internal = matches!(db.position(), Some(postgres::error::ErrorPosition::Internal { .. }));
        let message = shown(db.code().code(), db.routine().unwrap_or_default(), is_internal, db.message());
        return words(severity(db), db.code().code(), message);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The severity without translation; as printed by servers before version 9.6.
fn severity(db: &postgres::error::DbError) -> &str {
    use postgres::error::Severity;
    match db.parsed_severity() {
        Some(Severity::Panic) => "PANIC",
        Some(Severity::Fatal) => "FATAL",
        Some(Severity::Error) => "ERROR",
        _ => db.severity(),
    }
}

/// The server's message with the SQLSTATE.
pub(super) fn words(severity: &str, code: &str, message: &str) -> String {
    format!("{severity}: {message} (SQLSTATE {code})")
}

/// Server routines that report text from code of the database, under any SQLSTATE: RAISE and ASSERT of PL/pgSQL,
/// errors of PL/Perl, PL/Python and PL/Tcl, and responses of other servers to a foreign table or to dblink.
const SAYS_WHAT_CODE_SAYS: [&str; 11] = [
    "exec_stmt_raise",
    "exec_stmt_assert",
    "plperl_util_elog",
    "do_util_elog",
    "plperl_create_sub",
    "PLy_elog",
    "PLy_elog_impl",
    "throw_tcl_error",
    "pltcl_elog",
    "pgfdw_report_error",
    "dblink_res_error",
];
/// Raised by code, a failed ASSERT, and errors of functions in other languages (classes 38 and 39).
const RAISED: [&str; 4] = ["P0001", "P0004", "38", "39"];
/// SQLSTATE of a statement that can't be parsed.
const SYNTAX_ERROR: &str = "42601";

/// The message as far as it can't hold a value of a row: never that of a data exception (class 22), which quotes the value,
/// nor text from code of the database, nor any of a statement that such code built (`is_internal`).
pub(super) fn shown<'m>(code: &str, routine: &str, is_internal: bool, message: &'m str) -> &'m str {
    if code.starts_with("22") {
        "a value was refused"
    } else if SAYS_WHAT_CODE_SAYS.contains(&routine) || RAISED.iter().any(|raised| code.starts_with(raised)) {
        "code of the database raised an error, whose words may hold data"
    } else if is_internal && code == SYNTAX_ERROR {
        "code of the database put a statement together that cannot be read"
    } else {
        message
    }
}

/// What an error of the general client is about.
pub fn concern(error: &postgres::Error) -> Concern {
    match error.as_db_error() {
        Some(db) => sqlstate::concern(severity(db), db.code().code()),
        None if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) => {
            Concern::Session
        }
        // What is described is visible in the snapshot but dropped by now, or it would have a description.
        None if error.source().is_some_and(|cause| cause.is::<WasNull>()) => Concern::Snapshot,
        None => Concern::Statement,
    }
}

/// Whether nothing succeeds any more without a new connection, or at all: the session is gone, or the disk is full.
pub fn connection_lost(error: &postgres::Error) -> bool {
    matches!(concern(error), Concern::Session | Concern::Room | Concern::Login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_database_costs_itself_only_when_its_own_files_cannot_be_read() {
        for (code, cause, is_of_database, is_passing) in [
            ("53300", Unreached::NotNow, false, true),
            ("57P03", Unreached::NotNow, false, true),
            ("57P01", Unreached::NotNow, false, true),
            ("55000", Unreached::Closed, false, false),
            ("XX000", Unreached::Refused, false, false),
            ("XX001", Unreached::Damaged, true, false),
            ("58P01", Unreached::Damaged, true, false),
            ("58030", Unreached::Damaged, true, false),
            ("3D000", Unreached::Database, false, false),
            ("42501", Unreached::Right, false, false),
            ("28000", Unreached::Login, false, false),
            ("28P01", Unreached::Password, false, false),
            ("08P01", Unreached::Way, false, true),
        ] {
            assert_eq!(Unreached::of_server("FATAL", code), cause, "{code}");
            let error = PgError::Connect { server: String::new(), reason: String::new(), cause };
            assert_eq!((error.is_of_database(), error.connection_lost()), (is_of_database, is_passing), "{code}");
        }
        let statement = |code: &str, severity| PgError::Statement {
            what: String::new(),
            reason: String::new(),
            code: Some(code.to_owned()),
            concern: sqlstate::concern(severity, code),
        };
        for (severity, code, expected) in [
            ("ERROR", "XX000", true),
            ("ERROR", "XX002", true),
            ("ERROR", "58P01", true),
            ("ERROR", "55000", false),
            ("FATAL", "58030", false),
            ("FATAL", "57P01", false),
            ("ERROR", "42P01", false),
        ] {
            assert_eq!(statement(code, severity).is_of_database(), expected, "{severity} {code}");
        }
    }
}
