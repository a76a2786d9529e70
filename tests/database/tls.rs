//! The own client for bulk rows speaks TLS only with a server that it can be sure of.

use walkaway::pg::{Address, PgError};

use crate::support::PgCluster;

/// The address of the database `postgres` as the superuser, with these parameters.
fn address(server: &PgCluster, host: &str, parameters: &str) -> Address {
    let url = server.url("postgres").replace("127.0.0.1", host);
    Address::parse(&format!("{url}?{parameters}")).unwrap()
}

#[track_caller]
fn refused(address: &Address) -> String {
    match address.wire() {
        Ok(_) => panic!("it was spoken to"),
        Err(error @ PgError::Connect { .. }) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn only_a_server_with_the_right_name_and_ca_is_spoken_to() {
    let server = PgCluster::start();
    let plain = address(&server, "localhost", "sslmode=verify-full");
    assert!(refused(&plain).contains("does not support TLS"), "{}", refused(&plain));

    let ca = server.certified("localhost");
    let roots = format!("sslrootcert={}", ca.display());
    for mode in ["require", "verify-ca", "verify-full"] {
        let mut wire = address(&server, "localhost", &format!("sslmode={mode}&{roots}")).wire().unwrap();
        let sql = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()";
        let rows = wire.query(sql).unwrap();
        assert_eq!(rows[0][0].as_deref(), Some("t"), "{rows:?}");
    }
    // 127.0.0.1 is another name than the certificate's, whatever mode was asked for.
    for mode in ["require", "verify-full"] {
        let said = refused(&address(&server, "127.0.0.1", &format!("sslmode={mode}&{roots}")));
        assert!(said.contains("certificate not valid for name"), "{said}");
    }
    // Nobody that this machine trusts has signed the certificate, and neither has another CA.
    let said = refused(&address(&server, "localhost", "sslmode=verify-full"));
    assert!(said.contains("UnknownIssuer"), "{said}");
    let another = PgCluster::start();
    let other_ca = another.certified("localhost");
    let said =
        refused(&address(&server, "localhost", &format!("sslmode=verify-full&sslrootcert={}", other_ca.display())));
    assert!(said.contains("certificate"), "{said}");
    // A login that is bound to the TLS session, for both clients; a server that can't bind it lets nobody in for long.
    let bound = address(&server, "localhost", &format!("sslmode=verify-full&channel_binding=require&{roots}"));
    assert!(bound.wire().is_ok() && bound.connect().is_ok());
    server.let_in("hostssl all postgres 127.0.0.1/32 trust");
    let said = refused(&bound);
    assert!(said.contains("authenticates without channel binding"), "{said}");
    // Large results pass, too: a record of TLS is smaller than what is read at once.
    let mut wire = address(&server, "localhost", &format!("sslmode=verify-full&{roots}")).wire().unwrap();
    let rows = wire.query("select length(repeat('x', 3000000))::text, repeat('y', 3000000)").unwrap();
    assert_eq!((rows[0][0].as_deref(), rows[0][1].as_ref().unwrap().len()), (Some("3000000"), 3_000_000));
}
