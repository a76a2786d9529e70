//! Looks for secrets in plain text in the files that programs keep logins in and in everything beside the playbook. Says
//! where, never what.
//!
//! Bounded in depth, number and size; what was passed over for that, or could not be read, is named, because it was not
//! looked at. What the rules are is said in `secret_rules`.

use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::secret_rules;
use crate::{account::documents::text_of, finding::printable};

const DEPTH_MAX: usize = 6;
const FILES_MAX: usize = 5_000;
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Longer lines are no configuration; their beginning is looked at.
const LINE_BYTES_MAX: usize = 64 << 10;
/// What files of settings end with: in these, the names of settings count.
const SETTINGS: [&str; 21] = [
    "cfg",
    "cnf",
    "conf",
    "config",
    "env",
    "hcl",
    "ini",
    "json",
    "properties",
    "ps1",
    "sh",
    "tf",
    "tfstate",
    "tfvars",
    "toml",
    "txt",
    "xml",
    "yaml",
    "yml",
    "bat",
    "npmrc",
];
/// Files of settings that have no ending.
const SETTINGS_NAMES: [&str; 6] = ["credentials", "config", "Dockerfile", ".env", ".s3cfg", ".boto"];
/// Files that hold keys in a form of their own.
const KEY_STORES: [&str; 8] = ["p12", "pfx", "jks", "keystore", "kdbx", "ppk", "bcfks", "keychain-db"];
/// Directories of programs and of their work.
const SKIPPED: [&str; 7] = ["node_modules", "target", "evidence", "restored", ".terraform", ".venv", "__pycache__"];
/// Files of the user's own directory that hold logins.
const LOGINS: [&str; 6] = [".pgpass", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".docker/config.json"];

/// Everything that was looked at, and what it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// What looks like a secret.
    pub suspects: Vec<Suspect>,
    /// What was not looked at.
    pub passed_over: Vec<Suspect>,
    /// Files that were read.
    pub files: usize,
}

impl Scan {
    /// In one line, for the evidence.
    pub fn in_words(&self) -> String {
        let places = |list: &[Suspect]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let rules = secret_rules::RULE_SET;
        match (&self.suspects[..], &self.passed_over[..]) {
            ([], []) => format!("none was found by {rules} in {} files", self.files),
            ([], passed_over) => format!(
                "none was found by {rules} in {} files, and not all were read: {}",
                self.files,
                places(passed_over)
            ),
            (suspects, []) => places(suspects),
            (suspects, passed_over) => format!("{}; {}", places(suspects), places(passed_over)),
        }
    }
}

/// A place that holds what looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Suspect {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What it looks like.
    pub looks_like: String,
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", printable(&self.file), self.line, self.looks_like)
    }
}

/// Looks in the files of this user that hold logins, and below the playbook's folder; not below `besides`, which are
/// walkaway's own directories.
pub(crate) fn scan(folder: &Path, besides: &[PathBuf]) -> Scan {
    let besides: Vec<_> = besides.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut gathered = Gathered { files: logins(), besides: &besides, scan: Scan::default() };
    gathered.below(folder, 0);
    let Gathered { files, mut scan, .. } = gathered;
    for file in files {
        scan.look_at(&file);
    }
    for list in [&mut scan.suspects, &mut scan.passed_over] {
        list.sort();
        list.dedup();
    }
    scan
}

/// Where the SDK keeps profiles and keys (AWS SDKs Reference Guide, "Location of the shared config files"), and where
/// other programs keep logins.
fn logins() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        named.or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
    };
    let aws = [place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), place("AWS_CONFIG_FILE", "config")];
    let others = home.iter().flat_map(|home| LOGINS.map(|name| Some(home.join(name))));
    aws.into_iter().chain(others).flatten().filter(|path| path.is_file()).collect()
}

struct Gathered<'a> {
    files: Vec<PathBuf>,
    besides: &'a [PathBuf],
    scan: Scan,
}

impl Gathered<'_> {
    fn below(&mut self, directory: &Path, depth: usize) {
        let listed = fs::read_dir(directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let mut paths: Vec<_> = match listed {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
            Err(error) => return self.scan.pass_over(directory, error.to_string()),
        };
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_link = path.is_symlink();
            if path.is_dir() && !is_link {
                self.directory(&path, &name, depth);
            } else if path.is_file() {
                if self.files.len() >= FILES_MAX {
                    return self.scan.pass_over(directory, format!("more than {FILES_MAX} files"));
                }
                self.files.push(path);
            }
        }
    }

    fn directory(&mut self, path: &Path, name: &str, depth: usize) {
        if SKIPPED.contains(&name) || path.canonicalize().is_ok_and(|path| self.besides.contains(&path)) {
            return;
        }
        if name == ".git" {
            // Its objects are compressed; its configuration may hold the login of a remote.
            self.files.extend(Some(path.join("config")).filter(|config| config.is_file()));
        } else if depth < DEPTH_MAX {
            self.below(path, depth + 1);
        } else {
            self.scan.pass_over(path, format!("deeper than {DEPTH_MAX} folders"));
        }
    }
}

impl Scan {
    fn pass_over(&mut self, path: &Path, why: String) {
        let looks_like = format!("not looked at: {why}");
        self.passed_over.push(Suspect { file: path.display().to_string(), line: 0, looks_like });
    }

    fn look_at(&mut self, path: &Path) {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.pass_over(path, error.to_string());
        }
        self.files += 1;
        let file = path.display().to_string();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        if KEY_STORES.contains(&ending.as_str()) {
            let looks_like = "looks like a store of keys".to_owned();
            return self.suspects.push(Suspect { file, line: 0, looks_like });
        }
        let Some(text) = plain_text(&bytes) else { return };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            self.pass_over(path, format!("larger than {} MiB, beyond that", FILE_BYTES_MAX >> 20));
        }
        let is_settings =
            SETTINGS.contains(&ending.as_str()) || SETTINGS_NAMES.contains(&name.as_str()) || name.starts_with(".env");
        for (line, text) in (1..).zip(text.lines()) {
            let text = beginning(text);
            let found = secret_rules::in_format(&name, text).or_else(|| secret_rules::in_line(text, is_settings));
            let suspect = |what: &str| Suspect { file: file.clone(), line, looks_like: format!("looks like {what}") };
            self.suspects.extend(found.map(suspect));
        }
    }
}

fn beginning(line: &str) -> &str {
    let end = (0..=LINE_BYTES_MAX.min(line.len())).rev().find(|at| line.is_char_boundary(*at));
    &line[..end.unwrap_or_default()]
}

/// The text of a file; none for what is no text. UTF-16 without a mark shows by its zeros in every other place.
fn plain_text(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(4_096)];
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let marked = |mark: [u8; 2]| text_of(&[&mark, bytes].concat());
    match (head, zeros(0), zeros(1)) {
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], ..) | (_, 0, 0) => Some(text_of(bytes)),
        (_, 0, odd) if odd * 4 > head.len() => Some(marked([0xff, 0xfe])),
        (_, even, 0) if even * 4 > head.len() => Some(marked([0xfe, 0xff])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_of(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Vec<String>, Scan) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let scan = scan(folder.path(), &[folder.path().join("own")]);
        let below = folder.path().display().to_string();
        let here = scan.suspects.iter().filter(|suspect| suspect.file.starts_with(&below));
        let places = here.map(|suspect| suspect.to_string().replace(&format!("{below}/"), "")).collect();
        (folder, places, scan)
    }

    #[test]
    fn secrets_are_found_by_file_and_line_and_not_repeated() {
        let utf16: Vec<u8> = "KEY=AKIAIOSFODNN7EXAMPLE\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let token = format!("x\ntoken = ghp_{}\n", "a1B2".repeat(9));
        let (_folder, places, scan) = scan_of(&[
            ("deploy/prod.env", b"A=1\nDB=postgres://u:hunter2@db/x\n"),
            ("key.tfvars", b"aws_secret_key = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n"),
            ("fine.yaml", b"profile: exit-drill\n"),
            ("notes.txt", b"AKIAIOSFODNN7EXAMPLE\n"),
            ("target/x.env", b"K=AKIAIOSFODNN7EXAMPLE\n"),
            ("own/data.json", b"AKIAIOSFODNN7EXAMPLE\n"),
            (".pgpass", b"db:5432:*:reader:hunter2\n"),
            (".netrc", b"machine h login u password hunter2\n"),
            ("service.json", b"{\n\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMII\"}"),
            ("ci/settings.py", token.as_bytes()),
            ("id_ed25519", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"),
            ("windows.ini", &utf16),
            ("vault.kdbx", b"\x03\xd9\xa2\x9a"),
            (".git/config", b"url = https://u:hunter2@git.acme.example/x\n"),
            ("picture.png", b"\x89PNG\x00\x00AKIAIOSFODNN7EXAMPLE"),
        ]);
        let expected = [
            ".git/config:1",
            ".netrc:1",
            ".pgpass:1",
            "ci/settings.py:2",
            "deploy/prod.env:2",
            "id_ed25519:1",
            "key.tfvars:1",
            "notes.txt:1",
            "service.json:2",
            "vault.kdbx:0",
            "windows.ini:1",
        ];
        let found: Vec<_> = places.iter().map(|place| place.rsplit_once(": ").unwrap().0).collect();
        assert_eq!(found, expected);
        let text = scan.in_words();
        assert!(!text.contains("hunter2") && !text.contains("wJalr") && !text.contains("AKIA"), "{text}");
    }

    #[test]
    fn what_was_not_looked_at_is_named() {
        let deep = format!("{}x.env", "d/".repeat(DEPTH_MAX + 1));
        let (_folder, places, scan) = scan_of(&[(&deep, b"K=AKIAIOSFODNN7EXAMPLE\n")]);
        assert!(places.is_empty());
        assert!(scan.passed_over.iter().any(|one| one.looks_like.contains("deeper than")), "{:?}", scan.passed_over);
    }
}
