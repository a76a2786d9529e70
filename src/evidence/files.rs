//! Evidence's operations on the file system: written new and synced, replaced whole, read without
//! following links.
//!
//! Does not depend on the files' content.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

pub use super::error::EvidenceError;
use crate::domain::digest::Sha256Digest;

/// Bytes that are read at once while a file is hashed.
const HASH_BUFFER_BYTES: usize = 1 << 20;
/// The largest file that is read whole.
pub const WHOLE_FILE_BYTES_MAX: u64 = 256 << 20;

/// Names the file and the action of an I/O error.
pub(crate) trait IoContext<T> {
    /// Wraps the error.
    fn when(self, action: &'static str, path: &Path) -> Result<T, EvidenceError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn when(self, action: &'static str, path: &Path) -> Result<T, EvidenceError> {
        self.map_err(|source| EvidenceError::Io { action, path: path.to_owned(), source })
    }
}

/// Writes a file that must not exist yet, and syncs it and its directory.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), EvidenceError> {
    let mut file = File::create_new(path).when("create", path)?;
    file.write_all(bytes).when("write", path)?;
    file.sync_all().when("sync", path)?;
    sync_parent(path)
}

/// Writes a file under a temporary name beside the final one, syncs it, and renames it over an existing one. A
/// temporary file that an earlier attempt left is overwritten.
pub fn write_replacing(path: &Path, bytes: &[u8]) -> Result<(), EvidenceError> {
    let mut file = PartFile::create(path)?;
    file.write(bytes)?;
    file.finish()
}

/// A file that is written in pieces and gets its final name when it is complete and synced.
pub(crate) struct PartFile {
    writer: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
}

impl PartFile {
    /// Begins under the temporary name.
    pub(crate) fn create(path: &Path) -> Result<Self, EvidenceError> {
        let part = part_of(path);
        let writer = BufWriter::new(File::create(&part).when("create", &part)?);
        Ok(PartFile { writer, part, path: path.to_owned() })
    }

    /// Appends.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.writer.write_all(bytes).when("write", &self.part)
    }

    /// Syncs, renames, and syncs the directory.
    pub(crate) fn finish(self) -> Result<(), EvidenceError> {
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error).when("write", &self.part)?;
        file.sync_all().when("sync", &self.part)?;
        fs::rename(&self.part, &self.path).when("rename", &self.part)?;
        sync_parent(&self.path)
    }
}

/// The temporary name that [`write_replacing`] uses.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Makes the entries of a directory durable.
pub fn sync_dir(dir: &Path) -> Result<(), EvidenceError> {
    File::open(dir).and_then(|dir| dir.sync_all()).when("sync", dir)
}

fn sync_parent(path: &Path) -> Result<(), EvidenceError> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
        _ => sync_dir(Path::new(".")),
    }
}

/// Opens a regular file for reading. A link, a pipe or a device is an error and never blocks.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Reads a regular file whole, up to [`WHOLE_FILE_BYTES_MAX`].
pub(crate) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(WHOLE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > WHOLE_FILE_BYTES_MAX {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long to be read whole"))
    } else {
        Ok(bytes)
    }
}

/// SHA-256 and length of a file from its current position to its end.
pub(crate) fn digest_file(mut file: &File) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.into(), length)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A line of limited length, as returned by [`read_line`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// The end of the file.
    Nothing,
    /// A whole line; its newline is not in the buffer.
    Newline,
    /// The file ended without a newline.
    EndOfFile,
    /// The line is longer than the limit.
    TooLong,
}

/// Reads the next line into `line`, without its newline, giving up at `bytes_max`.
pub(crate) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, bytes_max: u64) -> io::Result<LineEnd> {
    line.clear();
    let read = reader.by_ref().take(bytes_max + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(LineEnd::Newline);
    }
    Ok(match read as u64 {
        0 => LineEnd::Nothing,
        read if read > bytes_max => LineEnd::TooLong,
        _ => LineEnd::EndOfFile,
    })
}

/// Whether a path, relative and with `/`, stays below its start: no empty part, no `.`, no `..`, not absolute.
pub(crate) fn stays_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether `sha256sum -c` reads the path literally and inside its directory.
pub(crate) fn fits_sha256sum(path: &str) -> bool {
    stays_inside(path) && !path.contains(['\n', '\r', '\\', '\0'])
}

/// A line for `sha256sum -c`. A file named `-` would mean the standard input, so it is written as `./-`.
pub(crate) fn sha256sum_line(digest: Sha256Digest, path: &str) -> Result<String, EvidenceError> {
    match path {
        "-" => Ok(format!("{digest}  ./-\n")),
        _ if fits_sha256sum(path) => Ok(format!("{digest}  {path}\n")),
        _ => Err(EvidenceError::UnsafeName { name: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_replaced_whole() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("a");
        write_new(&path, b"one").expect("written");
        assert!(matches!(write_new(&path, b"two"), Err(EvidenceError::Io { action: "create", .. })));
        write_replacing(&path, b"three").expect("replaced");
        assert_eq!(read_whole(&path).expect("read"), b"three");
        assert!(!part_of(&path).exists());
    }

    #[test]
    fn links_and_directories_are_not_opened() {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("a");
        let link = dir.path().join("b");
        write_new(&file, b"x").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        assert!(open_regular(&link).is_err());
        assert!(open_regular(dir.path()).is_err());
    }

    #[test]
    fn lines_are_read_up_to_a_limit() {
        let mut reader = &b"ab\nabc\nabcd"[..];
        let mut line = Vec::new();
        let mut next = || read_line(&mut reader, &mut line, 3).expect("read");
        assert_eq!([next(), next(), next()], [LineEnd::Newline, LineEnd::Newline, LineEnd::TooLong]);
    }

    #[test]
    fn names_that_leave_or_need_escaping_are_refused() {
        assert!(["a", "a b/c", "-x", "ü"].iter().all(|path| fits_sha256sum(path)));
        assert!(["", "/a", "a/../b", "a//b", "a\nb", "a\\b", "a/"].iter().all(|path| !fits_sha256sum(path)));
        assert!(sha256sum_line(Sha256Digest([0; 32]), "-").expect("a line").ends_with("  ./-\n"));
    }
}
