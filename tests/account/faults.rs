//! Every fault of an account is found where it is, and not where it is not; what is refused is unreadable.

use std::fs;

use serde_json::Value;

use crate::account::world::World;

/// Everything that can be asked about an account.
const EVERYTHING: &str = "\
assets:
  - {id: invoices, s3: {bucket: acme-invoices}}
exclude:
  - {match: \"s3:acme-contracts\", reason: copies, owner: sre@acme.example, until: 2999-01-01}
posture: [residency, encryption, public_access, orphan_snapshots, credentials, protection]
postconditions: [source_unchanged]
attest:
  - {id: soc2, folder: reports/, max_age: 12mo, review_note: required}
  - {id: duties, file: duties.csv, kind: responsibility_matrix}
contract: {file: contract.txt, notice: 60d, transition: 30d, retrieval: 30d}
change: CHG-1
";

const UNPROJECTED: &str = "contract_unprojected transition, retrieval";

/// A document of today.
fn of_today() -> String {
    format!("soc2-{}.pdf", walkaway::clock::today())
}

fn documents(world: &World, report: &str, duties: &str) {
    fs::create_dir_all(world.home.join("reports")).unwrap();
    fs::write(world.home.join("reports").join(report), "report").unwrap();
    fs::write(world.home.join("reports").join(format!("{report}.review.md")), "read, no gaps").unwrap();
    fs::write(world.home.join("contract.txt"), "terms").unwrap();
    fs::write(world.home.join("duties.csv"), format!("service,patching,application,identity\n{duties}")).unwrap();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_clean_account_has_no_finding() {
    let world = World::of("clean");
    documents(&world, &of_today(), "Amazon S3,AWS,we,we\nRDS,AWS,we,we\nIAM,AWS,we,we\n");
    let ran = world.run(EVERYTHING);
    // A drill of a second projects no exit, and says so.
    assert_eq!(ran.findings(), [UNPROJECTED], "{}", ran.stderr);
    let contract = ran.json("data/checks/contract.json");
    assert_eq!((&contract["within_transition"], &contract["projected_exit_ms"]), (&Value::Null, &Value::Null));
    assert!(contract["projection_refused"][0].as_str().unwrap().contains("1 unit was measured"), "{contract:#}");
    ran.assert_ended(0, "PASS").assert_verifies();

    let totals = &ran.result["coverage"]["totals"];
    let assets = |status: &str| totals[status]["assets"].as_u64().unwrap();
    assert_eq!([assets("tested"), assets("excluded"), assets("untested"), assets("unreadable")], [1, 1, 1, 0]);
    assert_eq!(totals["tested"]["bytes"], 27);
    assert!(ran.stderr.contains("tested 1 of 2 things in the account"), "{}", ran.stderr);
    let rows = ran.text("data/coverage.csv");
    assert!(rows.contains("UNTESTED,instance,ledger,eu-central-1,21474836480,0,,not in the playbook,known"), "{rows}");
    assert!(rows.contains("EXCLUDED,bucket,acme-contracts,"), "{rows}");

    for check in ["residency", "encryption", "public_access", "orphan_snapshots", "credentials", "protection"] {
        let check = ran.json(&format!("data/checks/{check}.json"));
        assert!(check["findings"].as_array().unwrap().is_empty() && !check["subjects"].as_array().unwrap().is_empty());
    }
    let encryption = ran.json("data/checks/encryption.json");
    let digests = encryption["subjects"].as_array().unwrap().iter().flat_map(|s| s["facts"].as_array().unwrap());
    assert!(digests.clone().any(|fact| fact["answer_sha256"].as_str().is_some_and(|digest| digest.len() == 64)));
    assert_eq!(ran.json("data/checks/source_unchanged.json")["changes"].as_array().unwrap().len(), 0);

    let controls = ran.json("data/controls.json");
    for row in controls["controls"].as_array().unwrap() {
        assert!(!row["person_adds"].as_str().unwrap().is_empty());
        let supported = !row["supported_by"].as_object().unwrap().is_empty();
        // Row 8 also wants preconditions; the checks of posture alone support it.
        assert!(supported, "{row:#}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn every_fault_is_found() {
    let world = World::of("faulty");
    documents(&world, "soc2-2020-01-01.pdf", "Amazon S3,AWS,we,we\nIAM,AWS,we,we\n");
    let lines = EVERYTHING.replace("2999-01-01", "2020-01-01");
    let ran = world.run(&lines);
    ran.assert_ended(1, "FAIL").assert_verifies();
    let expected = [
        UNPROJECTED,
        "document_stale soc2 soc2-2020-01-01.pdf",
        "exclusion_expired s3:acme-contracts",
        "key_too_old user bob key 1",
        "not_encrypted bucket acme-open",
        "not_encrypted snapshot gone-last",
        "publicly_reachable bucket acme-open",
        "publicly_reachable snapshot ledger-open",
        "region_not_allowed bucket acme-far",
        "responsibility_missing duties RDS",
        "snapshot_orphaned snapshot gone-last",
        "user_without_mfa user bob",
    ];
    let mut found = ran.findings();
    found.sort();
    assert_eq!(found, expected, "{:#}", ran.result["findings"]);
    let rows = ran.text("data/coverage.csv");
    assert!(rows.contains("UNTESTED,bucket,acme-contracts,"), "an expired exclusion excludes: {rows}");
    assert!(rows.contains("UNTESTED,snapshot,gone-last,"), "an orphan holds data of its own: {rows}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_is_refused_is_unreadable_and_stops_nothing_else() {
    let world = World::of("denied");
    documents(&world, &of_today(), "Amazon S3,AWS,we,we\nRDS,AWS,we,we\n");
    let lines = EVERYTHING.replace("posture", "thresholds: {coverage_bytes: \">= 1%\"}\nposture");
    let ran = world.run(&lines);
    ran.assert_verifies();
    let found = ran.findings();
    let has = |wanted: &str| found.iter().any(|finding| finding.starts_with(wanted));
    for wanted in [
        "account_unreadable bucket acme-open",
        "account_unreadable rds DescribeDBSnapshots in eu-central-1",
        "account_unreadable users and keys",
        "source_not_compared bucket acme-invoices: policy",
        "threshold_unknown coverage_bytes",
    ] {
        assert!(has(wanted), "no {wanted} in {found:#?}");
    }
    // What could be read is judged all the same, and nothing that was refused is called good or gone.
    assert!(has("region_not_allowed bucket acme-far") && has("not_encrypted bucket acme-open"), "{found:#?}");
    assert!(!has("publicly_reachable") && !has("snapshot_orphaned") && !has("user_without_mfa"), "{found:#?}");
    assert_eq!(ran.result["assets"][0]["verdict"], "PASS");
    let inventory = ran.json("data/inventory.json");
    let unreadable = inventory["unreadable"].as_array().unwrap();
    assert!(unreadable.iter().all(|missing| missing["denied"] == true || missing["call"] == "cloudwatch ListMetrics"));
    assert!(ran.text("data/coverage.csv").contains("UNREADABLE,snapshot list,*,eu-central-1,"));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn missing_rights_are_all_listed_before_anything_moves() {
    let world = World::of("denied");
    world.playbook(
        "assets: [{id: invoices, s3: {bucket: acme-invoices}}]\nposture: [encryption, public_access, credentials]\n\
         preconditions: [identity.rights]\n",
    );
    let output = world.command(&["run", "drill.yaml"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for right in [
        "iam:GenerateCredentialReport",
        "rds:DescribeDBSnapshots",
        "s3:GetBucketPolicyStatus",
        "s3:GetAccountPublicAccessBlock",
    ] {
        assert!(stderr.contains(right), "{right} is not in {stderr}");
    }
    assert!(!world.home.join("evidence").exists() || fs::read_dir(world.home.join("evidence")).unwrap().count() == 0);
}
