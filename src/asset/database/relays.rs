//! The workers that carry tables from the snapshot to the target, each with a pair of connections of its own, and the
//! counting beside them.
//!
//! A reader that loses its connection is replaced as long as the snapshot is held; what it had carried of its share is
//! rolled back at the target and begun again.

mod rescue;

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::runtime::Handle;

use self::rescue::Route;
use super::{
    ends::{Lost, RelayEnd, panicked},
    ranges::{Done, ENGINE, EXPORTS, Part, Ranges, Share},
    salvage::Salvaged,
    shares::Sized,
    tally::{News, Tables, Tally},
    watch::watched,
};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    digest::{RowDigest, RowKey, RowTotals},
    interrupt::Interrupt,
    pg::{
        PgError, copy,
        name::Table,
        pieces::Pieces,
        range::BlockRange,
        sqlstate::{self, Concern},
        wire::Patience,
    },
    restore::{
        database::{Loader, Loading, TargetDatabase},
        spool::{self, Spool},
    },
    source::postgres::{Snapshot, SnapshotReader, SnapshotTicket},
    transfer::{
        error::{SinkError, SourceError, TransferError},
        executor::{UNIT_VERSION, UnitDone, UnitReceipt, UnitSpec, UnitWork, UnitWorker, wait_for},
        generated::WithoutLast,
        meter::Meter,
        pace::{Pace, Paced},
        receipt::ExportReceipt,
        table::{Relayed, RowSink, RowSource, relay},
        unit::UnitId,
    },
};

/// How often a share, or a table's count, is begun.
pub(crate) const ATTEMPTS_MAX: u32 = 4;
/// Before the second attempt, and twice as long before each one after.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Between two attempts to reach a server that is away.
pub(crate) const AWAY_PAUSE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(200);

/// What all workers share.
pub(crate) struct Relays<'a> {
    pub work: &'a Work,
    pub database: &'a TargetDatabase,
    pub key: RowKey,
    pub meter: &'a Meter,
    pub pace: Option<Pace>,
    pub stall: Duration,
    /// How long another session may want a table for itself before the snapshot goes.
    pub lock_timeout: Duration,
    pub workers: usize,
    /// The source's major version.
    pub major: u32,
}

struct Connections {
    reader: Option<SnapshotReader>,
    loader: Loader,
}

/// What a worker needs besides [`Relays`].
pub(crate) struct Crew {
    pub ticket: SnapshotTicket,
    /// Ends all workers: because somebody asked, or because one of them can't go on.
    pub halt: Interrupt,
    pub stall: Duration,
}

impl Relays<'_> {
    /// Carries all shares and counts all tables. Also returns the longest lag of replication that was seen.
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
            let (queue, runtime) = (&queue, &runtime);
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

    /// Takes down what the workers tell, until they are gone.
    fn listen(&self, tables: &[Sized], shares: &[Share], heard: &Receiver<News>) -> Result<Tally<'_>, Stop> {
        let mut tally = Tally::new(self.work, tables.iter().map(|sized| sized.table.clone()), shares);
        for news in heard {
            tally.take(news)?;
        }
        Ok(tally)
    }

    /// Has one share after the other run by the executor of the work.
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
            let receipt = wait_for(self.work.executor.run(self.unit(share, crew)?, &here))?;
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
                Done::Stopped { reason, hint } => return Err(Stop::Asset { reason, hint }.into()),
            }
        }
    }

    /// A share as a unit.
    fn unit(&self, share: &Share, crew: &Crew) -> Result<UnitSpec, TransferError> {
        let first = share.parts.first().map_or(0, |(part, _)| *part as u64);
        let ranges = Ranges {
            snapshot: crew.ticket.snapshot().to_owned(),
            major: self.major,
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

    /// Carries a share, or as much of it as can be. What the target does not take now is only kept, and why is returned
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

    /// Carries a share; of the parts that are named in `salvaged`, what was found to be carried.
    fn carry(
        &self,
        share: &Share,
        salvaged: &[(usize, Salvaged)],
        crew: &Crew,
        connections: &mut Connections,
    ) -> Carried {
        crew.again_and_again(|| {
            let reader = reader_of(&mut connections.reader, crew)?;
            let mut finished = RowTotals::NONE;
            let loaded = connections.loader.load(&share.table, share.filling, |loading| {
                let parts = share.parts.iter().map(|(part, range)| {
                    let pieces = pieces_of(*part, salvaged);
                    let done = self.relay(share, (*part, range, pieces), reader, Some(loading), &crew.halt)?;
                    finished = finished.and(done.export.totals);
                    Ok((*part, done))
                });
                parts.collect::<Result<Vec<_>, TransferError>>()
            });
            loaded.map_err(|error| {
                // Whatever happened, the reader's transaction or its stream is not what it was.
                connections.reader = None;
                self.meter.take_back_items(finished.rows);
                self.meter.take_back_bytes(finished.bytes + finished.rows);
                trouble(error)
            })
        })
    }

    /// Reads a share into its exports only.
    fn keep(
        &self,
        share: &Share,
        salvaged: &[(usize, Salvaged)],
        crew: &Crew,
        connections: &mut Connections,
    ) -> Carried {
        crew.again_and_again(|| {
            let reader = reader_of(&mut connections.reader, crew)?;
            let parts = share.parts.iter().map(|(part, range)| {
                let pieces = pieces_of(*part, salvaged);
                Ok((*part, self.relay(share, (*part, range, pieces), reader, None, &crew.halt)?))
            });
            parts.collect::<Result<Vec<_>, TransferError>>().map_err(|error| {
                connections.reader = None;
                trouble(error)
            })
        })
    }

    /// One part of a share, into its export and, if it is being loaded, into the target.
    fn relay(
        &self,
        share: &Share,
        (part, range, pieces): (usize, &BlockRange, Option<&Pieces>),
        reader: &mut SnapshotReader,
        loading: Option<&mut Loading<'_>>,
        halt: &Interrupt,
    ) -> Result<Part, TransferError> {
        let (watch, table) = (Stopwatch::start(), &share.table);
        let file = spool::file_name(share.number + 1, &table.name.to_string(), part + 1, share.of);
        let path = format!("{EXPORTS}/{file}");
        let mut export = Spool::create(&self.work.root().join(&path))?;
        let started = match pieces {
            None => reader.copy_out(table, range),
            Some(pieces) => reader.copy_whole_pieces_out(table, pieces),
        };
        let mut rows = Paced::new(started.map_err(|error| copy::source_error(table, &error))?, self.pace.as_ref());
        let is_loaded = loading.is_some();
        let mut target: Box<dyn RowSink + '_> = match loading {
            Some(loading) => Box::new(loading.copy_in()?),
            None => Box::new(Nowhere),
        };
        let (relayed, generated) = self.pass_on(table, &mut rows, &mut export, &mut *target, self.meter, halt)?;
        let internal = |what: &str| TransferError::Internal(what.to_owned());
        let sha256 = export.digest().ok_or_else(|| internal("an export has no digest"))?;
        let (from_block, to_block) = (range.from, range.to);
        Ok(Part {
            export: ExportReceipt { path, sha256, totals: relayed.stream, from_block, to_block },
            sent_rows: relayed.sent_rows.ok_or_else(|| internal("the source does not say what it sent"))?,
            accepted_rows: is_loaded.then_some(relayed.accepted_rows),
            duration_ms: watch.elapsed_ms(),
            generated,
            kept: None,
        })
    }

    /// Relays rows that come with the values of generated columns at their end, if the table has any, and go on without.
    fn pass_on(
        &self,
        table: &Table,
        rows: &mut dyn RowSource,
        export: &mut dyn RowSink,
        target: &mut dyn RowSink,
        meter: &Meter,
        halt: &Interrupt,
    ) -> Result<(Relayed, Option<RowTotals>), TransferError> {
        let digest = RowDigest::new(self.key, &table.copy_out_sql());
        match table.generated.len() {
            0 => Ok((relay(rows, digest, export, target, meter, halt)?, None)),
            fields => {
                let of_whole = RowDigest::new(self.key, &table.whole_out_sql());
                let mut rows = WithoutLast::new(rows, fields, of_whole);
                let relayed = relay(&mut rows, digest, export, target, meter, halt)?;
                let no_end = || TransferError::Internal("the last row has no end".to_owned());
                Ok((relayed, Some(rows.totals().ok_or_else(no_end)?)))
            }
        }
    }

    /// Counts at the source, on a connection of its own, while the rows are on their way.
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

/// Carries ranges over connections of its own, one unit at a time.
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

fn value_of(value: &impl serde::Serialize) -> Result<serde_json::Value, TransferError> {
    serde_json::to_value(value).map_err(|error| TransferError::Internal(format!("a unit has no JSON form: {error}")))
}

/// What was found of a part that could not be carried whole.
fn pieces_of(part: usize, salvaged: &[(usize, Salvaged)]) -> Option<&Pieces> {
    salvaged.iter().find(|(number, _)| *number == part).map(|(_, found)| &found.pieces)
}

/// Takes rows that are only kept, or only tried.
struct Nowhere;

impl RowSink for Nowhere {
    fn write(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(Some(0))
    }
}

/// The reader that is there, or a new one.
fn reader_of<'r>(reader: &'r mut Option<SnapshotReader>, crew: &Crew) -> Result<&'r mut SnapshotReader, Trouble> {
    match reader {
        Some(reader) => Ok(reader),
        none => Ok(none.insert(crew.reader()?)),
    }
}

/// The pieces of a share that were carried, by number.
type Carried = Result<Vec<(usize, Part)>, Trouble>;

/// What stands between a worker and the end of its share.
enum Trouble {
    /// The table's own fault; the others can go on.
    Refused(String),
    /// The target does not take these rows now; it may when everything else is there.
    Declined(String),
    /// Not now; if it stays so, it is the table's fault.
    NotNow(String),
    /// The way to the source broke; another attempt may succeed.
    Lost(String),
    /// Everybody's end.
    End(RelayEnd),
}

fn trouble(error: TransferError) -> Trouble {
    match error {
        TransferError::Source(SourceError::Permanent { reason, .. } | SourceError::Denied { reason, .. }) => {
            Trouble::Refused(reason)
        }
        TransferError::Source(SourceError::Throttled { reason, .. }) => Trouble::NotNow(reason),
        TransferError::Source(SourceError::Transient { reason, .. }) => Trouble::Lost(reason),
        TransferError::Sink(SinkError::Database { reason, code, server_failed: false, .. }) => {
            let code = code.unwrap_or_default();
            match sqlstate::concern("ERROR", &code) {
                Concern::Moment => Trouble::NotNow(reason),
                _ if sqlstate::is_of_bytes(&code) => Trouble::Refused(reason),
                _ => Trouble::Declined(reason),
            }
        }
        other => Trouble::End(RelayEnd::from(other)),
    }
}

/// A snapshot that can't be read from serves nobody; a new one may.
fn lost_source(what: &str, reason: &str) -> Lost {
    format!("reading {what}: {reason}, {ATTEMPTS_MAX} times").into()
}

impl Crew {
    fn go_on(&self) -> Result<(), Stop> {
        if self.halt.asked() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    fn ended(&self, end: Result<(), RelayEnd>) -> Result<(), RelayEnd> {
        if end.is_err() {
            self.halt.ask();
        }
        end
    }

    /// A server that is away is waited for as long as a copy may stand still.
    fn reader(&self) -> Result<SnapshotReader, Trouble> {
        let away = Stopwatch::start();
        loop {
            match self.ticket.reader() {
                Ok(reader) => return Ok(reader),
                Err(error) if !error.connection_lost() => {
                    // Whatever keeps a reader from the snapshot keeps all of them.
                    return Err(Trouble::End(match error {
                        PgError::Statement { .. } => RelayEnd::SnapshotLost(Lost::of(&error)),
                        other => other.into(),
                    }));
                }
                Err(error) if away.elapsed() >= self.stall => return Err(Trouble::Lost(error.to_string())),
                Err(_) => self.wait(AWAY_PAUSE)?,
            }
        }
    }

    fn again_and_again<T>(&self, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let (mut pause, mut attempts) = (RETRY_AFTER, 1);
        loop {
            match attempt() {
                Err(trouble @ (Trouble::Lost(_) | Trouble::NotNow(_))) => {
                    // Whoever is told to stop drops its connection: nothing was lost.
                    self.go_on().map_err(|stop| Trouble::End(stop.into()))?;
                    match (trouble, attempts) {
                        (Trouble::NotNow(reason), ATTEMPTS_MAX) => return Err(Trouble::Refused(reason)),
                        (trouble, ATTEMPTS_MAX) => return Err(trouble),
                        (Trouble::NotNow(reason), _) => tracing::warn!(reason, "not now; trying again"),
                        (Trouble::Lost(reason), _) => tracing::warn!(reason, "the source was lost; trying again"),
                        _ => {}
                    }
                }
                end => return end,
            }
            self.wait(pause)?;
            pause *= 2;
            attempts += 1;
        }
    }

    fn wait(&self, pause: Duration) -> Result<(), Trouble> {
        let waiting = Stopwatch::start();
        while waiting.elapsed() < pause {
            self.go_on().map_err(|stop| Trouble::End(stop.into()))?;
            std::thread::sleep(TICK.min(pause));
        }
        Ok(())
    }
}

/// A worker that was halted only follows the one that could not go on.
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
