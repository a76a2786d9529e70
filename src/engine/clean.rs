//! `clean`: removes what a run left at the provider, by the run's tag, and ends the server that it left on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{clusters, directory::recorded_run, error::EngineError, layout::Layout, preflight};
use crate::{
    playbook::{Asset, AssetKind},
    restore::cluster::{Cluster, ClusterError},
    source::rds::{
        Rds,
        export::{self, Exports},
        temporary::{self, EXPORTS_MAX, Owner, Resource, Temporary},
    },
    transfer::error::SourceError,
};

/// What became of what a run had left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What was removed.
    pub removed: Vec<String>,
    /// The managed server that ran on, and was stopped.
    pub stopped: Option<String>,
    /// What could not be removed, and why.
    pub left: Vec<(String, String)>,
}

fn asks_for_export(asset: &Asset) -> bool {
    match &asset.kind {
        AssetKind::Database(database) => database.server.rds().is_some_and(|rds| rds.new_export().is_some()),
        AssetKind::Objects(_) => false,
    }
}

/// Exports carry no tags; those of a run are known by their names. What they wrote stays.
async fn cancel_exports(rds: &Rds, run: &str, asset: &str, cleaned: &mut Cleaned) {
    let exports = Exports::new(rds);
    for id in (1..=EXPORTS_MAX).map(|attempt| export::name_of(run, asset, attempt)) {
        match exports.cancel(&id).await {
            Ok(true) => cleaned.removed.push(Resource::Export(id).to_string()),
            Ok(false) => {}
            // What is denied of one is denied of all.
            Err(error @ SourceError::Denied { .. }) => {
                cleaned.left.push((format!("RDS exports of asset {asset}"), error.to_string()));
                return;
            }
            Err(error) => cleaned.left.push((Resource::Export(id).to_string(), error.to_string())),
        }
    }
}

/// Whether the run may have made something at the provider.
fn makes_resources(asset: &Asset) -> bool {
    match &asset.kind {
        AssetKind::Database(database) => database.server.rds().is_some_and(|rds| rds.makes_resources()),
        AssetKind::Objects(_) => false,
    }
}

/// The one part of the resolved playbook that leads to the restored data.
#[derive(Deserialize)]
struct Resolved {
    target: ResolvedTarget,
}

#[derive(Deserialize)]
struct ResolvedTarget {
    path: PathBuf,
}

/// Ends the managed servers that a killed run left. What a person started to look at the data stays up.
fn stop_cluster(run_dir: &Path, run: &str, cleaned: &mut Cleaned) {
    let resolved = fs::read(run_dir.join("data").join("playbook.resolved.json"));
    let resolved = resolved.ok().and_then(|bytes| serde_json::from_slice::<Resolved>(&bytes).ok());
    let Some(Resolved { target }) = resolved else { return };
    let layout = Layout { bundle: run_dir.to_owned(), restored: target.path.join(run) };
    for directory in clusters::all(&layout) {
        let what = format!("the managed PostgreSQL in {}", directory.display());
        match Cluster::stop_left_behind(&directory) {
            Ok(None) | Err(ClusterError::ByHand { .. }) => {}
            Ok(Some(pid)) => cleaned.stopped = Some(format!("{what} (process {pid})")),
            Err(error) => cleaned.left.push((what, error.to_string())),
        }
    }
}

/// Removes everything that carries the tag of the run in this directory, and stops the managed server that it left. The
/// directory itself is not changed.
///
/// # Errors
/// The directory is no run, or the provider can't be asked.
pub async fn clean(run_dir: &Path) -> Result<Cleaned, EngineError> {
    let (playbook, run) = recorded_run(run_dir)?;
    let mut cleaned = Cleaned::default();
    stop_cluster(run_dir, &run, &mut cleaned);
    let made = playbook.assets().iter().any(makes_resources);
    let Some(spec) = playbook.provider().filter(|_| made) else { return Ok(cleaned) };
    let rds = Rds::new(&preflight::aws(spec).await);
    let unreachable = |error: SourceError| {
        let hint = Some("check credentials (profile, environment), region and endpoints.rds".to_owned());
        EngineError::NotReady(vec![super::Obstacle { what: error.to_string(), hint }])
    };
    for found in temporary::tagged(&rds).await.map_err(unreachable)? {
        if found.run != run {
            continue;
        }
        let owner = Owner { run: run.clone(), playbook: found.playbook, asset: String::new() };
        let resource = found.resource.to_string();
        match Temporary::new(&rds, owner).remove(&found.resource, &run).await {
            Ok(_) => cleaned.removed.push(resource),
            Err(error) => cleaned.left.push((resource, error.to_string())),
        }
    }
    for asset in playbook.assets().iter().filter(|asset| asks_for_export(asset)) {
        cancel_exports(&rds, &run, asset.id.as_str(), &mut cleaned).await;
    }
    Ok(cleaned)
}
