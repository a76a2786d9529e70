//! What lies on this machine after a run: servers, and who may read the data.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::faults::{PLAYBOOK, World};
use crate::support::{
    PgCluster,
    disturb::{self, Moment, text},
    drill::{Drill, FILES, LEDGER, Managed, PLAIN_DATABASE, Ran},
};

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn clean_ends_the_server_that_a_killed_run_left_and_no_run_at_work() {
    let world = World::new(PLAYBOOK);
    let running = world.in_the_middle();
    let drill = &world.drill;
    let server = drill.postmaster().expect("a managed server");
    let run = text(&drill.bundle());

    let said = drill.end(&["clean", &run]).expect(2);
    assert!(said.stderr.contains("another walkaway is at work"), "{}", said.stderr);
    assert!(server.runs(), "the server of a run at work was stopped");

    running.kill();
    world.gate.open();
    assert!(server.runs(), "the kill took the server along");
    let said = drill.end(&["clean", &run]).expect(0);
    assert!(said.stdout.contains("stopped the managed PostgreSQL"), "{}", said.stdout);
    server.assert_gone("clean");
    drill.resume().expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
}

fn verify(drill: &Drill, ran: &Ran) -> (Option<i32>, String) {
    let output = drill.walkaway(&["verify", "--restored", ran.bundle.to_str().unwrap()]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_server_that_was_started_by_hand_is_left_alone() {
    let drill = Drill::new().database(PLAIN_DATABASE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let managed = Managed::start(&ran);
    let mut session = managed.client();
    let (code, said) = verify(&drill, &ran);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("walkaway did not start it") && said.contains("stop it first: "), "{said}");
    let cleaned = drill.walkaway(&["clean", ran.bundle.to_str().unwrap()]).output().unwrap();
    assert_eq!(cleaned.status.code(), Some(0), "{cleaned:?}");
    session.batch_execute("select 1").expect("the session goes on");
    drop((session, managed));
    let (code, said) = verify(&drill, &ran);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_was_restored_is_its_owners_alone() {
    let drill = Drill::new().bucket(&[("a/b", "1"), ("c", "2")]).database(PLAIN_DATABASE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let files = [ran.restored(FILES), ran.restored(LEDGER)].map(|root| {
        assert_eq!(mode(&root), 0o700, "{}", root.display());
        let mut directories = vec![root];
        let mut files = 0;
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    assert_eq!(mode(&path), 0o600, "{}", path.display());
                    files += 1;
                }
            }
        }
        files
    });
    assert!(files[0] == 2 && files[1] > 1, "{files:?}");
    let run = ran.restored(LEDGER).parent().unwrap().to_owned();
    assert_eq!(mode(&run) & 0o066, 0, "others can list the run's data");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_that_nothing_names_any_more_is_said_to_be_missing() {
    let source = PgCluster::start();
    let target = PgCluster::start();
    source.execute("postgres", "create database shop");
    source.execute("shop", "create table t (a int primary key)");
    let playbook = PLAYBOOK.replace("{managed: true}", "{url: \"env:SELF\", trust_source: true}");
    let drill = disturb::Drill::new(&playbook).with("SOURCE", source.url("shop")).with("SELF", target.url("postgres"));
    drill.run().expect(0);
    let mut command = drill.command(&["verify", "--restored", &text(&drill.bundle())]);
    let output = command.env_remove("SELF").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("target.postgres") && said.contains("SELF is not set"), "{said}");
    assert!(!said.contains("table could not be compared"), "{said}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn reports_of_a_run_that_did_not_end_are_refused_with_the_way_on() {
    let world = World::new(PLAYBOOK);
    world.gate.slow_down(256 << 10);
    let mut running = world.drill.start();
    let drill = &world.drill;
    assert!(running.wait_for(Moment::Event("asset_started", 1)), "{:?}", running.end());
    let ended = drill.end(&["report", &text(&drill.bundle())]);
    assert!(ended.code == Some(2) && ended.stderr.contains("walkaway resume"), "{}", ended.stderr);
}
