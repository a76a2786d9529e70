//! The directory of a run: created once, read back when the run is resumed.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::EngineError,
    layout::{Layout, run_id},
};
use crate::{
    clock,
    domain::{digest::Sha256Digest, event::Event},
    evidence::{self, Entry, Journal, write_new, write_replacing},
    playbook::{Origin, Playbook, ProcessEnvironment},
};

/// Runs are named after the second in which they start; one that starts in the same second as another waits for the next.
pub(crate) async fn name_of_its_own(playbook: &Playbook) -> (String, Layout) {
    loop {
        let id = run_id(playbook, clock::now());
        let layout = Layout::of(playbook, &id);
        if !layout.bundle.exists() {
            return (id, layout);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Creates the run's directory, which must not exist, and puts the playbook into it.
pub(crate) fn make(layout: &Layout, playbook: &Playbook, text: &str, origin: &Origin) -> Result<Journal, EngineError> {
    make_directory(&layout.bundle)?;
    // No other data may be where this run restores, and later clears what it doesn't know.
    make_directory(&layout.restored)?;
    let mode = Permissions::from_mode(restored_mode());
    let failed = |source| EngineError::Directory { path: layout.restored.clone(), source };
    fs::set_permissions(&layout.restored, mode).map_err(failed)?;
    make_directory(&layout.data())?;
    make_private(&layout.state()).map_err(|source| EngineError::Directory { path: layout.state(), source })?;
    write_new(&layout.playbook(), text.as_bytes())?;
    write_new(&layout.resolved(), &pretty(playbook)?)?;
    write_new(&layout.origin(), &pretty(origin)?)?;
    Ok(Journal::create(&layout.journal())?)
}

/// Completes the directory of a run that ended before its first line; existing parts are rewritten.
pub(crate) fn complete(
    layout: &Layout,
    playbook: &Playbook,
    text: &str,
    origin: &Origin,
) -> Result<Journal, EngineError> {
    for path in [&layout.restored, &layout.data()] {
        fs::create_dir_all(path).map_err(|source| EngineError::Directory { path: path.clone(), source })?;
    }
    let mode = Permissions::from_mode(restored_mode());
    let failed = |source| EngineError::Directory { path: layout.restored.clone(), source };
    fs::set_permissions(&layout.restored, mode).map_err(failed)?;
    make_private(&layout.state()).map_err(|source| EngineError::Directory { path: layout.state(), source })?;
    write_replacing(&layout.playbook(), text.as_bytes())?;
    write_replacing(&layout.resolved(), &pretty(playbook)?)?;
    write_replacing(&layout.origin(), &pretty(origin)?)?;
    match layout.journal().exists() {
        // A process that still writes it holds its lock.
        true => Ok(Journal::reopen(&layout.journal())?.0),
        false => Ok(Journal::create(&layout.journal())?),
    }
}

/// Whether a directory is that of a run that ended before the first line of its journal was complete.
pub(crate) fn never_began(run_dir: &Path) -> bool {
    let data = run_dir.join("data");
    let first_line = fs::read(data.join("journal.ndjson")).map(|journal| journal.contains(&b'\n'));
    data.is_dir() && !first_line.unwrap_or(false) && !data.join("result.json").exists()
}

/// Where the playbook of a run came from.
pub(crate) fn read_origin(run_dir: &Path) -> Result<Origin, EngineError> {
    let path = run_dir.join("state").join("origin.json");
    let text = fs::read(&path).map_err(|source| EngineError::Directory { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|error| not_a_run(run_dir, &format!("state/origin.json: {error}")))
}

/// Restored data is accessible to its owner only. Where root runs the drill, the managed cluster's user must pass through
/// to its own directory; the others are closed.
fn restored_mode() -> u32 {
    if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 }
}

/// Creates a directory that only its owner can enter, and missing ones above it.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// The same below `top`, and never through a symbolic link: what is written, and cleared, is where the run started it.
pub(crate) fn make_private_beneath(top: &Path, path: &Path) -> io::Result<()> {
    let mut at = top.to_path_buf();
    for name in path.strip_prefix(top).map_err(io::Error::other)? {
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_symlink() => {
                let reason = format!("{} is a symbolic link; put the directory itself there", at.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, reason));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    make_private(path)
}

fn make_directory(path: &Path) -> Result<(), EngineError> {
    fs::create_dir(path).map_err(|source| EngineError::Directory { path: path.to_owned(), source })
}

pub(crate) fn not_a_run(path: &Path, reason: &str) -> EngineError {
    EngineError::NotARun { path: path.to_owned(), reason: reason.to_owned() }
}

/// The playbook of a resumed run, and its text.
pub(crate) fn read_back_playbook(run_dir: &Path) -> Result<(Playbook, String), EngineError> {
    let read = |path: PathBuf| {
        fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                not_a_run(run_dir, &format!("{} is not there", path.display()))
            }
            _ => EngineError::Directory { path, source: error },
        })
    };
    let origin = read(run_dir.join("state").join("origin.json"))?;
    let origin: Origin =
        serde_json::from_str(&origin).map_err(|error| not_a_run(run_dir, &format!("state/origin.json: {error}")))?;
    let text = read(run_dir.join("data").join("playbook.yaml"))?;
    Ok((Playbook::parse(&text, &origin, &ProcessEnvironment)?, text))
}

/// The playbook and the id of the run in a directory, sealed or not; nothing is changed. A damaged journal still shows
/// its owner.
pub(crate) fn recorded_run(run_dir: &Path) -> Result<(Playbook, String), EngineError> {
    let path = run_dir.join("data").join("journal.ndjson");
    let entries = match evidence::journal::read_though_broken(&path) {
        Err(error) if error.is_missing() => return Err(not_a_run(run_dir, &error.to_string())),
        entries => entries?,
    };
    if entries.is_empty() {
        return Err(not_a_run(run_dir, "its journal has no line that can be read"));
    }
    let named = run_dir.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let (id, _) =
        first_line(run_dir, &entries).or_else(|error| named.map(|id| (id, Sha256Digest::of(""))).ok_or(error))?;
    let text = fs::read_to_string(run_dir.join("data").join("playbook.yaml"))
        .map_err(|error| not_a_run(run_dir, &format!("data/playbook.yaml: {error}")))?;
    // Relative paths only matter for what a run does on this machine.
    let origin = Origin { name: "playbook.yaml".to_owned(), folder: run_dir.to_owned() };
    Ok((Playbook::parse(&text, &origin, &ProcessEnvironment)?, id))
}

/// The journal, its entries, and the bytes of a torn last line that were cut off.
pub(crate) fn reopen(run_dir: &Path) -> Result<(Journal, Vec<Entry>, u64), EngineError> {
    Ok(Journal::reopen(&run_dir.join("data").join("journal.ndjson"))?)
}

/// The run's id and its playbook's SHA-256, from its first line.
pub(crate) fn first_line(run_dir: &Path, entries: &[Entry]) -> Result<(String, Sha256Digest), EngineError> {
    match entries.first().map(|entry| &entry.event) {
        Some(Event::RunStarted { run, playbook_sha256, .. }) => Ok((run.clone(), *playbook_sha256)),
        _ => Err(not_a_run(run_dir, "the journal does not begin with the start of a run")),
    }
}

/// JSON for people and for `jq`.
pub(crate) fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>, EngineError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| EngineError::Internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Replaces a JSON file of the bundle.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), EngineError> {
    Ok(write_replacing(path, &pretty(value)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_made_through_a_symbolic_link() {
        let top = tempfile::tempdir().expect("directory");
        let elsewhere = tempfile::tempdir().expect("directory");
        let asset = top.path().join("run/files");
        make_private_beneath(top.path(), &asset).expect("made");
        make_private_beneath(top.path(), &asset).expect("there");
        for link in ["run/files", "run"] {
            let link = top.path().join(link);
            fs::remove_dir(&link).expect("removed");
            symlink(elsewhere.path(), &link).expect("linked");
            assert!(make_private_beneath(top.path(), &asset).is_err());
            fs::remove_file(&link).expect("removed");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).expect("read").count(), 0);
        assert!(make_private_beneath(&top.path().join("other"), &asset).is_err(), "it does not lie there");
    }

    #[test]
    fn a_directory_that_another_run_took_first_is_told_from_every_other_obstacle() {
        let home = tempfile::tempdir().unwrap();
        let origin = Origin { name: "drill.yaml".to_owned(), folder: home.path().to_owned() };
        let text = "version: 1\nid: drill\nprovider: {aws: {}}\nevidence: {path: evidence/}\ntarget: {path: restored/}\n\
                    assets: [{id: files, s3: {bucket: acme-files}}]\n";
        let playbook = Playbook::parse(text, &origin, &ProcessEnvironment).unwrap();
        let layout =
            |run: &str, restored: &str| Layout { bundle: home.path().join(run), restored: home.path().join(restored) };
        let made = |layout: &Layout| make(layout, &playbook, text, &origin).map(drop);
        let first = layout("a", "ra");
        made(&first).unwrap();
        let taken = made(&first).unwrap_err();
        assert!(taken.is_taken(&first.bundle) && taken.hint().unwrap().contains("already"), "{taken}");
        let other = layout("b", "ra");
        let error = made(&other).unwrap_err();
        assert!(!error.is_taken(&other.bundle), "where it restores something lies: {error}");
    }
}
