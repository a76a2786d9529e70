//! A database with an address as an asset of a run; and what it shares with one whose address comes from the provider.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::task::spawn_blocking;

use super::{
    carry::{CarriedDatabase, DatabaseWork},
    clusters,
    endpoint::{PostgresEndpoint, address_obstacle, is_managed_in},
    measure,
    preflight::{self, Found},
    recheck,
    reconnect::{ReconnectLimits, stall},
    target::{Target, address},
};
use crate::{
    asset::{
        endpoints::{Endpoints, Preflight, lacking},
        look::{RecheckCounts, RecheckDepth},
        measured::{Measured, SpaceNeeded},
        seam::{Asset, Carried, Description, Measuring, Needs, obstacle},
        stop::Stop,
        work::Work,
    },
    domain::event::AssetKind,
    evidence::{EvidenceError, result::AssetResult},
    pg::{Address, identity},
    playbook::{DatabaseSpec, Playbook, PostgresTarget, Reference, TargetSpec},
    provider::postgres::PostgresSource,
    record::error::{Obstacle, Unopened},
    transfer::{error::TransferError, executor::UnitWorker},
};

/// A database of a playbook, read at its address.
pub(crate) struct DatabaseAsset {
    id: String,
    spec: DatabaseSpec,
    url: Reference,
}

impl DatabaseAsset {
    pub(crate) fn new(id: &str, spec: &DatabaseSpec, url: &Reference) -> Self {
        DatabaseAsset { id: id.to_owned(), spec: spec.clone(), url: url.clone() }
    }

    fn address(&self) -> Result<Address, Stop> {
        address(&self.url).map_err(|error| Stop::Asset { hint: error.hint(), reason: error.to_string() })
    }

    async fn work(&self, work: Work, endpoints: &Endpoints) -> Result<DatabaseWork, Stop> {
        let address = self.address()?;
        let postgres = target_endpoint(endpoints)?;
        // The server's identity matters only where each server gets a managed cluster of its own.
        let origin = match &postgres.seen().named {
            Some(_) => String::new(),
            None => {
                let stall = stall(&self.spec);
                let address = address.watched(stall, &work.interrupt);
                let work = work.clone();
                let origin = move || {
                    let reach = || identity::origin(&address);
                    ReconnectLimits::of_source(stall).wait_for("the source", &work, reach).map_err(Stop::of_database)
                };
                spawn_blocking(origin).await.map_err(TransferError::from)??
            }
        };
        let target = postgres.of_origin(&work.layout, &origin, &work.asset).await?;
        Ok(database_work(work, &self.spec, address, target))
    }
}

impl Asset for DatabaseAsset {
    fn id(&self) -> &str {
        &self.id
    }

    fn describe(&self) -> Description {
        Description {
            kind: AssetKind::Postgres,
            source: self.spec.server.to_string(),
            from: None,
            needs: Needs { postgres: true, brings_code: true, ..Needs::default() },
            makes: None,
        }
    }

    fn preflight<'a>(&'a self, at: &'a Preflight<'a>) -> BoxFuture<'a, Result<Vec<Obstacle>, Unopened>> {
        async move {
            let mut obstacles = Vec::new();
            let found = match address(&self.url) {
                Ok(address) => Found { address: Some(address), ..Found::default() },
                Err(error) => {
                    obstacles.push(address_obstacle(&format!("asset {}", self.id), &error));
                    Found::default()
                }
            };
            obstacles.extend(look(&self.id, &self.spec, found, at).await?);
            Ok(obstacles)
        }
        .boxed()
    }

    fn measure<'a>(&'a self, _: &'a Measuring<'a>) -> BoxFuture<'a, Result<Measured, Obstacle>> {
        async move {
            let address = address(&self.url).map_err(|error| obstacle(&self.id, &error, error.hint()))?;
            measured(&self.id, &self.spec, address).await
        }
        .boxed()
    }

    fn space_needed(&self, measured: &Measured, target: &TargetSpec) -> SpaceNeeded {
        measure::space_needed(measured.bytes, target.postgres.as_ref())
    }

    fn carry<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Box<dyn Carried>, Stop>> {
        async move {
            let work = self.work(work, endpoints).await?;
            let carried = spawn_blocking(move || work.carry()).await.map_err(TransferError::from)??;
            Ok(Box::new(carried) as Box<dyn Carried>)
        }
        .boxed()
    }

    fn worker<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Arc<dyn UnitWorker>, Stop>> {
        async move { Ok(Arc::new(self.work(work, endpoints).await?) as Arc<dyn UnitWorker>) }.boxed()
    }

    fn recheck<'a>(
        &'a self,
        work: Work,
        endpoints: &'a Endpoints,
        depth: RecheckDepth,
        result: &'a AssetResult,
    ) -> BoxFuture<'a, Result<RecheckCounts, Stop>> {
        recheck_restored(work, endpoints, depth, result).boxed()
    }

    fn as_it_stands(&self, work: &Work, _: &Playbook, _: &mut AssetResult) -> Result<(), Stop> {
        without_evidence(work)
    }
}

impl Carried for CarriedDatabase {
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>> {
        async move { spawn_blocking(move || (*self).prove()).await.map_err(TransferError::from)? }.boxed()
    }
}

/// The server of the target.
pub(crate) fn target_endpoint(endpoints: &Endpoints) -> Result<&PostgresEndpoint, Stop> {
    endpoints.ready.postgres.as_ref().ok_or_else(|| lacking("target.postgres"))
}

/// The work on a database at an address.
pub(crate) fn database_work(work: Work, spec: &DatabaseSpec, address: Address, target: Arc<Target>) -> DatabaseWork {
    let source = PostgresSource::new(address);
    let source = match spec.limits.lock_timeout {
        Some(timeout) => source.lock_timeout(timeout.duration()),
        None => source,
    };
    let source = source.watched(stall(spec), &work.interrupt);
    let target = Arc::new(target.watched(stall(spec), &work.interrupt));
    DatabaseWork { work, spec: spec.clone(), source, target }
}

/// Obstacles to copying a database that was found here.
pub(crate) async fn look(
    id: &str,
    spec: &DatabaseSpec,
    found: Found,
    at: &Preflight<'_>,
) -> Result<Vec<Obstacle>, Unopened> {
    let Some(postgres) = &at.ready.postgres else { return Ok(Vec::new()) };
    let target = postgres.seen().clone();
    let asset = id.to_owned();
    let spec = spec.clone();
    let run = at.run.to_owned();
    let looking = spawn_blocking(move || preflight::look(&asset, &spec, &found, &target, &run));
    looking.await.unwrap_or_else(|error| Ok(vec![obstacle(id, TransferError::from(error), None)]))
}

/// The measure of a database at an address.
pub(crate) async fn measured(id: &str, spec: &DatabaseSpec, address: Address) -> Result<Measured, Obstacle> {
    let asset = id.to_owned();
    let spec = spec.clone();
    let measuring = spawn_blocking(move || measure::of(&asset, &spec, address));
    measuring.await.unwrap_or_else(|error| Err(obstacle(id, TransferError::from(error), None)))
}

/// Re-checks a database that was restored before.
pub(crate) async fn recheck_restored(
    work: Work,
    endpoints: &Endpoints,
    depth: RecheckDepth,
    result: &AssetResult,
) -> Result<RecheckCounts, Stop> {
    let managed = endpoints.playbook.target().postgres == Some(PostgresTarget::Managed);
    let directory = managed.then(|| clusters::of_asset(&work.layout, &work.asset));
    // None is created just to look into it.
    if directory.as_ref().is_some_and(|directory| !is_managed_in(directory)) {
        return Ok(RecheckCounts::nothing_of(result));
    }
    let target = target_endpoint(endpoints)?.of_directory(directory).await?;
    let result = result.clone();
    let looked = spawn_blocking(move || recheck::look(&work, depth, &result, &target));
    looked.await.map_err(TransferError::from)?
}

/// What a kill left between writing the files and finishing the asset is no evidence.
pub(crate) fn without_evidence(work: &Work) -> Result<(), Stop> {
    let directory = work.layout.asset_evidence(&work.asset);
    match std::fs::remove_dir_all(&directory) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EvidenceError::Io { action: "remove", path: directory, source }.into())
        }
        _ => Ok(()),
    }
}
