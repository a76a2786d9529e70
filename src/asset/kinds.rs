//! Which kind of asset is implemented where: the one table. A new kind adds a line to each function here.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    bucket::{self, asset::BucketAsset},
    database::{self, asset::DatabaseAsset, endpoint::PostgresEndpoint, target},
    endpoints::Ready,
    rds::asset::RdsAsset,
    recheck::{Recheck, Rechecking},
    seam::{Asset, Needs},
};
use crate::{
    domain::event::AssetKind as Kind,
    evidence::{DatabaseAccess, result::AssetResult},
    playbook::{self, AssetKind, Playbook, Server, TargetSpec},
    record::{
        error::{EngineError, Obstacle},
        layout::Layout,
    },
};

/// Every kind that a result can have, in the order in which bundles are rechecked.
pub(crate) const ALL: [Kind; 2] = [Kind::S3, Kind::Postgres];

/// Creates assets from the entries of a playbook.
pub type Kinds = Arc<dyn Fn(&playbook::Asset) -> Arc<dyn Asset> + Send + Sync>;

/// The kinds that are built in.
pub fn built_in() -> Kinds {
    Arc::new(of)
}

/// An entry of a playbook as an asset.
pub(crate) fn of(asset: &playbook::Asset) -> Arc<dyn Asset> {
    let id = asset.id.as_str();
    match &asset.kind {
        AssetKind::Objects(bucket) => Arc::new(BucketAsset::new(id, bucket)),
        AssetKind::Database(spec) => match &spec.server {
            Server::Url { url } => Arc::new(DatabaseAsset::new(id, spec, url)),
            Server::Rds(rds) => Arc::new(RdsAsset::new(id, spec, rds)),
        },
    }
}

/// Every entry of a playbook.
pub(crate) fn all(playbook: &Playbook) -> Vec<Arc<dyn Asset>> {
    playbook.assets().iter().map(of).collect()
}

/// Checks the servers of the target that these assets need, and adds them to what is ready.
pub(crate) async fn look_at_targets(
    target: &TargetSpec,
    needs: Needs,
    layout: &Layout,
    ready: &mut Ready,
) -> Result<Vec<Obstacle>, EngineError> {
    let mut obstacles = Vec::new();
    if let Some(spec) = target.s3.as_ref().filter(|_| needs.s3) {
        match bucket::preflight::look_at_target(spec, ready.aws.as_ref()).await {
            Ok(aws) => ready.s3_target = Some(aws),
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    if let Some(spec) = target.postgres.clone().filter(|_| needs.postgres) {
        let layout = layout.clone();
        let looking = spawn_blocking(move || PostgresEndpoint::look(&spec, needs.brings_code, &layout));
        let (endpoint, found) = looking.await.map_err(|error| EngineError::Internal(error.to_string()))?;
        ready.postgres = Some(endpoint);
        obstacles.extend(found);
    }
    Ok(obstacles)
}

/// The servers of the target without checking them: only what reading the restored copy takes, as the
/// provider may be gone. What is missing fails where it is needed.
pub(crate) async fn targets_unseen(target: &TargetSpec) -> Ready {
    let s3_target = match &target.s3 {
        Some(spec) => Some(super::clients::target_aws(spec).await),
        None => None,
    };
    Ready { s3_target, postgres: target.postgres.as_ref().map(PostgresEndpoint::unseen), ..Ready::default() }
}

/// Reads back the restored copies of assets of one kind according to a bundle.
pub(crate) fn recheck(
    kind: Kind,
    at: &Rechecking,
    assets: &[&AssetResult],
    recheck: &mut Recheck,
) -> Result<(), EngineError> {
    match kind {
        Kind::S3 => assets.iter().for_each(|asset| recheck.take(&asset.id, bucket::recheck::of_bundle(at, asset))),
        Kind::Postgres => {
            for export in assets.iter().filter_map(|asset| asset.export()) {
                recheck.take(&export.files.id, bucket::recheck::of_bundle(at, &export.files));
            }
            database::recheck::of_bundle(at, assets, recheck)?;
        }
    }
    Ok(())
}

/// How to reach the restored copy of an asset without walkaway, where that takes a server.
pub(crate) fn access(result: &AssetResult, spec: &TargetSpec, layout: &Layout) -> Option<DatabaseAccess> {
    match result.kind {
        Kind::S3 => None,
        Kind::Postgres => spec.postgres.as_ref().map(|postgres| target::access(result, postgres, layout)),
    }
}
