//! Reads a restored file back from the disk and hashes it.
//!
//! Past the page cache (open(2), O_DIRECT), so that what is compared is what the disk returns; where the file system
//! cannot do that, the kernel is asked to drop the cached pages first. A large file is read ahead by a second thread.

use std::{
    cell::RefCell,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use rustix::fs::{Advice, Mode, OFlags, ResolveFlags, fadvise, fcntl_getfl, fcntl_setfl, openat2};
use sha2::{Digest as _, Sha256};

use crate::domain::digest::Sha256Digest;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 20;
/// The alignment of addresses, offsets and lengths; no disk requires more.
const ALIGNMENT: usize = 4096;
/// Files of at least this size are read ahead of the hashing.
const AHEAD_BYTES_MIN: u64 = 16 << 20;
/// Buffers that wait to be hashed, besides the two in use.
const BUFFERS_WAITING: usize = 2;

thread_local! {
    /// One buffer for all small files that a thread reads.
    static BUFFER: RefCell<Buffer> = RefCell::new(Buffer::new());
}

/// Size and SHA-256 of a file below `root`.
pub(super) fn read_back(root: &Path, path: &str) -> io::Result<(u64, Sha256Digest)> {
    let mut reading = Reading::begin(open_beneath(root, path)?)?;
    if reading.length >= AHEAD_BYTES_MIN {
        return read_ahead(reading);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let mut total = Total::default();
        while reading.fill(buffer)? {
            total.add(buffer);
        }
        Ok(total.finish())
    })
}

/// Hashes on this thread what another one reads.
fn read_ahead(mut reading: Reading) -> io::Result<(u64, Sha256Digest)> {
    let (full, filled) = sync_channel(BUFFERS_WAITING);
    let (empty, emptied) = channel();
    for _ in 0..BUFFERS_WAITING + 2 {
        // The receiver is here until the thread takes it.
        drop(empty.send(Buffer::new()));
    }
    thread::scope(|scope| {
        scope.spawn(move || reading.fill_all(&emptied, &full));
        let mut total = Total::default();
        for buffer in filled {
            let buffer = buffer?;
            total.add(&buffer);
            // The reading thread may have ended already.
            drop(empty.send(buffer));
        }
        Ok(total.finish())
    })
}

/// A block of memory that starts at a multiple of the alignment.
struct Buffer {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        let memory = vec![0; BUFFER_BYTES + ALIGNMENT];
        // If this guess is wrong, the read fails and the file is read the ordinary way.
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Buffer { memory, start, filled: 0 }
    }

    fn content(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled]
    }

    fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.start + self.filled..self.start + BUFFER_BYTES]
    }
}

#[derive(Default)]
struct Total {
    size: u64,
    sha256: Sha256,
}

impl Total {
    fn add(&mut self, buffer: &Buffer) {
        self.sha256.update(buffer.content());
        self.size += buffer.filled as u64;
    }

    fn finish(self) -> (u64, Sha256Digest) {
        (self.size, self.sha256.into())
    }
}

/// A file from its beginning to its end.
struct Reading {
    file: File,
    length: u64,
    offset: u64,
    direct: bool,
}

impl Reading {
    fn begin(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut reading = Reading { file, length: metadata.len(), offset: 0, direct: true };
        if set_direct(&reading.file, true).is_err() {
            reading.go_through_the_cache()?;
        }
        Ok(reading)
    }

    /// From here on through the page cache, with this file evicted as far as the kernel allows.
    fn go_through_the_cache(&mut self) -> io::Result<()> {
        if self.direct {
            self.direct = false;
            set_direct(&self.file, false)?;
            fadvise(&self.file, 0, None, Advice::DontNeed)?;
        }
        Ok(())
    }

    /// Fills the buffer, or as much of it as possible; returns whether anything was read.
    fn fill(&mut self, buffer: &mut Buffer) -> io::Result<bool> {
        buffer.filled = 0;
        while self.offset < self.length && !buffer.room().is_empty() {
            let length = match self.file.read_at(buffer.room(), self.offset) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && self.direct => {
                    self.go_through_the_cache()?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            buffer.filled += length;
            self.offset += length as u64;
        }
        Ok(buffer.filled > 0)
    }

    fn fill_all(&mut self, empty: &Receiver<Buffer>, full: &SyncSender<io::Result<Buffer>>) {
        for mut buffer in empty {
            let filled = match self.fill(&mut buffer) {
                Ok(true) => Ok(buffer),
                Ok(false) => return,
                Err(error) => Err(error),
            };
            let goes_on = filled.is_ok();
            if full.send(filled).is_err() || !goes_on {
                return;
            }
        }
    }
}

fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(fcntl_setfl(file, flags)?)
}

/// Size and SHA-256 of all that a reader yields.
pub(super) fn hash_all(reader: &mut impl io::Read) -> io::Result<(u64, Sha256Digest)> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut size = 0;
        let mut sha256 = Sha256::new();
        loop {
            let length = match reader.read(&mut buffer.memory) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                length => length?,
            };
            if length == 0 {
                return Ok((size, sha256.into()));
            }
            sha256.update(&buffer.memory[..length]);
            size += length as u64;
        }
    })
}

/// Opens a path that came from a receipt: never outside the root, never through a symbolic link (openat2(2)).
pub(super) fn open_beneath(root: &Path, path: &str) -> io::Result<File> {
    let root = File::open(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(&root, path, flags, Mode::empty(), resolve)?.into())
}

/// A short key for a path in large sets.
pub(super) fn path_id(path: &str) -> u128 {
    Sha256Digest::of(path).short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_read_as_it_lies_there() {
        let root = tempfile::tempdir_in(".").expect("directory");
        let edge = BUFFER_BYTES;
        let ahead = AHEAD_BYTES_MIN as usize;
        for size in [0, 1, 4095, 4096, 4097, edge - 1, edge, edge + 1, ahead - 1, ahead, ahead + edge + 77] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 7 + at / 4099) as u8).collect();
            std::fs::write(root.path().join("file"), &bytes).expect("written");
            let read = read_back(root.path(), "file").expect("read");
            assert_eq!(read, (size as u64, Sha256Digest::of(&bytes)));
        }
    }
}
