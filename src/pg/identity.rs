//! The identity of the server that answers: two names, or two routes, may lead to one.

use std::{collections::BTreeSet, net::ToSocketAddrs as _};

use super::{Address, PgError};

/// What identifies a server, as far as this login may read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Drawn by initdb; replicas and physical copies keep it (PostgreSQL documentation, "Control Data Functions").
    system: Option<i64>,
    /// When the server was started, in microseconds since 1970.
    started: Option<i64>,
}

impl ServerIdentity {
    /// Queries a server. What it does not reveal stays unknown.
    pub fn ask(address: &Address) -> Result<Self, PgError> {
        let mut client = address.connect_unpinned()?;
        let mut number = |sql: &str| client.query_one(sql, &[]).ok().and_then(|row| row.try_get(0).ok());
        Ok(ServerIdentity {
            system: number("SELECT system_identifier FROM pg_catalog.pg_control_system()"),
            started: number("SELECT (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::int8"),
        })
    }

    /// Why the two are one server; `None` when they are two, and an error when that can't be determined.
    fn shared(self, other: Self) -> Result<Option<String>, Unknown> {
        match (self.system, other.system, self.started, other.started) {
            (Some(one), Some(two), ..) => Ok((one == two).then(|| format!("both have the system identifier {one}"))),
            (.., Some(one), Some(two)) => Ok((one == two).then(|| "both were started in the same microsecond".into())),
            _ => Err(Unknown),
        }
    }
}

/// Address and identity of a server, in one line: copies of a server have its identifier, and a pooler may lead to
/// several servers at one address.
///
/// # Errors
/// It can't be reached.
pub fn origin(address: &Address) -> Result<String, PgError> {
    let system = ServerIdentity::ask(address)?.system.map(|number| format!(" {number}"));
    Ok(format!("{}{}", address.database(""), system.unwrap_or_default()))
}

/// Nothing that both servers reveal distinguishes them.
struct Unknown;

/// Why two addresses lead to one server, if they do. Servers that don't reveal it are identified by their addresses.
pub fn why_same(one: &Address, other: &Address) -> Option<String> {
    let ask = |address| ServerIdentity::ask(address).unwrap_or_default();
    match ask(one).shared(ask(other)) {
        Ok(why) => why,
        Err(Unknown) => {
            let theirs = places(other);
            let shared = places(one).into_iter().find(|place| theirs.contains(place))?;
            Some(format!("both names lead to {shared}"))
        }
    }
}

/// Names and addresses, each with its port.
fn places(address: &Address) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for (host, port) in address.ways() {
        places.insert(format!("{}:{port}", host.trim_end_matches('.').to_ascii_lowercase()));
        if !host.starts_with('/') {
            let found = (host.as_str(), port).to_socket_addrs();
            places.extend(found.into_iter().flatten().map(|place| place.to_string()));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(one: (Option<i64>, Option<i64>), two: (Option<i64>, Option<i64>)) -> Option<bool> {
        let of = |(system, started)| ServerIdentity { system, started };
        of(one).shared(of(two)).ok().map(|why| why.is_some())
    }

    #[test]
    fn the_identifier_decides_where_both_tell_it() {
        assert_eq!(shared((Some(1), Some(5)), (Some(1), Some(6))), Some(true), "a replica");
        assert_eq!(shared((Some(1), Some(5)), (Some(2), Some(5))), Some(false));
        assert_eq!(shared((None, Some(5)), (Some(2), Some(5))), Some(true));
        assert_eq!(shared((None, Some(5)), (Some(2), Some(6))), Some(false));
        assert_eq!(shared((None, None), (Some(2), Some(6))), None);
    }

    #[test]
    fn servers_that_do_not_answer_are_known_by_where_they_are() {
        let why = |one: &str, two: &str| {
            let parse = |place: &str| Address::parse(&format!("postgres://u@{place}/d")).expect("valid");
            why_same(&parse(one), &parse(two))
        };
        // Port 1 of this machine: nobody listens.
        assert!(why("127.0.0.1:1", "localhost:1").is_some() && why("127.0.0.1:1", "127.0.0.1:1").is_some());
        assert_eq!(why("127.0.0.1:1", "127.0.0.1:2"), None);
    }
}
