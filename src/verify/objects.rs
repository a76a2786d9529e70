//! Reads restored objects back from the disk, not from the page cache, and looks for files and members of archives that
//! nobody restored.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Comparison, archive::Archives, disk::read_back, in_parallel, properties::differing};
use crate::{
    digest::Sha256Digest,
    evidence::result::Check,
    finding::{Finding, FindingKind, TakesFindings},
    interrupt::Interrupt,
    transfer::{
        meter::Meter,
        object::{Answered, RestoredBucket},
        properties::Properties,
        receipt::{ObjectReceipt, Within},
    },
};

/// Readers wait for the disk more than they hash, so there are more of them than cores.
const READERS_PER_CORE: usize = 4;

/// A receipt as it comes from disk.
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

    /// Compares every receipt with the disk, then the disk with the receipts; what differs is handed on as it is found,
    /// in no order. An error means that the receipts themselves or the directory could not be read.
    pub fn compare_into(
        &self,
        receipts: impl Iterator<Item = ReadReceipt> + Send,
        findings: &mut (dyn TakesFindings + Send),
    ) -> io::Result<Check> {
        let copies = Copies { root: self.root, archives: Archives::below(self.root), buckets: self.buckets };
        let workers = std::thread::available_parallelism().map_or(2, usize::from) * READERS_PER_CORE;
        let mut known = Named::default();
        let receipts = receipts.take_while(|_| !self.interrupt.asked());
        let receipts = receipts.filter(|receipt| !receipt.as_ref().is_ok_and(ObjectReceipt::is_marker));
        let receipts = receipts.inspect(|receipt| receipt.iter().for_each(|receipt| known.take(receipt)));
        let (found, broken) = (Mutex::new((Comparison::new("objects").check, findings)), Mutex::new(None));
        in_parallel(receipts, workers, |receipt| match receipt {
            Ok(receipt) => {
                let difference = self.one(&copies, &receipt);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.0.count(difference.as_ref().map(|difference| difference.kind));
                difference.into_iter().for_each(|difference| found.1.take(difference));
            }
            Err(error) => *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
        });
        if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let (check, findings) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !self.interrupt.asked() {
            self.find_strangers(&known, &copies, findings)?;
        }
        Ok(check)
    }

    fn one(&self, copies: &Copies<'_>, receipt: &ObjectReceipt) -> Option<Finding> {
        let difference = check_in(self.asset, copies, receipt);
        self.meter.add_items(1);
        self.meter.add_bytes(receipt.size);
        difference
    }

    /// Files among the restored objects that no receipt names; symbolic links are never followed. Then members of
    /// archives.
    fn find_strangers(
        &self,
        known: &Named,
        copies: &Copies<'_>,
        findings: &mut (dyn TakesFindings + Send),
    ) -> io::Result<()> {
        let mut strange = |what: String, detail: &str| {
            findings.take(Finding::of(self.asset, FindingKind::ObjectUnexpected, what, detail));
        };
        for archive in &known.archives {
            match copies.archives.strangers(archive, &known.paths) {
                Ok(members) => members.into_iter().for_each(|member| strange(member, "no receipt names this member")),
                // That its members are missing has been found already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => strange(archive.clone(), &format!("cannot be read to its end as an archive: {error}")),
            }
        }
        for (bucket, keys) in &known.keys {
            let Some(reader) = copies.buckets else { continue };
            reader.each_key(bucket, &mut |key| {
                if !keys.contains(&path_id(&key)) {
                    strange(key, "no receipt names this object of the target's bucket");
                }
            })?;
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
                if !known.files.contains(&path_id(&relative)) && !known.archives.contains(&relative) {
                    strange(relative, "no receipt names this file");
                }
            }
        }
        Ok(())
    }
}

/// What the receipts name: files, archives, and members of archives.
#[derive(Default)]
struct Named {
    files: HashSet<u128>,
    archives: BTreeSet<String>,
    paths: HashSet<u128>,
    /// By the bucket.
    keys: BTreeMap<String, HashSet<u128>>,
}

/// Where restored objects can lie.
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
                if !self.archives.contains(name) {
                    self.archives.insert(name.clone());
                }
                self.paths.insert(path_id(&receipt.path));
            }
            Some(Within::Bucket { name, key }) => {
                self.keys.entry(name.clone()).or_default().insert(path_id(key));
            }
        }
    }
}

/// Reads one object back and says how it differs from its receipt.
pub fn check_object(
    asset: &str,
    root: &Path,
    buckets: Option<&dyn RestoredBucket>,
    receipt: &ObjectReceipt,
) -> Option<Finding> {
    check_in(asset, &Copies { root, archives: Archives::below(root), buckets }, receipt)
}

fn check_in(asset: &str, copies: &Copies<'_>, receipt: &ObjectReceipt) -> Option<Finding> {
    let finding = |kind, detail: String| Some(Finding::of(asset, kind, &receipt.key, detail));
    let found = match &receipt.within {
        None => read_back(copies.root, &receipt.path).map(Found::bytes),
        Some(Within::Archive { name, offset }) => {
            copies.archives.read_back(name, *offset, &receipt.path).map(Found::bytes)
        }
        Some(Within::Bucket { name, key }) => match copies.buckets {
            Some(buckets) => buckets.read_back(name, key, !receipt.properties.tags.is_empty()).map(Found::answered),
            None => Err(io::Error::other(format!("lies in the bucket {name}, which can't be reached"))),
        },
    };
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
        Ok(Found { properties: Some(there), .. }) => {
            let differ = differing(&receipt.properties, &there);
            let detail = || format!("the target's answer differs in {}", differ.join(", "));
            differ.first().and_then(|_| finding(FindingKind::ObjectProperties, detail()))
        }
        Ok(_) => None,
    }
}

/// What a place holds: of files and members of archives the bytes count, a server of the target also answers for what lies
/// beside them.
struct Found {
    size: u64,
    sha256: Sha256Digest,
    properties: Option<Properties>,
}

impl Found {
    fn bytes((size, sha256): (u64, Sha256Digest)) -> Self {
        Found { size, sha256, properties: None }
    }

    fn answered(answered: Answered) -> Self {
        let Answered { size, sha256, properties } = answered;
        Found { size, sha256, properties: Some(properties) }
    }
}

/// Whether something lies in the file's place that is none: a link there or on the way (ELOOP), or anything else.
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

pub(super) fn path_id(path: &str) -> u128 {
    Sha256Digest::of(path).short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::{object::ObjectEntry, receipt::Confirmation};

    fn receipt(path: &str, content: &[u8]) -> ObjectReceipt {
        let entry = ObjectEntry { key: path.into(), ..ObjectEntry::default() };
        let word = Confirmation::Unavailable("test".into());
        ObjectReceipt::new(entry, path.into(), content.len() as u64, Sha256Digest::of(content), word)
    }

    fn kinds(root: &Path, receipts: Vec<ObjectReceipt>) -> Vec<FindingKind> {
        let (meter, interrupt) = (Meter::default(), Interrupt::default());
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
}
