//! A database on RDS or Aurora: the provider is queried for its kind and address, then it is copied like any other.
//!
//! With a snapshot, the database is first restored to a temporary instance, which a guard removes again.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::task::spawn_blocking;

use super::{
    guard::{Guard, Guards},
    leftovers::Orphans,
};
use crate::{
    asset::{
        database::carry::{CarriedDatabase, DatabaseWork},
        seam::Carried,
        stop::Stop,
        work::Work,
    },
    clock::{self, Stopwatch},
    domain::finding::{Finding, FindingKind},
    evidence::result::{AssetResult, RdsResult, TemporaryResult},
    interrupt::Interrupt,
    pg::{Address, address::Via},
    playbook::{ProcessEnvironment, RdsMethodSpec, RdsPlace, RdsSpec, SnapshotChoice, SnapshotSpec},
    provider::{
        aws::Aws,
        rds::{
            Endpoint, Login, Password, Place, Rds, RdsFacts, SnapshotFacts,
            temporary::{Owner, Shape, Temporary},
        },
    },
    transfer::error::{SourceError, TransferError},
};

/// How often the existence of the temporary instance is checked.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// One database on RDS.
pub(crate) struct RdsWork {
    work: Work,
    spec: RdsSpec,
    rds: Rds,
    playbook: String,
    guards: Guards,
}

impl RdsWork {
    pub(super) fn new(work: Work, spec: &RdsSpec, aws: &Aws, playbook: String, guards: &Guards) -> Self {
        RdsWork { work, spec: spec.clone(), rds: Rds::new(aws), playbook, guards: guards.clone() }
    }

    /// Copies the database; `database` creates the work on it at an address.
    pub(super) async fn carry(
        self,
        database: impl FnOnce(Work, Address) -> DatabaseWork,
    ) -> Result<Box<dyn Carried>, Stop> {
        let facts = self.work.unless_stopped(self.rds.describe(&place(&self.spec))).await??;
        let record = record(&self.spec, &facts);
        match self.spec.method.clone() {
            RdsMethodSpec::Live { replica } => {
                let replica = replica.as_ref().map(ToString::to_string);
                let endpoint = self.work.unless_stopped(live_endpoint(&self.rds, &facts, replica.as_deref())).await??;
                let work = database(self.work.clone(), self.address(&endpoint)?);
                let carried = spawn_blocking(move || work.carry()).await.map_err(TransferError::from)??;
                Ok(Box::new(CarriedLive { carried, record: RdsResult { replica, ..record } }))
            }
            RdsMethodSpec::Snapshot(snapshot) => {
                Ok(Box::new(self.carry_snapshot(&facts, record, snapshot, database).await?))
            }
            // Not read from a server: see `export`.
            RdsMethodSpec::Export(_) => Err(no_login()),
        }
    }

    fn address(&self, endpoint: &Endpoint) -> Result<Address, Stop> {
        Ok(self.rds.address(endpoint, &login(&self.spec)?)?)
    }

    async fn carry_snapshot(
        self,
        facts: &RdsFacts,
        record: RdsResult,
        spec: SnapshotSpec,
        database: impl FnOnce(Work, Address) -> DatabaseWork,
    ) -> Result<CarriedSnapshot, Stop> {
        let left_by_others = self.work.unless_stopped(self.remove_orphans()).await??;
        let run = self.work.run.clone();
        let asset = self.work.asset.clone();
        let owner = Owner { run, playbook: self.playbook.clone(), asset };
        let temporary = Temporary::new(&self.rds, owner);
        let mut resources = vec![temporary.instance()];
        if spec.take == SnapshotChoice::New {
            resources.push(temporary.snapshot());
        }
        let guard = Guard::set(&self.guards, &self.work, &temporary, resources)?;
        let watch = Stopwatch::start();
        let mut reading = Reading { of: self, spec, temporary, life: Stopwatch::start(), own: Interrupt::default() };
        match reading.restore_and_carry(facts, database).await {
            Ok(restored) => Ok(CarriedSnapshot { reading, restored, record, guard, watch, left_by_others }),
            Err(stop) => {
                guard.release().await;
                Err(stop)
            }
        }
    }

    fn left_behind(&self, resource: impl std::fmt::Display, reason: String) -> Finding {
        self.work.finding(FindingKind::LeftBehind, resource.to_string(), reason)
    }

    /// Removes what earlier runs of this playbook left. What can't be removed does not stop this run.
    async fn remove_orphans(&self) -> Result<Vec<(String, String)>, Stop> {
        let orphans = Orphans { rds: &self.rds, work: &self.work, playbook: &self.playbook };
        orphans.remove(orphans.find().await?).await
    }

    /// A wait that ended on a request to stop is not a failure of the asset.
    fn or_interrupted<T>(&self, result: Result<T, SourceError>) -> Result<T, Stop> {
        result.map_err(|error| if self.work.interrupt.asked() { Stop::Interrupted } else { error.into() })
    }
}

/// A database that was read at its own instance.
struct CarriedLive {
    carried: CarriedDatabase,
    record: RdsResult,
}

impl Carried for CarriedLive {
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>> {
        async move {
            let CarriedLive { carried, record } = *self;
            let proving = spawn_blocking(move || carried.prove());
            proving.await.map_err(TransferError::from)?.map(|result| with_record(result, record))
        }
        .boxed()
    }
}

fn with_record(mut result: AssetResult, record: RdsResult) -> AssetResult {
    if let Some(database) = &mut result.database {
        database.rds = Some(record);
    }
    result
}

/// A temporary instance that is read, within the cost limit.
struct Reading {
    of: RdsWork,
    spec: SnapshotSpec,
    temporary: Temporary,
    /// Since the instance was requested.
    life: Stopwatch,
    /// Ends only the work on the database.
    own: Interrupt,
}

/// What the instance was restored from, and the database that was read from it.
struct FromInstance {
    carried: CarriedDatabase,
    /// The snapshot with its time.
    snapshot: (String, String),
    waited_ms: u64,
    reading: Stopwatch,
}

impl Reading {
    async fn restore_and_carry(
        &mut self,
        facts: &RdsFacts,
        database: impl FnOnce(Work, Address) -> DatabaseWork,
    ) -> Result<FromInstance, Stop> {
        let of = &self.of;
        let spec = &self.spec;
        let within = spec.available_within.duration().min(life(spec));
        let snapshot = match spec.take {
            SnapshotChoice::Newest => newest(facts)?,
            SnapshotChoice::New => {
                let taken = self.temporary.take_snapshot(&facts.id, within, &of.work.interrupt).await;
                (of.or_interrupted(taken)?, String::new())
            }
        };
        let endpoint = self.temporary.restore(&snapshot.0, &shape(spec, within), &of.work.interrupt).await;
        let endpoint = of.or_interrupted(endpoint)?;
        let waited_ms = self.life.elapsed_ms();
        // Its connections, too, have to hear of the end of the money.
        let work = Work { interrupt: self.own.clone(), ..of.work.clone() };
        let work = database(work, of.address(&endpoint)?);
        let reading = Stopwatch::start();
        let carried = self.while_affordable(move || work.carry()).await?;
        Ok(FromInstance { carried, snapshot, waited_ms, reading })
    }

    /// Does a part of the work; stops it when the run is to stop, when the cost limit is reached, or when the
    /// instance is gone.
    async fn while_affordable<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        let run = &self.of.work.interrupt;
        let mut working = spawn_blocking(work);
        let money = tokio::time::sleep(life(&self.spec).saturating_sub(self.life.elapsed()));
        tokio::pin!(money);
        let mut vanished = false;
        loop {
            let asked = self.own.asked();
            tokio::select! {
                done = &mut working => {
                    let done = done.map_err(|error| Stop::from(TransferError::from(error)));
                    return done.and_then(|done| done).map_err(|stop| self.why(stop, vanished));
                }
                () = &mut money, if !asked => self.own.ask(),
                () = run.wait(), if !asked => self.own.ask(),
                () = tokio::time::sleep(LOOK_EVERY), if !asked => {
                    if self.temporary.instance_vanished().await {
                        vanished = true;
                        self.own.ask();
                    }
                }
            }
        }
    }

    /// Why the work ended early, as reported by its cause.
    fn why(&self, stop: Stop, vanished: bool) -> Stop {
        match stop {
            stop if self.of.work.interrupt.asked() => stop,
            _ if vanished => Stop::Asset {
                reason: format!("{} vanished while it was read: something else removed it", self.temporary.instance()),
                hint: Some("see who deletes instances of that name at the provider; then resume the run".to_owned()),
            },
            Stop::Interrupted => Stop::Asset {
                reason: format!("the temporary instance would have cost more than {}", self.spec.cost_ceiling),
                hint: Some("raise `cost_ceiling`, or choose a class that reads faster".to_owned()),
            },
            stop => stop,
        }
    }
}

/// A database that was read from a temporary instance, which stays until the copy is verified.
struct CarriedSnapshot {
    reading: Reading,
    restored: FromInstance,
    record: RdsResult,
    guard: Guard,
    watch: Stopwatch,
    left_by_others: Vec<(String, String)>,
}

impl CarriedSnapshot {
    async fn prove_and_remove(self) -> Result<AssetResult, Stop> {
        let CarriedSnapshot { reading, restored, record, guard, watch, left_by_others } = self;
        let FromInstance { carried, snapshot, waited_ms, reading: read } = restored;
        let proven = reading.while_affordable(move || carried.prove()).await;
        let read_ms = read.elapsed_ms();
        let left = guard.release().await;
        let mut result = proven?;
        let Reading { of, spec, temporary, .. } = &reading;
        let removed = left.is_empty();
        result.findings.extend(left.into_iter().map(|(resource, reason)| of.left_behind(resource, reason)));
        result.findings.extend(left_by_others.into_iter().map(|(resource, reason)| of.left_behind(resource, reason)));
        let temporary = TemporaryResult {
            snapshot: snapshot.0,
            snapshot_taken: snapshot.1,
            instance: temporary.instance().to_string(),
            waited_ms,
            read_ms,
            cost: spec.per_hour.for_seconds(watch.elapsed().as_secs()).to_string(),
            cost_ceiling: spec.cost_ceiling.to_string(),
            removed,
        };
        Ok(with_record(result, RdsResult { temporary: Some(temporary), ..record }))
    }
}

impl Carried for CarriedSnapshot {
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>> {
        (*self).prove_and_remove().boxed()
    }
}

/// How long the cost limit lasts.
fn life(spec: &SnapshotSpec) -> Duration {
    Duration::from_secs(spec.cost_ceiling.seconds_at(&spec.per_hour))
}

/// The place as a value of the source.
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

/// Where a running database is read.
pub(crate) async fn live_address(spec: &RdsSpec, aws: &Aws) -> Result<Address, Stop> {
    let client = Rds::new(aws);
    let facts = client.describe(&place(spec)).await?;
    let replica = match &spec.method {
        RdsMethodSpec::Live { replica } => replica.as_ref().map(ToString::to_string),
        RdsMethodSpec::Snapshot(_) | RdsMethodSpec::Export(_) => None,
    };
    Ok(client.address(&live_endpoint(&client, &facts, replica.as_deref()).await?, &login(spec)?)?)
}

/// The login as a value of the source; the password is resolved now.
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

/// What the provider reported, for the result.
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
