//! Reads members of tar archives back: each from where its receipt says, and every archive from its beginning to its
//! end, as a tar program would, so that nothing hides between the members.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::fs::Advice;

use super::{
    disk::{hash_all, open_beneath},
    objects::path_id,
};
use crate::digest::Sha256Digest;

/// The archives of one asset, each opened once.
pub(super) struct Archives {
    root: PathBuf,
    open: Mutex<HashMap<String, Arc<File>>>,
}

impl Archives {
    pub(super) fn below(root: &Path) -> Self {
        Archives { root: root.to_owned(), open: Mutex::default() }
    }

    /// Size and SHA-256 of the member whose first header begins at `offset`, if it has this path.
    pub(super) fn read_back(&self, archive: &str, offset: u64, path: &str) -> io::Result<(u64, Sha256Digest)> {
        let mut archive = tar::Archive::new(ReadAt { file: self.file(archive)?, offset });
        let mut member = archive.entries()?.next().ok_or(io::ErrorKind::NotFound)??;
        if member.path_bytes().as_ref() != path.as_bytes() || !member.header().entry_type().is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let announced = member.size();
        let (size, digest) = hash_all(&mut member)?;
        if size == announced { Ok((size, digest)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The content of a member.
    pub(super) fn content(&self, archive: &str, offset: u64) -> io::Result<Vec<u8>> {
        let mut archive = tar::Archive::new(ReadAt { file: self.file(archive)?, offset });
        let mut content = Vec::new();
        archive.entries()?.next().ok_or(io::ErrorKind::NotFound)??.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Members of an archive that no receipt names, or that come twice.
    pub(super) fn strangers(&self, name: &str, known: &HashSet<u128>) -> io::Result<Vec<String>> {
        let file = open_beneath(&self.root, name)?;
        let (mut strangers, mut seen) = (Vec::new(), HashSet::new());
        let mut archive = tar::Archive::new(io::BufReader::new(file));
        for member in archive.entries_with_seek()? {
            let path = String::from_utf8_lossy(&member?.path_bytes()).into_owned();
            if !known.contains(&path_id(&path)) || !seen.insert(path_id(&path)) {
                strangers.push(format!("{name}: {path}"));
            }
        }
        Ok(strangers)
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
