//! What a user reads when a playbook is wrong: one snapshot for each file of `playbooks/bad`.
//!
//! The snapshots are the wording. Whoever changes one should read it as someone who has just mistyped a key.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkaway::playbook::{Environment, Origin, Playbook};

/// `SET` and `BLANK` are all there is; no file exists.
struct Bare;

impl Environment for Bare {
    fn variable(&self, name: &str) -> Option<OsString> {
        match name {
            "SET" => Some("postgres://db/crm".into()),
            "BLANK" => Some("".into()),
            _ => None,
        }
    }

    fn file(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn bad_playbooks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/bad");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn message(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let origin = Origin { name: "playbook.yaml".into(), folder: "/books".into() };
    match Playbook::parse(&text, &origin, &Bare) {
        Ok(_) => panic!("{} is taken for valid", path.display()),
        Err(invalid) => invalid.to_string(),
    }
}

#[test]
fn every_bad_playbook_says_what_is_wrong_and_where() {
    let files = bad_playbooks();
    assert!(files.len() >= 25, "the bad playbooks are gone");
    for path in files {
        let message = message(&path);
        assert!(!message.contains("hunter2") && !message.contains("IOSFODNN7"), "{message}");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        insta::assert_snapshot!(name, message);
    }
}

#[test]
fn every_message_has_a_bad_playbook() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let names: Vec<String> = bad_playbooks()
        .iter()
        .map(|path| format!("suite__playbook_messages__{}.snap", path.file_stem().unwrap().to_string_lossy()))
        .collect();
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().to_string_lossy().into_owned();
        let orphan = file.starts_with("suite__playbook_messages__") && !names.contains(&file);
        assert!(!orphan, "{file} belongs to no playbook; remove it");
    }
}
