//! Every kind of damage to a sealed bundle is found and named, also when the manifests were made to agree again; and
//! the commands of `VERIFY.md` run with stock tools alone.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jiff::civil::Date;
use tempfile::TempDir;
use walkaway::{
    account::controls::controls,
    domain::{
        digest::{RowDigest, RowKey, RowTotals, Sha256Digest},
        event::{AssetKind, Event},
        finding::{Finding, FindingKind, Verdict},
        proof::{Check, Control, Tier},
    },
    evidence::{
        BagInfo, DatabaseAccess, EvidenceError, Journal, TABLE_DIGEST_PY,
        changes::{Change, ChangesCount, ChangesFile, Movement},
        check_bundle,
        files::WHOLE_FILE_BYTES_MAX,
        merge,
        restored::Things,
        result::*,
        seal, verify_md, write_new, write_objects, write_restored, write_tables,
    },
    transfer::{
        object::ObjectEntry,
        receipt::{ChecksumKind, Confirmation, ExportReceipt, ObjectReceipt, TableReceipt},
    },
};

const PLAYBOOK: &str = "id: drill\n";
const ROWS: &str = "1\t\\N\n2\tß\n";
const COPY: &str = "COPY \"public\".\"t\" (\"id\", \"name\") TO STDOUT";
const KEY: RowKey = RowKey(Sha256Digest([9; 32]));

struct Bundle {
    dir: TempDir,
}

impl Bundle {
    /// A finished run: two objects, one table, one finding of the given kind on the bucket.
    fn sealed(kind: FindingKind) -> Self {
        let bundle = Bundle { dir: tempfile::tempdir().expect("directory") };
        for dir in
            ["bundle/data/assets/files", "bundle/data/assets/ledger", "restored/files/tree", "restored/ledger/exports"]
        {
            fs::create_dir_all(bundle.dir.path().join(dir)).expect("directories");
        }
        bundle.write(Finding::of("files", kind, "a", "planted"));
        bundle.seal();
        bundle
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    fn write(&self, finding: Finding) {
        let data = self.root().join("data");
        let objects = self.write_objects(&data.join("assets/files"));
        let tables = self.write_tables(&data.join("assets/ledger"));
        let verdict = Verdict::from_findings([&finding]);
        let mut result = result(self.dir.path(), verdict);
        let sequence = (("sequence".to_owned(), "public.s".to_owned()), Sha256Digest::of("7"));
        let restored = write_restored(&Things::from([sequence]), &data.join("assets/ledger")).expect("written");
        result.assets = vec![bucket(objects, finding.clone(), verdict), database(tables, restored)];
        result.journal = write_journal(&data.join("journal.ndjson"), &finding, &result);
        let json = serde_json::to_string_pretty(&result).expect("json");
        write_new(&data.join("result.json"), json.as_bytes()).expect("written");
        write_new(&data.join("playbook.yaml"), PLAYBOOK.as_bytes()).expect("written");
        let checklist = serde_json::json!({"controls": controls(&BTreeMap::new())}).to_string();
        write_new(&data.join("controls.json"), checklist.as_bytes()).expect("written");
        write_new(&data.join("table_digest.py"), TABLE_DIGEST_PY.as_bytes()).expect("written");
        let access = DatabaseAccess { asset: "ledger".into(), ..DatabaseAccess::default() };
        write_new(&self.root().join("VERIFY.md"), verify_md(&result, &[access], "tree").as_bytes()).expect("written");
    }

    fn write_objects(&self, dir: &Path) -> walkaway::evidence::ObjectsEvidence {
        let receipts = OBJECTS.map(|(key, path, content, unit)| {
            fs::write(self.dir.path().join("restored/files").join(path), content).expect("restored");
            object(key, path, content, unit)
        });
        let units = [0, 1].map(|unit| self.dir.path().join(format!("unit-{unit}")));
        for (unit, receipt) in units.iter().zip(&receipts) {
            fs::write(unit, serde_json::to_string(receipt).expect("json") + "\n").expect("receipts");
        }
        write_new(&dir.join("bucket.json"), br#"{"bucket": "files", "items": []}"#).expect("written");
        let mut changes = ChangesFile::create(dir).expect("created");
        changes.add(&Change { movement: Movement::Came, key: "late".into(), version_id: None }).expect("added");
        changes.finish().expect("written");
        write_objects(merge(units.to_vec()), dir).expect("written")
    }

    fn write_tables(&self, dir: &Path) -> walkaway::evidence::TablesEvidence {
        fs::write(self.dir.path().join("restored/ledger/exports/t.copy"), ROWS).expect("spooled");
        write_tables(&[table()], KEY, dir).expect("written")
    }

    fn seal(&self) {
        let info = BagInfo {
            run: "run-1".into(),
            date: Date::constant(2026, 10, 1),
            description: "a drill".into(),
            software: "walkaway 0".into(),
        };
        seal(&self.root(), &info).expect("sealed");
    }

    /// Makes the manifests agree with whatever lies in the bag now.
    fn forge(&self) {
        fs::remove_file(self.root().join("tagmanifest-sha256.txt")).expect("removed");
        self.seal();
    }

    fn edit(&self, name: &str, change: impl Fn(String) -> String) {
        let path = self.root().join(name);
        let text = fs::read_to_string(&path).expect("text");
        let changed = change(text.clone());
        assert_ne!(text, changed, "the damage to {name} does nothing");
        fs::write(&path, changed).expect("written");
    }

    fn findings(&self) -> Vec<Finding> {
        check_bundle(&self.root()).expect("a bundle").findings
    }

    fn assert_found(&self, what: &str, kind: FindingKind, subject: &str) {
        let findings = self.findings();
        let found = findings.iter().any(|finding| finding.kind == kind && finding.subject == subject);
        assert!(found, "{what}: no {kind:?} about {subject} in {findings:#?}");
    }
}

/// Key, path, content, and the number of the unit.
const OBJECTS: [(&str, &str, &str, u64); 2] = [("a b", "tree/a b", "one", 1), ("c", "tree/c", "three", 2)];

fn table() -> TableReceipt {
    TableReceipt {
        table: "public.t".into(),
        copy_sql: COPY.into(),
        stream: totals(),
        source_count: 2,
        sent_rows: 2,
        accepted_rows: 2,
        exports: vec![ExportReceipt {
            path: "exports/t.copy".into(),
            sha256: Sha256Digest::of(ROWS),
            totals: totals(),
            from_block: None,
            to_block: None,
        }],
        duration_ms: 1,
        generated: None,
    }
}

fn totals() -> RowTotals {
    let mut digest = RowDigest::new(KEY, COPY);
    digest.update(ROWS.as_bytes());
    digest.finish().expect("complete")
}

fn object(key: &str, path: &str, content: &str, unit: u64) -> ObjectReceipt {
    let entry = ObjectEntry { key: key.into(), ..ObjectEntry::default() };
    let word = Confirmation::Confirmed(ChecksumKind::Crc64nvme);
    let receipt = ObjectReceipt::new(entry, path.into(), content.len() as u64, Sha256Digest::of(content), word);
    ObjectReceipt { unit: Some(unit), ..receipt }
}

/// The damage that is planted in a copy of an object, and in rows; the first is none.
const CONTROLS: [&[&str]; 2] = [
    &["one byte changed", "none (an intact copy is accepted)", "one byte added", "file removed"],
    &[
        "one byte changed",
        "none (an intact copy is accepted)",
        "one row dropped",
        "one row doubled",
        "NULL turned into ''",
    ],
];
/// As the run writes receipts and outcomes.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("json")
}

const BEGAN: &str = "2026-10-01T00:00:00Z";
const ENDED: &str = "2026-10-01T00:00:01Z";

/// The journal of a run that came to this result, with this finding.
fn write_journal(path: &Path, finding: &Finding, result: &RunResult) -> JournalHead {
    let digest = Sha256Digest::of("outcome");
    let started = |asset: &str, kind| Event::AssetStarted { asset: asset.into(), kind };
    let unit = |asset: &str, unit: &str, items, bytes, receipts: String| Event::UnitDone {
        asset: asset.into(),
        unit: unit.into(),
        items,
        bytes,
        receipt_sha256: Sha256Digest::of(receipts),
    };
    let of_object = |index: usize| {
        let (key, path, content, number) = OBJECTS[index];
        let receipts = json(&object(key, path, content, number)) + "\n";
        unit("files", &format!("unit-{number:06}"), 1, content.len() as u64, receipts)
    };
    let control =
        |asset: &str, damage: &str| Event::ControlRan { asset: asset.into(), damage: damage.into(), found: true };
    let done = |asset: &AssetResult, verdict| Event::AssetDone {
        asset: asset.id.clone(),
        verdict,
        outcome_sha256: Sha256Digest::of(json(asset)),
        sampled: false,
    };
    let verdict = Verdict::from_findings([finding]);
    let [files, ledger] = &result.assets[..] else { panic!("two assets") };
    let mut events = vec![
        Event::RunStarted {
            run: "run-1".into(),
            playbook_sha256: Sha256Digest::of(PLAYBOOK),
            walkaway: "0".into(),
            binary_sha256: digest,
            host: "h".into(),
            place: None,
        },
        started("files", AssetKind::S3),
        of_object(0),
        Event::Interrupted,
        Event::RunResumed { walkaway: "0".into(), binary_sha256: digest, host: "h".into(), torn_bytes: 0, place: None },
        started("files", AssetKind::S3),
        of_object(1),
        control("files", CONTROLS[0][0]),
        Event::Found { finding: finding.clone() },
        done(files, verdict),
        started("ledger", AssetKind::Postgres),
        unit("ledger", "unit-000001", 2, totals().bytes, json(&table())),
        control("ledger", CONTROLS[1][0]),
        done(ledger, Verdict::Pass),
    ];
    for (asset, damages) in result.assets.iter().zip(CONTROLS) {
        let id = asset.id.clone();
        let items = asset.items;
        let bytes = asset.bytes;
        events.extend(damages[1..].iter().map(|damage| control(&id, damage)));
        events.push(Event::AssetTransferred { asset: id.clone(), items, bytes, duration_ms: 0 });
        let lines = if asset.database.is_some() { items } else { 0 };
        events.push(Event::AssetVerified { asset: id, items, bytes: bytes + lines, duration_ms: 0 });
    }
    let asset = || "ledger".to_owned();
    events.push(Event::SnapshotTaken { asset: asset(), snapshot: "s".into(), server_version: "17".into() });
    events.push(Event::DatabaseCreated { asset: asset(), database: "ledger".into() });
    let result_sha256 = Some(result.bound_sha256().expect("json"));
    events.push(Event::RunDone { verdict, findings: 1, duration_ms: 0, sampled: false, result_sha256 });
    let mut journal = Journal::create(path).expect("created");
    for event in &events {
        let at = if matches!(event, Event::RunDone { .. }) { ENDED } else { BEGAN };
        journal.append(at.parse().expect("a time"), event).expect("appended");
    }
    journal.sync().expect("synced");
    journal.head()
}

fn result(dir: &Path, verdict: Verdict) -> RunResult {
    RunResult {
        result_version: RESULT_VERSION,
        run: "run-1".into(),
        playbook: PlaybookRef { id: "drill".into(), title: None, sha256: Sha256Digest::of(PLAYBOOK) },
        tool: Tool { name: "walkaway".into(), version: "0".into(), binary_sha256: Sha256Digest::of("outcome") },
        host: "h".into(),
        started: BEGAN.into(),
        ended: ENDED.into(),
        duration_ms: 0,
        resumed: 1,
        caller: None,
        session: None,
        change: None,
        target: None,
        coverage: None,
        restored_to: dir.join("restored").display().to_string(),
        verdict,
        tier: Tier::Full,
        assets: vec![],
        exclusions: vec![],
        waivers: vec![],
        findings: vec![],
        thresholds: vec![],
        not_proven: vec!["roles".into()],
        journal: JournalHead { lines: 0, head: Sha256Digest([0; 32]) },
        chain: Default::default(),
        plan: Default::default(),
        exit_time: None,
        cost: None,
        pace: Vec::new(),
    }
}

fn check(name: &str, number: u64) -> Check {
    Check { name: name.into(), expected: number, compared: number, equal: number }
}

fn controls_of(index: usize) -> Vec<Control> {
    let control = |damage: &&str| Control { damage: (*damage).into(), found: true };
    CONTROLS[index].iter().map(control).collect()
}

fn asset(id: &str, kind: AssetKind, verdict: Verdict) -> AssetResult {
    AssetResult {
        id: id.into(),
        kind,
        source: id.into(),
        verdict,
        tier: Tier::Full,
        directory: id.into(),
        items: 2,
        bytes: 0,
        content_sha256: Sha256Digest([0; 32]),
        checks: vec![check("objects", 2)],
        controls: controls_of(0),
        timings: Timings::default(),
        findings: vec![],
        database: None,
        objects: None,
        filed: None,
    }
}

fn bucket(evidence: walkaway::evidence::ObjectsEvidence, finding: Finding, verdict: Verdict) -> AssetResult {
    AssetResult {
        bytes: evidence.bytes,
        content_sha256: evidence.content_sha256,
        findings: vec![finding],
        objects: Some(ObjectsResult {
            listed: 2,
            provider_confirmed: 2,
            classes: evidence.classes,
            changes: ChangesCount { came: 1, ..ChangesCount::default() },
            ..ObjectsResult::default()
        }),
        ..asset("files", AssetKind::S3, verdict)
    }
}

fn database(evidence: walkaway::evidence::TablesEvidence, restored: Sha256Digest) -> AssetResult {
    AssetResult {
        bytes: evidence.bytes,
        content_sha256: evidence.content_sha256,
        database: Some(DatabaseResult {
            encoding: None,
            restored_sha256: Some(restored),
            source_version: "17".into(),
            target_version: "17".into(),
            target_database: "ledger".into(),
            snapshot: "s".into(),
            row_key: KEY,
            tables: 1,
            excluded_tables: vec![],
            not_portable: vec![],
            rds: None,
            source_load: None,
        }),
        checks: vec![check("rows", 1), check("digest", 1)],
        controls: controls_of(1),
        ..asset("ledger", AssetKind::Postgres, Verdict::Pass)
    }
}

const FILES: [&str; 17] = [
    "VERIFY.md",
    "bag-info.txt",
    "bagit.txt",
    "manifest-sha256.txt",
    "data/result.json",
    "data/journal.ndjson",
    "data/playbook.yaml",
    "data/controls.json",
    "data/assets/files/bucket.json",
    "data/assets/files/changes.ndjson",
    "data/assets/files/objects.ndjson",
    "data/assets/files/objects.sha256",
    "data/assets/ledger/tables.csv",
    "data/assets/ledger/tables.ndjson",
    "data/assets/ledger/exports.csv",
    "data/assets/ledger/exports.sha256",
    "data/assets/ledger/restored.csv",
];

#[test]
fn an_undamaged_bundle_is_clean() {
    let bundle = Bundle::sealed(FindingKind::Deviation);
    let check = check_bundle(&bundle.root()).expect("a bundle");
    assert_eq!(check.findings, []);
    assert_eq!(check.result.map(|result| result.verdict), Some(Verdict::Pass));
    assert_eq!(check.files, FILES.len() as u64 + 2, "and table_digest.py and the tag manifest");
    let tags = fs::read(bundle.root().join("tagmanifest-sha256.txt")).expect("tag manifest");
    assert_eq!(check.bundle_digest, Sha256Digest::of(tags));
    bundle.forge();
    assert_eq!(bundle.findings(), [], "sealing again changes nothing");
    let failed = Bundle::sealed(FindingKind::ObjectDigest);
    assert_eq!(failed.findings(), [], "findings of the run are no findings about the bundle");
    fs::create_dir(bundle.root().join("sig")).expect("directory");
    fs::write(bundle.root().join("sig/operator.sig"), "x").expect("written");
    bundle.assert_found("a signature that is none", FindingKind::SignatureInvalid, "sig/operator.sig");
    fs::rename(bundle.root().join("sig/operator.sig"), bundle.root().join("sig/notes")).expect("renamed");
    bundle.assert_found("a stranger among the signatures", FindingKind::BundleFileUnexpected, "sig/notes");
}

#[test]
fn a_changed_byte_in_any_file_is_found() {
    for name in FILES {
        let bundle = Bundle::sealed(FindingKind::Deviation);
        let path = bundle.root().join(name);
        let mut bytes = fs::read(&path).expect("bytes");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("written");
        bundle.assert_found("byte changed", FindingKind::BundleFileDiffers, name);
    }
}

#[test]
fn a_removed_file_is_found() {
    for name in FILES {
        let bundle = Bundle::sealed(FindingKind::Deviation);
        fs::remove_file(bundle.root().join(name)).expect("removed");
        bundle.assert_found("removed", FindingKind::BundleFileMissing, name);
    }
    let bundle = Bundle::sealed(FindingKind::Deviation);
    fs::remove_file(bundle.root().join("tagmanifest-sha256.txt")).expect("removed");
    let error = check_bundle(&bundle.root()).expect_err("not a bundle any more");
    assert!(matches!(&error, EvidenceError::NotSealed { .. }));
    assert!(error.hint().is_some_and(|hint| hint.contains("tagmanifest-sha256.txt")));
}

#[test]
fn an_added_file_directory_or_link_is_found() {
    let unexpected = FindingKind::BundleFileUnexpected;
    let bundle = Bundle::sealed(FindingKind::Deviation);
    let root = bundle.root();
    fs::write(root.join("data/extra"), "x").expect("written");
    fs::write(root.join("extra.txt"), "x").expect("written");
    fs::create_dir(root.join("more")).expect("directory");
    std::os::unix::fs::symlink("/etc", root.join("data/link")).expect("link");
    std::os::unix::fs::symlink("data", root.join("sig")).expect("link");
    for subject in ["data/extra", "extra.txt", "more", "data/link", "sig"] {
        bundle.assert_found("added", unexpected, subject);
    }
    assert!(bundle.findings().iter().all(|finding| !finding.subject.contains("link/")));
}

#[test]
fn a_file_or_directory_that_became_a_link_is_not_followed() {
    for name in ["data/result.json", "data/assets", "data"] {
        let bundle = Bundle::sealed(FindingKind::Deviation);
        let path = bundle.root().join(name);
        let away = bundle.dir.path().join("away");
        fs::rename(&path, &away).expect("moved");
        std::os::unix::fs::symlink(&away, &path).expect("link");
        bundle.assert_found("link", FindingKind::BundleFileUnexpected, name);
        assert!(bundle.findings().iter().any(|finding| finding.kind == FindingKind::BundleFileMissing), "{name}");
    }
}

fn without_line(text: &str, number: usize) -> String {
    text.lines().enumerate().filter(|(index, _)| index + 1 != number).map(|(_, line)| format!("{line}\n")).collect()
}

fn line(text: &str, number: usize) -> String {
    text.lines().nth(number - 1).map(|line| format!("{line}\n")).expect("a line")
}

#[test]
fn a_damaged_manifest_is_found() {
    for (name, first) in
        [("manifest-sha256.txt", "data/assets/files/bucket.json"), ("tagmanifest-sha256.txt", "VERIFY.md")]
    {
        let damaged = |change: fn(String) -> String| {
            let bundle = Bundle::sealed(FindingKind::Deviation);
            bundle.edit(name, change);
            bundle
        };
        let other = |text: String| Sha256Digest::of("other").to_string() + &text[64..];
        damaged(other).assert_found("changed", FindingKind::BundleFileDiffers, first);
        let removed = damaged(|text| without_line(&text, 1));
        removed.assert_found("removed", FindingKind::BundleFileUnexpected, first);
        let doubled = damaged(|text| line(&text, 1) + &text);
        doubled.assert_found("doubled", FindingKind::BundleMalformed, &format!("{name} line 2"));
        let outside = damaged(|text| text + &format!("{}  ../../etc/passwd\n", Sha256Digest::of("")));
        assert!(
            outside.findings().iter().any(|f| f.kind == FindingKind::BundleMalformed && f.subject.starts_with(name))
        );
    }
}

#[test]
fn a_forged_oxum_is_found() {
    let bundle = Bundle::sealed(FindingKind::Deviation);
    bundle.edit("bag-info.txt", |text| text.replace("Payload-Oxum: ", "Payload-Oxum: 1"));
    bundle.assert_found("oxum", FindingKind::BundleMalformed, "bag-info.txt");
}

#[test]
fn a_damaged_journal_is_found_though_the_manifests_agree() {
    type Damage = (&'static str, fn(String) -> String, &'static str);
    let damages: [Damage; 6] = [
        ("changed", |text| text.replacen("\"items\":1", "\"items\":7", 1), "data/journal.ndjson line 4"),
        ("last changed", |text| text.replace("\"findings\":1", "\"findings\":0"), "data/journal.ndjson line 28"),
        ("cut off", |text| without_line(&text, 28), "data/journal.ndjson after line 27"),
        ("torn", |text| text[..text.len() - 5].to_owned(), "data/journal.ndjson line 28"),
        ("appended", |text| text.clone() + &line(&text, 4), "data/journal.ndjson line 29"),
        (
            "swapped",
            |text| text.replace(&line(&text, 2), "").replace(&line(&text, 3), &(line(&text, 3) + &line(&text, 2))),
            "data/journal.ndjson line 2",
        ),
    ];
    for (what, change, subject) in damages {
        let bundle = Bundle::sealed(FindingKind::Deviation);
        bundle.edit("data/journal.ndjson", change);
        bundle.assert_found(what, FindingKind::BundleFileDiffers, "data/journal.ndjson");
        bundle.forge();
        bundle.assert_found(what, FindingKind::JournalBroken, subject);
    }
}

#[test]
fn a_journal_that_was_chained_anew_contradicts_the_result() {
    let bundle = Bundle::sealed(FindingKind::ObjectDigest);
    let path = bundle.root().join("data/journal.ndjson");
    fs::remove_file(&path).expect("removed");
    let text = fs::read_to_string(bundle.root().join("data/result.json")).expect("text");
    let result: RunResult = serde_json::from_str(&text).expect("result");
    let head = write_journal(&path, &Finding::of("files", FindingKind::Deviation, "a", "planted"), &result);
    bundle.edit("data/result.json", |text| {
        let mut result: RunResult = serde_json::from_str(&text).expect("result");
        result.journal = head;
        serde_json::to_string(&result).expect("json")
    });
    bundle.forge();
    bundle.assert_found("other finding", FindingKind::BundleInconsistent, "data/journal.ndjson");
    bundle.assert_found("finding of the journal", FindingKind::BundleInconsistent, "data/result.json");
}

#[test]
fn a_forged_result_contradicts_its_parts() {
    type Forgery = (&'static str, fn(&mut RunResult), &'static str);
    const RESULT: &str = "data/result.json";
    let forgeries: [Forgery; 27] = [
        ("a title", |r| r.playbook.title = Some("another".into()), RESULT),
        ("what is not portable", |r| database_of(r).not_portable.push("password of a".into()), RESULT),
        ("a fact of the asset", |r| r.assets[0].source = "s3://other/".into(), RESULT),
        ("nothing was expected", |r| r.assets[0].checks = vec![check("objects", 0)], RESULT),
        ("nothing was planted", |r| r.assets[1].controls[2].damage = "nothing".into(), RESULT),
        ("began", |r| r.started = "2026-09-30T00:00:00Z".into(), "data/journal.ndjson line 1"),
        ("ended", |r| r.ended = "2026-10-01T00:00:02Z".into(), "data/journal.ndjson"),
        ("no time", |r| r.ended = "2026-13-45".into(), RESULT),
        ("duration", |r| r.duration_ms = 2, "data/journal.ndjson"),
        ("host", |r| r.host = "i".into(), "data/journal.ndjson"),
        ("an earlier version", |r| r.result_version = 2, RESULT),
        ("run verdict", |r| r.verdict = Verdict::Pass, RESULT),
        ("asset verdict", |r| r.assets[0].verdict = Verdict::Pass, RESULT),
        ("finding removed", |r| r.assets[0].findings.clear(), RESULT),
        ("items", |r| r.assets[0].items = 3, "data/assets/files/objects.ndjson"),
        ("bytes", |r| r.assets[1].bytes += 1, "data/assets/ledger/tables.csv"),
        ("content", |r| r.assets[1].content_sha256 = Sha256Digest([1; 32]), "data/assets/ledger/exports.csv"),
        ("row key", |r| set_key(r, RowKey(Sha256Digest([1; 32]))), "data/assets/ledger/tables.csv"),
        ("check left out", |r| r.assets[1].checks.clear(), RESULT),
        ("check in part", |r| r.assets[1].checks[0].compared = 0, RESULT),
        ("controls left out", |r| r.assets[1].controls.clear(), RESULT),
        ("control missed", |r| r.assets[1].controls[0].found = false, RESULT),
        ("playbook", |r| r.playbook.sha256 = Sha256Digest([1; 32]), "data/playbook.yaml"),
        ("run id", |r| r.run = "run-2".into(), "bag-info.txt"),
        ("asset left out", |r| drop(r.assets.pop()), "data/assets/ledger/tables.csv"),
        ("resumed", |r| r.resumed = 0, "data/journal.ndjson"),
        ("severity", |r| r.assets[0].findings[0].severity = walkaway::domain::finding::Severity::Note, RESULT),
    ];
    for (what, forge, subject) in forgeries {
        let bundle = Bundle::sealed(FindingKind::ObjectDigest);
        bundle.edit(RESULT, |text| {
            let mut result: RunResult = serde_json::from_str(&text).expect("result");
            forge(&mut result);
            serde_json::to_string(&result).expect("json")
        });
        bundle.forge();
        bundle.assert_found(what, FindingKind::BundleInconsistent, subject);
    }
}

fn set_key(result: &mut RunResult, key: RowKey) {
    database_of(result).row_key = key;
}

fn database_of(result: &mut RunResult) -> &mut DatabaseResult {
    result.assets[1].database.as_mut().expect("a database")
}

#[test]
fn forged_evidence_of_an_asset_is_found() {
    type Forgery = (&'static str, fn(String) -> String, FindingKind, &'static str);
    let forgeries: [Forgery; 15] = [
        (
            "data/assets/files/objects.ndjson",
            |text| text.replace(&Sha256Digest::of("one").to_string(), &Sha256Digest::of("two").to_string()),
            FindingKind::BundleInconsistent,
            "data/assets/files/objects.sha256 line 1",
        ),
        (
            "data/assets/ledger/tables.ndjson",
            |text| text.replace("\"sent_rows\":2", "\"sent_rows\":3"),
            FindingKind::BundleInconsistent,
            "data/assets/ledger/tables.ndjson",
        ),
        (
            "data/assets/files/objects.ndjson",
            |text| text.replace("\"size\":3", "\"size\":4"),
            FindingKind::BundleInconsistent,
            "data/assets/files/objects.ndjson",
        ),
        (
            "data/assets/files/objects.ndjson",
            |text| line(&text, 2) + &line(&text, 1),
            FindingKind::BundleInconsistent,
            "data/assets/files/objects.sha256 line 1",
        ),
        (
            "data/assets/files/objects.sha256",
            |text| text.replace("tree/c", "tree/d"),
            FindingKind::BundleInconsistent,
            "data/assets/files/objects.sha256 line 2",
        ),
        (
            "data/assets/files/objects.sha256",
            |text| text.clone() + &text,
            FindingKind::BundleInconsistent,
            "data/assets/files/objects.sha256 line 3",
        ),
        (
            "data/assets/ledger/exports.sha256",
            |text| text.replace("t.copy", "u.copy"),
            FindingKind::BundleInconsistent,
            "data/assets/ledger/exports.sha256",
        ),
        (
            "data/assets/ledger/exports.csv",
            |text| text.replace(",1,exports/", ",2,exports/"),
            FindingKind::BundleInconsistent,
            "data/assets/ledger/exports.csv",
        ),
        (
            "data/assets/ledger/exports.csv",
            |text| line(&text, 1),
            FindingKind::BundleInconsistent,
            "data/assets/ledger/exports.csv",
        ),
        (
            "data/assets/ledger/exports.csv",
            |text| text.replace("table,part", "part,table"),
            FindingKind::BundleMalformed,
            "data/assets/ledger/exports.csv",
        ),
        (
            "data/assets/ledger/tables.csv",
            |text| text.replace("table,rows", "rows,table"),
            FindingKind::BundleMalformed,
            "data/assets/ledger/tables.csv",
        ),
        (
            "data/assets/ledger/restored.csv",
            |text| text.replace("public.s", "public.t"),
            FindingKind::BundleInconsistent,
            "data/assets/ledger/restored.csv",
        ),
        (
            "data/assets/ledger/tables.csv",
            |text| text.replace("COPY \"\"public\"\"", "\\! touch /tmp/x \"\"public\"\""),
            FindingKind::BundleInconsistent,
            "data/assets/ledger/tables.csv",
        ),
        (
            "data/controls.json",
            |text| text.replace("\"row\":7", "\"row\":8"),
            FindingKind::BundleInconsistent,
            "data/controls.json",
        ),
        (
            "data/result.json",
            |text| text.replace(&format!("\"result_version\": {RESULT_VERSION}"), "\"result_version\": 99"),
            FindingKind::BundleMalformed,
            "data/result.json",
        ),
    ];
    for (name, change, kind, subject) in forgeries {
        let bundle = Bundle::sealed(FindingKind::Deviation);
        bundle.edit(name, change);
        bundle.forge();
        bundle.assert_found("forged", kind, subject);
    }
    for name in ["data/assets/ledger/restored.csv", "data/controls.json"] {
        let bundle = Bundle::sealed(FindingKind::Deviation);
        fs::remove_file(bundle.root().join(name)).expect("removed");
        bundle.forge();
        bundle.assert_found("left out of the manifests, too", FindingKind::BundleFileMissing, name);
    }
}

/// Half a million objects are enough for that.
#[test]
fn a_record_that_is_too_large_to_be_read_whole_is_checked_like_any_other() {
    const NAME: &str = "data/report.html";
    let bundle = Bundle::sealed(FindingKind::Deviation);
    let large = bundle.root().join(NAME);
    let bytes = WHOLE_FILE_BYTES_MAX + 1;
    fs::File::create(&large).and_then(|file| file.set_len(bytes)).expect("as many zeros");
    let digest = fs::File::open(&large).and_then(Sha256Digest::of_reader).expect("digest");
    bundle.edit("data/controls.json", |text| {
        text.replacen("\"supported_by\":{}", &format!("\"supported_by\":{{\"{NAME}\":\"{digest}\"}}"), 1)
    });
    bundle.forge();
    let findings = bundle.findings();
    assert!(findings.is_empty(), "{findings:#?}");
    fs::File::options().write(true).open(&large).and_then(|file| file.set_len(bytes + 1)).expect("one more");
    bundle.forge();
    bundle.assert_found("another record", FindingKind::BundleInconsistent, "data/controls.json");
}

fn output(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the tool is installed");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_python_program_agrees_with_the_row_digest() {
    let bundle = Bundle::sealed(FindingKind::Deviation);
    let program = bundle.root().join("data/table_digest.py");
    let RowTotals { rows, bytes, digest } = totals();
    let tables = bundle.root().join("data/assets/ledger/tables.csv");
    let compare = |rows: &str| {
        let psql = ["--", "printf", "%b%.0s%.0s", rows];
        output(Command::new("python3").arg(&program).arg(&tables).args(psql), "")
    };
    let (ok, text) = compare("1\\t\\\\N\\n2\\tß\\n");
    assert_eq!((ok, text), (true, format!("ok      public.t {rows} {bytes} {digest}\n")));
    let (ok, text) = compare("1\\t\\n2\\tß\\n");
    assert!(!ok && text.starts_with("DIFFERS public.t 2 "), "NULL turned into '': {text}");
}

/// The commands of `VERIFY.md`, without those for tools that are not part of every system.
fn commands(document: &str) -> Vec<String> {
    let blocks =
        document.split("\n```").filter_map(|block| block.strip_prefix("sh\n").or(block.strip_prefix("bash\n")));
    let optional = |line: &&str| !line.contains("jq ") && !line.starts_with("bagit.py ");
    let stock = |block: &str| block.lines().filter(optional).collect::<Vec<_>>().join("\n");
    blocks.filter(|block| !block.contains("psql")).map(stock).collect()
}

#[test]
fn the_commands_of_the_document_run_with_stock_tools() {
    let bundle = Bundle::sealed(FindingKind::Deviation);
    let check = check_bundle(&bundle.root()).expect("a bundle").result.expect("a result");
    let document = fs::read_to_string(bundle.root().join("VERIFY.md")).expect("document");
    let commands = commands(&document);
    let run = |command: &String| {
        let mut bash = Command::new("bash");
        output(bash.args(["-e", "-c", command]).current_dir(bundle.root()).env("BUNDLE", bundle.root()), "")
    };
    let outputs: Vec<_> = commands.iter().map(run).collect();
    for (command, (ok, text)) in commands.iter().zip(&outputs) {
        assert!(ok, "{command}\n{text}");
    }
    let at = |part: &str| commands.iter().position(|command| command.contains(part)).expect(part);
    let content = format!("{}\n", check.assets[0].content_sha256);
    let journal = format!("{} {}\n", check.journal.lines, check.journal.head);
    let root = format!("{}\n", check.assets[1].content_sha256);
    for (part, text) in [
        ("check-novalidate", ""),
        ("does not continue the one before", &journal),
        ("objects.sha256 && echo ok", "ok\n"),
        ("comm -13", ""),
        ("objects.ndjson <<", &content),
        ("exports.sha256 && echo ok", "ok\n"),
        ("exports.csv <<", &root),
    ] {
        assert_eq!(outputs[at(part)].1, text, "{part}");
    }
    fs::write(bundle.dir.path().join("restored/files/tree/stray"), "x").expect("written");
    assert_eq!(run(&commands[at("comm -13")]).1, "tree/stray\n");
    fs::write(bundle.dir.path().join("restored/files/tree/c"), "THREE").expect("written");
    assert!(!run(&commands[at("objects.sha256 && echo ok")]).0);
}
