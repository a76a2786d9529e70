//! The real walkaway against real servers, from playbook to bundle: what is carried, what is proven, what the bundle says,
//! and what stock tools make of it.
//!
//! What was restored is compared with what was put, without walkaway's own digests. Leaves out damage (`damage.rs`),
//! interruption (`resume.rs`), and servers or machines that fail (`bad_world.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::support::{
    self, PgCluster, SECRET_KEY,
    drill::{
        DATABASE, Drill, FILES, LEDGER, Managed, OBJECT_CANARY, ODD_DATABASE, PLAIN_DATABASE, READER, READER_PASSWORD,
        ROW_CANARY, Ran, dump, odd_objects, python, start_and_stop, stock, wait_until,
    },
    independent, standin,
};
use serde_json::{Value, json};

const FEW_OBJECTS: [(&str, &str); 2] = [("a/one", "1"), ("b/two", "22")];

// ---------------------------------------------------------------------------------------------------------------------
// The whole drill

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_bucket_and_a_database_are_carried_proven_and_evidenced() {
    let objects = odd_objects();
    let drill = Drill::new().bucket(&objects).database(ODD_DATABASE);
    let before = drill.source_dump();
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert_eq!(ran.findings(), json!([]));
    assert_no_escapes(&ran.stdout);
    assert_no_escapes(&ran.stderr);

    assert_every_object_is_at_its_place(&ran, &objects);
    assert_objects_are_counted(&ran, &objects);
    assert_database_is_compared(&ran);
    assert_eq!(before, drill.source_dump(), "the source changed");
    let managed = Managed::start(&ran);
    assert_same_text(&before, &managed.dump());
    drop(managed);

    assert_stock_tools_accept(&ran);
    assert_schema_accepts_the_result(&ran);
    assert_verify_agrees(&drill, &ran);
    assert_nothing_secret_is_written(&drill, &ran);
}

fn assert_every_object_is_at_its_place(ran: &Ran, objects: &[(String, Vec<u8>)]) {
    let places = ran.places();
    let put: BTreeSet<_> = objects.iter().map(|(key, _)| key).collect();
    assert_eq!(places.keys().collect::<BTreeSet<_>>(), put);
    assert_eq!(places.values().collect::<BTreeSet<_>>().len(), objects.len(), "keys were merged");
    for (key, bytes) in objects {
        let place = &places[key];
        let metadata = fs::symlink_metadata(place).unwrap_or_else(|error| panic!("{key:?} at {place:?}: {error}"));
        assert!(metadata.is_file(), "{key:?} at {place:?}");
        assert!(fs::read(place).unwrap() == *bytes, "{key:?} at {place:?} has other bytes");
    }
    let plain = ["plain", "with space/ leading and trailing ", "percent%2Fslash", "日本語/資料.txt", "plus+plus"];
    for key in plain {
        assert_eq!(places[key], ran.restored(FILES).join("tree").join(key));
    }
    assert_eq!(files_below(&ran.restored(FILES)).len(), objects.len(), "files that belong to no object");
}

fn assert_objects_are_counted(ran: &Ran, objects: &[(String, Vec<u8>)]) {
    let count = objects.len();
    let asset = ran.asset(FILES);
    let bytes: usize = objects.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!((&asset["verdict"], &asset["items"], &asset["bytes"]), (&json!("PASS"), &json!(count), &json!(bytes)));
    assert_eq!(asset["objects"]["listed"], count);
    assert_eq!(asset["objects"]["provider_confirmed"], count, "every object has an MD5 or a CRC at SeaweedFS");
    let all = json!([{"name": "objects", "expected": count, "compared": count, "equal": count}]);
    assert_eq!(asset["checks"], all);
    assert_controls_were_found(asset, &["one byte changed", "one byte added"]);
}

fn assert_database_is_compared(ran: &Ran) {
    let asset = ran.asset(LEDGER);
    let checks: BTreeMap<_, _> =
        asset["checks"].as_array().unwrap().iter().map(|check| (check["name"].as_str().unwrap(), check)).collect();
    for name in ["rows", "digest", "sequences", "catalog", "spool"] {
        let check = checks.get(name).unwrap_or_else(|| panic!("no check {name} in {asset:#}"));
        let counts = [&check["expected"], &check["compared"], &check["equal"]];
        assert!(counts[0].as_u64() > Some(0) && counts.iter().all(|count| *count == counts[0]), "{check}");
    }
    let tables = asset["database"]["tables"].as_u64().unwrap();
    assert_eq!((checks["rows"]["equal"].as_u64(), checks["spool"]["equal"].as_u64()), (Some(tables), Some(tables)));
    assert_eq!(asset["verdict"], "PASS");
    assert_controls_were_found(
        asset,
        &["one byte changed", "one row dropped", "one row doubled", "NULL turned into ''"],
    );
}

fn assert_controls_were_found(asset: &Value, damages: &[&str]) {
    let controls = asset["controls"].as_array().unwrap();
    assert!(controls.iter().all(|control| control["found"] == true), "{controls:#?}");
    for damage in damages {
        assert!(controls.iter().any(|control| control["damage"] == *damage), "no control {damage}: {controls:#?}");
    }
}

fn assert_stock_tools_accept(ran: &Ran) {
    let validated =
        Command::new(standin("python")).arg(standin("bagit.py")).arg("--validate").arg(&ran.bundle).output();
    assert!(validated.unwrap().status.success(), "bagit.py refuses the bundle");
    let of_asset = |asset: &str, name: &str| ran.bundle.join("data/assets").join(asset).join(name);
    let lists = [
        (ran.bundle.clone(), ran.bundle.join("tagmanifest-sha256.txt"), 4),
        (ran.bundle.clone(), ran.bundle.join("manifest-sha256.txt"), 9),
        (ran.restored(FILES), of_asset(FILES, "objects.sha256"), odd_objects().len()),
        (ran.restored(LEDGER), of_asset(LEDGER, "exports.sha256"), 20),
    ];
    for (directory, list, least) in lists {
        let said = stock(Command::new("sha256sum").args(["--check", "--strict"]).arg(&list).current_dir(directory));
        let accepted = said.lines().filter(|line| line.ends_with(": OK")).count();
        assert!(accepted >= least, "{}: only {accepted} files", list.display());
    }
}

fn assert_schema_accepts_the_result(ran: &Ran) {
    let program = "
import json, sys, jsonschema
schema, result = (json.load(open(path)) for path in sys.argv[1:])
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
validator.validate(result)
for damage in ({'verdict': 'GOOD'}, {'stranger': 1}, {'assets': [{}]}, {'journal': None}):
    assert not validator.is_valid(result | damage), f'the schema also accepts {damage}'
";
    let data = ran.bundle.join("data");
    python(program, &[&data.join("result.schema.json"), &data.join("result.json")]);
}

fn assert_verify_agrees(drill: &Drill, ran: &Ran) {
    let bundle = ran.bundle.to_str().unwrap();
    let text = verify(drill, &[bundle, "--restored"]);
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    let said = String::from_utf8(text.stdout).unwrap();
    assert!(
        said.contains("the bundle is consistent; nobody vouches for it") && said.contains("the restored data agrees"),
        "{said}"
    );
    assert_no_escapes(&said);

    let lines = ndjson(verify(drill, &[bundle, "--restored", "--json"]));
    assert_eq!(lines.last().unwrap()["exit_code"], 0);
    let compared: BTreeSet<_> = lines
        .iter()
        .filter(|line| line["type"] == "check")
        .map(|line| line["check"]["name"].as_str().unwrap())
        .collect();
    let all = ["objects", "rows", "digest", "spool", "catalog", "sequences", "materialized views", "generated columns"];
    assert_eq!(compared, BTreeSet::from(all));

    let quiet = verify(drill, &[bundle, "--restored", "--quiet"]);
    assert_eq!((quiet.status.code(), &quiet.stdout[..], &quiet.stderr[..]), (Some(0), &b""[..], &b""[..]));
}

fn assert_nothing_secret_is_written(drill: &Drill, ran: &Ran) {
    let again = drill.prepared(&["--json", "-vvv"]).env("RUST_LOG", "info,walkaway=trace").output().unwrap();
    let said = [&again.stdout, &again.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap()).concat();
    let secrets = [READER_PASSWORD, SECRET_KEY, ROW_CANARY, OBJECT_CANARY];
    assert_absent(&secrets, "what is said", (said + &ran.stdout + &ran.stderr).as_bytes());
    let bundles = drill.home().join("evidence");
    assert_eq!(fs::read_dir(&bundles).unwrap().count(), 2);
    for file in files_below(&bundles) {
        assert_absent(&secrets, &file.display().to_string(), &fs::read(&file).unwrap());
    }
    // The restored data holds what was carried, but nothing of the way there.
    for file in files_below(&drill.home().join("restored")) {
        assert_absent(&secrets[..2], &file.display().to_string(), &fs::read(&file).unwrap());
    }
    assert!(contains(&fs::read(&ran.places()["canary.txt"]).unwrap(), OBJECT_CANARY), "the canary is carried itself");
}

// ---------------------------------------------------------------------------------------------------------------------
// What VERIFY.md says

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_commands_of_verify_md_run_for_whoever_ran_the_drill() {
    run_the_commands_of_verify_md(Drill::new(), None);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_commands_of_verify_md_run_for_an_ordinary_user() {
    let drill = Drill::new().ordinary_user();
    let user = drill.user();
    run_the_commands_of_verify_md(drill, user);
}

fn run_the_commands_of_verify_md(drill: Drill, user: Option<(u32, u32)>) {
    let objects = odd_objects();
    let small = objects.iter().filter(|(_, bytes)| bytes.len() < 1000).cloned().collect::<Vec<_>>();
    let drill = drill.bucket(&small).database(ODD_DATABASE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let blocks = blocks(&ran.read("VERIFY.md"));
    let said = run_blocks(&drill, &ran, &blocks, user);
    let _ = Command::new("bash").args(["-c", &start_and_stop(&ran).1]).current_dir("/").output();

    let of = |part: &str| {
        blocks
            .iter()
            .position(|block| block.contains(part))
            .map(|at| said[at].as_str())
            .unwrap_or_else(|| panic!("VERIFY.md has no {part}"))
    };
    assert!(of("sha256sum --strict -c manifest-sha256.txt").lines().filter(|line| line.ends_with(": OK")).count() > 12);
    let heads: Vec<_> = of("does not continue the one before").lines().collect();
    assert!(heads.len() == 2 && heads[0] == heads[1] && heads[0].len() > 64, "{heads:?}");
    assert_eq!(of("objects.sha256 && echo ok"), "ok\n");
    assert_eq!(of("comm -13"), "", "a file that no line names");
    assert_eq!(of("objects.ndjson <<").trim(), ran.asset(FILES)["content_sha256"]);
    assert_eq!(of("exports.sha256 && echo ok"), "ok\n");
    assert_eq!(of("exports.csv <<").trim(), ran.asset(LEDGER)["content_sha256"]);
    let tables = ran.asset(LEDGER)["database"]["tables"].as_u64().unwrap();
    let equal = of("table_digest.py data/assets").lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(equal as u64, tables, "{}", of("table_digest.py data/assets"));
    assert!(of("tables.csv 1 -- psql").starts_with("ok "), "{}", of("tables.csv 1 -- psql"));
    assert!(of("verify.py").contains("the bundle is consistent"), "{}", of("verify.py"));
}

/// The fenced blocks of shell, in their order.
fn blocks(document: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((["sh", "bash"].contains(&language), String::new())),
            (None, None) => {}
            (Some(_), Some("")) => blocks.extend(open.take().filter(|(shell, _)| *shell).map(|(_, text)| text)),
            (Some((_, text)), _) => *text += &format!("{line}\n"),
        }
    }
    assert!(open.is_none() && blocks.len() >= 8, "{blocks:#?}");
    blocks
}

/// Runs the blocks in one shell, each from the bundle's directory, and returns what each prints. The one that loads an
/// export, in which the reader has to fill something in, is [`an_export_loads_into_any_database`]'s.
fn run_blocks(drill: &Drill, ran: &Ran, blocks: &[String], user: Option<(u32, u32)>) -> Vec<String> {
    const NEXT: &str = "---- the next block ----";
    let mut script = "set -e\n".to_owned();
    for block in blocks {
        let block = if block.contains("EXPORT") { "" } else { block };
        script += &format!("cd '{}'\n{block}echo '{NEXT}'\n", ran.bundle.display());
    }
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir("/").env("PATH", path_with_bagit(drill.home().path()));
    shell.env("TOOLS", independent::tools(drill.home().path()));
    if let Some((uid, gid)) = user {
        shell.uid(uid).gid(gid).env("HOME", "/nonexistent");
    }
    let said = stock(&mut shell);
    let said: Vec<_> = said.split(&format!("{NEXT}\n")).map(str::to_owned).collect();
    assert_eq!(said.len(), blocks.len() + 1);
    said
}

/// The PATH with `bagit.py` where every user can reach it.
fn path_with_bagit(home: &Path) -> String {
    let program = "
import importlib.metadata, pathlib, shutil, sys
bagit, to = importlib.metadata.distribution('bagit'), pathlib.Path(sys.argv[1])
to.mkdir()
shutil.copytree(bagit._path, to / bagit._path.name)
source = pathlib.Path(bagit.locate_file('bagit.py')).read_text()
(to / 'bagit.py').write_text('#!/usr/bin/env python3\\n' + source.removeprefix('#!/usr/bin/env python'))
";
    let bin = home.join("bin");
    python(program, &[&bin]);
    fs::set_permissions(bin.join("bagit.py"), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// The place in `tables.csv` of the table with the odd texts.
fn one_table(ran: &Ran) -> String {
    let program = "
import csv, sys
lines = enumerate(csv.DictReader(open(sys.argv[1], newline='')), 1)
print(next(number for number, line in lines if line['table'] == 'shop.texts'))
";
    python(program, &[&ran.bundle.join("data/assets").join(LEDGER).join("tables.csv")]).trim().to_owned()
}

/// The path of the table's only export.
fn export_of_one_table(ran: &Ran) -> String {
    let program = "
import csv, sys
print(next(line['path'] for line in csv.DictReader(open(sys.argv[1], newline='')) if line['table'] == 'shop.texts'))
";
    python(program, &[&ran.bundle.join("data/assets").join(LEDGER).join("exports.csv")]).trim().to_owned()
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_export_loads_into_any_database() {
    let drill = Drill::new().database(ODD_DATABASE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let source = drill.source();
    source.execute("postgres", &format!("create database loaded template {DATABASE}"));
    source.execute("loaded", "truncate shop.texts");
    let load = blocks(&ran.read("VERIFY.md")).into_iter().find(|block| block.contains("EXPORT")).unwrap();
    let load = load.replace("-d DATABASE", "-d \"$LOADED\"").replace("NUMBER", &one_table(&ran));
    let load = load.replace("EXPORT", &export_of_one_table(&ran));
    let mut bash = Command::new("bash");
    bash.args(["-ec", &load]).env("LOADED", source.url("loaded")).env("TOOLS", independent::tools(drill.home().path()));
    stock(bash.current_dir(&ran.bundle));
    let loaded = dump(Command::new("pg_dump").args(["--dbname", &source.url("loaded")]));
    assert_same_text(&drill.source_dump(), &loaded);
}

// ---------------------------------------------------------------------------------------------------------------------
// What walkaway says

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn json_lines_all_parse_and_end_with_the_result() {
    let drill = Drill::new().bucket(&FEW_OBJECTS);
    let ran = drill.run_with(&["--json"]);
    ran.assert_ended(0, "PASS");
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"run_started"), Some(&"run_done")));
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["exit_code"], &last["verdict"]), (&json!("result"), &json!(0), &json!("PASS")));
    let recorded = ran.read("data/journal.ndjson").lines().count();
    assert_eq!(lines.iter().filter(|line| line["type"] == "fact").count(), recorded);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn quiet_says_nothing_but_the_bundle() {
    let drill = Drill::new().bucket(&FEW_OBJECTS);
    let ran = drill.run_with(&["--quiet"]);
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.stdout, format!("{}\n", ran.bundle.display()));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_schema_of_playbooks_accepts_those_that_are_shipped() {
    let home = support::TempDir::new();
    let schema = home.join("schema.json");
    fs::write(&schema, support::walkaway().arg("schema").output().unwrap().stdout).unwrap();
    let program = "
import json, sys, jsonschema, yaml
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    # YAML knows dates, JSON does not.
    playbook = json.loads(json.dumps(yaml.safe_load(open(path)), default=str))
    validator.validate(playbook)
    for damage in ({'stranger': 1}, {'version': 2}, {'assets': []}, {'target': {}}):
        assert not validator.is_valid(playbook | damage), f'the schema also accepts {damage}'
";
    let playbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let names: Vec<PathBuf> = fs::read_dir(playbooks).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() >= 2);
    python(program, &[&[schema.as_path()], &names.iter().map(PathBuf::as_path).collect::<Vec<_>>()[..]].concat());
}

// ---------------------------------------------------------------------------------------------------------------------
// What is not a PASS

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_prefix_carries_what_lies_below_it_and_nothing_else() {
    let drill = Drill::new()
        .bucket(&[("a/one", "1"), ("a/two", "2"), ("a", "3"), ("ab/four", "4"), ("b/a/five", "5")])
        .prefix("a/");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.places().keys().collect::<Vec<_>>(), ["a/one", "a/two"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_prefix_that_matches_nothing_fails() {
    let drill = Drill::new().bucket(&FEW_OBJECTS).prefix("c/");
    let ran = drill.run();
    ran.assert_ended(1, "FAIL").assert_found("nothing_matched", "");
    assert_eq!(ran.asset(FILES)["verdict"], "FAIL");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_empty_bucket_fails() {
    let drill = Drill::new().bucket::<&str, &str>(&[]);
    let ran = drill.run();
    ran.assert_ended(1, "FAIL").assert_found("nothing_matched", "");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_without_tables_is_what_it_is_and_an_empty_one_has_to_be_meant() {
    let drill = Drill::new().database("create view one as select 1");
    let ran = drill.run();
    ran.assert_ended(0, "PASS").assert_found("deviation", LEDGER);
    let drill = Drill::new().database("create extension pg_trgm");
    drill.run().assert_ended(1, "FAIL").assert_found("nothing_matched", LEDGER);
    let drill = drill.asset_settings("may_be_empty: true");
    drill.run().assert_ended(0, "PASS").assert_found("deviation", LEDGER);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_excluded_table_stays_behind_and_is_named() {
    let drill = Drill::new()
        .database(&format!("{PLAIN_DATABASE} create table raw as select 'left-behind-canary'::text as line"));
    let drill = drill.exclude_tables("[{name: public.raw, reason: reproducible}]");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let database = &ran.asset(LEDGER)["database"];
    assert_eq!(database["excluded_tables"], json!([{"table": "public.raw", "reason": "reproducible"}]));
    assert_eq!(database["tables"], 2);
    assert!(!ran.read(&format!("data/assets/{LEDGER}/tables.csv")).contains("raw"));
    let rows: i64 = Managed::start(&ran).client().query_one("select count(*) from raw", &[]).unwrap().get(0);
    assert_eq!(rows, 0, "its rows were carried");
    for file in files_below(&ran.restored(LEDGER)) {
        assert_absent(&["left-behind-canary"], &file.display().to_string(), &fs::read(&file).unwrap());
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_exclusion_past_its_date_fails_and_one_before_it_does_not() {
    let exclude = |until: &str| {
        let line = format!(
            "exclude: [{{match: \"s3:logs-*\", reason: reproducible, owner: sre@acme.example, until: {until}}}]"
        );
        Drill::new().bucket(&FEW_OBJECTS).settings(&line).run()
    };
    let holds = exclude("2999-12-31");
    holds.assert_ended(0, "PASS");
    assert_eq!(
        (&holds.result["exclusions"][0]["expired"], &holds.result["exclusions"][0]["pattern"]),
        (&json!(false), &json!("s3:logs-*"))
    );
    let ended = exclude("2020-02-29");
    ended.assert_ended(1, "FAIL").assert_found("exclusion_expired", "s3:logs-*");
    assert_eq!(ended.result["exclusions"][0]["expired"], true);
    assert_eq!(ended.asset(FILES)["verdict"], "PASS");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_that_takes_longer_than_its_threshold_fails() {
    let drill = Drill::new().database(PLAIN_DATABASE).settings("thresholds: {run_time: \"<= 1s\"}");
    let ran = drill.run_against_a_lock("notes", Duration::from_millis(1200));
    ran.assert_ended(1, "FAIL").assert_found("threshold_missed", "run_time");
    assert_eq!(
        (&ran.result["thresholds"][0]["met"], &ran.result["thresholds"][0]["limit"]),
        (&json!(false), &json!("<= 1s"))
    );
    assert_eq!(ran.asset(LEDGER)["verdict"], "PASS");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_extension_that_the_target_lacks_is_a_finding_and_the_rest_is_compared() {
    let ghost = "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        select 99999, 'ghost', 10, oid, false, '1.0' from pg_namespace where nspname = 'public'";
    let drill = Drill::new().database(&format!("{PLAIN_DATABASE} {ghost}"));
    let ran = drill.run();
    // What is missing because of it is no finding of its own.
    ran.assert_ended(1, "FAIL").assert_found("schema_statement", "EXTENSION ghost");
    let findings = ran.findings();
    let [finding] = &findings.as_array().unwrap()[..] else { panic!("{findings}") };
    assert!(finding["detail"].as_str().unwrap().contains("the target is without extension ghost"), "{finding}");
    assert_eq!(ran.asset(LEDGER)["checks"][0]["equal"], 2);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_event_trigger_is_made_last_and_its_function_belongs_to_no_superuser() {
    let trigger = "create function heard() returns event_trigger language plpgsql as 'begin end';
        create event trigger ears on ddl_command_start execute function heard()";
    let drill = Drill::new().database(&format!("{PLAIN_DATABASE} {trigger}"));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let owner = "select r.rolsuper from pg_event_trigger t join pg_proc p on p.oid = t.evtfoid
                 join pg_roles r on r.oid = p.proowner where t.evtname = 'ears'";
    assert!(!Managed::start(&ran).client().query_one(owner, &[]).unwrap().get::<_, bool>(0));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_refused_statement_is_named_without_the_row_that_it_stumbled_over() {
    let index = format!(
        "create table planted as select '{ROW_CANARY}'::text as body;
         create function folded(text) returns integer immutable language sql as 'select 1';
         create index planted_folded on planted (folded(body));
         create or replace function folded(text) returns integer immutable language sql as 'select $1::integer';"
    );
    let drill = Drill::new().database(&format!("{PLAIN_DATABASE} {index}"));
    let ran = drill.run();
    ran.assert_ended(1, "FAIL").assert_found("schema_statement", "planted_folded");
    assert_absent(&[ROW_CANARY], "what is said", (ran.stdout + &ran.stderr).as_bytes());
    for file in files_below(&ran.bundle) {
        assert_absent(&[ROW_CANARY], &file.display().to_string(), &fs::read(&file).unwrap());
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Other sources and targets

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_is_restored_into_a_server_that_is_named() {
    const PASSWORD: &str = "target-canary-90b4d2";
    let target = PgCluster::start();
    target.execute("postgres", &format!("create role keeper login createdb bypassrls password '{PASSWORD}'"));
    target.execute("postgres", "create database other");
    for setting in ["array_nulls = off", "xmloption = document", "quote_all_identifiers = on", "DateStyle = 'German'"] {
        target.execute("postgres", &format!("alter role keeper set {setting}"));
    }
    let drill =
        Drill::new().database(ODD_DATABASE).into_server_as_lesser(&target.url_as("keeper", PASSWORD, "postgres"));
    let before = drill.source_dump();
    let touched = state_of(drill.source());
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.findings(), json!([]));
    assert_eq!(before, drill.source_dump());
    assert_eq!(touched, state_of(drill.source()), "the source was written to");
    assert_same_text(&before, &dump(Command::new("pg_dump").args(["--dbname", &target.url(LEDGER)])));
    assert_eq!(
        target.client("postgres").query("select from pg_database where datname = 'other'", &[]).unwrap().len(),
        1
    );
    let again = verify(&drill, &[ran.bundle.to_str().unwrap(), "--restored"]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    for file in files_below(drill.home().path()) {
        assert_absent(&[PASSWORD, READER_PASSWORD], &file.display().to_string(), &fs::read(&file).unwrap());
    }
}

/// Databases, roles and settings of the source, and the rows that were ever written, once every session has ended.
fn state_of(source: &PgCluster) -> Vec<String> {
    let mut client = source.client("postgres");
    let others = "select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    wait_until(|| client.query(others, &[]).unwrap().is_empty());
    let state = format!(
        "select 'database ' || datname from pg_database union all
         select 'role ' || rolname || rolsuper from pg_roles union all
         select 'setting ' || setrole || setdatabase || setconfig::text from pg_db_role_setting union all
         select 'written ' || concat_ws(' ', tup_inserted, tup_updated, tup_deleted) from pg_stat_database where datname = '{DATABASE}'
         order by 1"
    );
    client.query(&state, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn hostile_settings_at_the_source_change_nothing() {
    let drill = Drill::new().database(ODD_DATABASE);
    let settings = [
        "DateStyle = 'SQL, DMY'",
        "search_path = evil, pg_catalog, shop",
        "statement_timeout = '1s'",
        "lock_timeout = '1s'",
        "idle_in_transaction_session_timeout = '1s'",
        "extra_float_digits = 0",
        "TimeZone = 'Asia/Kathmandu'",
        "IntervalStyle = 'postgres_verbose'",
        "bytea_output = 'escape'",
        "xmlbinary = 'hex'",
        "client_encoding = 'LATIN1'",
        "row_security = on",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
        "default_transaction_isolation = 'serializable'",
    ];
    drill.source().execute(
        DATABASE,
        "create schema evil;
         create table evil.pg_class (oid oid, relname name, relnamespace oid, relkind \"char\");
         create table evil.pg_sequence (seqrelid oid);
         create function evil.current_setting(text) returns text language sql as 'select ''fooled''';
         create function evil.count(text) returns bigint language sql as 'select 0::bigint';
         create operator evil.= (leftarg = name, rightarg = text, function = pg_catalog.nameeqtext, commutator = operator(evil.=));",
    );
    for (number, setting) in settings.iter().enumerate() {
        let whom = if number % 2 == 0 { format!("database {DATABASE}") } else { format!("role {READER}") };
        drill.source().execute(DATABASE, &format!("alter {whom} set {setting}"));
    }
    let ran = drill.run_against_a_lock("shop.texts", Duration::from_millis(1500));
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.findings(), json!([]));
    let managed = Managed::start(&ran).dump();
    // Read by the superuser, whom only the database's settings reach.
    drill.source().execute(DATABASE, &format!("alter database {DATABASE} reset all"));
    assert_same_text(&drill.source_dump(), &managed);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_in_another_encoding_keeps_it() {
    let sql =
        "create table \"größe\" (id integer, value text); insert into \"größe\" values (1, 'é\u{a0}ÿ'), (2, null);";
    let drill = Drill::new().database_like("template template0 encoding 'LATIN1'", sql);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let managed = Managed::start(&ran);
    let encoding: String = managed.client().query_one("select current_setting('server_encoding')", &[]).unwrap().get(0);
    assert_eq!(encoding, "LATIN1");
    let value: String = managed.client().query_one("select value from \"größe\" where id = 1", &[]).unwrap().get(0);
    assert_eq!(value, "é\u{a0}ÿ");
}

// ---------------------------------------------------------------------------------------------------------------------
// Helpers

fn verify(drill: &Drill, arguments: &[&str]) -> Output {
    drill.walkaway(&[&["verify"], arguments].concat()).output().unwrap()
}

#[track_caller]
fn ndjson(output: Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[track_caller]
fn assert_no_escapes(text: &str) {
    let strange = |c: &char| c.is_control() && *c != '\n';
    assert_eq!(text.chars().find(strange), None, "{text:?}");
}

#[track_caller]
fn assert_absent(secrets: &[&str], place: &str, bytes: &[u8]) {
    for secret in secrets {
        assert!(!contains(bytes, secret), "{secret} stands in {place}");
    }
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    memchr::memmem::find(bytes, needle.as_bytes()).is_some()
}

/// Everything below a directory that is not itself one.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(
            |entry| if entry.file_type().unwrap().is_dir() { files_below(&entry.path()) } else { vec![entry.path()] },
        )
        .collect()
}

/// Two long texts are equal; otherwise the first lines that are not.
#[track_caller]
fn assert_same_text(one: &str, other: &str) {
    let differ = one.lines().zip(other.lines()).position(|(one, other)| one != other);
    if let Some(at) = differ {
        let near = |text: &str| text.lines().skip(at.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
        panic!("line {at} differs:\n{}\n---\n{}", near(one), near(other));
    }
    assert_eq!(one.lines().count(), other.lines().count(), "one goes on");
}
