//! One file of the restored copy while it is being written: small ones through the page cache, large ones past it.
//!
//! Writing past the page cache (open(2), O_DIRECT) costs a tenth of the CPU, leaves the cache to those who need it, and
//! means that what is read back later comes from the disk. A file system that cannot do it is written the ordinary way.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::transfer::{error::SinkError, object::PendingObject};

/// Files of at least this size are written past the page cache.
const DIRECT_BYTES_MIN: u64 = 1 << 20;
/// What is written at once.
const BUFFER_BYTES: usize = 2 << 20;
/// What addresses, offsets and lengths are multiples of; no disk asks for more.
const ALIGNMENT: usize = 4096;

/// Buffers for direct writes, used again and again.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Buffer>>>);

impl Buffers {
    fn take(&self) -> Buffer {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(Buffer::new)
    }

    fn give_back(&self, mut buffer: Buffer) {
        buffer.filled = 0;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// A stretch of memory that begins at a multiple of the alignment.
struct Buffer {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        let memory = vec![0; BUFFER_BYTES + ALIGNMENT];
        // Where the machine cannot tell, the write fails and the file is written the ordinary way.
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Buffer { memory, start, filled: 0 }
    }

    /// Takes what fits and returns the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.filled));
        let at = self.start + self.filled;
        self.memory[at..at + now.len()].copy_from_slice(now);
        self.filled += now.len();
        later
    }

    fn is_full(&self) -> bool {
        self.filled == BUFFER_BYTES
    }

    fn content(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled]
    }
}

/// A new file; nobody else writes into it.
pub(super) struct PendingFile {
    path: PathBuf,
    file: File,
    /// Where the next byte goes.
    offset: u64,
    direct: Option<Buffer>,
    buffers: Buffers,
}

impl PendingFile {
    /// Makes the file in place of one that is there, with its directory if that is missing. `size` is what is expected.
    pub fn create(path: PathBuf, size: u64, buffers: &Buffers) -> Result<Self, SinkError> {
        let file = fresh(&path).map_err(|error| SinkError::write(&path, error))?;
        let direct = size >= DIRECT_BYTES_MIN && set_direct(&file, true).is_ok();
        Ok(PendingFile { direct: direct.then(|| buffers.take()), path, file, offset: 0, buffers: buffers.clone() })
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(buffer) = &mut self.direct else { return self.file.write_all(bytes) };
        while !bytes.is_empty() {
            bytes = buffer.fill(bytes);
            if buffer.is_full() {
                write_direct(&self.file, buffer.content(), self.offset)?;
                self.offset += buffer.filled as u64;
                buffer.filled = 0;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(buffer) = self.direct.take() else { return Ok(()) };
        let rest = buffer.content();
        let (whole, tail) = rest.split_at(rest.len() - rest.len() % ALIGNMENT);
        if !whole.is_empty() {
            write_direct(&self.file, whole, self.offset)?;
        }
        if !tail.is_empty() {
            set_direct(&self.file, false)?;
            self.file.write_all_at(tail, self.offset + whole.len() as u64)?;
        }
        self.buffers.give_back(buffer);
        Ok(())
    }
}

impl PendingObject for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.put(bytes).map_err(|error| SinkError::write(&self.path, error))
    }

    /// Errors that the kernel keeps for the close or later come out of the unit's `syncfs`.
    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.end().map_err(|error| SinkError::write(&self.path, error))
    }
}

/// A file of its own: the thread of an attempt that was given up may still write into the one before.
fn fresh(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| open()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| open())
        }
        opened => opened,
    }
}

fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(fcntl_setfl(file, flags)?)
}

/// Writes aligned bytes; falls back to the page cache where the file system refuses (EINVAL), and writes them anew.
fn write_direct(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    match file.write_all_at(bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            set_direct(file, false)?;
            file.write_all_at(bytes, offset)
        }
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_written_as_it_came() {
        let directory = tempfile::tempdir_in(".").expect("directory");
        let buffers = Buffers::default();
        let edge = BUFFER_BYTES;
        for size in [0, 1, 4096, edge - 1, edge, edge + 1, 2 * edge + 4096, 2 * edge + 5000] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 7 + at / 4099) as u8).collect();
            for expected in [0, u64::MAX] {
                let path = directory.path().join(format!("below/{size}"));
                let mut file = PendingFile::create(path.clone(), expected, &buffers).expect("created");
                bytes.chunks(10_007).for_each(|piece| file.write(piece).expect("written"));
                Box::new(file).finish().expect("finished");
                assert!(fs::read(path).expect("read") == bytes, "{size} bytes, {expected} expected");
            }
        }
    }
}
