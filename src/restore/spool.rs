//! A table's rows as a file that psql loads: COPY text, hashed in the order in which it is written.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{
    digest::Sha256Digest,
    transfer::{error::SinkError, table::RowSink},
};

const NAME_CHARS_MAX: usize = 80;

/// The file name of a table's export: a number that makes it unique, and as much of the table's name as is safe.
pub fn file_name(number: usize, table: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = table.chars().take(NAME_CHARS_MAX).map(safe).collect();
    format!("{number:05}-{name}.copy")
}

/// An export that is being written.
pub struct Spool {
    path: PathBuf,
    file: File,
    sha256: Sha256,
    digest: Option<Sha256Digest>,
}

impl Spool {
    /// Makes the file; one of that name from an earlier attempt is replaced.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|error| SinkError::write(path, error))?;
        Ok(Spool { path: path.to_owned(), file, sha256: Sha256::new(), digest: None })
    }

    /// SHA-256 of the whole file, once it is finished.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.digest
    }
}

impl RowSink for Spool {
    fn write(&mut self, rows: &[u8]) -> Result<(), SinkError> {
        self.sha256.update(rows);
        self.file.write_all(rows).map_err(|error| SinkError::write(&self.path, error))
    }

    fn finish(&mut self) -> Result<Option<u64>, SinkError> {
        self.file.sync_all().map_err(|error| SinkError::write(&self.path, error))?;
        self.digest = Some(std::mem::take(&mut self.sha256).into());
        Ok(None)
    }
}

/// An export that was given up is removed; a removal that fails leaves a file that no receipt names.
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
        assert_eq!(file_name(3, "public./../../x\ny"), "00003-public._.._.._x_y.copy");
        assert!(file_name(1, &"ü".repeat(200)).len() < 100);
    }
}
