//! Obstacles to copying a database, checked before the transfer.

use super::{
    endpoint::Seen,
    exclusions,
    preflight_source::{Limits, look_at_source, pg_obstacle, version_obstacle},
};
use crate::{
    asset::target_identity,
    pg::{
        Address,
        tools::{Tools, Version},
    },
    playbook::DatabaseSpec,
    record::error::{Obstacle, Unopened},
    restore::database::{TargetError, TargetServer},
};

/// Databases that every server has (PostgreSQL documentation, "Template Databases").
const SYSTEM_DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

/// Where a source is, and its version if only the provider knows it.
#[derive(Clone, Default)]
pub(crate) struct Found {
    pub address: Option<Address>,
    pub version: Option<Version>,
    /// The provider runs it.
    pub by_provider: bool,
}

/// Source, rights, versions, and the place at the target. Blocks.
pub(crate) fn look(
    asset: &str,
    spec: &DatabaseSpec,
    found: &Found,
    target: &Seen,
    run: &str,
) -> Result<Vec<Obstacle>, Unopened> {
    let mut obstacles = Vec::new();
    if SYSTEM_DATABASES.contains(&asset) {
        let what = format!("asset {asset}: its database would be named like one of the server's own");
        obstacles.push(Obstacle { what, hint: Some("choose another id for the asset".to_owned()) });
    }
    let limits = Limits { tools: target.tools.as_ref().map(Tools::version), target: target.major };
    let subject = format!("asset {asset}");
    match &found.address {
        Some(address) => obstacles.extend(look_at_source(&subject, address, &exclusions::names(spec), limits)?),
        None => obstacles.extend(found.version.and_then(|version| version_obstacle(&subject, version, limits))),
    }
    if let Some(named) = &target.named {
        let same = target_identity::database_obstacle(&subject, found.address.as_ref(), found.by_provider, named);
        obstacles.extend(same);
        obstacles.extend(existing_database_obstacle(named, asset, run));
    }
    Ok(obstacles)
}

/// The database must not exist yet, or be this run's own from before an interruption.
fn existing_database_obstacle(named: &Address, database: &str, run: &str) -> Option<Obstacle> {
    match TargetServer::named(named.clone()).check_free(database, run) {
        Ok(()) => None,
        Err(error @ TargetError::Occupied { .. }) => {
            let hint = "rename or drop that database; walkaway restores only into databases that it makes itself";
            Some(Obstacle { what: format!("target.postgres: {error}"), hint: Some(hint.to_owned()) })
        }
        Err(TargetError::Pg(error)) => Some(pg_obstacle("target.postgres", &error)),
    }
}
