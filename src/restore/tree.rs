//! Objects as files: staged under temporary names, synced together, then renamed.
//!
//! `commit` costs two `syncfs` for the whole unit instead of an `fsync` for each file: Linux reports write-back errors
//! from `syncfs` since 5.8 (man-pages, syncfs(2)).

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    file::PendingFile,
    merge::{discard, move_into, move_to},
    place::Places,
};
use crate::{
    domain::digest::Sha256Digest,
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink, PendingObject, Refused, UnitSink},
        receipt::ObjectReceipt,
        unit::UnitId,
    },
};

/// Temporary names are here, inside the asset's directory and so on its file system.
const STAGING: &str = ".staging";
/// Within a unit's staging area, where objects are that are not at their place yet.
const UNPLACED: &str = ".unplaced";

/// The directory of one asset.
pub struct Tree {
    root: PathBuf,
    places: Mutex<Places>,
}

impl Tree {
    /// Opens the asset's directory, creates it if missing, and clears what an interrupted unit left in staging.
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
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(Box::new(TreeUnit { root: self.root.clone(), staging, staged: Mutex::default() }))
    }

    fn close(&self) -> Result<(), SinkError> {
        remove_tree(&self.root.join(STAGING))
    }
}

/// The staging area has the layout of the asset's directory, so that whole directories can be moved.
struct TreeUnit {
    root: PathBuf,
    staging: PathBuf,
    /// The occupied places in the staging area, and by which index.
    staged: Mutex<HashMap<String, usize>>,
}

impl TreeUnit {
    /// Where the object with this index is written: at its place, unless another one of the unit has it.
    fn path_for(&self, index: usize, place: &str) -> PathBuf {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        match staged.get(place) {
            Some(holder) if *holder != index => self.unplaced(index),
            Some(_) => self.staging.join(place),
            None => {
                staged.insert(place.to_owned(), index);
                self.staging.join(place)
            }
        }
    }

    fn unplaced(&self, index: usize) -> PathBuf {
        self.staging.join(UNPLACED).join(index.to_string())
    }

    /// Moves everything that has a receipt to its final name, and discards the rest.
    fn publish(&self, published: &[(usize, ObjectReceipt)]) -> Result<(), SinkError> {
        let mut staged = std::mem::take(&mut *self.staged.lock().unwrap_or_else(PoisonError::into_inner));
        let (in_place, elsewhere): (Vec<_>, Vec<_>) =
            published.iter().partition(|(index, receipt)| staged.get(&receipt.path) == Some(index));
        let places: HashMap<_, _> = if elsewhere.is_empty() {
            HashMap::new()
        } else {
            staged.iter().map(|(place, index)| (*index, self.staging.join(place))).collect()
        };
        let path_of = |index: &usize| places.get(index).cloned().unwrap_or_else(|| self.unplaced(*index));
        for (index, receipt) in &elsewhere {
            let path = path_of(index);
            fs::symlink_metadata(&path).map_err(|error| SinkError::write(&receipt.path, error))?;
        }
        for (index, receipt) in &elsewhere {
            move_to(&path_of(index), &self.root.join(&receipt.path))?;
        }
        for (_, receipt) in in_place {
            staged.remove(&receipt.path);
        }
        staged.keys().try_for_each(|place| discard(&self.staging.join(place), &self.staging))?;
        remove_tree(&self.staging.join(UNPLACED))?;
        move_into(&self.staging, &self.root)
    }

    fn sync(&self) -> Result<(), SinkError> {
        let failed = |error| SinkError::write(&self.root, error);
        let root = File::open(&self.root).map_err(failed)?;
        rustix::fs::syncfs(&root).map_err(|errno| failed(errno.into()))
    }
}

impl UnitSink for TreeUnit {
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        Ok(Box::new(PendingFile::create(self.path_for(index, &arriving.object.place))?))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        self.sync()?;
        self.publish(published)?;
        remove_tree(&self.staging)?;
        self.sync()?;
        Ok(Refused::new())
    }
}

impl Drop for TreeUnit {
    fn drop(&mut self) {
        // After a commit nothing is left; after a failure the remains are cleared at the next start.
        let _ = fs::remove_dir_all(&self.staging);
    }
}

pub(super) fn remove_tree(path: &Path) -> Result<(), SinkError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SinkError::write(path, error)),
        _ => Ok(()),
    }
}
