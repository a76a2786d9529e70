//! What the connection that holds a snapshot sees of its server: how far replication lags, and who waits behind it.
//!
//! The holder's locks conflict only with TRUNCATE, DROP, ALTER and similar. A session that waits for such a lock makes
//! every later session wait in turn, production's and this run's own readers alike (PostgreSQL documentation,
//! "Explicit Locking"), and no server detects that as a deadlock: the holder waits for nothing.

use std::time::Duration;

use postgres::Client;

use crate::pg::{PgError, error::concern, sqlstate::Concern};

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The replication lag, where this server reports it.
    pub lag: Option<Duration>,
    /// Tables on which another session waits for an exclusive lock that the snapshot's holder blocks, by name.
    pub wanted: Vec<Wanted>,
}

/// A table on which another session waits for an exclusive lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `schema.table`.
    pub table: String,
    /// A reader of this run waits behind that session in turn: while both hold on, neither proceeds.
    pub before_a_reader: bool,
}

const HOLDING: &str = "holding the snapshot";
/// On a replica how far it is behind, on a primary how far its slowest replica is.
/// Source: PostgreSQL documentation, "Recovery Information Functions" and "pg_stat_replication".
const REPLICATION_LAG: &str = "SELECT extract(epoch FROM CASE WHEN pg_catalog.pg_is_in_recovery() \
    THEN CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN interval '0' \
    ELSE pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp() END \
    ELSE (SELECT max(replay_lag) FROM pg_catalog.pg_stat_replication) END)::float8";
/// Source: PostgreSQL documentation, "pg_locks" and `pg_blocking_pids`, which also counts those ahead in the queue.
const WANTED: &str = "WITH waiting AS (
        SELECT l.pid, l.relation FROM pg_catalog.pg_locks l
        WHERE NOT l.granted AND l.locktype = 'relation'
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    ), behind AS (
        SELECT pid, relation FROM waiting
        WHERE pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid))
    )
    SELECT b.relation::pg_catalog.regclass::text, bool_or(EXISTS (
        SELECT FROM waiting r JOIN pg_catalog.pg_stat_activity a ON a.pid = r.pid
        WHERE a.application_name = 'walkaway' AND a.usename = current_user
          AND b.pid = ANY (pg_catalog.pg_blocking_pids(r.pid))))
    FROM behind b GROUP BY b.relation ORDER BY 1";

/// A transaction caches what it saw of other sessions (PostgreSQL documentation, "Viewing Statistics").
const SEE_ANEW: &str = "SELECT pg_catalog.pg_stat_clear_snapshot()";

/// Queries both. Fails only when the snapshot is gone.
pub(super) fn look(holder: &mut Client) -> Result<Kept, PgError> {
    probe(holder, |client| client.batch_execute(SEE_ANEW))?;
    let lag = probe(holder, |client| client.query_one(REPLICATION_LAG, &[])?.try_get::<_, Option<f64>>(0))?;
    let wanted = probe(holder, |client| {
        let wanted = client.query(WANTED, &[])?.into_iter();
        wanted.map(|row| Ok(Wanted { table: row.try_get(0)?, before_a_reader: row.try_get(1)? })).collect()
    })?;
    let lag = lag.flatten().and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    Ok(Kept { lag, wanted: wanted.unwrap_or_default() })
}

/// None where the server can't answer: not every server with PostgreSQL's protocol has these functions. Should the
/// query fail, the transaction must continue: the snapshot ends with it.
pub(super) fn probe<T>(
    holder: &mut Client,
    ask: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
) -> Result<Option<T>, PgError> {
    let failed = |error: &postgres::Error| PgError::statement(HOLDING, error);
    holder.batch_execute("SAVEPOINT walkaway_probe").map_err(|error| failed(&error))?;
    let answer = ask(holder);
    // What is lost with the connection is told by the first error alone.
    if let Err(error) = &answer
        && concern(error) == Concern::Session
    {
        return Err(failed(error));
    }
    let back = "ROLLBACK TO SAVEPOINT walkaway_probe; RELEASE SAVEPOINT walkaway_probe";
    holder.batch_execute(back).map_err(|error| failed(&error))?;
    Ok(answer.ok())
}
