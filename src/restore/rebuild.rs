//! Builds indexes and constraints several at a time, before the rest of the schema comes in its order.
//!
//! This only runs ahead: what fails here is retried at its place in the script, and that result counts.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use super::script::{Entry, Script};
use crate::pg::{Address, PgError, wire::Wire};

/// A smaller index is not worth starting several processes.
const LARGE_BYTES: u64 = 128 << 20;

/// Builds what can be built in parallel. Returns what is still to be done, in its order.
pub(super) fn build_independent_entries(script: Script, owner: &Address, workers: usize) -> Result<Script, PgError> {
    let ahead: Vec<_> = script.entries.iter().enumerate().filter(|(_, entry)| is_independent(&entry.kind)).collect();
    let done = if ahead.is_empty() { BTreeSet::new() } else { build(&script, owner, workers, ahead)? };
    // Event triggers come last of all, see `elevated`.
    let is_left = |place: &usize, entry: &Entry| !done.contains(place) && !is_event_trigger(entry);
    let left = script.entries.iter().enumerate().filter(|(place, entry)| is_left(place, entry));
    let entries = left.map(|(_, entry)| entry.clone()).collect();
    Ok(Script { entries, ..script })
}

/// Returns the places of those that were built; others may need what comes before them.
fn build(
    script: &Script,
    owner: &Address,
    workers: usize,
    entries: Vec<(usize, &Entry)>,
) -> Result<BTreeSet<usize>, PgError> {
    let sizes = sizes(owner, &entries)?;
    let large = sizes.iter().filter(|bytes| **bytes >= LARGE_BYTES).count();
    let mut by_size: Vec<_> = sizes.into_iter().zip(entries).collect();
    by_size.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let workers = workers.clamp(1, by_size.len().max(1));
    let helpers = processors() / large.clamp(1, workers) - 1;
    let queue = Mutex::new(by_size.into_iter().map(|(_, entry)| entry));
    let done = Mutex::new(BTreeSet::new());
    let work = || run_workers(|| connect(script, owner, helpers), &queue, &done);
    let ends: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(()))).collect()
    });
    ends.into_iter().collect::<Result<(), PgError>>()?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn run_workers<'e>(
    connect: impl Fn() -> Result<Wire, PgError>,
    queue: &Mutex<impl Iterator<Item = (usize, &'e Entry)>>,
    done: &Mutex<BTreeSet<usize>>,
) -> Result<(), PgError> {
    let mut wire: Option<Wire> = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some((place, entry)) = next else { return Ok(()) };
        let wire = match &mut wire {
            Some(wire) => wire,
            none => none.insert(connect()?),
        };
        match wire.query(&entry.sql) {
            Ok(_) => {
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
            }
            Err(error) if error.ends_all() => return Err(error.during("building indexes")),
            Err(error) => tracing::debug!(%error, entry = entry.title, "left for later"),
        }
    }
}

fn connect(script: &Script, owner: &Address, helpers: usize) -> Result<Wire, PgError> {
    let mut wire = script.session(owner)?;
    let set = format!("SET max_parallel_maintenance_workers = {helpers}");
    wire.execute(&set).map_err(|error| error.during("preparing to build indexes"))?;
    Ok(wire)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An event trigger, or a comment on one.
fn is_event_trigger(entry: &Entry) -> bool {
    entry.kind == "EVENT TRIGGER" || entry.title.starts_with("COMMENT EVENT TRIGGER ")
}

/// An index or a constraint that is based on one. Each locks its own table and nothing else, so that no cyclic
/// wait is possible.
fn is_independent(kind: &str) -> bool {
    ["INDEX", "CONSTRAINT"].contains(&kind)
}

/// The sizes of the tables that the entries are about; 0 where that is unknown.
fn sizes(owner: &Address, entries: &[(usize, &Entry)]) -> Result<Vec<u64>, PgError> {
    let tables: Vec<&str> = entries.iter().map(|(_, entry)| table_of(&entry.sql).unwrap_or_default()).collect();
    let sql = "SELECT coalesce(pg_catalog.pg_relation_size(pg_catalog.to_regclass(t)), 0) \
               FROM unnest($1::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n";
    let rows = owner.connect()?.query(sql, &[&tables]).unwrap_or_default();
    let mut sizes: Vec<_> =
        rows.iter().map(|row| row.try_get::<_, i64>(0).unwrap_or_default().unsigned_abs()).collect();
    sizes.resize(entries.len(), 0);
    Ok(sizes)
}

/// The table's name as the statement spells it.
fn table_of(sql: &str) -> Option<&str> {
    let rest = match sql.split_once("ALTER TABLE ") {
        Some((before, rest)) if !before.contains("CREATE ") => rest,
        _ => sql.split_once(" ON ")?.1,
    };
    let rest = rest.strip_prefix("ONLY ").unwrap_or(rest);
    // A quote inside a name is doubled, which opens and closes once more.
    let mut quoted = false;
    let end = rest.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_whitespace()
    });
    Some(&rest[..end.unwrap_or(rest.len())]).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_as_the_statement_spells_it() {
        for (sql, table) in [
            ("\nCREATE UNIQUE INDEX \"a b\" ON ONLY s.\"x \"\" y\" USING btree (id);", "s.\"x \"\" y\""),
            ("ALTER TABLE ONLY \"Größen\".\"zwei Maße\"\n    ADD CONSTRAINT k UNIQUE (a);", "\"Größen\".\"zwei Maße\""),
        ] {
            assert_eq!(table_of(sql), Some(table));
        }
    }

    #[test]
    fn only_what_locks_one_table_goes_ahead() {
        assert!(is_independent("INDEX") && is_independent("CONSTRAINT"));
        for kind in ["INDEX ATTACH", "FK CONSTRAINT", "CHECK CONSTRAINT", "TRIGGER", "MATERIALIZED VIEW DATA", ""] {
            assert!(!is_independent(kind), "{kind}");
        }
    }
}
