//! The journal: one JSON object per line, appended during a run, each line with the SHA-256 of the previous line.
//!
//! Stock tools check it: the SHA-256 of line n, without its line end, is `prev` in line n+1; the first line has
//! 64 zeros; the head is the SHA-256 of the last line. The chain shows that a line was changed or lost after the head
//! was published elsewhere. It doesn't show who wrote it; signatures do.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    chain::{BEFORE_THE_FIRST, JournalHead, Reading},
    files::{open_regular, read_whole, sync_dir},
};
pub use super::{
    chain::{Entry, Fault, LINE_BYTES_MAX},
    error::JournalError,
};
use crate::domain::{
    digest::Sha256Digest,
    event::Event,
    finding::{Finding, FindingKind},
};

impl JournalError {
    /// Whether there is no journal, rather than one that can't be read.
    pub fn is_missing(&self) -> bool {
        let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(self, JournalError::Io { source, .. } if kinds.contains(&source.kind()))
    }

    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            JournalError::Locked { .. } => "wait until it has ended, or stop it",
            JournalError::Broken { .. } => "a run whose record was damaged can't go on; start a new run",
            JournalError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free up space on the journal's file system, then resume the run"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// A journal that is open for appending. Holds an exclusive lock on the file until it is dropped.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    head: JournalHead,
    failed: bool,
}

impl Journal {
    /// Creates a journal at a path without a file.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(io_error("create", path))?;
        lock(&file, path)?;
        if let Some(dir) = path.parent() {
            sync_dir(dir).map_err(|error| io_error("create", path)(io::Error::other(error)))?;
        }
        let head = JournalHead { lines: 0, head: BEFORE_THE_FIRST };
        Ok(Journal { file, path: path.to_owned(), head, failed: false })
    }

    /// Opens a journal to continue it: its entries so far, and how many bytes of an unfinished last line were cut
    /// off. Rejects a broken chain and leaves such a file unchanged.
    pub fn reopen(path: &Path) -> Result<(Self, Vec<Entry>, u64), JournalError> {
        let file = OpenOptions::new().read(true).append(true).open(path).map_err(io_error("open", path))?;
        lock(&file, path)?;
        let reading = Reading::of(BufReader::new(&file)).map_err(io_error("read", path))?;
        if let Some(fault) = reading.faults.into_iter().next() {
            return Err(JournalError::Broken { path: path.to_owned(), fault });
        }
        if reading.torn_bytes > 0 {
            let cut = file.set_len(reading.whole_bytes).and_then(|()| file.sync_data());
            cut.map_err(io_error("cut the unfinished line off", path))?;
        }
        let journal = Journal { file, path: path.to_owned(), head: reading.head, failed: false };
        Ok((journal, reading.entries, reading.torn_bytes))
    }

    /// Appends one event in one write. After a failed write nothing more is accepted.
    pub fn append(&mut self, at: Timestamp, event: &Event) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Unusable { path: self.path.clone() });
        }
        let entry = Entry { seq: self.head.lines + 1, at, prev: self.head.head, event: event.clone() };
        let mut line = serde_json::to_vec(&entry)
            .ok()
            .filter(|line| line.len() as u64 <= LINE_BYTES_MAX)
            .ok_or_else(|| JournalError::Unwritable { path: self.path.clone() })?;
        let head = JournalHead { lines: entry.seq, head: Sha256Digest::of(&line) };
        line.push(b'\n');
        self.failed = true;
        self.file.write_all(&line).map_err(io_error("write", &self.path))?;
        self.failed = false;
        self.head = head;
        Ok(())
    }

    /// Appends one event and waits until it is on the disk.
    pub fn append_synced(&mut self, at: Timestamp, event: &Event) -> Result<(), JournalError> {
        self.append(at, event)?;
        self.sync()
    }

    /// Waits until everything appended is on the disk (fdatasync).
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let synced = self.file.sync_data();
        // The kernel reports a lost page only once: a second, successful sync would prove nothing.
        self.failed |= synced.is_err();
        synced.map_err(io_error("sync", &self.path))
    }

    /// Length and head so far.
    pub fn head(&self) -> JournalHead {
        self.head
    }

    /// The identity of this file, with the machine's boot.
    pub fn place(&self) -> Option<Sha256Digest> {
        place_of(&self.file)
    }
}

/// The identity of the file at a path, with the machine's boot. A copied journal is another file, and so is one
/// restored from a backup; after a reboot, and on another machine that mounts the same file system, the identity differs.
/// Only the lock of this very file shows whether its writer has ended. None where the machine does not reveal it.
pub fn place(path: &Path) -> Option<Sha256Digest> {
    place_of(&open_regular(path).ok()?)
}

fn place_of(file: &File) -> Option<Sha256Digest> {
    // One for each start of a kernel (Linux, random(4)); containers of one machine share the kernel, and its locks.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let metadata = file.metadata().ok()?;
    Some(Sha256Digest::of(format!("{} {} {}", boot.trim(), metadata.dev(), metadata.ino())))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { action, path, source }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked { path: path.to_owned() },
        TryLockError::Error(source) => io_error("lock", path)(source),
    })
}

/// Whether a process has locked the journal, here or on another machine that shares its file system's locks. One that can't
/// be opened is not locked.
pub fn is_in_use(path: &Path) -> bool {
    let locked = open_regular(path).map(|file| file.try_lock_shared());
    matches!(locked, Ok(Err(TryLockError::WouldBlock)))
}

/// Locks a journal without changing it, so that the run can't be resumed meanwhile.
pub fn hold(path: &Path) -> Result<File, JournalError> {
    let file = open_regular(path).map_err(io_error("open", path))?;
    // Shared, as a file opened for reading only can't be locked exclusively everywhere; it excludes a writer.
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", path)(source)),
    }
}

/// The entries of a journal, finished or not; an unfinished last line is left out. A broken chain is an error.
pub fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
    let file = open_regular(path).map_err(io_error("open", path))?;
    let reading = Reading::of(BufReader::new(file)).map_err(io_error("read", path))?;
    match reading.faults.into_iter().next() {
        Some(fault) => Err(JournalError::Broken { path: path.to_owned(), fault }),
        None => Ok(reading.entries),
    }
}

/// The same, and of a broken one every line that can be read by itself. For whoever must not overlook what a damaged record
/// still names; it proves nothing. One that can't be read to its end is an error: it may name more.
pub fn read_though_broken(path: &Path) -> Result<Vec<Entry>, JournalError> {
    match read(path) {
        Err(JournalError::Broken { .. }) => {
            let text = read_whole(path).map_err(io_error("read", path))?;
            let lines = text.split(|byte| *byte == b'\n');
            Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
        }
        read => read,
    }
}

/// Compares a finished journal with its published head. The subject of each finding is the file's
/// name and, where there is one, the line.
pub fn check(path: &Path, expected: JournalHead) -> Vec<Finding> {
    match open_regular(path).and_then(|file| Reading::of(BufReader::new(file))) {
        Ok(reading) => reading.findings(&file_name(path), expected),
        Err(error) => {
            vec![Finding::of_run(FindingKind::JournalBroken, file_name(path), format!("unreadable: {error}"))]
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_lines() -> (tempfile::TempDir, PathBuf, JournalHead) {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("journal.ndjson");
        let mut journal = Journal::create(&path).expect("created");
        for reason in ["one", "two", "three"] {
            let event = Event::AssetStopped { asset: "a".into(), reason: reason.into() };
            journal.append_synced(Timestamp::UNIX_EPOCH, &event).expect("appended");
        }
        let head = journal.head();
        (dir, path, head)
    }

    fn subjects(path: &Path, head: JournalHead) -> Vec<String> {
        check(path, head).into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn the_chain_is_what_stock_tools_compute() {
        let (_dir, path, head) = three_lines();
        let text = std::fs::read_to_string(&path).expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with(r#"{"seq":1,"at":"1970-01-01T00:00:00Z","prev":"0000"#), "{}", lines[0]);
        assert!(lines[0].ends_with(r#""event":"asset_stopped","asset":"a","reason":"one"}"#), "{}", lines[0]);
        assert!(lines[1].contains(&Sha256Digest::of(lines[0]).to_string()));
        assert_eq!(head, JournalHead { lines: 3, head: Sha256Digest::of(lines[2]) });
        assert_eq!(check(&path, head), []);
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_journal_goes_on() {
        let (_dir, path, head) = three_lines();
        OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(b"{\"seq\":4")).expect("torn");
        assert_eq!(read(&path).expect("read").len(), 3);
        let (mut journal, entries, torn) = Journal::reopen(&path).expect("reopened");
        assert_eq!((entries.len(), torn, journal.head()), (3, 8, head));
        journal.append(Timestamp::UNIX_EPOCH, &Event::Interrupted).expect("appended");
        assert_eq!(subjects(&path, journal.head()), Vec::<String>::new());
    }

    #[test]
    fn a_broken_line_is_named_and_refused() {
        let (_dir, path, head) = three_lines();
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, text.replace("one", "uno")).expect("written");
        assert_eq!(subjects(&path, head), ["journal.ndjson line 2"]);
        assert!(matches!(Journal::reopen(&path), Err(JournalError::Broken { fault, .. }) if fault.line == 2));
        std::fs::write(&path, text.replace("three", "drei!")).expect("written");
        assert_eq!(subjects(&path, head), ["journal.ndjson line 3"]);
    }

    #[test]
    fn a_cut_or_appended_tail_is_named() {
        let (_dir, path, head) = three_lines();
        let text = std::fs::read_to_string(&path).expect("text");
        let two: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, &two).expect("written");
        assert_eq!(subjects(&path, head), ["journal.ndjson after line 2"]);
        std::fs::write(&path, format!("{text}{{}}\n")).expect("written");
        assert_eq!(subjects(&path, head), ["journal.ndjson line 4", "journal.ndjson after line 3"]);
        std::fs::write(&path, "x".repeat(LINE_BYTES_MAX as usize + 1)).expect("written");
        assert_eq!(subjects(&path, head)[0], "journal.ndjson line 1");
    }

    #[test]
    fn two_processes_never_share_a_run() {
        let (_dir, path, _) = three_lines();
        let (_first, ..) = Journal::reopen(&path).expect("reopened");
        assert!(matches!(Journal::reopen(&path), Err(JournalError::Locked { .. })));
        assert!(matches!(Journal::create(&path), Err(JournalError::Io { .. })));
    }
}
