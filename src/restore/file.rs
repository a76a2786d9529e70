//! One file of the restored copy while it is being written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::write_behind::WriteBehind;
use crate::transfer::{error::SinkError, object::PendingObject};

/// A new file with this writer only.
pub(super) struct PendingFile {
    path: PathBuf,
    file: File,
    written: u64,
    behind: Option<WriteBehind>,
}

impl PendingFile {
    /// Creates the file, replacing an existing one, with its directory if that is missing.
    pub(super) fn create(path: PathBuf) -> Result<Self, SinkError> {
        Ok(PendingFile { behind: Some(WriteBehind::from(0)), ..PendingFile::create_in_cache(path)? })
    }

    /// The same for a file that is soon read again and then removed: it need not reach the disk at all.
    pub(super) fn create_in_cache(path: PathBuf) -> Result<Self, SinkError> {
        let file = fresh(&path).map_err(|error| SinkError::write(&path, error))?;
        Ok(PendingFile { path, file, written: 0, behind: None })
    }
}

impl PendingObject for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.file.write_all(bytes).map_err(|error| SinkError::write(&self.path, error))?;
        self.written += bytes.len() as u64;
        if let Some(behind) = &mut self.behind {
            behind.reached(&self.file, self.written);
        }
        Ok(())
    }

    /// Errors that the kernel defers to the close or later are reported by the unit's `syncfs`.
    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        if let Some(behind) = &mut self.behind {
            behind.ended(&self.file, self.written);
        }
        Ok(())
    }
}

/// A new file: the thread of an abandoned attempt may still write into the previous one.
fn fresh(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| open()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| open())
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_attempt_replaces_the_first() {
        let directory = tempfile::tempdir_in(".").expect("directory");
        let path = directory.path().join("below/file");
        for bytes in [vec![1; 3_000_000], vec![2; 1_000], Vec::new()] {
            let mut file = PendingFile::create(path.clone()).expect("created");
            bytes.chunks(100_007).for_each(|piece| file.write(piece).expect("written"));
            Box::new(file).finish().expect("finished");
            assert!(fs::read(&path).expect("read") == bytes, "{} bytes", bytes.len());
        }
    }
}
