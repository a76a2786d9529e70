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

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
        sync::Arc,
    };

    use super::*;
    use crate::pg::{
        Address, PgError,
        address::{Passwords, Proof, Remote, Via},
        error::Unreached,
        tls::Roots,
    };

    struct NoPasswords;

    impl Passwords for NoPasswords {
        fn next(&self) -> Result<String, PgError> {
            Err(PgError::answer("making a password", "no credentials"))
        }
    }

    #[test]
    fn a_password_that_cannot_be_made_says_nothing_of_the_server() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let address = Address::remote(Remote {
            host: "db.example".into(),
            port: 5432,
            database: "shop".into(),
            user: "reader".into(),
            proof: Proof::Made(Arc::new(NoPasswords)),
            roots: Roots::System,
            via: Some(Via { host: "127.0.0.1".into(), port }),
        });
        let error = address.connect_unpinned().err().expect("no password");
        assert_eq!(error.unreached(), Some(Unreached::NoPassword));
        assert!(error.connection_lost() && error.to_string().contains("no credentials"), "{error}");
        // A server that answers, if only that it has no TLS; then none.
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.read_exact(&mut [0; 8]).and_then(|()| stream.write_all(b"N")).expect("a request for TLS");
        });
        assert_eq!(address.answer(&[]), Answer::There(None));
        server.join().expect("a server");
        assert_eq!(address.answer(&[]), Answer::Silence);
    }
}
