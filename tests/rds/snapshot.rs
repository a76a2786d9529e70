//! Restoring a snapshot to a temporary instance, and removing that again.

use std::{
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use crate::{
    rds::account::{ACCOUNT, Account, INSTANCE, Ran},
    support::{block_on, drill::wait_until},
};

/// Names as walkaway gives them.
const OF_ANOTHER: &str = "walkaway-11111111111111111111";
const LIVING: &str = "walkaway-22222222222222222222";
const ORPHAN: &str = "walkaway-33333333333333333333";

fn keys(account: &Account, more: &str) -> String {
    format!(
        "password: \"env:LEDGER_PASSWORD\", ca: \"{}\", {}, method: snapshot, snapshot: {{class: db.t3.small, \
         subnet_group: exit, security_groups: [sg-0123456789abcdef0], parameter_group: default.postgres15, \
         per_hour: 0.10 USD, {more}}}",
        account.ca.display(),
        account.via()
    )
}

fn account() -> Account {
    let account = Account::new();
    account.make_network();
    account
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_snapshot_is_restored_read_and_removed() {
    let account = account();
    account.make_tagged("bystander", &[("walkaway:run", "another"), ("walkaway:playbook", "ledger-drill")]);
    account.make_tagged(OF_ANOTHER, &[("walkaway:run", "x"), ("walkaway:playbook", "another-drill")]);
    let of_run = |until| [("walkaway:run", "y"), ("walkaway:playbook", "ledger-drill"), ("walkaway:until", until)];
    account.make_tagged(ORPHAN, &of_run("2020-01-01T00:00:00Z"));
    account.make_tagged(LIVING, &of_run("2999-01-01T00:00:00Z"));
    account.make_tagged("walkaway-prod", &of_run("2020-01-01T00:00:00Z"));
    let playbook = account.playbook(&keys(&account, "cost_ceiling: 5 USD"), "");

    account.run(&playbook, &[]).assert_code(2).assert_says(&["costs money", &format!("--confirm {ACCOUNT}")]);
    account.run(&playbook, &["--confirm", "000000000000"]).assert_code(2).assert_says(&["000000000000"]);

    let ran = account.run(&playbook, &["--confirm", ACCOUNT]);
    ran.assert_code(0).assert_says(&["making RDS instance walkaway-", "removed RDS instance walkaway-"]);
    ran.assert_says(&[
        &format!("{ORPHAN}, which run y left"),
        &format!("{LIVING} is left alone: run y may be at work on it"),
        "walkaway-prod is left alone: it carries the tag of run y, and its name is none that walkaway gives",
    ]);
    let temporary = &ran.database()["rds"]["temporary"];
    assert_eq!((&temporary["removed"], &temporary["cost_ceiling"]), (&true.into(), &"5.00 USD".into()));
    assert!(temporary["snapshot"].as_str().unwrap().starts_with(&format!("rds:{INSTANCE}")), "{temporary}");
    // By its name or by its tag, none of these is this playbook's.
    assert_eq!(account.instances(), ["bystander", INSTANCE, OF_ANOTHER, LIVING, "walkaway-prod"]);
    assert!(account.own_snapshots().is_empty());

    let ran =
        account.run(&account.playbook(&keys(&account, "take: new, cost_ceiling: 5 USD"), ""), &["--confirm", ACCOUNT]);
    ran.assert_code(0).assert_says(&["removed RDS snapshot walkaway-"]);
    assert!(account.own_snapshots().is_empty());
    assert_eq!(account.instances().len(), 5);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_error_an_interruption_and_an_empty_purse_leave_nothing() {
    let account = account();
    let playbook = account.playbook(&keys(&account, "cost_ceiling: 5 USD"), "");
    // The provider's endpoint leads to a server that does not know the password.
    account.server.execute("postgres", "alter role reader password 'another'");
    let ran = account.run(&playbook, &["--confirm", ACCOUNT]);
    ran.assert_code(2).assert_says(&["password authentication failed", "removed RDS instance"]);
    assert_eq!(account.instances(), [INSTANCE]);
    account.server.execute("postgres", &format!("alter role reader password '{}'", crate::rds::account::PASSWORD));

    // A statement that waits for a locked table ends with the money; the lock is not given back before.
    let mut client = account.server.client("ledger");
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table entries in access exclusive mode").unwrap();
    account.write(&account.playbook(&keys(&account, "cost_ceiling: 0.000100 USD"), ""));
    let mut command = account.command(&["run", "drill.yaml", "--confirm", ACCOUNT]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| account.instances().len() == 2);
    let ran = Ran::of(&running.wait_with_output().unwrap());
    ran.assert_code(2).assert_says(&["removed RDS instance", "would have cost more than"]);
    lock.rollback().unwrap();
    assert_eq!(account.instances(), [INSTANCE]);
}

/// A run that waits for a locked table; its instance and its snapshot are there.
fn waiting(account: &Account) -> (Child, PathBuf) {
    let known = account.instances().len();
    let before: Vec<_> = bundles(account);
    let mut command = account.command(&["run", "drill.yaml", "--confirm", ACCOUNT]);
    let running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| account.instances().len() == known + 1);
    std::thread::sleep(Duration::from_millis(300));
    let bundle = bundles(account).into_iter().find(|bundle| !before.contains(bundle)).unwrap();
    (running, bundle)
}

fn bundles(account: &Account) -> Vec<PathBuf> {
    let directories = std::fs::read_dir(account.home.join("evidence")).into_iter().flatten();
    directories.map(|entry| entry.unwrap().path()).collect()
}

fn kill(mut running: Child) {
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_living_run_is_spared_and_what_a_killed_one_left_is_removed() {
    let account = account();
    account.make_tagged(OF_ANOTHER, &[("walkaway:run", "x"), ("walkaway:playbook", "another-drill")]);
    account.write(&account.playbook(&keys(&account, "take: new, cost_ceiling: 5 USD"), ""));
    let mut client = account.server.client("ledger");
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table entries in access exclusive mode").unwrap();
    let (living, bundle) = waiting(&account);
    let path = |bundle: &PathBuf| bundle.to_str().unwrap().to_owned();

    // Neither a second run of the playbook nor a clean-up of the first touches what the first is at work on.
    let second = account.command(&["run", "drill.yaml", "--confirm", ACCOUNT]).env("LEDGER_PASSWORD", "x").output();
    let second = Ran::of(&second.unwrap());
    second.assert_code(2).assert_says(&["is left alone", "is at work on it", "removed RDS instance"]);
    let refused = account.walkaway(&["clean", &path(&bundle)]);
    refused.assert_code(4).assert_says(&["may still be there: another walkaway is at work"]);
    assert_eq!(refused.stderr.matches("may still be there").count(), 2, "{}", refused.stderr);
    assert_eq!((account.instances().len(), account.own_snapshots().len()), (3, 1));

    // Sealed as it stands, it leaves nothing.
    kill(living);
    let sealed = account.walkaway(&["resume", "--seal", &path(&bundle)]);
    sealed.assert_code(2).assert_says(&["removed RDS instance walkaway-", "removed RDS snapshot walkaway-"]);
    assert_eq!(account.instances(), [INSTANCE, OF_ANOTHER]);
    assert!(account.own_snapshots().is_empty());

    // Killed, its journal tells the next one who asks.
    let (second, bundle) = waiting(&account);
    kill(second);
    let due = account.walkaway(&["due", "drill.yaml"]);
    assert!(due.stdout.matches("LEFT: RDS").count() == 2 && due.stdout.contains("walkaway clean"), "{}", due.stdout);
    // Asked by another account, nobody hears of it; that is no word about whether it is there.
    let other = |arguments: &[&str]| {
        let output = account.command(arguments).env("AWS_ACCESS_KEY_ID", account.key_of("222222222222")).output();
        Ran::of(&output.unwrap())
    };
    let due = other(&["due", "drill.yaml"]);
    let words = format!("in account {ACCOUNT}, and the caller belongs to 222222222222; use credentials of {ACCOUNT}");
    assert_eq!(due.stdout.matches(&words).count(), 2, "{}", due.stdout);
    other(&["clean", &path(&bundle)]).assert_code(4).assert_says(&[&words]);

    let cleaned = account.walkaway(&["clean", &path(&bundle)]);
    cleaned.assert_code(0);
    let removed = cleaned.stdout.lines().filter(|line| line.starts_with("removed "));
    assert_eq!(removed.count(), 2, "{}", cleaned.stdout);
    assert_eq!(account.instances(), [INSTANCE, OF_ANOTHER]);
    assert!(account.own_snapshots().is_empty());
    account.walkaway(&["clean", &path(&bundle)]).assert_code(0).assert_says(&["left nothing"]);
    // Sealed afterwards, it says that all is gone, and the seal holds.
    let sealed = account.walkaway(&["resume", "--seal", &path(&bundle)]);
    sealed.assert_code(2);
    assert!(!sealed.stderr.contains("left behind"), "{}", sealed.stderr);
    account.walkaway(&["verify", &path(&bundle)]).assert_code(0);

    // What was about to be made and is not there may still appear.
    let (third, bundle) = waiting(&account);
    kill(third);
    for instance in account.instances().iter().filter(|id| id.len() == "walkaway-".len() + 20) {
        block_on(account.rds().delete_db_instance().db_instance_identifier(instance).skip_final_snapshot(true).send())
            .unwrap();
    }
    let hasty = account.walkaway(&["clean", "--wait", "0s", &path(&bundle)]);
    hasty.assert_code(4).assert_says(&["may still appear"]);
    assert!(account.own_snapshots().is_empty());
    account.walkaway(&["clean", "--wait", "0s", &path(&bundle)]).assert_code(4).assert_says(&["may still appear"]);
    lock.rollback().unwrap();
}
