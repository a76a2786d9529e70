//! Finds an export, or requests one, and waits until it is complete.
//!
//! A new export is named after run, asset and attempt, so that a resumed run continues the existing one, and pays
//! once; nothing is requested when the files exist already. An export in progress when the run ends is
//! cancelled; what it wrote stays where it is. Snapshots that a killed process took are removed after the export.

use std::{sync::Arc, time::Duration};

use super::work::ExportWork;
use crate::{
    asset::{
        rds::{
            carry,
            guard::{self, Guard},
            leftovers::{Asker, Orphans, Outstanding, Record, remove_named, spared_by_record},
        },
        stop::Stop,
    },
    clock::Stopwatch,
    domain::event::Phase,
    evidence::JournalError,
    playbook::{ExportFrom, ExportedSnapshot, NewExport},
    provider::rds::{
        Rds, RdsFacts, SnapshotFacts,
        export::{ExportFacts, Exports, Order, name_of},
        temporary::{EXPORTS_MAX, Owner, Resource, Temporary},
    },
    transfer::{error::SourceError, meter::Meter},
};

/// An existing export.
pub(super) struct Found {
    pub bucket: String,
    pub folder: String,
    /// As described by RDS; none where the playbook names only the files.
    pub task: Option<ExportFacts>,
    /// Whether the run requested it.
    pub started: bool,
    pub waited_ms: u64,
    /// What it cost at the playbook's price, and its cost limit.
    pub cost: Option<(String, String)>,
    /// The snapshot of a named export that RDS does not list as one of this database's.
    pub stranger: Option<String>,
    /// What could not be cleaned up.
    pub left: Vec<(String, String)>,
}

impl Found {
    fn of_task(task: ExportFacts, waited_ms: u64) -> Self {
        Found {
            bucket: task.bucket.clone(),
            folder: task.folder(),
            task: Some(task),
            waited_ms,
            ..Found::of_files(String::new(), String::new())
        }
    }

    /// Files of an unidentified export.
    fn of_files(bucket: String, folder: String) -> Self {
        let task = None;
        let cost = None;
        let stranger = None;
        Found { bucket, folder, task, started: false, waited_ms: 0, cost, stranger, left: Vec::new() }
    }

    /// The snapshot, or the files where it is not known.
    pub(super) fn snapshot(&self) -> String {
        match &self.task {
            Some(task) => task.snapshot_arn.clone(),
            None => format!("s3://{}/{}", self.bucket, self.folder),
        }
    }
}

impl ExportWork<'_> {
    pub(super) async fn find(&self, client: &Rds, facts: &RdsFacts) -> Result<Found, Stop> {
        let exports = Exports::new(client);
        match &self.export.from {
            ExportFrom::Task(id) => {
                if self.work.unless_stopped(exports.find(id.as_str())).await??.is_none() {
                    return self.carried()?.ok_or_else(|| no_such_task(id.as_str()));
                }
                let watch = Stopwatch::start();
                let task = self.wait(&exports, id.as_str()).await?;
                let stranger = (!is_of(facts, &task.snapshot_arn)).then(|| task.snapshot_arn.clone());
                Ok(Found { stranger, ..Found::of_task(task, watch.elapsed_ms()) })
            }
            ExportFrom::Files { bucket, folder } => Ok(Found::of_files(bucket.to_string(), folder.clone())),
            ExportFrom::New(new) => self.make_and_tidy(client, &exports, facts, new).await,
        }
    }

    /// The origin of files that an earlier part of the run finished, when RDS no longer lists the export.
    fn carried(&self) -> Result<Option<Found>, Stop> {
        let Some(files) = self.finished_files()? else { return Ok(None) };
        let place = files.source.strip_prefix("s3://").and_then(|place| place.split_once('/'));
        Ok(place.map(|(bucket, folder)| Found::of_files(bucket.to_owned(), folder.to_owned())))
    }

    /// Continues the export that this run requested before, or requests one. Killed processes' snapshots are removed after
    /// it, as the export may be of one of them; a run that was interrupted leaves them for its resumption.
    async fn make_and_tidy(
        &self,
        client: &Rds,
        exports: &Exports,
        facts: &RdsFacts,
        new: &NewExport,
    ) -> Result<Found, Stop> {
        let orphans = Orphans { rds: client, work: &self.work, playbook: &self.playbook };
        let named = self.left_open()?;
        named.iter().for_each(|one| self.work.interrupt.hold(&one.resource));
        let mut found = Vec::new();
        if new.take == ExportedSnapshot::New {
            found = self.work.unless_stopped(orphans.find()).await??;
            found.retain(|found| matches!(found.resource, Resource::Snapshot(_)));
        }
        let made = self.make(client, exports, facts, new).await;
        if matches!(made, Err(Stop::Interrupted)) {
            return made;
        }
        let mut left = orphans.remove(found).await?;
        left.extend(self.remove_still_open(named).await?);
        let mut found = made?;
        found.left.extend(left);
        Ok(found)
    }

    /// What an earlier process of this run may have created for the asset, and the journal does not record as removed.
    fn left_open(&self) -> Result<Vec<Outstanding>, JournalError> {
        let mut open = self.record()?.map(|record| record.open).unwrap_or_default();
        open.retain(|one| one.asset == self.work.asset);
        Ok(open)
    }

    /// This run's own record, which this process holds.
    fn record(&self) -> Result<Option<Record>, JournalError> {
        let record = Record::read(&self.work.layout.bundle)?;
        Ok(record.map(|record| Record { in_use: false, ..record }))
    }

    /// Removes what of these is still not recorded as removed: an export that ended, or that RDS no longer lists,
    /// and snapshots that may not have appeared yet.
    async fn remove_still_open(&self, named: Vec<Outstanding>) -> Result<Vec<(String, String)>, Stop> {
        let still = self.left_open()?;
        let mut left = Vec::new();
        let is_open = |one: &Outstanding| still.iter().any(|other| other.resource == one.resource);
        let (open, gone): (Vec<_>, Vec<_>) = named.into_iter().partition(is_open);
        gone.iter().for_each(|one| self.work.interrupt.release(&one.resource));
        if open.is_empty() {
            return Ok(left);
        }
        let asker = self.work.unless_stopped(Asker::new(self.aws)).await?;
        let record = self.record()?;
        for one in open {
            let removed = match &record {
                None => Err("the record of the run can't be read".to_owned()),
                Some(record) => match spared_by_record(&asker, record, &one).await {
                    Some(reason) => Err(reason),
                    None => remove_named(&asker, record, &one, Duration::MAX, &self.work.interrupt).await,
                },
            };
            guard::record(&self.work.recorder, &self.work.asset, &one.resource, &removed)?;
            match removed {
                Ok(_) => self.work.interrupt.release(&one.resource),
                Err(reason) => left.push((one.resource.to_string(), reason)),
            }
        }
        Ok(left)
    }

    /// The export that this run requested before, its files, or a new one.
    async fn make(&self, client: &Rds, exports: &Exports, facts: &RdsFacts, new: &NewExport) -> Result<Found, Stop> {
        let run = &self.work.run;
        let asset = &self.work.asset;
        let mut attempt = 1;
        let known = loop {
            match self.work.unless_stopped(exports.find(&name_of(run, asset, attempt))).await?? {
                Some(task) if task.is_complete() || task.is_under_way() => break Some(task),
                // A name is never used twice.
                Some(_) if attempt < EXPORTS_MAX => attempt += 1,
                Some(_) => return Err(failed_too_often()),
                None => break None,
            }
        };
        if known.is_none()
            && let Some(carried) = self.carried()?
        {
            return Ok(Found { started: true, ..carried });
        }
        let id = name_of(run, asset, attempt);
        let watch = Stopwatch::start();
        let (task, left) = match known {
            Some(task) if task.is_complete() => (task, Vec::new()),
            known => self.guarded(client, exports, facts, new, &id, known.is_some()).await?,
        };
        let gib = snapshot_gib(facts, &task.snapshot_arn);
        let cost = (gib > 0).then(|| (new.per_gb.times(gib).to_string(), new.cost_ceiling.to_string()));
        let waited_ms = watch.elapsed_ms();
        let left = left.into_iter().map(|(resource, reason)| (resource.to_string(), reason)).collect();
        Ok(Found { started: true, cost, left, ..Found::of_task(task, waited_ms) })
    }

    /// Requests the export unless it is in progress, and waits, with a guard ready to cancel it.
    async fn guarded(
        &self,
        client: &Rds,
        exports: &Exports,
        facts: &RdsFacts,
        new: &NewExport,
        id: &str,
        is_under_way: bool,
    ) -> Result<(ExportFacts, Vec<(Resource, String)>), Stop> {
        let run = self.work.run.clone();
        let asset = self.work.asset.clone();
        let temporary = Temporary::new(client, Owner { run, playbook: self.playbook.clone(), asset });
        let export = Resource::Export(id.to_owned());
        let mut resources = vec![export.clone()];
        let takes_snapshot = new.take == ExportedSnapshot::New && !is_under_way;
        if takes_snapshot {
            resources.push(temporary.snapshot());
        }
        let guard = Guard::set(self.guards, &self.work, &temporary, resources)?;
        let made = async {
            if is_under_way {
                temporary.expect_to_appear(&export, Duration::ZERO);
            } else {
                let snapshot = if takes_snapshot {
                    self.take_snapshot(client, &temporary, facts).await?
                } else {
                    exported_snapshot(facts, new)?
                };
                self.start(exports, &temporary, &export, new, &snapshot).await?;
            }
            self.wait(exports, id).await
        };
        let made = made.await;
        let left = guard.release().await;
        Ok((made?, left))
    }

    async fn take_snapshot(
        &self,
        client: &Rds,
        temporary: &Temporary,
        facts: &RdsFacts,
    ) -> Result<SnapshotFacts, Stop> {
        let taken = temporary.take_snapshot(&facts.id, self.within(), &self.work.interrupt).await;
        let id = self.or_interrupted(taken)?;
        let facts = self.work.unless_stopped(client.describe(&carry::place(self.rds))).await??;
        let found = facts.snapshots.into_iter().find(|snapshot| snapshot.id == id);
        found.ok_or_else(|| Stop::Asset { reason: format!("the snapshot {id} is gone"), hint: None })
    }

    async fn start(
        &self,
        exports: &Exports,
        temporary: &Temporary,
        export: &Resource,
        new: &NewExport,
        snapshot: &SnapshotFacts,
    ) -> Result<(), Stop> {
        affordable(new, snapshot.storage_gib)?;
        let database = self.rds.database.as_str();
        // Other names can't be passed to RDS; then all databases are exported (Amazon RDS user guide, "Limitations").
        let plain = database.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$".contains(&byte));
        let order = Order {
            snapshot_arn: snapshot.arn.clone(),
            database: plain.then(|| database.to_owned()),
            bucket: new.bucket.to_string(),
            prefix: new.prefix.clone(),
            role: new.role.to_string(),
            key: new.key.to_string(),
        };
        temporary.expect_to_appear(export, temporary.appears_within());
        self.work.unless_stopped(exports.start(export.id(), &order)).await?.map_err(|(error, refused)| {
            if refused {
                temporary.refused(export);
            }
            error.into()
        })
    }

    async fn wait(&self, exports: &Exports, id: &str) -> Result<ExportFacts, Stop> {
        let meter = Arc::new(Meter::default());
        meter.expect(100, 0);
        let _ticker = self.work.ticker(Phase::Export, &meter);
        let heard = |task: &ExportFacts| meter.add_items(task.percent.saturating_sub(meter.read().items));
        let waited = exports.wait(id, self.within(), &self.work.interrupt, heard).await;
        self.or_interrupted(waited)
    }

    fn within(&self) -> Duration {
        self.export.complete_within.duration()
    }

    /// A wait that ended on a request to stop is not a failure of the asset.
    fn or_interrupted<T>(&self, result: Result<T, SourceError>) -> Result<T, Stop> {
        result.map_err(|error| if self.work.interrupt.asked() { Stop::Interrupted } else { error.into() })
    }
}

/// The most gibibytes of a new export.
///
/// # Errors
/// There is no such snapshot, its size is unknown, or its export would exceed the cost limit.
pub(crate) fn affordable_gib(facts: &RdsFacts, new: &NewExport) -> Result<u64, Stop> {
    let gib = match new.take {
        ExportedSnapshot::New => facts.storage_gib,
        _ => exported_snapshot(facts, new)?.storage_gib,
    };
    affordable(new, gib).map(|()| gib)
}

/// The snapshot that a playbook names, or the newest automated one.
fn exported_snapshot(facts: &RdsFacts, new: &NewExport) -> Result<SnapshotFacts, Stop> {
    match &new.take {
        ExportedSnapshot::Named(id) => {
            let found = facts.snapshots.iter().find(|snapshot| snapshot.id == id.as_str()).cloned();
            found.ok_or_else(|| Stop::Asset {
                reason: format!("RDS has no available snapshot {id} of {}", facts.id),
                hint: Some("check its identifier, and that it is of this instance or cluster".to_owned()),
            })
        }
        ExportedSnapshot::Newest | ExportedSnapshot::New => carry::newest_snapshot(facts).cloned(),
    }
}

/// Nothing is exported if its cost is unknown or exceeds the playbook's limit.
fn affordable(new: &NewExport, gib: u64) -> Result<(), Stop> {
    let cost = new.per_gb.times(gib);
    let ceiling = &new.cost_ceiling;
    let refused = |reason: String, hint: &str| Err(Stop::Asset { reason, hint: Some(hint.to_owned()) });
    if gib == 0 {
        let reason = "RDS does not say how large the snapshot is, as it never does for Aurora, so nobody can tell whether \
                      its export would cost more than";
        return refused(
            format!("{reason} {ceiling}"),
            "export it yourself, and name the export by `task`, or by `bucket` and `folder`",
        );
    }
    if cost.exceeds(ceiling) {
        refused(
            format!("the export of {gib} GiB would cost {cost}, more than {ceiling}"),
            "raise `cost_ceiling`, or read the database another way",
        )
    } else {
        Ok(())
    }
}

/// Whether RDS lists the source of an export as the database's own, or as a snapshot of it.
fn is_of(facts: &RdsFacts, arn: &str) -> bool {
    !arn.is_empty() && (facts.arn == arn || facts.snapshots.iter().any(|snapshot| snapshot.arn == arn))
}

fn snapshot_gib(facts: &RdsFacts, arn: &str) -> u64 {
    let known = facts.snapshots.iter().find(|snapshot| snapshot.arn == arn).map(|snapshot| snapshot.storage_gib);
    known.unwrap_or(facts.storage_gib)
}

fn no_such_task(id: &str) -> Stop {
    Stop::Asset {
        reason: format!("RDS knows no export {id}"),
        hint: Some(
            "check `task` and provider.aws.regions; RDS forgets exports after a while, then name `folder`".to_owned(),
        ),
    }
}

fn failed_too_often() -> Stop {
    Stop::Asset {
        reason: format!("{EXPORTS_MAX} exports of this run failed or were cancelled"),
        hint: Some("see their failure causes at RDS, and begin a new run".to_owned()),
    }
}
