//! The seam between a run and what it carries: one trait, which each kind of asset implements in a folder of its own.
//!
//! Whatever plans, runs, rechecks or seals an asset goes through it; which kind is implemented where stands in `kinds`.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    look::{Depth, Looked},
    measured::{Measured, Room},
    site::{Preflight, Site},
    stop::Stop,
    work::Work,
};
use crate::{
    account::{coverage::CarriedFrom, rights},
    event::AssetKind,
    evidence::result::AssetResult,
    playbook::{Playbook, TargetSpec},
    record::error::{Obstacle, Unopened},
    source::aws::Aws,
    transfer::executor::UnitWorker,
};

/// Something that is carried out and gets a verdict.
///
/// The order of a run: [`Asset::preflight`] for all, then for one after the other [`Asset::carry`], which cuts the work into
/// units and has an executor run them, and [`Carried::prove`]. A run that is resumed looks at what it had finished with
/// [`Asset::recheck`]. [`Asset::measure`] is all that `walkaway plan` needs.
pub trait Asset: Send + Sync {
    /// Unique within the playbook.
    fn id(&self) -> &str;

    /// What there is to say of it without asking anybody.
    fn describe(&self) -> Description;

    /// Adds the rights at the provider that carrying it takes.
    fn rights(&self, _needs: &mut rights::Needs) {}

    /// What keeps the run from beginning, looked for before anything moves.
    ///
    /// # Errors
    /// What keeps this asset from being carried, and no other.
    fn preflight<'a>(&'a self, at: &'a Preflight<'a>) -> BoxFuture<'a, Result<Vec<Obstacle>, Unopened>>;

    /// Items, bytes and units, measured at the provider. Writes nothing, neither there nor here.
    fn measure<'a>(&'a self, at: &'a Measuring<'a>) -> BoxFuture<'a, Result<Measured, Obstacle>>;

    /// The room that it takes on this machine, by its measure.
    fn room(&self, measured: &Measured, target: &TargetSpec) -> Room;

    /// Carries it, unit by unit, through the executor of the work.
    fn carry<'a>(&'a self, work: Work, site: &'a Site) -> BoxFuture<'a, Result<Box<dyn Carried>, Stop>>;

    /// What runs units of this asset in this process, whoever cut them: the other end of an executor that hands units to
    /// other machines.
    fn worker<'a>(&'a self, work: Work, site: &'a Site) -> BoxFuture<'a, Result<Arc<dyn UnitWorker>, Stop>>;

    /// Looks at what the asset restored when it was finished, which is a while ago.
    fn recheck<'a>(
        &'a self,
        work: Work,
        site: &'a Site,
        depth: Depth,
        result: &'a AssetResult,
    ) -> BoxFuture<'a, Result<Looked, Stop>>;

    /// Fills the entry of an asset whose work never came to its end: what is vouched for stands in it, and what a kill
    /// left half done is removed from the evidence.
    fn as_it_stands(&self, work: &Work, playbook: &Playbook, result: &mut AssetResult) -> Result<(), Stop>;
}

/// An asset whose data has come over. What was made at the provider for it may stay until it is proven.
pub trait Carried: Send {
    /// Reads back what was restored, compares, plants damage, and writes the asset's evidence.
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>>
    where
        Self: 'a;
}

/// What can be said of an asset without asking anybody.
#[derive(Clone, Debug)]
pub struct Description {
    /// As the evidence names it.
    pub kind: AssetKind,
    /// Where it comes from, as the playbook names that.
    pub source: String,
    /// The same as coverage tells things of an account apart; none where only what it was measured from tells.
    pub from: Option<CarriedFrom>,
    /// What it takes at the target.
    pub needs: Needs,
    /// What carrying it makes at the provider and pays for, if anything.
    pub makes: Option<Makes>,
}

/// What an asset takes at the target beside a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The S3 server.
    pub s3: bool,
    /// The PostgreSQL server.
    pub postgres: bool,
    /// That server runs definitions of the source.
    pub brings_code: bool,
}

/// What carrying an asset makes at the provider and pays for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Makes {
    /// In words: by what, and what.
    pub words: String,
    /// An export, which a resumed run goes on with. Anything else is removed and made anew.
    pub export: bool,
}

/// What measuring has at hand.
pub struct Measuring<'a> {
    /// The provider, where the playbook names one.
    pub aws: Option<&'a Aws>,
    /// The playbook.
    pub playbook: &'a Playbook,
}

/// An obstacle that is one asset's.
pub fn obstacle(asset: &str, what: impl std::fmt::Display, hint: Option<String>) -> Obstacle {
    Obstacle { what: format!("asset {asset}: {what}"), hint }
}

/// The same of an early end.
pub(crate) fn stop_obstacle(asset: &str, stop: Stop) -> Obstacle {
    match stop {
        Stop::Asset { reason, hint } | Stop::Away { reason, hint } => obstacle(asset, reason, hint),
        Stop::Interrupted | Stop::Run(_) => obstacle(asset, "was interrupted", None),
    }
}
