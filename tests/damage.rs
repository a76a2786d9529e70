//! Damage to what was restored, and to the bundle, each through the real `walkaway verify`: every kind of damage at every
//! place is found, named, and exit code 1.
//!
//! The bundle's inner contradictions, one by one, are `damage_bundle.rs`'s. Leaves out what `verify --restored` does not
//! compare: sequences and definitions, which the bundle holds no copy of.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::{
    PgCluster,
    drill::{Drill, FILES, LEDGER, Managed, PLAIN_DATABASE, Ran, content, stock},
    independent,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "manifest-sha256.txt";
const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
const JOURNAL: &str = "data/journal.ndjson";

/// A damage in words, what does it, and what has to be found about which subject.
type Case<'a, T> = (&'a str, &'a dyn Fn(&T), &'a str, &'a str);
/// What becomes of a text file.
type Change<'a> = Box<dyn Fn(String) -> String + 'a>;

// ---------------------------------------------------------------------------------------------------------------------
// Restored objects

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn damage_to_restored_objects_is_found_and_named() {
    let drill = Drill::new().bucket(&some_objects());
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let root = ran.restored(FILES);
    let intact = drill.home().join("intact");
    copy_tree(&root, &intact);
    let places = ran.places();
    let place = |key: &str| places[key].clone();
    let outside = drill.home().join("outside");
    fs::write(&outside, content("docs/one", 100)).unwrap();

    let cases: [Case<PathBuf>; 14] = [
        ("first byte", &|_| flip(&place("docs/one"), 0), "object_digest", "docs/one"),
        ("last byte", &|_| flip(&place("docs/one"), 99), "object_digest", "docs/one"),
        ("byte in the middle of a large one", &|_| flip(&place("large"), 9 << 20), "object_digest", "large"),
        ("byte of a mapped one", &|_| flip(&place("docs/one/beneath"), 3), "object_digest", "docs/one/beneath"),
        ("truncated", &|_| cut(&place("two words"), 1), "object_size", "two words"),
        ("emptied", &|_| fs::write(place("two words"), "").unwrap(), "object_size", "two words"),
        ("longer", &|_| append(&place("empty"), "x"), "object_size", "empty"),
        ("removed", &|_| fs::remove_file(place("grüße")).unwrap(), "object_missing", "grüße"),
        ("exchanged", &|_| exchange(&place("one"), &place("two")), "object_digest", "one"),
        (
            "file added",
            &|root| fs::write(root.join("tree/stranger"), "").unwrap(),
            "object_unexpected",
            "tree/stranger",
        ),
        ("file added at the top", &|root| fs::write(root.join("x"), "").unwrap(), "object_unexpected", "x"),
        (
            "link added",
            &|root| symlink(place("one"), root.join("tree/link")).unwrap(),
            "object_unexpected",
            "tree/link",
        ),
        (
            "link in its place",
            &|_| replace(&place("docs/one"), |path| symlink(&outside, path)),
            "object_missing",
            "docs/one",
        ),
        (
            "directory in its place",
            &|_| replace(&place("empty"), |path| fs::create_dir(path)),
            "object_missing",
            "empty",
        ),
    ];
    for (damage, inflict, kind, subject) in cases {
        inflict(&root);
        assert_restored_differs(&drill, &ran, damage, kind, subject);
        fs::remove_dir_all(&root).unwrap();
        copy_tree(&intact, &root);
    }
    assert_restored_agrees(&drill, &ran);
    flip(&place("grüße"), 5);
    assert_a_person_reads(&drill, &ran, "grüße");
}

fn some_objects() -> Vec<(String, Vec<u8>)> {
    let small = ["docs/one", "docs/one/beneath", "two words", "grüße", "one", "two"]
        .map(|key| (key.to_owned(), content(key, 100)));
    let others = [("empty".to_owned(), Vec::new()), ("large".to_owned(), content("large", 17 << 20))];
    small.into_iter().chain(others).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Restored tables

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn damage_to_restored_tables_is_found_and_named() {
    let target = PgCluster::start();
    let sql = "create schema \"Größen\";
        create table \"Größen\".\"zwei Maße\" (id integer, value text);
        insert into \"Größen\".\"zwei Maße\" values (1, 'same'), (1, 'same'), (2, null), (3, '');";
    let drill = Drill::new().database(&format!("{PLAIN_DATABASE} {sql}")).into_server(&target.url("postgres"));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    target.execute("postgres", &format!("create database intact template {LEDGER}"));

    let notes = "public.notes";
    let sizes = "Größen.zwei Maße";
    let cases = [
        ("update notes set body = 'Note 7' where id = 7", "table_digest", notes),
        ("update notes set body = body || ' ' where id = 7", "table_digest", notes),
        ("update notes set id = -id where id = 53", "table_digest", notes),
        ("update notes set body = '' where body is null", "table_digest", notes),
        ("update notes set body = null where body = ''", "table_digest", notes),
        ("update notes a set body = b.body from notes b where (a.id, b.id) in ((1, 2), (2, 1))", "table_digest", notes),
        ("delete from notes where id = 7", "table_rows", notes),
        ("delete from notes", "table_rows", notes),
        ("insert into \"Größen\".\"zwei Maße\" values (2, null)", "table_rows", sizes),
        ("update \"Größen\".\"zwei Maße\" set (id, value) = (2, null) where id = 3", "table_digest", sizes),
        ("insert into empty values (null)", "table_rows", "public.empty"),
        ("drop table notes", "table_missing", notes),
        ("alter table \"Größen\".\"zwei Maße\" set schema public", "table_missing", sizes),
        ("create table stranger ()", "table_unexpected", "public.stranger"),
        ("alter table notes add column more text", "table_digest", notes),
        ("alter table notes drop column body", "table_digest", notes),
        ("alter table notes rename body to text", "table_digest", notes),
    ];
    for (damage, kind, subject) in cases {
        target.execute(LEDGER, damage);
        assert_restored_differs(&drill, &ran, damage, kind, subject);
        target.execute("postgres", &format!("drop database {LEDGER} with (force)"));
        target.execute("postgres", &format!("create database {LEDGER} template intact"));
    }
    assert_restored_agrees(&drill, &ran);
    damage_exports(&drill, &ran);
    target.execute(LEDGER, "delete from \"Größen\".\"zwei Maße\"");
    assert_a_person_reads(&drill, &ran, sizes);
}

fn damage_exports(drill: &Drill, ran: &Ran) {
    let sums = ran.read(&format!("data/assets/{LEDGER}/exports.sha256"));
    let names: Vec<_> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(names.len(), 3);
    let full = *names.iter().find(|name| name.contains("notes")).unwrap();
    let path = ran.restored(LEDGER).join(full);
    let whole = fs::read(&path).unwrap();
    let cases: [Case<PathBuf>; 6] = [
        ("byte changed", &|path| flip(path, 10), "spool_digest", full),
        ("cut", &|path| cut(path, 1), "spool_digest", full),
        ("longer", &|path| append(path, "54\tmore\n"), "spool_digest", full),
        ("emptied", &|path| fs::write(path, "").unwrap(), "spool_digest", full),
        ("removed", &|path| fs::remove_file(path).unwrap(), "spool_digest", full),
        ("link in its place", &|path| replace(path, |path| symlink("/dev/null", path)), "spool_digest", full),
    ];
    for (damage, inflict, kind, subject) in cases {
        inflict(&path);
        assert_restored_differs(drill, ran, damage, kind, subject);
        let _ = fs::remove_file(&path);
        fs::write(&path, &whole).unwrap();
    }
    assert_restored_agrees(drill, ran);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn damage_in_the_managed_cluster_is_found_and_named() {
    let drill = Drill::new().database(PLAIN_DATABASE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let change = |sql: &str| Managed::start(&ran).client().batch_execute(sql).unwrap();
    change("update notes set body = 'Note 7' where id = 7");
    assert_restored_differs(&drill, &ran, "row changed", "table_digest", "public.notes");
    change("update notes set body = 'note 7' where id = 7");
    assert_restored_agrees(&drill, &ran);
    // A server that somebody started is left alone; nothing is compared until it is stopped.
    let left = Managed::start(&ran);
    left.client().batch_execute("delete from notes where id = 7").unwrap();
    let refused = verify(&drill, &ran.bundle, &["--restored"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("walkaway did not start it; stop it first"), "{}", said(&refused));
    left.client().batch_execute("select").unwrap();
    drop(left);
    assert_restored_differs(&drill, &ran, "row dropped", "table_rows", "public.notes");
    fs::remove_dir_all(Path::new(ran.result["restored_to"].as_str().unwrap()).join(".postgres")).unwrap();
    let gone = verify(&drill, &ran.bundle, &["--restored"]);
    assert_eq!(gone.status.code(), Some(2), "what can't be read is NOT RUN: {}", said(&gone));
}

// ---------------------------------------------------------------------------------------------------------------------
// The bundle

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn damage_to_any_file_of_the_bundle_is_found_and_named() {
    let drill = Drill::new().bucket(&[("one", "1"), ("two", "22")]).database(PLAIN_DATABASE);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let files = files_of(&ran.bundle);
    assert!(files.len() >= 15, "{files:?}");
    // Each file is damaged in one place and is gone once; the places and the ways to be gone take turns.
    for (turn, name) in files.iter().filter(|name| *name != TAG_MANIFEST).enumerate() {
        let path = ran.bundle.join(name);
        let whole = fs::read(&path).unwrap();
        if let Some(last) = whole.len().checked_sub(1) {
            let at = [0, last / 2, last][turn % 3];
            flip(&path, at as u64);
            assert_bundle_differs(&drill, &ran, &format!("byte {at} of {name}"), name);
            fs::write(&path, &whole).unwrap();
        }
        fs::remove_file(&path).unwrap();
        if turn % 2 == 0 {
            symlink("/dev/null", &path).unwrap();
        }
        assert_bundle_differs(&drill, &ran, &format!("{name} removed, or a link"), name);
        let _ = fs::remove_file(&path);
        fs::write(&path, &whole).unwrap();
    }
    for name in ["stranger", "data/stranger", "data/assets/files/stranger", "data/assets/strangers/tables.csv"] {
        fs::create_dir_all(ran.bundle.join(name).parent().unwrap()).unwrap();
        fs::write(ran.bundle.join(name), "").unwrap();
        assert_bundle_differs(&drill, &ran, &format!("{name} added"), name);
        fs::remove_file(ran.bundle.join(name)).unwrap();
    }
    assert_bundle_differs(&drill, &ran, "an empty directory added", "data/assets/strangers");
    fs::remove_dir(ran.bundle.join("data/assets/strangers")).unwrap();
    assert_bundle_intact(&drill, &ran);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_manifest_line_that_was_changed_is_found_and_named() {
    let drill = Drill::new().bucket(&[("one", "1")]);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let result = |line: &&str| line.ends_with("data/result.json");
    let changed = |text: String| {
        text.lines().map(|line| if result(&line) { other_digit(line) } else { format!("{line}\n") }).collect()
    };
    let dropped = |text: String| text.lines().filter(|line| !result(line)).map(|line| format!("{line}\n")).collect();
    let doubled = |text: String| {
        text.lines()
            .map(|line| format!("{line}\n{}", if result(&line) { format!("{line}\n") } else { String::new() }))
            .collect()
    };
    let cases: [(&str, Change<'_>, &str); 3] = [
        ("digest", Box::new(changed), "data/result.json"),
        ("dropped", Box::new(dropped), "data/result.json"),
        ("doubled", Box::new(doubled), MANIFEST),
    ];
    for (damage, change, name) in cases {
        let kept = keep(&ran.bundle);
        edit(&ran.bundle.join(MANIFEST), change);
        assert_bundle_differs(&drill, &ran, &format!("manifest line: {damage}"), MANIFEST);
        // Whoever changes the manifest can make the tag manifest agree.
        forge_tags(&ran.bundle);
        assert_bundle_differs(&drill, &ran, &format!("manifest line, forged: {damage}"), name);
        put_back(&kept);
    }
    let kept = keep(&ran.bundle);
    edit(&ran.bundle.join(TAG_MANIFEST), |text| text.lines().map(other_digit).collect());
    for name in ["bag-info.txt", "bagit.txt", MANIFEST, "VERIFY.md"] {
        assert_bundle_differs(&drill, &ran, "tag manifest lines", name);
    }
    put_back(&kept);
    assert_bundle_intact(&drill, &ran);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_journal_that_was_changed_is_found_also_when_the_manifests_were_made_to_agree() {
    let drill = Drill::new().bucket(&[("one", "1")]);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let lines = ran.read(JOURNAL).lines().count();
    let mut cases: Vec<(String, Change<'_>)> = vec![
        ("cut off in the last line".into(), Box::new(|text| text[..text.len() - 9].to_owned())),
        ("empty".into(), Box::new(|_| String::new())),
        ("first line repeated".into(), Box::new(|text| format!("{}\n{text}", text.lines().next().unwrap()))),
        ("line added".into(), Box::new(|text| text.clone() + text.lines().last().unwrap() + "\n")),
    ];
    for at in 0..lines {
        cases.push((
            format!("line {at} changed"),
            Box::new(move |text| change_line(&text, at, |line| line.replacen(":", ": ", 1))),
        ));
        cases.push((format!("line {at} dropped"), Box::new(move |text| change_line(&text, at, |_| String::new()))));
    }
    for (damage, change) in cases {
        let kept = keep(&ran.bundle);
        edit(&ran.bundle.join(JOURNAL), change);
        forge(&ran.bundle);
        let findings = assert_bundle_differs(&drill, &ran, &damage, JOURNAL);
        let broken = findings.iter().any(|finding| finding["kind"] == "journal_broken");
        assert!(broken, "{damage}: the chain is whole in {findings:#?}");
        put_back(&kept);
    }
    assert_bundle_intact(&drill, &ran);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn without_its_tag_manifest_a_directory_is_no_bundle() {
    let drill = Drill::new().bucket(&[("one", "1")]);
    let ran = drill.run();
    fs::remove_file(ran.bundle.join(TAG_MANIFEST)).unwrap();
    let output = verify(&drill, &ran.bundle, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("hint: ") && stderr.contains(ran.bundle.file_name().unwrap().to_str().unwrap()),
        "{stderr}"
    );
}

// ---------------------------------------------------------------------------------------------------------------------
// Verifying

fn verify(drill: &Drill, bundle: &Path, arguments: &[&str]) -> Output {
    drill.walkaway(&["verify"]).arg(bundle).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Exit code 1, one finding of the kind about the subject, and at most two about the place that the damage reaches too.
#[track_caller]
fn assert_restored_differs(drill: &Drill, ran: &Ran, damage: &str, kind: &str, subject: &str) {
    let output = verify(drill, &ran.bundle, &["--restored", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{damage}: {}", said(&output));
    let found = findings(&output, "restored");
    let wanted = found.iter().filter(|finding| finding["subject"] == subject && finding["kind"] == kind).count();
    assert_eq!(wanted, 1, "{damage}: not one {kind} about {subject} in {found:#?}");
    // A table that is gone takes columns and constraints of the catalog with it, each of which is named as well.
    let others = found.iter().filter(|finding| !finding["kind"].as_str().unwrap().starts_with("catalog_"));
    assert!(others.count() <= 3, "{damage}: {found:#?}");
}

/// A person reads the name of what is damaged, also where nothing but findings is printed.
#[track_caller]
fn assert_a_person_reads(drill: &Drill, ran: &Ran, subject: &str) {
    for arguments in [&["--restored"][..], &["--restored", "--quiet"]] {
        let output = verify(drill, &ran.bundle, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains(subject), "{}", said(&output));
    }
}

#[track_caller]
fn assert_restored_agrees(drill: &Drill, ran: &Ran) {
    let output = verify(drill, &ran.bundle, &["--restored"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// Exit code 1, and a finding whose subject begins with the file's name; returns all findings.
#[track_caller]
fn assert_bundle_differs(drill: &Drill, ran: &Ran, damage: &str, name: &str) -> Vec<Value> {
    let output = verify(drill, &ran.bundle, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{damage}: {}", said(&output));
    let found = findings(&output, "bundle");
    independent::assert_agrees(&ran.bundle, false, damage);
    let names = |finding: &Value| finding["subject"].as_str().unwrap().starts_with(name);
    assert!(found.iter().any(names), "{damage}: {name} is not named in {found:#?}");
    found
}

#[track_caller]
fn assert_bundle_intact(drill: &Drill, ran: &Ran) {
    let output = verify(drill, &ran.bundle, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    independent::assert_agrees(&ran.bundle, true, "undamaged");
}

fn findings(output: &Output, of: &str) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "finding" && line["of"] == of).map(|line| line["finding"].clone()).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Damaging and mending

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

fn append(path: &Path, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    bytes.extend_from_slice(text.as_bytes());
    fs::write(path, bytes).unwrap();
}

fn exchange(one: &Path, other: &Path) {
    let first = fs::read(one).unwrap();
    let second = fs::read(other).unwrap();
    fs::write(one, second).unwrap();
    fs::write(other, first).unwrap();
}

fn replace(path: &Path, by: impl Fn(&Path) -> std::io::Result<()>) {
    fs::remove_file(path).unwrap();
    by(path).unwrap();
}

fn edit(path: &Path, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "the damage to {} does nothing", path.display());
    fs::write(path, changed).unwrap();
}

fn change_line(text: &str, at: usize, change: impl Fn(&str) -> String) -> String {
    let line = |(number, line): (usize, &str)| if number == at { change(line) } else { line.to_owned() };
    text.split_inclusive('\n').enumerate().map(line).collect()
}

/// The line of a manifest with another digest.
fn other_digit(line: &str) -> String {
    format!("{}{}\n", if line.starts_with('0') { '1' } else { '0' }, &line[1..])
}

fn copy_tree(from: &Path, to: &Path) {
    stock(Command::new("cp").arg("--archive").arg(from).arg(to));
}

/// Names of all files, relative to the bundle.
fn files_of(bundle: &Path) -> Vec<String> {
    let listed = stock(Command::new("find").args([".", "-type", "f", "-printf", "%P\\n"]).current_dir(bundle));
    listed.lines().map(str::to_owned).collect()
}

fn keep(bundle: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = files_of(bundle).into_iter().map(|name| bundle.join(name));
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn put_back(kept: &BTreeMap<PathBuf, Vec<u8>>) {
    kept.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

/// Makes both manifests and the Payload-Oxum agree with what lies in the bundle.
fn forge(bundle: &Path) {
    let names = redigest(bundle, MANIFEST);
    let bytes: u64 = names.iter().map(|name| fs::metadata(bundle.join(name)).unwrap().len()).sum();
    let info = bundle.join("bag-info.txt");
    let text = fs::read_to_string(&info).unwrap();
    let oxum = |line: &str| match line.starts_with("Payload-Oxum: ") {
        true => format!("Payload-Oxum: {bytes}.{}\n", names.len()),
        false => format!("{line}\n"),
    };
    fs::write(&info, text.lines().map(oxum).collect::<String>()).unwrap();
    forge_tags(bundle);
}

fn forge_tags(bundle: &Path) {
    redigest(bundle, TAG_MANIFEST);
}

/// Takes the digests in a manifest anew; returns the names in it.
fn redigest(bundle: &Path, manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(bundle.join(manifest)).unwrap();
    let names: Vec<_> = text.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect();
    let line = |name: &String| format!("{}  {name}\n", hex(&Sha256::digest(fs::read(bundle.join(name)).unwrap())));
    fs::write(bundle.join(manifest), names.iter().map(line).collect::<String>()).unwrap();
    names
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
