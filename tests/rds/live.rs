//! Reading a running instance.

use std::{fs, process::Command};

use crate::{
    rds::{
        account::{Account, INSTANCE, PASSWORD},
        ldap::Directory,
    },
    support::block_on,
};

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_running_instance_is_carried_and_described() {
    let account = Account::new();
    let rds = format!("password: \"env:LEDGER_PASSWORD\", ca: \"{}\", {}", account.ca.display(), account.via());
    let checks = "    checks:\n      - {id: many, sql: \"select count(*) from entries;\", expect: \">= 500\"}\n      \
                  - {id: none, sql: \"select count(*) from entries where amount < 0\", expect: \"= 0\"}\n";
    let ran = account.run(&account.playbook(&rds, checks), &[]);
    ran.assert_code(0);
    let database = ran.database();
    let described = &database["rds"];
    assert_eq!((&described["id"], &described["method"]), (&INSTANCE.into(), &"live".into()));
    assert_eq!((&described["encrypted"], &described["retention_days"]), (&true.into(), &7.into()));
    assert_eq!(described["engine_version"], "15.4");
    let asset = &ran.result()["assets"][0];
    assert!(asset["source"].as_str().unwrap().starts_with(&format!("{INSTANCE}.")), "{asset:#}");
    let checks = asset["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "checks" && check["equal"] == 2), "{checks:#?}");
    let found = Command::new("grep").args(["-rl", PASSWORD]).arg(account.home.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the password was written down");

    let plan = account.walkaway(&["plan", "drill.yaml"]);
    plan.assert_code(0);
    assert!(plan.stdout.contains("on RDS, db.t3.medium"), "{}", plan.stdout);

    let failing = "    checks:\n      - {id: many, sql: \"select count(*) from entries\", expect: \"> 500\"}\n      \
                   - {id: writes, sql: \"select nextval('nothing')\", expect: \"= 1\"}\n";
    let ran = account.run(&account.playbook(&rds, failing), &[]);
    ran.assert_code(1).assert_says(&["check failed: many", "check failed: writes"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let account = Account::new();
    let password = "password: \"env:LEDGER_PASSWORD\"";
    // The certificates that walkaway brings along know nothing of the test's CA.
    let ran = account.run(&account.playbook(&format!("{password}, {}", account.via()), ""), &[]);
    ran.assert_code(2).assert_says(&["certificate", "UnknownIssuer"]);

    let elsewhere = account.server.certified("another.host.example");
    let rds = format!("{password}, ca: \"{}\", {}", elsewhere.display(), account.via());
    let ran = account.run(&account.playbook(&rds, ""), &[]);
    ran.assert_code(2).assert_says(&["certificate not valid for name", INSTANCE]);
    assert!(
        !account.home.join("restored").exists() || fs::read_dir(account.home.join("restored")).unwrap().count() == 0
    );
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn iam_logs_in_with_a_token_for_each_connection() {
    let account = Account::new();
    let directory = Directory::start();
    account.server.let_in(&format!(
        "hostssl all reader 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={} ldapprefix=\"cn=\" ldapsuffix=\"\"",
        directory.port
    ));
    let rds = format!("iam: true, ca: \"{}\", {}", account.ca.display(), account.via());
    let ran = account.run(&account.playbook(&rds, ""), &[]);
    ran.assert_code(0);
    let tokens = directory.tokens();
    assert!(tokens.len() > 3, "{}", tokens.len());
    let signature = tokens[0].split("X-Amz-Signature=").nth(1).unwrap();
    let found = Command::new("grep").args(["-rl", &signature[..40]]).arg(account.home.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "a token was written down");
    assert!(!ran.stderr.contains(&signature[..40]));

    directory.refuse();
    let ran = account.run(&account.playbook(&rds, ""), &[]);
    ran.assert_code(2).assert_says(&["authentication failed", "rds-db:connect"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_replica_is_read_only_if_it_is_one() {
    let account = Account::new();
    let replica = account.rds().create_db_instance_read_replica().db_instance_identifier("ledger-replica");
    block_on(replica.source_db_instance_identifier(INSTANCE).send()).unwrap();
    account.make_instance("stranger");
    let rds = |replica: &str| {
        let ca = account.ca.display();
        format!("password: \"env:LEDGER_PASSWORD\", ca: \"{ca}\", {}, replica: {replica}", account.via())
    };
    let ran = account.run(&account.playbook(&rds("ledger-replica"), ""), &[]);
    ran.assert_code(0);
    assert_eq!(ran.database()["rds"]["replica"], "ledger-replica");
    let ran = account.run(&account.playbook(&rds("stranger"), ""), &[]);
    ran.assert_code(2).assert_says(&["stranger", "no read replica of ledger-prod"]);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_instance_that_is_not_there_is_an_obstacle() {
    let account = Account::new();
    let rds = format!("password: \"env:LEDGER_PASSWORD\", {}", account.via());
    let playbook = account.playbook(&rds, "").replace(INSTANCE, "ledger-gone");
    account.run(&playbook, &[]).assert_code(2).assert_says(&["RDS instance ledger-gone not found"]);
}
