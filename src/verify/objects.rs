//! Reads restored objects back from the disk, not from the page cache, and finds files and members of archives that
//! were not restored.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    Comparison,
    archive::{Archives, Member},
    disk::{open_beneath, path_id, read_back},
    in_parallel,
    properties::{differing, differing_member},
};
use crate::{
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind, FindingSink},
        proof::Check,
    },
    interrupt::Interrupt,
    transfer::{
        meter::Meter,
        object::{AWAY, Answered, RestoredBucket},
        receipt::{ObjectReceipt, Within},
    },
};

/// Readers wait for the disk more than they hash, so there are more of them than cores.
const READERS_PER_CORE: usize = 4;

/// A receipt as read from disk.
pub type ReadReceipt = io::Result<ObjectReceipt>;

/// What every reader of restored objects needs.
pub struct ReadBack<'a> {
    /// The asset's id, for findings.
    pub asset: &'a str,
    /// The asset's directory.
    pub root: &'a Path,
    /// Counts objects and bytes that were read.
    pub meter: &'a Meter,
    /// Ends the reading early; what was not read is not compared.
    pub interrupt: &'a Interrupt,
    /// Reads what was restored into buckets of the target.
    pub buckets: Option<&'a dyn RestoredBucket>,
}

impl ReadBack<'_> {
    /// As [`ReadBack::compare_into`], with all findings in memory.
    pub fn compare(&self, receipts: impl Iterator<Item = ReadReceipt> + Send) -> io::Result<Comparison> {
        let mut findings = Vec::new();
        let check = self.compare_into(receipts, &mut findings)?;
        findings.sort();
        Ok(Comparison { check, findings })
    }

    /// Compares every receipt with the disk, then the disk with the receipts; differences are passed on when found,
    /// in no order. An error means that the receipts themselves or the directory could not be read.
    pub fn compare_into(
        &self,
        receipts: impl Iterator<Item = ReadReceipt> + Send,
        findings: &mut (dyn FindingSink + Send),
    ) -> io::Result<Check> {
        self.check_into(receipts, findings, check_in)
    }

    /// The same without reading contents: whether everything exists with the right size, and nothing else.
    pub fn look_into(
        &self,
        receipts: impl Iterator<Item = ReadReceipt> + Send,
        findings: &mut (dyn FindingSink + Send),
    ) -> io::Result<Check> {
        self.check_into(receipts, findings, look_in)
    }

    fn check_into(
        &self,
        receipts: impl Iterator<Item = ReadReceipt> + Send,
        findings: &mut (dyn FindingSink + Send),
        check: impl Fn(&str, &Copies<'_>, &ObjectReceipt) -> io::Result<Option<Finding>> + Sync,
    ) -> io::Result<Check> {
        let copies = Copies { root: self.root, archives: Archives::below(self.root), buckets: self.buckets };
        let workers = std::thread::available_parallelism().map_or(2, usize::from) * READERS_PER_CORE;
        let mut known = Named::default();
        let receipts = receipts.take_while(|_| !self.interrupt.asked());
        let receipts = receipts.filter(|receipt| !receipt.as_ref().is_ok_and(ObjectReceipt::is_marker));
        let receipts = receipts.inspect(|receipt| receipt.iter().for_each(|receipt| known.take(receipt)));
        let found = Mutex::new((Comparison::new("objects").check, findings));
        let broken = Mutex::new(None::<io::Error>);
        let break_off = |error| *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        let receipts = receipts.take_while(|_| broken.lock().unwrap_or_else(PoisonError::into_inner).is_none());
        in_parallel(receipts, workers, |receipt| match receipt {
            Ok(receipt) => {
                let difference = match check(self.asset, &copies, &receipt) {
                    Ok(difference) => difference,
                    Err(away) => return break_off(away),
                };
                self.meter.add_items(1);
                self.meter.add_bytes(receipt.size);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.0.count(difference.as_ref().map(|difference| difference.kind));
                difference.into_iter().for_each(|difference| found.1.take(difference));
            }
            Err(error) => break_off(error),
        });
        if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let (check, findings) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !self.interrupt.asked() {
            self.find_unexpected(&known, &copies, findings)?;
        }
        Ok(check)
    }

    /// Files among the restored objects that no receipt names; symbolic links are never followed. Then members of
    /// archives.
    fn find_unexpected(
        &self,
        known: &Named,
        copies: &Copies<'_>,
        findings: &mut (dyn FindingSink + Send),
    ) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut strange = |what: String, detail: &str| {
            findings.take(Finding::of(self.asset, FindingKind::ObjectUnexpected, what, detail));
        };
        for (archive, members) in &known.archives {
            match copies.archives.unexpected(archive, &known.paths, *members) {
                Ok(unexpected) => unexpected.into_iter().for_each(|(what, detail)| strange(what, &detail)),
                // That its members are missing is reported already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => strange(archive.clone(), &format!("cannot be read to its end as an archive: {error}")),
            }
        }
        for (bucket, keys) in &known.keys {
            let Some(reader) = copies.buckets else { continue };
            let mut unlisted = keys.clone();
            reader.each_key(bucket, &mut |key| {
                unlisted.remove(&path_id(&key));
                if !keys.contains(&path_id(&key)) {
                    strange(key, "no receipt names this object of the target's bucket");
                }
            })?;
            if !unlisted.is_empty() {
                let detail = format!("the target's bucket does not list {} of {} objects", unlisted.len(), keys.len());
                missing.push(Finding::of(self.asset, FindingKind::ObjectMissing, bucket, detail));
            }
        }
        let mut directories = vec![self.root.to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                    continue;
                }
                let relative = relative(self.root, &entry.path());
                if !known.files.contains(&path_id(&relative)) && !known.archives.contains_key(&relative) {
                    strange(relative, "no receipt names this file");
                }
            }
        }
        missing.into_iter().for_each(|finding| findings.take(finding));
        Ok(())
    }
}

/// What the receipts name: files, archives, and members of archives.
#[derive(Default)]
struct Named {
    files: HashSet<u128>,
    /// The number of members of each.
    archives: BTreeMap<String, u64>,
    paths: HashSet<u128>,
    /// By the bucket.
    keys: BTreeMap<String, HashSet<u128>>,
}

/// Where restored objects can be.
struct Copies<'a> {
    root: &'a Path,
    archives: Archives,
    buckets: Option<&'a dyn RestoredBucket>,
}

impl Named {
    fn take(&mut self, receipt: &ObjectReceipt) {
        match &receipt.within {
            None => drop(self.files.insert(path_id(&receipt.path))),
            Some(Within::Archive { name, .. }) => {
                match self.archives.get_mut(name) {
                    Some(members) => *members += 1,
                    None => drop(self.archives.insert(name.clone(), 1)),
                }
                self.paths.insert(path_id(&receipt.path));
            }
            Some(Within::Bucket { name, key }) => {
                self.keys.entry(name.clone()).or_default().insert(path_id(key));
            }
        }
    }
}

/// Reads one object back and reports how it differs from its receipt.
pub fn check_object(
    asset: &str,
    root: &Path,
    buckets: Option<&dyn RestoredBucket>,
    receipt: &ObjectReceipt,
) -> Option<Finding> {
    let checked = check_in(asset, &Copies { root, archives: Archives::below(root), buckets }, receipt);
    let unread = |error: io::Error| {
        Some(Finding::of(asset, FindingKind::CopyUnreadable, &receipt.key, format!("{}: {error}", receipt.path)))
    };
    checked.unwrap_or_else(unread)
}

/// Whether an object is at its receipt's location, with the right size.
fn look_in(asset: &str, copies: &Copies<'_>, receipt: &ObjectReceipt) -> io::Result<Option<Finding>> {
    let size = match &receipt.within {
        None => open_beneath(copies.root, &receipt.path).and_then(|file| file.metadata()).map(|there| there.len()),
        Some(Within::Archive { name, offset }) => copies.archives.size(name, *offset, &receipt.path),
        Some(Within::Bucket { name, key }) => match copies.buckets {
            Some(buckets) => buckets.size(name, key),
            None => Err(io::Error::other(format!("is in the bucket {name}, which can't be reached"))),
        },
    };
    match size {
        Err(error) if error.kind() == AWAY => Err(error),
        size => Ok(judged(asset, receipt, size.map(|size| Found::bytes((size, receipt.sha256))))),
    }
}

/// Compares an object with its receipt. An error means that the target's server is unreachable.
fn check_in(asset: &str, copies: &Copies<'_>, receipt: &ObjectReceipt) -> io::Result<Option<Finding>> {
    let found = find_in(copies, receipt);
    match found {
        Err(error) if error.kind() == AWAY => Err(error),
        found => Ok(judged(asset, receipt, found)),
    }
}

fn find_in(copies: &Copies<'_>, receipt: &ObjectReceipt) -> io::Result<Found> {
    match &receipt.within {
        None => read_back(copies.root, &receipt.path).map(Found::bytes),
        Some(Within::Archive { name, offset }) => {
            let member = copies.archives.read_back(name, *offset, &receipt.path)?;
            Ok(Found::member(receipt, &member))
        }
        Some(Within::Bucket { name, key }) => match copies.buckets {
            Some(buckets) => {
                let answered = buckets.read_back(name, key, !receipt.properties.tags.is_empty())?;
                Ok(Found::answered(receipt, &answered))
            }
            None => Err(io::Error::other(format!("is in the bucket {name}, which can't be reached"))),
        },
    }
}

fn judged(asset: &str, receipt: &ObjectReceipt, found: io::Result<Found>) -> Option<Finding> {
    let finding = |kind, detail: String| Some(Finding::of(asset, kind, &receipt.key, detail));
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            finding(FindingKind::ObjectMissing, format!("{} is not there", receipt.path))
        }
        Err(error) if is_no_file(&error) => {
            finding(FindingKind::ObjectMissing, format!("{} is not a regular file", receipt.path))
        }
        Err(error) => finding(FindingKind::CopyUnreadable, format!("{}: {error}", receipt.path)),
        Ok(Found { size, .. }) if size != receipt.size => {
            finding(FindingKind::ObjectSize, format!("{} bytes crossed, {size} lie in {}", receipt.size, receipt.path))
        }
        Ok(Found { sha256, .. }) if sha256 != receipt.sha256 => finding(
            FindingKind::ObjectDigest,
            format!("SHA-256 {} crossed, {sha256} lies in {}", receipt.sha256, receipt.path),
        ),
        Ok(Found { differing, .. }) => {
            let detail = || format!("what lies beside the bytes differs in {}", differing.join(", "));
            differing.first().and_then(|_| finding(FindingKind::ObjectProperties, detail()))
        }
    }
}

/// The content of a location: for files the bytes count, for members of archives and objects of the target's server also
/// properties.
struct Found {
    size: u64,
    sha256: Sha256Digest,
    /// The names of the properties that differ from those transferred.
    differing: Vec<String>,
}

impl Found {
    fn bytes((size, sha256): (u64, Sha256Digest)) -> Self {
        Found { size, sha256, differing: Vec::new() }
    }

    fn member(receipt: &ObjectReceipt, member: &Member) -> Self {
        Found { size: member.size, sha256: member.sha256, differing: differing_member(receipt, member) }
    }

    fn answered(receipt: &ObjectReceipt, answered: &Answered) -> Self {
        let Answered { size, sha256, properties } = answered;
        Found { size: *size, sha256: *sha256, differing: differing(&receipt.properties, properties) }
    }
}

/// Whether something else is in the file's place: a link there or on the path (ELOOP), or anything else.
fn is_no_file(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .map(Path::to_path_buf)
        .unwrap_or_else(|_| PathBuf::from(path))
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::archive::ATTRIBUTE, *};
    use crate::transfer::{
        object::ObjectEntry,
        properties::{Item, Properties},
        receipt::Confirmation,
    };

    fn receipt(path: &str, content: &[u8]) -> ObjectReceipt {
        let entry = ObjectEntry { key: path.into(), ..ObjectEntry::default() };
        let word = Confirmation::Unavailable("test".into());
        ObjectReceipt::new(entry, path.into(), content.len() as u64, Sha256Digest::of(content), word)
    }

    fn kinds(root: &Path, receipts: Vec<ObjectReceipt>) -> Vec<FindingKind> {
        let meter = Meter::default();
        let interrupt = Interrupt::default();
        let read_back = ReadBack { asset: "a", root, meter: &meter, interrupt: &interrupt, buckets: None };
        let comparison = read_back.compare(receipts.into_iter().map(Ok)).expect("readable");
        comparison.findings.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn each_damage_is_found_by_its_kind() {
        let root = tempfile::tempdir().expect("directory");
        let write = |name: &str, content: &[u8]| fs::write(root.path().join(name), content).expect("written");
        write("same", b"same");
        write("size", b"longer");
        write("byte", b"bite");
        write("extra", b"");
        std::os::unix::fs::symlink("same", root.path().join("link")).expect("linked");
        let receipts = ["same", "size", "byte", "gone", "link"].map(|name| receipt(name, name.as_bytes()));
        let expected = [
            FindingKind::ObjectMissing,
            FindingKind::ObjectMissing,
            FindingKind::ObjectUnexpected,
            FindingKind::ObjectSize,
            FindingKind::ObjectDigest,
        ];
        assert_eq!(kinds(root.path(), receipts.to_vec()), expected);
    }

    #[test]
    fn a_receipt_cannot_lead_outside_the_directory() {
        let root = tempfile::tempdir().expect("directory");
        let outside = receipt("../../../../etc/hostname", b"");
        assert_eq!(kinds(root.path(), vec![outside]), [FindingKind::CopyUnreadable]);
    }

    /// An archive with one member that says this beside its bytes, and what is behind its end.
    fn archive(path: &Path, receipt: &ObjectReceipt, properties: &Properties, modified_s: u64, behind: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_size(receipt.size);
        header.set_mtime(modified_s);
        let records = [("key", serde_json::to_vec(&receipt.key)), ("properties", serde_json::to_vec(properties))];
        let records = records.map(|(name, value)| (format!("{ATTRIBUTE}{name}"), value.expect("JSON")));
        let mut archive = tar::Builder::new(Vec::new());
        let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        archive.append_pax_extensions(records).expect("records");
        archive.append_data(&mut header, &receipt.path, b"same".as_slice()).expect("a member");
        let mut bytes = archive.into_inner().expect("an archive");
        bytes.extend_from_slice(behind);
        fs::write(path, bytes).expect("written");
    }

    #[test]
    fn what_an_archive_says_beside_the_bytes_and_behind_its_end_is_compared() {
        let root = tempfile::tempdir().expect("directory");
        let path = root.path().join("unit.tar");
        let properties = Properties { metadata: [("owner".into(), "finance".into())].into(), ..Properties::default() };
        let entry = ObjectEntry {
            key: "k".into(),
            last_modified: Some("1970-01-01T00:00:09.5Z".into()),
            ..ObjectEntry::default()
        };
        let word = Confirmation::Unavailable("test".into());
        let receipt = ObjectReceipt::new(entry, "tree/k".into(), 4, Sha256Digest::of("same"), word);
        let carries = [Item::LastModified, Item::Metadata];
        let within = Some(Within::Archive { name: "unit.tar".into(), offset: 0 });
        let receipt = ObjectReceipt { within, ..receipt.with_properties(properties.clone(), &carries) };
        let found = |properties: &Properties, modified_s, behind: &[u8]| {
            archive(&path, &receipt, properties, modified_s, behind);
            kinds(root.path(), vec![receipt.clone()])
        };
        assert_eq!(found(&properties, 9, &[0; 8192]), []);
        let mut edited = properties.clone();
        edited.metadata.insert("owner".into(), "sales".into());
        assert_eq!(found(&edited, 9, b""), [FindingKind::ObjectProperties]);
        assert_eq!(found(&Properties::default(), 9, b""), [FindingKind::ObjectProperties]);
        assert_eq!(found(&properties, 10, b""), [FindingKind::ObjectProperties]);
        assert_eq!(found(&properties, 9, b"more"), [FindingKind::ObjectUnexpected]);
        // A member that is where its receipt says, and that a tar program passes over.
        let mut hidden = fs::read(&path).expect("read");
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(hidden.len() as u64 - 4);
        header.set_cksum();
        hidden.truncate(hidden.len() - 4);
        fs::write(&path, [header.as_bytes().as_slice(), &hidden, &[0; 1024]].concat()).expect("written");
        let within = Some(Within::Archive { name: "unit.tar".into(), offset: 512 });
        let kinds = kinds(root.path(), vec![ObjectReceipt { within, ..receipt }]);
        assert!(kinds.contains(&FindingKind::ObjectUnexpected), "{kinds:?}");
    }

    /// A target's bucket that gives every object it is asked for, and lists these keys.
    struct Listing(&'static [&'static str]);

    impl RestoredBucket for Listing {
        fn read_back(&self, _: &str, key: &str, _: bool) -> io::Result<Answered> {
            let size = key.len() as u64;
            let sha256 = Sha256Digest::of(key);
            Ok(Answered { size, sha256, properties: Properties::default() })
        }

        fn size(&self, _: &str, key: &str) -> io::Result<u64> {
            Ok(key.len() as u64)
        }

        fn content(&self, _: &str, key: &str) -> io::Result<Vec<u8>> {
            Ok(key.into())
        }

        fn each_key(&self, _: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
            self.0.iter().for_each(|key| take((*key).to_owned()));
            Ok(())
        }
    }

    /// A server whose keys differ in less than their bytes serves one object under both of two keys.
    #[test]
    fn what_the_target_s_bucket_does_not_list_is_missing() {
        let root = tempfile::tempdir().expect("directory");
        let receipts = ["a", "A"].map(|key| {
            let within = Some(Within::Bucket { name: "b".to_owned(), key: key.to_owned() });
            ObjectReceipt { within, ..receipt(key, key.as_bytes()) }
        });
        let meter = Meter::default();
        let interrupt = Interrupt::default();
        let kinds = |keys: &'static [&'static str]| {
            let buckets = Listing(keys);
            let buckets: Option<&dyn RestoredBucket> = Some(&buckets);
            let reader = ReadBack { asset: "a", root: root.path(), meter: &meter, interrupt: &interrupt, buckets };
            let compared = reader.compare(receipts.clone().into_iter().map(Ok)).expect("readable");
            compared.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&["A", "a"]), []);
        assert_eq!(kinds(&["a"]), [FindingKind::ObjectMissing]);
        assert_eq!(kinds(&["A", "a", "x"]), [FindingKind::ObjectUnexpected]);
    }

    #[test]
    fn a_look_sees_what_is_missing_and_what_has_another_size() {
        let root = tempfile::tempdir().expect("directory");
        fs::write(root.path().join("same"), b"emas").expect("written");
        fs::write(root.path().join("size"), b"longer").expect("written");
        let receipts = ["same", "size", "gone"].map(|name| Ok(receipt(name, name.as_bytes())));
        let meter = Meter::default();
        let interrupt = Interrupt::default();
        let reader = ReadBack { asset: "a", root: root.path(), meter: &meter, interrupt: &interrupt, buckets: None };
        let mut found = Vec::<Finding>::new();
        let check = reader.look_into(receipts.into_iter(), &mut found).expect("readable");
        found.sort();
        let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::ObjectMissing, FindingKind::ObjectSize]);
        assert_eq!((check.expected, check.equal), (3, 1), "contents are not read");
    }
}
