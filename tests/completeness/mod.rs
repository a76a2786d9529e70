//! Everything that a database can hold beside rows: carried, compared, and the same by `pg_dump`'s word; or named.

use std::{fs, process::Command};

use crate::support::{
    PgCluster,
    drill::{DATABASE, Drill, LEDGER, Managed, normalised, stock},
    majors::Major,
};

const COMPLETE: &str = include_str!("complete.sql");

/// What only a superuser may own belongs to the cluster's own on a managed target.
fn whole_dump(command: &mut Command) -> String {
    let supers = |line: &&str| {
        ["ALTER EVENT TRIGGER ", "ALTER PUBLICATION everything "].iter().any(|begin| line.starts_with(begin))
            && line.contains(" OWNER TO ")
    };
    let dump = normalised(&stock(command.arg("--format=plain")));
    dump.lines().filter(|line| !supers(line)).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn everything_that_is_portable_arrives() {
    let drill = Drill::new().database(COMPLETE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    for lost in ["password, superuser, replication of role postgres", "password of role shop_app", "subscription away"]
    {
        let named = ran.asset(LEDGER)["database"]["not_portable"].as_array().unwrap();
        assert!(named.iter().any(|one| one == lost), "{lost} is not in {named:#?}");
    }
    ran.assert_found("deviation", "index shop.once_broken");
    let checks = ran.asset(LEDGER)["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "large objects" && check["equal"] == 3), "{checks:#?}");

    let source = whole_dump(Command::new("pg_dump").args(["--no-subscriptions", &drill.source().url(DATABASE)]));
    let managed = Managed::start(&ran);
    let restored = whole_dump(&mut managed.pg_dump());
    assert_eq!(by_line(&source), by_line(&restored));

    let mut client = managed.client();
    let settings = "select coalesce(setrole::regrole::text, ''), setconfig::text from pg_db_role_setting
                    where setdatabase = (select oid from pg_database where datname = current_database()) order by 1";
    let of = |client: &mut postgres::Client| -> Vec<(String, String)> {
        client.query(settings, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    assert_eq!(of(&mut drill.source().client(DATABASE)), of(&mut client));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn roles_that_are_skipped_are_not_made_and_that_is_said() {
    let drill = Drill::new().database(COMPLETE).asset_settings("roles: skip");
    let ran = drill.run();
    let named = &ran.asset(LEDGER)["database"]["not_portable"];
    assert!(named.to_string().contains("roles, owners and grants, which are skipped"), "{named}");
    let managed = Managed::start(&ran);
    let known = managed.client().query_one("select count(*) from pg_roles where rolname ~ '^shop'", &[]).unwrap();
    assert_eq!(known.get::<_, i64>(0), 0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_needs_a_superuser_and_is_on_no_list_is_not_made() {
    // What the restricted owner may not do is not carried, and fails the asset; nothing of it is run by a superuser.
    let sql = "create type shade; create function shade_in(cstring) returns shade language internal immutable strict \
               as 'textin'; create function shade_out(shade) returns cstring language internal immutable strict \
               as 'textout'; create type shade (input = shade_in, output = shade_out);
               create table plain (id integer); insert into plain values (1);";
    let ran = Drill::new().database(sql).run();
    ran.assert_ended(1, "FAIL").assert_found("schema_statement", "shade_in");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_newer_target_takes_everything() {
    let eighteen = Major::eighteen_with_tools();
    let drill = Drill::new().programs(&eighteen.bin()).database(COMPLETE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS").assert_found("deviation", "extension version citext");
    let database = &ran.asset(LEDGER)["database"];
    let version = |side: &str| database[side].as_str().unwrap()[..2].to_owned();
    assert_eq!((version("source_version"), version("target_version")), ("15".to_owned(), "18".to_owned()));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_older_target_is_refused_before_anything_moves() {
    let eighteen = Major::eighteen_with_tools();
    let source = PgCluster::start_from(eighteen.bin());
    let drill = Drill::new().database_on(source, "template template0", "create table a (id integer)");
    let output = drill.prepared(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the source is PostgreSQL 18, the target is 15"), "{said}");
    assert!(fs::read_dir(drill.home().join("restored")).map_or(true, |mut found| found.next().is_none()));
}

/// The grants on one object stand in the order in which they were given.
fn by_line(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}
