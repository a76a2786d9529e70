//! What the journal of a run states about the resources that it was to create at the provider.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::asker::{Asker, Place};
use crate::{
    clock,
    domain::{
        digest::Sha256Digest,
        event::Event,
        finding::{Finding, FindingKind},
    },
    evidence::{self, Entry, JournalError, journal},
    provider::rds::{
        Presence,
        temporary::{IN_USE_PERIOD, Owner, Resource, Temporary, UNDATED_LIFE},
    },
    record::{
        directory::{recorded_run, write_json},
        error::EngineError,
        recorder::SIGN_OF_LIFE,
    },
};

/// A resource that a journal names and does not record as removed or never created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outstanding {
    pub asset: String,
    pub resource: Resource,
    /// The line of the journal that names it: a name may be given again after what had it is gone.
    pub seq: u64,
    /// Until when the process that was to create it may have run.
    pub alive: Timestamp,
    /// Where it was requested.
    pub place: Place,
}

impl Outstanding {
    /// How long from now on it may still appear, if it takes at most `within` from its request.
    pub(crate) fn may_appear_for(&self, within: Duration) -> Duration {
        let age = clock::now().as_second().saturating_sub(self.alive.as_second());
        within.saturating_sub(Duration::from_secs(u64::try_from(age).unwrap_or_default()))
    }
}

/// What entries of a journal leave open.
fn outstanding(entries: &[Entry]) -> Vec<Outstanding> {
    let mut open: Vec<Outstanding> = Vec::new();
    let mut place = Place::default();
    for (entry, alive) in entries.iter().zip(alive_until(entries)) {
        match &entry.event {
            Event::CallerIdentified { account, region, .. } => {
                place = Place { account: Some(account.clone()), region: region.clone() };
            }
            Event::CloudMaking { asset, resource } => {
                let asset = asset.clone();
                let place = place.clone();
                let seq = entry.seq;
                open.extend(resource.parse().ok().map(|resource| Outstanding { asset, resource, seq, alive, place }));
            }
            Event::CloudRemoved { resource, .. } | Event::CloudNotMade { resource, .. } => {
                open.retain(|one| one.resource.to_string() != *resource);
            }
            _ => {}
        }
    }
    open
}

/// Until when the process that wrote each entry may have run: one that resumed the run says nothing about those
/// before it.
fn alive_until(entries: &[Entry]) -> Vec<Timestamp> {
    let mut alive = Vec::with_capacity(entries.len());
    let mut last = None;
    for entry in entries.iter().rev() {
        let end: Timestamp = *last.get_or_insert(entry.at);
        alive.push(end.checked_add(SIGN_OF_LIFE).unwrap_or(end));
        if matches!(entry.event, Event::RunResumed { .. }) {
            last = None;
        }
    }
    alive.reverse();
    alive
}

/// What is still at the provider, or not recorded as removed, as findings about the run; except for what the
/// findings of its assets report already.
pub(crate) fn unremoved<'a>(entries: &[Entry], known: impl Iterator<Item = &'a Finding>) -> Vec<Finding> {
    // A resource may be named with the run that left it, and without.
    let bare = |resource: &str| resource.split(", which run ").next().unwrap_or_default().to_owned();
    let mut open: BTreeMap<String, Finding> = BTreeMap::new();
    for entry in entries {
        let (resource, reason) = match &entry.event {
            Event::CloudMaking { resource, .. } => (resource, Some("the record does not say that it was removed")),
            Event::CloudLeftBehind { resource, reason, .. } => (resource, Some(reason.as_str())),
            Event::CloudRemoved { resource, .. } | Event::CloudNotMade { resource, .. } => (resource, None),
            _ => continue,
        };
        match reason {
            Some(reason) => {
                open.insert(bare(resource), Finding::of_run(FindingKind::LeftBehind, resource, reason));
            }
            None => drop(open.remove(&bare(resource))),
        }
    }
    let known = known.filter(|finding| finding.kind == FindingKind::LeftBehind);
    known.for_each(|finding| drop(open.remove(&bare(&finding.subject))));
    open.into_values().collect()
}

/// What was removed after the last entry of a journal, by `clean` or by another run.
fn settled_path(run_dir: &Path) -> PathBuf {
    run_dir.join("state").join("removed.json")
}

/// Names of what was removed, each with the last line of the journal that had named it by then.
fn settled(run_dir: &Path) -> BTreeMap<String, u64> {
    let bytes = fs::read(settled_path(run_dir)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn is_settled(settled: &BTreeMap<String, u64>, one: &Outstanding) -> bool {
    settled.get(&one.resource.to_string()).is_some_and(|seq| one.seq <= *seq)
}

/// What `clean` or another run removed of an open run, and its journal leaves open: asset and name. A resumption of the
/// run records it, or it would be looked up again, and reported as left behind.
pub(crate) fn removed_meanwhile(run_dir: &Path, entries: &[Entry]) -> Vec<(String, String)> {
    let removed = settled(run_dir);
    let gone = outstanding(entries).into_iter().filter(|one| is_settled(&removed, one));
    gone.map(|one| (one.asset, one.resource.to_string())).collect()
}

/// Remembers with an open run that something of it is gone; what is made under the same name later is not. A sealed run is not
/// changed; it is asked about again.
pub(crate) fn settle(run_dir: &Path, one: &Outstanding) -> Result<(), EngineError> {
    if !run_dir.join("state").is_dir() {
        return Ok(());
    }
    let mut names = settled(run_dir);
    let seq = names.entry(one.resource.to_string()).or_default();
    *seq = one.seq.max(*seq);
    write_json(&settled_path(run_dir), &names)
}

/// A run's journal as read by other processes.
#[derive(Clone)]
pub(crate) struct Record {
    /// The run's id.
    pub run: String,
    /// Everything that the run ever named.
    pub named: BTreeSet<Resource>,
    /// What of it may exist.
    pub open: Vec<Outstanding>,
    /// The last account and region.
    pub place: Place,
    /// The machine of its last process.
    pub host: String,
    /// Whether a process is working on it.
    pub in_use: bool,
    /// What was named only by processes that wrote this journal file, since the machine's boot. A copied journal names
    /// what the process of the original may be using.
    pub named_here: BTreeSet<Resource>,
    /// Whether the last process did.
    pub is_here: bool,
}

impl Record {
    /// Reads it; none where there is no line of a journal. What a damaged one still names may live all the same; of one that
    /// can't be read nobody knows what it names.
    pub(crate) fn read(run_dir: &Path) -> Result<Option<Self>, JournalError> {
        let path = run_dir.join("data").join("journal.ndjson");
        match journal::read_though_broken(&path) {
            Err(error) if error.is_missing() => Ok(None),
            entries => entries.map(|entries| Self::of(run_dir, &path, &entries)),
        }
    }

    fn of(run_dir: &Path, path: &Path, entries: &[Entry]) -> Option<Self> {
        if entries.is_empty() {
            return None;
        }
        let removed = settled(run_dir);
        let mut open = outstanding(entries);
        open.retain(|one| !is_settled(&removed, one));
        let run = entries.iter().find_map(|entry| match &entry.event {
            Event::RunStarted { run, .. } => Some(run.clone()),
            _ => None,
        });
        let run = run.or_else(|| Some(run_dir.file_name()?.to_str()?.to_owned()));
        let host = entries.iter().rev().find_map(|entry| match &entry.event {
            Event::RunStarted { host, .. } | Event::RunResumed { host, .. } => Some(host.clone()),
            _ => None,
        });
        let place = entries.iter().rev().find_map(|entry| match &entry.event {
            Event::CallerIdentified { account, region, .. } => {
                Some(Place { account: Some(account.clone()), region: region.clone() })
            }
            _ => None,
        });
        let (named, named_here, is_here) = named(entries, journal::place(path));
        let mut record = Record {
            run: run?,
            named,
            open,
            place: place.unwrap_or_default(),
            host: host.unwrap_or_else(|| "another machine".to_owned()),
            in_use: journal::is_in_use(path),
            named_here,
            is_here,
        };
        record.take_region_from_playbook(run_dir);
        Some(record)
    }

    /// Earlier versions did not record the region.
    fn take_region_from_playbook(&mut self, run_dir: &Path) {
        let places = || self.open.iter().map(|one| &one.place).chain([&self.place]);
        if self.open.is_empty() || places().all(|place| place.region.is_some()) {
            return;
        }
        let Ok((playbook, _)) = recorded_run(run_dir) else { return };
        let Some(region) = playbook.provider().and_then(|spec| spec.regions.first()) else { return };
        for place in self.open.iter_mut().map(|one| &mut one.place).chain([&mut self.place]) {
            place.region.get_or_insert_with(|| region.to_string());
        }
    }

    /// Whether the last of its processes is known to have ended. An unlocked journal proves nothing where it is
    /// another file, or another machine, than the one that was written; nor does a seal, which whoever goes on with a copy
    /// may have set, while the original is at work.
    pub(crate) fn has_ended(&self) -> bool {
        !self.in_use && self.is_here
    }

    /// The same for every process that named something.
    pub(crate) fn has_ended_with(&self, resource: &Resource) -> bool {
        !self.in_use && self.named_here.contains(resource)
    }

    /// Why something that it leaves open is kept, if it is: its run may be using it, here or elsewhere. What has a
    /// tag states until when; for the rest, and for what does not exist yet, the last heartbeat counts.
    pub(crate) async fn in_use_elsewhere(&self, asker: &Asker, one: &Outstanding) -> Option<String> {
        let run = &self.run;
        let host = &self.host;
        if self.in_use {
            return Some(format!("run {run} is at work on it"));
        }
        if self.has_ended_with(&one.resource) {
            return None;
        }
        let is_export = matches!(one.resource, Resource::Export(_));
        let removing = Temporary::of_others(&asker.rds, Owner::of_run(run, &one.asset));
        let until = match removing.presence(&one.resource).await {
            Ok(Presence::InUse(until)) => until,
            Ok(Presence::There) if !is_export => return None,
            // New resources are tagged as in use; what was in use this long ago and is not found no longer exists.
            Ok(Presence::Absent) if !is_export => one.alive.checked_add(IN_USE_PERIOD).unwrap_or(Timestamp::MAX),
            Ok(_) => one.alive.checked_add(UNDATED_LIFE).unwrap_or(Timestamp::MAX),
            Err(error) => return Some(format!("whether run {run} is at work on it on {host} is not known: {error}")),
        };
        (until > clock::now()).then(|| {
            format!(
                "run {run} may be at work on it on {host}: this record is not known to be the one that it writes; if it is \
                 not, `walkaway clean` there, or here after {until}"
            )
        })
    }

    /// Why another run keeps something of an ended run, if it does. An export ends by itself; it and the
    /// its snapshot are what a resumption continues with.
    pub(crate) fn kept(&self, one: &Outstanding) -> Option<String> {
        let run = &self.run;
        let is_of_asset = |other: &&Outstanding| other.asset == one.asset;
        let exports = self.open.iter().filter(is_of_asset).any(|other| matches!(other.resource, Resource::Export(_)));
        let goes_on = exports && !matches!(one.resource, Resource::Instance(_));
        goes_on.then(|| format!("run {run} left it: `walkaway resume` goes on with it, `walkaway clean` removes it"))
    }
}

/// Everything that entries name; what of it was named only by processes whose journal is `here`; and whether the last of
/// them was one.
fn named(entries: &[Entry], here: Option<Sha256Digest>) -> (BTreeSet<Resource>, BTreeSet<Resource>, bool) {
    let mut named = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    let mut is_here = false;
    for entry in entries {
        match &entry.event {
            Event::RunStarted { place, .. } | Event::RunResumed { place, .. } => {
                is_here = place.is_some() && *place == here;
            }
            Event::CloudMaking { resource, .. } => {
                let Ok(resource) = resource.parse::<Resource>() else { continue };
                elsewhere.extend((!is_here).then(|| resource.clone()));
                named.insert(resource);
            }
            _ => {}
        }
    }
    let named_here = named.difference(&elsewhere).cloned().collect();
    (named, named_here, is_here)
}

/// Runs whose evidence lies in this folder and whose record leaves something open or can't be read, but for one. Sealed ones are
/// read only if they say that they left something.
pub(crate) fn open_runs(evidence: &Path, but: Option<&str>) -> Vec<(PathBuf, Result<Record, JournalError>)> {
    let Ok(directories) = fs::read_dir(evidence) else { return Vec::new() };
    let directories = directories.flatten().map(|entry| entry.path());
    let directories = directories.filter(|path| but.is_none_or(|but| !path.ends_with(but)));
    let says_so = |path: &Path| {
        let result = fs::read_to_string(path.join(evidence::RESULT)).unwrap_or_default();
        path.join("state").is_dir() || result.contains("\"left_behind\"")
    };
    let mut runs: Vec<_> = directories
        .filter(|path| says_so(path))
        .filter_map(|path| Record::read(&path).transpose().map(|record| (path, record)))
        .filter(|(_, record)| record.as_ref().is_ok_and(|record| !record.open.is_empty()) || record.is_err())
        .collect();
    runs.sort_by(|one, other| one.0.cmp(&other.0));
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSET: &str = "ledger";

    fn entries(events: Vec<Event>) -> Vec<Entry> {
        let at = Timestamp::UNIX_EPOCH;
        (1..).zip(events).map(|(seq, event)| Entry { seq, at, prev: Sha256Digest([0; 32]), event }).collect()
    }

    fn name(letter: char) -> String {
        format!("RDS instance walkaway-{}", letter.to_string().repeat(20))
    }

    fn removed(resource: String) -> Event {
        Event::CloudRemoved { asset: ASSET.to_owned(), resource }
    }

    fn left(resource: String, reason: &str) -> Event {
        Event::CloudLeftBehind { asset: ASSET.to_owned(), resource, reason: reason.to_owned() }
    }

    fn making(letter: char) -> Event {
        Event::CloudMaking { asset: ASSET.to_owned(), resource: name(letter) }
    }

    fn identified(account: &str, region: Option<&str>) -> Event {
        let account = account.to_owned();
        let region = region.map(str::to_owned);
        Event::CallerIdentified { account, arn: String::new(), region }
    }

    #[test]
    fn a_journal_leaves_open_what_it_does_not_call_gone_and_says_where_it_was_made() {
        let open = outstanding(&entries(vec![
            identified("111111111111", None),
            making('a'),
            making('b'),
            making('c'),
            identified("222222222222", Some("eu-central-1")),
            making('d'),
            removed(name('a')),
            Event::CloudNotMade { asset: ASSET.to_owned(), resource: name('b') },
            left(name('c'), "denied"),
            removed(format!("{}, which run x left", name('d'))),
        ]));
        let names: Vec<String> = open.iter().map(|one| one.resource.to_string()).collect();
        assert_eq!(names, [name('c'), name('d')]);
        let places = open.iter().map(|one| (one.place.account.as_deref(), one.place.region.as_deref()));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [(Some("111111111111"), None), (Some("222222222222"), Some("eu-central-1"))]
        );
    }

    #[test]
    fn what_was_removed_after_the_last_entry_is_told_to_whoever_goes_on() {
        let run_dir = tempfile::tempdir().unwrap();
        let entries = entries(vec![making('a'), making('b'), making('c'), removed(name('c'))]);
        let open = outstanding(&entries);
        settle(run_dir.path(), &open[0]).unwrap();
        assert_eq!(removed_meanwhile(run_dir.path(), &entries), [], "a sealed run is not changed");
        fs::create_dir(run_dir.path().join("state")).unwrap();
        settle(run_dir.path(), &open[0]).unwrap();
        let gone = [(ASSET.to_owned(), name('a'))];
        assert_eq!(removed_meanwhile(run_dir.path(), &entries), gone);
        // An export has one name whenever it is asked for: what was removed under it says nothing of what came later.
        let again = self::entries(vec![making('a'), removed(name('a')), making('b'), making('a')]);
        assert_eq!(removed_meanwhile(run_dir.path(), &again), []);
        settle(run_dir.path(), &outstanding(&again)[1]).unwrap();
        assert_eq!(removed_meanwhile(run_dir.path(), &again), gone);
    }

    #[test]
    fn a_process_that_went_on_says_nothing_about_the_life_of_the_one_before() {
        let resumed = Event::RunResumed {
            walkaway: String::new(),
            binary_sha256: Sha256Digest([0; 32]),
            host: String::new(),
            torn_bytes: 0,
            place: None,
        };
        let mut entries = entries(vec![making('a'), Event::StillAtWork, resumed, making('b'), Event::StillAtWork]);
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        (0..).zip(&mut entries).for_each(|(second, entry)| entry.at = at(second * 1_000));
        let alive: Vec<_> = outstanding(&entries).iter().map(|one| one.alive).collect();
        assert_eq!(alive, [at(1_060), at(4_060)]);
    }

    #[test]
    fn what_a_journal_does_not_call_gone_is_a_finding_of_the_run_unless_its_assets_name_it() {
        let of_other = |letter| format!("{}, which run x left", name(letter));
        let entries = entries(vec![
            making('a'),
            making('b'),
            making('c'),
            left(name('a'), "denied"),
            removed(name('b')),
            left(name('d'), "refused"),
            removed(of_other('d')),
            left(of_other('e'), "refused"),
            left(of_other('f'), "refused"),
            left(name('1'), "denied"),
            removed(name('1')),
        ]);
        let known = [
            Finding::of(ASSET, FindingKind::LeftBehind, of_other('f'), "refused"),
            Finding::of(ASSET, FindingKind::AssetStopped, name('a'), ""),
        ];
        let found = unremoved(&entries, known.iter());
        let found: Vec<_> = found.iter().map(|one| (one.subject.clone(), one.detail.as_str())).collect();
        let wanted = [
            (name('a'), "denied"),
            (name('c'), "the record does not say that it was removed"),
            (of_other('e'), "refused"),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn another_run_keeps_an_open_export_with_its_snapshot_and_what_may_be_in_use() {
        let id = "walkaway-0123456789abcdef0123".to_owned();
        let alive = Timestamp::UNIX_EPOCH;
        let place = Place::default();
        let one = |asset: &str, resource| Outstanding {
            asset: asset.to_owned(),
            resource,
            seq: 1,
            alive,
            place: place.clone(),
        };
        let snapshot = Resource::Snapshot(id.clone());
        let open = vec![
            one("exported", Resource::Export(id.clone())),
            one("exported", snapshot.clone()),
            one("restored", Resource::Instance(id.clone())),
            one("restored", snapshot),
        ];
        let record = Record {
            run: "r".to_owned(),
            named: BTreeSet::new(),
            open: open.clone(),
            place: Place::default(),
            host: String::new(),
            in_use: false,
            named_here: BTreeSet::new(),
            is_here: true,
        };
        let kept: Vec<bool> = open.iter().map(|one| record.kept(one).is_some()).collect();
        assert_eq!(kept, [true, true, false, false]);
    }

    #[test]
    fn only_what_this_very_journal_was_written_for_is_known_to_be_this_records() {
        let here = Sha256Digest([1; 32]);
        let started = |place| Event::RunStarted {
            run: "r".into(),
            playbook_sha256: here,
            walkaway: String::new(),
            binary_sha256: here,
            host: String::new(),
            place,
        };
        let resumed = |place| Event::RunResumed {
            walkaway: String::new(),
            binary_sha256: here,
            host: String::new(),
            torn_bytes: 0,
            place,
        };
        let elsewhere = Some(Sha256Digest([2; 32]));
        let here = Some(here);
        for (first, second, ended) in [
            (here, here, "ab"),
            (elsewhere, here, "b"),
            (here, elsewhere, "a"),
            (None, here, "b"),
            (elsewhere, elsewhere, ""),
        ] {
            // The export has the same name in all processes of a run.
            let entries =
                entries(vec![started(first), making('a'), making('e'), resumed(second), making('b'), making('e')]);
            let (all, named_here, is_here) = named(&entries, here);
            let mut expected: BTreeSet<Resource> = ended.chars().map(|one| name(one).parse().unwrap()).collect();
            expected.extend((ended == "ab").then(|| name('e').parse().unwrap()));
            assert_eq!((named_here, is_here, all.len()), (expected, second == here, 3), "{ended}");
            assert!(named(&entries, None).1.is_empty(), "a machine that does not tell proves nothing");
        }
    }
}
