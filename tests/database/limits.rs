//! What the source must not be asked for.

use crate::support::drill::{DATABASE, Drill, LEDGER, PLAIN_DATABASE, READER};

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn no_more_connections_are_opened_than_allowed() {
    let drill = Drill::new().database(PLAIN_DATABASE);
    // The server itself refuses a fourth.
    drill.source().execute("postgres", &format!("alter role {READER} connection limit 3"));
    let settings = "defaults: {database: {parallel: 8, limits: {connections: 3, bytes_per_s: 1MiB}}}";
    let drill = drill.settings(settings);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.asset(LEDGER)["database"]["source_load"]["connections_max"], 3);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_lock_is_waited_for_no_longer_than_allowed() {
    let settings = "defaults: {database: {limits: {lock_timeout: 1s}}}";
    let drill = Drill::new().database(PLAIN_DATABASE).settings(settings);
    let mut client = drill.source().client(DATABASE);
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table notes in access exclusive mode").unwrap();
    let output = drill.prepared(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("lock timeout (SQLSTATE 55P03); public.notes is locked by the session of process"), "{said}");
    drop(lock);

    // Nobody's session holds what a prepared transaction holds.
    drill.source().execute("postgres", "alter system set max_prepared_transactions = 1");
    drill.source().restart();
    let prepared = "begin; lock table notes in access exclusive mode; prepare transaction 'left over'";
    drill.source().execute(DATABASE, prepared);
    let output = drill.prepared(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("public.notes is locked by the prepared transaction left over (pg_prepared_xacts)"),
        "{said}"
    );
}
