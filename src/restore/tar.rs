//! Objects as members of archives: one POSIX (pax) archive for each unit, for any key.
//!
//! A member's region is reserved when its first bytes arrive, so that objects are written in parallel, each at its own
//! offset, without a file of its own. Failed members leave holes; an archive with holes is rewritten
//! without them before it gets its name. A member's name is the key's place in a tree of files, so
//! that extracting is safe everywhere; key, version, metadata, tags and headers are in pax records under
//! `SCHILY.xattr.user.walkaway.`, which GNU tar and bsdtar read as extended attributes and ignore by default.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{member, place::Places, write_behind::WriteBehind};
use crate::{
    domain::digest::Sha256Digest,
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink, PendingObject, Refused, UnitSink},
        properties::Item,
        receipt::{ObjectReceipt, Within},
        unit::UnitId,
    },
};

/// Archives are here until they are complete.
const STAGING: &str = ".staging";
/// Two blocks of zeros end an archive (POSIX.1-2017, pax, "ustar Interchange Format").
const TRAILER_BYTES: u64 = 1024;
/// Small writes of one member are combined up to this many bytes.
const GATHERED_BYTES: usize = 1 << 20;
const COPY_BYTES: usize = 1 << 20;

/// The directory of one asset, which holds its archives.
pub struct TarArchives {
    root: PathBuf,
    places: Mutex<Places>,
}

impl TarArchives {
    /// Opens the asset's directory, creates it if missing, and clears what an interrupted unit left in staging.
    pub fn open(root: PathBuf) -> Result<Self, SinkError> {
        let staging = root.join(STAGING);
        remove_staging(&staging)?;
        fs::create_dir_all(&staging).map_err(|error| SinkError::write(&staging, error))?;
        Ok(TarArchives { root, places: Mutex::default() })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectSink for TarArchives {
    fn place(&self, entry: &ObjectEntry) -> String {
        self.places().place_entry(entry)
    }

    fn carries(&self) -> &'static [Item] {
        &[
            Item::Version,
            Item::LastModified,
            Item::ContentHeaders,
            Item::Metadata,
            Item::Tags,
            Item::WebsiteRedirect,
            Item::Checksums,
        ]
    }

    fn occupy(&self, _key: &str, place: &str) {
        self.places().occupy(place);
    }

    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError> {
        let failed = |error| SinkError::write(&self.root, error);
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let known = recorded.contains(&Sha256Digest::of(entry.file_name().to_string_lossy().as_bytes()).short());
            if entry.file_type().map_err(failed)?.is_file() && !known {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        let name = format!("{unit}.tar");
        let staged = self.root.join(STAGING).join(&name);
        Ok(Box::new(TarUnit {
            file: Arc::new(new_file(&staged)?),
            root: self.root.clone(),
            name,
            staged,
            laid: Mutex::default(),
        }))
    }

    fn close(&self) -> Result<(), SinkError> {
        remove_staging(&self.root.join(STAGING))
    }
}

fn new_file(path: &Path) -> Result<File, SinkError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.map_err(|error| SinkError::write(path, error))
}

fn remove_staging(path: &Path) -> Result<(), SinkError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SinkError::write(path, error)),
        _ => Ok(()),
    }
}

/// The region of a member, from its first header to the end of its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    offset: u64,
    length: u64,
}

/// What is reserved in an archive.
#[derive(Default)]
struct Laid {
    end: u64,
    by_index: HashMap<usize, Region>,
}

struct TarUnit {
    root: PathBuf,
    name: String,
    staged: PathBuf,
    file: Arc<File>,
    laid: Mutex<Laid>,
}

impl TarUnit {
    fn laid(&self) -> MutexGuard<'_, Laid> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> impl Fn(io::Error) -> SinkError + '_ {
        |error| SinkError::write(&self.staged, error)
    }

    /// The regions that are published, by their offsets.
    fn published(&self, published: &[(usize, ObjectReceipt)]) -> Result<BTreeMap<u64, (usize, Region)>, SinkError> {
        let laid = self.laid();
        let regions = published.iter().enumerate().map(|(position, (index, _))| {
            let region = laid.by_index.get(index).ok_or_else(|| (self.failed())(io::ErrorKind::NotFound.into()))?;
            Ok((region.offset, (position, *region)))
        });
        regions.collect()
    }

    /// Rewrites the archive with the published members only, and returns their new offsets.
    fn without_holes(&self, regions: &mut BTreeMap<u64, (usize, Region)>) -> Result<(Arc<File>, PathBuf), SinkError> {
        let path = self.staged.with_extension("compact");
        let compact = new_file(&path)?;
        let mut end = 0;
        for (_, region) in regions.values_mut() {
            copy(&self.file, *region, &compact, end).map_err(self.failed())?;
            region.offset = end;
            end += region.length;
        }
        Ok((Arc::new(compact), path))
    }
}

fn copy(from: &File, region: Region, to: &File, offset: u64) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0;
    while done < region.length {
        let step = usize::try_from(region.length - done).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        from.read_exact_at(&mut buffer[..step], region.offset + done)?;
        to.write_all_at(&buffer[..step], offset + done)?;
        done += step as u64;
    }
    Ok(())
}

impl UnitSink for TarUnit {
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        let headers = member::headers(arriving);
        let size = arriving.object.entry.size;
        let length = headers.len() as u64 + member::padded(size);
        let mut laid = self.laid();
        // A region of its own for every attempt: the thread of an abandoned one may still write into the last.
        let region = Region { offset: laid.end, length };
        laid.end += length;
        laid.by_index.insert(index, region);
        let file = Arc::clone(&self.file);
        let path = self.staged.clone();
        Ok(Box::new(PendingMember {
            file,
            path,
            offset: region.offset,
            gathered: headers,
            size,
            written: 0,
            behind: WriteBehind::from(region.offset),
        }))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        let mut regions = self.published(published)?;
        if regions.is_empty() {
            return fs::remove_file(&self.staged).map(|()| Refused::new()).map_err(self.failed());
        }
        let live: u64 = regions.values().map(|(_, region)| region.length).sum();
        let whole = live == self.laid().end;
        let (file, path) =
            if whole { (Arc::clone(&self.file), self.staged.clone()) } else { self.without_holes(&mut regions)? };
        // Zeros, and nothing that an abandoned attempt may have left behind.
        file.set_len(live).and_then(|()| file.set_len(live + TRAILER_BYTES)).map_err(self.failed())?;
        file.sync_all().map_err(self.failed())?;
        fs::rename(&path, self.root.join(&self.name)).map_err(self.failed())?;
        if !whole {
            fs::remove_file(&self.staged).map_err(self.failed())?;
        }
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(self.failed())?;
        for (position, region) in regions.values() {
            let within = Within::Archive { name: self.name.clone(), offset: region.offset };
            published[*position].1.within = Some(within);
        }
        Ok(Refused::new())
    }
}

impl Drop for TarUnit {
    fn drop(&mut self) {
        // After a commit nothing is left; after a failure the remains are cleared at the next start.
        let _ = fs::remove_file(&self.staged);
        let _ = fs::remove_file(self.staged.with_extension("compact"));
    }
}

/// One member being written into its region.
struct PendingMember {
    file: Arc<File>,
    path: PathBuf,
    /// The offset of the next bytes.
    offset: u64,
    gathered: Vec<u8>,
    /// Bytes that the header announces.
    size: u64,
    written: u64,
    behind: WriteBehind,
}

impl PendingMember {
    fn flush(&mut self) -> Result<(), SinkError> {
        let written = self.file.write_all_at(&self.gathered, self.offset);
        written.map_err(|error| SinkError::write(&self.path, error))?;
        self.offset += self.gathered.len() as u64;
        self.gathered.clear();
        self.behind.reached(&self.file, self.offset);
        Ok(())
    }

    /// A member must not extend into the next one.
    fn check_size(&self, fits: bool) -> Result<(), SinkError> {
        let reason = format!("a member of {} bytes got {}", self.size, self.written);
        let wrong = || SinkError::write(&self.path, io::Error::new(io::ErrorKind::InvalidData, reason));
        if fits { Ok(()) } else { Err(wrong()) }
    }
}

impl PendingObject for PendingMember {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.written += bytes.len() as u64;
        self.check_size(self.written <= self.size)?;
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED_BYTES { self.flush() } else { Ok(()) }
    }

    /// Errors that the kernel defers are reported by the archive's sync.
    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.check_size(self.written == self.size)?;
        let padding = member::padded(self.size) - self.size;
        self.gathered.extend(std::iter::repeat_n(0, padding as usize));
        self.flush()?;
        self.behind.ended(&self.file, self.offset);
        Ok(())
    }
}
