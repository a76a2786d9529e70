//! The server that databases are restored into: the one the playbook names, or a managed cluster for this run.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::clusters;
use crate::{
    asset::{stop::Stop, target_identity::database_obstacle},
    evidence::{DatabaseAccess, result::AssetResult},
    interrupt::Interrupt,
    pg::{Address, PgError, session, tools::Tools},
    playbook::{PostgresTarget, ProcessEnvironment, Reference, Unresolved},
    record::{error::Obstacle, layout::Layout},
    restore::{
        cluster::{Cluster, ClusterError, OWNER_ROLE},
        database::TargetServer,
    },
};

/// Why a reference to a PostgreSQL server leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    #[error("{reference}: {source}")]
    Url { reference: String, source: PgError },
}

impl AddressError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            AddressError::Unresolved(error) => Some(error.hint().to_owned()),
            AddressError::Url { source, .. } => source.hint(),
        }
    }
}

/// Resolves a reference of the playbook to a server.
pub(crate) fn address(reference: &Reference) -> Result<Address, AddressError> {
    let secret = reference.resolve(&ProcessEnvironment)?;
    Address::parse(secret.expose()).map_err(|source| AddressError::Url { reference: reference.to_string(), source })
}

/// A running target. A managed cluster is stopped when this is dropped.
pub(crate) struct Target {
    pub server: TargetServer,
    pub tools: Tools,
    /// The address of a user's server.
    named: Option<Address>,
    /// With its directory.
    cluster: Option<Arc<(PathBuf, Cluster)>>,
}

impl Target {
    /// Starts the managed cluster in this directory, creating it if it isn't there yet.
    pub(crate) fn managed(tools: Tools, directory: &Path) -> Result<Self, ClusterError> {
        let cluster = Cluster::start(tools.clone(), directory)?;
        let server = TargetServer::managed(cluster.address(), OWNER_ROLE);
        Ok(Target { server, tools, named: None, cluster: Some(Arc::new((directory.to_owned(), cluster))) })
    }

    /// A user's server.
    pub(crate) fn named(tools: Tools, address: Address) -> Self {
        Target { server: TargetServer::named(address.clone()), tools, named: Some(address), cluster: None }
    }

    /// The same for work that waits this long for a silent server.
    pub(crate) fn watched(&self, stall: Duration, interrupt: &Interrupt) -> Self {
        Target {
            server: self.server.watched(stall, interrupt),
            tools: self.tools.clone(),
            named: self.named.clone(),
            cluster: self.cluster.clone(),
        }
    }

    /// Whether walkaway created the server itself.
    pub(crate) fn is_managed(&self) -> bool {
        self.cluster.is_some()
    }

    /// The directory of a managed cluster.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.cluster.as_ref().map(|cluster| cluster.0.as_path())
    }

    /// Fails if it is the server that the database is read from, which may not have existed before the run started.
    pub(crate) fn refuse_source(&self, asset: &str, source: &Address) -> Result<(), Stop> {
        let named = self.named.as_ref();
        let same = named.and_then(|named| database_obstacle(&format!("asset {asset}"), Some(source), false, named));
        same.map_or(Ok(()), |Obstacle { what, hint }| Err(Stop::Asset { reason: what, hint }))
    }

    /// Rows are about to be loaded: a managed cluster need not make each step durable.
    pub(crate) fn disable_durability(&self) -> Result<(), ClusterError> {
        self.cluster.as_ref().map_or(Ok(()), |cluster| cluster.1.disable_durability())
    }

    /// What was loaded is on the disk when this returns; other servers than managed ones ensure that anyway.
    pub(crate) fn enable_durability(&self) -> Result<(), ClusterError> {
        self.cluster.as_ref().map_or(Ok(()), |cluster| cluster.1.enable_durability())
    }

    /// Stops a managed cluster and reports if that failed.
    pub(crate) fn stop(self) -> Result<(), ClusterError> {
        // No worker remains that could hold another reference.
        self.cluster.and_then(Arc::into_inner).map_or(Ok(()), |(_, cluster)| cluster.stop())
    }
}

/// How to reach a restored database without walkaway.
pub(crate) fn access(result: &AssetResult, target: &PostgresTarget, layout: &Layout) -> DatabaseAccess {
    let encoding = result.database.as_ref().and_then(|database| database.encoding.as_deref()).unwrap_or_default();
    let pgoptions = session::pgoptions(encoding);
    let mut access = DatabaseAccess { asset: result.id.clone(), pgoptions, ..DatabaseAccess::default() };
    match target {
        PostgresTarget::Managed => {
            let tools = Tools::server().map_err(ClusterError::from);
            if let Ok(by_hand) =
                tools.and_then(|tools| Cluster::by_hand(&tools, &clusters::of_asset(layout, &result.id)))
            {
                (access.start, access.psql, access.stop) = (Some(by_hand.start), by_hand.psql, Some(by_hand.stop));
            }
        }
        PostgresTarget::Url { url, .. } => {
            if let Ok(address) = address(url) {
                access.psql = address.psql_arguments();
            }
        }
    }
    access
}
