//! The closing listing: what came, changed or went at the provider while the run went on, each by name in
//! `changes.ndjson`.

use std::path::PathBuf;

use super::{
    BucketWork,
    keybook::KeyBook,
    listing::{Known, Lister, Since},
};
use crate::{
    engine::stop::Stop,
    evidence::{
        self,
        changes::{Change, ChangesCount, ChangesFile, Movement},
    },
    finding::{Finding, FindingKind},
    transfer::object::ObjectEntry,
};

impl BucketWork {
    /// Lists once more and compares with the opening listing. `lost` are objects of that which were not carried.
    pub(super) async fn reconcile(
        &self,
        mut known: Known,
        files: Vec<PathBuf>,
        lost: &[ObjectEntry],
    ) -> Result<ChangesCount, Stop> {
        let mut changes = ChangesFile::create(&self.evidence_directory()?)?;
        let mut book = self.key_book()?;
        let mut lister = Lister::new(&self.source, &self.work.interrupt);
        while let Some(entries) = lister.next().await? {
            for entry in entries {
                let movement = match known.meet_again(&entry) {
                    Since::Same => continue,
                    Since::Came => Movement::Came,
                    Since::Changed => Movement::Changed,
                };
                if let (Movement::Came, Some(book)) = (movement, &mut book) {
                    book.enter(&entry)?;
                }
                let version_id = entry.version.and(entry.version_id);
                changes.add(&Change { movement, key: entry.key, version_id })?;
            }
        }
        book.iter_mut().try_for_each(KeyBook::sync)?;
        for receipt in evidence::merge(files) {
            let receipt = receipt.map_err(|error| self.unreadable_receipts(error))?;
            if known.went(&receipt) {
                let version_id = receipt.version.and(receipt.version_id);
                changes.add(&Change { movement: Movement::Went, key: receipt.key, version_id })?;
            }
        }
        for entry in lost.iter().filter(|entry| known.went_unread(entry)) {
            let version_id = entry.version.and(entry.version_id.clone());
            changes.add(&Change { movement: Movement::Went, key: entry.key.clone(), version_id })?;
        }
        Ok(changes.finish()?)
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
