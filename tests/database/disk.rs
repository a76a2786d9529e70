//! Disks that get full while a table is on its way.

use crate::support::{
    PgCluster, SmallDisk,
    disturb::{Drill, count},
    may_mount,
};

const PLAYBOOK: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {managed: true}}
defaults: {database: {parallel: 1}}
evidence: {path: evidence/}
assets:
  - {id: shop, postgres: {url: "env:SOURCE"}}
"#;
/// Some ninety megabytes of rows that hardly shrink.
const ORDERS: &str = "create table orders (id integer, body text);
    insert into orders select n, string_agg(md5(random()::text), '') from generate_series(1, 90000) as n, \
    generate_series(1, 32) group by n;
    create table before (id integer); insert into before values (1);";

fn source() -> PgCluster {
    let source = PgCluster::start();
    source.execute("postgres", "create database shop");
    source.execute("shop", ORDERS);
    source
}

/// The run stops in the middle of the table, and goes on when there is room.
fn stops_and_goes_on(drill: &Drill, size: &str) {
    let disk = SmallDisk::mount(drill.join("restored"), size);
    let ended = drill.run().expect(2);
    let full = ["No space left on device", "could not extend file"];
    assert!(full.iter().any(|words| ended.stderr.contains(words)), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: free up space"), "{}", ended.stderr);
    let journal = drill.journal();
    assert_eq!((count(&journal, "database_created"), count(&journal, "asset_transferred")), (1, 0));
    // Again without room: the same, and nothing worse.
    drill.resume().expect(2);
    disk.grow("900m");
    drill.resume().expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
    assert_eq!(drill.result()["assets"][0]["items"], 90_001);
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_spool_without_room_stops_the_table_and_keeps_no_half_of_it() {
    if !may_mount("a_spool_without_room_stops_the_table_and_keeps_no_half_of_it") {
        return;
    }
    let source = source();
    let target = PgCluster::start();
    let drill = Drill::new(&PLAYBOOK.replace("{managed: true}", "{url: \"env:TARGET\", trust_source: true}"))
        .with("SOURCE", source.url("shop"))
        .with("TARGET", target.url("postgres"));
    let disk = SmallDisk::mount(drill.join("restored"), "12m");
    let ended = drill.run().expect(2);
    assert!(
        ended.stderr.contains("No space left on device") && ended.stderr.contains("hint: free up space"),
        "{}",
        ended.stderr
    );
    let rows = target.client("shop").query_one("select count(*) from orders", &[]).unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0, "a part of the table was kept");
    let left: Vec<_> = std::fs::read_dir(drill.restored().join("shop/exports")).unwrap().flatten().collect();
    assert!(left.iter().all(|file| !file.file_name().to_string_lossy().contains("orders")), "{left:?}");
    drop(disk);
    drill.resume().expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_managed_cluster_without_room_stops_the_table_until_there_is() {
    if !may_mount("a_managed_cluster_without_room_stops_the_table_until_there_is") {
        return;
    }
    let source = source();
    let drill = Drill::new(PLAYBOOK).with("SOURCE", source.url("shop"));
    stops_and_goes_on(&drill, "110m");
}
