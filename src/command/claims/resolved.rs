//! The playbook of a bundle, parsed again far from the machine that it was written for, `playbook.resolved.json` compared
//! with it.
//!
//! The targets of references, and the playbook's folder, only that machine knows. Placeholders replace them; what the
//! resolved playbook has in place of one must be the same for every use of that placeholder.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Claims, read};
use crate::{
    account::drive::Facts,
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    evidence::{self, RESOLVED},
    playbook::{Environment, Origin, Playbook},
    record::layout::Layout,
};

/// Placeholders for the playbook's folder, and for the operator's home.
const FOLDER: &str = "/walkaway-folder-of-the-playbook";
const HOME: &str = "/walkaway-home-of-the-operator";

/// The playbook, with what was found of the account.
pub(super) struct Read {
    pub playbook: Playbook,
    pub facts: Facts,
    /// Where the playbook's folder was, if the resolved playbook shows it.
    pub folder: Option<String>,
}

/// Every reference resolves, to a placeholder.
struct StandIns;

impl Environment for StandIns {
    fn variable(&self, name: &str) -> Option<OsString> {
        Some(if name == "HOME" { HOME.to_owned() } else { stand_in(name) }.into())
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(stand_in(&path.display().to_string()).into_bytes())
    }
}

/// Long enough for a secret, and an address.
fn stand_in(name: &str) -> String {
    format!("{ADDRESS}{}", Sha256Digest::of(name))
}

const ADDRESS: &str = "https://reference.invalid/";

impl Claims<'_> {
    /// Parses the playbook and compares the resolved one.
    pub(super) fn playbook(&mut self) -> Option<Read> {
        let text = String::from_utf8(read(self.bundle, evidence::PLAYBOOK).ok()?).ok()?;
        let origin = Origin { name: evidence::PLAYBOOK.to_owned(), folder: PathBuf::from(FOLDER) };
        let playbook = Playbook::parse(&text, &origin, &StandIns).ok()?;
        let layout = Layout::at(self.bundle, &playbook, &self.result.run);
        let facts = match Facts::read(&layout) {
            Ok(facts) => facts,
            Err(error) => {
                let finding = Finding::of_run(FindingKind::BundleMalformed, "data", error.in_full());
                self.findings.push(finding);
                Facts::default()
            }
        };
        let chosen: Vec<_> = facts.selected.iter().map(|one| (one.id.clone(), one.buckets.clone())).collect();
        let playbook = playbook.with_selected(&chosen);
        let folder = self.resolved(&playbook);
        Some(Read { playbook, facts, folder })
    }

    /// A missing or unreadable one is a finding: what a run was asked for must be complete. Returns the playbook's folder.
    fn resolved(&mut self, playbook: &Playbook) -> Option<String> {
        let expected = serde_json::to_value(playbook).ok()?;
        let found = match read(self.bundle, RESOLVED) {
            Ok(bytes) => serde_json::from_slice::<Value>(&bytes).map_err(|error| error.to_string()),
            Err(error) => {
                self.findings.push(Finding::of_run(FindingKind::BundleFileMissing, RESOLVED, error.in_full()));
                return None;
            }
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => {
                self.findings.push(Finding::of_run(FindingKind::BundleMalformed, RESOLVED, reason));
                return None;
            }
        };
        let mut places = Places { lenient: !self.is_binding(), ..Places::default() };
        places.compare("", &expected, &found);
        for difference in places.differences {
            self.contradicts(RESOLVED, format!("{difference} does not follow from {}", evidence::PLAYBOOK));
        }
        places.stand_ins.remove(FOLDER)
    }
}

/// The values in place of the placeholders.
#[derive(Default)]
struct Places {
    stand_ins: BTreeMap<String, String>,
    differences: Vec<String>,
    /// Keys that only later versions write may be missing.
    lenient: bool,
}

impl Places {
    fn compare(&mut self, path: &str, expected: &Value, found: &Value) {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => {
                for (name, value) in expected {
                    match found.get(name) {
                        Some(found) => self.compare(&format!("{path}.{name}"), value, found),
                        None if self.lenient => {}
                        None => self.differences.push(format!("{path}.{name}, which is missing,")),
                    }
                }
                let strangers = found.keys().filter(|name| !expected.contains_key(*name));
                self.differences.extend(strangers.map(|name| format!("{path}.{name}")));
            }
            (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
                for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.compare(&format!("{path}[{index}]"), expected, found);
                }
            }
            (Value::String(expected), Value::String(found)) if self.stands(expected, found) => {}
            _ if expected == found => {}
            _ => self.differences.push(path.to_owned()),
        }
    }

    /// Whether a text is equal except for a placeholder.
    fn stands(&mut self, expected: &str, found: &str) -> bool {
        let (stand_in, rest) = if expected.starts_with(ADDRESS) {
            (expected, "")
        } else if let Some(rest) = expected.strip_prefix(FOLDER) {
            (FOLDER, rest)
        } else if let Some(rest) = expected.strip_prefix(HOME) {
            (HOME, rest)
        } else {
            return expected == found;
        };
        let Some(place) = found.strip_suffix(rest) else { return false };
        let is_folder = stand_in == FOLDER || stand_in == HOME;
        // A folder at the root leaves nothing before the rest.
        let is_place = if is_folder { place.is_empty() || place.starts_with('/') } else { !place.is_empty() };
        is_place && self.stand_ins.entry(stand_in.to_owned()).or_insert_with(|| place.to_owned()) == place
    }
}

/// The path that a playbook names, in its original folder.
pub(super) fn placed(path: &Path, folder: Option<&str>) -> Option<String> {
    let text = path.to_string_lossy();
    match text.strip_prefix(FOLDER) {
        Some(rest) => Some(format!("{}{rest}", folder?)),
        None => Some(text.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(expected: &Value, found: &Value) -> Vec<String> {
        let mut places = Places::default();
        places.compare("", expected, found);
        places.differences
    }

    #[test]
    fn one_folder_stands_everywhere() {
        let inside = |path: &str| format!("{FOLDER}{path}");
        let expected = json!({"a": inside("/x"), "b": [inside("/y")], "c": stand_in("URL"), "d": "x"});
        assert!(differences(&expected, &json!({"a": "/p/x", "b": ["/p/y"], "c": "http://h", "d": "x"})).is_empty());
        assert!(differences(&expected, &json!({"a": "/x", "b": ["/y"], "c": "http://h", "d": "x"})).is_empty());
        assert_eq!(differences(&expected, &json!({"a": "/p/x", "b": ["/q/y"], "c": "http://h", "d": "x"})), [".b[0]"]);
        assert_eq!(differences(&expected, &json!({"a": "/p/x", "b": ["/p/y"], "c": "http://h", "d": "y"})), [".d"]);
        assert_eq!(differences(&expected, &json!({"a": "/p/x", "b": [], "c": "", "d": "x"})), [".b", ".c"]);
        assert_eq!(differences(&json!({"a": 1}), &json!({"b": 1})), [".a, which is missing,", ".b"]);
    }
}
