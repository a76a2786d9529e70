//! A forger who knows the format: every fact is changed, and everything that anybody can make agree again is made to
//! agree. Each digest of the result, each line of the journal, each manifest follows; what is left is what the bundle says
//! twice without a digest between.
//!
//! The bundle is that of the newest version in `frozen`, made this program's own first: no forgery may be found merely
//! because another version wrote it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::{Value, json};
use walkaway::{
    account::controls::controls,
    command::claims,
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind, Severity},
    },
    evidence::{
        DatabaseAccess, TABLE_DIGEST_PY, check_bundle,
        result::{RESULT_VERSION, RunResult, bound_sha256, result_schema},
        verify_md,
    },
    run::reports,
};

use crate::support::{TempDir, independent};

/// What follows from a changed result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    /// Nothing but the manifests.
    Manifests,
    /// The journal, too: the digests of results and assets, and its chain.
    Journal,
}

struct Bundle {
    home: TempDir,
    result: Value,
    journal: Vec<Value>,
    /// How its document says that databases are read.
    pgoptions: String,
}

impl Bundle {
    /// The frozen bundle, as if this program had written it.
    fn own() -> Self {
        let home = TempDir::new();
        let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/evidence/frozen/v{RESULT_VERSION}"));
        copy(&frozen, &home.path().join("bundle"));
        let mut bundle = Bundle { home, result: Value::Null, journal: Vec::new(), pgoptions: String::new() };
        bundle.result = serde_json::from_str(&bundle.read("data/result.json")).unwrap();
        let document = bundle.read("VERIFY.md");
        let options = document.split_once("PGOPTIONS='").and_then(|(_, rest)| rest.split_once('\''));
        bundle.pgoptions = options.unwrap().0.to_owned();
        let lines = bundle.read("data/journal.ndjson");
        bundle.journal = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        static PROGRAM: OnceLock<String> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| Sha256Digest::of(fs::read("/proc/self/exe").unwrap()).to_string());
        bundle.result["tool"]["binary_sha256"] = json!(program);
        bundle.line("run_started")["binary_sha256"] = json!(program);
        bundle.write("data/table_digest.py", TABLE_DIGEST_PY);
        bundle.write("data/result.schema.json", &serde_json::to_string_pretty(&result_schema()).unwrap());
        fs::remove_dir_all(bundle.path("sig")).ok();
        bundle.make_agree(Follow::Journal);
        bundle.reword();
        bundle.make_agree(Follow::Journal);
        bundle
    }

    /// The same with its reports, made once.
    fn reported() -> Self {
        static REPORTED: OnceLock<Bundle> = OnceLock::new();
        let made = REPORTED.get_or_init(|| {
            let mut bundle = Bundle::own();
            bundle.report();
            bundle
        });
        let home = TempDir::new();
        copy(&made.root(), &home.path().join("bundle"));
        let result = made.result.clone();
        let journal = made.journal.clone();
        let pgoptions = made.pgoptions.clone();
        Bundle { home, result, journal, pgoptions }
    }

    /// The digest of the result that the reports tell becomes that of the result as it is.
    fn follow_in_reports(&self, before: &str) {
        let after = Sha256Digest::of(self.read("data/result.json")).to_string();
        for name in ["data/report.html", "data/oscal-assessment-results.json"] {
            if self.path(name).exists() {
                self.write(name, &self.read(name).replace(before, &after));
            }
        }
        self.seal();
    }

    /// Forges it, and makes agree what anybody can make agree.
    fn forge(&mut self, forge: fn(&mut Bundle)) {
        let before = (self.result.clone(), self.journal.clone());
        forge(self);
        if before == (self.result.clone(), self.journal.clone()) {
            self.seal();
        } else {
            self.make_agree(Follow::Journal);
        }
    }

    /// Another time for the inventory, wherever it is told.
    fn retake(&mut self, taken: &str) {
        let mut inventory: Value = serde_json::from_str(&self.read("data/inventory.json")).unwrap();
        inventory["taken"] = json!(taken);
        let text = serde_json::to_string_pretty(&inventory).unwrap();
        self.write("data/inventory.json", &text);
        let digest = Sha256Digest::of(&text).to_string();
        self.line("account_read")["sha256"] = json!(digest);
        self.result["coverage"]["taken"] = json!(taken);
        self.result["coverage"]["inventory_sha256"] = json!(digest);
    }

    /// A second look at the account, of which the journal knows.
    fn look_again(&mut self, taken: &str) {
        let mut inventory: Value = serde_json::from_str(&self.read("data/inventory.json")).unwrap();
        inventory["taken"] = json!(taken);
        let text = serde_json::to_string_pretty(&inventory).unwrap();
        self.write("data/after.json", &text);
        let at = self.journal.iter().position(|line| line["event"] == "account_read").unwrap();
        let mut line = self.journal[at].clone();
        line["look"] = json!("after.json");
        line["sha256"] = json!(Sha256Digest::of(&text).to_string());
        self.journal.insert(at + 1, line);
        (1..).zip(&mut self.journal).for_each(|(number, line)| line["seq"] = json!(number));
    }

    /// Statements may be worded anew since the bundle was frozen.
    fn reword(&mut self) {
        let result: RunResult = serde_json::from_value(self.result.clone()).unwrap();
        self.result["not_proven"] = json!(claims::statements(&result));
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("bundle")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// The journal's first line of an event.
    fn line(&mut self, event: &str) -> &mut Value {
        self.journal.iter_mut().find(|line| line["event"] == event).unwrap()
    }

    /// Writes result and journal, and makes agree with them what anybody can make agree.
    fn make_agree(&mut self, follow: Follow) {
        // In the order of the fields, as a run writes it; what is no result any more stays as it is.
        let typed = serde_json::from_value::<RunResult>(self.result.clone());
        if let (Ok(typed), Follow::Journal) = (&typed, follow) {
            self.follow(typed);
        }
        self.chain(follow);
        let typed = serde_json::from_value::<RunResult>(self.result.clone());
        let text =
            typed.map_or_else(|_| self.result.to_string(), |typed| serde_json::to_string_pretty(&typed).unwrap());
        self.write("data/result.json", &text);
        if let Ok(result) = serde_json::from_str::<RunResult>(&text) {
            self.document(&result);
            self.labels(&result);
        }
        self.seal();
    }

    fn document(&self, result: &RunResult) {
        let access = |asset: &str| DatabaseAccess {
            asset: asset.to_owned(),
            psql: ["-h", "/tmp/s", "-p", "5432", "-U", "postgres"].map(str::to_owned).to_vec(),
            pgoptions: self.pgoptions.clone(),
            ..DatabaseAccess::default()
        };
        let accesses: Vec<_> = result.assets.iter().map(|asset| access(&asset.id)).collect();
        self.write("VERIFY.md", &verify_md(result, &accesses, "."));
    }

    fn labels(&self, result: &RunResult) {
        let agent = &result.tool.version;
        let run = &result.run;
        let verdict = result.verdict;
        let text = self.read("bag-info.txt");
        let line = |line: &str| match line.split_once(": ") {
            Some((label @ "Bag-Software-Agent", _)) => format!("{label}: walkaway {agent}\n"),
            Some((label @ "External-Description", _)) => {
                format!("{label}: Evidence of exit drill {run}: {verdict}\n")
            }
            Some((label @ "External-Identifier", _)) => format!("{label}: {run}\n"),
            _ => format!("{line}\n"),
        };
        self.write("bag-info.txt", &text.lines().map(line).collect::<String>());
    }

    fn follow(&mut self, typed: &RunResult) {
        for asset in &typed.assets {
            let outcome = Sha256Digest::of(serde_json::to_string(asset).unwrap()).to_string();
            for line in
                self.journal.iter_mut().filter(|l| l["event"] == "asset_done" && l["asset"] == asset.id.as_str())
            {
                line["outcome_sha256"] = json!(outcome);
            }
        }
        let playbook = Sha256Digest::of(self.read("data/playbook.yaml")).to_string();
        self.result["playbook"]["sha256"] = json!(playbook);
        self.line("run_started")["playbook_sha256"] = json!(playbook);
        let bound = bound_sha256(self.result.to_string().as_bytes()).unwrap().to_string();
        if let Some(told) = self.line("run_done").get_mut("result_sha256") {
            *told = json!(bound);
        }
    }

    fn chain(&mut self, follow: Follow) {
        let mut prev = "0".repeat(64);
        let mut text = String::new();
        for line in &mut self.journal {
            line["prev"] = json!(prev);
            let written = line.to_string();
            prev = Sha256Digest::of(&written).to_string();
            text += &(written + "\n");
        }
        if follow == Follow::Journal {
            self.write("data/journal.ndjson", &text);
            self.result["journal"] = json!({"lines": self.journal.len(), "head": prev});
        }
    }

    fn controls(&self) {
        let mut files = BTreeMap::new();
        let known = |name: &String| {
            ["json", "ndjson", "csv", "yaml", "sha256"].iter().any(|end| name.ends_with(&format!(".{end}")))
        };
        for name in self.names("data").into_iter().filter(known).filter(|name| name != "data/controls.json") {
            files.insert(name.clone(), Sha256Digest::of(fs::read(self.path(&name)).unwrap()));
        }
        let list = json!({"controls": controls(&files)});
        self.write("data/controls.json", &list.to_string());
    }

    fn seal(&self) {
        self.controls();
        let sums = |names: Vec<String>| -> String {
            names
                .iter()
                .map(|name| format!("{}  {name}\n", Sha256Digest::of(fs::read(self.path(name)).unwrap())))
                .collect()
        };
        let payload = self.names("data");
        let bytes: u64 = payload.iter().map(|name| self.path(name).metadata().unwrap().len()).sum();
        let info = self.read("bag-info.txt");
        let kept = info.lines().filter(|line| !line.starts_with("Payload-Oxum")).map(|line| format!("{line}\n"));
        self.write("bag-info.txt", &(kept.collect::<String>() + &format!("Payload-Oxum: {bytes}.{}\n", payload.len())));
        self.write("manifest-sha256.txt", &sums(payload));
        let top = fs::read_dir(self.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut top: Vec<_> =
            top.filter(|name| !["data", "sig", "tagmanifest-sha256.txt"].contains(&&**name)).collect();
        top.sort();
        self.write("tagmanifest-sha256.txt", &sums(top));
    }

    /// Files below a directory, sorted.
    fn names(&self, below: &str) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(below)).unwrap().map(Result::unwrap) {
            let name = format!("{below}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() { names.extend(self.names(&name)) } else { names.push(name) }
        }
        names.sort();
        names
    }

    /// Reports made again of whatever the result says now.
    fn report(&mut self) {
        reports::make_unsealed(&self.root(), &self.path("data")).unwrap();
        self.seal();
    }

    /// What is found beside the reports.
    fn findings(&self) -> Vec<Finding> {
        let mut findings = check_bundle(&self.root()).unwrap().findings;
        findings.extend(claims::check_without_reports(&self.root()));
        findings.retain(|finding| finding.severity != Severity::Note);
        findings
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

/// Every value that is no list and no object, as a JSON pointer.
fn leaves(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), into))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| leaves(item, &format!("{path}/{at}"), into))
        }
        _ => into.push(path.to_owned()),
    }
}

/// Another value of the same kind.
fn another(value: &Value) -> Value {
    const WORDS: [(&str, &str); 8] = [
        ("PASS", "FAIL"),
        ("s3", "postgres"),
        ("postgres", "s3"),
        ("full", "sample"),
        ("tree", "tar"),
        ("fail", "note"),
        ("note", "fail"),
        ("not_run", "note"),
    ];
    match value {
        Value::Bool(is) => json!(!is),
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::String(text) => match WORDS.iter().find(|(word, _)| word == text) {
            Some((_, other)) => json!(other),
            None if text.parse::<Sha256Digest>().is_ok() => json!(Sha256Digest::of(text).to_string()),
            None if text.parse::<jiff::Timestamp>().is_ok() => json!("2026-01-02T03:04:05Z"),
            None if text.parse::<jiff::civil::Date>().is_ok() => json!("2026-01-02"),
            None => json!(format!("{text} x")),
        },
        other => other.clone(),
    }
}

#[test]
fn what_this_program_wrote_is_clean() {
    let mut bundle = Bundle::own();
    let findings = bundle.findings();
    assert!(findings.is_empty(), "{findings:#?}");
    bundle.report();
    let findings = claims::check(&bundle.root());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:#?}");
}

/// Each fact of the result changed alone: the journal has the digest of all of it. There is no exception.
#[test]
fn no_fact_of_the_result_can_be_changed_alone() {
    let mut bundle = Bundle::own();
    let original = bundle.result.clone();
    let mut all = Vec::new();
    leaves(&original, "", &mut all);
    assert!(all.len() > 100, "{}", all.len());
    for leaf in all {
        let value = bundle.result.pointer_mut(&leaf).unwrap();
        *value = another(value);
        bundle.make_agree(Follow::Manifests);
        let findings = check_bundle(&bundle.root()).unwrap().findings;
        assert!(findings.iter().any(|finding| finding.severity == Severity::Fail), "{leaf} alone: {findings:#?}");
        bundle.result.clone_from(&original);
    }
}

/// Facts that stand in no second place but their digests, and why. Whoever made the bundle is believed for them: they are
/// measured once, by the program alone, and nothing that a verdict rests on follows from them.
const MEASURED_ONCE: [(&str, &str); 7] = [
    ("/assets/*/timings/verify_ms", "a little more than the time that the journal has; more is possible"),
    ("/assets/*/timings/rebuild_ms", "the projection follows from it, where there is one"),
    ("/assets/*/source", "of a database: the address that a reference led to, which no file of the bundle may repeat"),
    ("/assets/*/database/target_version", "asked of the target once"),
    ("/assets/*/database/encoding", "asked of the source once"),
    ("/assets/*/database/not_portable/*", "names of what the source alone could tell"),
    ("/assets/*/database/source_load/*", "measured while reading"),
];

#[test]
fn no_fact_can_be_changed_with_all_digests_but_those_measured_once() {
    let mut bundle = Bundle::own();
    let original = bundle.result.clone();
    let journal = bundle.journal.clone();
    let mut all = Vec::new();
    leaves(&original, "", &mut all);
    let skipped = ["/journal/", "/playbook/sha256"];
    let mut unseen = Vec::new();
    for leaf in all.into_iter().filter(|leaf| !skipped.iter().any(|skip| leaf.starts_with(skip))) {
        let value = bundle.result.pointer_mut(&leaf).unwrap();
        *value = another(value);
        bundle.make_agree(Follow::Journal);
        if bundle.findings().is_empty() {
            unseen.push(leaf);
        }
        bundle.result.clone_from(&original);
        bundle.journal.clone_from(&journal);
    }
    for (pattern, why) in MEASURED_ONCE {
        let before = unseen.len();
        unseen.retain(|leaf| !walkaway::glob::matches(pattern, leaf));
        assert!(unseen.len() < before, "{pattern} ({why}) is found; take it off the list");
    }
    assert!(unseen.is_empty(), "changed and not found: {unseen:#?}");
}

/// What a forger wants, and where it comes to light: the beginning of a finding's subject.
type Variant = (&'static str, fn(&mut Bundle), &'static str);

const RESULT: &str = "data/result.json";
const JOURNAL: &str = "data/journal.ndjson";
/// Long before the frozen bundle's run.
const MONTH_BEFORE: &str = "2026-10-30T09:00:00Z";

const VARIANTS: &[Variant] = &[
    ("an asset that failed is left out", |b| drop(b.result["assets"].as_array_mut().unwrap().pop()), RESULT),
    ("an exclusion without its owner", |b| b.result["exclusions"][0]["owner"] = json!("nobody"), RESULT),
    ("an exclusion for longer", |b| b.result["exclusions"][0]["until"] = json!("2999-01-01"), RESULT),
    ("an exclusion that hides more", |b| b.result["exclusions"][0]["pattern"] = json!("s3:*"), RESULT),
    ("a threshold that is wider", |b| b.result["thresholds"][0]["limit"] = json!("<= 9h"), RESULT),
    ("a threshold that is gone", |b| b.result["thresholds"] = json!([]), RESULT),
    ("another reviewer", |b| b.result["plan"]["roles"][0][1] = json!("ciso@other.example"), RESULT),
    ("a change that was not asked for", |b| b.result["change"] = json!("CHG-1"), RESULT),
    ("a caller", |b| b.result["caller"] = json!({"account": "123456789012", "arn": "arn:aws:iam::1:root"}), JOURNAL),
    ("a longer term", |b| b.result["exit_time"]["windows"][0]["limit_ms"] = json!(1u64 << 50), RESULT),
    ("no account", |b| drop(b.result.as_object_mut().unwrap().remove("coverage")), "data/"),
    (
        "more bytes of the account than were carried",
        |b| {
            b.edit("data/coverage.csv", ",7,7,files,", ",9,9,files,");
            for totals in ["/coverage/totals", "/coverage/regions/0/totals"] {
                b.result.pointer_mut(totals).unwrap()["tested"]["bytes"] = json!(9);
            }
        },
        "data/coverage.csv",
    ),
    ("fewer bytes that were not tested", |b| b.result["coverage"]["totals"]["untested"]["bytes"] = json!(1), RESULT),
    ("a cheaper exit", |b| b.result["cost"]["exit_usd_millionths"] = json!(1), RESULT),
    ("fewer things that are not proven", |b| b.result["not_proven"] = json!([]), RESULT),
    ("another place of the data", |b| b.result["restored_to"] = json!("/elsewhere"), RESULT),
    ("keys called pseudonyms", |b| b.result["assets"][0]["objects"]["pseudonyms"] = json!("x"), "data/"),
    ("versions that were not carried", |b| b.result["assets"][0]["objects"]["versions"] = json!(true), RESULT),
    (
        "a table that was never excluded",
        |b| {
            b.result["assets"][1]["database"]["excluded_tables"] = json!([{"table": "public.t", "reason": "none"}]);
        },
        RESULT,
    ),
    (
        "checks that expected nothing",
        |b| {
            b.result["assets"][0]["checks"] = json!([{"name": "objects", "expected": 0, "compared": 0, "equal": 0}]);
        },
        RESULT,
    ),
    (
        "controls that planted nothing",
        |b| {
            for line in
                b.journal.iter_mut().filter(|line| line["event"] == "control_ran" && line["damage"] == "one byte added")
            {
                line["damage"] = json!("a wish");
            }
            b.result["assets"][0]["controls"][2]["damage"] = json!("a wish");
        },
        RESULT,
    ),
    ("swapped digests of objects", |b| swap(b, "data/assets/files/objects.ndjson"), "data/assets/files/"),
    ("an inventory of a month before", |b| b.retake(MONTH_BEFORE), "data/inventory.json"),
    ("an inventory that was taken afterwards", |b| b.retake("2099-01-01T00:00:00Z"), "data/inventory.json"),
    ("a second look of a month before", |b| b.look_again(MONTH_BEFORE), "data/after.json"),
    ("an empty directory", |b| fs::create_dir(b.path("data/assets/files/more")).unwrap(), "data/assets/files/more"),
    ("empty directories in each other", |b| fs::create_dir_all(b.path("data/checks/a/b")).unwrap(), "data/checks/a"),
    ("a run that began earlier", |b| b.result["started"] = json!("2020-02-02T00:00:00Z"), JOURNAL),
    ("a run that ended later", |b| b.result["ended"] = json!("2099-02-02T00:00:00Z"), JOURNAL),
    ("nonsense for a date", |b| b.result["ended"] = json!("soon"), RESULT),
    ("another machine", |b| b.result["host"] = json!("vault-7"), JOURNAL),
    (
        "a version that knew less",
        |b| {
            b.result["result_version"] = json!(2);
            b.line("run_done").as_object_mut().unwrap().remove("result_sha256");
        },
        "data/assets/",
    ),
    (
        "a signature that is no longer asked for",
        |b| b.edit("data/playbook.resolved.json", "\"sign\"", "\"sing\""),
        "data/playbook.resolved.json",
    ),
    (
        "no resolved playbook",
        |b| fs::remove_file(b.path("data/playbook.resolved.json")).unwrap(),
        "data/playbook.resolved.json",
    ),
    (
        "a resolved playbook that can't be read",
        |b| b.write("data/playbook.resolved.json", "{"),
        "data/playbook.resolved.json",
    ),
    (
        "another playbook",
        |b| {
            b.edit("data/playbook.yaml", "exclude:", "exclude: []\n#");
            b.make_agree(Follow::Journal);
        },
        RESULT,
    ),
    ("a playbook that is none", |b| b.write("data/playbook.yaml", "- x\n"), "data/playbook.yaml"),
    ("a stranger among the data", |b| b.write("data/notes.txt", "x"), "data/notes.txt"),
    (
        "a stranger among an asset's files",
        |b| b.write("data/assets/files/tables.csv", "x"),
        "data/assets/files/tables.csv",
    ),
    ("a stranger at the top", |b| b.write("README.md", "x"), "README.md"),
    ("another program", |b| b.edit("data/table_digest.py", "import", "import os, "), "data/table_digest.py"),
    ("another schema", |b| b.edit("data/result.schema.json", "\"title\"", "\"Title\""), "data/result.schema.json"),
    ("one label more", |b| b.edit("bag-info.txt", "Bagging-Date", "Contact-Name: me\nBagging-Date"), "bag-info.txt"),
    ("another description", |b| b.edit("bag-info.txt", "PASS", "PASS!"), "bag-info.txt"),
    ("another day", |b| b.edit("bag-info.txt", "Bagging-Date: 20", "Bagging-Date: 19"), "bag-info.txt"),
    ("a report that is gone", |b| fs::remove_file(b.path("data/report.pdf")).unwrap(), "data/report.pdf"),
    ("the program that ran", |b| b.result["tool"]["version"] = json!("9.9.9"), JOURNAL),
    (
        "an unknown member of a finding",
        |b| {
            b.result["findings"] =
                json!([{"kind": "deviation", "severity": "note", "subject": "a", "detail": "", "x": 1}]);
        },
        RESULT,
    ),
];

fn swap(bundle: &Bundle, name: &str) {
    let text = bundle.read(name);
    let digests: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["sha256"].as_str().unwrap().to_owned())
        .collect();
    let one = &digests[0];
    let other = &digests[1];
    let exchange = |text: &str| text.replace(one.as_str(), "-").replace(other.as_str(), one).replace('-', other);
    let exchanged: String = text
        .lines()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let own = value["sha256"].as_str().unwrap().to_owned();
            value["sha256"] = json!(exchange(&own));
            value.to_string() + "\n"
        })
        .collect();
    bundle.write(name, &exchanged);
}

#[test]
fn every_variant_is_found_where_it_contradicts_something() {
    let mut missed = Vec::new();
    for (what, forge, subject) in VARIANTS {
        let mut bundle = Bundle::own();
        bundle.forge(*forge);
        let findings = bundle.findings();
        if !findings.iter().any(|f| f.subject.starts_with(subject) && f.kind != FindingKind::OtherVersion) {
            missed.push(format!("{what}: nothing about {subject} in {findings:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What `scripts/verify.py` leaves to `walkaway verify`, and says so at its beginning.
const LEFT_TO_WALKAWAY: [&str; 9] = [
    "a longer term",
    "a cheaper exit",
    "fewer things that are not proven",
    "versions that were not carried",
    "a table that was never excluded",
    "a signature that is no longer asked for",
    "another playbook",
    "another program",
    "another schema",
];

#[test]
fn the_script_refuses_what_walkaway_refuses() {
    // The forger has no key, so a signature is all that these bundles lack.
    let refusals = |bundle: &Bundle| {
        let said = independent::check(&bundle.root(), &[]).1;
        let refusal = |line: &&str| line.starts_with("FAIL ") || line.starts_with("NOT_RUN ");
        let of_signature = "FAIL sig/operator.sig: is missing";
        said.lines().filter(refusal).filter(|line| *line != of_signature).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(refusals(&Bundle::reported()), Vec::<String>::new());
    let mut missed = Vec::new();
    for (what, forge, _) in VARIANTS {
        let mut bundle = Bundle::reported();
        let before = Sha256Digest::of(bundle.read("data/result.json")).to_string();
        bundle.forge(*forge);
        bundle.follow_in_reports(&before);
        let refusals = refusals(&bundle);
        if refusals.is_empty() != LEFT_TO_WALKAWAY.contains(what) {
            missed.push(format!("{what}: {refusals:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Whoever calls a bundle another build's, so that nothing can be made again, gets no clean answer: documents and reports
/// are then not compared, and that is said. Such a run counts, but not against this program's own judgement of it.
#[test]
fn another_build_is_no_way_out() {
    let mut bundle = Bundle::own();
    bundle.report();
    let other = Sha256Digest::of("another").to_string();
    bundle.result["tool"]["binary_sha256"] = json!(other);
    bundle.line("run_started")["binary_sha256"] = json!(other);
    bundle.make_agree(Follow::Journal);
    bundle.report();
    bundle.edit("data/report.html", "<body", "<body class=\"x\"");
    bundle.edit("data/table_digest.py", "import", "import os, ");
    bundle.result["not_proven"] = json!([]);
    bundle.make_agree(Follow::Journal);
    let weighs = |bundle: &Bundle| {
        let mut findings = claims::check_counting(&bundle.root());
        findings.retain(|finding| finding.severity > Severity::Note);
        findings.iter().map(|finding| (finding.kind, finding.subject.clone())).collect::<Vec<_>>()
    };
    assert_eq!(weighs(&bundle), [], "other words");
    let findings = claims::check(&bundle.root());
    for subject in ["data/report.html", "data/table_digest.py", RESULT] {
        let said = findings.iter().any(|f| f.kind == FindingKind::OtherVersion && f.subject == subject);
        assert!(said, "{subject}: {findings:#?}");
    }
    for name in ["data/playbook.yaml", "data/playbook.resolved.json"] {
        bundle.edit(name, "<= 1h", "<= 1s");
    }
    bundle.result["thresholds"][0]["limit"] = json!("<= 1s");
    bundle.make_agree(Follow::Journal);
    let all = claims::check(&bundle.root());
    assert!(all.iter().all(|f| f.severity == Severity::Note || f.kind == FindingKind::OtherVersion), "{all:#?}");
    assert_eq!(weighs(&bundle), [(FindingKind::ThresholdMissed, "run_time".to_owned())]);
    bundle.write("data/playbook.yaml", "- x\n");
    bundle.make_agree(Follow::Journal);
    assert_eq!(weighs(&bundle), [(FindingKind::OtherVersion, "data/playbook.yaml".to_owned())]);
}
