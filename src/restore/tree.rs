//! Objects as files: staged under temporary names, synced together, then renamed.
//!
//! `commit` costs two `syncfs` for the whole unit instead of an `fsync` for each file: Linux reports write-back errors
//! from `syncfs` since 5.8 (man-pages, syncfs(2)).

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::place::Places;
use crate::{
    digest::Sha256Digest,
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink, PendingObject, UnitSink},
        receipt::ObjectReceipt,
        unit::UnitId,
    },
};

/// Temporary names live here, inside the asset's directory and so on its file system.
const STAGING: &str = ".staging";

/// The directory of one asset.
pub struct Tree {
    root: PathBuf,
    places: Mutex<Places>,
}

impl Tree {
    /// Opens the asset's directory, makes it if it isn't there, and clears what an interrupted unit left in staging.
    pub fn open(root: PathBuf) -> Result<Self, SinkError> {
        let staging = root.join(STAGING);
        remove_tree(&staging)?;
        fs::create_dir_all(&staging).map_err(|error| SinkError::write(&staging, error))?;
        Ok(Tree { root, places: Mutex::default() })
    }

    fn place_id(&self, path: &Path) -> u128 {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        Sha256Digest::of(relative.to_string_lossy().as_bytes()).short()
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ObjectSink for Tree {
    fn place(&self, entry: &ObjectEntry) -> String {
        self.places().place_entry(entry)
    }

    fn occupy(&self, _key: &str, place: &str) {
        self.places().occupy(place);
    }

    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError> {
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            let failed = |error| SinkError::write(&directory, error);
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                if entry.file_type().map_err(failed)?.is_dir() {
                    directories.push(entry.path());
                } else if !recorded.contains(&self.place_id(&entry.path())) {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        let staging = self.root.join(STAGING).join(unit.as_str());
        fs::create_dir(&staging).map_err(|error| SinkError::write(&staging, error))?;
        Ok(Box::new(TreeUnit { root: self.root.clone(), staging }))
    }

    fn close(&self) -> Result<(), SinkError> {
        remove_tree(&self.root.join(STAGING))
    }
}

struct TreeUnit {
    root: PathBuf,
    staging: PathBuf,
}

impl TreeUnit {
    fn staged(&self, index: usize) -> PathBuf {
        self.staging.join(index.to_string())
    }

    fn publish(&self, index: usize, place: &Path) -> Result<(), SinkError> {
        let target = self.root.join(place);
        let failed = |error| SinkError::write(&target, error);
        if let Err(error) = fs::rename(self.staged(index), &target) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(failed(error));
            }
            let directory = target.parent().unwrap_or(&self.root);
            fs::create_dir_all(directory).map_err(|error| SinkError::write(directory, error))?;
            fs::rename(self.staged(index), &target).map_err(failed)?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), SinkError> {
        let failed = |error| SinkError::write(&self.root, error);
        let root = File::open(&self.root).map_err(failed)?;
        rustix::fs::syncfs(&root).map_err(|errno| failed(errno.into()))
    }
}

impl UnitSink for TreeUnit {
    fn create(&self, index: usize, _: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        pending_file(self.staged(index))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<(), SinkError> {
        self.sync()?;
        published.iter().try_for_each(|(index, receipt)| self.publish(*index, Path::new(&receipt.path)))?;
        remove_tree(&self.staging)?;
        self.sync()
    }
}

impl Drop for TreeUnit {
    fn drop(&mut self) {
        // After a commit there is nothing left; after a failure what remains is cleared again at the next start.
        let _ = fs::remove_dir_all(&self.staging);
    }
}

/// Opens a temporary file. It is a file of its own: the thread of an attempt that was given up may still write into the
/// one before.
pub(super) fn pending_file(path: PathBuf) -> Result<Box<dyn PendingObject>, SinkError> {
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&path).and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path))
        }
        opened => opened,
    };
    let file = file.map_err(|error| SinkError::write(&path, error))?;
    Ok(Box::new(PendingFile { path, file }))
}

struct PendingFile {
    path: PathBuf,
    file: File,
}

impl PendingObject for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.file.write_all(bytes).map_err(|error| SinkError::write(&self.path, error))
    }

    /// Errors that the kernel keeps for the close or later come out of the unit's `syncfs`.
    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        drop(self.file);
        Ok(())
    }
}

pub(super) fn remove_tree(path: &Path) -> Result<(), SinkError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SinkError::write(path, error)),
        _ => Ok(()),
    }
}
