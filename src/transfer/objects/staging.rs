//! Objects being written into the staging area of a unit.

use std::{convert::Infallible, sync::Arc};

use tokio::sync::mpsc;

use crate::transfer::{
    error::TransferError,
    object::{Arriving, PendingObject, UnitSink},
    properties::Properties,
    unit::PlacedObject,
};

/// The staging area, as long as something may write into it.
#[derive(Clone)]
pub(super) struct Staging {
    pub sink: Arc<dyn UnitSink>,
    pub _alive: mpsc::Sender<Infallible>,
}

/// An object being written into a staging area.
#[derive(Clone)]
pub(super) struct Incoming {
    pub staging: Staging,
    pub index: usize,
    pub object: PlacedObject,
}

impl Incoming {
    pub(super) fn create(&self, properties: &Properties) -> Result<Box<dyn PendingObject>, TransferError> {
        Ok(self.staging.sink.create(self.index, Arriving { object: &self.object, properties })?)
    }
}
