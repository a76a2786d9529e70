//! Poolers between walkaway and the source: whoever shares a session with a drill must not notice, whatever its mode.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    process::{Child, Command, Stdio},
};

use postgres::{Client, NoTls};

use crate::support::{
    PgCluster, TempDir,
    disturb::{Drill, wait_for},
    free_port, user_ids,
};

const PLAYBOOK: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {managed: true}}
defaults: {database: {parallel: 2}}
evidence: {path: evidence/}
assets:
  - {id: shop, postgres: {url: "env:SOURCE"}}
"#;
/// Settings that a drill has of its own, as they were before it.
const SETTINGS: &str = "select string_agg(name || '=' || coalesce(setting, ''), ' ' order by name) from pg_settings
    where name in ('search_path', 'row_security', 'lock_timeout', 'statement_timeout', 'bytea_output', 'IntervalStyle',
                   'synchronize_seqscans', 'xmlbinary', 'extra_float_digits', 'default_transaction_isolation')";

/// A pgbouncer in front of a cluster.
struct Pooler {
    port: u16,
    process: Child,
    _home: TempDir,
}

impl Pooler {
    fn start(source: &PgCluster, settings: &str) -> Self {
        let home = TempDir::new();
        let port = free_port(0);
        let url = source.url("postgres");
        let (_, rest) = url.split_once("://postgres:").unwrap();
        let (password, _) = rest.split_once('@').unwrap();
        let list = home.join("users");
        let log = home.join("log");
        fs::write(&list, format!("\"postgres\" \"{password}\"\n")).unwrap();
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\n\
             auth_type=trust\nauth_file={}\nlogfile={}\nignore_startup_parameters=extra_float_digits\n{settings}\n",
            source.port(),
            list.display(),
            log.display()
        );
        let file = home.join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("pgbouncer");
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = user_ids("postgres").expect("as root this needs a user postgres");
            for path in [home.path(), &file, &list] {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
            command.uid(uid).gid(gid);
        }
        let process = command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let pooler = Pooler { port, process: process.spawn().unwrap(), _home: home };
        wait_for("pgbouncer", || Client::connect(&pooler.url(), NoTls).ok());
        pooler
    }

    fn url(&self) -> String {
        format!("postgres://postgres:any@127.0.0.1:{}/shop", self.port)
    }

    /// What each of several clients finds that are served at once.
    fn clients_find(&self, sql: &str) -> Vec<Option<String>> {
        let mut clients: Vec<_> = (0..6).map(|_| Client::connect(&self.url(), NoTls).unwrap()).collect();
        let mut transactions: Vec<_> = clients.iter_mut().map(|client| client.transaction().unwrap()).collect();
        transactions
            .iter_mut()
            .map(|transaction| {
                let found = transaction.simple_query(sql).unwrap();
                found.iter().find_map(|message| match message {
                    postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
                    _ => None,
                })?
            })
            .collect()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn sessions_that_are_shared_are_refused_and_those_of_ones_own_are_left_as_they_were() {
    let source = PgCluster::start();
    source.execute("postgres", "create database shop");
    source.execute(
        "shop",
        "create table f (id integer primary key, d float8);
        insert into f select n, sqrt(n) from generate_series(1, 2000) as n",
    );
    let before = source.client("shop").query_one(SETTINGS, &[]).unwrap().get::<_, Option<String>>(0);
    for (settings, code, words) in [
        ("pool_mode=transaction", 2, "is a connection pooler: one server process serves several connections in turn"),
        ("pool_mode=transaction\nserver_round_robin=1\nmin_pool_size=3", 2, "serves several connections in turn"),
        ("pool_mode=session\nserver_reset_query=", 2, "hands on sessions without cleaning them"),
        ("pool_mode=session\ndefault_pool_size=1", 2, "has no session left"),
        ("pool_mode=session", 0, ""),
    ] {
        let pooler = Pooler::start(&source, settings);
        let ended = Drill::new(PLAYBOOK).with("SOURCE", pooler.url()).run();
        assert_eq!(ended.code, Some(code), "{settings}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{settings}: {}", ended.stderr);
        if settings.contains("pool_size=1") {
            continue;
        }
        for found in pooler.clients_find(SETTINGS) {
            assert_eq!(found, before, "{settings}");
        }
        for mark in pooler.clients_find("select nullif(current_setting('walkaway.mark', true), '')") {
            assert_eq!(mark, None, "{settings}");
        }
    }
    // A pool that takes single statements has no transaction to look into afterwards.
    let pooler = Pooler::start(&source, "pool_mode=statement");
    let ended = Drill::new(PLAYBOOK).with("SOURCE", pooler.url()).run().expect(2);
    assert!(ended.stderr.contains("serves several connections in turn"), "{}", ended.stderr);
    let mut client = Client::connect(&pooler.url(), NoTls).unwrap();
    let found = client.simple_query(SETTINGS).unwrap();
    let settings = found.iter().find_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    assert_eq!(settings, before);
}
