//! What people and machines read: reports that can't be mistaken for each other, made again from the result alone, and
//! accepted by the programs that they are meant for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use walkaway::{
    account::controls::Control,
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind, Verdict},
    },
    evidence::{check_bundle, parse_result},
    report::{self, View},
};

use crate::support::{
    self, TempDir,
    drill::{Drill, OBJECT_CANARY, ODD_DATABASE, READER_PASSWORD, ROW_CANARY, odd_objects, stock},
};

const PARTS: [&str; 10] =
    ["verdict", "coverage", "assets", "exit", "cost", "findings", "custody", "alternatives", "trend", "controls"];

fn frozen(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/evidence/frozen/v{version}"))
}

/// Every version that was ever written still verifies.
#[test]
fn frozen_bundles_of_every_version_still_verify() {
    for version in 1..=walkaway::evidence::result::RESULT_VERSION {
        let check = check_bundle(&frozen(version)).unwrap();
        assert_eq!(Verdict::from_findings(&check.findings), Verdict::Pass, "v{version}: {:#?}", check.findings);
        let result = check.result.unwrap();
        assert_eq!((result.result_version, result.verdict), (version, Verdict::Pass));
        // What only the build that wrote it can make again is said not to have been compared, and nothing else is.
        let not_compared = walkaway::command::claims::check(&frozen(version));
        let other = |finding: &Finding| finding.kind == FindingKind::OtherVersion;
        assert!(not_compared.iter().all(other), "v{version}: {not_compared:#?}");
        let verified = support::walkaway().arg("verify").arg(frozen(version)).output().unwrap();
        let code = if not_compared.is_empty() { 0 } else { 2 };
        assert_eq!(verified.status.code(), Some(code), "v{version}: {verified:?}");
    }
    let newer = r#"{"result_version": 99}"#;
    assert!(parse_result(newer.as_bytes()).unwrap_err().contains("version 99"));
}

/// A result of the current version with another end.
pub fn ended(verdict: &str, kind: &str, severity: &str) -> (Value, Vec<u8>) {
    let bytes = fs::read(frozen(walkaway::evidence::result::RESULT_VERSION).join("data/result.json")).unwrap();
    let mut result: Value = serde_json::from_slice(&bytes).unwrap();
    result["verdict"] = json!(verdict);
    result["assets"][0]["verdict"] = json!(verdict);
    if !kind.is_empty() {
        let finding = json!({"asset": result["assets"][0]["id"], "kind": kind, "severity": severity, "subject": "<a>&\u{1b}", "detail": "x"});
        result["assets"][0]["findings"] = json!([finding]);
    }
    let bytes = serde_json::to_vec(&result).unwrap();
    (result, bytes)
}

#[test]
fn reports_of_different_ends_can_not_be_mistaken() {
    let ends = [
        ("PASS", "", "", "Every asset of the playbook was restored"),
        ("FAIL", "object_digest", "fail", "This drill FAILED"),
        ("NOT RUN", "object_unreadable", "not_run", "NO proof of an exit"),
        ("WAIVED", "object_digest", "fail", "This drill did NOT pass"),
    ];
    for (verdict, kind, severity, words) in ends {
        let (_, bytes) = ended(verdict, kind, severity);
        let result = parse_result(&bytes).unwrap();
        let held = walkaway::account::controls::rows().map(|row| Control {
            row,
            control: String::new(),
            supported_by: walkaway::account::controls::lacks(row, &[])
                .iter()
                .map(|name| (format!("{name}x"), Sha256Digest([0; 32])))
                .collect(),
            person_adds: String::new(),
        });
        let checklist: Vec<_> = held.collect();
        let view = View { checklist: &checklist, ..View::new(&result, &bytes) };
        let html = report::html(&view);
        let junit = report::junit(&view);
        let oscal: Value = serde_json::from_slice(&report::oscal(&view)).unwrap();
        assert!(html.contains(&format!("<title>{verdict}: ")) && html.contains(words), "{verdict}");
        assert!(html.contains(&format!("<html lang=\"en\" class=\"{}\">", verdict.to_lowercase().replace(' ', "-"))));
        for (other, .., foreign) in ends.iter().filter(|(other, ..)| *other != verdict) {
            assert!(!html.contains(foreign), "the report of a {verdict} says what a {other} says");
        }
        for part in PARTS {
            assert!(html.contains(&format!("<section id=\"{part}\"")), "{part}");
        }
        assert!(!html.contains("<a>&") && !html.contains('\u{1b}'), "text from outside is escaped");
        assert!(
            !html.contains("http://") && !html.contains("https://") && !html.contains("src="),
            "nothing is fetched"
        );
        let green = junit.contains("failures=\"0\" errors=\"0\"");
        assert!(
            !junit.contains("<skipped")
                && junit.lines().nth(1).unwrap().contains("failures=\"0\" errors=\"0\"") == (verdict == "PASS"),
            "{green} {junit}"
        );
        let state = &oscal["assessment-results"]["results"][0]["findings"][0]["target"]["status"]["state"];
        assert_eq!(state == "satisfied", verdict == "PASS");
        let without: Value = serde_json::from_slice(&report::oscal(&View::new(&result, &bytes))).unwrap();
        for finding in without["assessment-results"]["results"][0]["findings"].as_array().unwrap() {
            let status = &finding["target"]["status"];
            assert!(
                status["state"] == "not-satisfied" && status["remarks"].as_str().unwrap().contains("does not hold")
            );
        }
    }
}

/// A finding that weighs has somebody who mends it, or nobody yet.
#[test]
fn findings_have_an_owner_and_a_day() {
    let told = |follow_up: Value| {
        let (mut value, _) = ended("FAIL", "object_digest", "fail");
        value["plan"]["follow_up"] = follow_up;
        let bytes = serde_json::to_vec(&value).unwrap();
        report::html(&View::new(&parse_result(&bytes).unwrap(), &bytes))
    };
    let entry = |finding: &str, due: &str| json!([{"finding": finding, "owner": "dba@acme.example", "due": due}]);
    assert!(told(json!([])).contains(">no owner<"));
    assert!(told(entry("*: object differs", "2099-01-31")).contains(">dba@acme.example, due 2099-01-31<"));
    assert!(told(entry("*: object differs", "2020-01-31")).contains("OVERDUE since 2020-01-31"));
    assert!(told(entry("another", "2020-01-31")).contains("plan.follow_up in the playbook names who"));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn trestle_validates_the_assessment_results() {
    let home = TempDir::new();
    for (verdict, kind, severity) in [("PASS", "", ""), ("FAIL", "object_digest", "fail")] {
        let (_, bytes) = ended(verdict, kind, severity);
        let result = parse_result(&bytes).unwrap();
        let path = home.join("oscal.json");
        fs::write(&path, report::oscal(&View::new(&result, &bytes))).unwrap();
        let program = "
import pathlib, sys
from trestle.oscal.assessment_results import AssessmentResults
read = AssessmentResults.oscal_read(pathlib.Path(sys.argv[1]))
assert read is not None and read.results[0].findings and read.results[0].observations
version = read.metadata.oscal_version
while hasattr(version, 'root'):
    version = version.root
print(version)
";
        let python = support::standin("../evidence/bin/python");
        assert_eq!(stock(Command::new(python).args(["-c", program]).arg(&path)).trim(), "1.1.2");
        fs::remove_file(&path).unwrap();
    }
}

/// One drill with a plan; its reports are made again, rendered, searched for secrets, and forged.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_reports_of_a_drill_are_made_again_from_its_result_alone() {
    let objects: Vec<_> = odd_objects().into_iter().filter(|(_, bytes)| bytes.len() < 1000).collect();
    let drill = Drill::new().bucket(&objects).database(ODD_DATABASE).settings(PLAN);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let bundle = ran.bundle.display().to_string();
    let out = drill.home().join("again");
    let made = drill.walkaway(&["report", &bundle, "--out", &out.display().to_string()]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    for name in ["report.html", "junit.xml", "oscal-assessment-results.json"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(ran.bundle.join("data").join(name)).unwrap(), "{name}");
    }
    let html = ran.read("data/report.html");
    for words in ["OVHcloud", "ISO27001:A.5.23", "cto@acme.example", "provider insolvency", "objectives.rto"] {
        assert!(html.contains(words), "{words}");
    }
    for secret in [ROW_CANARY, OBJECT_CANARY, READER_PASSWORD] {
        assert!(!html.contains(secret));
    }
    renders_without_errors(&ran.bundle.join("data/report.html"));
    // A forged report is found, also when every digest was made to agree.
    fs::write(ran.bundle.join("data/report.html"), html.replace("proven equal", "proven equal, all")).unwrap();
    rehash(&ran.bundle);
    let verified = drill.walkaway(&["verify", &bundle]).output().unwrap();
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.code() == Some(1) && said.contains("is not the report of this result"), "{said}");
}

const PLAN: &str = "scenario: stressed
plan:
  services: [{name: orders, criticality: critical, data: [files, ledger]}]
  triggers: [provider insolvency]
  alternatives: [{name: OVHcloud, country: FR, maps: {s3: Object Storage}, gap: no IAM auth, assessed: 2026-09-30}]
  next_review: 2099-03-31
  every: 90d
roles: {accountable: cto@acme.example, operator: sre@acme.example, reviewer: ciso@acme.example}
controls: [\"ISO27001:A.5.23\", \"DORA:28.8\"]
objectives: {rto: 72h, rpo: 24h}";

pub fn rehash(bundle: &Path) {
    let script = "rm tagmanifest-sha256.txt
        find data -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum > manifest-sha256.txt
        sed -i \"s/^Payload-Oxum: .*/Payload-Oxum: $(find data -type f -printf '%s\\n' | awk '{n += 1; b += $1} END {print b \".\" n}')/\" bag-info.txt
        sha256sum VERIFY.md bag-info.txt bagit.txt manifest-sha256.txt > tagmanifest-sha256.txt";
    stock(Command::new("bash").args(["-ec", script]).current_dir(bundle));
}

/// Headless Chromium, where there is one; a skipped look says so.
fn renders_without_errors(page: &Path) {
    let found = ["chromium", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()));
    let Some(browser) = found else {
        return eprintln!("SKIPPED: no Chromium on this machine; the page was not rendered");
    };
    let profile = TempDir::new();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let complaints: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    for part in PARTS {
        assert!(dom.contains(&format!("<section id=\"{part}\"")), "{part} is not on the page");
    }
    assert!(dom.contains("<th scope=\"col\"><button type=\"button\">"), "tables can be sorted");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn runs_are_compared_and_due() {
    let drill = Drill::new().bucket(&[("a", "1"), ("b", "22")]).settings("plan: {every: 90d}");
    let due = |code: i32, words: &str| {
        fs::write(drill.home().join("drill.yaml"), drill.playbook()).unwrap();
        let output = drill.walkaway(&["due", "drill.yaml"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(words), "{said}");
    };
    due(1, "no run of this playbook has passed");
    let first = drill.run();
    let second = drill.run();
    due(0, "not due");
    // What does not count: another bucket, a bundle without the signature that is wanted, a start in the future, a sample.
    let due_of = |from: &str, to: &str, words: &str| {
        let text = drill.playbook();
        assert!(text.contains(from), "{text}");
        fs::write(drill.home().join("drill.yaml"), text.replace(from, to)).unwrap();
        let output = drill.walkaway(&["due", "drill.yaml"]).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
    };
    due_of("bucket: drill-files", "bucket: other-files", "does not count: ");
    due_of("path: evidence/", "path: evidence/, sign: /nonexistent/key", "not signed, as the playbook wants it");
    due_of("id: drill\n", "id: other\n", "no run of this playbook has passed");
    let sampled = Drill::new().bucket(&[("a", "1"), ("b", "22"), ("c", "333")]).asset("sample: {share: 50%, seed: 1}");
    let ran = sampled.run();
    ran.assert_ended(0, "PASS");
    support::independent::assert_agrees(&ran.bundle, true, "a sample");
    assert_eq!(sampled.walkaway(&["verify", ran.bundle.to_str().unwrap()]).output().unwrap().status.code(), Some(0));
    let asked = |more: &[&str]| {
        let output = sampled.walkaway(&[&["due", "drill.yaml"], more].concat()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = asked(&[]);
    assert!(code == 1 && said.contains("it carried a sample"), "{said}");
    assert_eq!(asked(&["--samples"]).0, 0);
    assert!(asked(&["--timer"]).1.contains("due --samples "));
    let timer = drill.walkaway(&["due", "drill.yaml", "--timer"]).output().unwrap();
    let timer = String::from_utf8(timer.stdout).unwrap();
    assert!(timer.contains("OnCalendar=daily") && timer.contains("drill.yaml"), "{timer}");
    let compare = |bundles: [&Path; 2]| {
        let bundles = bundles.map(|bundle| bundle.display().to_string());
        let output = drill.walkaway(&["compare", &bundles[0], &bundles[1]]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = compare([&second.bundle, &first.bundle]);
    assert!(code == 0 && said.contains("nothing got worse"), "{said}");
    drill.delete_object("b");
    let third = drill.run();
    let (code, said) = compare([&first.bundle, &third.bundle]);
    assert!(code == 1 && said.contains("coverage fell"), "{said}");
    let (code, said) = compare([&first.bundle, &frozen(1)]);
    assert!(code == 3 && said.contains("its playbook is frozen"), "{said}");
}

/// The steps by hand are what a person would type: they are typed here.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_commands_of_the_manual_carry_everything_out() {
    let database =
        format!("{} create table cache (a int); insert into cache values (1);", support::drill::PLAIN_DATABASE);
    let drill = Drill::new()
        .bucket(&[("a", "1"), ("b/c", "22"), ("b/d e", "333")])
        .database(&database)
        .exclude_tables("[{name: public.cache, reason: can be made again}]")
        .settings("contract: {file: contract.txt, notice: 60d, transition: 30d, retrieval: 4w}");
    let target = support::PgCluster::start();
    fs::write(drill.home().join("drill.yaml"), drill.playbook()).unwrap();
    let output = drill.walkaway(&["manual", "drill.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let manual = String::from_utf8(output.stdout).unwrap();
    for heading in [
        "1. Provider",
        "2. Services",
        "3. Roles",
        "4. Alternatives",
        "5. What",
        "6. The exit",
        "7. Schedule",
        "8. Success",
        "9. Assumptions",
        "10. Communication",
    ] {
        assert!(manual.contains(&format!("## {heading}")), "{heading}");
    }
    for words in
        ["60d, 30d, 4w", "| Retrieval | 4w |", "ends unexpectedly", "jq, version 1.6", "`walkaway run PLAYBOOK`"]
    {
        assert!(manual.contains(words), "{words}: {manual}");
    }
    let mut script = "set -e\n".to_owned();
    let mut inside = false;
    for line in manual.lines() {
        match (line, inside) {
            ("```sh", false) => inside = true,
            ("```", true) => inside = false,
            (line, true) => script += &format!("{line}\n"),
            _ => {}
        }
    }
    let tools = support::standin("../evidence/bin");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut shell = drill.walkaway(&[]);
    let environment: Vec<_> =
        shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(drill.home().path());
    shell.envs(environment.into_iter().map(|(name, value)| (name, value.unwrap_or_default())));
    let said = stock(shell.env("PATH", path).env("EXIT_PG", target.url("postgres")));
    assert!(said.contains("3 objects, 6 bytes"), "{said}");
    assert_eq!(said.lines().filter(|line| *line == "3 6").count(), 2, "{said}");
    assert!(
        said.contains("public.notes equal")
            && said.contains("public.empty equal")
            && !said.contains("DIFFERS")
            && !said.contains("public.cache"),
        "{said}"
    );
    let carried = drill.home().join("restored/files/b/d e");
    assert_eq!(fs::read_to_string(carried).unwrap(), "333");
}
