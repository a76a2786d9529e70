//! Runs units of ranges on connections of its own, one at a time: as many of the rows as can be copied.

use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{
    copying::{Carried, Connections, Crew, Relays, Trouble, lost_source},
    ends::RelayEnd,
    ranges::{Done, ENGINE, Ranges, Share},
    rescue::Route,
};
use crate::{
    asset::stop::Stop,
    pg::wire::Patience,
    transfer::{
        error::TransferError,
        executor::{UnitDone, UnitReceipt, UnitSpec, UnitWorker},
    },
};

/// Copies ranges over connections of its own, one unit at a time.
pub(crate) struct RangeWorker<'a> {
    relays: &'a Relays<'a>,
    crew: &'a Crew,
    connections: Mutex<Connections>,
}

impl<'a> RangeWorker<'a> {
    pub fn new(relays: &'a Relays<'a>, crew: &'a Crew) -> Self {
        let patience = Patience { stall: Some(crew.stall), interrupt: crew.halt.clone() };
        let connections = Connections { reader: None, loader: relays.database.loader(patience) };
        RangeWorker { relays, crew, connections: Mutex::new(connections) }
    }

    /// Runs a unit on this thread. Blocks.
    pub fn run(&self, spec: UnitSpec) -> Result<UnitReceipt, TransferError> {
        let names = spec.clone_names();
        let Ranges { share, .. } = spec.into_rows(ENGINE)?;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (carried, declined) = self.relays.carry_or_keep(&share, self.crew, &mut connections);
        let done = match carried {
            Ok(parts) => Done::Carried { parts, declined },
            Err(Trouble::Refused(reason) | Trouble::Declined(reason) | Trouble::NotNow(reason)) => {
                Done::Refused { reason }
            }
            Err(Trouble::Lost(reason)) => Done::Lost(lost_source(&share.table.name.to_string(), &reason)),
            Err(Trouble::End(RelayEnd::SnapshotLost(lost))) => Done::Lost(lost),
            Err(Trouble::End(RelayEnd::Stop(Stop::Asset { reason, hint }))) => Done::Stopped { reason, hint },
            Err(Trouble::End(RelayEnd::Stop(Stop::Away { reason, hint }))) => Done::Away { reason, hint },
            Err(Trouble::End(RelayEnd::Stop(Stop::Interrupted))) => return Err(TransferError::Interrupted),
            Err(Trouble::End(RelayEnd::Stop(Stop::Run(error)))) => {
                return Err(TransferError::Internal(error.to_string()));
            }
        };
        Ok(names.receipt(UnitDone::Rows { engine: ENGINE.to_owned(), parts: value_of(&done)? }))
    }
}

impl UnitWorker for RangeWorker<'_> {
    fn work<'w>(&'w self, spec: UnitSpec) -> BoxFuture<'w, Result<UnitReceipt, TransferError>> {
        async move { self.run(spec) }.boxed()
    }
}

impl Relays<'_> {
    /// Copies a share, or as much of it as possible. What the target rejects now is only kept, its reason is returned
    /// beside it.
    fn carry_or_keep(&self, share: &Share, crew: &Crew, connections: &mut Connections) -> (Carried, Option<String>) {
        let carried = match self.carry(share, &[], crew, connections) {
            Err(Trouble::Refused(reason)) => self.salvage(reason, share, Route::Target, crew, connections),
            carried => carried,
        };
        let Err(Trouble::Declined(declined)) = carried else { return (carried, None) };
        let kept = match self.keep(share, &[], crew, connections) {
            Err(Trouble::Refused(reason)) => self.salvage(reason, share, Route::Exports, crew, connections),
            kept => kept,
        };
        (kept, Some(declined))
    }
}

/// A value of the protocol as JSON.
pub(super) fn value_of(value: &impl serde::Serialize) -> Result<serde_json::Value, TransferError> {
    serde_json::to_value(value).map_err(|error| TransferError::Internal(format!("a unit has no JSON form: {error}")))
}
