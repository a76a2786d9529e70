//! [`Selector`]: which resources at the provider an exclusion selects, as `kind:glob`.
//!
//! Leaves out how a glob matches a name, and where the names come from.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::problem::{Wrong, shown};
use super::suggest::nearest_or_allowed;
use crate::glob;

/// The kind of resource that a selector names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectorKind {
    /// A bucket, by its name.
    S3,
    /// A PostgreSQL database, by its name.
    Postgres,
    /// An RDS instance or cluster, by its identifier.
    Rds,
    /// An RDS snapshot, by its identifier.
    Snapshot,
}

const KINDS: [(&str, SelectorKind); 4] = [
    ("s3", SelectorKind::S3),
    ("postgres", SelectorKind::Postgres),
    ("rds", SelectorKind::Rds),
    ("snapshot", SelectorKind::Snapshot),
];

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

    /// Whether the selector matches this resource; the whole name has to match.
    #[must_use]
    pub fn matches(&self, kind: SelectorKind, name: &str) -> bool {
        let glob = self.written.split_once(':').map_or("", |(_, glob)| glob);
        self.kind == kind && glob::matches(glob, name)
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
    fn a_selector_names_things_of_its_kind() {
        let selector: Selector = "s3:acme-logs-*".parse().unwrap();
        assert!(selector.matches(SelectorKind::S3, "acme-logs-2026"));
        assert!(!selector.matches(SelectorKind::Rds, "acme-logs-2026"));
        assert!(!selector.matches(SelectorKind::S3, "x-acme-logs-2026"));
    }

    #[test]
    fn a_selector_has_a_kind_and_a_name() {
        for text in ["acme-logs", "s3:", "s3: a", "gcs:x", ""] {
            assert!(text.parse::<Selector>().unwrap_err().hint.is_some(), "{text}");
        }
    }
}
