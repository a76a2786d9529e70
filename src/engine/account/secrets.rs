//! Looks for key-shaped secrets in the AWS files and in configuration beside the playbook. Says where, never what.
//!
//! Bounded in depth, number and size; what was passed over for its size is said too, because it was not looked at.

use std::{
    fmt, fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{finding::printable, playbook::secret_in};

const DEPTH_MAX: usize = 4;
const FILES_MAX: usize = 2_000;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What configuration is called.
const ENDINGS: [&str; 14] =
    ["env", "yaml", "yml", "json", "toml", "ini", "cfg", "conf", "properties", "tfvars", "tf", "sh", "pem", "key"];
/// Directories of programs and of their work, not of configuration.
const SKIPPED: [&str; 6] = [".git", "node_modules", "target", "evidence", "restored", ".terraform"];

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

/// Looks in the AWS files of this user and below the playbook's folder.
pub(crate) fn scan(folder: &Path) -> Vec<Suspect> {
    let mut files: Vec<PathBuf> = aws_files();
    let mut more = Vec::new();
    gather(folder, 0, &mut more);
    let truncated = more.len() > FILES_MAX;
    more.truncate(FILES_MAX);
    files.extend(more);
    let mut suspects: Vec<Suspect> = files.iter().flat_map(|file| look_at(file)).collect();
    if truncated {
        let looks_like = format!("more than {FILES_MAX} files of configuration: not all were looked at");
        suspects.push(Suspect { file: folder.display().to_string(), line: 0, looks_like });
    }
    suspects.sort();
    suspects.dedup();
    suspects
}

/// Where the SDK keeps profiles and keys (AWS SDKs Reference Guide, "Location of the shared config files").
fn aws_files() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        named.or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
    };
    [place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), place("AWS_CONFIG_FILE", "config")]
        .into_iter()
        .flatten()
        .filter(|path| path.is_file())
        .collect()
}

fn gather(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if files.len() > FILES_MAX {
            return;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() && depth < DEPTH_MAX && !SKIPPED.contains(&name.as_str()) {
            gather(&path, depth + 1, files);
        } else if about.is_file() && is_configuration(&name) {
            files.push(path);
        }
    }
}

fn is_configuration(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
    ENDINGS.contains(&ending.as_str())
        || ["credentials", "config", ".pgpass", ".netrc"].contains(&name)
        || name.starts_with(".env")
}

fn look_at(path: &Path) -> Vec<Suspect> {
    let file = path.display().to_string();
    let suspect = |line: usize, looks_like: String| Suspect { file: file.clone(), line, looks_like };
    let Ok(opened) = fs::File::open(path) else { return Vec::new() };
    let length = opened.metadata().map_or(0, |about| about.len());
    let mut suspects = Vec::new();
    if length > FILE_BYTES_MAX {
        suspects
            .push(suspect(0, format!("larger than {} KiB: only its beginning was looked at", FILE_BYTES_MAX >> 10)));
    }
    let reader = BufReader::new(opened.take(FILE_BYTES_MAX));
    for (line, text) in (1..).zip(reader.split(b'\n')) {
        let Ok(bytes) = text else { break };
        let text = String::from_utf8_lossy(&bytes);
        let found = secret_in(&text).or_else(|| aws_secret(&text));
        suspects.extend(found.map(|what| suspect(line, format!("looks like {what}"))));
    }
    suspects
}

/// `…secret… = 40 characters`, as the SDK's files and most others have it.
fn aws_secret(line: &str) -> Option<&'static str> {
    let (name, value) = line.split_once(['=', ':'])?;
    let value = value.trim().trim_matches(['"', '\'', ',']);
    let fits = value.len() == 40 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    (fits && name.to_ascii_lowercase().contains("secret")).then_some("an AWS secret access key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_file_and_line_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("deploy/prod.env", "A=1\nDB=postgres://u:hunter2@db/x\n");
        write("key.tfvars", "aws_secret_key = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n");
        write("fine.yaml", "profile: exit-drill\n");
        write("notes.txt", "AKIAIOSFODNN7EXAMPLE\n");
        write("target/x.env", "K=AKIAIOSFODNN7EXAMPLE\n");
        let mut files = Vec::new();
        gather(folder.path(), 0, &mut files);
        let found: Vec<_> = files.iter().flat_map(|file| look_at(file)).collect();
        let told: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("prod.env:2: ") && told[1].contains("key.tfvars:1: "), "{told:?}");
        assert!(!told.concat().contains("hunter2") && !told.concat().contains("wJalr"));
    }
}
