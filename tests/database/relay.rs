//! A table that is large beside the others is carried in parts by several workers.

use serde_json::Value;

use crate::support::drill::{Drill, LEDGER};

/// 80 MB in one table, in rows that stay inline, with deleted rows in between and rows behind the analysed end.
const LARGE: &str = "create table large (id integer primary key, body text);
    insert into large select n, repeat(md5(n::text), 32) from generate_series(1, 72000) as n;
    delete from large where id % 7 = 0;
    create table small (id integer);
    insert into small values (1), (1), (null);
    analyze;";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_large_table_is_carried_in_parts_that_add_up() {
    let drill = Drill::new().database(LARGE).settings("defaults: {database: {parallel: 4}}");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let exports = ran.read(&format!("data/assets/{LEDGER}/exports.csv"));
    let parts = exports.lines().filter(|line| line.starts_with("public.large,")).count();
    assert!(parts > 4, "{exports}");
    let files = std::fs::read_dir(ran.restored(LEDGER).join("exports")).unwrap().count();
    assert_eq!(files, exports.lines().count() - 1);
    let checks = ran.asset(LEDGER)["checks"].as_array().unwrap().clone();
    let spool = checks.iter().find(|check| check["name"] == "spool").unwrap();
    assert_eq!(spool["equal"].as_u64(), Some(files as u64));
    let load: &Value = &ran.asset(LEDGER)["database"]["source_load"];
    assert_eq!(load["connections_max"], 6);
    assert!(load["snapshot_held_ms"].as_u64() > Some(0));
    assert_eq!(load["replication_lag_ms_max"], Value::Null);
}
