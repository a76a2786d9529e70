//! `changes.ndjson`: what was added, changed or removed between a bucket's opening and closing listings.

use std::{
    io::{self, BufRead},
    path::Path,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    chain::LINE_BYTES_MAX,
    files::{EvidenceError, IoContext, LineEnd, PartFile, read_line},
};

/// The file's name.
pub const CHANGES_NDJSON: &str = "changes.ndjson";

/// What happened to an object at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Movement {
    /// It was not in the opening listing; nothing of it was carried.
    Came,
    /// It was replaced; what was carried is what the opening listing had.
    Changed,
    /// It was carried, and is gone.
    Went,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub movement: Movement,
    /// The key.
    pub key: String,
    /// The version, where all versions are carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangesCount {
    /// Objects that came.
    pub came: u64,
    /// Objects that changed.
    pub changed: u64,
    /// Objects that went.
    pub went: u64,
}

impl ChangesCount {
    fn add(&mut self, movement: Movement) {
        match movement {
            Movement::Came => self.came += 1,
            Movement::Changed => self.changed += 1,
            Movement::Went => self.went += 1,
        }
    }
}

/// The file while it is written.
pub struct ChangesFile {
    file: PartFile,
    count: ChangesCount,
}

impl ChangesFile {
    /// Starts; what an interrupted attempt left is replaced at the end.
    pub fn create(dir: &Path) -> Result<Self, EvidenceError> {
        Ok(ChangesFile { file: PartFile::create(&dir.join(CHANGES_NDJSON))?, count: ChangesCount::default() })
    }

    /// Adds a line.
    pub fn add(&mut self, change: &Change) -> Result<(), EvidenceError> {
        let mut line = serde_json::to_vec(change).map_err(io::Error::from).when("write", Path::new(CHANGES_NDJSON))?;
        line.push(b'\n');
        self.count.add(change.movement);
        self.file.write(&line)
    }

    /// Syncs it and gives it its name.
    pub fn finish(self) -> Result<ChangesCount, EvidenceError> {
        self.file.finish()?;
        Ok(self.count)
    }
}

/// Recounts the lines of a file.
pub(crate) fn count(reader: &mut impl BufRead) -> io::Result<ChangesCount> {
    let mut count = ChangesCount::default();
    let mut line = Vec::new();
    loop {
        match read_line(reader, &mut line, LINE_BYTES_MAX)? {
            LineEnd::Nothing => return Ok(count),
            LineEnd::Newline => count.add(serde_json::from_slice::<Change>(&line)?.movement),
            LineEnd::EndOfFile | LineEnd::TooLong => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
