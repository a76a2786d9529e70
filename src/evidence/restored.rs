//! `restored.csv`: what a restored database had beside its rows at verification, one line and one digest for each item,
//! for later re-checks: definitions, sequences, large objects, settings, roles, owners, grants, and digests of
//! the rows of materialized views. Definitions can contain anything, so only their digests are here.

use std::{collections::BTreeMap, path::Path};

use super::files::{EvidenceError, IoContext as _, write_replacing};
use crate::{csv, domain::digest::Sha256Digest};

/// The file.
pub const RESTORED_CSV: &str = "restored.csv";
const HEADER: [&str; 3] = ["class", "name", "sha256"];

/// Class and name of each item, with the digest of its definition.
pub type Things = BTreeMap<(String, String), Sha256Digest>;

/// Writes the file into an existing directory, and returns its SHA-256.
pub fn write_restored(things: &Things, dir: &Path) -> Result<Sha256Digest, EvidenceError> {
    let line = |((class, name), digest): (&(String, String), &Sha256Digest)| {
        csv::record([class.as_str(), name, &digest.to_string()])
    };
    let lines: String = things.iter().map(line).collect();
    let text = csv::record(HEADER) + &lines;
    write_replacing(&dir.join(RESTORED_CSV), text.as_bytes())?;
    Ok(Sha256Digest::of(text))
}

/// Reads the file; none if the bundle has none, as those of earlier versions.
pub fn read_restored(dir: &Path) -> Result<Option<Things>, EvidenceError> {
    let path = dir.join(RESTORED_CSV);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).when("read", &path)?;
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, "is no list of restored things");
    parse(&text).map(Some).ok_or_else(malformed).when("read", &path)
}

fn parse(text: &str) -> Option<Things> {
    let mut records = csv::parse(text)?.into_iter();
    let header = records.next()?;
    let thing = |record: Vec<String>| {
        let [class, name, digest] = <[String; 3]>::try_from(record).ok()?;
        Some(((class, name), digest.parse().ok()?))
    };
    let things: Things = records.map(thing).collect::<Option<_>>()?;
    (header == HEADER).then_some(things)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_read_back() {
        let dir = tempfile::tempdir().expect("directory");
        assert_eq!(read_restored(dir.path()).expect("read"), None);
        let name = ("index".to_owned(), "public.\"a,\nb\"".to_owned());
        let things = Things::from([(name, Sha256Digest::of("definition"))]);
        write_restored(&things, dir.path()).expect("written");
        assert_eq!(read_restored(dir.path()).expect("read"), Some(things));
        assert_eq!(parse("class,name\n"), None);
    }
}
