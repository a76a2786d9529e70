//! A target that is the source server itself is refused before anything is written, whatever way leads to it.

use crate::support::{PgCluster, disturb::Drill, disturb::Gate};

const PLAYBOOK: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {url: "env:TARGET", trust_source: true}}
evidence: {path: evidence/}
assets:
  - {id: tinycopy, postgres: {url: "env:SOURCE"}}
"#;

/// The names of the server's databases.
fn databases(server: &PgCluster) -> Vec<String> {
    let names = server.client("postgres").query("select datname::text from pg_database order by 1", &[]).unwrap();
    names.iter().map(|row| row.get(0)).collect()
}

fn assert_refused(server: &PgCluster, source: &str, target: &str) -> String {
    let before = databases(server);
    let drill = Drill::new(PLAYBOOK).with("SOURCE", source).with("TARGET", target);
    let ended = drill.run().expect(2);
    let said = ended.stderr;
    assert!(
        said.contains("asset tinycopy: target.postgres") && said.contains("is the server that it is read"),
        "{said}"
    );
    assert!(said.contains("managed: true"), "{said}");
    assert_eq!(databases(server), before, "something was written to the provider");
    assert!(!drill.join("restored").join("drill").exists() && drill.runs().is_empty(), "a run was begun");
    said
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_server_as_its_own_target_is_refused_under_every_name() {
    let server = PgCluster::start();
    server.execute("postgres", "create database tiny");
    server.execute("tiny", "create table t (a int); insert into t values (1)");
    let source = server.url("tiny");
    let gate = Gate::before(&server.url("postgres"));
    let target = server.url("postgres");
    for target in [target.clone(), target.replace("127.0.0.1", "localhost"), gate.through(&target)] {
        let said = assert_refused(&server, &source, &target);
        assert!(said.contains("system identifier"), "{said}");
    }
}

/// Where the identifier is kept from the login, the time of the start tells.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_server_that_keeps_its_identifier_is_known_all_the_same() {
    let server = PgCluster::start();
    server.execute("postgres", "create database tiny");
    for database in ["postgres", "tiny"] {
        server.execute(database, "revoke execute on function pg_control_system() from public");
    }
    server.execute("postgres", "create role reader login password 'r'");
    server.execute("postgres", "create role keeper login createdb password 'k'");
    server.execute("postgres", "grant pg_read_all_data to reader");
    let gate = Gate::before(&server.url("postgres"));
    let source = server.url_as("reader", "r", "tiny");
    let target = server.url_as("keeper", "k", "postgres");
    let said = assert_refused(&server, &source, &gate.through(&target));
    assert!(said.contains("started in the same microsecond"), "{said}");
}
