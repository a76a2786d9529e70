//! The listing of a bucket as a run meets it: page by page, with retries, each version's place counted, and what was
//! listed or carried before remembered by digests, so that no object is carried twice and changes can be named.

use std::{collections::HashMap, sync::Arc};

use crate::{
    digest::Sha256Digest,
    engine::stop::Stop,
    interrupt::Interrupt,
    transfer::{
        object::{ListPage, ObjectEntry, ObjectSource},
        receipt::ObjectReceipt,
        retry::with_retries,
    },
};

/// Reads a listing from its beginning to its end.
pub(super) struct Lister<'a> {
    source: &'a Arc<dyn ObjectSource>,
    interrupt: &'a Interrupt,
    from: Option<String>,
    ended: bool,
    /// The key of the last version, and how many of its versions came.
    versions: (String, u64),
}

impl<'a> Lister<'a> {
    pub(super) fn new(source: &'a Arc<dyn ObjectSource>, interrupt: &'a Interrupt) -> Self {
        Lister { source, interrupt, from: None, ended: false, versions: Default::default() }
    }

    /// The entries of the next page, or none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ObjectEntry>>, Stop> {
        if self.ended {
            return Ok(None);
        }
        let ListPage { mut entries, next } = self.page().await?;
        entries.iter_mut().for_each(|entry| self.count(entry));
        self.ended = next.is_none();
        self.from = next;
        Ok(Some(entries))
    }

    async fn page(&self) -> Result<ListPage, Stop> {
        tokio::select! {
            biased;
            () = self.interrupt.wait() => Err(Stop::Interrupted),
            page = with_retries(|| async { Ok(self.source.list(self.from.as_deref()).await?) }) => Ok(page?),
        }
    }

    /// Versions of a key follow each other, the newest first, also from one page to the next.
    fn count(&mut self, entry: &mut ObjectEntry) {
        let Some(mark) = &mut entry.version else { return };
        if self.versions.0 != entry.key {
            self.versions = (entry.key.clone(), 0);
        }
        mark.order = self.versions.1;
        self.versions.1 += 1;
    }
}

/// An object or version in the memory of a run.
type Id = u128;

/// Objects and versions that were listed or carried before; some fifty bytes for each.
#[derive(Default)]
pub(super) struct Known {
    carried: HashMap<Id, u64>,
    listed: HashMap<Id, u64>,
}

/// What a listed object is to the run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    /// Carried before the run was interrupted.
    Carried,
    /// Listed twice.
    Twice,
    /// Carried before the run was interrupted, and replaced at the provider since.
    Replaced,
}

/// How an object stands in the closing listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Since {
    Same,
    Came,
    Changed,
}

impl Known {
    /// Takes an entry of the opening listing.
    pub(super) fn meet(&mut self, entry: &ObjectEntry) -> Novelty {
        let (id, state) = (id_of(entry), state_of(entry));
        if self.listed.insert(id, state).is_some() {
            return Novelty::Twice;
        }
        self.carried_before(entry)
    }

    /// What an object that was met before is to the run.
    pub(super) fn carried_before(&self, entry: &ObjectEntry) -> Novelty {
        match self.carried.get(&id_of(entry)) {
            None => Novelty::New,
            Some(carried) if *carried == state_of(entry) => Novelty::Carried,
            Some(_) => Novelty::Replaced,
        }
    }

    /// Takes up what an earlier part of the run carried.
    pub(super) fn carried(&mut self, receipt: &ObjectReceipt) {
        self.carried.insert(id_of_receipt(receipt), state(receipt.etag.as_deref(), receipt.size));
    }

    /// Whether anything was carried before.
    pub(super) fn begins_anew(&self) -> bool {
        self.carried.is_empty()
    }

    /// Whether what was carried before is gone from the listing.
    pub(super) fn vanished(&self, receipt: &ObjectReceipt) -> bool {
        !self.listed.contains_key(&id_of_receipt(receipt))
    }

    /// Takes an entry of the closing listing, and forgets it.
    pub(super) fn meet_again(&mut self, entry: &ObjectEntry) -> Since {
        match self.listed.remove(&id_of(entry)) {
            None => Since::Came,
            Some(state) if state == state_of(entry) => Since::Same,
            Some(_) => Since::Changed,
        }
    }

    /// Whether the closing listing lacks it; asked after its end.
    pub(super) fn went(&self, receipt: &ObjectReceipt) -> bool {
        self.listed.contains_key(&id_of_receipt(receipt))
    }

    /// The same of an object that was not carried.
    pub(super) fn went_unread(&self, entry: &ObjectEntry) -> bool {
        self.listed.contains_key(&id_of(entry))
    }
}

fn id_of(entry: &ObjectEntry) -> Id {
    id(&entry.key, entry.version.and(entry.version_id.as_deref()))
}

fn id_of_receipt(receipt: &ObjectReceipt) -> Id {
    id(&receipt.key, receipt.version.and(receipt.version_id.as_deref()))
}

/// The length keeps key and version apart.
fn id(key: &str, version: Option<&str>) -> Id {
    match version {
        None => Sha256Digest::of(key).short(),
        Some(version) => Sha256Digest::of(format!("{} {key}{version}", key.len())).short(),
    }
}

fn state_of(entry: &ObjectEntry) -> u64 {
    state(entry.etag.as_deref(), entry.size)
}

fn state(etag: Option<&str>, size: u64) -> u64 {
    // The lower half of a digest is a digest.
    Sha256Digest::of(format!("{size} {}", etag.unwrap_or_default())).short() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::receipt::VersionMark;

    fn entry(key: &str, etag: &str) -> ObjectEntry {
        ObjectEntry { key: key.into(), etag: Some(etag.into()), ..ObjectEntry::default() }
    }

    #[test]
    fn the_closing_listing_tells_what_came_and_changed() {
        let mut known = Known::default();
        assert_eq!(known.meet(&entry("a", "1")), Novelty::New);
        assert_eq!(known.meet(&entry("a", "1")), Novelty::Twice);
        known.meet(&entry("b", "1"));
        assert_eq!(known.meet_again(&entry("a", "1")), Since::Same);
        assert_eq!(known.meet_again(&entry("b", "2")), Since::Changed);
        assert_eq!(known.meet_again(&entry("c", "1")), Since::Came);
    }

    #[test]
    fn versions_of_one_key_are_told_apart() {
        let version = |id: &str| ObjectEntry {
            version_id: Some(id.into()),
            version: Some(VersionMark { order: 0, is_latest: true, delete_marker: false }),
            ..entry("a", "1")
        };
        let mut known = Known::default();
        assert_eq!(known.meet(&version("1")), Novelty::New);
        assert_eq!(known.meet(&version("2")), Novelty::New);
    }
}
