//! Lists the content of a directory tree without following links.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// Directories deeper than this are not entered: a bag that walkaway wrote is four deep.
const DEPTH_MAX: usize = 32;

/// The content of a directory tree. Names are relative, with `/`.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Regular files and their length in bytes, in the order of their names' bytes.
    pub files: BTreeMap<String, u64>,
    /// Directories.
    pub directories: BTreeSet<String>,
    /// Links, pipes, devices, names that are not UTF-8, and directories that are too deep.
    pub strange: Vec<String>,
}

impl Tree {
    /// Lists a directory that is not a link itself.
    pub(crate) fn walk(root: &Path) -> io::Result<Self> {
        let mut tree = Tree::default();
        if !root.symlink_metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let mut open = vec![(root.to_owned(), String::new(), 0)];
        while let Some((path, prefix, depth)) = open.pop() {
            for entry in fs::read_dir(&path)? {
                if let Some((path, name)) = tree.take(&entry?, &prefix, depth)? {
                    open.push((path, format!("{name}/"), depth + 1));
                }
            }
        }
        tree.strange.sort();
        Ok(tree)
    }

    /// Directories without a file at any depth.
    pub(crate) fn empty_directories(&self) -> BTreeSet<String> {
        let mut empty = self.directories.clone();
        for name in self.files.keys().chain(&self.strange) {
            for (at, _) in name.match_indices('/') {
                empty.remove(&name[..at]);
            }
        }
        empty
    }

    /// Files one entry; returns it if it is a directory to enter.
    fn take(&mut self, entry: &fs::DirEntry, prefix: &str, depth: usize) -> io::Result<Option<(PathBuf, String)>> {
        let os_name = entry.file_name();
        let name = format!("{prefix}{}", os_name.to_string_lossy());
        let kind = entry.file_type()?;
        if os_name.to_str().is_none() {
            self.strange.push(name);
        } else if kind.is_file() {
            self.files.insert(name, entry.metadata()?.len());
        } else if kind.is_dir() && depth < DEPTH_MAX {
            self.directories.insert(name.clone());
            return Ok(Some((entry.path(), name)));
        } else {
            self.strange.push(name);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_listed_apart_and_never_followed() {
        let dir = tempfile::tempdir().expect("directory");
        fs::create_dir(dir.path().join("d")).expect("directory");
        fs::write(dir.path().join("d/f"), "12").expect("file");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("d/loop")).expect("link");
        let tree = Tree::walk(dir.path()).expect("walked");
        assert_eq!(tree.files, BTreeMap::from([("d/f".to_owned(), 2)]));
        assert_eq!(tree.directories, BTreeSet::from(["d".to_owned()]));
        assert_eq!(tree.strange, ["d/loop"]);
        assert!(Tree::walk(&dir.path().join("d/loop")).is_err());
    }

    #[test]
    fn a_directory_is_empty_if_no_file_lies_below_it() {
        let dir = tempfile::tempdir().expect("directory");
        for name in ["a/b/c", "a/d", "e/f"] {
            fs::create_dir_all(dir.path().join(name)).expect("directories");
        }
        fs::write(dir.path().join("a/b/g"), "").expect("file");
        let empty = Tree::walk(dir.path()).expect("walked").empty_directories();
        assert_eq!(empty.iter().map(String::as_str).collect::<Vec<_>>(), ["a/b/c", "a/d", "e", "e/f"]);
    }
}
