//! The shares of a database's tables passed to an executor in parallel, and the counting beside them.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    copying::{Crew, Relays, Trouble, lost_source, reader_of, trouble},
    ends::{RelayEnd, panicked},
    range_worker::{RangeWorker, value_of},
    ranges::{Done, ENGINE, Ranges, Share},
    shares::Sized,
    tally::{News, Tables, Tally},
    watch::watched,
};
use crate::{
    asset::stop::Stop,
    interrupt::Interrupt,
    pg::{copy, wire::Patience},
    source::postgres::Snapshot,
    transfer::{
        answer::run_unit,
        error::TransferError,
        executor::{UNIT_VERSION, UnitSpec, UnitWork, wait_for},
        unit::UnitId,
    },
};

impl Relays<'_> {
    /// Copies all shares and counts all tables. Also returns the longest replication lag observed.
    pub fn run(
        &self,
        snapshot: &mut Snapshot,
        tables: &[Sized],
        shares: &[Share],
    ) -> Result<(Tables, Option<Duration>), RelayEnd> {
        let halt = Interrupt::default();
        let patience = Patience { stall: Some(self.stall), interrupt: halt.clone() };
        let crew = Crew { ticket: snapshot.ticket(patience), halt: halt.clone(), stall: self.stall };
        watched(snapshot, self.lock_timeout, &halt, &self.work.interrupt, || self.all(&crew, tables, shares))
    }

    fn all(&self, crew: &Crew, tables: &[Sized], shares: &[Share]) -> Result<Tables, RelayEnd> {
        let queue = Mutex::new(shares.iter());
        let runtime = Handle::try_current().ok();
        let (told, ends) = std::thread::scope(|scope| {
            let (news, heard) = channel();
            let mut threads = Vec::new();
            let queue = &queue;
            let runtime = &runtime;
            for _ in 0..self.workers.clamp(1, shares.len().max(1)) {
                let news = news.clone();
                threads.push(scope.spawn(move || {
                    // An executor may wait for a network.
                    let _entered = runtime.as_ref().map(Handle::enter);
                    crew.ended(self.run_shares(queue, crew, news))
                }));
            }
            threads.push(scope.spawn(|| crew.ended(self.count(tables, crew, news))));
            let told = self.listen(tables, shares, &heard);
            if told.is_err() {
                crew.halt.ask();
            }
            let ends: Vec<Result<(), RelayEnd>> =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked().into()))).collect();
            (told, ends)
        });
        first_reason(ends)?;
        Ok(told?.finish()?)
    }

    /// Records what the workers report, until they have ended.
    fn listen(&self, tables: &[Sized], shares: &[Share], heard: &Receiver<News>) -> Result<Tally<'_>, Stop> {
        let mut tally = Tally::new(self.work, tables.iter().map(|sized| sized.table.clone()), shares);
        for news in heard {
            tally.take(news)?;
        }
        Ok(tally)
    }

    /// Runs one share after the other by the executor of the work.
    fn run_shares<'s>(
        &self,
        queue: &Mutex<impl Iterator<Item = &'s Share>>,
        crew: &Crew,
        news: Sender<News>,
    ) -> Result<(), RelayEnd> {
        let here = RangeWorker::new(self, crew);
        loop {
            crew.go_on()?;
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(share) = next else { return Ok(()) };
            let number = share.number;
            let receipt = wait_for(run_unit(self.work.executor.as_ref(), self.unit(share, crew)?, &here))?;
            match receipt.into_rows(ENGINE)? {
                Done::Carried { parts, declined } => {
                    if let Some(reason) = declined {
                        let _ = news.send(News::Declined { number, reason });
                    }
                    for (part, done) in parts {
                        let _ = news.send(News::Part { number, part, done });
                    }
                }
                Done::Refused { reason } => {
                    let _ = news.send(News::Refused { number, reason });
                }
                Done::Lost(lost) => return Err(RelayEnd::SnapshotLost(lost)),
                Done::Away { reason, hint } => return Err(Stop::Away { reason, hint }.into()),
                Done::Stopped { reason, hint } => return Err(Stop::Asset { reason, hint }.into()),
            }
        }
    }

    /// A share as a unit.
    fn unit(&self, share: &Share, crew: &Crew) -> Result<UnitSpec, TransferError> {
        let first = share.parts.first().map_or(0, |(part, _)| *part as u64);
        let ranges = Ranges {
            snapshot: crew.ticket.snapshot().to_owned(),
            key: self.key,
            database: self.database.address().database_name().to_owned(),
            share: share.clone(),
        };
        Ok(UnitSpec {
            version: UNIT_VERSION,
            run: self.work.run.clone(),
            asset: self.work.asset.clone(),
            unit: UnitId::part(share.number as u64 + 1, first + 1),
            work: UnitWork::Rows { engine: ENGINE.to_owned(), ranges: value_of(&ranges)? },
        })
    }

    /// Counts at the source, on a connection of its own, while the rows are being copied.
    fn count(&self, tables: &[Sized], crew: &Crew, news: Sender<News>) -> Result<(), RelayEnd> {
        let mut reader = None;
        for (number, Sized { table, .. }) in tables.iter().enumerate() {
            crew.go_on()?;
            let counted = crew.again_and_again(|| {
                let counted = reader_of(&mut reader, crew)?.count(table);
                counted.map_err(|error| {
                    reader = None;
                    trouble(copy::source_error(table, &error).into())
                })
            });
            let told = match counted {
                Ok(rows) => News::Counted { number, rows },
                Err(Trouble::Refused(reason) | Trouble::Declined(reason) | Trouble::NotNow(reason)) => {
                    News::Uncounted { number, reason }
                }
                Err(Trouble::Lost(reason)) => {
                    return Err(RelayEnd::SnapshotLost(lost_source(&table.name.to_string(), &reason)));
                }
                Err(Trouble::End(end)) => return Err(end),
            };
            let _ = news.send(told);
        }
        Ok(())
    }
}

/// A halted worker's error only follows from that of the failed worker.
fn first_reason(ends: Vec<Result<(), RelayEnd>>) -> Result<(), RelayEnd> {
    let mut halted = Ok(());
    for end in ends {
        match end {
            Err(RelayEnd::Stop(Stop::Interrupted)) => halted = Err(RelayEnd::Stop(Stop::Interrupted)),
            other => other?,
        }
    }
    halted
}
