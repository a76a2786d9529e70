//! Which processes of a server are at work, as another connection sees them.

use super::{liveness::Answer, wire::Wire};

/// Asks for processes of the server. One waits for its client between two statements, and when it can't send what it has.
/// Of another login's it shows no state (PostgreSQL documentation, "pg_stat_activity").
pub(super) fn at_work(wire: &mut Wire, processes: &[u32]) -> Answer {
    let numbers: Vec<_> = processes.iter().map(u32::to_string).collect();
    let sql = format!(
        "SELECT a.pid FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY ('{{{}}}'::pg_catalog.int4[]) \
         AND (a.state IS NULL OR a.state NOT LIKE 'idle%' AND a.wait_event_type IS DISTINCT FROM 'Client')",
        numbers.join(",")
    );
    match wire.ask(&sql) {
        Ok(rows) => Answer::There(Some(rows.iter().filter_map(|row| row.first()?.as_deref()?.parse().ok()).collect())),
        Err(error) if error.code().is_some() => Answer::There(None),
        Err(_) => Answer::Silence,
    }
}
