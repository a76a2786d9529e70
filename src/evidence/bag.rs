//! Seals a directory as a BagIt bag (RFC 8493, version 1.0) with SHA-256 manifests, the way `bagit.py` and
//! `sha256sum -c` read them.
//!
//! Only plain names enter a bag, so nothing ever needs the percent-encoding of RFC 8493, section 2.1.3. Checking is
//! [`crate::evidence::check::bag`]'s.

use std::{fmt::Write as _, fs, path::Path};

use jiff::civil::Date;

use super::{
    files::{EvidenceError, IoContext, digest_file, open_regular, sync_dir, write_replacing},
    tree::Tree,
};
use crate::domain::digest::Sha256Digest;

/// The bag's declaration.
pub(crate) const BAGIT_TXT: &str = "bagit.txt";
/// Descriptive labels.
pub(crate) const BAG_INFO: &str = "bag-info.txt";
/// Digests of everything below `data/`.
pub(crate) const MANIFEST: &str = "manifest-sha256.txt";
/// Digests of every other file at the top; its presence means that the bag is sealed.
pub(crate) const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
/// Reserved for signatures over the tag manifest, which can't be listed in it.
pub(crate) const SIGNATURES: &str = "sig";
/// What a resumed run needs. It stays out of the bag, and is removed only once the bag is sealed, so that a sealing that
/// was interrupted can be repeated.
pub(crate) const STATE: &str = "state";
/// The exact content of `bagit.txt`.
pub(crate) const DECLARATION: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// The content of `bag-info.txt` besides the numbers.
#[derive(Clone, Debug)]
pub struct BagInfo {
    /// The run's id.
    pub run: String,
    /// The day of sealing, UTC.
    pub date: Date,
    /// One line for a person.
    pub description: String,
    /// `walkaway VERSION`.
    pub software: String,
}

/// Whether a directory holds a sealed bag.
pub fn is_sealed(root: &Path) -> bool {
    root.join(TAG_MANIFEST).symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Seals a directory that holds `data/` and, at the top, the files for a reader. Everything is synced; the tag manifest
/// comes last. Returns the digest of the tag manifest, which is the digest of the bundle. A sealing that was
/// interrupted can be repeated; a finished one can't.
pub fn seal(root: &Path, info: &BagInfo) -> Result<Sha256Digest, EvidenceError> {
    if is_sealed(root) {
        return Err(EvidenceError::AlreadySealed { root: root.to_owned() });
    }
    let payload = manifest(root, &payload_names(root)?)?;
    write_replacing(&root.join(BAGIT_TXT), DECLARATION.as_bytes())?;
    write_replacing(&root.join(BAG_INFO), bag_info(info, &payload).as_bytes())?;
    write_replacing(&root.join(MANIFEST), payload.text.as_bytes())?;
    let tags = manifest(root, &tag_names(root)?)?;
    write_replacing(&root.join(TAG_MANIFEST), tags.text.as_bytes())?;
    Ok(Sha256Digest::of(&tags.text))
}

fn bag_info(info: &BagInfo, payload: &Manifest) -> String {
    let one_line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    format!(
        "Bag-Software-Agent: {}\nBagging-Date: {}\nExternal-Description: {}\nExternal-Identifier: {}\nPayload-Oxum: {}.{}\n",
        one_line(&info.software),
        info.date,
        one_line(&info.description),
        one_line(&info.run),
        payload.bytes,
        payload.files,
    )
}

fn payload_names(root: &Path) -> Result<Vec<String>, EvidenceError> {
    let tree = Tree::walk(&root.join("data")).when("read", &root.join("data"))?;
    if let Some(name) = tree.strange.first() {
        return Err(EvidenceError::UnsafeName { name: format!("data/{name}") });
    }
    let empty = tree.empty_directories();
    // Removes empty directories of an asset that stopped early. The deepest come first.
    for dir in empty.iter().rev().map(|dir| root.join("data").join(dir)) {
        fs::remove_dir(&dir).when("remove", &dir)?;
    }
    for dir in tree.directories.difference(&empty).map(|dir| root.join("data").join(dir)) {
        sync_dir(&dir)?;
    }
    sync_dir(&root.join("data"))?;
    Ok(tree.files.into_keys().map(|name| format!("data/{name}")).collect())
}

/// Every file at the top but the tag manifest itself, which may exist half written.
fn tag_names(root: &Path) -> Result<Vec<String>, EvidenceError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root).when("read", root)? {
        let name = entry.when("read", root)?.file_name().to_string_lossy().into_owned();
        if !["data", SIGNATURES, STATE].contains(&&*name) && !name.starts_with(TAG_MANIFEST) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

struct Manifest {
    text: String,
    files: u64,
    bytes: u64,
}

fn manifest(root: &Path, names: &[String]) -> Result<Manifest, EvidenceError> {
    let mut manifest = Manifest { text: String::new(), files: 0, bytes: 0 };
    for name in names {
        if !is_plain(name) {
            return Err(EvidenceError::UnsafeName { name: name.clone() });
        }
        let path = root.join(name);
        let file = open_regular(&path).when("read", &path)?;
        let (digest, bytes) = digest_file(&file).when("read", &path)?;
        file.sync_all().when("sync", &path)?;
        // Writing to a String can't fail.
        let _ = writeln!(manifest.text, "{digest}  {name}");
        manifest.files += 1;
        manifest.bytes += bytes;
    }
    Ok(manifest)
}

/// Whether a path needs no encoding in any manifest and no quoting in a shell, and stays inside the bag.
pub(crate) fn is_plain(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-/".contains(&c);
    super::files::stays_inside(path) && path.bytes().all(plain) && !path.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::files::write_new;

    fn info() -> BagInfo {
        let date = Date::constant(2026, 10, 1);
        BagInfo { run: "r-1".into(), date, description: "a\nb".into(), software: "walkaway 0".into() }
    }

    fn unsealed(name: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("directory");
        fs::create_dir_all(dir.path().join("data/assets/a")).expect("directories");
        write_new(&dir.path().join("data/assets/a").join(name), b"walkaway").expect("payload");
        write_new(&dir.path().join("VERIFY.md"), b"how\n").expect("tag file");
        dir
    }

    #[test]
    fn a_bag_is_what_the_rfc_says() {
        let bag = unsealed("b.txt");
        let digest = seal(bag.path(), &info()).expect("sealed");
        let read = |name: &str| fs::read_to_string(bag.path().join(name)).expect("text");
        assert_eq!(read(MANIFEST), format!("{}  data/assets/a/b.txt\n", Sha256Digest::of("walkaway")));
        assert!(read(BAG_INFO).contains("External-Description: a b\nExternal-Identifier: r-1\nPayload-Oxum: 8.1\n"));
        let tags: Vec<_> = read(TAG_MANIFEST).lines().map(|line| line[66..].to_owned()).collect();
        assert_eq!(tags, ["VERIFY.md", BAG_INFO, BAGIT_TXT, MANIFEST]);
        assert_eq!(digest, Sha256Digest::of(read(TAG_MANIFEST)));
    }

    #[test]
    fn a_bag_is_sealed_once_but_an_interrupted_sealing_is_repeated() {
        let bag = unsealed("b.txt");
        fs::create_dir_all(bag.path().join("data/assets/b/c")).expect("left behind");
        fs::write(bag.path().join("manifest-sha256.txt.part"), "half").expect("left behind");
        fs::write(bag.path().join("tagmanifest-sha256.txt.part"), "half").expect("left behind");
        assert!(!is_sealed(bag.path()));
        seal(bag.path(), &info()).expect("sealed");
        assert!(is_sealed(bag.path()));
        assert!(matches!(seal(bag.path(), &info()), Err(EvidenceError::AlreadySealed { .. })));
        assert_eq!(crate::evidence::check::bag::check(bag.path()), []);
    }

    #[test]
    fn names_that_would_need_encoding_are_refused() {
        for name in ["a b", "a%b", "a\nb", "ü"] {
            let error = seal(unsealed(name).path(), &info());
            assert!(matches!(error, Err(EvidenceError::UnsafeName { .. })), "{name:?}");
        }
    }
}
