//! A run that is disturbed goes on with `walkaway resume` and ends as if nothing had happened; what was tampered with in
//! between is refused, and what changed at the provider is named.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::Path,
};

use crate::support::{
    self, PgCluster, WeedServer,
    disturb::{
        Drill, Gate, Moment, Postmaster, Running, bytes, count, entries, files, journal, sha256, text, wait_for,
    },
};
use rustix::process::Signal;
use serde_json::Value;

const SMALL_OBJECTS: usize = 300;
const LARGE_BYTES: usize = 40 << 20;
const TABLES: [&str; 3] = ["customers", "invoices", "orders"];

/// A provider with a bucket `files` and a database `shop`, each behind a gate.
struct World {
    _weed: WeedServer,
    s3: Gate,
    s3_direct: String,
    s3_url: String,
    source: PgCluster,
    pg: Gate,
    pg_url: String,
    objects: Vec<(String, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        Self::holding(objects())
    }

    fn holding(objects: Vec<(String, Vec<u8>)>) -> Self {
        let weed = support::weed();
        let source = PgCluster::start();
        support::fill_bucket(weed.endpoint(), "files", &objects);
        fill_database(&source);
        let s3 = Gate::before(weed.endpoint());
        let pg = Gate::before(&source.url("shop"));
        let s3_url = s3.through(weed.endpoint());
        let pg_url = pg.through(&source.url("shop"));
        let s3_direct = weed.endpoint().to_owned();
        World { _weed: weed, s3, s3_direct, s3_url, source, pg, pg_url, objects }
    }

    /// Both assets into a managed cluster.
    fn drill(&self) -> Drill {
        self.drill_into("{managed: true}")
    }

    fn drill_into(&self, postgres: &str) -> Drill {
        let playbook = format!(
            "version: 1\n\
             id: drill\n\
             provider: {{aws: {{regions: [us-east-1], endpoints: {{s3: \"{}\"}}}}}}\n\
             target: {{path: restored/, postgres: {postgres}}}\n\
             defaults: {{s3: {{limits: {{stall: 5s}}}}, database: {{limits: {{stall: 10s}}}}}}\n\
             assets:\n\
             \x20 - {{id: files, s3: {{bucket: files}}}}\n\
             \x20 - {{id: shop, postgres: {{url: \"env:SHOP\"}}}}\n\
             evidence: {{path: evidence/}}\n",
            self.s3_url
        );
        Drill::new(&playbook).with("SHOP", &self.pg_url)
    }

    /// The bucket alone.
    fn bucket_drill(&self) -> Drill {
        let drill = self.drill();
        let path = drill.join("playbook.yaml");
        let playbook = fs::read_to_string(&path).unwrap();
        let lines = playbook.lines().filter(|line| !line.contains("shop"));
        let playbook: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(&path, playbook.replace(", postgres: {managed: true}", "")).unwrap();
        drill
    }

    /// A run that was killed while the large object was on its way, nothing of the bucket being finished but `units`.
    fn killed_in_the_bucket(&self) -> Drill {
        let drill = self.drill();
        self.s3.stall_after(20 << 20);
        let running = drill.start();
        self.s3.wait_for_stall();
        running.kill();
        self.s3.open();
        drill
    }

    /// A run that was killed when the small objects were on record and the large ones on their way.
    fn killed_after_the_small_objects(&self) -> Drill {
        let drill = self.drill();
        self.s3.slow_down(1 << 20);
        let mut running = drill.start();
        assert!(running.wait_for(Moment::Event("unit_done", 1)));
        running.kill();
        self.s3.open();
        assert_eq!(count(&drill.journal(), "asset_transferred"), 0, "the large objects were too fast");
        drill
    }

    /// A run of this drill that stands still in the middle of a table.
    fn stalled_in_the_database(&self, drill: &Drill) -> Running {
        self.pg.slow_down(1 << 20);
        let mut running = drill.start();
        assert!(running.wait_for(Moment::Restored("shop/exports/00001-public.orders.copy.zst")), "{:?}", running.end());
        self.pg.stall_after(200 << 10);
        self.pg.wait_for_stall();
        running
    }

    /// A run of this drill that stands still while it asks for the schema.
    fn stalled_in_the_schema(&self, drill: &Drill) -> Running {
        self.pg.slow_down(200 << 10);
        let mut running = drill.start();
        assert!(running.wait_for(Moment::Event("database_created", 1)), "{:?}", running.end());
        self.pg.stall_after(20 << 10);
        self.pg.wait_for_stall();
        running
    }

    fn killed_in_the_database(&self, drill: &Drill) {
        self.stalled_in_the_database(drill).kill();
        self.pg.open();
        assert!(drill.journal().iter().all(|line| line["asset"] != "shop" || line["event"] != "asset_done"));
    }
}

fn objects() -> Vec<(String, Vec<u8>)> {
    let small =
        |n: usize| (format!("{}/{n:03}", if n.is_multiple_of(2) { "even" } else { "odd" }), bytes(n as u64, 10 * n));
    let mut objects: Vec<_> = (0..SMALL_OBJECTS).map(small).collect();
    objects.push(("large".to_owned(), bytes(1001, LARGE_BYTES)));
    objects.push(("medium".to_owned(), bytes(1002, 32 << 20)));
    objects
}

fn fill_database(source: &PgCluster) {
    source.execute("postgres", "create database shop");
    for (number, table) in TABLES.iter().enumerate() {
        let rows = 10_000 + 1_000 * number;
        source.execute(
            "shop",
            &format!(
                "create table {table} (id bigserial primary key, name text, note text, at timestamptz);\n\
                 insert into {table} (name, note, at)\n\
                 select md5(n::text), case when n % 7 = 0 then null else repeat('x', n % 50) end,\n\
                 timestamptz '2026-01-01 00:00:00Z' + n * interval '1 minute' from generate_series(1, {rows}) n;\n\
                 create index on {table} (name);"
            ),
        );
    }
}

/// What must come out however a run went.
#[derive(Debug, PartialEq)]
struct Content {
    verdict: Value,
    assets: BTreeMap<String, (Value, Value)>,
    units_of_files: usize,
}

fn content(drill: &Drill) -> Content {
    let result = drill.result();
    let assets = result["assets"].as_array().unwrap().iter();
    let assets = assets.map(|asset| {
        (asset["id"].as_str().unwrap().to_owned(), (asset["verdict"].clone(), asset["content_sha256"].clone()))
    });
    let assets = assets.collect();
    Content { verdict: result["verdict"].clone(), assets, units_of_files: units(&drill.journal()).len() }
}

/// Units of the bucket with their number of objects, in the order of the journal.
fn units(journal: &[Value]) -> Vec<(String, u64)> {
    let done = journal.iter().filter(|line| line["event"] == "unit_done" && line["asset"] == "files");
    done.map(|line| (line["unit"].as_str().unwrap().to_owned(), line["items"].as_u64().unwrap())).collect()
}

/// The restored objects are those of the bucket, byte for byte, and there is no other file.
#[track_caller]
fn assert_restored(world: &World, drill: &Drill, when: &str) {
    let expected = world.objects.iter().map(|(key, bytes)| (format!("tree/{key}"), sha256(bytes)));
    let expected = expected.collect::<BTreeMap<_, _>>();
    let found = files(&drill.restored().join("files"));
    let wrong: Vec<_> = expected.iter().filter(|(name, digest)| found.get(*name) != Some(digest)).collect();
    let stray: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
    assert!(wrong.is_empty() && stray.is_empty(), "{when}: wrong or missing: {wrong:?}; stray: {stray:?}");
}

/// Everything that must hold when a killed run was resumed to its end.
#[track_caller]
fn assert_as_undisturbed(world: &World, drill: &Drill, before: &[Value], undisturbed: &Content, when: &str) {
    let after = drill.journal();
    assert_eq!(after[..before.len()], *before, "{when}: the record of the first part was rewritten");
    let resumed = usize::from(count(before, "run_done") == 0);
    assert_eq!(count(&after, "run_resumed"), resumed, "{when}");
    let names: BTreeMap<_, _> = units(&after).into_iter().collect();
    assert_eq!(names.len(), units(&after).len(), "{when}: a finished unit was repeated");
    assert_eq!(names.values().sum::<u64>(), world.objects.len() as u64, "{when}: an object was carried twice");
    let mut content = content(drill);
    // Objects of an unfinished unit may be cut into units otherwise.
    content.units_of_files = undisturbed.units_of_files;
    assert_eq!(content, *undisturbed, "{when}");
    assert_restored(world, drill, when);
    assert!(!drill.bundle().join("state").exists(), "{when}: the state was left behind");
    drill.verify().expect(0);
    assert_no_server(drill, None, when);
}

/// Neither the server that was left behind nor another one runs.
#[track_caller]
fn assert_no_server(drill: &Drill, left_behind: Option<Postmaster>, when: &str) {
    if let Some(postmaster) = left_behind {
        postmaster.assert_gone(when);
    }
    assert!(drill.postmaster().is_none(), "{when}: a postmaster.pid is still there");
}

/// Resumes after a kill and checks everything.
#[track_caller]
fn resume_after_kill(world: &World, drill: &Drill, undisturbed: &Content, when: &str) {
    let before = whole_lines(&drill.bundle());
    let postmaster = drill.postmaster();
    // Made before the server knows of it.
    let socket = fs::read_to_string(drill.restored().join(".postgres/socket")).unwrap_or_default();
    let ended = drill.resume();
    assert_eq!(ended.code, Some(0), "{when}: {}", ended.stderr);
    assert_eq!(ended.path(), drill.bundle(), "{when}");
    assert_no_server(drill, postmaster, when);
    assert!(socket.is_empty() || !Path::new(&socket).exists(), "{when}: {socket} was left behind");
    assert_as_undisturbed(world, drill, &before, undisturbed, when);
}

/// The journal without an unfinished last line.
fn whole_lines(bundle: &Path) -> Vec<Value> {
    let bytes = fs::read(bundle.join("data/journal.ndjson")).unwrap();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes[..whole].split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn undisturbed(world: &World) -> Content {
    let content = undisturbed_run(world, &world.drill());
    assert_eq!(content.units_of_files, 3, "the test needs several units");
    content
}

fn undisturbed_run(world: &World, drill: &Drill) -> Content {
    drill.run().expect(0);
    assert_restored(world, drill, "undisturbed");
    let content = content(drill);
    assert_eq!(content.verdict, "PASS");
    content
}

fn killed_at(drill: &Drill, moment: Moment) {
    let mut running = drill.start();
    assert!(running.wait_for(moment), "{moment:?} never came: {:?}", running.end());
    running.kill();
}

fn kill_at_each(world: &World, drill: impl Fn() -> Drill, moments: &[Moment]) {
    let undisturbed = undisturbed_run(world, &drill());
    for moment in moments {
        let drill = drill();
        killed_at(&drill, *moment);
        resume_after_kill(world, &drill, &undisturbed, &format!("{moment:?}"));
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_killed_at_any_moment_of_a_bucket_or_of_sealing_ends_like_an_undisturbed_one() {
    let world = World::new();
    let moments = [
        Moment::Event("run_started", 1),
        Moment::Event("asset_started", 1),
        Moment::Event("unit_done", 1),
        Moment::Event("unit_done", 3),
        Moment::Event("asset_transferred", 1),
        Moment::Event("asset_verified", 1),
        Moment::Event("control_ran", 1),
        Moment::File("state/outcomes/files.json"),
        Moment::Event("asset_done", 1),
        Moment::Event("run_done", 1),
        Moment::File("data/result.json"),
        Moment::File("VERIFY.md"),
        Moment::File("manifest-sha256.txt"),
        Moment::File("tagmanifest-sha256.txt"),
    ];
    kill_at_each(&world, || world.bucket_drill(), &moments);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_killed_at_any_moment_of_a_database_ends_like_an_undisturbed_one() {
    let world = World::holding(vec![("a".to_owned(), b"1".to_vec())]);
    let moments = [
        Moment::Restored(".postgres"),
        Moment::Restored(".postgres/data"),
        Moment::Restored(".postgres/socket"),
        Moment::Restored(".postgres/data/postmaster.pid"),
        Moment::Event("asset_started", 2),
        Moment::Event("snapshot_taken", 1),
        Moment::Event("database_created", 1),
        Moment::Restored("shop/schema.dump"),
        Moment::Event("unit_done", 2),
        Moment::Event("asset_transferred", 2),
        Moment::Event("asset_verified", 2),
        Moment::Event("control_ran", 3),
        Moment::Event("asset_done", 2),
    ];
    kill_at_each(&world, || world.drill(), &moments);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_cluster_that_was_half_made_is_made_again() {
    let world = World::holding(vec![("a".to_owned(), b"1".to_vec())]);
    let drill = world.drill();
    let mut running = drill.start();
    assert!(running.wait_for(Moment::Restored(".postgres")));
    // The initdb of the killed run goes on by itself.
    let half_made = wait_for("initdb", || {
        let made = entries(&drill.restored().join(".postgres"));
        made.into_iter().find(|made| made.join("PG_VERSION").exists())
    });
    running.kill();
    let postmaster = drill.postmaster();
    drill.resume().expect(0);
    assert_no_server(&drill, postmaster, "a cluster half made");
    let left: Vec<_> = entries(&drill.restored().join(".postgres"));
    let left: Vec<_> = left.iter().filter(|path| **path == half_made && !path.ends_with("data")).collect();
    assert!(left.is_empty(), "{left:?}");
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_killed_in_the_middle_of_an_object_or_a_table_ends_like_an_undisturbed_one() {
    let world = World::new();
    let undisturbed = undisturbed(&world);
    resume_after_kill(&world, &world.killed_in_the_bucket(), &undisturbed, "in the large object");
    let drill = world.killed_after_the_small_objects();
    resume_after_kill(&world, &drill, &undisturbed, "after the small objects");
    let drill = world.drill();
    world.killed_in_the_database(&drill);
    assert!(drill.postmaster().is_some_and(|postmaster| postmaster.runs()), "a kill -9 leaves the server running");
    resume_after_kill(&world, &drill, &undisturbed, "in a table");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_killed_over_and_over_still_ends() {
    let world = World::new();
    let undisturbed = undisturbed(&world);
    let drill = world.killed_after_the_small_objects();
    for moment in [Moment::Event("run_resumed", 1), Moment::Event("snapshot_taken", 1), Moment::Event("unit_done", 5)] {
        let mut running = drill.start_resume();
        assert!(running.wait_for(moment), "{moment:?} never came: {:?}", running.end());
        running.kill();
    }
    let postmaster = drill.postmaster();
    drill.resume().expect(0);
    assert_no_server(&drill, postmaster, "after four parts");
    assert_eq!(count(&drill.journal(), "run_resumed"), 4);
    assert_eq!(drill.result()["resumed"], 4);
    assert_eq!(content(&drill).assets, undisturbed.assets);
    assert_restored(&world, &drill, "after four parts");
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_torn_last_line_is_cut_off_and_the_run_goes_on() {
    let world = World::new();
    let undisturbed = undisturbed(&world);
    for bytes in [1, 40] {
        let drill = world.killed_after_the_small_objects();
        let journal = OpenOptions::new().write(true).open(drill.bundle().join("data/journal.ndjson")).unwrap();
        journal.set_len(journal.metadata().unwrap().len() - bytes).unwrap();
        resume_after_kill(&world, &drill, &undisturbed, &format!("{bytes} bytes torn off"));
        let resumed = drill.journal().into_iter().find(|line| line["event"] == "run_resumed").unwrap();
        assert!(resumed["torn_bytes"].as_u64().unwrap() > 0, "{resumed}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_that_was_killed_before_its_first_line_is_begun_by_resume() {
    for bytes in [100, 0] {
        let world = World::new();
        let drill = world.killed_in_the_bucket();
        let journal = drill.bundle().join("data/journal.ndjson");
        OpenOptions::new().write(true).open(&journal).unwrap().set_len(bytes).unwrap();
        drill.resume().expect(0);
        assert_eq!(drill.result()["verdict"], "PASS", "{bytes} bytes of the journal");
        drill.verify().expect(0);
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_signal_ends_a_run_in_order() {
    let world = World::new();
    let undisturbed = undisturbed(&world);
    for signal in [Signal::INT, Signal::TERM] {
        let drill = world.drill();
        world.s3.stall_after(20 << 20);
        let running = drill.start();
        world.s3.wait_for_stall();
        assert_interrupted(&drill, running, signal);
        world.s3.open();
        resume_after_kill(&world, &drill, &undisturbed, "a signal in the bucket");

        let drill = world.drill();
        world.pg.slow_down(200 << 10);
        let mut running = drill.start();
        assert!(running.wait_for(Moment::Event("database_created", 1)));
        assert_interrupted(&drill, running, signal);
        world.pg.open();
        resume_after_kill(&world, &drill, &undisturbed, "a signal in the database");
    }
}

#[track_caller]
fn assert_interrupted(drill: &Drill, running: Running, signal: Signal) {
    let postmaster = drill.postmaster();
    running.signal(signal);
    let ended = running.end().expect(5);
    assert_eq!(ended.path(), drill.bundle());
    assert!(ended.stderr.contains(&format!("walkaway resume {}", text(&drill.bundle()))), "{}", ended.stderr);
    assert_eq!(drill.journal().last().unwrap()["event"], "interrupted");
    assert_no_server(drill, postmaster, "after the signal");
    assert!(drill.bundle().join("state").exists(), "what resume needs is gone");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_second_signal_ends_at_once_and_the_run_can_still_be_resumed() {
    let world = World::new();
    let drill = world.drill();
    let running = world.stalled_in_the_database(&drill);
    running.signal(Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal(Signal::INT);
    let ended = running.end();
    assert!(matches!(ended.code, Some(5 | 130)), "{ended:?}");
    world.pg.open();
    let postmaster = drill.postmaster();
    drill.resume().expect(0);
    assert_no_server(&drill, postmaster, "after the second signal");
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_that_is_alive_is_not_resumed() {
    let world = World::new();
    let drill = world.drill();
    world.s3.stall_after(20 << 20);
    let mut running = drill.start();
    world.s3.wait_for_stall();
    for args in [&["resume"][..], &["resume", "--seal"]] {
        let ended = drill.end(&[args, &[&text(&drill.bundle())]].concat()).expect(2);
        assert!(ended.stderr.contains("another walkaway is at work on this run"), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: wait until it has ended"), "{}", ended.stderr);
    }
    assert!(running.runs());
    world.s3.open();
    running.end().expect(0);
    assert_eq!(count(&drill.journal(), "run_resumed"), 0);
    assert_restored(&world, &drill, "beside a resume");
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn resuming_a_sealed_run_says_the_same_again_and_changes_nothing() {
    let world = World::holding(vec![("a".to_owned(), b"1".to_vec())]);
    let passed = world.drill();
    let failed = {
        let drill = world.drill();
        let path = drill.join("playbook.yaml");
        let playbook = fs::read_to_string(&path).unwrap()
            + "exclude: [{match: \"s3:logs-*\", reason: old, owner: sre, until: 2020-01-01}]\n";
        fs::write(&path, playbook).unwrap();
        drill
    };
    for (drill, code) in [(passed, 0), (failed, 1)] {
        let first = drill.run().expect(code);
        let bundle = files(&drill.bundle());
        let restored = files(&drill.restored());
        for args in [&["resume"][..], &["resume", "--seal"]] {
            let again = drill.end(&[args, &[&text(&drill.bundle())]].concat()).expect(code);
            assert_eq!(again.stdout, first.stdout);
        }
        assert_eq!(files(&drill.bundle()), bundle);
        assert_eq!(files(&drill.restored()), restored);
    }
}

fn seal(drill: &Drill) {
    let postmaster = drill.postmaster();
    let ended = drill.end(&["resume", "--seal", &text(&drill.bundle())]).expect(2);
    assert_eq!(ended.path(), drill.bundle());
    assert_eq!(drill.result()["verdict"], "NOT RUN");
    drill.end(&["verify", &text(&drill.bundle())]).expect(0);
    assert_no_server(drill, postmaster, "sealed as it was");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn sealing_an_interrupted_run_leaves_unfinished_assets_not_run() {
    let world = World::new();
    let verdicts = |drill: &Drill| {
        let result = drill.result();
        [0, 1].map(|asset| result["assets"][asset]["verdict"].as_str().unwrap().to_owned())
    };
    for drill in [world.killed_in_the_bucket(), world.killed_after_the_small_objects()] {
        seal(&drill);
        assert_eq!(verdicts(&drill), ["NOT RUN", "NOT RUN"]);
    }
    let drill = world.drill();
    world.killed_in_the_database(&drill);
    seal(&drill);
    assert_eq!(verdicts(&drill), ["PASS", "NOT RUN"]);
    assert_restored(&world, &drill, "sealed as it was");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_whose_work_is_done_is_sealed_by_another_version_that_is_on_record() {
    let world = World::new();
    for by_this in [true, false] {
        let drill = world.bucket_drill();
        killed_at(&drill, Moment::Event("run_done", 1));
        let resume = ["resume", &text(&drill.bundle())];
        if by_this {
            drill.end(&resume).expect(0);
        } else {
            drill.end_by(&drill.other_version(), &resume).expect(0);
        }
        let resumed = u64::from(!by_this);
        let journal = drill.journal();
        let result = drill.result();
        assert_eq!((count(&journal, "run_resumed") as u64, &result["resumed"]), (resumed, &resumed.into()));
        assert_eq!((count(&journal, "asset_started"), &result["verdict"]), (1, &"PASS".into()));
        let worked = journal.iter().rfind(|line| line.get("binary_sha256").is_some()).unwrap();
        assert_eq!(result["tool"]["binary_sha256"], worked["binary_sha256"]);
        drill.verify().expect(0);
    }
}

/// What a build before receipts were in the bundle left of a run whose work was done: no unit in a bucket's receipts, no
/// list of a database's, no digest of the result.
fn as_an_earlier_build(bundle: &Path) {
    let without_unit = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let strip = |line: &str| {
            let mut receipt: Value = serde_json::from_str(line).unwrap();
            let number = receipt["unit"].clone();
            assert!(number.is_u64(), "{line}");
            receipt.as_object_mut().unwrap().remove("unit");
            line.replace(&format!(",\"unit\":{number}"), "") + "\n"
        };
        let text: String = text.lines().map(strip).collect();
        fs::write(path, &text).unwrap();
        sha256(text.as_bytes())
    };
    without_unit(&bundle.join("data/assets/files/objects.ndjson"));
    fs::remove_file(bundle.join("data/assets/shop/tables.ndjson")).unwrap();
    let mut prev = "0".repeat(64);
    let mut text = String::new();
    for mut line in journal(bundle).unwrap() {
        if line["event"] == "unit_done" && line["asset"] == "files" {
            let unit = line["unit"].as_str().unwrap();
            let receipts = bundle.join(format!("state/receipts/files/{unit}.ndjson"));
            line["receipt_sha256"] = without_unit(&receipts).into();
        }
        line.as_object_mut().unwrap().remove("result_sha256");
        line["prev"] = prev.into();
        prev = sha256(line.to_string().as_bytes());
        text += &format!("{line}\n");
    }
    fs::write(bundle.join("data/journal.ndjson"), text).unwrap();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_run_that_an_earlier_build_began_is_sealed_and_never_called_checked_in_full() {
    let world = World::holding(vec![("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    let drill = world.drill();
    killed_at(&drill, Moment::Event("run_done", 1));
    as_an_earlier_build(&drill.bundle());
    drill.end_by(&drill.other_version(), &["resume", &text(&drill.bundle())]).expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
    let verified = drill.end_by(&drill.other_version(), &["verify", &text(&drill.bundle())]).expect(2);
    for words in ["could not be checked in full", "data/assets/files/objects.ndjson", "data/assets/shop/tables.ndjson"]
    {
        assert!(verified.stdout.contains(words), "{words}: {}", verified.stdout);
    }
    let (code, said) = support::independent::check(&drill.bundle(), &[]);
    assert_eq!(code, 2, "{said}");
}

/// Its findings are on record before its end is.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_a_killed_run_found_last_is_sealed_with_it() {
    let world = World::new();
    for moment in [Moment::Event("found", 1), Moment::File("state/outcomes/files.json")] {
        let drill = world.bucket_drill();
        let playbook = |text: &str| text.replace("{bucket: files}", "{bucket: files, prefix: nothing/}");
        tamper(&drill.join("playbook.yaml"), playbook);
        killed_at(&drill, moment);
        drill.end(&["resume", "--seal", &text(&drill.bundle())]).expect(1);
        let asset = drill.result()["assets"][0].clone();
        assert_eq!(asset["verdict"], "FAIL", "{moment:?}");
        let found = |finding: &Value| finding["kind"] == "nothing_matched";
        assert!(asset["findings"].as_array().unwrap().iter().any(found), "{moment:?}: {asset}");
        drill.end(&["verify", &text(&drill.bundle())]).expect(0);
    }
}

/// Changes a file that must be there and differ afterwards.
fn tamper(path: &Path, change: impl Fn(&str) -> String) {
    let before = fs::read_to_string(path).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "nothing changed in {}", path.display());
    fs::write(path, after).unwrap();
}

#[track_caller]
fn assert_refused(drill: &Drill, code: i32, words: &str) {
    for args in [&["resume"][..], &["resume", "--seal"]] {
        let ended = drill.end(&[args, &[&text(&drill.bundle())]].concat()).expect(code);
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
        assert!(!drill.bundle().join("tagmanifest-sha256.txt").exists(), "{args:?} sealed what was tampered with");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn receipts_that_were_tampered_with_are_not_believed() {
    let world = World::new();
    let drill = world.killed_after_the_small_objects();
    let unit = units(&drill.journal()).remove(0).0;
    let receipts = drill.bundle().join(format!("state/receipts/files/{unit}.ndjson"));
    let whole = fs::read_to_string(&receipts).unwrap();
    tamper(&receipts, |text| text.replacen("\"size\":10,", "\"size\":11,", 1));
    assert_refused(&drill, 2, "it is not what the journal says was written");
    tamper(&receipts, |text| text.lines().skip(1).map(|line| format!("{line}\n")).collect());
    assert_refused(&drill, 2, "it is not what the journal says was written");
    fs::remove_file(&receipts).unwrap();
    assert_refused(&drill, 2, &unit);
    fs::write(&receipts, whole).unwrap();
    drill.resume().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn outcomes_and_evidence_that_were_tampered_with_are_not_believed() {
    let world = World::holding(vec![("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    let drill = world.drill();
    world.killed_in_the_database(&drill);
    let outcome = drill.bundle().join("state/outcomes/files.json");
    let whole = fs::read_to_string(&outcome).unwrap();
    tamper(&outcome, |text| text.replacen("\"items\":2", "\"items\":3", 1));
    assert_refused(&drill, 2, "it is not what the journal says was written");
    fs::write(&outcome, whole).unwrap();
    let one = sha256(b"1");
    let other = sha256(b"other");
    tamper(&drill.bundle().join("data/assets/files/objects.sha256"), |text| text.replace(&one, &other));
    let ended = drill.resume();
    assert_ne!(ended.code, Some(0), "a changed manifest was sealed as PASS: {}", ended.stderr);
    assert!(ended.stderr.contains("objects.sha256"), "{}", ended.stderr);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn another_playbook_or_a_changed_journal_is_refused() {
    let world = World::holding(vec![("a".to_owned(), b"1".to_vec())]);
    let drill = world.drill();
    world.killed_in_the_database(&drill);
    let playbook = drill.bundle().join("data/playbook.yaml");
    let whole = fs::read_to_string(&playbook).unwrap();
    tamper(&playbook, |text| text.replace("evidence:", "\nevidence:"));
    assert_refused(&drill, 3, "data/playbook.yaml is not the playbook that the journal names");
    fs::write(&playbook, whole).unwrap();
    let journal = drill.bundle().join("data/journal.ndjson");
    let whole = fs::read_to_string(&journal).unwrap();
    tamper(&journal, |text| text.replacen("\"items\":1", "\"items\":2", 1));
    assert_refused(&drill, 2, "is broken at line");
    fs::write(&journal, whole).unwrap();
    tamper(&drill.bundle().join("data/playbook.resolved.json"), |text| text.replace("env:SHOP", "env:OTHER"));
    drill.resume().expect(0);
    let resolved = fs::read_to_string(drill.bundle().join("data/playbook.resolved.json")).unwrap();
    assert!(resolved.contains("env:SHOP"), "another resolved playbook than the run's was sealed: {resolved}");
}

/// The number that PostgreSQL gave a database, and its comment.
fn database(cluster: &PgCluster, name: &str) -> Option<(u32, Option<String>)> {
    let sql = "select oid, shobj_description(oid, 'pg_database') from pg_database where datname = $1";
    cluster.client("postgres").query_opt(sql, &[&name]).unwrap().map(|row| (row.get(0), row.get(1)))
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_half_restored_database_of_this_run_is_made_again() {
    let world = World::new();
    let target = PgCluster::start();
    let drill = world.drill_into("{url: \"env:TARGET\", trust_source: true}").with("TARGET", target.url("postgres"));
    world.killed_in_the_database(&drill);
    let run = text(Path::new(drill.bundle().file_name().unwrap()));
    let (oid, mark) = database(&target, "shop").unwrap();
    assert_eq!(mark, Some(format!("walkaway run {run}")));
    drill.resume().expect(0);
    let (new_oid, mark) = database(&target, "shop").unwrap();
    assert_eq!(mark, Some(format!("walkaway run {run}")));
    assert_ne!(oid, new_oid, "the half-restored database was built upon");
    let rows = target.client("shop").query_one("select count(*) from customers", &[]).unwrap();
    assert_eq!(rows.get::<_, i64>(0), 10_000);
    assert_eq!(content(&drill).verdict, "PASS");
    drill.verify().expect(0);
}

/// What is missing, or stands elsewhere, in a database that was finished before the run was stopped.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn long_a_finished_database_that_was_changed_in_between_does_not_pass() {
    for (change, how, code, verdict) in [
        ("delete from customers where id = 7", "--seal", 2, "NOT RUN"),
        ("comment on table customers is 'another'", "--seal", 2, "NOT RUN"),
        ("select setval('customers_id_seq', 5)", "--verify", 0, "PASS"),
    ] {
        let world = World::new();
        let target = PgCluster::start();
        let drill =
            world.drill_into("{url: \"env:TARGET\", trust_source: true}").with("TARGET", target.url("postgres"));
        world.s3.stall_after(20 << 20);
        let running = drill.start();
        world.s3.wait_for_stall();
        world.s3.shut();
        assert_stopped(&drill, running, "files", "shop", "hint: see whether the provider can be reached");
        world.s3.open();
        target.execute("shop", change);
        drill.end(&["resume", how, &text(&drill.bundle())]).expect(code);
        let shop = drill.result()["assets"][1].clone();
        assert_eq!(shop["verdict"], verdict, "{change}: {shop:#}");
        drill.end(&["verify", &text(&drill.bundle())]).expect(0);
        let looked = count(&drill.journal(), "asset_looked_at");
        let started = count(&drill.journal(), "asset_started");
        // One of the bucket, one of the database, and those of what was taken up again.
        assert_eq!((looked, started), if code == 0 { (1, 4) } else { (1, 2) }, "{change}");
        if code == 0 {
            let sequence = target.client("shop").query_one("select last_value from customers_id_seq", &[]).unwrap();
            assert_eq!(sequence.get::<_, i64>(0), 10_000, "it was not restored anew");
        } else {
            assert!(shop["findings"].to_string().contains("is not as it was left"), "{shop:#}");
        }
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_of_somebody_else_is_never_dropped() {
    let world = World::new();
    let target = PgCluster::start();
    let drill = world.drill_into("{url: \"env:TARGET\", trust_source: true}").with("TARGET", target.url("postgres"));
    world.killed_in_the_database(&drill);
    let comments = ["null", "'walkaway run another-20260101T000000Z'", "'walkaway'"];
    for comment in comments {
        target.execute("postgres", "drop database shop with (force)");
        target.execute("postgres", "create database shop");
        target.execute("postgres", &format!("comment on database shop is {comment}"));
        target.execute("shop", "create table precious (n int)");
        let before = database(&target, "shop");
        let ended = drill.resume().expect(2);
        assert!(ended.stderr.contains("already has a database shop"), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert_eq!(database(&target, "shop"), before);
        target.execute("shop", "select * from precious");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn objects_that_changed_meanwhile_are_named_and_never_pass() {
    let world = World::new();
    let drill = world.killed_after_the_small_objects();
    let client = support::client(&world.s3_direct);
    let delete = client.delete_object().bucket("files").key("odd/007").send();
    support::block_on(delete).unwrap();
    support::fill_bucket(&world.s3_direct, "files", &[("even/010", b"replaced".to_vec())]);
    drill.resume().expect(2);
    let asset = drill.result()["assets"][0].clone();
    assert_eq!(asset["verdict"], "NOT RUN");
    let findings = asset["findings"].as_array().unwrap().iter();
    let found = findings.map(|finding| (finding["kind"].as_str().unwrap(), finding["subject"].as_str().unwrap()));
    let found: BTreeMap<_, _> = found.map(|(kind, subject)| (subject, kind)).collect();
    assert_eq!(found, BTreeMap::from([("even/010", "object_changed"), ("odd/007", "object_changed")]));
    assert_eq!(drill.result()["assets"][1]["verdict"], "PASS");
    drill.end(&["verify", &text(&drill.bundle())]).expect(0);
}

/// A run that ended because the provider was gone: what it says, and that the other asset was finished.
#[track_caller]
fn assert_stopped(drill: &Drill, running: Running, stopped: &str, finished: &str, hint: &str) {
    let ended = running.end().expect(2);
    assert_eq!(ended.path(), drill.bundle());
    assert!(ended.stderr.contains(&format!("{stopped}: ")), "{}", ended.stderr);
    assert!(hint.split('|').any(|hint| ended.stderr.contains(hint)), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("walkaway resume {}", text(&drill.bundle()))), "{}", ended.stderr);
    let journal = journal(&drill.bundle()).unwrap();
    let about = |event: &str| -> Vec<Value> {
        journal.iter().filter(|line| line["event"] == event).map(|line| line["asset"].clone()).collect()
    };
    assert_eq!(about("asset_stopped"), [stopped]);
    assert_eq!(about("asset_done"), [finished]);
    assert_no_server(drill, None, "after the provider was gone");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_bucket_s_server_that_dies_stops_its_asset_only() {
    let world = World::new();
    let undisturbed = undisturbed(&world);
    let drill = world.drill();
    world.s3.stall_after(20 << 20);
    let running = drill.start();
    world.s3.wait_for_stall();
    world.s3.shut();
    assert_stopped(&drill, running, "files", "shop", "hint: see whether the provider can be reached");
    world.s3.open();
    resume_after_kill(&world, &drill, &undisturbed, "the bucket's server was gone");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_server_that_dies_over_the_last_object_is_no_verdict_about_that_object() {
    let world = World::holding(vec![("large".to_owned(), bytes(7, LARGE_BYTES))]);
    let drill = world.drill();
    world.s3.stall_after(20 << 20);
    let running = drill.start();
    world.s3.wait_for_stall();
    world.s3.shut();
    assert_stopped(&drill, running, "files", "shop", "hint: see whether the provider can be reached");
    world.s3.open();
    drill.resume().expect(0);
    assert_restored(&world, &drill, "the bucket's server was gone");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_s_server_that_dies_stops_its_asset_only() {
    let world = World::new();
    let undisturbed = undisturbed(&world);
    let stalls = [World::stalled_in_the_schema, World::stalled_in_the_database];
    for stalled in stalls {
        let drill = world.drill();
        let running = stalled(&world, &drill);
        world.source.stop();
        world.pg.open();
        assert_stopped(&drill, running, "shop", "files", "hint: check host and port|hint: see whether the provider");
        world.source.restart();
        resume_after_kill(&world, &drill, &undisturbed, "the database's server was gone");
    }
}
