//! Exports that a run asks for, waits for, is killed over, and goes on with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    rds::{
        account::{ACCOUNT, INSTANCE, Ran},
        export::{BUCKET, World, clean_export, has},
        provider::{Provider, Word},
    },
    support::{
        block_on,
        disturb::{Gate, wait_for},
        drill::wait_until,
        parquet::{self, Column},
    },
};

const ROLE: &str = "arn:aws:iam::123456789012:role/rds-export";
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn new_export(more: &str) -> String {
    format!("bucket: exports, prefix: drills, role: \"{ROLE}\", key: \"{KEY}\", per_gb: 0.01 USD, {more}")
}

/// A world whose RDS says what the test wants about exports.
fn world() -> (World, Provider) {
    let mut world = World::new();
    let provider = Provider::before(world.account.moto.endpoint());
    world.rds = provider.endpoint();
    (world, provider)
}

/// Waits until RDS was asked about its exports so many times more.
fn wait_for_questions(provider: &Provider, more: usize) {
    let before = provider.asked("DescribeExportTasks");
    wait_until(|| provider.asked("DescribeExportTasks") >= before + more);
}

/// The task that walkaway asked for.
fn task(world: &World) -> String {
    let answer = block_on(world.account.rds().describe_export_tasks().send()).unwrap();
    let mut ids = answer.export_tasks().iter().filter_map(|task| task.export_task_identifier());
    ids.next_back().unwrap().to_owned()
}

/// An export named `own`, of a snapshot of the database.
fn export_of_own(world: &World) {
    let answer = block_on(world.account.rds().describe_db_snapshots().db_instance_identifier(INSTANCE).send()).unwrap();
    let arn = answer.db_snapshots()[0].db_snapshot_arn().unwrap();
    let own = world.account.rds().start_export_task().export_task_identifier("own").source_arn(arn);
    block_on(own.s3_bucket_name(BUCKET).iam_role_arn(ROLE).kms_key_id(KEY).send()).unwrap();
    clean_export(world, "own");
}

/// The one run's bundle.
fn bundle(world: &World) -> PathBuf {
    fs::read_dir(world.account.home.join("evidence")).unwrap().next().unwrap().unwrap().path()
}

fn start(world: &World, target: String, arguments: &[&str]) -> Child {
    let mut command = world.account.command(arguments);
    command.env("TARGET", target);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a run as soon as it has the files.
fn kill_with_files(mut running: Child, bundle: &Path) {
    wait_for("the files", || {
        let journal = fs::read_to_string(bundle.join("data/journal.ndjson")).unwrap();
        let is_done = |line: &str| line.contains("\"asset_done\"") && line.contains("\"ledger/files\"");
        journal.lines().any(is_done).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_export_is_asked_for_waited_for_and_its_files_stay() {
    let (world, provider) = world();
    let playbook = world.playbook(&new_export("cost_ceiling: 5 USD, take: new"), "", "");
    world.run(&playbook, &[]).assert_code(2).assert_says(&["makes an export, which costs money"]);
    let dear = world.playbook(&new_export("cost_ceiling: 0.1 USD"), "", "");
    world.run(&dear, &["--confirm", ACCOUNT]).assert_code(2).assert_says(&["20 GiB would cost 0.20 USD"]);
    assert_eq!(provider.asked("StartExportTask"), 0);
    let policy = world.walkaway(&["plan", "--iam-policy", "drill.yaml"]);
    for right in ["rds:StartExportTask", "iam:PassRole", ROLE, "kms:CreateGrant", "arn:aws:s3:::exports/drills*"] {
        assert!(policy.stdout.contains(right), "{right}: {}", policy.stdout);
    }

    world.account.write(&playbook);
    provider.say(Word { status: Some("IN_PROGRESS"), percent: 40, ..Word::default() });
    let mut command = world.account.command(&["run", "drill.yaml", "--confirm", ACCOUNT, "--json"]);
    command.env("TARGET", world.target.url("postgres")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    wait_until(|| provider.asked("DescribeExportTasks") > 3 && provider.asked("StartExportTask") == 1);
    clean_export(&world, &format!("drills/{}", task(&world)));
    let warning = Some("Tables skipped: ledger.public.wide".to_owned());
    provider.say(Word { status: Some("COMPLETE"), percent: 100, warning, ..Word::default() });
    let ran = Ran::of(&running.wait_with_output().unwrap());
    ran.assert_code(2);
    let told = ran.stdout.clone();
    assert!(told.contains("\"phase\":\"export\"") && told.contains("\"items\":40"), "{told}");
    let bundle = bundle(&world);
    let result: Value = serde_json::from_slice(&fs::read(bundle.join("data/result.json")).unwrap()).unwrap();
    let asset = &result["assets"][0];
    let export = &result["assets"][0]["database"]["rds"]["export"];
    assert_eq!((&export["started"], &export["cost"]), (&true.into(), &"0.20 USD".into()), "{asset:#}");
    assert!(export["waited_ms"].as_u64().unwrap() > 0);
    assert!(asset["findings"].to_string().contains("Tables skipped: ledger.public.wide"), "{:#}", asset["findings"]);
    assert!(asset["findings"].to_string().contains("walkaway deletes nothing there"));
    assert_eq!(provider.asked("CancelExportTask"), 0);
    // The snapshot that was made for it is gone, the files are not.
    assert!(world.account.own_snapshots().is_empty());
    let objects =
        block_on(crate::support::client(world.account.moto.endpoint()).list_objects_v2().bucket(BUCKET).send());
    assert!(objects.unwrap().contents().len() > 5);
    world.walkaway(&["verify", bundle.to_str().unwrap()]).assert_code(0);

    let existing = world.playbook(&format!("task: {}", task(&world)), "", "");
    let ran = world.run(&existing, &[]);
    // The snapshot that it was made of is gone, so nothing says whose it was.
    ran.assert_code(2).assert_says(&["captured, not proven", "so nothing says that it is of this database"]);
    assert!(has(&ran, "not_proven", "the export's source"));
    export_of_own(&world);
    let ran = world.run(&world.playbook("task: own", "", ""), &[]);
    ran.assert_code(2);
    assert!(!has(&ran, "not_proven", "the export's source"));
    world.run(&world.playbook("task: nobody-knows", "", ""), &[]).assert_code(2).assert_says(&["RDS knows no export"]);
    provider.say(Word {
        status: Some("FAILED"),
        failure: Some("the role may not write".to_owned()),
        ..Word::default()
    });
    world.run(&existing, &[]).assert_code(2).assert_says(&["FAILED: the role may not write"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_killed_run_goes_on_with_its_export_and_an_interrupted_one_cancels_it() {
    let (world, provider) = world();
    world.account.write(&world.playbook(&new_export("cost_ceiling: 5 USD"), "", ""));
    let start = |arguments: &[&str]| start(&world, world.target.url("postgres"), arguments);
    provider.say(Word { status: Some("IN_PROGRESS"), percent: 1, ..Word::default() });
    let mut running = start(&["run", "drill.yaml", "--confirm", ACCOUNT]);
    wait_until(|| provider.asked("StartExportTask") == 1);
    wait_for_questions(&provider, 2);
    running.kill().unwrap();
    running.wait().unwrap();
    let bundle = bundle(&world);
    let resume = ["resume", bundle.to_str().unwrap(), "--confirm", ACCOUNT];

    // Taken up, not paid for again; and cancelled when somebody asks to stop.
    let mut running = start(&resume);
    wait_for_questions(&provider, 3);
    assert_eq!((provider.asked("StartExportTask"), provider.asked("CancelExportTask")), (1, 0));
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(5));
    assert_eq!(provider.asked("CancelExportTask"), 1);

    // moto knows it as cancelled now: another one is asked for, under another name.
    let running = start(&resume);
    wait_for("the second export", || (provider.asked("StartExportTask") == 2).then_some(()));
    wait_for_questions(&provider, 2);
    clean_export(&world, &format!("drills/{}", task(&world)));
    provider.say(Word { status: Some("COMPLETE"), percent: 100, ..Word::default() });
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(2));
    assert_eq!(world.ask("select count(*)::text from public.entries"), ["500"]);
    world.walkaway(&["verify", bundle.to_str().unwrap()]).assert_code(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_came_before_a_kill_is_looked_at_again_and_neither_paid_for_twice_nor_left_behind() {
    let (world, provider) = world();
    let gate = Gate::before(&world.target.url("postgres"));
    world.account.write(&world.playbook(&new_export("cost_ceiling: 5 USD, take: new"), "", ""));
    provider.say(Word { status: Some("IN_PROGRESS"), percent: 1, ..Word::default() });
    let mut running =
        start(&world, gate.through(&world.target.url("postgres")), &["run", "drill.yaml", "--confirm", ACCOUNT]);
    wait_until(|| provider.asked("StartExportTask") == 1);
    wait_for_questions(&provider, 2);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(world.account.own_snapshots().len(), 1);

    // The files come, and the target answers no longer.
    let bundle = bundle(&world);
    let resume = ["resume", bundle.to_str().unwrap(), "--confirm", ACCOUNT];
    let running = start(&world, gate.through(&world.target.url("postgres")), &resume);
    wait_for_questions(&provider, 2);
    assert_eq!(world.account.own_snapshots().len(), 1);
    gate.stall_after(0);
    let folder = format!("drills/{}", task(&world));
    clean_export(&world, &folder);
    provider.say(Word { status: Some("COMPLETE"), percent: 100, ..Word::default() });
    kill_with_files(running, &bundle);
    assert!(world.account.own_snapshots().is_empty(), "{:?}", world.account.own_snapshots());

    let files = world.account.home.join("restored").join(bundle.file_name().unwrap()).join("ledger/files/tree");
    let part = files.join(&folder).join("ledger/public.entries/1/part-00003-6f4c.gz.parquet");
    let schema = "message spark_schema { optional int32 id; optional binary amount (STRING); }";
    let other = parquet::file(schema, &[Column::Int32(vec![Some(251)]), Column::texts([Some("another")])], 10);
    fs::write(&part, other).unwrap_or_else(|error| panic!("{}: {error}", part.display()));
    gate.open();
    provider.say(Word { forgotten: true, ..Word::default() });
    let ran = world.walkaway(&resume);
    ran.assert_code(1).assert_says(&["object differs in content: public.entries", "RDS knows the export no longer"]);
    assert_eq!(provider.asked("StartExportTask"), 1);
    let tables = "select count(*)::text from pg_tables where schemaname = 'public'";
    assert_eq!(world.ask(tables), ["0"]);
    world.walkaway(&["verify", bundle.to_str().unwrap()]).assert_code(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_named_export_that_is_forgotten_after_its_files_came_is_read_to_its_end() {
    let (world, provider) = world();
    let gate = Gate::before(&world.target.url("postgres"));
    export_of_own(&world);
    world.account.write(&world.playbook("task: own", "", ""));
    provider.say(Word { status: Some("IN_PROGRESS"), percent: 1, ..Word::default() });
    let running = start(&world, gate.through(&world.target.url("postgres")), &["run", "drill.yaml"]);
    wait_until(|| provider.asked("DescribeExportTasks") > 3);
    gate.stall_after(0);
    provider.say(Word { status: Some("COMPLETE"), percent: 100, ..Word::default() });
    let bundle = bundle(&world);
    kill_with_files(running, &bundle);
    gate.open();
    provider.say(Word { forgotten: true, ..Word::default() });
    let ran = world.walkaway(&["resume", bundle.to_str().unwrap()]);
    ran.assert_code(2).assert_says(&["only its files are known"]);
    assert_eq!(world.ask("select count(*)::text from public.entries"), ["500"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_new_export_of_aurora_is_refused_because_nobody_knows_its_size() {
    let (world, provider) = world();
    let rds = world.account.rds();
    let making = rds.create_db_cluster().db_cluster_identifier("ledger-aurora").engine("aurora-postgresql");
    block_on(making.master_username("root").master_user_password("not-used-here").send()).unwrap();
    let taking = rds.create_db_cluster_snapshot().db_cluster_identifier("ledger-aurora");
    block_on(taking.db_cluster_snapshot_identifier("nightly").send()).unwrap();
    let playbook = world.playbook(&new_export("cost_ceiling: 5 USD, snapshot: nightly"), "", "");
    let playbook = playbook.replace(&format!("instance: {INSTANCE}"), "cluster: ledger-aurora");
    let words = ["does not say how large the snapshot is", "name the export by `task`"];
    world.run(&playbook, &["--confirm", ACCOUNT]).assert_code(2).assert_says(&words);
    world.walkaway(&["plan", "drill.yaml"]).assert_says(&words);
    assert_eq!(provider.asked("StartExportTask"), 0);
}
