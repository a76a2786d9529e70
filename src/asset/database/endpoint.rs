//! The server that the databases of a run are restored into: checked before the transfer, started when needed,
//! kept for the next database of the same origin.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{sync::Mutex, task::spawn_blocking};

use super::{
    clusters,
    preflight_source::pg_obstacle,
    target::{AddressError, Target, address},
};
use crate::{
    asset::stop::Stop,
    pg::{Address, tools::Tools},
    playbook::PostgresTarget,
    record::{error::Obstacle, layout::Layout},
    restore::{
        cluster::{Cluster, ClusterError},
        database::TargetServer,
    },
    transfer::error::TransferError,
};

/// What the source's code may do at a user's server.
pub(crate) const SOURCE_RUNS: &str = "definitions and functions of the source run with its rights";
/// The hint.
pub(crate) const LESSER_LOGIN: &str = "name a login with CREATEDB and no more (CREATE ROLE drill LOGIN CREATEDB PASSWORD \
                                       '…'; with forced row level security also BYPASSRLS)";

/// The target of databases, as far as it is known.
#[derive(Default)]
pub struct PostgresEndpoint {
    seen: Seen,
    /// The running server.
    up: Mutex<Option<Arc<Target>>>,
}

/// What is known about the target.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// The programs for it.
    pub tools: Option<Tools>,
    /// The server that the playbook names; none for managed clusters.
    pub named: Option<Address>,
    /// Its major version.
    pub major: Option<u32>,
}

impl PostgresEndpoint {
    /// Checks programs and server. Everything here blocks.
    pub(crate) fn look(target: &PostgresTarget, brings_code: bool, layout: &Layout) -> (Self, Vec<Obstacle>) {
        let mut obstacles = Vec::new();
        let tools = match target {
            PostgresTarget::Managed => Tools::server(),
            PostgresTarget::Url { .. } => Tools::client(),
        };
        let tools = tools.map_err(|error| obstacles.push(pg_obstacle("target.postgres", &error))).ok();
        let (named, major) = look_at_target(target, tools.as_ref(), layout, &mut obstacles);
        obstacles
            .extend(named.as_ref().filter(|_| brings_code).and_then(|named| privileged_login_obstacle(target, named)));
        (PostgresEndpoint { seen: Seen { tools, named, major }, up: Mutex::default() }, obstacles)
    }

    /// The same without trying anything: what is missing fails where it is needed.
    pub(crate) fn unseen(target: &PostgresTarget) -> Self {
        let (tools, named) = match target {
            PostgresTarget::Managed => (Tools::server().ok(), None),
            // Without its address there are no programs for it either: no other server replaces it.
            PostgresTarget::Url { url, .. } => {
                address(url).ok().and_then(|at| Some((Tools::client().ok()?, at))).unzip()
            }
        };
        PostgresEndpoint { seen: Seen { tools, named, major: None }, up: Mutex::default() }
    }

    /// What is known about it.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The server for an asset that comes from the server `origin`: started if necessary; a managed cluster of another
    /// origin is stopped first.
    pub(crate) async fn of_origin(&self, layout: &Layout, origin: &str, asset: &str) -> Result<Arc<Target>, Stop> {
        let managed = self.seen.named.is_none();
        let directory = managed.then(|| clusters::claim(layout, origin, asset)).transpose()?;
        self.of_directory(directory).await
    }

    /// The same by the managed cluster's directory; none represents the server that the playbook names.
    pub(crate) async fn of_directory(&self, directory: Option<PathBuf>) -> Result<Arc<Target>, Stop> {
        let mut up = self.up.lock().await;
        if let Some(up) = up.as_ref().filter(|up| up.directory() == directory.as_deref()) {
            return Ok(Arc::clone(up));
        }
        if let Some(other) = up.take() {
            let stopped = spawn_blocking(move || stop(other)).await.map_err(TransferError::from)?;
            stopped.map_err(|reason| Stop::Asset { reason, hint: None })?;
        }
        let tools = self.seen.tools.clone().ok_or_else(|| lacking("PostgreSQL's programs"))?;
        let server = match (self.seen.named.clone(), directory) {
            (None, Some(directory)) => {
                spawn_blocking(move || Target::managed(tools, &directory)).await.map_err(TransferError::from)??
            }
            (named, _) => Target::named(tools, named.ok_or_else(|| lacking("target.postgres"))?),
        };
        Ok(Arc::clone(up.insert(Arc::new(server))))
    }

    /// Stops the running server.
    pub(crate) async fn stop(&self) -> Result<(), String> {
        let up = self.up.lock().await.take();
        let stopped = spawn_blocking(move || up.map_or(Ok(()), stop));
        stopped.await.map_err(|error| error.to_string())?
    }
}

fn lacking(what: &str) -> Stop {
    Stop::Asset { reason: format!("{what} is not at hand"), hint: None }
}

fn stop(target: Arc<Target>) -> Result<(), String> {
    // No worker remains that could hold another reference.
    Arc::into_inner(target).map_or(Ok(()), Target::stop).map_err(|error| error.to_string())
}

/// Whether a directory holds a managed cluster: none is created just to look into it.
pub(crate) fn is_managed_in(directory: &Path) -> bool {
    Cluster::is_in(directory)
}

/// A login that would let restored code control the server, or its machine.
fn privileged_login_obstacle(target: &PostgresTarget, named: &Address) -> Option<Obstacle> {
    let is_trusted = matches!(target, PostgresTarget::Url { trust_source: true, .. });
    let ways_out = TargetServer::named(named.clone()).probe().map(|facts| facts.ways_out).unwrap_or_default();
    (!is_trusted && !ways_out.is_empty()).then(|| Obstacle {
        what: format!("target.postgres: the login on {named} {}, and {SOURCE_RUNS}", ways_out.join(", ")),
        hint: Some(format!(
            "{LESSER_LOGIN}; or restore into `managed: true`; or write `trust_source: true` beside `url`, if whoever \
             changes the source may do so at this server, too"
        )),
    })
}

/// The named server's address and the major version of the target, as far as they are known.
fn look_at_target(
    target: &PostgresTarget,
    tools: Option<&Tools>,
    layout: &Layout,
    obstacles: &mut Vec<Obstacle>,
) -> (Option<Address>, Option<u32>) {
    match target {
        PostgresTarget::Managed => {
            obstacles.extend(Cluster::possible(&layout.cluster()).err().map(|error| cluster_obstacle(&error)));
            (None, tools.map(Tools::major))
        }
        PostgresTarget::Url { url, .. } => match address(url) {
            Err(error) => {
                obstacles.push(address_obstacle("target.postgres", &error));
                (None, None)
            }
            Ok(address) => match TargetServer::named(address.clone()).probe() {
                Err(error) => {
                    obstacles.push(pg_obstacle("target.postgres", &error));
                    (None, None)
                }
                Ok(facts) => {
                    if !facts.can_create {
                        let what = format!("target.postgres: the login on {address} may not create databases");
                        let hint = format!("ALTER ROLE \"{}\" CREATEDB", address.user_name());
                        obstacles.push(Obstacle { what, hint: Some(hint) });
                    }
                    (Some(address), Some(facts.major))
                }
            },
        },
    }
}

pub(crate) fn address_obstacle(subject: &str, error: &AddressError) -> Obstacle {
    Obstacle { what: format!("{subject}: {error}"), hint: error.hint() }
}

fn cluster_obstacle(error: &ClusterError) -> Obstacle {
    Obstacle { what: format!("target.postgres: {error}"), hint: error.hint() }
}
