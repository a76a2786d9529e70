//! Whether a connection has a server session of its own.
//!
//! A pooler that shares sessions between transactions leaks the settings of one to others: an application that is
//! served by it next would find our `search_path`, and we another's settings under our rows. pg_dump sets its session,
//! too. So before anything is set, the backends are queried: two connections that are open at once have two server
//! processes, and each keeps its own. No query sets anything; each is a transaction of its own, as a pooler that
//! allows only single statements requires.
//!
//! A pooler that assigns a session for as long as a connection lasts is usable, as long as it resets returned sessions.

use super::{
    error::PgError,
    sharing::Sharing,
    wire::{Wire, WireError},
};

/// Connections beside the first: where a pooler has several processes, any two of these may reach the same one.
const MORE_CONNECTIONS: usize = 3;
/// How often sessions are checked for settings that were not reset.
const RETURNS: usize = 2;
pub(super) const ASK: &str = "SELECT pg_catalog.pg_backend_pid()";
/// A setting that nothing else sets or reads.
const MARK: &str = "SET walkaway.mark = 'set'";
const MARKED: &str = "SELECT pg_catalog.current_setting('walkaway.mark', true)";
const UNMARK: &str = "RESET walkaway.mark";

/// Refuses a server whose connections share sessions; `open` makes one more connection to it. Returns whether it is the
/// server itself that answers.
pub(super) fn refuse_shared(server: &str, open: impl Fn() -> Result<Wire, PgError>) -> Result<bool, PgError> {
    let mut one = open()?;
    let process = ask(server, &mut one)?;
    let mut seen = vec![process];
    let is_direct = one.greeting().process == Some(process);
    if ask(server, &mut one)? != process {
        return Err(pooled(server, Sharing::Transactions));
    }
    let mut others = Vec::new();
    for _ in 0..if is_direct { 1 } else { MORE_CONNECTIONS } {
        let mut other = open()?;
        let process = ask(server, &mut other)?;
        if seen.contains(&process) || ask(server, &mut other)? != process {
            return Err(pooled(server, Sharing::Transactions));
        }
        seen.push(process);
        others.push(other);
    }
    if ask(server, &mut one)? != process {
        return Err(pooled(server, Sharing::Transactions));
    }
    drop(others);
    if !is_direct {
        refuse_unclean(server, open, one)?;
    }
    Ok(is_direct)
}

/// A session that was marked must not be returned with its mark.
fn refuse_unclean(server: &str, open: impl Fn() -> Result<Wire, PgError>, mut wire: Wire) -> Result<(), PgError> {
    execute(server, &mut wire, MARK)?;
    drop(wire);
    let mut found = Vec::new();
    for _ in 0..RETURNS {
        let mut again = open()?;
        let answer = answer(server, &mut again, MARKED)?;
        if answer.is_some_and(|mark| !mark.is_empty()) {
            execute(server, &mut again, UNMARK)?;
            return Err(pooled(server, Sharing::Unclean));
        }
        found.push(again);
    }
    Ok(())
}

fn pooled(server: &str, how: Sharing) -> PgError {
    PgError::Pooled { server: server.to_owned(), how }
}

/// The server process that serves this statement.
pub(super) fn ask(server: &str, wire: &mut Wire) -> Result<u32, PgError> {
    let process = answer(server, wire, ASK)?.and_then(|process| process.parse().ok());
    process.ok_or_else(|| PgError::answer(ASKING, "the server's answer is no number"))
}

pub(super) const ASKING: &str = "asking which process of the server serves the connection";

fn answer(server: &str, wire: &mut Wire, sql: &str) -> Result<Option<String>, PgError> {
    let rows = wire.ask(sql).map_err(|error| failed(server, error))?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()?))
}

fn execute(server: &str, wire: &mut Wire, sql: &str) -> Result<(), PgError> {
    wire.execute(sql).map_err(|error| failed(server, error))
}

/// A pooler without a free session keeps a connection waiting.
fn failed(server: &str, error: WireError) -> PgError {
    match error {
        WireError::Stalled(_) => pooled(server, Sharing::Few),
        other => other.during(ASKING),
    }
}
