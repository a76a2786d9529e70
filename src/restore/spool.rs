//! Rows as a file that psql loads: COPY text, compressed by zstd, hashed as stored on the disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use zstd::stream::write::Encoder;

use crate::{
    domain::digest::Sha256Digest,
    transfer::{error::SinkError, table::RowSink},
};

const NAME_CHARS_MAX: usize = 80;
/// One of zstd's fast levels: the spool must not be the bottleneck.
const LEVEL: i32 = -1;

/// The file name of an export: the table's number, the safe part of its name, and the part's number if the table
/// has several.
pub fn file_name(number: usize, table: &str, part: usize, parts: usize) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = table.chars().take(NAME_CHARS_MAX).map(safe).collect();
    match parts {
        1 => format!("{number:05}-{name}.copy.zst"),
        _ => format!("{number:05}-{name}.{part:05}.copy.zst"),
    }
}

/// An export that is being written.
pub struct Spool {
    path: PathBuf,
    encoder: Option<Encoder<'static, HashedFile>>,
    digest: Option<Sha256Digest>,
}

/// Hashes what it writes.
struct HashedFile {
    file: File,
    sha256: Sha256,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Spool {
    /// Creates the file; one of that name from an earlier attempt is replaced.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let failed = |error| SinkError::write(path, error);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
        let mut encoder = Encoder::new(HashedFile { file, sha256: Sha256::new() }, LEVEL).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        Ok(Spool { path: path.to_owned(), encoder: Some(encoder), digest: None })
    }

    /// SHA-256 of the file, once it is finished.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.digest
    }

    fn close(encoder: Encoder<'static, HashedFile>) -> io::Result<Sha256Digest> {
        let file = encoder.finish()?;
        file.file.sync_all()?;
        Ok(file.sha256.into())
    }
}

impl RowSink for Spool {
    fn write(&mut self, rows: &[u8]) -> Result<(), SinkError> {
        let written = match &mut self.encoder {
            Some(encoder) => encoder.write_all(rows),
            None => Err(io::Error::other("the export has ended")),
        };
        written.map_err(|error| SinkError::write(&self.path, error))
    }

    fn finish(&mut self) -> Result<Option<u64>, SinkError> {
        let closed = match self.encoder.take() {
            Some(encoder) => Self::close(encoder),
            None => Err(io::Error::other("the export has ended")),
        };
        self.digest = Some(closed.map_err(|error| SinkError::write(&self.path, error))?);
        Ok(None)
    }
}

/// An abandoned export is removed; a removal that fails leaves a file that no receipt names.
impl Drop for Spool {
    fn drop(&mut self) {
        if self.digest.is_none() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_hostile_table_name_makes_a_harmless_file_name() {
        assert_eq!(file_name(3, "public./../../x\ny", 1, 1), "00003-public._.._.._x_y.copy.zst");
        assert_eq!(file_name(3, "public.t", 2, 40), "00003-public.t.00002.copy.zst");
        assert!(file_name(1, &"ü".repeat(200), 1, 1).len() < 100);
    }
}
