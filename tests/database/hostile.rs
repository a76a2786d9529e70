//! Restored code that tries to leave the database, and DDL that stands in the way of whoever restores it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::support::{
    PgCluster, TempDir,
    disturb::Drill as PlainDrill,
    drill::{DATABASE, Drill, LEDGER, Managed, READER, READER_PASSWORD},
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
    // What would wait for somebody with more rights.
    let waiting = "select 'setting' from pg_db_role_setting where setconfig::text like '%walkaway_escaped%' union all
        select 'default privileges' from pg_default_acl where defaclrole = 'walkaway'::regrole union all
        select 'subscription' from pg_subscription union all select 'wrapper' from pg_foreign_data_wrapper union all
        select 'language' from pg_language where lanname ~ 'escaped' union all select 'method' from pg_am where amname ~ 'escaped'
        union all select 'cast' from pg_cast where castsource = 'text'::regtype and oid >= 16384
        union all select 'operator' from pg_operator where oprnamespace = 'pg_catalog'::regnamespace and oid >= 16384";
    assert_eq!(names(waiting), Vec::<String>::new());
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

/// A role that was there before and can write files, one that is new, and triggers of a constraint that do not fire.
const OWNED: &str = "create role app; create role fresh;
    create table a (id int primary key); insert into a values (1); alter table a owner to app;
    create schema s authorization fresh; create table s.b (id int primary key); alter table s.b owner to fresh;
    create table held (id int primary key); create table holds (id int references held);
    alter table holds disable trigger all; alter table held disable trigger all;
    insert into held values (1); insert into holds values (1);";
const KEEPER: (&str, &str) = ("keeper", "keeps");

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_login_that_can_leave_the_database_is_refused_and_a_lesser_one_carries_what_it_may() {
    let target = PgCluster::start();
    let role = format!("create role {} login createdb bypassrls password '{}'", KEEPER.0, KEEPER.1);
    target.execute("postgres", &role);
    let keeper = target.url_as(KEEPER.0, KEEPER.1, "postgres");
    let drill = Drill::new().database(OWNED);
    let refused = |drill: &Drill, words: &str| {
        let output = drill.prepared(&[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in
            [words, "definitions and functions of the source run with its rights", "LOGIN CREATEDB", "trust_source"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(
            !drill.home().join("restored").exists()
                || fs::read_dir(drill.home().join("restored")).unwrap().count() == 0
        );
    };
    let drill = drill.into_server_as_lesser(&target.url("postgres"));
    refused(&drill, "is a superuser");
    let drill = drill.into_server_as_lesser(&keeper);
    target.execute("postgres", "create role dba in role pg_write_server_files; grant dba to keeper");
    refused(&drill, "belongs to pg_write_server_files");
    target.execute("postgres", "revoke dba from keeper");
    let ran = drill.run();
    ran.assert_ended(0, "PASS").assert_found("deviation", "trigger of constraint public.holds");
    assert!(ran.findings().to_string().contains("DISABLE TRIGGER ALL"), "{:#}", ran.findings());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn at_a_server_of_others_nobody_is_let_into_roles_that_the_run_did_not_make() {
    let target = PgCluster::start();
    let roles = format!(
        "create role {} login createdb createrole bypassrls password '{}'; create role app in role pg_write_server_files",
        KEEPER.0, KEEPER.1
    );
    target.execute("postgres", &roles);
    let keeper = target.url_as(KEEPER.0, KEEPER.1, "postgres");
    let ran = Drill::new().database(OWNED).into_server(&keeper).asset_settings("roles: carry").run();
    ran.assert_ended(1, "FAIL").assert_found("schema_statement", "owner of table public.a");
    let belongs = "select pg_has_role('keeper', 'app', 'member'), pg_has_role('keeper', 'fresh', 'member')";
    let row = target.client("postgres").query_one(belongs, &[]).unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (false, true));
    let owner = "select relowner::regrole::text from pg_class where relname = 'b'";
    assert_eq!(target.client(LEDGER).query_one(owner, &[]).unwrap().get::<_, &str>(0), "fresh");
}

/// Owns a table of the first database, and has nothing to do with the second, whose code tries to act as it.
const FIRST: &str = "create role app createdb; create table t (id int primary key); alter table t owner to app;";
const SECOND: &str = "create schema reached;
    create function public.tries() returns boolean language plpgsql as 'begin return true; end';
    create table public.t (id int primary key check (public.tries())); insert into public.t values (1), (2);
    create or replace function public.tries() returns boolean language plpgsql as $$ declare name text; begin
        for name in select rolname from pg_roles where rolname = 'app' loop
            begin
                execute format('set role %I', name); reset role;
                execute format('comment on schema reached is %L', name);
            exception when others then null; end;
        end loop;
        begin alter role walkaway_restore set work_mem = '7MB'; exception when others then null; end;
        return true;
    end $$;";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn code_of_a_second_database_reaches_no_role_of_the_first() {
    let drill = Drill::new().database(FIRST);
    drill.source().execute("postgres", "create database second");
    drill.source().execute("second", SECOND);
    let second = drill.source().url_as(READER, READER_PASSWORD, "second");
    let third = drill.source().url_as(READER, READER_PASSWORD, DATABASE);
    let assets = "  - {id: second, postgres: {url: \"env:SECOND\"}}\n  - {id: third, postgres: {url: \"env:THIRD\"}}";
    let drill = drill.env("SECOND", &second).env("THIRD", &third).settings(assets);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let managed = Managed::start(&ran);
    let mut client = managed.client();
    // Afterwards whoever looks by hand may act as it again, and nothing stays of what code set for the role that restores.
    assert!(client.query_one("select pg_has_role('app', 'member')", &[]).unwrap().get::<_, bool>(0));
    let set = "select setconfig::text from pg_db_role_setting where setrole = 'walkaway_restore'::regrole";
    assert_eq!(client.query_one(set, &[]).unwrap().get::<_, &str>(0), "{lo_compat_privileges=on}");
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
    let one = PgCluster::start();
    let two = PgCluster::start();
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
