//! Damage at the source: it costs the rows that it met, by place, and every other row and table is carried and proven.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use crate::support::{PgCluster, disturb::Drill, majors::Major};

const PLAYBOOK: &str = r#"version: 1
id: drill
target: {path: restored/, postgres: {url: "env:TARGET", trust_source: true}}
evidence: {path: evidence/}
assets:
  - {id: shop, postgres: {url: "env:SOURCE"}}
"#;
const PAGE: u64 = 8192;
const TABLES: &str = "create extension if not exists plpgsql;
    create table letters (id integer primary key, t text); insert into letters select n, 'ok' || n from generate_series(1, 1000) as n;
    create table pages (id integer primary key, t text); insert into pages select n, md5(n::text) from generate_series(1, 1000) as n;
    create table xacts (id integer primary key, t text); insert into xacts select n, md5(n::text) from generate_series(1, 1000) as n;
    create table docs (id integer primary key, t text); alter table docs alter t set storage external;
    insert into docs select n, repeat(md5(n::text), 200) from generate_series(1, 100) as n;
    create table gone (id integer); insert into gone select generate_series(1, 1000);
    create table fine (id integer primary key, t text); insert into fine select n, md5(n::text) from generate_series(1, 1000) as n;
    create function lower_of(text) returns text language sql immutable as 'select lower($1)';
    create function path_of(text) returns text language sql immutable as 'select lower_of($1)';
    create table paths (id integer, t text); insert into paths select n, md5(n::text) from generate_series(1, 1000) as n;
    create index paths_t on paths (path_of(t));
    create table made (id integer primary key, t text generated always as (repeat(md5(id::text), 200)) stored);
    alter table made alter t set storage external; insert into made select n from generate_series(1, 100) as n;
    create function allowed(text) returns boolean language sql as 'select true';
    create table refused (id integer primary key, t text check (public.allowed(t)));
    insert into refused select n, md5(n::text) from generate_series(1, 1000) as n;
    create or replace function allowed(text) returns boolean language sql as 'select false';";

/// The file of a relation, by a query for its path below the data directory.
fn file_of(source: &PgCluster, relation: &str) -> PathBuf {
    let sql = format!("select pg_relation_filepath({relation})");
    source.data().join(source.client("shop").query_one(&sql, &[]).unwrap().get::<_, String>(0))
}

fn overwrite(file: &PathBuf, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Where the first row of a page begins: its line pointer is the first after the page's header of 24 bytes, and its lowest
/// 15 bits are the offset.
fn first_row(file: &PathBuf, page: u64) -> u64 {
    let mut pointer = [0; 4];
    let mut file = File::open(file).unwrap();
    file.seek(SeekFrom::Start(page * PAGE + 24)).unwrap();
    file.read_exact(&mut pointer).unwrap();
    page * PAGE + u64::from(u32::from_le_bytes(pointer) & 0x7fff)
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_damaged_table_costs_its_damaged_rows() {
    costs_its_damaged_rows(PgCluster::start());
}

/// It reads no range of pages without reading all of them.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_damaged_table_of_the_oldest_major_costs_its_damaged_rows() {
    let major = Major::server(13);
    costs_its_damaged_rows(PgCluster::start_from(major.bin()));
}

fn costs_its_damaged_rows(source: PgCluster) {
    let target = PgCluster::start();
    source.execute("postgres", "create database shop");
    source.execute("shop", TABLES);
    source.execute("shop", "checkpoint");
    let [letters, pages, xacts, refused, gone] =
        ["letters", "pages", "xacts", "refused", "gone"].map(|table| file_of(&source, &format!("'{table}'")));
    let toasts = ["docs", "made"].map(|table| {
        file_of(&source, &format!("(select reltoastrelid from pg_class where relname = '{table}')::regclass"))
    });
    let on_page = "select count(*) from pages where ctid >= '(3,0)' and ctid < '(4,0)'";
    let on_page: i64 = source.client("shop").query_one(on_page, &[]).unwrap().get(0);
    source.stop();

    let bytes = fs::read(&letters).unwrap();
    let at = bytes.windows(5).position(|window| window == b"ok500").unwrap();
    overwrite(&letters, at as u64, &[0xff]);
    overwrite(&pages, 3 * PAGE, &[0x55; 24]);
    // A transaction of the far past, of which nobody knows any more; the flags that spare the question are cleared.
    for file in [&xacts, &refused] {
        let row = first_row(file, 2);
        overwrite(file, row, &3_000_000_000_u32.to_le_bytes());
        overwrite(file, row + 20, &[0x02, 0x08]);
    }
    // An empty page in place of chunks.
    for toast in &toasts {
        overwrite(toast, 4 * PAGE, &[0; PAGE as usize]);
    }
    fs::remove_file(&gone).unwrap();
    source.restart();

    let drill = Drill::new(PLAYBOOK).with("SOURCE", source.url("shop")).with("TARGET", target.url("postgres"));
    let ended = drill.run();
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let asset = drill.result()["assets"][0].clone();
    assert_ne!(asset["verdict"], "PASS");
    let of = |table: &str| -> Vec<(String, String)> {
        let all = asset["findings"].as_array().unwrap().iter();
        let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
        all.filter(|finding| finding["subject"] == format!("public.{table}"))
            .map(|finding| (text(finding, "kind"), text(finding, "detail")))
            .collect()
    };
    for (table, kind, words) in [
        ("letters", "rows_unreadable", "the row at ctid (2,"),
        ("pages", "rows_unreadable", "every row of page 3 could not be carried"),
        ("xacts", "rows_unreadable", "the row at ctid (2,1) could not be carried"),
        ("gone", "table_unreadable", "58P01"),
    ] {
        let found = of(table);
        assert!(found.len() == 1 && found[0].0 == kind && found[0].1.contains(words), "{table}: {found:#?}");
        assert!(!found[0].1.contains("ok500"), "{found:?}");
    }
    // Of the one a value is damaged, of the other one that the server had computed.
    let damaged = ["docs", "made"].map(|table| {
        let found = of(table);
        assert!(
            (1..=3).contains(&found.len()) && found.iter().all(|(kind, _)| kind == "rows_unreadable"),
            "{found:#?}"
        );
        found.len() as i64
    });
    // A row can't be read, and no other satisfies a constraint of the table any more.
    let kinds: Vec<_> = of("refused").into_iter().map(|(kind, detail)| (kind, detail.contains("(2,1)"))).collect();
    assert_eq!(
        kinds,
        [("rows_unreadable".to_owned(), true), ("deviation".to_owned(), false)],
        "{:#}",
        asset["findings"]
    );
    assert!(of("fine").is_empty() && of("paths").is_empty(), "{:#}", asset["findings"]);

    let mut client = target.client("shop");
    let mut count = |sql: &str| client.query_one(sql, &[]).unwrap().get::<_, i64>(0);
    let sound = "count(*) filter (where t = md5(id::text))";
    assert_eq!(count("select count(*) filter (where t = 'ok' || id) from letters where id <> 500"), 999);
    assert_eq!(count("select count(*) from letters"), 999);
    assert_eq!(count(&format!("select {sound} from pages")), 1000 - on_page);
    assert_eq!(count(&format!("select {sound} from xacts")), 999);
    assert_eq!(count(&format!("select {sound} from fine")), 1000);
    assert_eq!(count(&format!("select {sound} from paths")), 1000);
    let whole = count("select count(*) filter (where t = repeat(md5(id::text), 200)) from docs");
    assert_eq!(whole, 100 - damaged[0]);
    assert_eq!(count("select count(*) from docs"), whole);
    assert_eq!(count("select count(*) filter (where t = repeat(md5(id::text), 200)) from made"), 100 - damaged[1]);
    assert_eq!(count(&format!("select {sound} from refused")), 999);
}
