//! Reading a database from the Parquet files of an export.

use std::fs;

use serde_json::{Value, json};

use crate::{
    rds::account::{Account, INSTANCE, Ran},
    support::{
        PgCluster, block_on, fill_bucket,
        parquet::{self, Column},
    },
};

pub const BUCKET: &str = "exports";
const SNAPSHOTS: &str = "arn:aws:rds:us-east-1:123456789012:snapshot";
const ENTRIES: &str = "message spark_schema { optional int32 id; optional binary amount (STRING); }";
/// Every way in which RDS writes a value of PostgreSQL.
const KINDS: &str = "message spark_schema {
    optional int32 id; optional int64 big; optional int32 small (INTEGER(16,true)); optional boolean flag;
    optional float single; optional double precise; optional binary raw; optional binary note (STRING);
    optional binary amount (STRING); optional int32 day (DATE); optional int64 cents (DECIMAL(18,2));
}";

/// An account with an export, and a server to restore into.
pub struct World {
    pub account: Account,
    pub target: PgCluster,
    pub rds: String,
}

impl World {
    pub fn new() -> Self {
        let account = Account::new();
        let rds = account.moto.endpoint().to_owned();
        fill_bucket(account.moto.endpoint(), BUCKET, &[("unrelated", b"1")]);
        World { account, target: PgCluster::start(), rds }
    }

    pub fn playbook(&self, export: &str, login: &str, more: &str) -> String {
        format!(
            "version: 1\nid: ledger-drill\nprovider: {{aws: {{regions: [us-east-1], endpoints: {{s3: \"{0}\", rds: \"{1}\", \
             sts: \"{0}\"}}}}}}\ntarget: {{path: restored/, postgres: {{url: \"env:TARGET\"}}}}\nevidence: {{path: \
             evidence/}}\nassets:\n  - id: ledger\n    rds: {{instance: {INSTANCE}, database: ledger, method: export, {login} \
             export: {{{export}}}}}\n{more}",
            self.account.moto.endpoint(),
            self.rds
        )
    }

    fn login(&self) -> String {
        let ca = self.account.ca.display();
        let via = self.account.via();
        format!("user: reader, password: \"env:LEDGER_PASSWORD\", ca: \"{ca}\", {via},")
    }

    pub fn walkaway(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.account.command(arguments).env("TARGET", self.target.url("postgres")).output().unwrap())
    }

    pub fn run(&self, playbook: &str, arguments: &[&str]) -> Ran {
        self.account.write(playbook);
        // The database of an earlier run is not this run's.
        self.target.execute("postgres", "drop database if exists ledger");
        self.walkaway(&[&["run", "drill.yaml"], arguments].concat())
    }

    fn put(&self, folder: &str, objects: &[(&str, Vec<u8>)]) {
        let objects: Vec<_> = objects.iter().map(|(key, bytes)| (format!("{folder}/{key}"), bytes.clone())).collect();
        fill_bucket(self.account.moto.endpoint(), BUCKET, &objects);
    }

    pub fn ask(&self, sql: &str) -> Vec<String> {
        let rows = self.target.client("ledger").query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".to_owned())).collect()
    }
}

/// A list of tables whose columns it does not name.
fn listed(targets: &[(&str, &str)]) -> Vec<u8> {
    listed_with(targets, &[])
}

fn listed_with(targets: &[(&str, &str)], columns: &[(&str, &str)]) -> Vec<u8> {
    let columns: Vec<Value> = columns
        .iter()
        .map(|(name, exported)| json!({"columnName": name, "originalType": "any", "expectedExportedType": exported}))
        .collect();
    let tables: Vec<Value> = targets
        .iter()
        .map(|(target, status)| {
            json!({"target": target, "status": status, "sizeGB": 0.1, "schemaMetadata": {"originalTypeMappings": columns}})
        })
        .collect();
    serde_json::to_vec(&json!({"perTableStatus": tables})).unwrap()
}

/// What RDS says about an export that is as it should be; of an automated snapshot where there is no task of this name.
fn info(world: &World, id: &str) -> Value {
    let tasks = block_on(world.account.rds().describe_export_tasks().send()).unwrap();
    let task = tasks.export_tasks().iter().find(|task| task.export_task_identifier() == Some(id));
    let automated = format!("{SNAPSHOTS}:rds:{INSTANCE}-2026-11-30-02-47");
    let source = task.and_then(|task| task.source_arn()).unwrap_or(&automated);
    json!({"exportTaskIdentifier": id, "sourceArn": source, "exportOnly": [],
           "s3Bucket": BUCKET, "status": "COMPLETE", "percentProgress": 100})
}

/// The five hundred entries of the live table, in two parts with a gap between their numbers.
fn entries(folder: &str) -> Vec<(String, Vec<u8>)> {
    let part = |from: i32, to: i32| {
        let amounts: Vec<String> = (from..to).map(amount).collect();
        let amounts = Column::texts(amounts.iter().map(|amount| Some(amount.as_str())));
        parquet::file(ENTRIES, &[Column::Int32((from..to).map(Some).collect()), amounts], 100)
    };
    let key = |name: &str| format!("{folder}ledger/public.entries/1/{name}");
    vec![
        (key("_SUCCESS"), Vec::new()),
        (key("part-00000-6f4c.gz.parquet"), part(1, 251)),
        (key("part-00003-6f4c.gz.parquet"), part(251, 501)),
    ]
}

/// What the live table holds.
fn amount(n: i32) -> String {
    format!("{:.3}", f64::from(n) / 8.0)
}

pub fn clean_export(world: &World, folder: &str) {
    let id = folder.rsplit('/').next().unwrap();
    let mut objects = entries("");
    objects.push((format!("export_info_{id}.json"), info(world, id).to_string().into_bytes()));
    let columns = [("id", "int32"), ("amount", "binary (UTF8)")];
    let list = listed_with(&[("ledger.public.entries", "COMPLETE")], &columns);
    objects.push((format!("export_tables_info_{id}_from_1_to_1.json"), list));
    let objects: Vec<_> = objects.iter().map(|(key, bytes)| (key.as_str(), bytes.clone())).collect();
    world.put(folder, &objects);
}

pub fn has(ran: &Ran, kind: &str, subject: &str) -> bool {
    let findings = ran.result()["assets"][0]["findings"].as_array().unwrap().clone();
    findings.iter().any(|one| one["kind"] == kind && one["subject"].as_str().unwrap().contains(subject))
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn files_of_an_export_are_restored_and_never_called_proven() {
    let world = World::new();
    clean_export(&world, "drills/e");
    world.put("drills/e", &[("crm/public.people/1/part-00000-1.gz.parquet", b"not this database's".to_vec())]);
    let playbook = world.playbook("bucket: exports, folder: drills/e", "", "");
    let ran = world.run(&playbook, &[]);
    ran.assert_code(2).assert_says(&["captured, not proven", "an export is data only"]);
    let result = ran.result();
    assert_eq!((&result["verdict"], &result["assets"][0]["items"]), (&"NOT RUN".into(), &500.into()));
    let export = &ran.database()["rds"]["export"];
    assert_eq!((&export["data_only"], &export["counted_tables"]), (&true.into(), &0.into()));
    // Record, list and three files of the table; nothing of another database.
    assert_eq!((&export["files"]["verdict"], &export["files"]["items"]), (&"PASS".into(), &5.into()));
    assert_eq!(export["files"]["objects"]["provider_confirmed"], 5);
    assert!(has(&ran, "deviation", "other databases"));
    assert_eq!(world.ask("select sum(id)::text from entries"), ["125250"]);
    assert_eq!(world.ask("select amount from entries where id = 7"), ["0.875"]);
    world.walkaway(&["verify", ran.bundle().to_str().unwrap()]).assert_code(0);
    world.walkaway(&["verify", "--restored", ran.bundle().to_str().unwrap()]).assert_code(0);
    let plan = world.walkaway(&["plan", "drill.yaml"]);
    plan.assert_code(0);
    assert!(plan.stdout.contains("never PASS"), "{}", plan.stdout);

    // What is restored, and the files it came from, are looked at again.
    world.target.execute("ledger", "update public.entries set amount = '2' where id = 7");
    let said = world.walkaway(&["verify", "--restored", ran.bundle().to_str().unwrap()]);
    said.assert_code(1);
    assert!((said.stdout + &said.stderr).contains("public.entries"));
    world.target.execute("ledger", "update public.entries set amount = '0.875' where id = 7");
    let files = world.account.home.join("restored").join(ran.bundle().file_name().unwrap()).join("ledger/files");
    let part = files.join("tree/drills/e/ledger/public.entries/1/part-00003-6f4c.gz.parquet");
    fs::write(&part, b"damaged").unwrap_or_else(|error| panic!("{}: {error}", part.display()));
    let said = world.walkaway(&["verify", "--restored", ran.bundle().to_str().unwrap()]);
    said.assert_code(1);
    assert!((said.stdout + &said.stderr).contains("part-00003"));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn live_tables_are_counted_where_the_playbook_says_who_logs_in() {
    let world = World::new();
    clean_export(&world, "e");
    let playbook = world.playbook("bucket: exports, folder: e/", &world.login(), "");
    let ran = world.run(&playbook, &[]);
    // Rows and columns agree; that an export is data only stays, and that its values are not proven.
    ran.assert_code(2).assert_says(&["2 of 2 columns agree, each by itself"]);
    assert!(has(&ran, "not_proven", "1 tables") && has(&ran, "not_carried", "everything but rows"));
    assert!(!has(&ran, "not_proven", "entries"), "{:#}", ran.result()["assets"][0]["findings"]);
    assert_eq!(ran.database()["rds"]["export"]["counted_tables"], 1);

    // As many rows, and other values, NULLs, types and columns.
    let columns_differ = |sql: &str, expected: &[(&str, &str)]| {
        world.account.server.execute("ledger", sql);
        let ran = world.run(&playbook, &[]);
        ran.assert_code(1);
        for (kind, words) in expected {
            let findings = ran.result()["assets"][0]["findings"].as_array().unwrap().clone();
            let fits = |one: &&Value| one["kind"] == *kind && one["detail"].as_str().unwrap().contains(words);
            assert!(findings.iter().any(|one| fits(&one)), "{kind} {words}: {findings:#?}");
        }
    };
    columns_differ(
        "update entries set amount = amount + 1 where id = 7",
        &[("table_digest", "the column amount holds other values")],
    );
    columns_differ(
        "update entries set amount = null where id = 7; alter table entries add note text, alter id type bigint",
        &[
            ("table_digest", "has 500 values that are not NULL, the live one 499"),
            ("catalog_missing", "the column note"),
            ("catalog_differs", "the column id is bigint in the live table"),
        ],
    );
    world.account.server.execute(
        "ledger",
        "alter table entries drop note, alter id type integer; alter table entries rename amount to cost",
    );

    world.account.server.execute("ledger", "delete from entries where id = 3; create table later (id integer)");
    let ran = world.run(&playbook, &[]);
    ran.assert_code(1).assert_says(&["the export holds 500 rows, the live table 499", "the export has no such table"]);
    assert!(has(&ran, "catalog_missing", "public.entries") && has(&ran, "catalog_unexpected", "public.entries"));
    assert!(has(&ran, "table_rows", "public.entries") && has(&ran, "table_missing", "public.later"));
    world.walkaway(&["verify", ran.bundle().to_str().unwrap()]).assert_code(0);

    // What RDS does not export, what may not be counted, and what the playbook leaves out.
    world.account.server.execute(
        "ledger",
        "drop table later; create unlogged table scratch (id integer); create table hidden (id integer);
         create table aside (id integer)",
    );
    world.account.server.execute("postgres", "revoke pg_read_all_data from reader");
    world.account.server.execute("ledger", "grant select on scratch to reader");
    let aside = "    exclude_tables: [{name: public.aside, reason: reproducible}]\n";
    let ran = world.run(&world.playbook("bucket: exports, folder: e/", &world.login(), aside), &[]);
    ran.assert_code(1).assert_says(&["the live table has 0 rows", "could not be counted"]);
    for (kind, table) in
        [("table_missing", "public.scratch"), ("table_missing", "public.hidden"), ("not_proven", "public.entries")]
    {
        assert!(has(&ran, kind, table), "{table}: {:#}", ran.result()["assets"][0]["findings"]);
    }
    assert!(!ran.result()["assets"][0]["findings"].to_string().contains("public.aside"));

    world.account.server.execute("postgres", "alter role reader password 'another'");
    let ran = world.run(&playbook, &[]);
    ran.assert_code(2);
    assert!(has(&ran, "not_proven", "live counts"));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_value_that_cannot_be_read_as_what_it_is_costs_its_column_only() {
    let world = World::new();
    world.account.server.execute(
        "ledger",
        "drop table entries; create table odd (at timestamptz, day date); insert into odd values ('2026-01-01 10:00+00', '2026-01-02')",
    );
    let schema = "message spark_schema { optional binary at (STRING); optional binary day (STRING); }";
    let columns = [Column::texts([Some("2026-01-01T12:00:00+02")]), Column::texts([Some("no day")])];
    world.put(
        "o",
        &[
            ("ledger/public.odd/1/_SUCCESS", Vec::new()),
            ("ledger/public.odd/1/part-00000-1.gz.parquet", parquet::file(schema, &columns, 10)),
            ("export_info_o.json", info(&world, "o").to_string().into_bytes()),
            ("export_tables_info_o_from_1_to_1.json", listed(&[("ledger.public.odd", "COMPLETE")])),
        ],
    );
    let ran = world.run(&world.playbook("bucket: exports, folder: o", &world.login(), ""), &[]);
    ran.assert_code(2).assert_says(&["the column day holds text that cannot be read as date", "1 of 2 columns agree"]);
    assert!(!has(&ran, "table_digest", "public.odd"), "{:#}", ran.result()["assets"][0]["findings"]);
    assert!(!ran.result().to_string().contains("no day"));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn every_kind_of_value_comes_back_as_it_was() {
    let world = World::new();
    let doubles = [0.1, -0.0, 1e23, 8.41e21, 5e-324, f64::MAX, f64::NAN, f64::NEG_INFINITY, 1e15, 123_456.789, 1e-5];
    let rows = doubles.len();
    let texts = ["", "\\N", "a\tb\\c\nd\r\u{8}\u{b}\u{c}", "ünïcödé ☃", "\\.", "'quoted'"];
    let null_at = |n: usize| n == rows - 1;
    let columns = [
        Column::Int32((0..rows).map(|n| (!null_at(n)).then_some(i32::MAX - n as i32)).collect()),
        Column::Int64((0..rows).map(|n| (!null_at(n)).then_some(i64::MIN + n as i64)).collect()),
        Column::Int32((0..rows).map(|n| (!null_at(n)).then_some(-32_768 + n as i32)).collect()),
        Column::Bool((0..rows).map(|n| (!null_at(n)).then_some(n % 2 == 0)).collect()),
        Column::Float(doubles.map(|double| Some(double as f32)).to_vec()),
        Column::Double(doubles.map(Some).to_vec()),
        Column::Bytes((0..rows).map(|n| (!null_at(n)).then(|| vec![0, 255, n as u8])).collect()),
        Column::texts((0..rows).map(|n| (!null_at(n)).then(|| texts[n % texts.len()]))),
        Column::texts((0..rows).map(|_| Some("12345678901234567890.1234567890"))),
        Column::Int32((0..rows).map(|n| Some(n as i32 * 100_000 - 800_000)).collect()),
        Column::Int64((0..rows).map(|n| Some(n as i64 * 5 - 7)).collect()),
    ];
    // Large enough for many pages and batches.
    let many = 60_000;
    let bodies: Vec<String> = (0..many).map(|n| format!("{n} {}", "x".repeat(n % 40))).collect();
    let large = parquet::file(
        "message spark_schema { optional double n; optional binary body (STRING); }",
        &[
            Column::Double(
                (0..many)
                    .map(|n| {
                        Some(f64::from_bits(0x3ff0_0000_0000_0000 ^ (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                    })
                    .collect(),
            ),
            Column::texts(bodies.iter().map(|body| Some(body.as_str()))),
        ],
        25_000,
    );
    world.put(
        "e",
        &[
            ("ledger/public.kinds/1/_SUCCESS", Vec::new()),
            ("ledger/public.kinds/1/part-00000-1.gz.parquet", parquet::file(KINDS, &columns, 3)),
            ("ledger/audit.\u{fc}ber_all/1/_SUCCESS", Vec::new()),
            ("ledger/audit.\u{fc}ber_all/1/part-00000-1.gz.parquet", parquet::file(KINDS, &columns, 100)),
            ("ledger/public.large/1/_SUCCESS", Vec::new()),
            ("ledger/public.large/1/part-00000-1.gz.parquet", large),
            ("ledger/public.empty/1/_SUCCESS", Vec::new()),
            (
                "export_tables_info_e_from_1_to_4.json",
                listed(&[
                    ("ledger.public.kinds", "COMPLETE"),
                    ("ledger.audit.über all", "COMPLETE"),
                    ("ledger.public.large", "COMPLETE"),
                    ("ledger.public.empty", "COMPLETE"),
                ]),
            ),
        ],
    );
    let ran = world.run(&world.playbook("bucket: exports, folder: e", "", ""), &[]);
    ran.assert_code(2);
    let checks = ran.result()["assets"][0]["checks"].as_array().unwrap().clone();
    for name in ["rows", "digest"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(
            (&check["expected"], &check["equal"]),
            (&4.into(), &4.into()),
            "{:#}",
            ran.result()["assets"][0]["findings"]
        );
    }
    assert_eq!(ran.result()["assets"][0]["items"], many + 2 * rows);
    // What the server makes of the values, asked in another way than by copying.
    assert_eq!(world.ask("select count(*)::text from public.kinds where note = E'\\\\N'"), ["2"]);
    assert_eq!(world.ask("select count(*)::text from public.kinds where note = ''"), ["2"]);
    assert_eq!(
        world.ask("select precise::text from public.kinds where id = 2147483647 - 2"),
        ["9.999999999999999e+22"]
    );
    assert_eq!(world.ask("select encode(raw, 'hex') from public.kinds where id = 2147483647"), ["00ff00"]);
    assert_eq!(world.ask("select cents::text from public.kinds where id = 2147483647"), ["-0.07"]);
    assert_eq!(world.ask("select min(day)::text from public.kinds"), ["0222-09-04 BC"]);
    assert_eq!(world.ask("select count(*)::text from audit.\"über all\" where note is null"), ["1"]);
    assert_eq!(world.ask("select count(*)::text from public.empty"), ["0"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_an_export_lacks_is_named() {
    let world = World::new();
    let schema = "message spark_schema { optional int32 id; optional binary body (STRING); }";
    let good = parquet::file(schema, &[Column::Int32(vec![Some(1)]), Column::texts([Some("a")])], 10);
    let not_text = parquet::file(schema, &[Column::Int32(vec![Some(1)]), Column::Bytes(vec![Some(vec![0xff])])], 10);
    let with_nul = parquet::file(schema, &[Column::Int32(vec![Some(1)]), Column::texts([Some("a\0b")])], 10);
    let other_columns = parquet::file(KINDS, &[], 1);
    let nested = parquet::file("message m { optional group g { optional int32 a; } }", &[], 1);
    let mut damaged = good.clone();
    let middle = damaged.len() / 3;
    damaged.truncate(middle);
    let narrow = "message spark_schema { optional int32 id; }";
    let narrow = parquet::file(narrow, &[Column::Int32(vec![Some(1), Some(2)])], 10);
    let canceled = json!({"status": "CANCELED", "percentProgress": 57, "exportOnly": ["ledger.public.good"],
                          "sourceArn": SNAPSHOTS.replace("123456789012", "210987654321") + ":rds:crm-2026-11-30-02-47"});
    world.put(
        "e",
        &[
            ("ledger/public.good/1/part-00000-1.gz.parquet", good.clone()),
            ("ledger/public.good/1/_SUCCESS", Vec::new()),
            ("ledger/public.narrow/1/part-00000-1.gz.parquet", narrow.clone()),
            ("ledger/public.narrow/1/part-00000-2.gz.parquet", narrow.clone()),
            ("ledger/public.narrow/3/part-00000-1.gz.parquet", narrow.clone()),
            ("export_info_e.json", canceled.to_string().into_bytes()),
            (
                "export_tables_info_f_from_6_to_7.json",
                listed_with(&[("ledger.public.narrow", "COMPLETE")], &[("id", "int64"), ("body", "binary (UTF8)")]),
            ),
            ("ledger/public.good/new/1/part-00000-1.gz.parquet", good.clone()),
            ("ledger/public.left_out/1/part-00000-1.gz.parquet", good.clone()),
            ("ledger/public.not_text/1/part-00000-1.gz.parquet", not_text),
            ("ledger/public.with_nul/1/part-00000-1.gz.parquet", with_nul),
            ("ledger/public.damaged/1/part-00000-1.gz.parquet", damaged),
            ("ledger/public.nested/1/part-00000-1.gz.parquet", nested),
            ("ledger/public.mixed/1/part-00000-1.gz.parquet", good.clone()),
            ("ledger/public.mixed/1/part-00001-1.gz.parquet", other_columns),
            ("ledger/pg_catalog.pg_class/1/part-00000-1.gz.parquet", good.clone()),
            ("ledger/public.x\"; drop table good; --/1/part-00000-1.gz.parquet", good.clone()),
            (
                "export_tables_info_e_from_1_to_5.json",
                listed(&[
                    ("ledger.public.good", "COMPLETE"),
                    ("ledger.public.gone", "COMPLETE"),
                    ("ledger.public.left_out", "COMPLETE"),
                    ("ledger.public.wide", "SKIPPED"),
                    ("crm.public.gone", "COMPLETE"),
                ]),
            ),
        ],
    );
    let excluded = "    exclude_tables: [{name: public.left_out, reason: reproducible}]\n";
    let ran = world.run(&world.playbook("bucket: exports, folder: e", "", excluded), &[]);
    ran.assert_code(1);
    assert!(has(&ran, "export_incomplete", "public.gone"));
    let findings = ran.result()["assets"][0]["findings"].as_array().unwrap().clone();
    let contradictions: Vec<_> = findings
        .iter()
        .filter(|one| one["kind"] == "export_contradicts")
        .map(|one| format!("{}: {}", one["subject"].as_str().unwrap(), one["detail"].as_str().unwrap()))
        .collect();
    for words in [
        "export_info_e.json: its status is CANCELED",
        "export_info_e.json: it came to 57 %",
        "in another account",
        "of several exports: e, f",
        "public.narrow/1: several parts have the number 0",
        "public.narrow: the column id is integer in the files, and int64 by the list; the column body is missing",
        "part-00000-1.gz.parquet and part-00000-2.gz.parquet hold the same bytes",
    ] {
        assert!(contradictions.iter().any(|one| one.contains(words)), "{words}: {contradictions:#?}");
    }
    assert!(has(&ran, "not_proven", "export_tables_info_f_from_6_to_7.json"));
    assert!(has(&ran, "not_proven", "export_info_e.json") && has(&ran, "not_proven", "public.narrow"));
    assert_eq!(world.ask("select count(*)::text from public.narrow"), ["6"]);
    assert!(has(&ran, "table_skipped", "public.wide"));
    assert!(has(&ran, "export_incomplete", "public.good/new/1/part-00000-1.gz.parquet"));
    assert!(has(&ran, "export_incomplete", "public.mixed/1") && !has(&ran, "export_incomplete", "public.good/1"));
    for table in ["not_text", "with_nul", "damaged", "nested", "mixed", "pg_class"] {
        assert!(has(&ran, "table_unreadable", table), "{table}: {:#}", ran.result()["assets"][0]["findings"]);
    }
    assert!(!ran.result()["assets"][0]["findings"].to_string().contains("left_out"));
    assert_eq!(
        world.ask("select tablename::text from pg_tables where schemaname = 'public' and tablename like 'x%'"),
        ["x\"; drop table good; --"]
    );
    assert_eq!(world.ask("select body from public.good"), ["a"]);
    world.walkaway(&["verify", ran.bundle().to_str().unwrap()]).assert_code(0);

    let ran = world.run(&world.playbook("bucket: exports, folder: nothing", "", ""), &[]);
    ran.assert_code(1);
    assert!(has(&ran, "nothing_matched", "rds:ledger-prod/ledger"));
}
