//! The names behind pseudonyms: `<asset>.keys.ndjson` beside the restored data, never in the bundle. Without it a restored
//! copy under pseudonyms would have lost its names for anyone without a list of the keys.
//!
//! Its first line identifies the secret, so that a resumed run can't continue under another one.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    asset::{stop::Stop, work::Work},
    transfer::{error::SinkError, object::ObjectEntry, pseudonyms::Pseudonyms},
};

#[derive(Serialize, Deserialize)]
struct First {
    mark: String,
}

#[derive(Serialize)]
struct Line<'a> {
    pseudonym: &'a str,
    key: &'a str,
}

/// The book of one asset.
pub(super) struct PseudonymMap {
    writer: BufWriter<File>,
    path: PathBuf,
}

impl PseudonymMap {
    /// Opens it at its end, readable for this user only. A secret other than the original one is rejected.
    pub(super) fn open(path: PathBuf, names: &Pseudonyms) -> Result<Self, Stop> {
        let begun = begun_under(&path, names)?;
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let file = file.and_then(ended).map_err(|error| SinkError::write(&path, error))?;
        let mut book = PseudonymMap { writer: BufWriter::new(file), path };
        if !begun {
            book.write(&First { mark: names.mark() })?;
            book.sync()?;
        }
        Ok(book)
    }

    /// Enters an object, if it has a pseudonym.
    pub(super) fn enter(&mut self, entry: &ObjectEntry) -> Result<(), Stop> {
        match &entry.address {
            Some(key) => self.write(&Line { pseudonym: &entry.key, key }),
            None => Ok(()),
        }
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), Stop> {
        let written = serde_json::to_writer(&mut self.writer, line).map_err(io::Error::from);
        let written = written.and_then(|()| self.writer.write_all(b"\n"));
        Ok(written.map_err(|error| SinkError::write(&self.path, error))?)
    }

    /// Syncs the entries to disk; called before anything that they name is recorded.
    pub(super) fn sync(&mut self) -> Result<(), Stop> {
        let synced = self.writer.flush().and_then(|()| self.writer.get_ref().sync_data());
        Ok(synced.map_err(|error| SinkError::write(&self.path, error))?)
    }
}

/// The path of an asset's book.
pub(super) fn path(work: &Work) -> PathBuf {
    work.layout.restored.join(format!("{}.keys.ndjson", work.asset))
}

/// Whether a book is there; an error if it was started with another secret than this one.
pub(super) fn begun_under(path: &Path, names: &Pseudonyms) -> Result<bool, Stop> {
    let mark = mark_in(path).map_err(|error| SinkError::write(path, error))?;
    match mark {
        Some(mark) if mark != names.mark() => Err(Stop::Asset {
            reason: format!("{} was begun with another secret of pseudonyms", path.display()),
            hint: Some("go on with the secret that the run began with".to_owned()),
        }),
        mark => Ok(mark.is_some()),
    }
}

/// Ends a last line that a kill cut off.
fn ended(mut file: File) -> io::Result<File> {
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.read_exact_at(&mut last, file.metadata()?.len() - 1)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// The mark in the first line; none if nothing was started.
fn mark_in(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut line = String::new();
    BufReader::new(file).read_line(&mut line)?;
    // A line that a kill cut off is followed by nothing.
    if !line.ends_with('\n') {
        std::fs::remove_file(path)?;
        return Ok(None);
    }
    Ok(Some(serde_json::from_str::<First>(&line)?.mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_goes_on_under_its_own_secret_only() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("files.keys.ndjson");
        let names = Pseudonyms::under("the first secret");
        let entry = ObjectEntry { key: "0f".into(), address: Some("a\n\"".into()), ..ObjectEntry::default() };
        for _ in 0..2 {
            let mut book = PseudonymMap::open(path.clone(), &names).expect("opened");
            book.enter(&entry).expect("entered");
            book.sync().expect("synced");
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let line = r#"{"pseudonym":"0f","key":"a\n\""}"#;
        assert_eq!(text, format!("{{\"mark\":\"{}\"}}\n{line}\n{line}\n", names.mark()));
        assert!(PseudonymMap::open(path, &Pseudonyms::under("the second secret")).is_err());
    }
}
