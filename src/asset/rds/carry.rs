//! A database on RDS or Aurora: the provider is asked what it is and where, then it is carried like any other.
//!
//! With a snapshot, the database is first restored to a temporary instance, which a guard removes again.

use std::time::Duration;

use tokio::task::spawn_blocking;

use super::{
    guard::{Guard, Guards},
    leftovers::Orphans,
};
use crate::{
    asset::{database::carry::DatabaseWork, stop::Stop, work::Work},
    clock::{self, Stopwatch},
    evidence::result::{AssetResult, RdsResult, TemporaryResult},
    finding::{Finding, FindingKind},
    interrupt::Interrupt,
    pg::{Address, address::Via},
    playbook::{ProcessEnvironment, RdsMethodSpec, RdsPlace, RdsSpec, SnapshotChoice, SnapshotSpec},
    source::{
        aws::Aws,
        rds::{
            Endpoint, Login, Password, Place, Rds, RdsFacts, SnapshotFacts,
            temporary::{Owner, Shape, Temporary},
        },
    },
    transfer::error::TransferError,
};

/// How often it is looked whether the temporary instance is still there.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// One database on RDS.
pub(crate) struct RdsWork<'a> {
    work: Work,
    spec: &'a RdsSpec,
    rds: Rds,
    playbook: String,
    guards: &'a Guards,
}

impl<'a> RdsWork<'a> {
    pub fn new(work: Work, spec: &'a RdsSpec, aws: &Aws, playbook: String, guards: &'a Guards) -> Self {
        RdsWork { work, spec, rds: Rds::new(aws), playbook, guards }
    }

    /// Carries the database; `database` makes the work on it at an address.
    pub async fn carry(self, database: impl FnOnce(Address) -> DatabaseWork) -> Result<AssetResult, Stop> {
        let facts = self.work.unless_stopped(self.rds.describe(&place(self.spec))).await??;
        let record = record(self.spec, &facts);
        let (mut result, record) = match &self.spec.method {
            RdsMethodSpec::Live { replica } => {
                let replica = replica.as_ref().map(ToString::to_string);
                let endpoint = self.work.unless_stopped(live_endpoint(&self.rds, &facts, replica.as_deref())).await??;
                let work = database(self.address(&endpoint)?);
                let result = spawn_blocking(move || work.carry()).await.map_err(TransferError::from)??;
                (result, RdsResult { replica, ..record })
            }
            RdsMethodSpec::Snapshot(snapshot) => {
                let (result, temporary) = self.restored_and_read(&facts, snapshot, database).await?;
                (result, RdsResult { temporary: Some(temporary), ..record })
            }
            // Not read from a server: see `rds_export`.
            RdsMethodSpec::Export(_) => return Err(no_login()),
        };
        if let Some(database) = &mut result.database {
            database.rds = Some(record);
        }
        Ok(result)
    }

    fn address(&self, endpoint: &Endpoint) -> Result<Address, Stop> {
        Ok(self.rds.address(endpoint, &login(self.spec)?)?)
    }

    async fn restored_and_read(
        &self,
        facts: &RdsFacts,
        spec: &SnapshotSpec,
        database: impl FnOnce(Address) -> DatabaseWork,
    ) -> Result<(AssetResult, TemporaryResult), Stop> {
        let left_by_others = self.work.unless_stopped(self.remove_orphans()).await??;
        let (run, asset) = (self.work.run.clone(), self.work.asset.clone());
        let owner = Owner { run, playbook: self.playbook.clone(), asset };
        let temporary = Temporary::new(&self.rds, owner, life(spec).saturating_add(spec.available_within.duration()));
        let mut resources = vec![temporary.instance()];
        if spec.take == SnapshotChoice::New {
            resources.push(temporary.snapshot());
        }
        let instance = temporary.instance().to_string();
        let guard = Guard::set(self.guards, &self.work, &temporary, resources)?;
        let watch = Stopwatch::start();
        let done = self.read_temporary(&temporary, facts, spec, database).await;
        let left = guard.release().await;
        let (mut result, snapshot, waited_ms, read_ms) = done?;
        let cost = spec.per_hour.for_seconds(watch.elapsed().as_secs());
        let removed = left.is_empty();
        result.findings.extend(left.into_iter().map(|(resource, reason)| self.left_behind(resource, reason)));
        result.findings.extend(left_by_others.into_iter().map(|(resource, reason)| self.left_behind(resource, reason)));
        let temporary = TemporaryResult {
            snapshot: snapshot.0,
            snapshot_taken: snapshot.1,
            instance,
            waited_ms,
            read_ms,
            cost: cost.to_string(),
            cost_ceiling: spec.cost_ceiling.to_string(),
            removed,
        };
        Ok((result, temporary))
    }

    fn left_behind(&self, resource: impl std::fmt::Display, reason: String) -> Finding {
        self.work.finding(FindingKind::LeftBehind, resource.to_string(), reason)
    }

    /// What earlier runs of this playbook left. What can't be removed does not keep this run from its work.
    async fn remove_orphans(&self) -> Result<Vec<(String, String)>, Stop> {
        let orphans = Orphans { rds: &self.rds, work: &self.work, playbook: &self.playbook };
        orphans.remove(orphans.find().await?).await
    }

    /// The result, the snapshot with its time, and milliseconds of waiting and of reading.
    async fn read_temporary(
        &self,
        temporary: &Temporary,
        facts: &RdsFacts,
        spec: &SnapshotSpec,
        database: impl FnOnce(Address) -> DatabaseWork,
    ) -> Result<(AssetResult, (String, String), u64, u64), Stop> {
        let life = life(spec);
        let watch = Stopwatch::start();
        let within = spec.available_within.duration().min(life);
        let snapshot = match spec.take {
            SnapshotChoice::Newest => newest(facts)?,
            SnapshotChoice::New => {
                let taken = temporary.take_snapshot(&facts.id, within, &self.work.interrupt).await;
                (self.or_interrupted(taken)?, String::new())
            }
        };
        let endpoint = temporary.restore(&snapshot.0, &shape(spec, within), &self.work.interrupt).await;
        let endpoint = self.or_interrupted(endpoint)?;
        let waited_ms = watch.elapsed_ms();
        let mut work = database(self.address(&endpoint)?);
        let own = Interrupt::default();
        work.work.interrupt = own.clone();
        let reading = Stopwatch::start();
        let ended = self.while_affordable(temporary, life.saturating_sub(watch.elapsed()), own, work).await;
        let result = ended.map_err(|(stop, vanished)| match stop {
            _ if vanished && !self.work.interrupt.asked() => Stop::Asset {
                reason: format!("{} went away while it was read: something else removed it", temporary.instance()),
                hint: Some("see who deletes instances of that name at the provider; then resume the run".to_owned()),
            },
            Stop::Interrupted if !self.work.interrupt.asked() => Stop::Asset {
                reason: format!("the temporary instance would have cost more than {}", spec.cost_ceiling),
                hint: Some("raise `cost_ceiling`, or choose a class that reads faster".to_owned()),
            },
            stop => stop,
        })?;
        Ok((result, snapshot, waited_ms, reading.elapsed_ms()))
    }

    /// A wait that ended because somebody asked to stop is no failure of the asset.
    fn or_interrupted<T>(&self, result: Result<T, crate::transfer::error::SourceError>) -> Result<T, Stop> {
        result.map_err(|error| if self.work.interrupt.asked() { Stop::Interrupted } else { error.into() })
    }

    /// Runs the work; asks it to stop when somebody asks the run to, when the money is used up, or when the instance went
    /// away. An early end comes with whether it did.
    async fn while_affordable(
        &self,
        temporary: &Temporary,
        left: Duration,
        own: Interrupt,
        work: DatabaseWork,
    ) -> Result<AssetResult, (Stop, bool)> {
        let mut working = spawn_blocking(move || work.carry());
        let money = tokio::time::sleep(left);
        tokio::pin!(money);
        let mut vanished = false;
        loop {
            let asked = own.asked();
            tokio::select! {
                done = &mut working => {
                    let done = done.map_err(|error| Stop::from(TransferError::from(error)));
                    return done.and_then(|done| done).map_err(|stop| (stop, vanished));
                }
                () = &mut money, if !asked => own.ask(),
                () = self.work.interrupt.wait(), if !asked => own.ask(),
                () = tokio::time::sleep(LOOK_EVERY), if !asked => {
                    if temporary.instance_vanished().await {
                        vanished = true;
                        own.ask();
                    }
                }
            }
        }
    }
}

/// How long the money lasts.
fn life(spec: &SnapshotSpec) -> Duration {
    Duration::from_secs(spec.cost_ceiling.seconds_at(&spec.per_hour))
}

/// The place in the source's words.
pub(crate) fn place(spec: &RdsSpec) -> Place {
    match &spec.place {
        RdsPlace::Instance(id) => Place::Instance(id.to_string()),
        RdsPlace::Cluster(id) => Place::Cluster(id.to_string()),
    }
}

/// Where a running instance is read: at its own endpoint or at its replica's.
pub(crate) async fn live_endpoint(rds: &Rds, facts: &RdsFacts, replica: Option<&str>) -> Result<Endpoint, Stop> {
    Ok(match replica {
        Some(replica) => rds.replica(facts, replica).await?,
        None => facts.reached_at()?,
    })
}

/// The login in the source's words; the password is looked up now.
pub(crate) fn login(spec: &RdsSpec) -> Result<Login, Stop> {
    let stop = |reason: String, hint: Option<String>| Stop::Asset { reason, hint };
    let login = spec.login.as_ref().ok_or_else(no_login)?;
    let password = login.password.as_ref().map(|reference| reference.resolve(&ProcessEnvironment));
    let password = password.transpose().map_err(|error| stop(error.to_string(), Some(error.hint().to_owned())))?;
    Ok(Login {
        database: spec.database.to_string(),
        user: login.user.to_string(),
        password: password.map(|secret| Password(secret.expose().to_owned())),
        ca: spec.ca.clone(),
        via: spec.via.as_ref().map(|via| Via { host: via.host.to_string(), port: via.port }),
    })
}

fn no_login() -> Stop {
    Stop::Asset { reason: "the playbook names no login for it".to_owned(), hint: Some("write `user`".to_owned()) }
}

/// The newest automated snapshot, with its time.
pub(crate) fn newest(facts: &RdsFacts) -> Result<(String, String), Stop> {
    newest_snapshot(facts).map(|snapshot| (snapshot.id.clone(), snapshot.created.clone()))
}

/// The newest automated snapshot.
pub(crate) fn newest_snapshot(facts: &RdsFacts) -> Result<&SnapshotFacts, Stop> {
    facts.newest_automated().ok_or_else(|| Stop::Asset {
        reason: format!("RDS has no automated snapshot of {}", facts.id),
        hint: Some("write `take: new`, or turn automated backups on".to_owned()),
    })
}

fn shape(spec: &SnapshotSpec, available_within: Duration) -> Shape {
    Shape {
        class: spec.class.to_string(),
        subnet_group: spec.subnet_group.to_string(),
        security_groups: spec.security_groups.iter().map(ToString::to_string).collect(),
        parameter_group: spec.parameter_group.to_string(),
        tags: spec.tags.clone(),
        available_within,
    }
}

/// What the provider said, for the result.
pub(crate) fn record(spec: &RdsSpec, facts: &RdsFacts) -> RdsResult {
    let newest = facts.snapshots.first().map(|snapshot| snapshot.created.clone());
    let age = newest.as_ref().and_then(|created| created.parse::<jiff::Timestamp>().ok());
    let age = age.map(|created| clock::now().as_second() - created.as_second());
    RdsResult {
        method: spec.method_word().to_owned(),
        id: facts.id.clone(),
        arn: facts.arn.clone(),
        engine: facts.engine.clone(),
        engine_version: facts.engine_version.clone(),
        class: facts.class.clone(),
        storage_gib: facts.storage_gib,
        encrypted: facts.encrypted,
        kms_key: facts.kms_key.clone(),
        ca: facts.ca.clone(),
        parameter_groups: facts.parameter_groups.clone(),
        retention_days: facts.retention_days,
        iam: facts.iam,
        multi_az: facts.multi_az,
        public: facts.public,
        snapshots: facts.snapshots.len() as u64,
        newest_snapshot: newest,
        newest_snapshot_age_s: age.and_then(|seconds| u64::try_from(seconds).ok()),
        replica: None,
        temporary: None,
        export: None,
    }
}
