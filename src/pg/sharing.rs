//! How a pooler shares the sessions of its server, and what to do about it.

use std::fmt;

/// How sessions are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One server process serves several connections, transaction by transaction.
    Transactions,
    /// One connection after the other, without resetting the session.
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
