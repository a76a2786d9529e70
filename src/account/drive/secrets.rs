//! Searches for plain-text secrets in the files where programs store logins and everything beside the playbook. Reports
//! where, never what.
//!
//! Bounded in depth, number and size; what was skipped for that, or could not be read, is listed, because it was not
//! scanned, and so are packed files and walkaway's own. Files that are not text are scanned for the text within. The
//! rules are those of `secret_rules`.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::secret_rules;
use crate::{account::documents::text_of, domain::finding::printable};

const DEPTH_MAX: usize = 6;
const FILES_MAX: usize = 20_000;
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Of all files together.
const BYTES_MAX: u64 = 512 << 20;
/// Shorter lines are skipped.
const LINE_BYTES_MIN: usize = 6;
/// Longer lines are scanned in pieces, which overlap so that anything shorter than that is whole in one of them.
const PIECE_BYTES: usize = 64 << 10;
const OVERLAP_BYTES: usize = 4 << 10;
/// Shorter runs of characters within files that are not text are skipped.
const RUN_CHARS_MIN: usize = 8;
/// Extensions of files of settings: in these, the names of settings count.
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
/// Files of settings without an extension.
const SETTINGS_NAMES: [&str; 6] = ["credentials", "config", "Dockerfile", ".env", ".s3cfg", ".boto"];
/// Files that hold keys in a format of their own.
const KEY_STORES: [&str; 8] = ["p12", "pfx", "jks", "keystore", "kdbx", "ppk", "bcfks", "keychain-db"];
/// Magic bytes of files whose content is packed or encrypted.
const PACKED: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"BZh", "packed by bzip2"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"\x04\x22\x4d\x18", "packed by lz4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive"),
    (b"Rar!\x1a", "a rar archive"),
    (b"\xed\xab\xee\xdb", "an rpm package"),
];
/// Files of the user's own directory that hold logins.
const LOGINS: [&str; 8] = [
    ".pgpass",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".docker/config.json",
    ".m2/settings.xml",
    ".config/rclone/rclone.conf",
];

/// Everything that was scanned, and the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// What looks like a secret.
    pub suspects: Vec<Suspect>,
    /// What was not scanned.
    pub passed_over: Vec<Suspect>,
    /// What is not the user's plain text: git's packed history, and walkaway's own directories.
    pub left_out: Vec<Suspect>,
    /// Files that were read.
    pub files: usize,
    /// Those of them that are not text, and were scanned for the text within.
    pub not_text: usize,
    bytes: u64,
}

impl Scan {
    /// One line for the evidence.
    pub(super) fn in_words(&self) -> String {
        let places = |list: &[Suspect]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let rules = secret_rules::RULE_SET;
        let mut words = match &self.suspects[..] {
            [] => format!("none was found by {rules} in {} files", self.files),
            suspects => places(suspects),
        };
        if self.not_text > 0 {
            words +=
                &format!("; {} of the files are no text, and only the text within them was looked at", self.not_text);
        }
        for list in [&self.passed_over, &self.left_out].into_iter().filter(|list| !list.is_empty()) {
            words += &format!("; {}", places(list));
        }
        words
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

/// Scans the files of this user that hold logins, and the playbook's folder; not below `besides`, which are
/// walkaway's own directories.
pub(crate) fn scan(folder: &Path, besides: &[PathBuf]) -> Scan {
    let besides: Vec<_> = besides.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut gathered =
        Gathered { files: logins(), folder: folder.canonicalize().ok(), besides: &besides, scan: Scan::default() };
    gathered.below(folder, 0);
    let Gathered { mut files, mut scan, .. } = gathered;
    // Large directories of programs are deeply nested; what is above them is scanned first.
    files.sort_by_key(|file| file.components().count());
    let mut files = files.into_iter();
    while let Some(file) = files.next() {
        if scan.bytes >= BYTES_MAX {
            let more = files.len();
            scan.pass_over(&file, format!("{} MiB of files come before it and {more} more", BYTES_MAX >> 20));
            break;
        }
        scan.look_at(&file);
    }
    for list in [&mut scan.suspects, &mut scan.passed_over, &mut scan.left_out] {
        list.sort();
        list.dedup();
    }
    scan
}

/// Where the SDK keeps profiles and keys (AWS SDKs Reference Guide, "Location of the shared config files"), and where
/// other programs store logins.
fn logins() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        named.or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
    };
    let aws = [place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), place("AWS_CONFIG_FILE", "config")];
    let others = home.iter().flat_map(|home| LOGINS.map(|name| Some(home.join(name))));
    aws.into_iter().chain(others).flatten().filter(|path| !is_missing(path)).collect()
}

/// Whether nothing is there; what cannot be inspected counts as there.
fn is_missing(path: &Path) -> bool {
    fs::metadata(path)
        .is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

struct Gathered<'a> {
    files: Vec<PathBuf>,
    /// Where it started, without links.
    folder: Option<PathBuf>,
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
            let kind = match fs::metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                // A link to what is not there.
                Err(_) if is_missing(&path) => continue,
                Err(error) => {
                    self.scan.pass_over(&path, error.to_string());
                    continue;
                }
            };
            if kind.is_dir() && path.is_symlink() {
                self.linked(&path);
            } else if kind.is_dir() {
                self.directory(&path, depth);
            } else if kind.is_file() {
                if self.files.len() >= FILES_MAX {
                    return self.scan.pass_over(directory, format!("more than {FILES_MAX} files"));
                }
                self.files.push(path);
            }
        }
    }

    /// A link to a directory is not followed, because it may form a cycle; what is below the folder anyway is
    /// scanned there.
    fn linked(&mut self, path: &Path) {
        let is_below = |to: PathBuf| self.folder.as_ref().is_some_and(|folder| to.starts_with(folder));
        if !path.canonicalize().is_ok_and(is_below) {
            self.scan.pass_over(path, "a link to a directory elsewhere".to_owned());
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        let is_git = path.file_name().is_some_and(|name| name == "objects") && path.join("../HEAD").is_file();
        if path.canonicalize().is_ok_and(|path| self.besides.contains(&path)) {
            self.scan.leave_out(path, "walkaway's own directory");
        } else if is_git {
            self.scan.leave_out(path, "the history that git packs");
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

    fn leave_out(&mut self, path: &Path, what: &str) {
        let looks_like = format!("not looked at: {what}");
        self.left_out.push(Suspect { file: path.display().to_string(), line: 0, looks_like });
    }

    fn look_at(&mut self, path: &Path) {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.pass_over(path, error.to_string());
        }
        self.files += 1;
        self.bytes += bytes.len() as u64;
        let file = path.display().to_string();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        if KEY_STORES.contains(&ending.as_str()) {
            let looks_like = "looks like a store of keys".to_owned();
            return self.suspects.push(Suspect { file, line: 0, looks_like });
        }
        if let Some((_, what)) = PACKED.iter().find(|(begin, _)| bytes.starts_with(begin)) {
            return self.pass_over(path, (*what).to_owned());
        }
        let text = plain_text(&bytes).unwrap_or_else(|| {
            self.not_text += 1;
            text_within(&bytes)
        });
        if bytes.len() as u64 > FILE_BYTES_MAX {
            self.pass_over(path, format!("larger than {} MiB, beyond that", FILE_BYTES_MAX >> 20));
        }
        let is_settings =
            SETTINGS.contains(&ending.as_str()) || SETTINGS_NAMES.contains(&name.as_str()) || name.starts_with(".env");
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| text.len() >= LINE_BYTES_MIN) {
            let found = secret_rules::in_format(&name, text)
                .or_else(|| pieces(text).find_map(|piece| secret_rules::in_line(piece, is_settings)));
            let suspect = |what: &str| Suspect { file: file.clone(), line, looks_like: format!("looks like {what}") };
            self.suspects.extend(found.map(suspect));
        }
    }
}

/// A line in pieces that overlap.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let boundary = |at: usize| (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        if text.len() <= PIECE_BYTES {
            return Some(text);
        }
        rest = Some(&text[boundary(PIECE_BYTES - OVERLAP_BYTES)..]);
        Some(&text[..boundary(PIECE_BYTES)])
    })
}

/// The runs of printable characters within a file that is not text, one per line: of one byte each, and of two as in
/// UTF-16.
fn text_within(bytes: &[u8]) -> String {
    let wide = |from: usize| runs(bytes[from.min(bytes.len())..].chunks_exact(2).map(unit));
    [runs(bytes.iter().copied()), wide(0), wide(1)].concat()
}

/// A character of UTF-16, little-endian; nothing printable if it is not ASCII. In big-endian, the neighbour is one.
fn unit(pair: &[u8]) -> u8 {
    if pair[1] == 0 { pair[0] } else { 0 }
}

fn runs(bytes: impl Iterator<Item = u8>) -> String {
    let mut text = String::new();
    let mut run = String::new();
    for byte in bytes.chain([0]) {
        if byte == b'\t' || (b' '..=b'~').contains(&byte) {
            run.push(char::from(byte));
            continue;
        }
        if run.len() >= RUN_CHARS_MIN {
            text.push_str(&run);
            text.push('\n');
        }
        run.clear();
    }
    text
}

/// The text of a file; none if it is not text. UTF-16 without a mark is detected by zeros in every other place.
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
            ("node_modules/x.env", b"K=AKIAIOSFODNN7EXAMPLE\n"),
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
            ("wide.bin", &[vec![0; 65], utf16.clone()].concat()),
        ]);
        let expected = [
            ".git/config:1",
            ".netrc:1",
            ".pgpass:1",
            "ci/settings.py:2",
            "deploy/prod.env:2",
            "id_ed25519:1",
            "key.tfvars:1",
            "node_modules/x.env:1",
            "notes.txt:1",
            "picture.png:1",
            "service.json:2",
            "target/x.env:1",
            "vault.kdbx:0",
            "wide.bin:1",
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
        let (_folder, places, scan) = scan_of(&[
            (&deep, b"K=AKIAIOSFODNN7EXAMPLE\n"),
            ("old.zip", b"PK\x03\x04AKIAIOSFODNN7EXAMPLE"),
            ("dump.gz", b"\x1f\x8b\x08"),
            ("large.txt", &vec![b' '; FILE_BYTES_MAX as usize + 1]),
        ]);
        assert!(places.is_empty(), "{places:?}");
        for what in ["deeper than", "zip archive", "packed by gzip", "larger than 8 MiB"] {
            assert!(scan.passed_over.iter().any(|one| one.looks_like.contains(what)), "{what}: {:?}", scan.passed_over);
            assert!(scan.in_words().contains(what));
        }
    }

    #[test]
    fn links_to_directories_elsewhere_are_named_and_those_to_files_followed() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("x.env"), "K=AKIAIOSFODNN7EXAMPLE\n").unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("here")).unwrap();
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        link(&folder.path().join("here"), "inside");
        link(folder.path(), "here/round");
        link(Path::new("nowhere"), "broken");
        let here = |list: &[Suspect]| -> Vec<String> {
            let below = format!("{}/", folder.path().display());
            list.iter().filter_map(|one| one.file.strip_prefix(&below).map(str::to_owned)).collect()
        };
        let scanned = scan(folder.path(), &[]);
        assert_eq!((here(&scanned.suspects), here(&scanned.passed_over)), (vec![], vec![]));
        link(elsewhere.path(), "outside");
        link(&elsewhere.path().join("x.env"), "one.env");
        let scanned = scan(folder.path(), &[]);
        assert_eq!(here(&scanned.suspects), ["one.env"]);
        assert_eq!(here(&scanned.passed_over), ["outside"]);
    }

    #[test]
    fn what_is_left_out_is_named_and_git_is_looked_at_around_its_objects() {
        let (_folder, places, scan) = scan_of(&[
            (".git/HEAD", b"ref: refs/heads/main\n"),
            (".git/FETCH_HEAD", b"0 branch 'main' of https://u:hunter2@git.acme.example/x\n"),
            (".git/objects/ab/cdef", b"x\x9c"),
            ("own/data.json", b"AKIAIOSFODNN7EXAMPLE\n"),
            ("objects/key.env", b"K=AKIAIOSFODNN7EXAMPLE\n"),
        ]);
        let found: Vec<_> = places.iter().map(|place| place.rsplit_once(": ").unwrap().0).collect();
        assert_eq!(found, [".git/FETCH_HEAD:1", "objects/key.env:1"]);
        let words = scan.in_words();
        for what in ["the history that git packs", "walkaway's own directory"] {
            assert!(scan.left_out.iter().any(|one| one.looks_like.contains(what)) && words.contains(what), "{words}");
        }
    }

    #[test]
    fn a_long_line_is_looked_at_to_its_end() {
        for before in [0, 1_000, PIECE_BYTES - 10, PIECE_BYTES - OVERLAP_BYTES, PIECE_BYTES, 5 * PIECE_BYTES - 3] {
            let line = format!("{{\"a\": \"{}é\", \"key\": \"AKIAIOSFODNN7EXAMPLE\"}}", "é ".repeat(before / 3));
            let (_folder, places, _) = scan_of(&[("one.json", line.as_bytes())]);
            assert_eq!(places.len(), 1, "{before}");
        }
        assert_eq!(pieces("").collect::<Vec<_>>(), [""]);
        let line = "x".repeat(3 * PIECE_BYTES);
        assert!(pieces(&line).all(|piece| piece.len() <= PIECE_BYTES) && pieces(&line).count() == 4);
    }
}
