//! What runs left at the provider: read from journals and from the tags there, separated from what a run in progress
//! needs, and removed.
//!
//! A journal names everything before it is asked for. What it does not call removed or never made may be there, or may
//! still appear. Somebody else's is removed only where its run cannot be at work: the journal here is the very file that its
//! process wrote, on this machine since its last start, and nobody holds it; or the time is over until which
//! it answered for the thing at the provider. A copy of a record, on another disk, from a backup or in a
//! container, proves nothing, sealed or not. That something is not there counts in the account and the region only where it was made.

mod asker;
mod record;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

#[cfg(test)]
pub(crate) use self::asker::Place;
pub(crate) use self::{
    asker::Asker,
    record::{Outstanding, Record, open_runs, removed_meanwhile, settle, unremoved},
};
use super::guard::{self, Guards};
use crate::{
    asset::{clients, stop::Stop, work::Work},
    clock,
    domain::event::Event,
    evidence::JournalError,
    interrupt::Interrupt,
    playbook::Playbook,
    provider::rds::{
        Presence, Rds, Removed,
        export::Exports,
        temporary::{self, Owner, Resource, Tagged, Temporary},
    },
    record::error::EngineError,
    transfer::error::SourceError,
};

/// Why a resource with walkaway's tag is kept, if it is: its run may be using it, or its name is not walkaway's.
pub(crate) fn spared(found: &Tagged, record: Option<&Record>) -> Option<String> {
    let run = &found.run;
    if !found.resource.has_own_name() {
        return Some(format!(
            "it carries the tag of run {run}, and its name is none that walkaway gives: it was renamed, or the tag was \
             copied; see what it is, and remove it or its tag"
        ));
    }
    match record.filter(|record| record.named.contains(&found.resource)) {
        Some(record) if record.in_use => Some(format!("run {run} is at work on it")),
        Some(record) if record.has_ended_with(&found.resource) => None,
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
    /// Everything with the tag of this playbook that no run can be using. What is kept is recorded. Other
    /// playbooks' resources are not touched.
    pub(crate) async fn find(&self) -> Result<Vec<Tagged>, Stop> {
        let mut orphans = Vec::new();
        for found in temporary::tagged(self.rds).await? {
            if found.playbook != self.playbook {
                continue;
            }
            match spared(&found, self.record_of(&found.run).as_ref()) {
                None => orphans.push(found),
                Some(reason) => {
                    let asset = self.work.asset.clone();
                    let resource = found.resource.to_string();
                    self.work.recorder.fact(&Event::CloudSpared { asset, resource, reason })?;
                }
            }
        }
        Ok(orphans)
    }

    /// Runs of this playbook leave their evidence beside this one. This run's own journal is held by this process: what it
    /// names was made by an earlier one. Without a record that can be read, the tag alone counts.
    fn record_of(&self, run: &str) -> Option<Record> {
        let record = Record::read(&self.run_dir(run)?).ok()??;
        Some(if run == self.work.run { Record { in_use: false, ..record } } else { record })
    }

    fn run_dir(&self, run: &str) -> Option<PathBuf> {
        // A run's name comes from a tag here, which anyone may have written.
        let plain = run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) && !run.is_empty();
        if run == self.work.run {
            Some(self.work.layout.bundle.clone())
        } else {
            plain.then(|| self.work.layout.bundle.with_file_name(run))
        }
    }

    /// Removes them. Returns what is still there, and why. A snapshot with an export in progress stays.
    pub(crate) async fn remove(&self, orphans: Vec<Tagged>) -> Result<Vec<(String, String)>, Stop> {
        let snapshots = orphans.iter().any(|found| matches!(found.resource, Resource::Snapshot(_)));
        let busy = if snapshots { Exports::new(self.rds).sources_under_way().await } else { Ok(Vec::new()) };
        let mut left = Vec::new();
        for found in orphans {
            let run = found.run;
            let resource = found.resource;
            let owner = Owner { run: run.clone(), playbook: found.playbook, asset: self.work.asset.clone() };
            let record = self.record_of(&run);
            let removed = match export_of(&resource, &busy) {
                Some(reason) => Err(reason),
                None => {
                    let has_ended = record.as_ref().is_some_and(|record| record.has_ended_with(&resource));
                    let removing = Temporary::of_others_unless_in_use(self.rds, owner, has_ended);
                    let removed = removing.remove(&resource, &run, &self.work.interrupt).await;
                    removed.map_err(|error| error.to_string())
                }
            };
            if let (Ok(_), Some(directory)) = (&removed, self.run_dir(&run).filter(|_| run != self.work.run)) {
                let mut open = record.iter().flat_map(|record| &record.open).filter(|one| one.resource == resource);
                open.try_for_each(|one| settle(&directory, one))?;
            }
            let asset = self.work.asset.clone();
            let name = format!("{resource}, which run {run} left");
            self.work.recorder.fact(&match &removed {
                Ok(_) => Event::CloudRemoved { asset: asset.clone(), resource: name.clone() },
                Err(reason) => {
                    Event::CloudLeftBehind { asset: asset.clone(), resource: name.clone(), reason: reason.clone() }
                }
            })?;
            // For this run's own resources, the removal has to be recorded in its own journal.
            if removed.is_ok() && run == self.work.run {
                guard::record(&self.work.recorder, &asset, &resource, &Ok(Removed::Gone))?;
            }
            left.extend(removed.err().map(|reason| (name, reason)));
        }
        Ok(left)
    }
}

/// Why a snapshot can't be removed yet.
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

/// Removes what the journal of a run leaves open, by name: it may not have appeared yet. `wait` bounds how long that is
/// waited for. That something may still appear is an error, as is that another account or region would be queried.
pub(crate) async fn remove_named(
    asker: &Asker,
    record: &Record,
    one: &Outstanding,
    wait: Duration,
    halt: &Interrupt,
) -> Result<Removed, String> {
    if let Some(reason) = asker.is_not_at(&one.place) {
        return Err(reason);
    }
    let run = &record.run;
    let owner = Owner::of_run(run, &one.asset);
    let removing = Temporary::of_others_unless_in_use(&asker.rds, owner, record.has_ended_with(&one.resource));
    let appears = one.may_appear_for(removing.appears_within());
    removing.expect_to_appear(&one.resource, appears.min(wait));
    match removing.remove(&one.resource, run, halt).await {
        Ok(Removed::NeverThere) if appears > wait => {
            let left = one.may_appear_for(removing.appears_within());
            Err(format!("it is not there, and may still appear for {} s: ask again then", left.as_secs()))
        }
        Ok(Removed::NeverThere) if !one.place.is_known() => Err(UNPLACED.to_owned()),
        removed => removed.map_err(|error| error.to_string()),
    }
}

/// What a record may name that can't be read.
const UNREAD: &str = "what the run made at the provider";

/// Where a missing resource was created is not recorded.
const UNPLACED: &str = "it is not in the account and region that were asked, and its record does not say where it was \
                        made: look for it in the others";

/// What an ended run may have left at the provider, for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillThere {
    /// The run's directory; none where its journal is not among the playbook's.
    pub run_dir: Option<PathBuf>,
    /// What it is.
    pub resource: String,
    /// Why it still exists, or that it does.
    pub reason: String,
    /// Whether its run may be using it, so that it should not be removed.
    pub in_use: bool,
}

/// Queries the provider for everything that runs with evidence in a playbook's folder left open, where it was created,
/// and removes nothing. With `tags`, also for what has the playbook's tag and is in no journal there.
pub(crate) async fn still_there(playbook: &Playbook, tags: bool) -> Vec<StillThere> {
    let mut there = Vec::new();
    let mut named = BTreeSet::new();
    for (run_dir, record) in open_runs(playbook.evidence_path(), None) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                there.push(unread(run_dir, error));
                continue;
            }
        };
        named.extend(record.named.iter().cloned());
        if record.in_use {
            continue;
        }
        let asker = Asker::of_run(&run_dir).await;
        for one in &record.open {
            let (reason, in_use) = match &asker {
                Err(reason) => (Some(format!("not asked: {reason}")), false),
                Ok(asker) => still_open(asker, &record, one).await,
            };
            let run_dir = Some(run_dir.clone());
            let resource = one.resource.to_string();
            there.extend(reason.map(|reason| StillThere { run_dir, resource, reason, in_use }));
        }
    }
    if let Some(spec) = playbook.provider().filter(|_| tags) {
        let rds = Rds::new(&clients::aws(spec).await);
        there.extend(unrecorded(&rds, playbook.id().as_str(), &named).await);
    }
    there
}

/// What is said of a run whose record can't be read.
fn unread(run_dir: PathBuf, error: JournalError) -> StillThere {
    let reason = format!("not known: {}", EngineError::from(error).in_full());
    StillThere { run_dir: Some(run_dir), resource: UNREAD.to_owned(), reason, in_use: false }
}

/// What has a playbook's tag, a name of walkaway's, and is not among these: its journal is lost, or is elsewhere.
pub(crate) async fn unrecorded(rds: &Rds, playbook: &str, named: &BTreeSet<Resource>) -> Vec<StillThere> {
    let told = |resource: String, reason: String, in_use| StillThere { run_dir: None, resource, reason, in_use };
    let found = match temporary::tagged(rds).await {
        Ok(found) => found,
        Err(error) => {
            let what = format!("what carries the tag of playbook {playbook}");
            let reason = format!("whether anything does is not known: {error}");
            return vec![told(what, reason, false)];
        }
    };
    let is_ours = |found: &Tagged| found.playbook == playbook && found.resource.has_own_name();
    let found = found.into_iter().filter(|found| is_ours(found) && !named.contains(&found.resource));
    found
        .map(|found| {
            let reason = spared(&found, None);
            let in_use = reason.is_some();
            let left = || {
                let run = &found.run;
                format!(
                    "it is there, and run {run} has no record here; the playbook's next run removes it, or \
                         `walkaway clean` with the bundle of {run}, wherever that lies now"
                )
            };
            told(found.resource.to_string(), reason.unwrap_or_else(left), in_use)
        })
        .collect()
}

/// What to report about something that a journal leaves open, if anything; and whether it may be in use.
pub(crate) async fn still_open(asker: &Asker, record: &Record, one: &Outstanding) -> (Option<String>, bool) {
    if let Some(reason) = asker.is_not_at(&one.place) {
        return (Some(reason), false);
    }
    if let Some(reason) = record.in_use_elsewhere(asker, one).await {
        return (Some(reason), true);
    }
    let removing = Temporary::of_others(&asker.rds, Owner::of_run(&record.run, &one.asset));
    let appears = one.may_appear_for(removing.appears_within()).as_secs();
    let reason = match removing.presence(&one.resource).await {
        Ok(Presence::There | Presence::InUse(_)) => "it is there".to_owned(),
        Ok(Presence::Absent) if appears > 0 => format!("it is not there, and may still appear for {appears} s"),
        Ok(Presence::Absent) if !one.place.is_known() => UNPLACED.to_owned(),
        Ok(Presence::Absent) => return (None, false),
        Err(error) => format!("whether it is there is not known: {error}"),
    };
    (Some(reason), false)
}

/// Removes what other runs with evidence beside this one's left, whose processes have ended, each where it was created.
/// What is kept is recorded.
pub(crate) async fn remove_of_other_runs(guards: &Guards, work: &Work, evidence: &Path) -> Result<(), JournalError> {
    for (directory, record) in open_runs(evidence, Some(&work.run)) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let resource = format!("{UNREAD} of {}", directory.display());
                let reason = EngineError::from(error).in_full();
                work.recorder.fact(&Event::CloudSpared { asset: work.asset.clone(), resource, reason })?;
                continue;
            }
        };
        let asker = Asker::of_run(&directory).await;
        for one in &record.open {
            let of_it = Work { run: record.run.clone(), asset: one.asset.clone(), ..work.clone() };
            let reason = match (&asker, record.kept(one)) {
                (_, Some(reason)) => reason,
                (Err(reason), None) => format!("not asked: {reason}"),
                (Ok(asker), None) => match spared_by_record(asker, &record, one).await {
                    Some(reason) => reason,
                    None => {
                        remove_meanwhile(guards, asker, &of_it, &record, Some(directory.clone()), one.clone());
                        continue;
                    }
                },
            };
            let asset = one.asset.clone();
            let resource = one.resource.to_string();
            work.recorder.fact(&Event::CloudSpared { asset, resource, reason })?;
        }
    }
    Ok(())
}

/// Why something that a journal leaves open is not to be removed by this caller now.
pub(crate) async fn spared_by_record(asker: &Asker, record: &Record, one: &Outstanding) -> Option<String> {
    match asker.is_not_at(&one.place) {
        None => record.in_use_elsewhere(asker, one).await,
        elsewhere => elsewhere,
    }
}

/// Removes what the journal of a run leaves open in the background; `Guards::finish` waits for it. `work` is the
/// owner's: its run, and the asset that it was for. `run_dir` is where the removal is recorded for an ended run.
pub(crate) fn remove_meanwhile(
    guards: &Guards,
    asker: &Asker,
    work: &Work,
    record: &Record,
    run_dir: Option<PathBuf>,
    one: Outstanding,
) {
    work.interrupt.hold(&one.resource);
    let asker = asker.clone();
    let work = work.clone();
    let of_run = record.clone();
    guards.also(tokio::spawn(async move {
        let removed = remove_named(&asker, &of_run, &one, Duration::MAX, &work.interrupt).await;
        if removed.is_ok() {
            work.interrupt.release(&one.resource);
            if let Some(Err(error)) = run_dir.map(|run_dir| settle(&run_dir, &one)) {
                tracing::warn!(%error, "{} is gone, which could not be written down with run {}", one.resource, work.run);
            }
        }
        if let Err(error) = guard::record(&work.recorder, &one.asset, &one.resource, &removed) {
            tracing::error!(%error, "what became of a temporary resource could not be put on record");
        }
        removed.err().map(|reason| (one.resource, reason)).into_iter().collect()
    }));
}
