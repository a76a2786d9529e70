//! Which managed cluster a database is restored into: one for each server that the run reads from.
//!
//! Roles belong to a whole server, and those of two servers may have one name and different rights. A note in each
//! cluster's directory states which server it represents and which assets are in it.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use crate::{record::layout::Layout, restore::cluster::ClusterError};

/// First line: the server that was read; then the assets, one a line.
const NOTE: &str = "origin";

/// The directory of the cluster for databases of the server `origin`; records that this asset is in it.
pub(crate) fn claim(layout: &Layout, origin: &str, asset: &str) -> Result<PathBuf, ClusterError> {
    let is_origins = |directory: &PathBuf| read(directory).first().is_some_and(|noted| noted == origin);
    let is_free = |directory: &PathBuf| read(directory).is_empty();
    let own = all(layout).into_iter().find(is_origins);
    let directory = own.or_else(|| numbers(layout).find(is_free)).unwrap_or_else(|| layout.cluster());
    let note = read(&directory);
    let others = note.iter().skip(1).map(String::as_str).filter(|noted| *noted != asset);
    let text = std::iter::once(origin).chain(others).chain([asset]).collect::<Vec<_>>().join("\n") + "\n";
    let made = fs::create_dir_all(&directory).and_then(|()| fs::write(directory.join(NOTE), text));
    made.map_err(|source| ClusterError::Directory { path: directory.display().to_string(), source })?;
    Ok(directory)
}

/// The directory of the cluster that an asset is in: the first, where nothing else is recorded.
pub(crate) fn of_asset(layout: &Layout, asset: &str) -> PathBuf {
    let has = |directory: &PathBuf| read(directory).iter().skip(1).any(|noted| noted == asset);
    all(layout).into_iter().find(has).unwrap_or_else(|| layout.cluster())
}

/// The directories of all clusters of a run, in the order of their numbers; one in between may have been removed.
pub(crate) fn all(layout: &Layout) -> Vec<PathBuf> {
    let first = layout.cluster();
    let (Some(parent), Some(name)) = (first.parent(), first.file_name().and_then(OsStr::to_str)) else {
        return Vec::new();
    };
    let number = |found: &OsStr| match found.to_str()?.strip_prefix(name)? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse::<u32>().ok(),
    };
    let found = fs::read_dir(parent).into_iter().flatten().flatten();
    let numbers: BTreeSet<u32> = found.filter_map(|entry| number(&entry.file_name())).collect();
    numbers.into_iter().map(|number| numbered(layout, number)).filter(|directory| directory.is_dir()).collect()
}

/// `.postgres`, `.postgres-2`, …
fn numbers(layout: &Layout) -> impl Iterator<Item = PathBuf> {
    (1..).map(|number| numbered(layout, number))
}

fn numbered(layout: &Layout, number: u32) -> PathBuf {
    let mut name = layout.cluster().into_os_string();
    if number > 1 {
        name.push(format!("-{number}"));
    }
    PathBuf::from(name)
}

/// The note's lines; none where a cluster has no note, as in earlier versions.
fn read(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join(NOTE)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_cluster_and_keeps_it() {
        let home = tempfile::tempdir().expect("a directory");
        let layout = Layout { bundle: home.path().join("bundle"), restored: home.path().join("restored") };
        let claim = |origin: &str, asset: &str| {
            let directory = claim(&layout, origin, asset).expect("a directory");
            directory.file_name().expect("a name").to_string_lossy().into_owned()
        };
        assert_eq!(claim("one:5432/ 7", "a"), ".postgres");
        assert_eq!(claim("two:5432/ 7", "b"), ".postgres-2");
        assert_eq!(claim("one:5432/ 7", "c"), ".postgres");
        assert_eq!(claim("one:5432/ 8", "d"), ".postgres-3");
        assert_eq!(claim("two:5432/ 7", "b"), ".postgres-2");
        let of = |asset: &str| of_asset(&layout, asset).file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(
            ["a", "b", "c", "d", "unknown"].map(of),
            [".postgres", ".postgres-2", ".postgres", ".postgres-3", ".postgres"]
        );
        assert_eq!(all(&layout).len(), 3);
        // A missing one hides none of the others, and no database moves.
        fs::remove_dir_all(layout.cluster()).expect("removed");
        assert_eq!(all(&layout), [".postgres-2", ".postgres-3"].map(|name| layout.cluster().with_file_name(name)));
        assert_eq!(["b", "d"].map(of), [".postgres-2", ".postgres-3"]);
        assert_eq!(claim("two:5432/ 7", "b"), ".postgres-2");
        assert_eq!(claim("five:5432/ 1", "e"), ".postgres");
        fs::create_dir(layout.cluster().with_file_name(".postgres-old")).expect("a directory");
        assert_eq!(all(&layout).len(), 3);
    }
}
