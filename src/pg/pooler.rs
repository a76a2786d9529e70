//! Whether a connection has a session of the server for itself.
//!
//! A pooler that hands sessions on between transactions gives what is set in one to others: an application that is
//! served by it next would find our `search_path`, and we another's settings under our rows. pg_dump sets its session,
//! too. So before anything is set, it is asked who serves: two connections that are open at once have two server
//! processes, and each keeps its own. No question sets anything; each is a transaction of its own, as a pooler that
//! takes only single statements wants it.
//!
//! A pooler that gives a session for as long as a connection lasts serves well, as long as it cleans what it gets back.

use std::fmt;

use super::{
    Address, PgError,
    wire::{Wire, WireError},
};

/// Connections beside the first: where a pooler has several processes, any two of these may meet in one.
const MORE_CONNECTIONS: usize = 3;
/// How often sessions are looked for that were handed back unclean.
const RETURNS: usize = 2;
const ASK: &str = "SELECT pg_catalog.pg_backend_pid()";
/// A setting that nobody has, and nobody reads.
const MARK: &str = "SET walkaway.mark = 'set'";
const MARKED: &str = "SELECT pg_catalog.current_setting('walkaway.mark', true)";
const UNMARK: &str = "RESET walkaway.mark";

/// How sessions are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One server process serves several connections, transaction by transaction.
    Transactions,
    /// One after the other, with what was set in it.
    Unclean,
    /// There are fewer than a run needs.
    Few,
}

impl Sharing {
    pub(super) fn hint(self) -> &'static str {
        match self {
            Sharing::Transactions => {
                "name the server itself, or a pool that gives a session to each client (pgbouncer: a database entry with \
                 pool_mode=session; Supabase, Neon: the direct or the session endpoint; RDS Proxy: the instance's own endpoint)"
            }
            Sharing::Unclean => {
                "name the server itself, or let the pooler clean sessions (pgbouncer: server_reset_query = DISCARD ALL)"
            }
            Sharing::Few => {
                "name the server itself, or give the pool at least as many sessions as the run has connections"
            }
        }
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sharing::Transactions => {
                "one server process serves several connections in turn, so that settings of a drill would reach the \
                 applications that share it; nothing was set"
            }
            Sharing::Unclean => {
                "it hands on sessions without cleaning them, so that settings of a drill would reach the applications that \
                 get them next"
            }
            Sharing::Few => "it has no session left for a second connection",
        })
    }
}

/// Refuses an address whose connections share sessions.
pub(super) fn refuse_shared(address: &Address) -> Result<(), PgError> {
    let mut one = address.open_wire()?;
    let process = ask(address, &mut one)?;
    let mut seen = vec![process];
    let is_direct = one.greeting().process == Some(process);
    if ask(address, &mut one)? != process {
        return Err(pooled(address, Sharing::Transactions));
    }
    let mut others = Vec::new();
    for _ in 0..if is_direct { 1 } else { MORE_CONNECTIONS } {
        let mut other = address.open_wire()?;
        let process = ask(address, &mut other)?;
        if seen.contains(&process) || ask(address, &mut other)? != process {
            return Err(pooled(address, Sharing::Transactions));
        }
        seen.push(process);
        others.push(other);
    }
    if ask(address, &mut one)? != process {
        return Err(pooled(address, Sharing::Transactions));
    }
    drop(others);
    if is_direct { Ok(()) } else { refuse_unclean(address, one) }
}

/// A session that was marked must not come back with its mark.
fn refuse_unclean(address: &Address, mut wire: Wire) -> Result<(), PgError> {
    execute(address, &mut wire, MARK)?;
    drop(wire);
    let mut found = Vec::new();
    for _ in 0..RETURNS {
        let mut again = address.open_wire()?;
        let answer = answer(address, &mut again, MARKED)?;
        if answer.is_some_and(|mark| !mark.is_empty()) {
            execute(address, &mut again, UNMARK)?;
            return Err(pooled(address, Sharing::Unclean));
        }
        found.push(again);
    }
    Ok(())
}

fn pooled(address: &Address, how: Sharing) -> PgError {
    PgError::Pooled { server: address.to_string(), how }
}

/// The server process that serves this statement.
fn ask(address: &Address, wire: &mut Wire) -> Result<u32, PgError> {
    let process = answer(address, wire, ASK)?.and_then(|process| process.parse().ok());
    process.ok_or_else(|| PgError::answer(ASKING, "the server's answer is no number"))
}

const ASKING: &str = "asking which process of the server serves the connection";

fn answer(address: &Address, wire: &mut Wire, sql: &str) -> Result<Option<String>, PgError> {
    let rows = wire.ask(sql).map_err(|error| failed(address, error))?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()?))
}

fn execute(address: &Address, wire: &mut Wire, sql: &str) -> Result<(), PgError> {
    wire.execute(sql).map_err(|error| failed(address, error))
}

/// A pooler without a session to give keeps a connection waiting.
fn failed(address: &Address, error: WireError) -> PgError {
    match error {
        WireError::Stalled(_) => pooled(address, Sharing::Few),
        other => other.during(ASKING),
    }
}
