//! Servers, connections and snapshots that are lost in the middle.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use walkaway::{
    pg::{Address, wire::WaitLimits},
    provider::{holder::Wanted, postgres::PostgresSource},
};

use crate::support::{
    PgCluster,
    disturb::{Drill, Gate, Moment, Running, count, wait_for},
};

pub(super) const PLAYBOOK: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {managed: true}}
defaults: {database: {parallel: 1, limits: {stall: 2s}}}
evidence: {path: evidence/}
assets:
  - {id: shop, postgres: {url: "env:SOURCE"}}
"#;
/// Rows that don't shrink on the way, enough that the copy can be met in its middle.
const ORDERS: &str = "create table orders (id integer primary key, body text);
    insert into orders select n, md5(n::text) || md5((n + 1)::text) from generate_series(1, 200000) as n;";

/// A source behind a gate, and a run that is in the middle of its table.
pub(super) struct World {
    pub source: PgCluster,
    pub gate: Gate,
    pub drill: Drill,
}

impl World {
    pub fn new(playbook: &str) -> Self {
        let source = PgCluster::start();
        source.execute("postgres", "create database shop");
        source.execute("shop", ORDERS);
        let gate = Gate::before(&source.url("shop"));
        let drill = Drill::new(playbook).with("SOURCE", gate.through(&source.url("shop"))).with("RUST_LOG", "warn");
        World { source, gate, drill }
    }

    /// Runs until rows are on their way, slowly.
    pub fn in_the_middle(&self) -> Running {
        self.gate.slow_down(512 << 10);
        let mut running = self.drill.start();
        assert!(running.wait_for(Moment::Restored("shop/exports/00001-public.orders.copy.zst")), "{:?}", running.end());
        running
    }

    /// Ends the sessions whose last statement begins so; there must be some.
    fn end_sessions(&self, statement: &str) {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                   where application_name = 'walkaway' and query like $1";
        let pattern = format!("{statement}%");
        wait_for("a session", || {
            let ended: i64 = self.source.client("postgres").query_one(sql, &[&pattern]).unwrap().get(0);
            (ended > 0).then_some(())
        });
    }

    fn assert_proven(&self, running: Running, snapshots: usize) -> Value {
        self.gate.open();
        running.end().expect(0);
        let result = self.drill.result();
        assert_eq!(result["verdict"], "PASS");
        assert_eq!(result["assets"][0]["items"], 200_000);
        assert_eq!(count(&self.drill.journal(), "snapshot_taken"), snapshots);
        self.drill.verify().expect(0);
        result
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_reader_that_loses_its_connection_is_replaced_under_the_same_snapshot() {
    let world = World::new(PLAYBOOK);
    let running = world.in_the_middle();
    world.end_sessions("COPY");
    let result = world.assert_proven(running, 1);
    assert_eq!(result["assets"][0]["findings"], serde_json::json!([]));
}

/// A view of rows that don't shrink on the way, whatever its tables hold.
const VIEW: &str = "drop table orders; create table orders (id integer); insert into orders values (1);
    create materialized view wide as select n, md5(n::text) || md5((n + 1)::text) from generate_series(1, 200000) as n";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_connection_that_is_lost_while_a_view_is_read_is_replaced_and_a_lost_snapshot_starts_again() {
    for (holder_too, snapshots) in [(false, 1), (true, 2)] {
        let world = World::new(PLAYBOOK);
        world.source.execute("shop", VIEW);
        world.gate.slow_down(512 << 10);
        let running = world.drill.start();
        wait_for("the view on its way", || {
            let sql = "select count(*) from pg_stat_activity where query like 'COPY (SELECT%' and state = 'active'";
            (world.source.client("postgres").query_one(sql, &[]).unwrap().get::<_, i64>(0) > 0).then_some(())
        });
        if holder_too {
            world.end_sessions("ROLLBACK TO SAVEPOINT");
        }
        world.end_sessions("COPY (SELECT");
        world.gate.open();
        running.end().expect(0);
        let asset = world.drill.result()["assets"][0].clone();
        assert_eq!(asset["verdict"], "PASS");
        let check =
            asset["checks"].as_array().unwrap().iter().find(|check| check["name"] == "materialized views").cloned();
        assert_eq!(check.unwrap()["equal"], 1);
        assert_eq!(count(&world.drill.journal(), "snapshot_taken"), snapshots);
        let is_named = asset["findings"].to_string().contains("the snapshot was lost");
        assert_eq!(is_named, holder_too, "{:#}", asset["findings"]);
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_copy_that_stands_still_is_begun_again() {
    let world = World::new(PLAYBOOK);
    let running = world.in_the_middle();
    world.gate.stall_after(0);
    world.gate.wait_for_stall();
    // What was said to the log is the only sign from outside that it was noticed.
    wait_for("the watchdog", || {
        let said = std::fs::read_to_string(world.drill.join("stderr")).unwrap();
        said.contains("nothing moved for 2 s").then_some(())
    });
    world.assert_proven(running, 1);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_whose_snapshot_is_lost_starts_again_from_a_new_one() {
    let world = World::new(PLAYBOOK);
    let running = world.in_the_middle();
    // The holder first: a reader that comes back finds no snapshot.
    world.end_sessions("ROLLBACK TO SAVEPOINT");
    world.end_sessions("COPY");
    let result = world.assert_proven(running, 2);
    let findings = result["assets"][0]["findings"].as_array().unwrap().clone();
    assert!(findings.iter().any(|finding| finding["subject"] == "the snapshot was lost"), "{findings:#?}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_source_that_dies_in_the_middle_of_a_row_stops_the_asset_and_the_run_can_be_resumed() {
    let world = World::new(PLAYBOOK);
    let running = world.in_the_middle();
    world.source.stop();
    let ended = running.end().expect(2);
    assert!(ended.stderr.contains("shop"), "{}", ended.stderr);
    world.source.restart();
    world.gate.open();
    world.drill.resume().expect(0);
    assert_eq!(world.drill.result()["verdict"], "PASS");
    world.drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_source_that_fails_over_is_waited_for_and_read_again_from_a_new_snapshot() {
    for at_rows in [false, true] {
        let world = World::new(&PLAYBOOK.replace("stall: 2s", "stall: 5m"));
        let running = match at_rows {
            true => world.in_the_middle(),
            false => {
                // The schema is read, or soon will be.
                world.gate.slow_down(64 << 10);
                let mut running = world.drill.start();
                assert!(running.wait_for(Moment::Event("snapshot_taken", 1)), "{:?}", running.end());
                running
            }
        };
        world.source.stop();
        wait_for("the loss of the snapshot", || {
            let said = std::fs::read_to_string(world.drill.join("stderr")).unwrap();
            said.contains("the database starts again").then_some(())
        });
        world.source.restart();
        let result = world.assert_proven(running, 2);
        let findings = result["assets"][0]["findings"].to_string();
        assert!(findings.contains("the snapshot was lost"), "{findings}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_holder_of_a_snapshot_sees_who_waits_behind_it_and_whether_a_reader_does_in_turn() {
    let source = PgCluster::start();
    source.execute("postgres", "create database shop");
    source.execute("shop", "create table notes (id integer primary key)");
    let mut snapshot = PostgresSource::new(Address::parse(&source.url("shop")).unwrap()).snapshot().unwrap();
    let table = snapshot.tables().unwrap().remove(0);
    let handle = snapshot.handle(WaitLimits::default());
    assert_eq!(snapshot.keep().unwrap().wanted, []);
    thread::scope(|scope| {
        let wanted = |before_a_reader| vec![Wanted { table: "public.notes".to_owned(), before_a_reader }];
        let mut client = source.client("shop");
        let migration = scope.spawn(move || client.batch_execute("alter table notes add column body text"));
        wait_for("the migration", || (snapshot.keep().unwrap().wanted == wanted(false)).then_some(()));
        let reading = scope.spawn(|| handle.reader().unwrap().count(&table));
        wait_for("the reader behind it", || (snapshot.keep().unwrap().wanted == wanted(true)).then_some(()));
        drop(snapshot);
        migration.join().unwrap().unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), 0);
    });
}

/// The same while the schema is read: pg_dump, too, waits behind it.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_session_that_wants_a_table_before_pg_dump_has_it_gets_it_and_the_database_starts_again() {
    let world = World::new(&PLAYBOOK.replace("stall: 2s", "stall: 5m, lock_timeout: 1s"));
    world.gate.slow_down(512 << 10);
    let mut running = world.drill.start();
    assert!(running.wait_for(Moment::Event("snapshot_taken", 1)), "{:?}", running.end());
    world.gate.stall_after(0);
    let mut client = world.source.client("shop");
    let migration = thread::spawn(move || client.batch_execute("alter table orders add column more text"));
    wait_for("the migration", || {
        let sql = "select count(*) from pg_locks where not granted and locktype = 'relation'";
        (world.source.client("postgres").query_one(sql, &[]).unwrap().get::<_, i64>(0) > 0).then_some(())
    });
    world.gate.open();
    let result = world.assert_proven(running, 2);
    migration.join().unwrap().unwrap();
    let findings = result["assets"][0]["findings"].to_string();
    assert!(findings.contains("another session wants public.orders for itself: pg_dump: "), "{findings}");
}

/// What a migration does at the wrong moment: it waits behind the snapshot, and production behind it.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_session_that_wants_a_table_for_itself_gets_it_and_the_database_starts_again() {
    let world = World::new(&PLAYBOOK.replace("stall: 2s", "stall: 5m, lock_timeout: 1s"));
    world.source.execute("shop", "create table notes (id integer primary key); insert into notes values (1)");
    let running = world.in_the_middle();
    // Rows are still on their slow way when this returns.
    world.source.execute("shop", "set statement_timeout = '60s'; alter table notes add column body text");
    world.gate.open();
    running.end().expect(0);
    let result = world.drill.result();
    assert_eq!(result["verdict"], "PASS");
    assert_eq!(count(&world.drill.journal(), "snapshot_taken"), 2);
    let findings = result["assets"][0]["findings"].to_string();
    assert!(findings.contains("another session wanted public.notes for itself"), "{findings}");
    world.drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_that_dies_in_the_middle_of_a_row_stops_the_asset_and_the_run_can_be_resumed() {
    let target = PgCluster::start();
    let playbook = PLAYBOOK.replace("{managed: true}", "{url: \"env:TARGET\", trust_source: true}");
    let mut world = World::new(&playbook);
    world.drill = Drill::new(&playbook)
        .with("SOURCE", world.gate.through(&world.source.url("shop")))
        .with("TARGET", target.url("postgres"));
    let running = world.in_the_middle();
    target.stop();
    world.gate.open();
    let ended = running.end().expect(2);
    assert!(ended.stderr.contains("public.orders"), "{}", ended.stderr);
    target.restart();
    world.drill.resume().expect(0);
    assert_eq!(world.drill.result()["verdict"], "PASS");
    world.drill.verify().expect(0);
}

/// The server refuses in the middle; its words, not a broken pipe, are what one reads.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_that_ends_the_session_is_quoted() {
    let target = PgCluster::start();
    let playbook = PLAYBOOK.replace("{managed: true}", "{url: \"env:TARGET\", trust_source: true}");
    let mut world = World::new(&playbook);
    world.drill = Drill::new(&playbook)
        .with("SOURCE", world.gate.through(&world.source.url("shop")))
        .with("TARGET", target.url("postgres"));
    let running = world.in_the_middle();
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY%' and datname = 'shop'";
    wait_for("the loader", || target.client("postgres").query_opt(sql, &[]).unwrap());
    let result = world.assert_proven(running, 2);
    let findings = result["assets"][0]["findings"].to_string();
    assert!(findings.contains("terminating connection"), "{findings}");
}

/// Behind the rows nothing is read from the source any more, and still the target may go away.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_that_is_lost_while_indexes_are_built_is_filled_again() {
    let target = PgCluster::start();
    let playbook = PLAYBOOK.replace("{managed: true}", "{url: \"env:TARGET\", trust_source: true}");
    let mut world = World::new(&playbook);
    world.source.execute(
        "shop",
        "create function slow(n integer) returns integer language plpgsql immutable \
        as 'begin if n <= 20 then perform pg_sleep(0.05); end if; return n; end'; create index at on orders (slow(id))",
    );
    world.drill = Drill::new(&playbook).with("SOURCE", world.source.url("shop")).with("TARGET", target.url("postgres"));
    let running = world.drill.start();
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%CREATE INDEX%' \
               and state = 'active' and pid <> pg_backend_pid()";
    wait_for("the index", || target.client("postgres").query_opt(sql, &[]).unwrap());
    let result = world.assert_proven(running, 2);
    let findings = result["assets"][0]["findings"].to_string();
    assert!(findings.contains("a connection was lost"), "{findings}");
}

/// The way to it is there for new connections, and keeps the near ends of the old ones open. The server may have ended its
/// own, or not.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn connections_that_are_cut_off_alone_are_given_up() {
    for is_ended in [false, true] {
        let world = World::new(PLAYBOOK);
        let running = world.in_the_middle();
        world.gate.cut_off();
        if is_ended {
            world.end_sessions("");
        }
        let result = world.assert_proven(running, 2);
        let findings = result["assets"][0]["findings"].to_string();
        assert!(findings.contains("something between cut it off"), "{findings}");
    }
}

/// What was restored is read again, and nothing is held against it.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_that_restarts_while_it_is_read_back_is_read_again() {
    let target = PgCluster::start();
    let playbook = PLAYBOOK
        .replace("{managed: true}", "{url: \"env:TARGET\", trust_source: true}")
        .replace("stall: 2s", "stall: 5m");
    let mut world = World::new(&playbook);
    let before_target = Gate::before(&target.url("postgres"));
    before_target.slow_down(512 << 10);
    world.drill = Drill::new(&playbook)
        .with("SOURCE", world.source.url("shop"))
        .with("TARGET", before_target.through(&target.url("postgres")))
        .with("RUST_LOG", "warn");
    let running = world.drill.start();
    let sql =
        "select 1 from pg_stat_activity where query like 'COPY%TO STDOUT%' and state = 'active' and datname = 'shop'";
    wait_for("the reading back", || target.client("postgres").query_opt(sql, &[]).unwrap());
    target.stop();
    wait_for("the loss", || {
        let said = std::fs::read_to_string(world.drill.join("stderr")).unwrap();
        said.contains("what was restored is read again").then_some(())
    });
    target.restart();
    before_target.open();
    let result = world.assert_proven(running, 1);
    let findings = result["assets"][0]["findings"].to_string();
    assert!(findings.contains("a connection was lost"), "{findings}");
}

/// What was changed since a snapshot as far as it changes what a definition means.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn only_changes_of_definitions_count_as_such() {
    let source = PgCluster::start();
    source.execute("postgres", "create database shop");
    source.execute(
        "shop",
        "create role reader; create role writer; create table orders (id integer primary key); create table parts (id integer) partition by range (id);
        create materialized view sums as select sum(id) from orders; create view seen as select 1 as a;
        create sequence numbers; create type mood as enum ('a'); grant select on orders to writer;
        create function f() returns trigger language plpgsql as 'begin return new; end'",
    );
    let url = source.url("shop");
    let of_source = PostgresSource::new(Address::parse(&url).unwrap());
    for (statement, named) in [
        ("refresh materialized view sums", None),
        ("grant select on orders, sums to reader; grant all on function f() to reader", None),
        ("revoke select on orders from writer", None),
        ("alter view seen owner to reader; alter function f() owner to reader", None),
        ("reindex table orders; analyze", None),
        ("create index on orders (id); create table part partition of parts for values from (1) to (2)", None),
        ("create trigger t before insert on orders for each row execute function f()", None),
        ("insert into orders values (1); select nextval('numbers')", None),
        ("create view later as select * from orders", None),
        ("alter sequence numbers increment 2", Some("settings of sequence public.numbers")),
        ("create or replace view seen as select 1 as a, 2 as b", Some("relation public.seen")),
        ("alter type mood rename value 'a' to 'b'", Some("label of enum a")),
        ("alter table orders disable trigger t", Some("trigger t on public.orders")),
        (
            "create or replace function f() returns trigger language plpgsql as 'begin return old; end'",
            Some("function public.f"),
        ),
        ("alter role reader rename to another", Some("role reader")),
        ("drop view seen", Some("relation public.seen")),
    ] {
        let snapshot = of_source.snapshot().unwrap();
        source.execute("shop", statement);
        let changed = snapshot.changed().unwrap();
        match named {
            None => assert_eq!(changed, Vec::<String>::new(), "{statement}"),
            Some(named) => assert!(changed.iter().any(|one| one == named), "{statement}: {changed:?}"),
        }
    }
}

/// Its way answers keepalives and forwards nothing. Then it is waited for in vain, or somebody asks for the end.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_source_that_stays_silent_is_given_up_and_keeps_no_run_from_being_stopped() {
    for (stall, asked) in [("2s", false), ("5m", true)] {
        let world = World::new(&PLAYBOOK.replace("stall: 2s", &format!("stall: {stall}")));
        world.gate.slow_down(64 << 10);
        let mut running = world.drill.start();
        assert!(running.wait_for(Moment::Event("snapshot_taken", 1)), "{:?}", running.end());
        world.gate.stall_after(0);
        world.gate.wait_for_stall();
        let waited = Instant::now();
        if asked {
            running.signal(Signal::INT);
        }
        let ended = running.end();
        assert!(waited.elapsed() < Duration::from_secs(if asked { 5 } else { 40 }), "{:?}", waited.elapsed());
        ended.expect(if asked { 5 } else { 2 });
        world.gate.open();
        world.drill.resume().expect(0);
        assert_eq!(world.drill.result()["verdict"], "PASS");
    }
}

/// Nothing locks what is no table.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_is_replaced_or_dropped_right_after_the_snapshot_is_carried_as_a_new_one_has_it() {
    const OTHERS: &str = "create sequence numbers; create view seen as select 1 as a; create type mood as enum ('a');
        create function f(a integer) returns integer language sql as 'select 1'; create publication p for table orders;
        create function g(a integer) returns integer language sql as 'select 1'; select lo_create(900);
        create statistics s on id, body from orders";
    let changes = "drop sequence numbers; drop view seen; drop type mood; drop function f(integer); drop publication p; \
                   select lo_unlink(900); drop statistics s; \
                   create or replace function g(a integer) returns integer language sql as 'select 2'";
    for change in ["create or replace function g(a integer) returns integer language sql as 'select 2'", changes] {
        let world = World::new(&PLAYBOOK.replace("stall: 2s", "stall: 5m"));
        world.source.execute("shop", OTHERS);
        world.gate.slow_down(512 << 10);
        let mut running = world.drill.start();
        assert!(running.wait_for(Moment::Event("snapshot_taken", 1)), "{:?}", running.end());
        world.gate.stall_after(0);
        world.source.execute("shop", change);
        let result = world.assert_proven(running, 2);
        let findings = result["assets"][0]["findings"].to_string();
        assert!(findings.contains("function public.g"), "{findings}");
        assert!(findings.contains("dropped at the source since the snapshot"), "{findings}");
    }
}
