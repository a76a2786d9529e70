//! The same database on servers of every major that can be had, restored by the tools of 18: what differs between majors is
//! in nobody's data, so each is a PASS, with every difference named as a deviation.
//!
//! The oldest and the newest always; those between, named `between_…`, by `scripts/test --all` only. What a major can't hold of
//! the common database is replaced: multiranges and infinite numerics came with 14.

use crate::support::{
    PgCluster,
    drill::{Drill, LEDGER, Managed, ODD_DATABASE},
    majors::Major,
};

/// What a server of 13 does not know, and what stands there instead.
const NOT_IN_13: [(&str, &str); 4] = [
    ("(2, 'Infinity', 'Infinity',", "(2, 'NaN', 'Infinity',"),
    ("spans int4multirange", "spans text"),
    ("{(,)}", "-"),
    ("{[1,3),[7,9)}", "--"),
];

/// Of which servers from 14 on make a type, functions and a cast by themselves.
const RANGES: &str =
    "create type shop.\"Spans\" as range (subtype = text); create table shop.spans (span shop.\"Spans\");
    insert into shop.spans values ('[a,b)')";

fn database_of(major: u32) -> String {
    let known = |sql: String, (from, to): &(&str, &str)| sql.replace(from, to);
    let database =
        if major == 13 { NOT_IN_13.iter().fold(ODD_DATABASE.to_owned(), known) } else { ODD_DATABASE.to_owned() };
    format!("{database} {RANGES}")
}

fn restored_by_18(major: u32) {
    let server = Major::server(major);
    let tools = Major::eighteen_with_tools();
    let source = PgCluster::start_from(server.bin());
    let drill = Drill::new().programs(&tools.bin()).database_on(source, "template template0", &database_of(major));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let version = ran.asset(LEDGER)["database"]["source_version"].as_str().unwrap();
    assert!(version.starts_with(&major.to_string()), "{version}");
    // A comparison that is not walkaway's: the rows of both by md5.
    let managed = Managed::start_with(&ran, &tools.bin());
    let rows = |client: &mut postgres::Client, table: &str| -> (i64, Option<String>) {
        let sql = format!("select count(*), md5(string_agg(md5(t::text), '' order by md5(t::text))) from {table} t");
        client.batch_execute("set timezone = 'UTC'; set extra_float_digits = 3").unwrap();
        let row = client.query_one(&sql, &[]).unwrap();
        (row.get(0), row.get(1))
    };
    for table in
        ["shop.texts", "shop.numbers", "shop.times", "shop.mixed", "shop.measures", "shop.notes", "shop.secrets"]
    {
        let at_source = rows(&mut drill.source().client(crate::support::drill::DATABASE), table);
        assert_eq!(at_source, rows(&mut managed.admin(), table), "{table}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_oldest_major() {
    restored_by_18(13);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test --all"]
fn between_14() {
    restored_by_18(14);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test --all"]
fn between_16() {
    restored_by_18(16);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test --all"]
fn between_17() {
    restored_by_18(17);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_newest_major() {
    restored_by_18(18);
}
