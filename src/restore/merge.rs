//! Moves a staged tree into the restored one, whole directories at a time.
//!
//! A rename costs as much as a new file, so a directory that is new to the restored tree is moved with all that
//! is in it. Everything below the staged tree must be meant to be published.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::transfer::error::SinkError;

/// Moves everything in `staged` into `target`, which exists; files replace existing ones.
pub(super) fn move_into(staged: &Path, target: &Path) -> Result<(), SinkError> {
    let mut pairs = vec![(staged.to_path_buf(), target.to_path_buf())];
    while let Some((from, to)) = pairs.pop() {
        let failed = |error| SinkError::write(&to, error);
        for entry in fs::read_dir(&from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let from = entry.path();
            let to = to.join(entry.file_name());
            let moved = fs::rename(&from, &to);
            match moved {
                Err(error) if is_occupied(&error) && from.is_dir() => pairs.push((from, to)),
                moved => moved.map_err(|error| SinkError::write(&to, error))?,
            }
        }
    }
    Ok(())
}

/// Moves one file, into a directory that may be missing.
pub(super) fn move_to(staged: &Path, target: &Path) -> Result<(), SinkError> {
    let failed = |error| SinkError::write(target, error);
    match fs::rename(staged, target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            target.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
            fs::rename(staged, target).map_err(failed)
        }
        moved => moved.map_err(failed),
    }
}

/// Whether a directory could not be moved because a non-empty one exists.
fn is_occupied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

/// Removes a staged file that is not to be published, and the directories that it leaves empty, up to `root`.
pub(super) fn discard(file: &Path, root: &Path) -> Result<(), SinkError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(SinkError::write(file, error)),
        _ => {}
    }
    let below: Vec<PathBuf> =
        file.ancestors().skip(1).take_while(|path| *path != root).map(Path::to_path_buf).collect();
    for directory in below {
        match fs::remove_dir(&directory) {
            Ok(()) => {}
            // It is not empty, or was removed before.
            Err(_) => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn trees_are_merged_and_files_replaced() {
        let root = tempfile::tempdir().expect("directory");
        let staged = root.path().join("staged");
        let target = root.path().join("target");
        for (path, text) in [("new/a/b", "1"), ("old/c", "2"), ("old/deep/d", "3"), ("e", "4")] {
            write(&staged, path, text);
        }
        for (path, text) in [("old/deep/x", "kept"), ("old/c", "before")] {
            write(&target, path, text);
        }
        fs::create_dir(target.join("new")).expect("an empty directory is in nobody's way");
        move_into(&staged, &target).expect("moved");
        let expected = [("new/a/b", "1"), ("old/c", "2"), ("old/deep/d", "3"), ("e", "4"), ("old/deep/x", "kept")];
        for (path, text) in expected {
            assert_eq!(fs::read_to_string(target.join(path)).expect(path), text);
        }
    }

    #[test]
    fn what_is_discarded_leaves_no_empty_directories() {
        let root = tempfile::tempdir().expect("directory");
        write(root.path(), "a/b/c", "");
        write(root.path(), "a/d", "");
        discard(&root.path().join("a/b/c"), root.path()).expect("discarded");
        assert!(!root.path().join("a/b").exists() && root.path().join("a/d").exists());
        discard(&root.path().join("a/d"), root.path()).expect("discarded");
        assert!(!root.path().join("a").exists());
    }
}
