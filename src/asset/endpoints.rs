//! What the assets of a run share: the playbook, the provider, and the servers of the target.

use std::collections::BTreeMap;

use super::{database::endpoint::PostgresEndpoint, rds::guard::Guards, stop::Stop};
use crate::{
    playbook::Playbook,
    provider::aws::{Aws, CallerIdentity},
    record::{error::Obstacle, layout::Layout},
};

/// Clients and addresses that were tried and found to work.
#[derive(Default)]
pub struct Ready {
    /// The provider.
    pub aws: Option<Aws>,
    /// The caller there.
    pub caller: Option<CallerIdentity>,
    /// The S3 server that buckets are restored into.
    pub s3_target: Option<Aws>,
    /// The PostgreSQL server that databases are restored into.
    pub postgres: Option<PostgresEndpoint>,
    /// Assets that their servers can't open: only the others are run.
    pub unopened: BTreeMap<String, Obstacle>,
}

impl Ready {
    /// Stops what was started at the target.
    pub(crate) async fn stop(&self) -> Result<(), String> {
        match &self.postgres {
            Some(postgres) => postgres.stop().await,
            None => Ok(()),
        }
    }
}

/// What the assets of one run share.
pub struct Endpoints {
    /// The playbook.
    pub playbook: Playbook,
    /// Their sources and targets.
    pub ready: Ready,
    /// Guards that remove what they create at the provider.
    pub(crate) guards: Guards,
}

impl Endpoints {
    pub(crate) fn new(playbook: Playbook, ready: Ready, guards: Guards) -> Self {
        Endpoints { playbook, ready, guards }
    }

    /// The provider.
    pub(crate) fn aws(&self) -> Result<&Aws, Stop> {
        self.ready.aws.as_ref().ok_or_else(|| lacking("provider.aws"))
    }
}

/// The error for what the preflight found and is missing now.
pub(crate) fn lacking(what: &str) -> Stop {
    Stop::Asset { reason: format!("{what} is not at hand"), hint: None }
}

/// The context of the preflight.
pub struct Preflight<'a> {
    /// What was found to work so far.
    pub ready: &'a Ready,
    /// The directories of the run.
    pub(crate) layout: &'a Layout,
    /// The run's id.
    pub run: &'a str,
}
