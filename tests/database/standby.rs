//! A hot standby as the source: a copy that replays what its primary does is read like any other server.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::Command,
};

use crate::support::{PgCluster, disturb::Drill, drill::stock};

const PLAYBOOK: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {managed: true}}
evidence: {path: evidence/}
assets:
  - {id: shop, postgres: {url: "env:STANDBY"}}
"#;
const TABLES: &str = "create table orders (id serial primary key, t text);
    insert into orders (t) select md5(n::text) from generate_series(1, 2000) n;
    create unlogged table scratch (id integer); insert into scratch values (1);
    create view firsts as select * from orders where id < 10; select lo_from_bytea(7, 'large');";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_hot_standby_is_a_source_and_its_unlogged_tables_are_named() {
    let primary = PgCluster::start();
    primary.execute("postgres", "create database shop");
    primary.execute("shop", TABLES);
    let standby = PgCluster::start();
    standby.stop();
    // The directory stays, with its owner and its mode.
    for entry in fs::read_dir(standby.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    // The replication connection is let in as any other one.
    fs::write(primary.data().join("pg_hba.conf"), "host all,replication all 127.0.0.1/32 scram-sha-256\n").unwrap();
    primary.execute("postgres", "select pg_reload_conf()");
    let mut backup = Command::new("pg_basebackup");
    backup.args(["--write-recovery-conf", "--checkpoint=fast", "--dbname", &primary.url("postgres"), "--pgdata"]);
    backup.arg(standby.data()).current_dir("/");
    let owner = fs::metadata(primary.data()).unwrap();
    backup.uid(owner.uid()).gid(owner.gid());
    stock(&mut backup);
    standby.restart();
    let is_standby = standby.client("shop").query_one("select pg_is_in_recovery()", &[]).unwrap();
    assert!(is_standby.get::<_, bool>(0));

    let drill = Drill::new(PLAYBOOK).with("STANDBY", standby.url("shop"));
    drill.run().expect(2);
    let asset = drill.result()["assets"][0].clone();
    let findings = asset["findings"].as_array().unwrap();
    let weighing: Vec<_> = findings.iter().filter(|finding| finding["severity"] != "note").collect();
    // PostgreSQL keeps no rows of them on a standby.
    assert_eq!(weighing.len(), 1, "{findings:#?}");
    assert_eq!((&weighing[0]["kind"], &weighing[0]["subject"]), (&"table_unreadable".into(), &"public.scratch".into()));
    assert_eq!(asset["items"], 2000);
}
