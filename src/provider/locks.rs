//! The holders of a table's lock: named when the wait for it timed out.

use crate::pg::{Address, PgError, sqlstate::LOCK_NOT_AVAILABLE};

/// Every granted lock that a reader has to wait for, and its holder: a session, or a prepared transaction, which
/// has none; that one is identified by the lock that every transaction holds on its own number.
/// Source: PostgreSQL documentation, "pg_locks" and "pg_prepared_xacts".
const HOLDERS: &str = "SELECT n.nspname || '.' || c.relname, l.pid, p.gid
    FROM pg_catalog.pg_locks l
    JOIN pg_catalog.pg_class c ON c.oid = l.relation
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_locks own ON own.virtualtransaction = l.virtualtransaction AND own.pid IS NOT DISTINCT FROM l.pid
      AND own.locktype = 'transactionid' AND own.granted
    LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = own.transactionid AND l.pid IS NULL
    WHERE l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation >= 16384
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    ORDER BY p.gid NULLS LAST, 1 LIMIT 3";

/// The same error with the holder of the lock, where it is about one and the server still reports it.
pub(super) fn named(address: &Address, error: PgError) -> PgError {
    match error {
        PgError::Statement { what, reason, code, concern } if code.as_deref() == Some(LOCK_NOT_AVAILABLE) => {
            let holders = holders(address).unwrap_or_default();
            let reason = std::iter::once(reason).chain(holders).collect::<Vec<_>>().join("; ");
            PgError::Statement { what, reason, code, concern }
        }
        other => other,
    }
}

/// As text, which session holds which table.
pub(super) fn holders(address: &Address) -> Result<Vec<String>, PgError> {
    let failed = |error| PgError::statement("asking who holds the lock", &error);
    let rows = address.connect_unpinned()?.query(HOLDERS, &[]).map_err(failed)?;
    let sentence = |row: &postgres::Row| {
        let table: String = row.try_get(0)?;
        let (process, prepared): (Option<i32>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        Ok(match (process, prepared) {
            (_, Some(gid)) => format!(
                "{table} is locked by the prepared transaction {gid} (pg_prepared_xacts): commit it, or roll it back"
            ),
            (Some(process), None) => format!("{table} is locked by the session of process {process}"),
            (None, None) => format!("{table} is locked by a prepared transaction (pg_prepared_xacts)"),
        })
    };
    rows.iter().map(sentence).collect::<Result<_, _>>().map_err(failed)
}
