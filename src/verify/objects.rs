//! Reads restored objects back from the disk, not from the page cache, and looks for files that nobody restored.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, Mode, OFlags, ResolveFlags};
use sha2::{Digest as _, Sha256};

use super::{Comparison, in_parallel};
use crate::{
    digest::Sha256Digest,
    finding::{Finding, FindingKind},
    interrupt::Interrupt,
    transfer::{meter::Meter, receipt::ObjectReceipt},
};

const READ_BYTES: usize = 1 << 20;

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
}

impl ReadBack<'_> {
    /// Compares every receipt with the disk, then the disk with the receipts. An error means that the receipts
    /// themselves or the directory could not be read.
    pub fn compare(&self, receipts: impl Iterator<Item = ReadReceipt> + Send) -> io::Result<Comparison> {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let mut known = HashSet::new();
        let receipts = receipts.take_while(|_| !self.interrupt.asked());
        let receipts = receipts.inspect(|receipt| known.extend(receipt.iter().map(|receipt| path_id(&receipt.path))));
        let results = in_parallel(receipts, workers, |receipt| receipt.map(|receipt| self.one(&receipt)));
        let mut comparison = Comparison::new("objects");
        for result in results {
            match result? {
                Some(unread) if unread.kind == FindingKind::CopyUnreadable => comparison.not_compared(unread),
                difference => comparison.compared(difference),
            }
        }
        if !self.interrupt.asked() {
            self.find_strangers(&known, &mut comparison.findings)?;
        }
        comparison.findings.sort();
        Ok(comparison)
    }

    fn one(&self, receipt: &ObjectReceipt) -> Option<Finding> {
        let difference = check_object(self.asset, self.root, receipt);
        self.meter.add_items(1);
        self.meter.add_bytes(receipt.size);
        difference
    }

    /// Files among the restored objects that no receipt names; symbolic links are never followed.
    fn find_strangers(&self, known: &HashSet<u128>, findings: &mut Vec<Finding>) -> io::Result<()> {
        let mut directories = vec![self.root.to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                    continue;
                }
                let relative = relative(self.root, &entry.path());
                if !known.contains(&path_id(&relative)) {
                    let kind = FindingKind::ObjectUnexpected;
                    findings.push(Finding::of(self.asset, kind, relative, "no receipt names this file"));
                }
            }
        }
        Ok(())
    }
}

/// Reads one object back and says how it differs from its receipt.
pub fn check_object(asset: &str, root: &Path, receipt: &ObjectReceipt) -> Option<Finding> {
    let finding = |kind, detail: String| Some(Finding::of(asset, kind, &receipt.key, detail));
    match read_back(root, &receipt.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            finding(FindingKind::ObjectMissing, format!("{} is not there", receipt.path))
        }
        Err(error) if is_no_file(&error) => {
            finding(FindingKind::ObjectMissing, format!("{} is not a regular file", receipt.path))
        }
        Err(error) => finding(FindingKind::CopyUnreadable, format!("{}: {error}", receipt.path)),
        Ok((size, _)) if size != receipt.size => {
            finding(FindingKind::ObjectSize, format!("{} bytes crossed, {size} lie in {}", receipt.size, receipt.path))
        }
        Ok((_, sha256)) if sha256 != receipt.sha256 => finding(
            FindingKind::ObjectDigest,
            format!("SHA-256 {} crossed, {sha256} lies in {}", receipt.sha256, receipt.path),
        ),
        Ok(_) => None,
    }
}

/// Whether something lies in the file's place that is none: a link there or on the way (ELOOP), or anything else.
fn is_no_file(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Size and SHA-256 of a file below `root`, read from the disk where the kernel agrees to drop its cached pages.
pub(super) fn read_back(root: &Path, path: &str) -> io::Result<(u64, Sha256Digest)> {
    let mut file = open_beneath(root, path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        let length = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            return Ok((size, hasher.into()));
        }
        hasher.update(&buffer[..length]);
        size += length as u64;
    }
}

/// Opens a path that came from a receipt: never outside the root, never through a symbolic link (openat2(2)).
fn open_beneath(root: &Path, path: &str) -> io::Result<File> {
    let root = File::open(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve)?.into())
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .map(Path::to_path_buf)
        .unwrap_or_else(|_| PathBuf::from(path))
        .to_string_lossy()
        .into_owned()
}

fn path_id(path: &str) -> u128 {
    Sha256Digest::of(path).short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::receipt::Confirmation;

    fn receipt(path: &str, content: &[u8]) -> ObjectReceipt {
        ObjectReceipt {
            key: path.into(),
            path: path.into(),
            size: content.len() as u64,
            sha256: Sha256Digest::of(content),
            etag: None,
            version_id: None,
            last_modified: None,
            storage_class: None,
            provider_checksum: Confirmation::Unavailable("test".into()),
        }
    }

    fn kinds(root: &Path, receipts: Vec<ObjectReceipt>) -> Vec<FindingKind> {
        let (meter, interrupt) = (Meter::default(), Interrupt::default());
        let read_back = ReadBack { asset: "a", root, meter: &meter, interrupt: &interrupt };
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
