//! A run as lines of text: which facts get one, and their text. Remembers what a line needs from earlier facts
//! (what an asset is, when it started, how many findings were shown). Writes nothing.

use std::collections::HashMap;

use jiff::Timestamp;

use super::style::{Paint, Style, count, duration, rate, size, thousands, time_left};
use crate::{
    domain::{
        event::{AssetKind, Event, Phase, Progress},
        finding::{Finding, Verdict, printable},
    },
    evidence::result::WaiverResult,
};

/// Findings of one asset that are shown during the run.
const FINDINGS_TOLD_MAX: u64 = 20;

/// The state after the events so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    style: Style,
    /// What the playbook accepts.
    waivers: Vec<WaiverResult>,
    assets: HashMap<String, (AssetKind, Timestamp)>,
    findings: HashMap<Option<String>, u64>,
}

impl Story {
    /// The initial state.
    pub(super) fn new(style: Style, waivers: Vec<WaiverResult>) -> Self {
        Story { style, waivers, ..Story::default() }
    }

    /// Remembers what later lines need. Called before the fact is shown.
    pub(super) fn hear(&mut self, at: Timestamp, event: &Event) {
        if let Event::AssetStarted { asset, kind } = event {
            self.assets.entry(asset.clone()).or_insert((*kind, at));
        }
    }

    /// Lines that are always shown, with or without bars.
    pub(super) fn alarms(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Found { finding } => self.found(finding).into_iter().collect(),
            Event::FindingsFiled { asset, beyond, .. } => {
                *self.findings.entry(Some(asset.clone())).or_default() += beyond;
                Vec::new()
            }
            Event::AssetDone { asset, .. } => self.untold(Some(asset)).into_iter().collect(),
            Event::RunDone { .. } => self.untold(None).into_iter().collect(),
            Event::AssetStopped { asset, reason } => vec![self.stopped(asset, reason)],
            Event::ControlRan { asset, damage, found: false } => vec![self.blind(asset, damage)],
            Event::CloudLeftBehind { asset, resource, reason } => {
                let left = format!("{} is still at the provider: {}", printable(resource), printable(reason));
                vec![format!("{}  {}: {left}", self.style.paint(Paint::Bad, "left   "), printable(asset))]
            }
            Event::CloudSpared { asset, resource, reason } => {
                let spared = format!("{} is left alone: {}", printable(resource), printable(reason));
                vec![format!("{}  {}: {spared}", self.style.paint(Paint::Warn, "spared "), printable(asset))]
            }
            _ => Vec::new(),
        }
    }

    /// The line for a normal fact, if it gets one.
    pub(super) fn news(&self, at: Timestamp, event: &Event) -> Option<String> {
        match event {
            Event::RunStarted { run, .. } => Some(format!("run {} started", printable(run))),
            Event::RunResumed { .. } => Some("run goes on".to_owned()),
            Event::CallerIdentified { arn, .. } => Some(format!("reading as {}", printable(arn))),
            Event::AccountRead { things, unreadable, .. } => Some(account_read(*things, *unreadable)),
            Event::Continues { previous, .. } => Some(format!("the run before was {}", printable(previous))),
            Event::Interrupted => Some("interrupted".to_owned()),
            Event::RunDone { verdict, duration_ms, sampled, .. } => {
                Some(format!("run ended {} in {}", self.judged((*verdict, *sampled)), duration(*duration_ms)))
            }
            _ => asset_of(event).zip(self.asset_news(at, event)).map(|(id, text)| format!("{}: {text}", printable(id))),
        }
    }

    fn asset_news(&self, at: Timestamp, event: &Event) -> Option<String> {
        match event {
            Event::AssetStarted { kind, .. } => Some(format!("started ({})", kind.facts().word)),
            Event::SnapshotTaken { server_version, .. } => {
                Some(format!("snapshot taken, PostgreSQL {}", printable(server_version)))
            }
            Event::DatabaseCreated { database, .. } => Some(format!("restoring into database {}", printable(database))),
            Event::AssetTransferred { asset, items, bytes, duration_ms } => {
                Some(self.measured("transferred", asset, [*items, *bytes, *duration_ms]))
            }
            Event::AssetVerified { asset, items, bytes, duration_ms } => {
                Some(self.measured("verified", asset, [*items, *bytes, *duration_ms]))
            }
            Event::AssetLookedAt { items, differ: 0, .. } => Some(format!(
                "finished before; all {} are where they were put",
                crate::words::count(*items, "item", "items")
            )),
            Event::AssetLookedAt { items, differ, .. } => {
                let items = crate::words::count(*items, "item", "items");
                Some(format!(
                    "finished before, and {differ} of {items} are missing or changed: that end does not stand"
                ))
            }
            Event::AssetDone { asset, verdict, sampled, .. } => Some(self.done(at, asset, (*verdict, *sampled))),
            Event::CloudMaking { resource, .. } => Some(format!("making {} at the provider", printable(resource))),
            Event::CloudRemoved { resource, .. } => Some(format!("removed {}", printable(resource))),
            Event::CloudNotMade { resource, .. } => Some(format!("{} was not made", printable(resource))),
            _ => None,
        }
    }

    fn measured(&self, word: &str, asset: &str, [items, bytes, duration_ms]: [u64; 3]) -> String {
        let speed = rate(bytes, duration_ms).map(|rate| format!(" ({rate})")).unwrap_or_default();
        format!("{word} {}, {} in {}{speed}", self.items(asset, items), size(bytes), duration(duration_ms))
    }

    /// A verdict, always marked if it is about a sample.
    fn judged(&self, (verdict, sampled): (Verdict, bool)) -> String {
        self.style.judged(verdict, sampled)
    }

    /// `PASS in 4.1 s`.
    pub(super) fn done(&self, at: Timestamp, asset: &str, judged: (Verdict, bool)) -> String {
        let since = self.assets.get(asset).map(|(_, started)| at.as_millisecond() - started.as_millisecond());
        let took = since.and_then(|ms| u64::try_from(ms).ok()).map(|ms| format!(" in {}", duration(ms)));
        format!("{}{}", self.judged(judged), took.unwrap_or_default())
    }

    fn found(&mut self, finding: &Finding) -> Option<String> {
        let told = self.findings.entry(finding.asset.clone()).or_default();
        *told += 1;
        (*told <= FINDINGS_TOLD_MAX).then(|| self.style.finding_under(finding, &self.waivers))
    }

    fn untold(&mut self, asset: Option<&String>) -> Option<String> {
        let more = self.findings.remove(&asset.cloned())?.checked_sub(FINDINGS_TOLD_MAX).filter(|more| *more > 0)?;
        let of = asset.map(|asset| format!("{}: ", printable(asset))).unwrap_or_default();
        Some(format!("{of}… and {} more, see result.json", thousands(more)))
    }

    fn stopped(&self, asset: &str, reason: &str) -> String {
        format!("{}  {}: {}", self.style.paint(Paint::Warn, "stopped"), printable(asset), printable(reason))
    }

    fn blind(&self, asset: &str, damage: &str) -> String {
        let missed = self.style.paint(Paint::Bad, "FAIL   ");
        format!("{missed}  {}: the verifier missed planted damage: {}", printable(asset), printable(damage))
    }

    /// `3,012 objects`.
    fn items(&self, asset: &str, items: u64) -> String {
        let (one, many) = self.nouns(asset);
        count(items, one, many)
    }

    fn nouns(&self, asset: &str) -> (&'static str, &'static str) {
        self.assets.get(asset).map_or(("item", "items"), |(kind, _)| kind.facts().items)
    }

    /// `1,532 objects`, where space is short.
    pub(super) fn items_done(&self, progress: &Progress) -> String {
        if progress.phase == Phase::Export { String::new() } else { self.items(&progress.asset, progress.items) }
    }

    /// `1,532 / 3,012 objects`.
    pub(super) fn items_extent(&self, progress: &Progress) -> String {
        // For an export the provider reports percent, but no rows.
        if progress.phase == Phase::Export {
            return String::new();
        }
        let total = self.items(&progress.asset, progress.items_total.max(progress.items));
        format!("{} / {total}", thousands(progress.items))
    }
}

/// `account: 12 things listed (copies such as snapshots too), 2 calls without an answer`. Coverage counts no copies.
fn account_read(things: u64, unreadable: u64) -> String {
    let listed = format!("account: {} listed (copies such as snapshots too)", count(things, "thing", "things"));
    match unreadable {
        0 => listed,
        calls => format!("{listed}, {} without an answer", count(calls, "call", "calls")),
    }
}

/// Whether the total is unknown: a rebuild of indexes and constraints.
pub(super) fn has_no_extent(progress: &Progress) -> bool {
    progress.items_total == 0 && progress.bytes_total == 0 && progress.items == 0 && progress.bytes == 0
}

/// `12 s so far`, where that is all that is known.
pub(super) fn so_far(elapsed_ms: u64) -> String {
    format!("{} so far", time_left(elapsed_ms))
}

/// `224 MiB / 430 MiB`, or nothing where there are no bytes.
pub(super) fn bytes_extent(progress: &Progress) -> String {
    match progress.bytes_total {
        0 => String::new(),
        total => format!("{} / {}", size(progress.bytes), size(total.max(progress.bytes))),
    }
}

/// How far along, in whole percent; by bytes, or by items where there are no bytes.
pub(super) fn percent(progress: &Progress) -> u64 {
    let (part, whole) = match progress.bytes_total {
        0 => (progress.items, progress.items_total),
        total => (progress.bytes, total),
    };
    let percent = u128::from(part.min(whole)) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(100)
}

/// The phase, as a word.
pub(super) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Export => "export",
        Phase::Transfer => "transfer",
        Phase::Rebuild => "rebuild",
        Phase::Verify => "verify",
    }
}

fn asset_of(event: &Event) -> Option<&str> {
    match event {
        Event::AssetStarted { asset, .. }
        | Event::SnapshotTaken { asset, .. }
        | Event::DatabaseCreated { asset, .. }
        | Event::AssetTransferred { asset, .. }
        | Event::AssetVerified { asset, .. }
        | Event::AssetLookedAt { asset, .. }
        | Event::CloudMaking { asset, .. }
        | Event::CloudRemoved { asset, .. }
        | Event::CloudNotMade { asset, .. }
        | Event::AssetDone { asset, .. } => Some(asset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{digest::Sha256Digest, finding::FindingKind};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("in range")
    }

    fn begun() -> Story {
        let mut story = Story::default();
        story.hear(at(0), &Event::AssetStarted { asset: "files".into(), kind: AssetKind::S3 });
        story
    }

    #[test]
    fn facts_read_as_lines() {
        let story = begun();
        let moved = Event::AssetTransferred { asset: "files".into(), items: 3012, bytes: 430 << 20, duration_ms: 2000 };
        assert_eq!(
            story.news(at(1), &moved).as_deref(),
            Some("files: transferred 3,012 objects, 430 MiB in 2.0 s (215 MiB/s)")
        );
        let outcome_sha256 = Sha256Digest([0; 32]);
        let done =
            |sampled| Event::AssetDone { asset: "files".into(), verdict: Verdict::Pass, outcome_sha256, sampled };
        assert_eq!(story.news(at(4_100), &done(false)).as_deref(), Some("files: PASS in 4.1 s"));
        assert_eq!(story.news(at(4_100), &done(true)).as_deref(), Some("files: PASS OF A SAMPLE in 4.1 s"));
    }

    #[test]
    fn a_sampled_run_does_not_end_as_a_whole_one() {
        let done = |sampled| Event::RunDone {
            verdict: Verdict::Pass,
            findings: 0,
            duration_ms: 3_000,
            sampled,
            result_sha256: None,
        };
        assert_eq!(begun().news(at(0), &done(false)).as_deref(), Some("run ended PASS in 3.0 s"));
        assert_eq!(begun().news(at(0), &done(true)).as_deref(), Some("run ended PASS OF A SAMPLE in 3.0 s"));
    }

    #[test]
    fn units_are_not_news() {
        let receipt_sha256 = Sha256Digest([0; 32]);
        let unit = Event::UnitDone { asset: "a".into(), unit: "1".into(), items: 1, bytes: 1, receipt_sha256 };
        assert_eq!((begun().news(at(0), &unit), begun().alarms(&unit)), (None, vec![]));
    }

    #[test]
    fn findings_are_told_up_to_a_number() {
        let mut story = begun();
        let found = Event::Found { finding: Finding::of("files", FindingKind::ObjectDigest, "k", "") };
        let told: usize = (0..25).map(|_| story.alarms(&found).len()).sum();
        let outcome_sha256 = Sha256Digest([0; 32]);
        let done = Event::AssetDone { asset: "files".into(), verdict: Verdict::Fail, outcome_sha256, sampled: false };
        assert_eq!(told, 20);
        assert_eq!(story.alarms(&done), ["files: … and 5 more, see result.json"]);
        assert_eq!(story.alarms(&done), Vec::<String>::new());
        let asset = "files".to_owned();
        let file = "findings.ndjson".to_owned();
        story.alarms(&found);
        story.alarms(&Event::FindingsFiled { asset, file, sha256: outcome_sha256, beyond: 4_000 });
        assert_eq!(story.alarms(&done), ["files: … and 3,981 more, see result.json"]);
    }

    #[test]
    fn estimates_that_were_too_low_do_not_pass_the_whole() {
        let progress = |bytes, bytes_total| Progress {
            asset: "files".into(),
            phase: Phase::Transfer,
            items: 3,
            items_total: 4,
            bytes,
            bytes_total,
        };
        assert_eq!([percent(&progress(5, 4)), percent(&progress(0, 0)), percent(&progress(1, 2))], [100, 75, 50]);
        assert_eq!(bytes_extent(&progress(2048, 1024)), "2.0 KiB / 2.0 KiB");
        assert_eq!(
            (bytes_extent(&progress(0, 0)), begun().items_extent(&progress(0, 0))),
            (String::new(), "3 / 4 objects".to_owned())
        );
    }
}
