//! Reads members of tar archives back: each at its receipt's offset, and every archive from its beginning to its
//! end, as a tar program would, so that nothing hides between the members or after the last. Properties in pax records
//! are read back with the bytes.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::fs::Advice;

use super::disk::{hash_all, open_beneath, path_id};
use crate::{domain::digest::Sha256Digest, transfer::properties::Properties};

/// The archives of one asset, each opened once.
pub(super) struct Archives {
    root: PathBuf,
    open: Mutex<HashMap<String, Arc<File>>>,
}

impl Archives {
    pub(super) fn below(root: &Path) -> Self {
        Archives { root: root.to_owned(), open: Mutex::default() }
    }

    /// The member whose first header begins at `offset`, if it has this path.
    pub(super) fn read_back(&self, archive: &str, offset: u64, path: &str) -> io::Result<Member> {
        let mut archive = tar::Archive::new(ReadAt { file: self.file(archive)?, offset });
        let mut member = archive.entries()?.next().ok_or(io::ErrorKind::NotFound)??;
        if member.path_bytes().as_ref() != path.as_bytes() || !member.header().entry_type().is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let announced = member.size();
        let modified_s = member.header().mtime()?;
        let records = records(&mut member)?;
        let (size, sha256) = hash_all(&mut member)?;
        if size == announced {
            Ok(Member { size, sha256, modified_s, records })
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// The size of the member whose first header begins at `offset`, if it has this path and the archive reaches to its end.
    pub(super) fn size(&self, archive: &str, offset: u64, path: &str) -> io::Result<u64> {
        let file = self.file(archive)?;
        let length = file.metadata()?.len();
        let mut archive = tar::Archive::new(ReadAt { file, offset });
        let member = archive.entries()?.next().ok_or(io::ErrorKind::NotFound)??;
        if member.path_bytes().as_ref() != path.as_bytes() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let begins = offset + member.raw_file_position();
        Ok(member.size().min(length.saturating_sub(begins)))
    }

    /// The content of a member, up to a number of bytes.
    pub(super) fn content(&self, archive: &str, offset: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut archive = tar::Archive::new(ReadAt { file: self.file(archive)?, offset });
        let mut content = Vec::new();
        let member = archive.entries()?.next().ok_or(io::ErrorKind::NotFound)??;
        member.take(bytes_max).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Faults of an archive as a whole: members that no receipt names or that occur twice, members that can't be
    /// reached from its beginning, and anything after its end.
    pub(super) fn unexpected(
        &self,
        name: &str,
        known: &HashSet<u128>,
        members: u64,
    ) -> io::Result<Vec<(String, String)>> {
        let file = open_beneath(&self.root, name)?;
        let mut unexpected = Vec::new();
        let mut seen = HashSet::new();
        let mut end = 0;
        let mut archive = tar::Archive::new(io::BufReader::new(&file));
        for member in archive.entries_with_seek()? {
            let member = member?;
            end = (member.raw_file_position() + member.size()).next_multiple_of(BLOCK_BYTES);
            let path = String::from_utf8_lossy(&member.path_bytes()).into_owned();
            if !known.contains(&path_id(&path)) || !seen.insert(path_id(&path)) {
                unexpected.push((format!("{name}: {path}"), "no receipt names this member".to_owned()));
            }
        }
        let reached = seen.len() as u64;
        if reached < members {
            let detail = format!("a tar program gets to {reached} of the {members} members only");
            unexpected.push((name.to_owned(), detail));
        }
        if !is_zero_from(&file, end)? {
            unexpected.push((name.to_owned(), "there is data after the end of the archive".to_owned()));
        }
        Ok(unexpected)
    }

    /// Opened beneath the root, its cached pages dropped where the kernel agrees.
    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(name) {
            return Ok(Arc::clone(file));
        }
        let file = open_beneath(&self.root, name)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        // Receipts come in the order of their keys, and a unit holds neighbours: few archives are in use at a time.
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        Ok(Arc::clone(open.entry(name.to_owned()).or_insert(Arc::new(file))))
    }
}

const OPEN_MAX: usize = 64;
const BLOCK_BYTES: u64 = 512;
/// Extended attributes of this prefix are walkaway's own.
pub(super) const ATTRIBUTE: &str = "SCHILY.xattr.user.walkaway.";

/// A member as stored in its archive.
pub(super) struct Member {
    pub size: u64,
    pub sha256: Sha256Digest,
    /// Seconds since 1970, from its header.
    pub modified_s: u64,
    pub records: Records,
}

/// The pax records of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub key: Option<String>,
    pub version_id: Option<String>,
    pub properties: Properties,
}

/// Reads walkaway's own records of a member; one that can't be read is an error.
fn records(member: &mut tar::Entry<'_, impl Read>) -> io::Result<Records> {
    let mut records = Records::default();
    for record in member.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        match record.key_bytes().strip_prefix(ATTRIBUTE.as_bytes()) {
            Some(b"key") => records.key = Some(serde_json::from_slice(record.value_bytes())?),
            Some(b"version_id") => records.version_id = Some(serde_json::from_slice(record.value_bytes())?),
            Some(b"properties") => records.properties = serde_json::from_slice(record.value_bytes())?,
            _ => {}
        }
    }
    Ok(records)
}

/// Whether a file holds nothing but zeros from an offset on.
fn is_zero_from(file: &File, mut offset: u64) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(true),
            length if buffer[..length].iter().any(|byte| *byte != 0) => return Ok(false),
            length => offset += length as u64,
        }
    }
}

/// A file from an offset on, read without moving the cursor that its threads share.
struct ReadAt {
    file: Arc<File>,
    offset: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
