//! A journal folded into values that can be compared with the result.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::Entry;
use crate::domain::{
    digest::Sha256Digest,
    event::{AssetKind, Event},
    finding::{Finding, Verdict},
};

/// A run according to its journal.
#[derive(Debug, Default)]
pub(crate) struct Replay<'a> {
    /// Run id and digest of the playbook, if the first line is `run_started`.
    pub started: Option<(&'a str, Sha256Digest)>,
    /// The previous run, its bundle's digest and its journal's head, if it was named.
    pub continues: Option<(&'a str, Sha256Digest, Sha256Digest)>,
    /// Executables that worked on the run.
    pub binaries: BTreeSet<Sha256Digest>,
    /// Number of `run_resumed`.
    pub resumed: u32,
    /// Verdict and number of findings, if the last line is `run_done`.
    pub done: Option<(Verdict, u64)>,
    /// Whether the end states that the verdict is about a sample; absent in older journals.
    pub sampled: bool,
    /// All findings of all passes.
    pub found: BTreeSet<&'a Finding>,
    /// Findings about the run as a whole since it was last started or resumed.
    pub found_of_run: BTreeSet<&'a Finding>,
    /// Digests of the inventories of the account.
    pub looks: BTreeSet<Sha256Digest>,
    /// Each asset according to it.
    pub assets: BTreeMap<&'a str, AssetReplay<'a>>,
}

/// An asset according to the journal.
#[derive(Debug, Default)]
pub(crate) struct AssetReplay<'a> {
    /// Bucket or database; none if it was never started.
    pub kind: Option<AssetKind>,
    /// Items and bytes of each finished unit that counts.
    pub units: BTreeMap<&'a str, (u64, u64)>,
    /// Findings since the asset was last started.
    pub found: BTreeSet<&'a Finding>,
    /// The digest of the file with findings beyond those, since the asset was last started.
    pub filed: Option<Sha256Digest>,
    /// Every control that ran.
    pub controls: BTreeSet<(&'a str, bool)>,
    /// The verdict it ended with, if still valid.
    pub done: Option<Verdict>,
    /// The digest of the outcome that it ended with, and whether that was about a sample.
    pub outcome: Option<(Sha256Digest, bool)>,
    /// The digest of the receipts of each finished unit that counts.
    pub receipts: BTreeMap<&'a str, Sha256Digest>,
    /// Items, bytes and milliseconds of what was copied, since the asset was last started.
    pub transferred: Option<(u64, u64, u64)>,
    /// The same for what was read back.
    pub verified: Option<(u64, u64, u64)>,
    /// The snapshot, and its server's version.
    pub snapshot: Option<(&'a str, &'a str)>,
    /// The database of the target.
    pub database: Option<&'a str>,
}

impl<'a> Replay<'a> {
    /// Folds the entries of a journal.
    pub(crate) fn of(entries: &'a [Entry]) -> Self {
        let mut replay = Replay::default();
        for entry in entries {
            replay.take(&entry.event);
        }
        replay.started = match entries.first().map(|entry| &entry.event) {
            Some(Event::RunStarted { run, playbook_sha256, .. }) => Some((run, *playbook_sha256)),
            _ => None,
        };
        let last = entries.last().map(|entry| &entry.event);
        replay.sampled = matches!(last, Some(Event::RunDone { sampled: true, .. }));
        replay.done = match last {
            Some(Event::RunDone { verdict, findings, .. }) => Some((*verdict, *findings)),
            _ => None,
        };
        replay
    }

    fn take(&mut self, event: &'a Event) {
        match event {
            Event::RunStarted { binary_sha256, .. } => {
                self.binaries.insert(*binary_sha256);
            }
            Event::RunResumed { binary_sha256, .. } => {
                self.binaries.insert(*binary_sha256);
                self.resumed += 1;
                self.found_of_run.clear();
            }
            Event::AccountRead { sha256, .. } => {
                self.looks.insert(*sha256);
            }
            Event::Continues { previous, bundle_digest, journal_head } => {
                self.continues = Some((previous, *bundle_digest, *journal_head));
            }
            Event::Found { finding } => self.take_finding(finding),
            _ => self.take_asset_event(event),
        }
    }

    fn take_finding(&mut self, finding: &'a Finding) {
        self.found.insert(finding);
        match &finding.asset {
            Some(asset) => self.assets.entry(asset).or_default().found.insert(finding),
            None => self.found_of_run.insert(finding),
        };
    }

    fn take_asset_event(&mut self, event: &'a Event) {
        match event {
            Event::AssetStarted { asset, kind } => self.assets.entry(asset).or_default().start(*kind),
            Event::UnitDone { asset, unit, items, bytes, receipt_sha256 } => {
                let replay = self.assets.entry(asset).or_default();
                replay.units.insert(unit, (*items, *bytes));
                replay.receipts.insert(unit, *receipt_sha256);
            }
            Event::AssetTransferred { asset, items, bytes, duration_ms } => {
                self.assets.entry(asset).or_default().transferred = Some((*items, *bytes, *duration_ms));
            }
            Event::AssetVerified { asset, items, bytes, duration_ms } => {
                self.assets.entry(asset).or_default().verified = Some((*items, *bytes, *duration_ms));
            }
            Event::SnapshotTaken { asset, snapshot, server_version } => {
                self.assets.entry(asset).or_default().snapshot = Some((snapshot, server_version));
            }
            Event::DatabaseCreated { asset, database } => {
                self.assets.entry(asset).or_default().database = Some(database);
            }
            Event::ControlRan { asset, damage, found } => {
                self.assets.entry(asset).or_default().controls.insert((damage, *found));
            }
            Event::FindingsFiled { asset, sha256, .. } => {
                self.assets.entry(asset).or_default().filed = Some(*sha256);
            }
            Event::AssetDone { asset, verdict, outcome_sha256, sampled } => {
                let replay = self.assets.entry(asset).or_default();
                (replay.done, replay.outcome) = (Some(*verdict), Some((*outcome_sha256, *sampled)));
            }
            Event::AssetLookedAt { asset, differ: 1.., .. } | Event::AssetStopped { asset, .. } => {
                let replay = self.assets.entry(asset).or_default();
                (replay.done, replay.outcome) = (None, None);
            }
            _ => {}
        }
    }
}

impl AssetReplay<'_> {
    /// Copied objects are kept; a database starts again from nothing, with a snapshot of its own.
    fn start(&mut self, kind: AssetKind) {
        self.kind = Some(kind);
        self.found.clear();
        (self.filed, self.done, self.outcome) = (None, None, None);
        (self.transferred, self.verified) = (None, None);
        if kind.facts().begins_anew {
            self.units.clear();
            self.receipts.clear();
        }
    }

    /// Items and bytes of all units.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), unit: &(u64, u64)| (sum.0.saturating_add(unit.0), sum.1.saturating_add(unit.1));
        self.units.values().fold((0, 0), add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals_after_a_restart(kind: AssetKind) -> (u64, u64) {
        let unit = |unit: &str, items| Event::UnitDone {
            asset: "a".into(),
            unit: unit.into(),
            items,
            bytes: 10 * items,
            receipt_sha256: Sha256Digest([0; 32]),
        };
        let start = Event::AssetStarted { asset: "a".into(), kind };
        let events = [start.clone(), unit("1", 1), unit("2", 2), start, unit("2", 2), unit("3", 4)];
        let mut replay = Replay::default();
        events.iter().for_each(|event| replay.take(event));
        replay.assets["a"].totals()
    }

    #[test]
    fn a_verdict_stands_until_its_asset_is_found_changed_or_can_not_be_looked_at() {
        let asset = || "a".to_owned();
        let outcome_sha256 = Sha256Digest([0; 32]);
        let done = Event::AssetDone { asset: asset(), verdict: Verdict::Pass, outcome_sha256, sampled: false };
        let looked = |differ| Event::AssetLookedAt { asset: asset(), items: 3, differ };
        let stopped = Event::AssetStopped { asset: asset(), reason: String::new() };
        for (event, stands) in [(looked(0), true), (looked(1), false), (stopped, false)] {
            let mut replay = Replay::default();
            [&done, &event].into_iter().for_each(|event| replay.take(event));
            assert_eq!(replay.assets["a"].done.is_some(), stands, "{event:?}");
        }
    }

    #[test]
    fn units_of_objects_add_up_over_restarts_and_those_of_tables_do_not() {
        assert_eq!(totals_after_a_restart(AssetKind::S3), (7, 70));
        assert_eq!(totals_after_a_restart(AssetKind::Postgres), (6, 60));
    }
}
