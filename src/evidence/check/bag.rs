//! Checks a sealed bag offline, both ways: everything in the manifests exists unchanged, and nothing else does.
//!
//! A bag comes from anywhere: no link is followed, no path leaves the bag, nothing is trusted before it was compared.
//! What the files mean is [`crate::evidence::check`]'s, and so is what an empty directory means; only `sig/` may wait for its first
//! signature.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use crate::{
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    evidence::{
        bag::{BAG_INFO, BAGIT_TXT, DECLARATION, MANIFEST, SIGNATURES, TAG_MANIFEST, is_plain},
        files::{digest_file, open_regular, read_whole},
        tree::Tree,
    },
};

/// Checks a bag against its own manifests. The subject of each finding is the file's path in the bag.
pub fn check(root: &Path) -> Vec<Finding> {
    Bag::inspect(root).findings
}

/// A bag whose files were listed and compared with the manifests.
#[derive(Debug)]
pub(crate) struct Bag {
    root: PathBuf,
    /// Regular files and their lengths; with the signatures the only ones that are ever opened.
    pub files: BTreeMap<String, u64>,
    /// Files in `sig/` by their names there; no manifest can name them.
    pub signatures: BTreeMap<String, u64>,
    /// Directories that hold nothing.
    pub empty: Vec<String>,
    /// What contradicts the manifests.
    pub findings: Vec<Finding>,
    /// SHA-256 of the tag manifest.
    pub digest: Option<Sha256Digest>,
}

impl Bag {
    /// Lists and compares.
    pub(crate) fn inspect(root: &Path) -> Self {
        let files = BTreeMap::new();
        let signatures = BTreeMap::new();
        let mut bag = Bag { root: root.to_owned(), files, signatures, empty: vec![], findings: vec![], digest: None };
        // The bag's path may contain a link; its content may not.
        match root.canonicalize().and_then(|root| Tree::walk(&root)) {
            Ok(tree) => bag.take(tree),
            Err(error) => bag.find(FindingKind::BundleMalformed, ".", format!("cannot be listed: {error}")),
        }
        bag.check_declaration();
        let tags = bag.manifest(TAG_MANIFEST, |path| !path.contains('/') && path != TAG_MANIFEST);
        let payload = bag.manifest(MANIFEST, |path| path.starts_with("data/"));
        bag.check_digests(tags.iter().chain(&payload));
        bag.check_unnamed(&tags, &payload);
        bag.check_oxum(&payload);
        bag.digest = bag.read(TAG_MANIFEST).ok().map(Sha256Digest::of);
        bag
    }

    /// Lists without comparing.
    pub(crate) fn list(root: &Path) -> Self {
        let files = BTreeMap::new();
        let signatures = BTreeMap::new();
        let mut bag = Bag { root: root.to_owned(), files, signatures, empty: vec![], findings: vec![], digest: None };
        if let Ok(tree) = root.canonicalize().and_then(|root| Tree::walk(&root)) {
            bag.take(tree);
        }
        bag
    }

    fn take(&mut self, tree: Tree) {
        for name in &tree.strange {
            self.find(FindingKind::BundleFileUnexpected, name, "not a regular file");
        }
        let empty = tree.empty_directories();
        for name in &tree.directories {
            if !name.contains('/') && !["data", SIGNATURES].contains(&name.as_str()) {
                self.find(FindingKind::BundleFileUnexpected, name, "directory that no bundle has");
            } else if empty.contains(name) && name != SIGNATURES {
                self.empty.push(name.clone());
            }
        }
        for (name, bytes) in tree.files {
            match name.strip_prefix(SIGNATURES).and_then(|rest| rest.strip_prefix('/')) {
                Some(inside) => self.signatures.insert(inside.to_owned(), bytes),
                None => self.files.insert(name, bytes),
            };
        }
    }

    fn find(&mut self, kind: FindingKind, subject: &str, detail: impl Into<String>) {
        self.findings.push(Finding::of_run(kind, subject, detail));
    }

    /// Opens a file of the bag. Only names that the listing showed are opened, so no link is followed.
    pub(crate) fn open(&self, name: &str) -> io::Result<std::fs::File> {
        let signature = || name.strip_prefix(SIGNATURES).and_then(|rest| rest.strip_prefix('/'));
        if self.files.contains_key(name) || signature().is_some_and(|name| self.signatures.contains_key(name)) {
            open_regular(&self.root.join(name))
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    }

    /// Reads a file of the bag whole.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.open(name).and_then(|_| read_whole(&self.root.join(name)))
    }

    fn check_declaration(&mut self) {
        match self.read(BAGIT_TXT) {
            Ok(bytes) if bytes == DECLARATION.as_bytes() => {}
            Ok(_) => self.find(FindingKind::BundleMalformed, BAGIT_TXT, "not a declaration of BagIt 1.0 in UTF-8"),
            Err(error) => self.find(FindingKind::BundleFileMissing, BAGIT_TXT, error.to_string()),
        }
    }

    fn manifest(&mut self, name: &str, belongs: impl Fn(&str) -> bool) -> BTreeMap<String, Sha256Digest> {
        let mut named = BTreeMap::new();
        let bytes = match self.read(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.find(FindingKind::BundleFileMissing, name, error.to_string());
                return named;
            }
        };
        for (number, line) in lines(&bytes) {
            let problem = match manifest_line(line) {
                Some((_, path)) if !is_plain(path) || !belongs(path) => "names a path that does not belong there",
                Some((digest, path)) => match named.insert(path.to_owned(), digest) {
                    Some(_) => "names a file a second time",
                    None => continue,
                },
                None => "is not a digest, two spaces and a path",
            };
            self.find(FindingKind::BundleMalformed, &format!("{name} line {number}"), problem);
        }
        named
    }

    fn check_digests<'a>(&mut self, named: impl Iterator<Item = (&'a String, &'a Sha256Digest)>) {
        for (name, expected) in named {
            match self.open(name).and_then(|file| digest_file(&file)) {
                Ok((found, _)) if found == *expected => {}
                Ok((found, _)) => {
                    let detail = format!("SHA-256 is {found}, the manifest has {expected}");
                    self.find(FindingKind::BundleFileDiffers, name, detail);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.find(FindingKind::BundleFileMissing, name, "the manifest names it");
                }
                Err(error) => self.find(FindingKind::BundleFileDiffers, name, format!("unreadable: {error}")),
            }
        }
    }

    fn check_unnamed(&mut self, tags: &BTreeMap<String, Sha256Digest>, payload: &BTreeMap<String, Sha256Digest>) {
        let named = |name: &str| name == TAG_MANIFEST || tags.contains_key(name) || payload.contains_key(name);
        let unnamed: BTreeSet<_> = self.files.keys().filter(|name| !named(name)).cloned().collect();
        for name in unnamed {
            self.find(FindingKind::BundleFileUnexpected, &name, "no manifest names it");
        }
    }

    fn check_oxum(&mut self, payload: &BTreeMap<String, Sha256Digest>) {
        let bytes: u64 =
            payload.keys().filter_map(|name| self.files.get(name)).fold(0, |sum, n| sum.saturating_add(*n));
        let expected = format!("{bytes}.{}", payload.len());
        match self.labels("Payload-Oxum").as_slice() {
            [oxum] if *oxum == expected => {}
            found => {
                let detail = format!("Payload-Oxum is {}, the manifest amounts to {expected}", found.join(" and "));
                self.find(FindingKind::BundleMalformed, BAG_INFO, detail);
            }
        }
    }

    /// Every value of a label in `bag-info.txt`.
    pub(crate) fn labels(&self, label: &str) -> Vec<String> {
        self.all_labels().into_iter().filter(|(name, _)| name == label).map(|(_, value)| value).collect()
    }

    /// Labels and values of `bag-info.txt`, in its order; a line that has no label has an empty one.
    pub(crate) fn all_labels(&self) -> Vec<(String, String)> {
        let text = String::from_utf8(self.read(BAG_INFO).unwrap_or_default()).unwrap_or_default();
        let split = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.lines().map(|line| split(line).unwrap_or_default()).collect()
    }
}

/// Numbered lines; what follows the last newline counts as a line if there is something.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    text.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line)).filter(|_| !bytes.is_empty())
}

/// A digest, two spaces, a path.
fn manifest_line(line: &[u8]) -> Option<(Sha256Digest, &str)> {
    let (digest, path) = std::str::from_utf8(line).ok()?.split_once("  ")?;
    Some((digest.parse().ok()?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_line_is_exact() {
        let digest = Sha256Digest::of("x");
        assert_eq!(manifest_line(format!("{digest}  data/a").as_bytes()), Some((digest, "data/a")));
        for line in [format!("{digest} data/a"), format!("{digest} *data/a"), "data/a".into(), String::new()] {
            assert_eq!(manifest_line(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn lines_are_numbered_from_one() {
        let numbered = |text: &'static str| lines(text.as_bytes()).map(|(number, line)| (number, line.len())).collect();
        let none: Vec<(usize, usize)> = numbered("");
        assert_eq!(none, []);
        assert_eq!(numbered("a\nbb\n"), [(1, 1), (2, 2)]);
        assert_eq!(numbered("a\n\nb"), [(1, 1), (2, 0), (3, 1)]);
    }

    #[test]
    fn paths_that_leave_the_bag_are_malformed_and_not_opened() {
        let dir = tempfile::tempdir().expect("directory");
        let digest = Sha256Digest::of("");
        for path in ["/etc/passwd", "data/../x", "../x", "data/%2e"] {
            std::fs::write(dir.path().join(MANIFEST), format!("{digest}  {path}\n")).expect("written");
            let findings = check(dir.path());
            let malformed = |f: &&Finding| f.kind == FindingKind::BundleMalformed && f.subject.ends_with("txt line 1");
            assert_eq!(findings.iter().filter(malformed).count(), 1, "{path}");
            assert!(!findings.iter().any(|finding| finding.subject.contains("etc")));
        }
    }
}
