//! What a dump leaves out or a server computes anew: carried by other means, or named, never lost in silence.

use std::collections::BTreeSet;

use crate::support::drill::{Drill, LEDGER, Managed, Ran};

/// Kind and subject of every finding about the database.
fn found(ran: &Ran) -> BTreeSet<(String, String)> {
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = ran.asset(LEDGER)["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "kind"), text(finding, "subject"))).collect()
}

fn named(found: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    found.iter().map(|(kind, subject)| ((*kind).to_owned(), (*subject).to_owned())).collect()
}

/// Nothing of it is lost, so nothing but a note may come of it.
const CARRIED: &str = "
    create table par (id int, a text); create table kid (own int) inherits (par);
    alter table par add column late int default 42;
    insert into par values (1, 'a', 1); insert into kid values (2, 'b', 3, 4);
    create table p (a int primary key) partition by range (a);
    create table p1 partition of p for values from (0) to (10);
    create table p2 partition of p for values from (10) to (20);
    create table refs (a int references p); insert into p values (1), (11); insert into refs values (1), (11);
    create table held (id int primary key); create table holds (id int references held);
    alter table holds disable trigger all; insert into held values (1); insert into holds values (1);
    create function promise(a int) returns int language sql immutable leakproof as 'select a';
    create view uses_it as select promise(id) from held;
    create schema app; create table app.t (id int primary key); insert into app.t values (1);
    create table made (n int, twice int generated always as (n * 2) stored, text text);
    insert into made (n, text) values (1, 'x'), (2, null);
    create table only_made (g int generated always as (7) stored); insert into only_made default values;";
const PUBLISHED: &str = "do $$ begin if current_setting('server_version_num')::int >= 150000 then
    execute 'create publication of_schema for tables in schema app'; end if; end $$";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_a_dump_says_in_another_way_or_only_a_superuser_may_say_is_carried() {
    let drill = Drill::new().database(&format!("{CARRIED};{PUBLISHED}"));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(found(&ran), named(&[("deviation", "columns of public.kid")]));
    let managed = Managed::start(&ran);
    let mut client = managed.client();
    let mut one = |sql: &str| client.query_one(sql, &[]).unwrap().get::<_, i64>(0);
    assert_eq!(one("select count(*) from pg_trigger where tgisinternal and tgenabled = 'D'"), 2);
    assert_eq!(one("select count(*) from pg_proc where proname = 'promise' and proleakproof"), 1);
    assert_eq!(one("select count(*) from kid where late = 3 and own = 4"), 0, "the values went by order");
    assert_eq!(one("select count(*) from kid where own = 3 and late = 4"), 1);
}

/// Each of these is lost, and named.
const LOST: &str = "
    create function vat(n numeric) returns numeric language sql immutable as 'select n * 0.16';
    create table invoices (id int primary key, net numeric, vat numeric generated always as (vat(net)) stored);
    insert into invoices (id, net) select n, n * 10 from generate_series(1, 20) n;
    create or replace function vat(n numeric) returns numeric language sql immutable as 'select n * 0.19';
    create extension hstore;
    create schema queue; create table queue.orders (id bigint primary key, body text);
    insert into queue.orders select n, 'x' from generate_series(1, 30) n;
    create function queue.helper() returns int language sql as 'select 1';
    alter extension hstore add table queue.orders; alter extension hstore add function queue.helper();
    revoke execute on function hstore(text[]) from public;
    revoke execute on function pg_catalog.pg_sleep(double precision) from public;
    revoke select on pg_catalog.pg_stat_activity from public;
    create role auditor; grant select (rolname) on pg_catalog.pg_authid to auditor;
    create role keeper; alter function akeys(hstore) owner to keeper;
    create table raw (at int, body text) partition by range (at);
    create table raw_1 partition of raw for values from (0) to (10);
    create table raw_2 partition of raw for values from (10) to (20) partition by range (at);
    create table raw_2_1 partition of raw_2 for values from (10) to (15);
    insert into raw values (1, 'secret'), (11, 'secret');";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_is_lost_is_named() {
    let drill = Drill::new().database(LOST).exclude_tables("[{name: public.raw, reason: personal data}]");
    let ran = drill.run();
    ran.assert_ended(1, "FAIL");
    assert_eq!(
        found(&ran),
        named(&[
            ("table_digest", "generated columns of public.invoices"),
            ("catalog_missing", "extension member hstore: function queue.helper()"),
            ("catalog_missing", "extension member hstore: table queue.orders"),
            ("not_carried", "rows of queue.orders, a table of an extension"),
        ])
    );
    let database = &ran.asset(LEDGER)["database"];
    let lines: BTreeSet<_> =
        database["not_portable"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for line in [
        "revoke of EXECUTE on function pg_catalog.pg_sleep(double precision) from everybody",
        "revoke of EXECUTE on function public.hstore(pg_catalog.text[]) from everybody",
        "revoke of SELECT on view pg_catalog.pg_stat_activity from everybody",
        "grant of SELECT on table column pg_catalog.pg_authid.rolname to role auditor",
        "owner keeper of function public.akeys(public.hstore), which belongs to extension hstore",
    ] {
        assert!(lines.contains(line), "{line} is not in {lines:#?}");
    }
    let excluded: BTreeSet<_> =
        database["excluded_tables"].as_array().unwrap().iter().map(|one| one["table"].as_str().unwrap()).collect();
    assert_eq!(excluded, BTreeSet::from(["public.raw", "public.raw_1", "public.raw_2_1"]));
    let managed = Managed::start(&ran);
    let rows = managed.client().query_one("select count(*) from raw", &[]).unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0, "rows that exclude_tables leaves out were carried");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_exclusion_that_leaves_nothing_out_is_said_before_anything_moves() {
    let list = "[{name: public.gone, reason: r}, {name: public.shown, reason: r}, {name: public.t, reason: r}]";
    let drill = Drill::new().database("create table t (a int); create view shown as select 1").exclude_tables(list);
    let output = drill.prepared(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("exclude_tables names public.gone: no table of this name is there"), "{said}");
    assert!(said.contains("exclude_tables names public.shown: it is a view"), "{said}");
    assert!(!said.contains("public.t:"), "{said}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn provider_locale_and_rules_are_the_sources_or_the_asset_does_not_pass() {
    let like =
        "template template0 encoding 'UTF8' locale_provider icu icu_locale 'en-u-kn-true' lc_collate 'C' lc_ctype 'C'";
    let sql = "create table files (name text primary key); insert into files select 'file' || n from generate_series(1, 20) n";
    let drill = Drill::new().database_like(like, sql);
    let ran = drill.run();
    let managed = Managed::start(&ran);
    let sql = "select d.datlocprovider::text, (select array_agg(name order by name) from files) \
               from pg_database d where datname = current_database()";
    let row = managed.client().query_one(sql, &[]).unwrap();
    let (provider, sorted): (String, Vec<String>) = (row.get(0), row.get(1));
    match provider.as_str() {
        "i" => {
            ran.assert_ended(0, "PASS");
            assert_eq!(sorted[1], "file2", "{sorted:?}");
        }
        // PostgreSQL here may be built without ICU.
        _ => drop(ran.assert_ended(2, "NOT RUN").assert_found("not_carried", "ICU locale en-u-kn-true")),
    }
}

/// What came with the server, changed or added to by a user, and what users say goes with an extension.
const BESIDE: &str = "
    create table t (id int primary key); insert into t values (1);
    create role keeper createdb; set session authorization postgres;
    alter function pg_catalog.pg_read_file(text) security definer;
    alter operator pg_catalog.@@ (tsvector, tsquery) set (restrict = none);
    comment on function pg_catalog.pg_sleep(double precision) is 'never';
    create conversion pg_catalog.mine for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
    create operator family pg_catalog.mine using btree;
    create function same(integer, text) returns boolean language sql immutable as 'select $1::text = $2';
    create operator === (function = same, leftarg = integer, rightarg = text);
    alter operator family pg_catalog.integer_ops using btree add operator 3 === (integer, text);
    grant create on database shop to keeper; grant create on schema public to keeper;
    set role keeper; create extension hstore; reset role;";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_a_user_changed_of_what_came_with_the_server_is_named() {
    let drill = Drill::new().database(BESIDE);
    let ran = drill.run();
    ran.assert_ended(2, "NOT RUN");
    let of_system = "which lies in a schema of the system; move it to one of its own";
    assert_eq!(
        found(&ran),
        named(&[
            ("not_carried", &format!("conversion pg_catalog.mine, {of_system}")),
            (
                "not_carried",
                &format!(
                    "operator of access method operator 3 (integer, pg_catalog.text) of pg_catalog.integer_ops USING btree, {of_system}"
                )
            ),
            ("not_carried", &format!("operator family pg_catalog.mine USING btree, {of_system}")),
        ])
    );
    let lost = ran.asset(LEDGER)["database"]["not_portable"].as_array().unwrap();
    let lost: Vec<_> = lost.iter().map(|one| one.as_str().unwrap()).collect();
    let changed = lost.iter().filter(|one| one.ends_with(", which came with the server and was changed since"));
    let changed: Vec<_> = changed.map(|one| one.split(", which").next().unwrap()).collect();
    assert_eq!(
        changed,
        [
            "comment on function pg_catalog.pg_sleep(double precision)",
            "function pg_catalog.pg_read_file(pg_catalog.text)",
            "operator pg_catalog.@@(pg_catalog.tsvector,pg_catalog.tsquery)",
        ]
    );
    assert!(lost.contains(&"owner keeper of extension hstore"), "{lost:#?}");
}
