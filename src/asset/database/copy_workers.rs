//! The chunks of a database's tables passed to an executor in parallel, and the counting beside them.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    chunks::SizedTable,
    copying::{CopyWorkers, Trouble, WorkerContext, lost_source, reader_of, trouble},
    ends::{CopyEnd, panicked},
    range_worker::{RangeWorker, value_of},
    ranges::{Chunk, Done, ENGINE, Ranges},
    receipts::{ReceiptAggregator, Tables, WorkerMessage},
    watch::watched,
};
use crate::{
    asset::stop::Stop,
    interrupt::Interrupt,
    pg::{copy, wire::WaitLimits},
    provider::postgres::Snapshot,
    transfer::{
        answer::run_unit,
        error::TransferError,
        executor::{UNIT_VERSION, UnitSpec, UnitWork, wait_for},
        unit::UnitId,
    },
};

impl CopyWorkers<'_> {
    /// Copies all chunks and counts all tables. Also returns the longest replication lag observed.
    pub(super) fn run(
        &self,
        snapshot: &mut Snapshot,
        tables: &[SizedTable],
        chunks: &[Chunk],
    ) -> Result<(Tables, Option<Duration>), CopyEnd> {
        let halt = Interrupt::default();
        let wait_limits = WaitLimits { stall: Some(self.stall), interrupt: halt.clone() };
        let context = WorkerContext { handle: snapshot.handle(wait_limits), halt: halt.clone(), stall: self.stall };
        watched(snapshot, self.lock_timeout, &halt, &self.work.interrupt, || self.all(&context, tables, chunks))
    }

    fn all(&self, context: &WorkerContext, tables: &[SizedTable], chunks: &[Chunk]) -> Result<Tables, CopyEnd> {
        let queue = Mutex::new(chunks.iter());
        let runtime = Handle::try_current().ok();
        let (told, ends) = std::thread::scope(|scope| {
            let (news, heard) = channel();
            let mut threads = Vec::new();
            let queue = &queue;
            let runtime = &runtime;
            for _ in 0..self.workers.clamp(1, chunks.len().max(1)) {
                let news = news.clone();
                threads.push(scope.spawn(move || {
                    // An executor may wait for a network.
                    let _entered = runtime.as_ref().map(Handle::enter);
                    context.ended(self.run_chunks(queue, context, news))
                }));
            }
            threads.push(scope.spawn(|| context.ended(self.count(tables, context, news))));
            let told = self.listen(tables, chunks, &heard);
            if told.is_err() {
                context.halt.ask();
            }
            let ends: Vec<Result<(), CopyEnd>> =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked().into()))).collect();
            (told, ends)
        });
        first_reason(ends)?;
        Ok(told?.finish()?)
    }

    /// Records what the workers report, until they have ended.
    fn listen(
        &self,
        tables: &[SizedTable],
        chunks: &[Chunk],
        heard: &Receiver<WorkerMessage>,
    ) -> Result<ReceiptAggregator<'_>, Stop> {
        let mut receipts = ReceiptAggregator::new(self.work, tables.iter().map(|sized| sized.table.clone()), chunks);
        for news in heard {
            receipts.take(news)?;
        }
        Ok(receipts)
    }

    /// Runs one share after the other by the executor of the work.
    fn run_chunks<'s>(
        &self,
        queue: &Mutex<impl Iterator<Item = &'s Chunk>>,
        context: &WorkerContext,
        news: Sender<WorkerMessage>,
    ) -> Result<(), CopyEnd> {
        let here = RangeWorker::new(self, context);
        loop {
            context.check_interrupt()?;
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(chunk) = next else { return Ok(()) };
            let number = chunk.number;
            let receipt = wait_for(run_unit(self.work.executor.as_ref(), self.unit(chunk, context)?, &here))?;
            match receipt.into_rows(ENGINE)? {
                Done::Carried { parts, declined } => {
                    if let Some(reason) = declined {
                        let _ = news.send(WorkerMessage::Declined { number, reason });
                    }
                    for (part, done) in parts {
                        let _ = news.send(WorkerMessage::Part { number, part, done });
                    }
                }
                Done::Refused { reason } => {
                    let _ = news.send(WorkerMessage::Refused { number, reason });
                }
                Done::Lost(lost) => return Err(CopyEnd::SnapshotLost(lost)),
                Done::Away { reason, hint } => return Err(Stop::Away { reason, hint }.into()),
                Done::Stopped { reason, hint } => return Err(Stop::Asset { reason, hint }.into()),
            }
        }
    }

    /// A chunk as a unit.
    fn unit(&self, chunk: &Chunk, context: &WorkerContext) -> Result<UnitSpec, TransferError> {
        let first = chunk.parts.first().map_or(0, |(part, _)| *part as u64);
        let ranges = Ranges {
            snapshot: context.handle.snapshot().to_owned(),
            key: self.key,
            database: self.database.address().database_name().to_owned(),
            chunk: chunk.clone(),
        };
        Ok(UnitSpec {
            version: UNIT_VERSION,
            run: self.work.run.clone(),
            asset: self.work.asset.clone(),
            unit: UnitId::part(chunk.number as u64 + 1, first + 1),
            work: UnitWork::Rows { engine: ENGINE.to_owned(), ranges: value_of(&ranges)? },
        })
    }

    /// Counts at the source, on a connection of its own, while the rows are being copied.
    fn count(
        &self,
        tables: &[SizedTable],
        context: &WorkerContext,
        news: Sender<WorkerMessage>,
    ) -> Result<(), CopyEnd> {
        let mut reader = None;
        for (number, SizedTable { table, .. }) in tables.iter().enumerate() {
            context.check_interrupt()?;
            let counted = context.with_retries(|| {
                let counted = reader_of(&mut reader, context)?.count(table);
                counted.map_err(|error| {
                    reader = None;
                    trouble(copy::source_error(table, &error).into())
                })
            });
            let told = match counted {
                Ok(rows) => WorkerMessage::Counted { number, rows },
                Err(Trouble::Refused(reason) | Trouble::Declined(reason) | Trouble::NotNow(reason)) => {
                    WorkerMessage::Uncounted { number, reason }
                }
                Err(Trouble::Lost(reason)) => {
                    return Err(CopyEnd::SnapshotLost(lost_source(&table.name.to_string(), &reason)));
                }
                Err(Trouble::End(end)) => return Err(end),
            };
            let _ = news.send(told);
        }
        Ok(())
    }
}

/// A halted worker's error only follows from that of the failed worker.
fn first_reason(ends: Vec<Result<(), CopyEnd>>) -> Result<(), CopyEnd> {
    let mut halted = Ok(());
    for end in ends {
        match end {
            Err(CopyEnd::Stop(Stop::Interrupted)) => halted = Err(CopyEnd::Stop(Stop::Interrupted)),
            other => other?,
        }
    }
    halted
}
