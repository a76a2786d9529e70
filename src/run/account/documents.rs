//! Reads documents that people answer for: their names, digests, dates, and the notes beside them.

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
    digest::Sha256Digest,
    playbook::{AccountSpec, Attest, DocumentKind, DocumentPlace, ReviewNote},
};

const DOCUMENTS_MAX: usize = 1_000;
/// For the texts that are read and not just hashed: matrices and notes.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// The notes of whoever read a document are called like it, with one of these behind.
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

/// A document is a file; a pipe would be waited for.
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
    let (sha256, bytes) = digest(path)?;
    let dated = dated.or_else(|| date_in_name(&name)).map(|date| date.to_string());
    let note = |ending: &&str| {
        let mut note = path.as_os_str().to_owned();
        note.push(*ending);
        // Notes without a word in them are none.
        let (sha256, _) = digest(Path::new(&note)).ok()?;
        text(Path::new(&note)).is_ok_and(|text| has_a_word(&text)).then_some(sha256)
    };
    let review_sha256 = NOTES.iter().find_map(note);
    Ok(Document { name, bytes, sha256, dated, review_sha256 })
}

fn digest(path: &Path) -> io::Result<(Sha256Digest, u64)> {
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut file, &mut HashWriter(&mut hasher))?;
    Ok((hasher.into(), bytes))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
