//! The place of a key in a tree of files.
//!
//! Keys that any file system can hold are kept under `tree/` by their own name. The others are under `mapped/`, by the
//! SHA-256 of the key: what no path can hold (`..`, `//`, a leading or trailing slash, control characters, a component
//! over 255 bytes, more than 2,048 bytes in all), and what would collide with an earlier key (`a` beside `a/b`,
//! names that differ only in case or in Unicode normal form, so that the tree can be copied to any file system). Versions
//! that have been superseded are
//! under `versions/`, by the SHA-256 of key and version. No two objects or versions get the same place.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use crate::{domain::digest::Sha256Digest, transfer::object::ObjectEntry};

const COMPONENT_BYTES_MAX: usize = 255;
/// A path on Linux has at most 4,095 bytes (`PATH_MAX`), the target's directory included. Keys of Amazon S3 have 1,024;
/// other servers accept longer ones.
const KEY_BYTES_MAX: usize = 2_048;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    File,
    Directory,
}

/// Gives every key its place, in the order of the listing; memory is about 40 bytes for each file and directory.
#[derive(Default)]
pub struct Places {
    /// By [`Sha256Digest::short`] of the folded path.
    taken: HashMap<u128, Taken>,
}

impl Places {
    /// The place of the next object or version, relative to the asset's directory.
    pub fn place_entry(&mut self, entry: &ObjectEntry) -> String {
        if entry.is_superseded() {
            superseded(&entry.key, entry.version_id.as_deref().unwrap_or_default())
        } else {
            self.place(&entry.key)
        }
    }

    /// The place of the next key.
    pub fn place(&mut self, key: &str) -> String {
        if is_plain(key) && self.is_free(key) {
            self.take(key);
            format!("tree/{key}")
        } else {
            mapped(key)
        }
    }

    /// Records a place that was given before.
    pub fn occupy(&mut self, place: &str) {
        if let Some(key) = place.strip_prefix("tree/") {
            self.take(key);
        }
    }

    fn is_free(&self, key: &str) -> bool {
        !self.taken.contains_key(&folded(key))
            && ancestors(key).all(|directory| self.taken.get(&folded(directory)) != Some(&Taken::File))
            && ancestors(key).all(|directory| self.spelled_alike(directory))
    }

    /// An existing directory must have exactly this spelling.
    fn spelled_alike(&self, directory: &str) -> bool {
        !self.taken.contains_key(&folded(directory)) || self.taken.contains_key(&exact(directory))
    }

    fn take(&mut self, key: &str) {
        self.taken.insert(folded(key), Taken::File);
        for directory in ancestors(key) {
            self.taken.insert(folded(directory), Taken::Directory);
            self.taken.insert(exact(directory), Taken::Directory);
        }
    }
}

/// `versions/<64 hexadecimal digits>`; the key's length separates key and version.
fn superseded(key: &str, version: &str) -> String {
    format!("versions/{}", Sha256Digest::of(format!("{} {key}{version}", key.len())))
}

/// `mapped/<64 hexadecimal digits>`.
fn mapped(key: &str) -> String {
    format!("mapped/{}", Sha256Digest::of(key))
}

/// `a/b/c` has the ancestors `a` and `a/b`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(at, _)| &key[..at])
}

/// Whether a path by this name stays below its root on any file system and means the same file on all of them.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= KEY_BYTES_MAX
        && key.split('/').all(is_plain_component)
        && !key.chars().any(|c| c.is_control() || c == '\\')
}

fn is_plain_component(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && component.len() <= COMPONENT_BYTES_MAX
}

fn folded(path: &str) -> u128 {
    // Via upper case, too: `ς` and `σ`, `ſ` and `s` have but one.
    hash("folded", &path.nfc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect::<String>())
}

fn exact(path: &str) -> u128 {
    hash("exact", path)
}

fn hash(domain: &str, text: &str) -> u128 {
    Sha256Digest::from(Sha256::new().chain_update(domain).chain_update([0]).chain_update(text)).short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::HashSet, path::Component, path::Path};

    fn places(keys: &[&str]) -> Vec<bool> {
        let mut places = Places::default();
        keys.iter().map(|key| places.place(key).starts_with("tree/")).collect()
    }

    #[test]
    fn ordinary_keys_keep_their_names() {
        assert_eq!(places(&["a", "b/c", "b/d", "b/e f/g+h%2F", "é/ü"]), [true; 5]);
    }

    #[test]
    fn what_a_path_cannot_say_is_mapped() {
        let long = "x".repeat(256);
        let deep = format!("{}e", "n/".repeat(1_024));
        let awkward = ["", "a//b", "/a", "a/", "../a", "a/./b", "a\nb", "a\\b", "\u{7f}", &long, &deep];
        assert_eq!(places(&awkward), [false; 11]);
        assert_eq!(places(&[&deep[2..]]), [true]);
    }

    #[test]
    fn collisions_are_mapped_whatever_came_first() {
        assert_eq!(places(&["a", "a/b"]), [true, false]);
        assert_eq!(places(&["a/b", "a"]), [true, false]);
        assert_eq!(places(&["Readme", "README"]), [true, false]);
        assert_eq!(places(&["d/x", "D/y", "d/z"]), [true, false, true]);
        assert_eq!(places(&["\u{e9}", "e\u{301}"]), [true, false]);
        assert_eq!(places(&["λόγος", "λόγοσ", "s", "\u{17f}"]), [true, false, true, false]);
    }

    #[test]
    fn occupied_places_are_not_given_again() {
        let mut places = Places::default();
        places.occupy("tree/a/b");
        assert_eq!(places.place("a"), mapped("a"));
    }

    proptest! {
        #[test]
        fn no_two_keys_share_a_place_and_none_leaves_the_root(keys in prop::collection::hash_set("[aAbé./\\\\\n]{1,6}", 1..40)) {
            let mut places = Places::default();
            let mut seen = HashSet::new();
            for key in keys {
                let place = places.place(&key);
                prop_assert!(Path::new(&place).components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(seen.insert(place.to_lowercase()));
            }
        }
    }
}
