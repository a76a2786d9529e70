//! The files of each table in an export, batch by batch, and signs that they are incomplete.
//!
//! Source: Amazon RDS user guide, "File naming conventions for exports to Amazon S3":
//! `<export>/<database>/<schema>.<table>/<batch>/part-<n>-<uuid>.gz.parquet`, where numbers of parts may be missing; earlier
//! exports have no batches. RDS also writes an empty `_SUCCESS` into each batch that it finished, which the guide does not
//! mention: so a batch without one is incomplete if others have theirs, and if none has, it cannot be known.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::domain::{digest::Sha256Digest, finding::FindingKind};

/// The batch number of files outside of batches.
const UNBATCHED: u64 = 0;
/// Marks a complete batch.
const MARKER: &str = "_SUCCESS";

/// A file of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ExportedFile {
    pub path: PathBuf,
    /// Of the bytes received and verified.
    pub sha256: Sha256Digest,
}

/// The folders of a database's tables, by their names.
#[derive(Debug, Default)]
pub(super) struct Folders(BTreeMap<String, Folder>);

#[derive(Debug, Default)]
struct Folder {
    /// Batch and file name, and the file.
    parts: Vec<(u64, String, ExportedFile)>,
    /// Batches that RDS marked as complete.
    marked: BTreeSet<u64>,
    /// Parts in places where no export is known to have any.
    strays: Vec<String>,
}

/// What is wrong with something: the kind of finding, its subject, and its detail.
pub(super) type Flaw = (FindingKind, String, String);

impl Folders {
    /// Takes `schema.table/batch/part-….parquet`. Returns whether exports consist of such files at all.
    pub(super) fn take(&mut self, within: &str, file: ExportedFile) -> bool {
        let steps: Vec<&str> = within.split('/').collect();
        let table = steps[0];
        let name = file_name(within);
        let batch = match steps[..] {
            // Two spellings of a number would be two paths with one number.
            [_, batch, _] => {
                batch.parse().ok().filter(|number: &u64| number.to_string() == batch && *number > UNBATCHED)
            }
            [_, _] => Some(UNBATCHED),
            _ => None,
        };
        let is_marker = name.eq_ignore_ascii_case(MARKER);
        if !is_part(name) && (batch.is_none() || !is_marker) {
            return false;
        }
        let folder = self.0.entry(table.to_owned()).or_default();
        match batch {
            Some(batch) if is_marker => drop(folder.marked.insert(batch)),
            Some(batch) if name.ends_with(".parquet") => folder.parts.push((batch, name.to_owned(), file)),
            _ => folder.strays.push(within.to_owned()),
        }
        true
    }

    /// Whether there are no files at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes one table's files, in the order of batches and parts: none where only RDS's mark says that the table has
    /// no rows. `None` if the table has no files at all.
    pub(super) fn remove(&mut self, table: &str) -> Option<Vec<ExportedFile>> {
        self.0.remove(table).and_then(Folder::into_files)
    }

    /// The files of all other tables.
    pub(super) fn into_rest(self) -> impl Iterator<Item = (String, Vec<ExportedFile>)> {
        self.0.into_iter().filter_map(|(table, folder)| Some((table, folder.into_files()?)))
    }

    /// Misplaced parts, and batches that are not marked as complete, except those of excluded tables.
    pub(super) fn flaws(&self, left_out: &BTreeSet<String>) -> Vec<Flaw> {
        // With or without batches, an export either writes its markers or does not.
        let writes_markers = |batched: bool| {
            self.0.values().flat_map(|folder| &folder.marked).any(|batch| (*batch != UNBATCHED) == batched)
        };
        let batched = writes_markers(true);
        let unbatched = writes_markers(false);
        let mut flaws = Vec::new();
        let mut unmarked = 0;
        for (table, folder) in self.0.iter().filter(|(table, _)| !left_out.contains(*table)) {
            flaws.extend(folder.strays.iter().map(|stray| astray(stray)));
            flaws.extend(folder.doubled().map(|number| doubled(table, number)));
            flaws.extend(folder.gaps().map(|batch| gap(table, batch)));
            for batch in folder.unmarked() {
                match if batch == UNBATCHED { unbatched } else { batched } {
                    true => flaws.push(unfinished(table, batch)),
                    false => unmarked += 1,
                }
            }
        }
        if unmarked > 0 {
            let detail =
                format!("{unmarked} batches have files, and none has {MARKER}: whether they are complete is unknown");
            flaws.push((FindingKind::NotProven, "the batches".to_owned(), detail));
        }
        flaws
    }
}

impl Folder {
    fn unmarked(&self) -> BTreeSet<u64> {
        let batches: BTreeSet<u64> = self.parts.iter().map(|(batch, ..)| *batch).collect();
        &batches - &self.marked
    }

    /// Batches and numbers that several parts have.
    fn doubled(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut counted: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (batch, name, _) in &self.parts {
            if let Some(number) = number_of(name) {
                *counted.entry((*batch, number)).or_default() += 1;
            }
        }
        counted.into_iter().filter(|(_, count)| *count > 1).map(|(place, _)| place)
    }

    /// Batches that are missing below others, which count from 1: the first of each gap.
    fn gaps(&self) -> impl Iterator<Item = u64> {
        let batches: BTreeSet<u64> =
            self.parts.iter().map(|(batch, ..)| *batch).chain(self.marked.iter().copied()).collect();
        let missing = |batch: &u64| *batch > 1 && !batches.contains(&(*batch - 1));
        batches.iter().filter(|batch| missing(batch)).map(|batch| batch - 1).collect::<Vec<_>>().into_iter()
    }

    fn into_files(mut self) -> Option<Vec<ExportedFile>> {
        self.parts.sort();
        let is_there = !(self.parts.is_empty() && self.marked.is_empty());
        is_there.then(|| self.parts.into_iter().map(|(.., file)| file).collect())
    }
}

/// The number of `part-<n>-….parquet`.
fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("part-")?.split(['-', '.']).next()?.parse().ok()
}

fn doubled(table: &str, (batch, number): (u64, u64)) -> Flaw {
    let place = if batch == UNBATCHED { table.to_owned() } else { format!("{table}/{batch}") };
    let detail =
        format!("several parts have the number {number}; all of them were loaded, and rows may have come twice");
    (FindingKind::ExportContradicts, place, detail)
}

fn gap(table: &str, batch: u64) -> Flaw {
    let detail = format!("has no batch {batch}, and one after it; nothing says whether there was one");
    (FindingKind::NotProven, table.to_owned(), detail)
}

/// A part in a place that does not show its table.
pub(super) fn astray(place: &str) -> Flaw {
    let detail = "a part of a table in a place where no export has any; it was not loaded";
    (FindingKind::ExportIncomplete, place.to_owned(), detail.to_owned())
}

/// Whether a file looks like rows of a table, by its name.
pub(super) fn is_part(place: &str) -> bool {
    let name = file_name(place);
    name.to_ascii_lowercase().ends_with(".parquet") || name.starts_with("part-")
}

fn file_name(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or_default()
}

fn unfinished(table: &str, batch: u64) -> Flaw {
    let subject = if batch == UNBATCHED { table.to_owned() } else { format!("{table}/{batch}") };
    (FindingKind::ExportIncomplete, subject, format!("has files and no {MARKER}, so RDS did not finish it"))
}
