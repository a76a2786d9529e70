//! The interface between a run and what it copies: one trait, which each kind of asset implements in its own folder.
//!
//! Planning, running, re-checking and sealing an asset go through it; `kinds` lists where each kind is implemented.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    endpoints::{Endpoints, Preflight},
    look::{RecheckCounts, RecheckDepth},
    measured::{Measured, SpaceNeeded},
    stop::Stop,
    work::Work,
};
use crate::{
    account::{coverage::CarriedFrom, rights},
    domain::event::AssetKind,
    evidence::result::AssetResult,
    playbook::{Playbook, TargetSpec},
    provider::aws::Aws,
    record::error::{Obstacle, Unopened},
    transfer::executor::UnitWorker,
};

/// Something that is copied and gets a verdict.
///
/// The order of a run: [`Asset::preflight`] for all, then for one after the other [`Asset::carry`], which cuts the work into
/// units and has an executor run them, and [`Carried::prove`]. A resumed run re-checks what it had finished with
/// [`Asset::recheck`]. [`Asset::measure`] is all that `walkaway plan` needs.
pub trait Asset: Send + Sync {
    /// Unique within the playbook.
    fn id(&self) -> &str;

    /// What is known of it without any request.
    fn describe(&self) -> Description;

    /// Adds the rights at the provider that copying it takes.
    fn rights(&self, _needs: &mut rights::Needs) {}

    /// Obstacles to the run, checked before the transfer.
    ///
    /// # Errors
    /// Obstacles to copying this asset only.
    fn preflight<'a>(&'a self, at: &'a Preflight<'a>) -> BoxFuture<'a, Result<Vec<Obstacle>, Unopened>>;

    /// Items, bytes and units, measured at the provider. Writes nothing, neither there nor here.
    fn measure<'a>(&'a self, at: &'a Measuring<'a>) -> BoxFuture<'a, Result<Measured, Obstacle>>;

    /// The space that it takes on this machine, by its measure.
    fn space_needed(&self, measured: &Measured, target: &TargetSpec) -> SpaceNeeded;

    /// Copies it, unit by unit, through the executor of the work.
    fn carry<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Box<dyn Carried>, Stop>>;

    /// The runner of units of this asset in this process, wherever they were cut: the remote end of an executor with
    /// other machines.
    fn worker<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Arc<dyn UnitWorker>, Stop>>;

    /// Re-checks the asset's restored copy some time after it was finished.
    fn recheck<'a>(
        &'a self,
        work: Work,
        endpoints: &'a Endpoints,
        depth: RecheckDepth,
        result: &'a AssetResult,
    ) -> BoxFuture<'a, Result<RecheckCounts, Stop>>;

    /// Fills the entry of an asset that was not finished: what the journal confirms is in it, and what a kill
    /// left incomplete is removed from the evidence.
    fn as_it_stands(&self, work: &Work, playbook: &Playbook, result: &mut AssetResult) -> Result<(), Stop>;
}

/// An asset whose data has been copied. Its temporary resources at the provider may stay until it is verified.
pub trait Carried: Send {
    /// Reads back what was restored, compares, plants damage, and writes the asset's evidence.
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>>
    where
        Self: 'a;
}

/// What is known of an asset without any request.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its name in the evidence.
    pub kind: AssetKind,
    /// Its source, as named in the playbook.
    pub source: String,
    /// The same as coverage identifies resources of an account; none where only its measuring shows it.
    pub from: Option<CarriedFrom>,
    /// What it needs at the target.
    pub needs: Needs,
    /// The paid resources that copying it creates at the provider, if any.
    pub makes: Option<Makes>,
}

/// What an asset needs at the target besides a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The S3 server.
    pub s3: bool,
    /// The PostgreSQL server.
    pub postgres: bool,
    /// That server runs definitions of the source.
    pub brings_code: bool,
}

/// The paid resources that copying an asset creates at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Makes {
    /// As text: by what, and what.
    pub words: String,
    /// An export, which a resumed run continues. Anything else is removed and created anew.
    pub export: bool,
}

/// The context of measuring.
pub struct Measuring<'a> {
    /// The provider, where the playbook names one.
    pub aws: Option<&'a Aws>,
    /// The playbook.
    pub playbook: &'a Playbook,
}

/// An obstacle to one asset.
pub fn obstacle(asset: &str, what: impl std::fmt::Display, hint: Option<String>) -> Obstacle {
    Obstacle { what: format!("asset {asset}: {what}"), hint }
}

/// The same from an early end.
pub(crate) fn stop_obstacle(asset: &str, stop: Stop) -> Obstacle {
    match stop {
        Stop::Asset { reason, hint } | Stop::Away { reason, hint } => obstacle(asset, reason, hint),
        Stop::Interrupted | Stop::Run(_) => obstacle(asset, "was interrupted", None),
    }
}
