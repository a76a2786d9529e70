//! Paths as a playbook writes them, where relative ones start at the playbook's folder, and how they are written again.
//!
//! Leaves out whether they exist, and every shell convention: `~` is refused, not expanded.

use std::path::{Component, Path, PathBuf};

use serde::Serializer;

use super::problem::Wrong;

/// The path that `text` means in a playbook in `folder`.
pub(super) fn path_in(folder: &Path, text: &str) -> Result<PathBuf, Wrong> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err(Wrong::new("is not a path").hint("write a path; a relative one starts at the playbook's folder"));
    }
    if text.starts_with('~') {
        return Err(Wrong::new("begins with `~`, which nothing here expands").hint("write the whole path"));
    }
    Ok(folder.join(text))
}

/// The same path without `.` and, as far as names alone show it, without `..`.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// A path as text, also where the folder's name is not UTF-8: a folder's name must not stop the evidence.
pub(super) fn path_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

pub(super) fn optional_path_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        None => serializer.serialize_none(),
        Some(path) => path_text(path, serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_the_folder() {
        let folder = Path::new("/books");
        assert_eq!(path_in(folder, "exit/a").unwrap(), Path::new("/books/exit/a"));
        assert_eq!(path_in(folder, "/srv").unwrap(), Path::new("/srv"));
        for text in ["", " ", "~/exit", "a\0b"] {
            assert!(path_in(folder, text).is_err(), "{text:?}");
        }
    }
}
