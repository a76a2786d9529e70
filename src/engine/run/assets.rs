//! What a run does with one asset: carries it, or looks at what it left when it was finished; and where its data goes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::task::spawn_blocking;

use super::{Run, bucket_name, pseudonyms, stop_target};
use crate::{
    engine::{
        clusters,
        database::DatabaseWork,
        look::{self, Looked},
        objects::{self, BucketWork, sink::Destination},
        preflight::{self, Ready},
        rds::RdsWork,
        rds_export::ExportWork,
        stop::Stop,
        target::{self, Target},
    },
    event::Event,
    evidence::result::AssetResult,
    pg::{Address, identity},
    playbook::{
        Asset, AssetKind, BucketSpec, DatabaseSpec, Layout as ObjectLayout, PostgresTarget, RdsMethodSpec, Reference,
        Server, Versions,
    },
    restore::cluster::Cluster,
    source::postgres::PostgresSource,
    transfer::{error::TransferError, object::ObjectSource, pseudonyms::Pseudonymous, retry::STALL},
};

impl Run {
    pub(super) async fn carry(
        &self,
        asset: &Asset,
        ready: &Ready,
        target: &mut Option<Arc<Target>>,
    ) -> Result<AssetResult, Stop> {
        match &asset.kind {
            AssetKind::Objects(bucket) => self.bucket(asset, bucket, ready)?.carry().await,
            AssetKind::Database(spec) => {
                let origin = origin(&spec.server, ready).await?;
                let target = self.target(asset, &origin, ready, target).await?;
                match &spec.server {
                    Server::Url { url } => {
                        let work = self.database(asset, spec, source_address(url)?, target);
                        spawn_blocking(move || work.carry()).await.map_err(TransferError::from)?
                    }
                    Server::Rds(rds) => {
                        let aws = ready.aws.as_ref().ok_or_else(|| lacking("provider.aws"))?;
                        let (playbook, guards) = (self.playbook.id().to_string(), &self.guards);
                        if let RdsMethodSpec::Export(export) = &rds.method {
                            let (work, spec) = (self.work(asset), spec.clone());
                            let work = ExportWork { work, spec, rds, export, aws, playbook, guards, target };
                            return work.carry().await;
                        }
                        let work = RdsWork::new(self.work(asset), rds, aws, playbook, guards);
                        work.carry(|address| self.database(asset, spec, address, target)).await
                    }
                }
            }
        }
    }

    /// The result of an asset that is finished, if what it restored still lies where it was put. Otherwise the asset is taken
    /// up again: a bucket is read back, a database is restored anew.
    pub(super) async fn looked_at(
        &self,
        asset: &Asset,
        result: AssetResult,
        ready: &Ready,
        target: &mut Option<Arc<Target>>,
    ) -> Result<Option<AssetResult>, Stop> {
        let (work, depth) = (self.work(asset), self.look);
        let looked = match &asset.kind {
            AssetKind::Objects(bucket) => {
                let reader = self.sink_of(asset, bucket, ready)?.reader();
                spawn_blocking(move || look::at_objects(&work, depth, reader.as_deref())).await
            }
            AssetKind::Database(_) => {
                let managed = self.playbook.target().postgres == Some(PostgresTarget::Managed);
                let directory = managed.then(|| clusters::of_asset(&self.layout, asset.id.as_str()));
                // None is made to look into it.
                if directory.as_ref().is_some_and(|directory| !Cluster::is_in(directory)) {
                    Ok(Ok(Looked::nothing_of(&result)))
                } else {
                    let target = self.target_in(directory, ready, target).await?;
                    let result = result.clone();
                    spawn_blocking(move || look::at_database(&work, depth, &result, &target)).await
                }
            }
        };
        let Looked { items, differ } = looked.map_err(TransferError::from)??;
        self.recorder.fact(&Event::AssetLookedAt { asset: asset.id.to_string(), items, differ })?;
        Ok((differ == 0).then_some(result))
    }

    fn bucket(&self, asset: &Asset, bucket: &BucketSpec, ready: &Ready) -> Result<BucketWork, Stop> {
        let aws = ready.aws.as_ref().ok_or_else(|| lacking("provider.aws"))?;
        let bucket_source = preflight::bucket_source(aws, bucket);
        let (names, mut source): (_, Arc<dyn ObjectSource>) = (pseudonyms(&self.playbook)?, bucket_source.clone());
        if let Some(names) = &names {
            source = Arc::new(Pseudonymous::new(source, names.clone()));
        }
        Ok(BucketWork {
            work: self.work(asset),
            source_name: bucket_name(bucket),
            source,
            names,
            bucket: bucket_source,
            into: self.sink_of(asset, bucket, ready)?,
            sample: bucket.sample,
            versions: bucket.versions == Versions::All,
            may_be_empty: bucket.may_be_empty,
            stall: stall_of(bucket),
        })
    }

    /// Where a bucket's objects go.
    fn sink_of(&self, asset: &Asset, bucket: &BucketSpec, ready: &Ready) -> Result<Destination, Stop> {
        match bucket.layout {
            ObjectLayout::Tree => Ok(Destination::Tree),
            ObjectLayout::Tar => Ok(Destination::Archives),
            ObjectLayout::S3 => {
                let target = ready.s3_target.as_ref().ok_or_else(|| lacking("target.s3"))?;
                let name = objects::sink::bucket_name(asset.id.as_str(), &self.id);
                Ok(Destination::Bucket { client: target.s3(), name, stall: stall_of(bucket) })
            }
        }
    }

    fn database(&self, asset: &Asset, spec: &DatabaseSpec, address: Address, target: Arc<Target>) -> DatabaseWork {
        let source = PostgresSource::new(address);
        let source = match spec.limits.lock_timeout {
            Some(timeout) => source.lock_timeout(timeout.duration()),
            None => source,
        };
        DatabaseWork { work: self.work(asset), spec: spec.clone(), source, target }
    }

    /// The target server of an asset that comes from the server `origin`: brought up if it isn't, and a managed cluster
    /// of another origin goes down before.
    async fn target(
        &self,
        asset: &Asset,
        origin: &str,
        ready: &Ready,
        target: &mut Option<Arc<Target>>,
    ) -> Result<Arc<Target>, Stop> {
        let managed = ready.named_target.is_none();
        let directory = managed.then(|| clusters::claim(&self.layout, origin, asset.id.as_str())).transpose()?;
        self.target_in(directory, ready, target).await
    }

    /// The same by the managed cluster's directory; none stands for the server that the playbook names.
    async fn target_in(
        &self,
        directory: Option<PathBuf>,
        ready: &Ready,
        target: &mut Option<Arc<Target>>,
    ) -> Result<Arc<Target>, Stop> {
        if let Some(up) = target.as_ref().filter(|up| up.directory() == directory.as_deref()) {
            return Ok(Arc::clone(up));
        }
        if let Some(other) = target.take() {
            let stopped = spawn_blocking(move || stop_target(other)).await.map_err(TransferError::from)?;
            stopped.map_err(|reason| Stop::Asset { reason, hint: None })?;
        }
        let tools = ready.tools.clone().ok_or_else(|| lacking("PostgreSQL's programs"))?;
        let up = match (ready.named_target.clone(), directory) {
            (None, Some(directory)) => {
                spawn_blocking(move || Target::managed(tools, &directory)).await.map_err(TransferError::from)??
            }
            (named, _) => Target::named(tools, named.ok_or_else(|| lacking("target.postgres"))?),
        };
        Ok(Arc::clone(target.insert(Arc::new(up))))
    }
}

/// What tells the server that a database comes from apart from others, where a managed cluster has to stand for it.
async fn origin(server: &Server, ready: &Ready) -> Result<String, Stop> {
    match server {
        _ if ready.named_target.is_some() => Ok(String::new()),
        Server::Url { url } => {
            let address = source_address(url)?;
            Ok(spawn_blocking(move || identity::origin(&address)).await.map_err(TransferError::from)??)
        }
        Server::Rds(rds) => Ok(format!("rds:{}", rds.place.id())),
    }
}

fn source_address(url: &Reference) -> Result<Address, Stop> {
    target::address(url).map_err(|error| Stop::Asset { hint: error.hint(), reason: error.to_string() })
}

fn lacking(what: &str) -> Stop {
    Stop::Asset { reason: format!("{what} is not at hand"), hint: None }
}

/// How long either end may be away.
fn stall_of(bucket: &BucketSpec) -> Duration {
    bucket.limits.stall.map_or(STALL, |stall| stall.duration())
}
