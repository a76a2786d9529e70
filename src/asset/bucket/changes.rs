//! The closing listing: what was added, changed or removed at the provider during the run, each by name in
//! `changes.ndjson`; and what it shows that the opening listing should have shown.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    listing::{Began, ClosingState, Known, Lister},
    pseudonym_map::PseudonymMap,
    transfer::{Carried, name_of, weight},
    work::BucketWork,
};
use crate::{
    asset::stop::Stop,
    clock,
    domain::finding::{Finding, FindingKind},
    evidence::{
        self,
        changes::{Change, ChangesCount, ChangesFile, Movement},
        findings::SHOWN_MAX,
    },
    transfer::{object::ObjectEntry, retry::OutageTracker},
    words,
};

/// S3 refuses requests whose clock is further from its own than this ("RequestTimeTooSkewed").
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(15);
/// How far the clocks of one provider's servers may be from each other.
const SERVERS_APART: SignedDuration = SignedDuration::from_mins(2);
/// An object may be dated at the start of its upload, and appears at its end; slower uploads than this are rare.
const UPLOAD_BYTES_PER_S: u64 = 1 << 20;
/// The same for a multipart upload.
const UPLOAD_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The results of the closing listing.
pub(super) struct Reconciled {
    pub count: ChangesCount,
    /// Objects that the opening listing left out, or shows in a wrong state.
    pub findings: Vec<Finding>,
}

impl BucketWork {
    /// Lists once more and compares with the opening listing.
    pub(super) async fn reconcile(&self, mut known: Known, carried: &Carried) -> Result<Reconciled, Stop> {
        let mut changes = ChangesFile::create(&self.evidence_directory()?)?;
        let mut book = self.pseudonym_map()?;
        let mut unlisted = Shown::of(FindingKind::ObjectUnlisted);
        let mut contradicted = Shown::of(FindingKind::ObjectChanged);
        let mut odd = [FindingKind::ObjectUnreadable, FindingKind::ListingContradiction].map(Shown::of);
        let mut lister = Lister::new(&self.source, &self.work.interrupt, Arc::new(OutageTracker::new(self.stall)));
        while let Some(page) = lister.next().await? {
            let closed = page.answered.unwrap_or_else(clock::now);
            for entry in page.odd {
                // What only lacks a date is among the entries.
                let Some((kind, reason)) = weight(&entry.odd) else { continue };
                if !known.meet_odd_again(&entry) {
                    let shown = odd.iter_mut().filter(|shown| shown.kind == kind);
                    let key = name_of(entry);
                    shown.for_each(|shown| shown.take(self, &key, None, format!("in the closing listing: {reason}")));
                }
            }
            for entry in page.entries {
                let movement = match known.meet_again(&entry) {
                    ClosingState::Same => continue,
                    ClosingState::Came => Movement::Came,
                    ClosingState::Changed => Movement::Changed,
                };
                if let (Movement::Came, Some(book)) = (movement, &mut book) {
                    book.enter(&entry)?;
                }
                match (movement, dated(&entry, carried.began, closed)) {
                    (_, Dated::AddedSince) => {}
                    (Movement::Came, when) => {
                        unlisted.take(self, &entry.key, entry.version.and(entry.version_id.as_deref()), when.reason());
                    }
                    (_, Dated::Before(modified)) => known.was_before(&entry, modified),
                    (_, Dated::Unknown | Dated::Ahead(_)) => {}
                }
                let version_id = entry.version.and(entry.version_id);
                changes.add(&Change { movement, key: entry.key, version_id })?;
            }
        }
        book.iter_mut().try_for_each(PseudonymMap::sync)?;
        for receipt in evidence::merge(carried.files.clone()) {
            let receipt = receipt.map_err(|error| self.unreadable_receipts(error))?;
            let version = receipt.version.and(receipt.version_id.as_deref());
            if known.is_stale(&receipt) {
                unlisted.take(self, &receipt.key, version, STALE.to_owned());
            }
            if known.is_contradicted(&receipt) && !carried.named.contains(&receipt.key) {
                contradicted.take(self, &receipt.key, version, CONTRADICTED.to_owned());
            }
            if known.went(&receipt) {
                let version_id = receipt.version.and(receipt.version_id);
                changes.add(&Change { movement: Movement::Went, key: receipt.key, version_id })?;
            }
        }
        for entry in carried.lost.iter().filter(|entry| known.went_unread(entry)) {
            let version_id = entry.version.and(entry.version_id.clone());
            changes.add(&Change { movement: Movement::Went, key: entry.key.clone(), version_id })?;
        }
        let findings = [unlisted, contradicted].into_iter().chain(odd).flat_map(|shown| shown.findings(self)).collect();
        Ok(Reconciled { count: changes.finish()?, findings })
    }

    /// One note for all; the names are in the file.
    pub(super) fn changes_finding(&self, count: ChangesCount) -> Option<Finding> {
        let ChangesCount { came, changed, went } = count;
        let detail = format!(
            "since the opening listing {came} came, {changed} changed, {went} went; what changed before it was read was \
             carried in its new state, everything else as it was listed; their names are in changes.ndjson"
        );
        (came + changed + went > 0).then(|| self.work.finding(FindingKind::SourceMoved, &self.source_name, detail))
    }
}

const STALE: &str = "carried in the state that the opening listing shows; the closing one shows a later state, of before the \
                     opening listing: run the drill again";
const CONTRADICTED: &str = "both listings show another state than the one that was served and carried: run the drill again, \
                            and see whether something in between keeps old answers";

/// The first object of one kind of finding, and the total number.
struct Shown {
    kind: FindingKind,
    shown: Vec<Finding>,
    total: u64,
}

impl Shown {
    fn of(kind: FindingKind) -> Self {
        Shown { kind, shown: Vec::new(), total: 0 }
    }

    fn take(&mut self, of: &BucketWork, key: &str, version: Option<&str>, reason: String) {
        self.total += 1;
        if self.shown.len() == SHOWN_MAX {
            return;
        }
        let detail = match version {
            Some(version) => format!("version {version}: {reason}"),
            None => reason,
        };
        self.shown.push(of.work.finding(self.kind, key, detail));
    }

    fn findings(mut self, of: &BucketWork) -> Vec<Finding> {
        let more = self.total - self.shown.len() as u64;
        if more > 0 {
            let detail = format!("the same of {} more", words::count(more, "object", "objects"));
            self.shown.push(of.work.finding(self.kind, &of.source_name, detail));
        }
        self.shown
    }
}

/// The date of an object in the closing listing.
#[derive(Debug, PartialEq, Eq)]
enum Dated {
    /// It existed before the opening listing started.
    Before(Timestamp),
    /// It was added since.
    AddedSince,
    /// A time that was in the future when it was listed.
    Ahead(Timestamp),
    /// It has no date.
    Unknown,
}

impl Dated {
    /// Why it is not known to have been added since.
    fn reason(&self) -> String {
        let dated = match self {
            Dated::Before(modified) => format!("dates it {modified}, before the opening listing"),
            Dated::Ahead(modified) => format!("dates it {modified}, which is still to come"),
            Dated::AddedSince | Dated::Unknown => "does not date it".to_owned(),
        };
        format!("not carried; the closing listing {dated}, and the opening one did not show it: run the drill again")
    }
}

/// Both dates by the provider's clock, as far as it is known.
fn dated(entry: &ObjectEntry, began: Began, closed: Timestamp) -> Dated {
    let Some(modified) = entry.last_modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok()) else {
        return Dated::Unknown;
    };
    let is_in_parts = entry.etag.as_deref().is_some_and(|etag| etag.contains('-'));
    let upload = SignedDuration::from_secs((entry.size / UPLOAD_BYTES_PER_S).try_into().unwrap_or_default());
    let (began, margin) = match began {
        Began::There(at) => (at, SERVERS_APART + upload),
        Began::Here(at) => (at, CLOCKS_APART),
    };
    if modified < began - if is_in_parts { UPLOAD_MAX } else { margin } {
        Dated::Before(modified)
    } else if modified > closed + CLOCKS_APART {
        Dated::Ahead(modified)
    } else {
        Dated::AddedSince
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_for_sure_was_not_to_be_listed() {
        let began: Timestamp = "2026-11-29T12:00:00Z".parse().expect("a time");
        let closed: Timestamp = "2026-11-29T13:00:00Z".parse().expect("a time");
        let dated_by = |began: Began, etag: &str, size: u64, modified: &str| {
            let etag = Some(etag.to_owned());
            let last_modified = Some(modified.to_owned());
            match dated(&ObjectEntry { etag, size, last_modified, ..ObjectEntry::default() }, began, closed) {
                Dated::Before(_) => "before",
                Dated::AddedSince => "since",
                Dated::Ahead(_) => "ahead",
                Dated::Unknown => "unknown",
            }
        };
        for (etag, size, modified, here, there) in [
            ("a", 0, "2026-11-29T11:44:00Z", "before", "before"),
            ("a", 0, "2026-11-29T11:46:00Z", "since", "before"),
            ("a", 5 << 30, "2026-11-29T11:46:00Z", "since", "since"),
            ("a", 0, "2026-11-29T11:58:30Z", "since", "since"),
            ("a-3", 0, "2026-11-22T11:00:00Z", "before", "before"),
            ("a-3", 0, "2026-11-29T00:00:00Z", "since", "since"),
            ("a", 0, "2026-11-29T13:14:00Z", "since", "since"),
            ("a", 0, "2026-11-29T13:16:00Z", "ahead", "ahead"),
            ("a", 0, "yesterday", "unknown", "unknown"),
        ] {
            assert_eq!(dated_by(Began::Here(began), etag, size, modified), here, "{etag} {modified}, this clock");
            assert_eq!(dated_by(Began::There(began), etag, size, modified), there, "{etag} {modified}, its clock");
        }
    }
}
