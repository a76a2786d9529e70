//! What belongs to extensions, and how roles belong to each other: what users gave to an extension is missed whatever version
//! the target has, what they configured in one is carried, what one makes is not made twice.

use std::{collections::BTreeSet, fs};

use crate::support::{
    PgCluster,
    drill::{Drill, LEDGER, Managed},
    majors::Major,
};

/// Two tables that refer to each other hold what users configure, beside rows of the extension's own; a third does not.
const FIRST: &str = "
    create table authors (id integer primary key);
    create table books (id serial primary key, title text, author integer references authors, own boolean default false);
    insert into authors values (1); insert into books (title, author, own) values ('of the extension', 1, true);
    select pg_catalog.pg_extension_config_dump('authors', '');
    select pg_catalog.pg_extension_config_dump('books', 'where not own');
    select pg_catalog.pg_extension_config_dump('books_id_seq', '');
    create table counted (n integer); insert into counted values (1);
    create function retired() returns integer language sql as 'select 1';
    create function hears() returns event_trigger language plpgsql as 'begin end';
    create event trigger shelf_ears on ddl_command_end execute function hears();";
const SECOND: &str = "drop function retired(); create function newer() returns integer language sql as 'select 2';";

/// PostgreSQL 18 with an extension in two versions, of which it makes the second by itself.
fn with_extension() -> Major {
    let eighteen = Major::eighteen_with_tools();
    let directory = eighteen.bin().join("../share/extension");
    let control = "default_version = '1.1'\ntrusted = true\nrelocatable = false\n";
    for (file, text) in [("shelf.control", control), ("shelf--1.0.sql", FIRST), ("shelf--1.0--1.1.sql", SECOND)] {
        fs::write(directory.join(file), text).unwrap();
    }
    eighteen
}

const SOURCE: &str = "create extension shelf version '1.0';
    insert into authors values (2); insert into books (title, author) values ('mine', 2), ('yours', 1);
    update books set title = 'of the extension, changed' where own;
    insert into counted values (2);
    create function helper() returns integer language sql as 'select 3'; alter extension shelf add function helper();
    create function heard() returns event_trigger language plpgsql as 'begin end';
    create event trigger mine on ddl_command_end execute function heard(); alter extension shelf add event trigger mine;
    create role lender; create role clerk; create role shy noinherit; create role plain;
    grant lender to clerk with admin true, inherit false, set false;
    grant lender to shy with inherit true, set true; grant lender to plain;
    create table loans (id integer primary key); insert into loans values (1); grant select on loans to lender;";

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn extensions_of_another_version_and_options_of_memberships() {
    let eighteen = with_extension();
    let source = PgCluster::start_from(eighteen.bin());
    let drill = Drill::new().programs(&eighteen.bin()).database_on(source, "template template0", SOURCE);
    let ran = drill.run();
    ran.assert_ended(1, "FAIL");
    let findings = ran.asset(LEDGER)["findings"].as_array().unwrap();
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let mut found: BTreeSet<_> = findings.iter().map(|one| (text(one, "kind"), text(one, "subject"))).collect();
    // Books may come before the authors that they refer to, and are then loaded once more.
    found.remove(&("deviation".to_owned(), "public.books".to_owned()));
    let expected = [
        ("catalog_missing", "extension member shelf: event trigger mine"),
        ("catalog_missing", "extension member shelf: function public.helper()"),
        ("deviation", "extension version shelf"),
        ("not_carried", "rows of public.counted, a table of an extension"),
    ];
    assert_eq!(found, expected.map(|(kind, subject)| (kind.to_owned(), subject.to_owned())).into(), "{findings:#?}");

    let managed = Managed::start_with(&ran, &eighteen.bin());
    let mut client = managed.client();
    let mut names =
        |sql: &str| -> Vec<String> { client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect() };
    assert_eq!(
        names("select concat_ws(' ', id, title, author, own) from books order by id"),
        ["1 of the extension, changed 1 t", "2 mine 2 f", "3 yours 1 f"]
    );
    assert_eq!(names("select last_value::text from books_id_seq"), ["3"]);
    assert_eq!(names("select evtname::text from pg_event_trigger"), ["shelf_ears"]);
    assert_eq!(
        names(
            "select concat_ws(' ', member::regrole, admin_option, inherit_option, set_option) from pg_auth_members
               where roleid = 'lender'::regrole and member <> 'walkaway_restore'::regrole order by 1"
        ),
        ["clerk t f f", "plain f t t", "shy f t t"]
    );
    // What the restoring role was granted to fill the tables, it has no more.
    assert_eq!(
        names("select 'rights' where has_table_privilege('books', 'insert, truncate, delete')"),
        Vec::<String>::new()
    );
}

const CHANGED: &str = "create table t (id integer primary key); insert into t values (1);
    create extension pg_trgm; alter operator %(text, text) set (restrict = none);
    comment on function show_trgm(text) is 'mine';
    alter text search configuration pg_catalog.english alter mapping for asciiword with simple;
    alter text search dictionary pg_catalog.german_stem (stopwords = english);";

/// A dump leaves out what belongs to an extension or came with the server, and with it what a user changed there.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_a_user_changed_of_things_that_no_dump_holds_is_named() {
    let drill = Drill::new().database(CHANGED);
    let ran = drill.run();
    ran.assert_ended(1, "FAIL");
    let findings = ran.asset(LEDGER)["findings"].as_array().unwrap();
    let found: BTreeSet<_> = findings
        .iter()
        .map(|one| (one["kind"].as_str().unwrap().to_owned(), one["subject"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        ("catalog_differs", "built-in text search configuration english"),
        ("catalog_differs", "built-in text search dictionary german_stem"),
        ("catalog_differs", "property of extension member pg_trgm: operator public.%(text,text)"),
        ("catalog_missing", "property of extension member pg_trgm: function public.show_trgm(text)"),
    ];
    assert_eq!(found, expected.map(|(kind, subject)| (kind.to_owned(), subject.to_owned())).into(), "{findings:#?}");
}
