//! Restored code that tries to leave the database, and DDL that stands in the way of whoever restores it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::support::{
    PgCluster, TempDir,
    disturb::Drill as PlainDrill,
    drill::{Drill, LEDGER, Managed},
};

const HOSTILE: &str = include_str!("hostile.sql");

/// Files that somebody who got out would have written.
fn escaped(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains("walkaway-escaped") {
            found.push(entry.path());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            escaped(&entry.path(), found);
        }
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn code_of_a_restored_database_reaches_nothing_outside_of_it() {
    let open = TempDir::new();
    fs::set_permissions(open.path(), Permissions::from_mode(0o777)).unwrap();
    let sql = HOSTILE.replace("DIRECTORY", open.path().to_str().unwrap());
    let asks = "checks: [{id: view, sql: 'select count(*) from public.v', expect: \"= 2\"}, \
                {id: definer, sql: 'select public.definer()::int', expect: \"= 1\"}, \
                {id: owned, sql: 'select public.owned()::int', expect: \"= 1\"}]";
    let drill = Drill::new().database(&sql).asset_settings(asks);
    let ran = drill.run();
    let mut found = Vec::new();
    escaped(&ran.restored(LEDGER).join(".."), &mut found);
    escaped(open.path(), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
    // What the attacks leave is the trace that they were made.
    let findings = ran.findings();
    let traces = |finding: &&serde_json::Value| {
        // A GiST index can't be built by a function that catches errors, which these do.
        let subject = finding["subject"].as_str().unwrap();
        subject.starts_with("comment schema ran_") || subject.contains("spans_s_idx")
    };
    let others: Vec<_> = findings.as_array().unwrap().iter().filter(|finding| !traces(finding)).collect();
    assert!(others.is_empty(), "{others:#?}");

    let named = ran.asset(LEDGER)["database"]["not_portable"].to_string();
    for lost in [
        "role walkaway, a name that walkaway's own roles have here",
        "role walkaway_restore, a name that walkaway's own roles have here",
        "membership of role etl in pg_execute_server_program",
        "membership of role writer in pg_write_server_files",
        "membership of role reader_of_files in pg_read_server_files",
        "createrole of role creator",
        "owner pg_execute_server_program of function public.owned()",
        "role rds_superuser, the provider's own",
        "setting local_preload_libraries of role creator",
        "setting plperl.on_plperl_init of the database",
    ] {
        assert!(named.contains(lost), "{lost} is not in {named}");
    }
    assert!(!named.contains("app.tenant"), "{named}");

    let managed = Managed::start(&ran);
    let mut client = managed.client();
    let mut names =
        |sql: &str| -> Vec<String> { client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect() };
    // A test whose attacks never ran would show nothing.
    let ran_as = names(
        "select nspname || ' as ' || obj_description(oid, 'pg_namespace') from pg_namespace
         where nspname ~ '^ran_' and obj_description(oid, 'pg_namespace') is not null order by 1",
    );
    for kind in [
        "aggregate",
        "cast",
        "check",
        "domain",
        "exclusion",
        "generated",
        "index",
        "key",
        "matview",
        "predicate",
        "unique",
        "view",
    ] {
        assert!(ran_as.contains(&format!("ran_{kind} as walkaway_restore")), "{kind} did not run: {ran_as:?}");
    }
    assert_eq!(names("select rolname::text from pg_roles where rolsuper"), ["walkaway"]);
    assert_eq!(names("select rolname::text from pg_roles where rolname = 'escaped' or rolcreaterole"), ["walkaway"]);
    let dangerous = "select member::regrole::text from pg_auth_members where roleid::regrole::text in
                     ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'walkaway')";
    assert_eq!(names(dangerous), Vec::<String>::new());
    assert_eq!(names("select extname::text from pg_extension order by 1"), ["plpgsql"]);
}

/// Whoever defines anything is refused, and so would walkaway be.
const GUARDED: &str = "create role rds_superuser; grant pg_monitor to rds_superuser;
    create role master createdb login; grant rds_superuser to master; grant pg_read_all_data to master;
    create role walkaway login; create role walkaway_restore;
    create role fresh nologin; grant fresh to master;
    create table public.orders (id int primary key, t varchar(9));
    insert into public.orders select n, 'o' from generate_series(1, 300) n;
    create view public.v as select id from public.orders where t in ('o', 'p');
    grant select on public.orders to fresh;
    grant select on public.orders to walkaway, walkaway_restore, public;
    alter table public.orders owner to master;
    create function public.guard() returns event_trigger language plpgsql as
        $$ begin if current_user <> 'deployer' then raise exception 'no DDL outside of deployments'; end if; end $$;
    create event trigger guard on ddl_command_start execute function public.guard();
    comment on event trigger guard is 'see the handbook';";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn predefined_roles_own_names_and_a_guard_of_ddl_stand_in_nobodys_way() {
    let drill = Drill::new().database(GUARDED);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let verified = drill.walkaway(&["verify", "--restored", ran.bundle.to_str().unwrap()]).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let controls = ran.asset(LEDGER)["controls"].as_array().unwrap();
    assert!(controls.len() == 5 && controls.iter().all(|control| control["found"] == true), "{controls:#?}");
}

/// The same into a server whose login is a superuser, which pg_restore would let make the guard too early.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_named_servers_roles_are_never_changed() {
    let target = PgCluster::start();
    target.execute("postgres", "create role master login connection limit 7");
    let drill = Drill::new().database(GUARDED).into_server(&target.url("postgres")).asset_settings("roles: carry");
    let ran = drill.run();
    ran.assert_ended(1, "FAIL");
    ran.assert_found("schema_statement", "role master")
        .assert_found("schema_statement", "membership of master in fresh");
    let mut client = target.client("postgres");
    let master =
        client.query_one("select rolconnlimit, rolcreatedb from pg_roles where rolname = 'master'", &[]).unwrap();
    assert_eq!((master.get::<_, i32>(0), master.get::<_, bool>(1)), (7, false));
    let members = client.query("select from pg_auth_members where member::regrole::text = 'master'", &[]).unwrap();
    assert!(members.is_empty());
    assert!(ran.findings().to_string().contains("it is not changed"), "{}", ran.findings());
}

const TWO_SOURCES: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {managed: true}}
evidence: {path: evidence/}
assets:
  - {id: shop, postgres: {url: "env:ONE"}}
  - {id: billing, postgres: {url: "env:TWO"}}
  - {id: shop-again, postgres: {url: "env:ONE"}}
"#;

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn roles_of_two_servers_with_one_name_stay_apart() {
    let (one, two) = (PgCluster::start(), PgCluster::start());
    for (source, role) in
        [(&one, "create role app login"), (&two, "create role admin; create role app createdb bypassrls in role admin")]
    {
        source.execute("postgres", role);
        source.execute("postgres", "create database data");
        source.execute(
            "data",
            "create table t (id int primary key); insert into t values (1); alter table t owner to app",
        );
    }
    let drill = PlainDrill::new(TWO_SOURCES).with("ONE", one.url("data")).with("TWO", two.url("data"));
    drill.run().expect(0);
    drill.verify().expect(0);
    let clusters = ["", "-2", "-3"].map(|number| drill.restored().join(format!(".postgres{number}")).is_dir());
    assert_eq!(clusters, [true, true, false]);
    let document = fs::read_to_string(drill.bundle().join("VERIFY.md")).unwrap();
    assert!(document.contains(".postgres-2/data"), "{document}");
}
