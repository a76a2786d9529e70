//! What stands beside schema and rows: settings and comments of roles, of the database, of large objects; carried, or named,
//! and looked at again.

use std::{
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::drill::{DATABASE, Drill, LEDGER, Managed, PLAIN_DATABASE, READER, Ran, wait_until};

/// One of everything that no dump of a single database has.
const BESIDE: &str = "create role appx login; alter role appx set search_path = 's'; alter role appx set statement_timeout = '1000';
    alter role appx set work_mem = '4MB'; alter role appx in database shop set work_mem = '8MB'; alter role appx set log_statement = 'all';
    alter role all set datestyle = 'SQL,DMY';
    create role stranger; alter role stranger set work_mem = '1MB';
    comment on role appx is 'it''s the application\\';
    create schema s; create table s.t (a integer primary key, b text); insert into s.t values (1, 'one'); alter table s.t owner to appx;
    create materialized view s.v as select count(*) as n from s.t;
    select lo_from_bytea(777, '\\x01'); comment on large object 777 is 'contract.pdf of customer 12';
    grant select on large object 777 to reader;
    alter database shop connection limit 30; comment on database shop is 'the platform';
    grant set on parameter log_statement to appx;
    create function heard() returns event_trigger language plpgsql as 'begin end';
    create event trigger ears on ddl_command_start execute function heard();
    create extension pg_stat_statements; grant select on pg_stat_statements to appx;
    comment on extension pg_stat_statements is 'slow ones';";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_stands_beside_the_schema_is_carried_or_named_and_looked_at_again() {
    let drill = Drill::new().database(BESIDE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let named = ran.asset(LEDGER)["database"]["not_portable"].as_array().unwrap();
    for lost in [
        "setting log_statement of role appx in every database",
        "connection limit 30 of the database, which stands in schema.dump",
        "comment on the database, which stands in schema.dump",
        "grant of SET on parameter log_statement to role appx",
        "grant of SELECT on view public.pg_stat_statements to role appx",
        "owner postgres of event trigger ears",
    ] {
        assert!(named.iter().any(|one| one == lost), "{lost} is not in {named:#?}");
    }
    assert!(!named.iter().any(|one| one.to_string().contains("stranger")), "{named:#?}");
    assert!(ran.read("data/assets/ledger/restored.csv").contains("rows of materialized view,s.v,"));

    let managed = Managed::start(&ran);
    let mut client = managed.admin();
    let settings = "select coalesce(r.rolname, ''), unnest(s.setconfig) from pg_db_role_setting s \
                    left join pg_roles r on r.oid = s.setrole where s.setdatabase <> 0 order by 1, 2";
    let rows = client.query(settings, &[]).unwrap();
    let settings: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [
        ("", "DateStyle=SQL, DMY"),
        ("appx", "search_path=s"),
        ("appx", "statement_timeout=1s"),
        ("appx", "work_mem=8MB"),
    ];
    assert_eq!(settings, expected.map(|(role, setting)| (role.to_owned(), setting.to_owned())));
    let comments = "select obj_description(777, 'pg_largeobject'), shobj_description('appx'::regrole, 'pg_authid'),
                    obj_description(oid, 'pg_extension') from pg_extension where extname = 'pg_stat_statements'";
    let row = client.query_one(comments, &[]).unwrap();
    let comments: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    assert_eq!(comments, ["contract.pdf of customer 12", "it's the application\\", "slow ones"]);
    drop(managed);
    assert_eq!(verified(&drill, &ran), (0, Vec::new()));

    // Each change is found by name; statements that can't stand in a transaction with others come one by one.
    let managed = Managed::start(&ran);
    let mut client = managed.admin();
    for change in [
        "grant all on s.t to public",
        "alter table s.t owner to walkaway",
        "alter role appx superuser",
        "alter database ledger set work_mem = '1MB'",
        "alter role appx in database ledger reset search_path",
        "alter role appx set lock_timeout = '1s'",
        "comment on large object 777 is 'other'",
        "alter database ledger connection limit 7",
        "comment on extension pg_stat_statements is 'other'",
        "create foreign data wrapper w; create server far foreign data wrapper w; create user mapping for appx server far",
        "update s.t set b = b; insert into s.t values (2, 'two'); refresh materialized view s.v; delete from s.t where a = 2",
    ] {
        client.batch_execute(change).unwrap();
    }
    drop(client);
    drop(managed);
    let (code, subjects) = verified(&drill, &ran);
    assert_eq!(code, 1);
    for changed in [
        "grant INSERT on table s.t to everybody by",
        "owner table s.t",
        "role appx",
        "setting work_mem of the database",
        "setting search_path of role appx",
        "setting lock_timeout of role appx in every database",
        "comment large object 777",
        "database properties",
        "comment on extension pg_stat_statements",
        "user mapping appx on far",
        "rows of materialized view s.v",
    ] {
        assert!(subjects.iter().any(|subject| subject.starts_with(changed)), "{changed} is not in {subjects:#?}");
    }
    assert!(!subjects.iter().any(|subject| subject == "s.t"), "the rows are what they were: {subjects:#?}");
}

/// The exit code of `verify --restored`, and what it found something about.
fn verified(drill: &Drill, ran: &Ran) -> (i32, Vec<String>) {
    let output = drill.walkaway(&["verify", "--json", "--restored", ran.bundle.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let subjects = lines.filter_map(|line| Some(line["finding"]["subject"].as_str()?.to_owned()));
    (output.status.code().unwrap(), subjects.collect())
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_lies_in_schemas_of_the_system_is_named_and_is_no_pass() {
    let hidden =
        "create table information_schema.hidden_t (a integer); insert into information_schema.hidden_t values (1);
        create function pg_catalog.my_helper() returns integer language sql as 'select 42'";
    let ran = Drill::new().database(&format!("{PLAIN_DATABASE} {hidden}")).run();
    ran.assert_ended(2, "NOT RUN")
        .assert_found("not_carried", "table information_schema.hidden_t, which lies in a schema of the system")
        .assert_found("not_carried", "function pg_catalog.my_helper()");
    assert_eq!(ran.findings().as_array().unwrap().len(), 2, "{:#}", ran.findings());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn large_objects_that_may_not_be_read_stop_the_run_before_it_begins() {
    let drill = Drill::new().database(&format!("{PLAIN_DATABASE} select lo_from_bytea(777, 'x')"));
    let said = |output: Output| {
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(drill.prepared(&[]).output().unwrap());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the login reader cannot read 1 large object: 777"), "{text}");
    assert!(text.contains("GRANT SELECT ON LARGE OBJECT 777 TO \"reader\""), "{text}");
    let (_, text) = said(drill.walkaway(&["doctor", "drill.yaml"]).output().unwrap());
    assert!(text.contains("cannot read 1 large object: 777"), "{text}");
    let (_, text) = said(drill.walkaway(&["plan", "drill.yaml"]).output().unwrap());
    assert!(
        text.contains("1 large object\n") && text.contains("cannot be read by this login: 1 large object"),
        "{text}"
    );
    // Rights by membership and by compatibility count.
    let source = drill.source();
    source.execute(
        DATABASE,
        &format!("create role readers; grant readers to {READER}; alter large object 777 owner to readers"),
    );
    drill.run().assert_ended(0, "PASS");
    source.execute(DATABASE, "alter large object 777 owner to postgres; revoke all on large object 777 from readers");
    source.execute(DATABASE, &format!("alter role {READER} set lo_compat_privileges = on"));
    drill.run().assert_ended(0, "PASS");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn of_a_large_object_that_was_not_carried_nothing_else_is_missed() {
    let drill = Drill::new().database(PLAIN_DATABASE);
    let mut client = drill.source().client(DATABASE);
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table notes in access exclusive mode").unwrap();
    let running = drill.prepared(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has begun, and waits for the lock: what comes now, nothing looked at before.
    let waiting = format!("select from pg_stat_activity where usename = '{READER}' and wait_event_type = 'Lock'");
    wait_until(|| !drill.source().client("postgres").query(&waiting, &[]).unwrap().is_empty());
    let late = "select lo_from_bytea(777, 'x'); comment on large object 777 is 'late'; grant update on large object 777 to reader";
    drill.source().execute(DATABASE, late);
    thread::sleep(Duration::from_millis(100));
    lock.rollback().unwrap();
    let ran = Ran::of(&running.wait_with_output().unwrap());
    ran.assert_ended(2, "NOT RUN").assert_found("not_carried", "large object 777");
    assert_eq!(ran.findings().as_array().unwrap().len(), 1, "{:#}", ran.findings());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_differs_because_a_table_was_left_out_says_so() {
    let sql = "create table customers (id integer primary key); insert into customers values (1);
        create table orders (id integer, customer integer constraint of_customer references customers);
        insert into orders values (1, 1); create view all_customers as select id from customers;
        create materialized view counted as select count(*) as n from all_customers;";
    let drill = Drill::new().database(sql).exclude_tables("[{name: public.customers, reason: reproducible}]");
    let ran = drill.run();
    ran.assert_ended(1, "FAIL").assert_found("view_differs", "public.counted");
    let findings = ran.findings();
    for finding in findings.as_array().unwrap() {
        let detail = finding["detail"].as_str().unwrap();
        assert!(detail.contains("public.customers, which exclude_tables leaves out"), "{finding:#}");
    }
    let kinds: Vec<_> = findings.as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    // The key is told once.
    assert!(kinds.contains(&"schema_statement") && !kinds.contains(&"catalog_missing"), "{kinds:?}");
}
