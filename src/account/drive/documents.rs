//! Reads the documents that people are responsible for: their names, digests, dates, and the notes beside them.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::civil::Date;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::{
    account::documents::{Attested, Document, date_in_name, has_a_word, matrix, text_of},
    domain::digest::Sha256Digest,
    playbook::{AccountSpec, Attest, DocumentKind, DocumentPlace, ReviewNote},
};

const DOCUMENTS_MAX: usize = 1_000;
/// Limit for texts that are read and not only hashed: matrices and notes.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// A reviewer's notes have the document's name plus one of these suffixes.
const NOTES: [&str; 2] = [".review.md", ".review.txt"];

/// Every entry of `attest`, and the contract.
pub(crate) fn attested(account: &AccountSpec, today: Date) -> Vec<Attested> {
    let mut entries: Vec<_> = account.attest.iter().map(|entry| read(entry, today)).collect();
    entries.extend(account.contract.as_ref().map(|contract| {
        let place = DocumentPlace::File(contract.file.clone());
        let mut entry = empty("contract", &place);
        entry.read_on = Some(today.to_string());
        fill(&mut entry, &place, None);
        entry
    }));
    entries
}

fn empty(id: &str, place: &DocumentPlace) -> Attested {
    let (DocumentPlace::File(path) | DocumentPlace::Folder(path)) = place;
    Attested {
        id: id.to_owned(),
        place: path.display().to_string(),
        kind: "document".to_owned(),
        documents: Vec::new(),
        unreadable: None,
        not_before: None,
        read_on: None,
        review_note: false,
        matrix: None,
    }
}

fn read(entry: &Attest, today: Date) -> Attested {
    let mut attested = empty(entry.id.as_str(), &entry.place);
    attested.not_before = entry.max_age.map(|age| age.earliest(today).to_string());
    attested.read_on = Some(today.to_string());
    attested.review_note = entry.review_note == ReviewNote::Required;
    fill(&mut attested, &entry.place, entry.dated);
    if let (DocumentKind::ResponsibilityMatrix, DocumentPlace::File(path)) = (entry.kind, &entry.place) {
        "responsibility_matrix".clone_into(&mut attested.kind);
        if attested.unreadable.is_none() {
            attested.matrix = Some(match text(path) {
                Ok(text) => matrix(&text),
                Err(error) => {
                    crate::account::documents::Matrix { rows: Vec::new(), malformed: Some(error.to_string()) }
                }
            });
        }
    }
    attested
}

fn text(path: &Path) -> io::Result<String> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.len() > TEXT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 4 MiB"));
    }
    file.read_to_end(&mut bytes)?;
    Ok(text_of(&bytes))
}

/// A document is a file; reading a pipe would block.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

fn fill(attested: &mut Attested, place: &DocumentPlace, dated: Option<Date>) {
    let documents = match place {
        DocumentPlace::File(path) => document(path, dated).map(|document| vec![document]),
        DocumentPlace::Folder(path) => {
            files(path).and_then(|files| files.iter().map(|file| document(file, dated)).collect())
        }
    };
    match documents {
        Ok(documents) => attested.documents = documents,
        Err(error) => attested.unreadable = Some(error.to_string()),
    }
}

/// The documents of a folder, without notes and hidden files.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && !name.starts_with('.') && !NOTES.iter().any(|ending| name.ends_with(ending)) {
            files.push(path);
        }
        if files.len() > DOCUMENTS_MAX {
            return Err(io::Error::other(format!("more than {DOCUMENTS_MAX} documents")));
        }
    }
    files.sort();
    Ok(files)
}

fn document(path: &Path, dated: Option<Date>) -> io::Result<Document> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Digested { sha256, bytes, blank } = digest(path)?;
    let dated = dated.or_else(|| date_in_name(&name)).map(|date| date.to_string());
    let note = |ending: &&str| {
        let mut note = path.as_os_str().to_owned();
        note.push(*ending);
        // Empty notes do not count.
        let Digested { sha256, .. } = digest(Path::new(&note)).ok()?;
        text(Path::new(&note)).is_ok_and(|text| has_a_word(&text)).then_some(sha256)
    };
    let review_sha256 = NOTES.iter().find_map(note);
    Ok(Document { name, bytes, blank, sha256, dated, review_sha256 })
}

/// A file that was read.
struct Digested {
    sha256: Sha256Digest,
    bytes: u64,
    /// Nothing but white space, in any ASCII-compatible encoding, and byte order marks.
    blank: bool,
}

fn digest(path: &Path) -> io::Result<Digested> {
    let mut file = open(path)?;
    let mut writer = HashWriter { hasher: Sha256::new(), blank: true };
    let bytes = io::copy(&mut file, &mut writer)?;
    Ok(Digested { sha256: writer.hasher.into(), bytes, blank: writer.blank })
}

struct HashWriter {
    hasher: Sha256,
    blank: bool,
}

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || [0, 0x0b, 0xef, 0xbb, 0xbf, 0xfe, 0xff].contains(byte);
        self.blank = self.blank && bytes.iter().all(is_blank);
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_white_space_is_blank_and_notes_that_say_nothing_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("soc2.pdf");
        for (text, blank) in [(&b"\n"[..], true), (b"\xff\xfe\n\0 \0", true), (b"x", false), (b"", true)] {
            fs::write(&path, text).unwrap();
            assert_eq!(document(&path, None).unwrap().blank, blank, "{text:?}");
        }
        for (notes, count) in [("TODO", false), ("read, no exceptions", true)] {
            fs::write(folder.path().join("soc2.pdf.review.md"), notes).unwrap();
            assert_eq!(document(&path, None).unwrap().review_sha256.is_some(), count, "{notes}");
        }
    }
}
