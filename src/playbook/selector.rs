//! [`Selector`]: which things at the provider an exclusion names, as `kind:glob`.
//!
//! In a glob `*` stands for any characters, also none, and `?` for one. Leaves out where the names come from.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::problem::{Wrong, shown};
use super::suggest::nearest_or_allowed;

/// What kind of thing a selector names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectorKind {
    /// A bucket, by its name.
    S3,
    /// A PostgreSQL database, by its name.
    Postgres,
    /// An RDS instance, by its identifier.
    Rds,
}

const KINDS: [(&str, SelectorKind); 3] =
    [("s3", SelectorKind::S3), ("postgres", SelectorKind::Postgres), ("rds", SelectorKind::Rds)];

/// `kind:glob`, as in `s3:acme-logs-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    kind: SelectorKind,
    written: String,
}

impl Selector {
    /// The kind before the colon.
    #[must_use]
    pub fn kind(&self) -> SelectorKind {
        self.kind
    }

    /// Whether the selector names this thing; the whole name has to fit.
    #[must_use]
    pub fn matches(&self, kind: SelectorKind, name: &str) -> bool {
        let glob = self.written.split_once(':').map_or("", |(_, glob)| glob);
        let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
        self.kind == kind && glob_matches(&glob, &name)
    }
}

impl FromStr for Selector {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (word, glob) = text.split_once(':').unwrap_or((text, ""));
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == word) else {
            let words = KINDS.map(|(name, _)| name);
            return Err(Wrong::new(format!("`{}` is not a kind of thing", shown(word))).hint(nearest_or_allowed(
                "write kind:glob with one of the kinds",
                word,
                &words,
            )));
        };
        if glob.trim() != glob || glob.is_empty() {
            return Err(Wrong::new("says no name after the kind")
                .hint(format!("write {word}:name; `*` and `?` may stand in it")));
        }
        Ok(Self { kind: *kind, written: text.to_owned() })
    }
}

/// Greedy matching with one point to go back to, so that the time is at most pattern × name.
fn glob_matches(glob: &[char], name: &[char]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                g = at + 1;
                n = from + 1;
            }
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, expected) in [
            ("acme-logs-*", "acme-logs-2026", true),
            ("acme-logs-*", "acme-logs-", true),
            ("acme-logs-*", "x-acme-logs-1", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
        ] {
            let selector: Selector = format!("s3:{glob}").parse().unwrap();
            assert_eq!(selector.matches(SelectorKind::S3, name), expected, "{glob} {name}");
            assert!(!selector.matches(SelectorKind::Rds, name));
        }
    }

    #[test]
    fn a_selector_has_a_kind_and_a_name() {
        for text in ["acme-logs", "s3:", "s3: a", "gcs:x", ""] {
            assert!(text.parse::<Selector>().unwrap_err().hint.is_some(), "{text}");
        }
    }
}
