//! Relaxed durability of a managed cluster while rows are loaded, and its restoration before verification.
//!
//! A disposable cluster that crashes with its machine while it is being loaded is discarded, so its steps need not be
//! durable one by one. Before verification they are: settings are reset, everything is written out, every file is
//! synced (PostgreSQL documentation, "Write Ahead Log", `fsync`). A note beside the data marks the cluster as in
//! between. It names the machine's boot, because a killed process loses nothing that the kernel has.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use super::cluster_error::{ClusterError, directory_error};
use crate::pg::{Address, PgError};

const NOTE: &str = "loading";
/// How often the files that grow are synced while rows are loaded.
const AHEAD_EVERY: Duration = Duration::from_millis(500);
/// Smaller files are left for the end.
const AHEAD_BYTES_MIN: u64 = 4 << 20;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Settings during the load, reset to the server's defaults afterwards.
const LOADING: [(&str, &str); 4] =
    [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off"), ("checkpoint_timeout", "1h")];

/// Relaxes the server's durability, and records that before.
pub(super) fn disable_durability(directory: &Path, address: &Address) -> Result<(), ClusterError> {
    let path = directory.join(NOTE);
    let failed = |error| directory_error(&path, error);
    let mut note = File::create(&path).map_err(failed)?;
    note.write_all(boot_id().as_bytes()).and_then(|()| note.sync_all()).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    let set: Vec<_> = LOADING.iter().map(|(name, value)| format!("ALTER SYSTEM SET {name} = '{value}'")).collect();
    configure(address, &set)
}

/// Writes out what is loaded while more is being loaded, so that the disk has less left to do at the end.
pub(super) struct Ahead {
    over: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Ahead {
    /// Starts with the files below `data`, and continues until the end.
    pub(super) fn start(data: PathBuf) -> Self {
        let (over, heard) = channel();
        Ahead { over, thread: std::thread::spawn(move || sync_until_done(&data, &heard)) }
    }

    /// The kernel reports a failed write to one caller only, so an error here counts.
    fn end(self) -> io::Result<()> {
        drop(self.over);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs died")))
    }
}

fn sync_until_done(data: &Path, over: &Receiver<()>) -> io::Result<()> {
    while over.recv_timeout(AHEAD_EVERY) == Err(RecvTimeoutError::Timeout) {
        sync_all(data, AHEAD_BYTES_MIN)?;
    }
    Ok(())
}

/// Makes everything durable and removes the note.
pub(super) fn enable_durability(
    directory: &Path,
    data: &Path,
    address: &Address,
    ahead: Option<Ahead>,
) -> Result<(), ClusterError> {
    let unsynced = |error| directory_error(data, error);
    ahead.map_or(Ok(()), Ahead::end).map_err(unsynced)?;
    let note = directory.join(NOTE);
    if !note.exists() {
        return Ok(());
    }
    let reset: Vec<_> = LOADING.iter().map(|(name, _)| format!("ALTER SYSTEM RESET {name}")).collect();
    configure(address, &reset)?;
    // The checkpoint writes out what the server still holds; what it wrote before was never synced by itself.
    execute(address, "CHECKPOINT")?;
    sync_all(data, 0).map_err(unsynced)?;
    fs::remove_file(&note).map_err(|error| directory_error(&note, error))
}

/// Whether the machine crashed with relaxed durability: then the state is unknown.
pub(super) fn went_down(directory: &Path) -> bool {
    fs::read_to_string(directory.join(NOTE)).is_ok_and(|boot| boot != boot_id())
}

fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

fn configure(address: &Address, statements: &[String]) -> Result<(), ClusterError> {
    for statement in statements {
        execute(address, statement)?;
    }
    execute(address, "SELECT pg_catalog.pg_reload_conf()")
}

fn execute(address: &Address, sql: &str) -> Result<(), ClusterError> {
    let failed = |error| PgError::statement("setting the managed PostgreSQL", &error);
    Ok(address.connect()?.batch_execute(sql).map_err(failed)?)
}

/// Syncs the files of at least this many bytes, and the directories, at and below `path`.
fn sync_all(path: &Path, bytes_min: u64) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        match entry.and_then(|entry| sync_entry(&entry, bytes_min)) {
            // The server is running and removes files of its own.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    File::open(path)?.sync_all()
}

fn sync_entry(entry: &fs::DirEntry, bytes_min: u64) -> io::Result<()> {
    let known = entry.metadata()?;
    match (known.is_dir(), known.is_file()) {
        (true, _) => sync_all(&entry.path(), bytes_min),
        (_, true) if known.len() >= bytes_min => File::open(entry.path())?.sync_all(),
        // A socket or a link has no data of its own.
        _ => Ok(()),
    }
}
