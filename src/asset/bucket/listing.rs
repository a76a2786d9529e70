//! The listing of a bucket as a run reads it: page by page, with retries, each version's place counted, and what was
//! listed or copied before remembered by digests, so that no object is copied twice and changes can be named.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    asset::stop::Stop,
    domain::digest::Sha256Digest,
    interrupt::Interrupt,
    transfer::{
        listing::Pages,
        object::{ListPage, ObjectEntry, ObjectSource, ProblemEntry},
        receipt::ObjectReceipt,
        retry::OutageTracker,
    },
};

/// When the opening listing started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Began {
    /// By the provider's clock.
    There(Timestamp),
    /// By this machine's, where the provider does not state it.
    Here(Timestamp),
}

/// Reads a listing from its beginning to its end.
pub(super) struct Lister<'a> {
    source: &'a Arc<dyn ObjectSource>,
    interrupt: &'a Interrupt,
    pages: Pages,
    /// Waits out an outage of the provider.
    reach: Arc<OutageTracker>,
    /// The key of the last version, and how many of its versions were listed.
    versions: (String, u64),
    /// When the first page was answered, by the provider's clock; none before that, or if it is not stated.
    began: Option<Timestamp>,
    is_begun: bool,
}

impl<'a> Lister<'a> {
    pub(super) fn new(source: &'a Arc<dyn ObjectSource>, interrupt: &'a Interrupt, reach: Arc<OutageTracker>) -> Self {
        Lister {
            source,
            interrupt,
            pages: Pages::default(),
            reach,
            versions: Default::default(),
            began: None,
            is_begun: false,
        }
    }

    /// When the listing started, by the provider's clock.
    pub(super) fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// The next page, or none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<ListPage>, Stop> {
        let page = tokio::select! {
            biased;
            () = self.interrupt.wait() => return Err(Stop::Interrupted),
            page = self.pages.next(self.source.as_ref(), &self.reach) => page?,
        };
        if let Some(first) = page.as_ref().filter(|_| !self.is_begun) {
            (self.began, self.is_begun) = (first.answered, true);
        }
        Ok(page.map(|mut page| {
            page.entries.iter_mut().for_each(|entry| self.count(entry));
            page
        }))
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

/// An object or version as remembered by a run.
type Id = u128;

/// Objects and versions that were listed or copied before; about fifty bytes each.
#[derive(Default)]
pub(super) struct Known {
    carried: HashMap<Id, u64>,
    listed: HashMap<Id, Listed>,
    /// For each key with versions, whether one of them is the latest.
    has_latest: HashMap<Id, bool>,
    /// Objects in another state in the closing listing, dated before the opening one: that state, and its date.
    before: HashMap<Id, (u64, Timestamp)>,
    /// Odd entries of the opening listing, each as often as it came.
    odd: HashMap<Id, u64>,
}

/// An object or version in the opening listing.
struct Listed {
    state: u64,
    /// What else distinguishes it: how its key is spelled, and for a version, of which a server may list several
    /// without ids, whether it is the latest one, a delete marker, and its date.
    version: u32,
    again: Again,
}

/// Its state in the closing listing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Not,
    Same,
    /// In another state.
    Changed,
}

/// How the run classifies a listed object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListingState {
    New,
    /// Copied before the run was interrupted.
    Carried,
    /// Listed twice, in one state.
    Twice,
    /// Listed earlier in another state.
    Contradicted,
    /// Listed as the latest version, as another version already was.
    SecondLatest,
    /// Copied before the run was interrupted, and replaced at the provider since.
    Replaced,
}

/// How an object appears in the closing listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClosingState {
    Same,
    Came,
    Changed,
}

impl Known {
    /// Takes an entry of the opening listing.
    pub(super) fn meet(&mut self, entry: &ObjectEntry) -> ListingState {
        let listed = Listed { state: state_of(entry), version: version_of(entry), again: Again::Not };
        match self.listed.entry(id_of(entry)) {
            Entry::Vacant(place) => drop(place.insert(listed)),
            Entry::Occupied(known) if (known.get().state, known.get().version) == (listed.state, listed.version) => {
                return ListingState::Twice;
            }
            Entry::Occupied(_) => return ListingState::Contradicted,
        }
        if let Some(mark) = entry.version {
            let has_latest = self.has_latest.entry(id(&entry.key, None)).or_default();
            if *has_latest && mark.is_latest {
                return ListingState::SecondLatest;
            }
            *has_latest |= mark.is_latest;
        }
        self.carried_before(entry)
    }

    /// Takes an odd entry of the opening listing.
    pub(super) fn meet_odd(&mut self, entry: &ProblemEntry) {
        *self.odd.entry(id_of_odd(entry)).or_default() += 1;
    }

    /// Takes one of the closing listing; whether the opening one had it, too.
    pub(super) fn meet_odd_again(&mut self, entry: &ProblemEntry) -> bool {
        let met = self.odd.get_mut(&id_of_odd(entry)).filter(|left| **left > 0);
        met.map(|left| *left -= 1).is_some()
    }

    /// Whether every key with versions has a latest one; valid after the end of the listing.
    pub(super) fn have_latest(&self) -> bool {
        self.has_latest.values().all(|has_latest| *has_latest)
    }

    /// Whether no version of this one's key is the latest; true once for each key.
    pub(super) fn lacks_latest(&mut self, receipt: &ObjectReceipt) -> bool {
        let has_latest = self.has_latest.get_mut(&id(&receipt.key, None));
        has_latest.is_some_and(|has_latest| !std::mem::replace(has_latest, true))
    }

    /// How the run classifies an object that it has seen before.
    pub(super) fn carried_before(&self, entry: &ObjectEntry) -> ListingState {
        match self.carried.get(&id_of(entry)) {
            None => ListingState::New,
            Some(carried) if *carried == state_of(entry) => ListingState::Carried,
            Some(_) => ListingState::Replaced,
        }
    }

    /// Adds what an earlier part of the run copied.
    pub(super) fn carried(&mut self, receipt: &ObjectReceipt) {
        self.carried.insert(id_of_receipt(receipt), state_of_receipt(receipt));
    }

    /// Whether anything was copied before.
    pub(super) fn begins_anew(&self) -> bool {
        self.carried.is_empty()
    }

    /// Whether something copied before is gone from the listing.
    pub(super) fn vanished(&self, receipt: &ObjectReceipt) -> bool {
        !self.listed.contains_key(&id_of_receipt(receipt))
    }

    /// Takes an entry of the closing listing.
    pub(super) fn meet_again(&mut self, entry: &ObjectEntry) -> ClosingState {
        let id = id_of(entry);
        let state = state_of(entry);
        let Some(listed) = self.listed.get_mut(&id) else {
            // Listed twice, it counts once.
            let version = version_of(entry);
            self.listed.insert(id, Listed { state, version, again: Again::Same });
            return ClosingState::Came;
        };
        let since = if listed.state == state { ClosingState::Same } else { ClosingState::Changed };
        match (listed.again, &since) {
            (Again::Changed, _) | (_, ClosingState::Changed) => listed.again = Again::Changed,
            _ => listed.again = Again::Same,
        }
        since
    }

    /// Takes an entry of the closing listing in another state than in the opening one, dated before that.
    pub(super) fn was_before(&mut self, entry: &ObjectEntry, modified: Timestamp) {
        self.before.insert(id_of(entry), (state_of(entry), modified));
    }

    /// Whether a later state than the one that was copied existed before the opening listing started. What was
    /// copied may be the state that the closing listing shows, with an older one in the place of one that was
    /// removed.
    pub(super) fn is_stale(&self, receipt: &ObjectReceipt) -> bool {
        let Some((state, modified)) = self.before.get(&id_of_receipt(receipt)) else { return false };
        let carried = receipt.last_modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        *state != state_of_receipt(receipt) && carried.is_none_or(|carried| carried <= *modified)
    }

    /// Whether both listings agree on a state that was not the one served; valid after the closing one. For what
    /// an earlier part of the run copied, that is known already.
    pub(super) fn is_contradicted(&self, receipt: &ObjectReceipt) -> bool {
        let id = id_of_receipt(receipt);
        let listed = self.listed.get(&id).filter(|listed| listed.again == Again::Same);
        listed.is_some_and(|listed| listed.state != state_of_receipt(receipt)) && !self.carried.contains_key(&id)
    }

    /// Whether the closing listing lacks it; valid after its end.
    pub(super) fn went(&self, receipt: &ObjectReceipt) -> bool {
        self.is_gone(id_of_receipt(receipt))
    }

    /// The same for an object that was not copied.
    pub(super) fn went_unread(&self, entry: &ObjectEntry) -> bool {
        self.is_gone(id_of(entry))
    }

    fn is_gone(&self, id: Id) -> bool {
        self.listed.get(&id).is_some_and(|listed| listed.again == Again::Not)
    }
}

fn id_of(entry: &ObjectEntry) -> Id {
    id(&entry.key, entry.version.and(entry.version_id.as_deref()))
}

fn id_of_receipt(receipt: &ObjectReceipt) -> Id {
    id(&receipt.key, receipt.version.and(receipt.version_id.as_deref()))
}

fn id_of_odd(ProblemEntry { key, odd }: &ProblemEntry) -> Id {
    Sha256Digest::of(format!("{odd:?} {key}")).short()
}

/// The length separates key and version.
fn id(key: &str, version: Option<&str>) -> Id {
    match version {
        None => Sha256Digest::of(key).short(),
        Some(version) => Sha256Digest::of(format!("{} {key}{version}", key.len())).short(),
    }
}

fn state_of_receipt(receipt: &ObjectReceipt) -> u64 {
    state(receipt.etag.as_deref(), receipt.last_modified.as_deref(), receipt.size)
}

fn state_of(entry: &ObjectEntry) -> u64 {
    state(entry.etag.as_deref(), entry.last_modified.as_deref(), entry.size)
}

/// For an object that is listed without versions only the key's spelling: the same bytes under another date are not
/// another object.
fn version_of(entry: &ObjectEntry) -> u32 {
    let Some(mark) = entry.version else { return entry.spelling };
    let spelling = entry.spelling;
    let modified = entry.last_modified.as_deref().unwrap_or_default();
    Sha256Digest::of(format!("{} {} {spelling} {modified}", mark.is_latest, mark.delete_marker)).short() as u32
}

/// Where no entity tag is listed, the date has to distinguish states.
fn state(etag: Option<&str>, modified: Option<&str>, size: u64) -> u64 {
    // The lower half of a digest is a digest, too.
    Sha256Digest::of(format!("{size} {}", etag.or(modified).unwrap_or_default())).short() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::receipt::{Confirmation, VersionMark};

    fn entry(key: &str, etag: &str) -> ObjectEntry {
        ObjectEntry { key: key.into(), etag: Some(etag.into()), ..ObjectEntry::default() }
    }

    #[test]
    fn the_closing_listing_tells_what_came_and_changed() {
        let mut known = Known::default();
        assert_eq!(known.meet(&entry("a", "1")), ListingState::New);
        assert_eq!(known.meet(&entry("a", "1")), ListingState::Twice);
        assert_eq!(known.meet(&entry("a", "2")), ListingState::Contradicted);
        known.meet(&entry("b", "1"));
        let spelled = ObjectEntry { spelling: 7, ..entry("a", "1") };
        assert_eq!(known.meet(&spelled), ListingState::Contradicted, "`a+b` and `a%20b` may be two keys");
        assert_eq!(known.meet_again(&entry("a", "1")), ClosingState::Same);
        assert_eq!(known.meet_again(&entry("b", "2")), ClosingState::Changed);
        assert_eq!(known.meet_again(&entry("c", "1")), ClosingState::Came);
        for twice in [entry("a", "1"), entry("c", "1")] {
            assert_eq!(known.meet_again(&twice), ClosingState::Same);
        }
    }

    #[test]
    fn without_entity_tags_the_date_tells_one_state_from_another() {
        let dated = |date: &str| ObjectEntry { etag: None, last_modified: Some(date.into()), ..entry("a", "") };
        let mut known = Known::default();
        known.meet(&dated("2024-05-06T00:00:00Z"));
        assert_eq!(known.meet_again(&dated("2024-05-06T00:00:00Z")), ClosingState::Same);
        assert_eq!(known.meet_again(&dated("2024-05-07T00:00:00Z")), ClosingState::Changed);
    }

    #[test]
    fn what_was_carried_is_held_against_both_listings() {
        let dated = |etag: &str, date: &str| ObjectEntry { last_modified: Some(date.into()), ..entry("a", etag) };
        let old = dated("old", "2024-05-06T00:00:00Z");
        let new = dated("new", "2024-05-07T00:00:00Z");
        let receipt = |entry: &ObjectEntry| {
            let word = Confirmation::Unavailable("test".into());
            ObjectReceipt::new(entry.clone(), "a".into(), entry.size, Sha256Digest::of(""), word)
        };
        let compared = |opening: &ObjectEntry, closing: &ObjectEntry, carried: &ObjectEntry| {
            let mut known = Known::default();
            known.meet(opening);
            if known.meet_again(closing) == ClosingState::Changed {
                known.was_before(closing, closing.last_modified.as_deref().expect("a date").parse().expect("a date"));
            }
            (known.is_contradicted(&receipt(carried)), known.is_stale(&receipt(carried)))
        };
        assert_eq!(compared(&old, &old, &old), (false, false));
        assert_eq!(compared(&old, &old, &new), (true, false), "a stale listing, or a stale answer");
        assert_eq!(compared(&old, &new, &old), (false, true), "the opening listing was stale");
        assert_eq!(compared(&old, &new, &new), (false, false), "the closing listing shows what was carried");
        assert_eq!(compared(&new, &old, &new), (false, false), "the newer version was deleted meanwhile");
    }

    #[test]
    fn what_the_closing_listing_lacks_went() {
        let mut known = Known::default();
        known.meet(&entry("a", "1"));
        known.meet(&entry("b", "1"));
        known.meet_again(&entry("a", "1"));
        assert!(known.went_unread(&entry("b", "1")) && !known.went_unread(&entry("a", "1")));
    }

    #[test]
    fn versions_of_one_key_are_told_apart() {
        let version = |id: &str| ObjectEntry {
            version_id: Some(id.into()),
            version: Some(VersionMark { order: 0, is_latest: true, delete_marker: false }),
            ..entry("a", "1")
        };
        let older = |id: &str| ObjectEntry {
            version: Some(VersionMark { order: 1, is_latest: false, delete_marker: false }),
            ..version(id)
        };
        let mut known = Known::default();
        assert_eq!(known.meet(&older("1")), ListingState::New);
        assert!(!known.have_latest());
        assert_eq!(known.meet(&version("2")), ListingState::New);
        assert!(known.have_latest());
        assert_eq!(known.meet(&version("2")), ListingState::Twice);
        assert_eq!(known.meet(&version("3")), ListingState::SecondLatest);
        let marked = |is_latest, delete_marker| Some(VersionMark { order: 0, is_latest, delete_marker });
        for mark in [marked(true, true), marked(false, false)] {
            assert_eq!(known.meet(&ObjectEntry { version: mark, ..version("2") }), ListingState::Contradicted);
        }
        let later = ObjectEntry { last_modified: Some("2024-05-06T00:00:00Z".into()), ..version("2") };
        assert_eq!(known.meet(&later), ListingState::Contradicted);
    }
}
