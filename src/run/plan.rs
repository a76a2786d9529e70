//! The plan of a run: its assets in the playbook's order, which are cut into units while they are listed, and what was
//! found before the transfer. `walkaway plan` measures and prints it, `walkaway run` consumes it.

use std::sync::Arc;

use super::free_space;
use crate::{
    account::{
        drive::{self, Before},
        identity::Answer,
    },
    asset::{
        clients,
        kinds::{self, Kinds},
        measured::Measured,
        seam::{Asset, Measuring},
    },
    playbook::{Loaded, Origin, Playbook},
    record::error::{EngineError, Obstacle},
};

/// What is going to be copied.
pub struct Plan {
    /// With the buckets that patterns selected.
    pub(crate) playbook: Playbook,
    /// The playbook as it was read.
    pub(crate) text: String,
    pub(crate) origin: Origin,
    /// The assets in the playbook's order.
    pub(crate) assets: Vec<Arc<dyn Asset>>,
    /// What was found in the account and on this machine.
    pub(crate) before: Before,
}

impl Plan {
    /// The plan of a playbook, of the kinds that are built in. Inspects the account as the playbook asks.
    ///
    /// # Errors
    /// When this machine could not be inspected. Obstacles to a run are part of the plan.
    pub async fn of(loaded: Loaded) -> Result<Self, EngineError> {
        Self::of_kinds(loaded, &kinds::built_in()).await
    }

    /// The same with kinds of assets that the caller provides.
    ///
    /// # Errors
    /// As [`Plan::of`].
    pub async fn of_kinds(loaded: Loaded, kinds: &Kinds) -> Result<Self, EngineError> {
        let Loaded { playbook, text, origin } = loaded;
        let (playbook, before) = drive::prepare(playbook, &origin.folder).await?;
        let assets = playbook.assets().iter().map(|asset| kinds(asset)).collect();
        Ok(Plan { playbook, text, origin, assets, before })
    }

    /// The assets in the playbook's order.
    #[must_use]
    pub fn assets(&self) -> &[Arc<dyn Asset>] {
        &self.assets
    }

    /// Measures every asset at the provider: items, bytes and units.
    ///
    /// # Errors
    /// Every asset that could not be measured, as obstacles.
    pub async fn measure(&self) -> Result<Vec<Measured>, EngineError> {
        let aws = match self.playbook.provider() {
            Some(spec) => Some(clients::aws(spec).await),
            None => None,
        };
        let at = Measuring { aws: aws.as_ref(), playbook: &self.playbook };
        let mut measured = Vec::new();
        let mut obstacles = Vec::<Obstacle>::new();
        for asset in &self.assets {
            match asset.measure(&at).await {
                Ok(one) => measured.push(one),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        if obstacles.is_empty() { Ok(measured) } else { Err(EngineError::NotReady(obstacles)) }
    }

    /// Compares the measure of the assets with the free space at the target, where the playbook requires that.
    pub(crate) fn check_free_space(&mut self, measured: &[Measured]) {
        if Before::requires_free_space(&self.playbook) {
            self.before.record_free_space(&self.playbook, free_space::answer(&self.playbook, &self.assets, measured));
        }
    }

    /// Measures for the free space alone. What stops the measuring is reported by the preflight.
    pub(crate) async fn measure_free_space(&mut self) -> Result<(), EngineError> {
        if !Before::requires_free_space(&self.playbook) {
            return Ok(());
        }
        match self.measure().await {
            Ok(measured) => self.check_free_space(&measured),
            Err(EngineError::NotReady(_)) => {
                self.before.record_free_space(&self.playbook, Answer::new(None, "not everything could be measured"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
