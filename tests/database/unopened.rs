//! Databases that their server can't open: each costs itself, and the others go on.

use std::fs;

use crate::support::{PgCluster, disturb::Drill};

const SOME: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {managed: true}}
evidence: {path: evidence/}
assets:
  - {id: torn, postgres: {url: "env:TORN"}}
  - {id: sound, postgres: {url: "env:SOUND"}}
  - {id: gone, postgres: {url: "env:GONE"}}
  - {id: dropped, postgres: {url: "env:DROPPED"}}
"#;

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_that_its_server_cannot_open_costs_itself() {
    let source = PgCluster::start();
    for database in ["torn", "sound", "gone", "dropped", "closed"] {
        source.execute("postgres", &format!("create database {database}"));
        source.execute(database, "create table t (id integer primary key); insert into t values (1)");
    }
    let of = |database: &str| -> String {
        let sql = format!("select oid::text from pg_database where datname = '{database}'");
        source.client("postgres").query_one(&sql, &[]).unwrap().get(0)
    };
    let [torn, gone] = ["torn", "gone"].map(|database| source.data().join("base").join(of(database)));
    source.execute("postgres", "alter database closed allow_connections false");
    // What an interrupted DROP DATABASE leaves.
    source.execute("postgres", "update pg_database set datconnlimit = -2 where datname = 'dropped'; checkpoint");
    source.stop();
    fs::remove_file(torn.join("pg_filenode.map")).unwrap();
    fs::remove_dir_all(gone).unwrap();
    source.restart();

    let with = |playbook: &str| {
        let drill = Drill::new(playbook).with("TORN", source.url("torn")).with("SOUND", source.url("sound"));
        let drill = drill.with("GONE", source.url("gone")).with("NOWHERE", source.url("nowhere"));
        drill.with("DROPPED", source.url("dropped")).with("CLOSED", source.url("closed"))
    };
    let drill = with(SOME);
    drill.run().expect(2);
    let result = drill.result();
    let of = |asset: &str| result["assets"].as_array().unwrap().iter().find(|one| one["id"] == asset).unwrap().clone();
    assert_eq!(of("sound")["verdict"], "PASS");
    let invalid = "an interrupted DROP DATABASE left it behind";
    for (asset, words) in [("torn", "58P01"), ("gone", "its files are gone"), ("dropped", invalid)] {
        assert_eq!(of(asset)["verdict"], "NOT RUN");
        let findings = of(asset)["findings"].clone();
        assert_eq!(findings[0]["kind"], "asset_stopped");
        let detail = findings[0]["detail"].as_str().unwrap();
        assert!(detail.contains(words) && detail.contains("restore the database"), "{detail}");
    }
    drill.verify().expect(0);

    // A mistake of the playbook is told before anything moves, and with it what else is wrong.
    let mistaken = with(&SOME.replace("env:SOUND", "env:NOWHERE").replace("env:DROPPED", "env:CLOSED"));
    let said = mistaken.run().stderr;
    for words in ["ALLOW_CONNECTIONS true", "database \"nowhere\" does not exist", "58P01", "its files are gone"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Nor is a run begun that can carry nothing.
    let sound = "  - {id: sound, postgres: {url: \"env:SOUND\"}}\n";
    let nothing = with(&SOME.replace(sound, ""));
    assert!(nothing.run().stderr.contains("58P01"));
    assert!([mistaken, nothing].iter().all(|drill| drill.runs().is_empty()));
}
