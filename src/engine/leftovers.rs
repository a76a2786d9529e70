//! What runs left at the provider: read off their journals and off the tags there, told apart from what a run at work
//! needs, and removed.
//!
//! A journal names everything before it is asked for. What it does not call removed or never made may be there, or may
//! still appear. Somebody else's is removed only where its run cannot be at work: its journal lies here, was written on
//! this machine, and nobody holds it; or the time is over until which the run answered for it at the provider.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    directory::write_json,
    error::EngineError,
    guard::{self, Guards},
    identity::host_name,
    preflight,
    run::SIGN_OF_LIFE,
    stop::Stop,
    work::Work,
};
use crate::{
    clock,
    event::Event,
    evidence::{Entry, JournalError, journal},
    interrupt::Interrupt,
    playbook::Playbook,
    source::rds::{
        Rds, Removed,
        export::Exports,
        temporary::{self, Owner, Resource, Tagged, Temporary},
    },
    transfer::error::SourceError,
};

/// Something that a journal names and does not call removed or never made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outstanding {
    pub asset: String,
    pub resource: Resource,
    /// Until when the process that was to make it may have lived.
    pub alive: Timestamp,
}

impl Outstanding {
    /// How long from now on it may still appear, if it takes at most `within` from when it was asked for.
    fn may_appear_for(&self, within: Duration) -> Duration {
        let age = clock::now().as_second().saturating_sub(self.alive.as_second());
        within.saturating_sub(Duration::from_secs(u64::try_from(age).unwrap_or_default()))
    }
}

/// What entries of a journal leave open.
pub(crate) fn outstanding(entries: &[Entry]) -> Vec<Outstanding> {
    let mut open: Vec<Outstanding> = Vec::new();
    let Some(last) = entries.last() else { return open };
    let alive = last.at.checked_add(SIGN_OF_LIFE).unwrap_or(last.at);
    for entry in entries {
        match &entry.event {
            Event::CloudMaking { asset, resource } => {
                let resource = resource.parse().ok();
                open.extend(resource.map(|resource| Outstanding { asset: asset.clone(), resource, alive }));
            }
            Event::CloudRemoved { resource, .. } | Event::CloudNotMade { resource, .. } => {
                open.retain(|one| one.resource.to_string() != *resource);
            }
            _ => {}
        }
    }
    open
}

/// What was removed after the last entry of a journal, by `clean` or by another run.
fn settled_path(run_dir: &Path) -> PathBuf {
    run_dir.join("state").join("removed.json")
}

fn settled(run_dir: &Path) -> BTreeSet<String> {
    let bytes = fs::read(settled_path(run_dir)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Remembers with an open run that something of it is gone. A sealed run is not changed; it is asked about again.
pub(crate) fn settle(run_dir: &Path, resource: &Resource) -> Result<(), EngineError> {
    if !run_dir.join("state").is_dir() {
        return Ok(());
    }
    let mut names = settled(run_dir);
    names.insert(resource.to_string());
    write_json(&settled_path(run_dir), &names)
}

/// A run's record as others see it.
#[derive(Clone)]
pub(crate) struct Record {
    /// The run's id.
    pub run: String,
    /// Everything that the run ever named.
    pub named: BTreeSet<Resource>,
    /// What of it may be there.
    pub open: Vec<Outstanding>,
    /// The machine that worked on it last.
    pub host: String,
    /// Whether a process is at work on it.
    pub in_use: bool,
}

impl Record {
    /// Reads it; none where there is no journal that can be read.
    pub fn read(run_dir: &Path) -> Option<Self> {
        let path = run_dir.join("data").join("journal.ndjson");
        let entries = journal::read(&path).ok()?;
        let removed = settled(run_dir);
        let mut open = outstanding(&entries);
        open.retain(|one| !removed.contains(&one.resource.to_string()));
        let making = entries.iter().filter_map(|entry| match &entry.event {
            Event::CloudMaking { resource, .. } => resource.parse().ok(),
            _ => None,
        });
        let run = entries.first().and_then(|entry| match &entry.event {
            Event::RunStarted { run, .. } => Some(run.clone()),
            _ => None,
        });
        let host = entries.iter().rev().find_map(|entry| match &entry.event {
            Event::RunStarted { host, .. } | Event::RunResumed { host, .. } => Some(host.clone()),
            _ => None,
        });
        Some(Record { run: run?, named: making.collect(), open, host: host?, in_use: journal::is_in_use(&path) })
    }

    /// Whether its process is known to have ended: a lock says nothing about another machine.
    pub fn has_ended(&self) -> bool {
        !self.in_use && self.host == host_name()
    }
}

/// Runs whose evidence lies in this folder and whose record leaves something open, but for one. Sealed ones are read only if
/// they say that they left something.
pub(crate) fn open_runs(evidence: &Path, but: Option<&str>) -> Vec<(PathBuf, Record)> {
    let Ok(directories) = fs::read_dir(evidence) else { return Vec::new() };
    let directories = directories.flatten().map(|entry| entry.path());
    let directories = directories.filter(|path| but.is_none_or(|but| !path.ends_with(but)));
    let says_so = |path: &Path| {
        let result = fs::read_to_string(path.join(crate::evidence::RESULT)).unwrap_or_default();
        path.join("state").is_dir() || result.contains("\"left_behind\"")
    };
    let mut runs: Vec<_> = directories
        .filter(|path| says_so(path))
        .filter_map(|path| Record::read(&path).map(|record| (path, record)))
        .filter(|(_, record)| !record.open.is_empty())
        .collect();
    runs.sort_by(|one, other| one.0.cmp(&other.0));
    runs
}

/// Why something is left alone, if it is: its run may be at work on it.
pub(crate) fn spared(found: &Tagged, record: Option<&Record>) -> Option<String> {
    let run = &found.run;
    match record.filter(|record| record.named.contains(&found.resource)) {
        Some(record) if record.in_use => Some(format!("run {run} is at work on it")),
        Some(record) if record.has_ended() => None,
        _ => found.in_use_until(clock::now()).map(|until| {
            format!(
                "run {run} may be at work on it until {until}; after that the next run, or `walkaway clean`, removes it"
            )
        }),
    }
}

/// What earlier runs of a playbook left, for one asset of a run to remove.
pub(crate) struct Orphans<'a> {
    pub rds: &'a Rds,
    pub work: &'a Work,
    pub playbook: &'a str,
}

impl Orphans<'_> {
    /// Everything with the tag of this playbook that no run can be at work on. What is left alone is put on record. Other
    /// playbooks' things are none of this one's business.
    pub async fn find(&self) -> Result<Vec<Tagged>, Stop> {
        let mut orphans = Vec::new();
        for found in temporary::tagged(self.rds).await? {
            if found.playbook != self.playbook {
                continue;
            }
            match spared(&found, self.record_of(&found.run).as_ref()) {
                None => orphans.push(found),
                Some(reason) => {
                    let (asset, resource) = (self.work.asset.clone(), found.resource.to_string());
                    self.work.recorder.fact(&Event::CloudSpared { asset, resource, reason })?;
                }
            }
        }
        Ok(orphans)
    }

    /// Runs of this playbook leave their evidence beside this one. This run's own journal is held by this process: what it
    /// names was made by an earlier one.
    fn record_of(&self, run: &str) -> Option<Record> {
        let record = Record::read(&self.run_dir(run)?)?;
        Some(match run == self.work.run {
            true => Record { in_use: false, host: host_name(), ..record },
            false => record,
        })
    }

    fn run_dir(&self, run: &str) -> Option<PathBuf> {
        // A run's name comes from a tag here, which anybody may have written.
        let plain = run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) && !run.is_empty();
        match run == self.work.run {
            true => Some(self.work.layout.bundle.clone()),
            false => plain.then(|| self.work.layout.bundle.with_file_name(run)),
        }
    }

    /// Removes them. Returns what is still there, and why. A snapshot of which an export is under way stays.
    pub async fn remove(&self, orphans: Vec<Tagged>) -> Result<Vec<(String, String)>, Stop> {
        let snapshots = orphans.iter().any(|found| matches!(found.resource, Resource::Snapshot(_)));
        let busy = match snapshots {
            true => Exports::new(self.rds).sources_under_way().await,
            false => Ok(Vec::new()),
        };
        let mut left = Vec::new();
        for found in orphans {
            let (run, resource) = (found.run, found.resource);
            let owner = Owner { run: run.clone(), playbook: found.playbook, asset: self.work.asset.clone() };
            let removed = match export_of(&resource, &busy) {
                Some(reason) => Err(reason),
                None => {
                    let removing = Temporary::of_others(self.rds, owner);
                    let removed = removing.remove(&resource, &run, &self.work.interrupt).await;
                    removed.map_err(|error| error.to_string())
                }
            };
            if let (Ok(_), Some(directory)) = (&removed, self.run_dir(&run).filter(|_| run != self.work.run)) {
                settle(&directory, &resource)?;
            }
            let (asset, name) = (self.work.asset.clone(), format!("{resource}, which run {run} left"));
            self.work.recorder.fact(&match &removed {
                Ok(_) => Event::CloudRemoved { asset: asset.clone(), resource: name.clone() },
                Err(reason) => {
                    Event::CloudLeftBehind { asset: asset.clone(), resource: name.clone(), reason: reason.clone() }
                }
            })?;
            // Of this run's own, the record has to say under its own name that it is gone.
            if removed.is_ok() && run == self.work.run {
                guard::record(&self.work.recorder, &asset, &resource, &Ok(Removed::Gone))?;
            }
            left.extend(removed.err().map(|reason| (name, reason)));
        }
        Ok(left)
    }
}

/// Why a snapshot can't go yet.
fn export_of(resource: &Resource, busy: &Result<Vec<String>, SourceError>) -> Option<String> {
    let Resource::Snapshot(id) = resource else { return None };
    match busy {
        Ok(busy) => {
            let of_it = busy.iter().any(|arn| arn.ends_with(&format!(":{id}")));
            of_it.then(|| "an export of it is under way".to_owned())
        }
        Err(error) => Some(format!("whether an export of it is under way is not known: {error}")),
    }
}

/// Removes what the record of a run leaves open, by name: it may not have appeared yet. `wait` bounds how long that is
/// waited for. The word that something may still appear is an error.
pub(crate) async fn remove_named(
    rds: &Rds,
    run: &str,
    one: &Outstanding,
    wait: Duration,
    halt: &Interrupt,
) -> Result<Removed, String> {
    let removing = Temporary::of_others(rds, Owner::of_run(run, &one.asset));
    let appears = one.may_appear_for(removing.appears_within());
    removing.expect_to_appear(&one.resource, appears.min(wait));
    match removing.remove(&one.resource, run, halt).await {
        Ok(Removed::NeverThere) if appears > wait => {
            let left = one.may_appear_for(removing.appears_within());
            Err(format!("it is not there, and may still appear for {} s: ask again then", left.as_secs()))
        }
        removed => removed.map_err(|error| error.to_string()),
    }
}

/// What an ended run may have left at the provider, for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillThere {
    /// The run's directory.
    pub run_dir: PathBuf,
    /// What it is.
    pub resource: String,
    /// Why it is still there, or that it is.
    pub reason: String,
}

/// Asks the provider for everything that runs with evidence in a playbook's folder left open, and removes nothing.
pub async fn still_there(playbook: &Playbook) -> Vec<StillThere> {
    let runs = open_runs(playbook.evidence_path(), None);
    let Some(spec) = playbook.provider().filter(|_| runs.iter().any(|(_, record)| !record.in_use)) else {
        return Vec::new();
    };
    let rds = Rds::new(&preflight::aws(spec).await);
    let mut there = Vec::new();
    for (run_dir, record) in runs.into_iter().filter(|(_, record)| !record.in_use) {
        for one in record.open {
            let removing = Temporary::of_others(&rds, Owner::of_run(&record.run, &one.asset));
            let appears = one.may_appear_for(removing.appears_within()).as_secs();
            let reason = match removing.is_there(&one.resource).await {
                Ok(true) => "it is there".to_owned(),
                Ok(false) if appears > 0 => format!("it is not there, and may still appear for {appears} s"),
                Ok(false) => continue,
                Err(error) => format!("whether it is there is not known: {error}"),
            };
            there.push(StillThere { run_dir: run_dir.clone(), resource: one.resource.to_string(), reason });
        }
    }
    there
}

/// Removes what other runs with evidence beside this one's left, whose processes have ended. An export comes to its end by
/// itself, and their resumption may want it. What is left alone is put on record.
pub(crate) fn remove_of_other_runs(
    guards: &Guards,
    rds: &Rds,
    work: &Work,
    evidence: &Path,
) -> Result<(), JournalError> {
    for (directory, record) in open_runs(evidence, Some(&work.run)) {
        let ended = record.has_ended();
        let run = record.run;
        for one in record.open {
            let asset = one.asset.clone();
            if ended && !matches!(one.resource, Resource::Export(_)) {
                let of_it = Work { run: run.clone(), asset, ..work.clone() };
                remove_meanwhile(guards, rds, &of_it, Some(directory.clone()), one);
                continue;
            }
            let reason = if ended {
                format!("run {run} left it: `walkaway resume` goes on with it, `walkaway clean` cancels it")
            } else {
                format!("run {run} may be at work on it")
            };
            work.recorder.fact(&Event::CloudSpared { asset, resource: one.resource.to_string(), reason })?;
        }
    }
    Ok(())
}

/// Removes what the record of a run leaves open while other work goes on; `Guards::finish` waits for it. `work` is the
/// owner's: its run, and the asset that it was for. `run_dir` is where an ended run remembers that it is gone.
pub(crate) fn remove_meanwhile(guards: &Guards, rds: &Rds, work: &Work, run_dir: Option<PathBuf>, one: Outstanding) {
    work.interrupt.hold(&one.resource);
    let (rds, work) = (rds.clone(), work.clone());
    guards.also(tokio::spawn(async move {
        let removed = remove_named(&rds, &work.run, &one, Duration::MAX, &work.interrupt).await;
        if removed.is_ok() {
            work.interrupt.release(&one.resource);
            if let Some(Err(error)) = run_dir.map(|run_dir| settle(&run_dir, &one.resource)) {
                tracing::warn!(%error, "{} is gone, which could not be written down with run {}", one.resource, work.run);
            }
        }
        if let Err(error) = guard::record(&work.recorder, &one.asset, &one.resource, &removed) {
            tracing::error!(%error, "what became of a temporary resource could not be put on record");
        }
        removed.err().map(|reason| (one.resource, reason)).into_iter().collect()
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256Digest;

    fn entries(events: Vec<Event>) -> Vec<Entry> {
        let at = Timestamp::UNIX_EPOCH;
        (1..).zip(events).map(|(seq, event)| Entry { seq, at, prev: Sha256Digest([0; 32]), event }).collect()
    }

    #[test]
    fn a_journal_leaves_open_what_it_does_not_call_gone() {
        let (asset, text) = ("ledger".to_owned(), |name: &str| format!("RDS instance walkaway-{name}"));
        let making = |name: &str| Event::CloudMaking { asset: asset.clone(), resource: text(name) };
        let open = outstanding(&entries(vec![
            making("a"),
            making("b"),
            making("c"),
            making("d"),
            Event::CloudRemoved { asset: asset.clone(), resource: text("a") },
            Event::CloudNotMade { asset: asset.clone(), resource: text("b") },
            Event::CloudLeftBehind { asset: asset.clone(), resource: text("c"), reason: "denied".into() },
            Event::CloudRemoved { asset: asset.clone(), resource: format!("{}, which run x left", text("d")) },
        ]));
        let names: Vec<&str> = open.iter().map(|one| one.resource.id()).collect();
        assert_eq!(names, ["walkaway-c", "walkaway-d"]);
    }
}
