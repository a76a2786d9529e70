//! The closing listing: what came, changed or went at the provider while the run went on, each by name in
//! `changes.ndjson`; and what it shows that the opening listing should have shown.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    keybook::KeyBook,
    listing::{Known, Lister, Since},
    transfer::Carried,
    work::BucketWork,
};
use crate::{
    asset::stop::Stop,
    evidence::{
        self,
        changes::{Change, ChangesCount, ChangesFile, Movement},
        findings::SHOWN_MAX,
    },
    finding::{Finding, FindingKind},
    transfer::{object::ObjectEntry, retry::Reach},
    words,
};

/// S3 refuses requests whose clock is further from its own than this ("RequestTimeTooSkewed").
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(15);
/// An object that was uploaded in parts is dated when its upload began, and comes when it ends.
const UPLOAD_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the closing listing tells.
pub(super) struct Reconciled {
    pub count: ChangesCount,
    /// Objects that the opening listing left out.
    pub unlisted: Vec<Finding>,
}

impl BucketWork {
    /// Lists once more and compares with the opening listing.
    pub(super) async fn reconcile(&self, mut known: Known, carried: &Carried) -> Result<Reconciled, Stop> {
        let mut changes = ChangesFile::create(&self.evidence_directory()?)?;
        let mut book = self.key_book()?;
        let mut unlisted = Unlisted::default();
        let mut lister = Lister::new(&self.source, &self.work.interrupt, Arc::new(Reach::new(self.stall)));
        while let Some(page) = lister.next().await? {
            for entry in page.entries {
                let movement = match known.meet_again(&entry) {
                    Since::Same => continue,
                    Since::Came => Movement::Came,
                    Since::Changed => Movement::Changed,
                };
                if let (Movement::Came, Some(book)) = (movement, &mut book) {
                    book.enter(&entry)?;
                }
                if movement == Movement::Came && is_older(&entry, carried.listed_from) {
                    unlisted.take(self, &entry);
                }
                let version_id = entry.version.and(entry.version_id);
                changes.add(&Change { movement, key: entry.key, version_id })?;
            }
        }
        book.iter_mut().try_for_each(KeyBook::sync)?;
        for receipt in evidence::merge(carried.files.clone()) {
            let receipt = receipt.map_err(|error| self.unreadable_receipts(error))?;
            if known.went(&receipt) {
                let version_id = receipt.version.and(receipt.version_id);
                changes.add(&Change { movement: Movement::Went, key: receipt.key, version_id })?;
            }
        }
        for entry in carried.lost.iter().filter(|entry| known.went_unread(entry)) {
            let version_id = entry.version.and(entry.version_id.clone());
            changes.add(&Change { movement: Movement::Went, key: entry.key.clone(), version_id })?;
        }
        Ok(Reconciled { count: changes.finish()?, unlisted: unlisted.findings(self) })
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

/// The first of the objects that the opening listing left out, and the number of all.
#[derive(Default)]
struct Unlisted {
    shown: Vec<Finding>,
    total: u64,
}

impl Unlisted {
    fn take(&mut self, of: &BucketWork, entry: &ObjectEntry) {
        self.total += 1;
        if self.shown.len() == SHOWN_MAX {
            return;
        }
        let version = entry.version.and(entry.version_id.as_deref());
        let version = version.map_or(String::new(), |version| format!("version {version}: "));
        let modified = entry.last_modified.as_deref().unwrap_or_default();
        let detail = format!(
            "{version}not carried; the closing listing dates it {modified}, before the opening listing, which did not \
             show it: run the drill again"
        );
        self.shown.push(of.work.finding(FindingKind::ObjectUnlisted, &entry.key, detail));
    }

    fn findings(mut self, of: &BucketWork) -> Vec<Finding> {
        let more = self.total - self.shown.len() as u64;
        if more > 0 {
            let detail = format!("{} more; their names are in changes.ndjson", words::count(more, "object", "objects"));
            self.shown.push(of.work.finding(FindingKind::ObjectUnlisted, &of.source_name, detail));
        }
        self.shown
    }
}

/// Whether an object was there before a listing began, by the provider's clock.
fn is_older(entry: &ObjectEntry, listed_from: Timestamp) -> bool {
    let is_in_parts = entry.etag.as_deref().is_some_and(|etag| etag.contains('-'));
    let margin = if is_in_parts { UPLOAD_MAX } else { CLOCKS_APART };
    let modified = entry.last_modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    modified.is_some_and(|modified| modified < listed_from - margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_for_sure_should_have_been_listed() {
        let began: Timestamp = "2026-11-29T12:00:00Z".parse().expect("a time");
        let is_old = |etag: &str, modified: Option<&str>| {
            let (etag, last_modified) = (Some(etag.to_owned()), modified.map(str::to_owned));
            is_older(&ObjectEntry { etag, last_modified, ..ObjectEntry::default() }, began)
        };
        assert!(is_old("a", Some("2026-11-29T11:44:00Z")) && !is_old("a", Some("2026-11-29T11:46:00Z")));
        assert!(is_old("a-3", Some("2026-11-22T11:00:00Z")) && !is_old("a-3", Some("2026-11-29T00:00:00Z")));
        assert!(!is_old("a", None) && !is_old("a", Some("yesterday")));
    }
}
