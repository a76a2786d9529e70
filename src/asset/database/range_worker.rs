//! Runs units of ranges on connections of its own, one at a time: as many of the rows as can be copied.

use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{
    copying::{Carried, Connections, CopyWorkers, Trouble, WorkerContext, lost_source},
    ends::CopyEnd,
    ranges::{Chunk, Done, ENGINE, Ranges},
    rescue::Route,
};
use crate::{
    asset::stop::Stop,
    pg::wire::WaitLimits,
    transfer::{
        error::TransferError,
        executor::{UnitDone, UnitReceipt, UnitSpec, UnitWorker},
    },
};

/// Copies ranges over connections of its own, one unit at a time.
pub(crate) struct RangeWorker<'a> {
    copy_workers: &'a CopyWorkers<'a>,
    context: &'a WorkerContext,
    connections: Mutex<Connections>,
}

impl<'a> RangeWorker<'a> {
    pub(super) fn new(copy_workers: &'a CopyWorkers<'a>, context: &'a WorkerContext) -> Self {
        let wait_limits = WaitLimits { stall: Some(context.stall), interrupt: context.halt.clone() };
        let connections = Connections { reader: None, loader: copy_workers.database.loader(wait_limits) };
        RangeWorker { copy_workers, context, connections: Mutex::new(connections) }
    }

    /// Runs a unit on this thread. Blocks.
    pub(super) fn run(&self, spec: UnitSpec) -> Result<UnitReceipt, TransferError> {
        let names = spec.clone_names();
        let Ranges { chunk, .. } = spec.into_rows(ENGINE)?;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (carried, declined) = self.copy_workers.carry_or_keep(&chunk, self.context, &mut connections);
        let done = match carried {
            Ok(parts) => Done::Carried { parts, declined },
            Err(Trouble::Refused(reason) | Trouble::Declined(reason) | Trouble::NotNow(reason)) => {
                Done::Refused { reason }
            }
            Err(Trouble::Lost(reason)) => Done::Lost(lost_source(&chunk.table.name.to_string(), &reason)),
            Err(Trouble::End(CopyEnd::SnapshotLost(lost))) => Done::Lost(lost),
            Err(Trouble::End(CopyEnd::Stop(Stop::Asset { reason, hint }))) => Done::Stopped { reason, hint },
            Err(Trouble::End(CopyEnd::Stop(Stop::Away { reason, hint }))) => Done::Away { reason, hint },
            Err(Trouble::End(CopyEnd::Stop(Stop::Interrupted))) => return Err(TransferError::Interrupted),
            Err(Trouble::End(CopyEnd::Stop(Stop::Run(error)))) => {
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

impl CopyWorkers<'_> {
    /// Copies a chunk, or as much of it as possible. What the target rejects now is only kept, its reason is returned
    /// beside it.
    fn carry_or_keep(
        &self,
        chunk: &Chunk,
        context: &WorkerContext,
        connections: &mut Connections,
    ) -> (Carried, Option<String>) {
        let carried = match self.carry(chunk, &[], context, connections) {
            Err(Trouble::Refused(reason)) => self.salvage(reason, chunk, Route::Target, context, connections),
            carried => carried,
        };
        let Err(Trouble::Declined(declined)) = carried else { return (carried, None) };
        let kept = match self.keep(chunk, &[], context, connections) {
            Err(Trouble::Refused(reason)) => self.salvage(reason, chunk, Route::Exports, context, connections),
            kept => kept,
        };
        (kept, Some(declined))
    }
}

/// A value of the protocol as JSON.
pub(super) fn value_of(value: &impl serde::Serialize) -> Result<serde_json::Value, TransferError> {
    serde_json::to_value(value).map_err(|error| TransferError::Internal(format!("a unit has no JSON form: {error}")))
}
