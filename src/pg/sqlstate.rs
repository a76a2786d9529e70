//! The scope of a PostgreSQL server error, by its severity and SQLSTATE and never by its text, which is in the
//! server's language. The one table of this kind: what is retried, what costs one table, and what ends an asset
//! follow from it.
//!
//! Source: PostgreSQL documentation, "PostgreSQL Error Codes"; `errcode_for_file_access` in the server's `elog.c`, which
//! gives an unreadable file a code of class 58, 42 or 53.

/// The server's file system is full (`disk_full`).
pub const DISK_FULL: &str = "53100";
/// The wait for a lock timed out (`lock_not_available`).
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// A right is missing, including row-level security's (`insufficient_privilege`).
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// A row does not satisfy a CHECK constraint (`check_violation`).
pub const CHECK_VIOLATION: &str = "23514";
/// A row refers to a missing one (`foreign_key_violation`).
pub const FOREIGN_KEY_VIOLATION: &str = "23503";
/// What the server does not support (`feature_not_supported`).
pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
/// An unusable function, such as an aggregate whose state only a superuser may choose (`invalid_function_definition`).
pub const INVALID_FUNCTION_DEFINITION: &str = "42P13";
/// Bytes that are invalid in the database's encoding (`character_not_in_repertoire`).
pub const NOT_IN_REPERTOIRE: &str = "22021";
/// Text that has no counterpart in the other encoding (`untranslatable_character`).
pub const UNTRANSLATABLE: &str = "22P05";
/// In a read-only transaction, a standby that replays removals by the primary (`serialization_failure`).
pub const SERIALIZATION_FAILURE: &str = "40001";

/// Whether rows are rejected for the bytes or the size of a value, independent of constraints and time.
pub fn is_of_bytes(code: &str) -> bool {
    matches!(code, NOT_IN_REPERTOIRE | UNTRANSLATABLE) || code.starts_with("54") || code.starts_with("XX")
}

/// Whether a server says with it that it can't read what is its own: files that are missing or can't be read, pages and
/// indexes that make no sense. Not `XX000`, which says anything: at a login, that a pooler knows no such tenant.
pub fn is_damage(code: &str) -> bool {
    code.starts_with("58") || matches!(code, "XX001" | "XX002")
}

/// Whether it means that the server accepts no connections now: it is starting, stopping, or out of connections.
pub fn is_not_now(code: &str) -> bool {
    code.starts_with("57P") || code == TOO_MANY_CONNECTIONS
}

/// Whether it may mean that what was to be described no longer exists: no such table, column, function,
/// schema or other object, and an entry of its catalog that is missing, for which it has no code of its own.
pub fn is_vanished(code: &str) -> bool {
    matches!(code, "42P01" | "42703" | "42704" | "42883" | "3F000" | INTERNAL)
}

/// Something is not in the required state (`object_not_in_prerequisite_state`).
pub const NOT_IN_STATE: &str = "55000";
/// Whatever the server did not expect (`internal_error`).
pub const INTERNAL: &str = "XX000";
/// Every connection is in use (`too_many_connections`).
const TOO_MANY_CONNECTIONS: &str = "53300";

/// The scope of an error, and so what may still succeed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// The statement, or the table, row, value, file or page that it is about. The next statement may succeed.
    Statement,
    /// The moment: a lock, a conflict, a cancellation, memory. The same statement may succeed in another attempt.
    Moment,
    /// The space on the server's disk: any write fails.
    Room,
    /// The snapshot: the same statement may succeed under a new one.
    Snapshot,
    /// The session, or the whole server: nothing succeeds without a new connection.
    Session,
    /// The login: a new connection is refused in the same way.
    Login,
}

/// Sorts an error by the severity, not translated, and its SQLSTATE.
pub fn concern(severity: &str, code: &str) -> Concern {
    // Whatever the code: a session that the server ended is gone.
    let is_ended = matches!(severity, "FATAL" | "PANIC");
    match (code.get(..2).unwrap_or_default(), code) {
        // Wrong password, denied by pg_hba.conf; the database doesn't exist, or doesn't allow connections.
        ("28", _) => Concern::Login,
        (_, "3D000" | INSUFFICIENT_PRIVILEGE) if is_ended => Concern::Login,
        _ if is_ended => Concern::Session,
        // What the statement itself tried to reach, such as another server through a foreign table.
        (_, "08001" | "08004") => Concern::Statement,
        ("08", _) => Concern::Session,
        // Idle or in a transaction for too long; ended by an operator, a crash, a start or a DROP DATABASE.
        (_, "25P03" | "25P04" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05") => Concern::Session,
        // Serialization, deadlock, a standby's conflict with recovery.
        ("40", _) => Concern::Moment,
        (_, DISK_FULL) => Concern::Room,
        // A limit that was set for statements, such as temp_file_limit, is not a lack of resources.
        (_, "53400") => Concern::Statement,
        ("53", _) => Concern::Moment,
        (_, LOCK_NOT_AVAILABLE | "55006") => Concern::Moment,
        (_, "57014") => Concern::Moment,
        ("72", _) => Concern::Snapshot,
        // Classes 58 and XX among the rest: one unreadable file, page or tuple is not a lost server.
        _ => Concern::Statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_about_something() {
        use Concern::{Login, Moment, Room, Session, Snapshot, Statement};
        let table = [
            ("ERROR", "03000", Statement, "SQL statement not yet complete"),
            ("ERROR", "08000", Session, "connection exception"),
            ("ERROR", "08001", Statement, "a foreign table's server can't be reached"),
            ("ERROR", "08006", Session, "connection failure, as poolers report it"),
            ("FATAL", "08P01", Session, "protocol violation"),
            ("ERROR", "0A000", Statement, "feature not supported, such as an unlogged table on a standby"),
            ("ERROR", "0L000", Statement, "invalid grantor"),
            ("ERROR", "21000", Statement, "cardinality violation"),
            ("ERROR", "22021", Statement, "an invalid byte"),
            ("ERROR", "22P02", Statement, "a value that its type refuses"),
            ("ERROR", "23514", Statement, "a CHECK constraint"),
            ("ERROR", "25P02", Statement, "a transaction that failed before"),
            ("FATAL", "25P03", Session, "idle_in_transaction_session_timeout"),
            ("FATAL", "25P04", Session, "transaction_timeout"),
            ("FATAL", "28P01", Login, "wrong password"),
            ("FATAL", "28000", Login, "no entry in pg_hba.conf"),
            ("ERROR", "2BP01", Statement, "dependent objects"),
            ("ERROR", "34000", Statement, "no such cursor"),
            ("ERROR", "3D000", Statement, "no such database, in a statement"),
            ("FATAL", "3D000", Login, "no such database, at the start"),
            ("ERROR", "3F000", Statement, "no such schema"),
            ("ERROR", "40001", Moment, "conflict with recovery"),
            ("FATAL", "40001", Session, "terminated by a conflict with recovery"),
            ("ERROR", "40P01", Moment, "deadlock"),
            ("ERROR", "42501", Statement, "a right is missing"),
            ("FATAL", "42501", Login, "no CONNECT"),
            ("ERROR", "42809", Statement, "wrong kind of object, or ENOTDIR of a file"),
            ("ERROR", "42883", Statement, "no such function"),
            ("ERROR", "44000", Statement, "WITH CHECK OPTION"),
            ("ERROR", "53000", Moment, "too many open files"),
            ("ERROR", "53100", Room, "disk full"),
            ("ERROR", "53200", Moment, "out of memory"),
            ("FATAL", "53300", Session, "too many connections"),
            ("ERROR", "53400", Statement, "temp_file_limit"),
            ("ERROR", "54000", Statement, "a row that is too long"),
            ("ERROR", "55000", Statement, "a view that was never refreshed"),
            ("ERROR", "55006", Moment, "object in use"),
            ("ERROR", "55P03", Moment, "lock_timeout"),
            ("ERROR", "57014", Moment, "canceled"),
            ("FATAL", "57P01", Session, "admin shutdown"),
            ("FATAL", "57P03", Session, "starting up"),
            ("FATAL", "57P05", Session, "idle_session_timeout"),
            ("ERROR", "58000", Statement, "system error"),
            ("ERROR", "58030", Statement, "a file that can't be read"),
            ("ERROR", "58P01", Statement, "a missing file, or a transaction's status"),
            ("PANIC", "58030", Session, "the write-ahead log can't be written"),
            ("ERROR", "72000", Snapshot, "snapshot too old"),
            ("ERROR", "F0000", Statement, "configuration file"),
            ("ERROR", "HV000", Statement, "foreign data"),
            ("ERROR", "P0001", Statement, "raised by a function"),
            ("ERROR", "XX000", Statement, "internal error, such as a value that is too large"),
            ("ERROR", "XX001", Statement, "a damaged page or TOAST value"),
            ("ERROR", "XX002", Statement, "a damaged index"),
            ("FATAL", "XX000", Session, "whatever ended the session"),
            ("ERROR", "", Statement, "no code at all"),
            ("ERROR", "Ω9", Statement, "a code that is none"),
        ];
        for (severity, code, about, words) in table {
            assert_eq!(concern(severity, code), about, "{severity} {code}: {words}");
        }
    }
}
