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

use self::rescue::Route;
use super::{
    salvage::Salvaged,
    shares::{Share, Sized},
    stop::Stop,
    tally::{Part, Tables, Tally},
    watch::watched,
    work::Work,
};
use crate::{
    clock::Stopwatch,
    digest::{RowDigest, RowKey, RowTotals},
    interrupt::Interrupt,
    pg::{
        PgError, copy,
        name::Table,
        pieces::Pieces,
        range::BlockRange,
        sqlstate::{self, Concern, SERIALIZATION_FAILURE},
        wire::Patience,
    },
    restore::{
        database::{Loader, Loading, TargetDatabase},
        spool::{self, Spool},
    },
    source::postgres::{Snapshot, SnapshotReader, SnapshotTicket},
    transfer::{
        error::{SinkError, SourceError, TransferError},
        generated::WithoutLast,
        meter::Meter,
        pace::{Pace, Paced},
        receipt::ExportReceipt,
        table::{Relayed, RowSink, RowSource, relay},
    },
};

/// Where the exports lie below the asset's directory.
pub(crate) const EXPORTS: &str = "exports";
/// How often a share, or a table's count, is begun.
pub(super) const ATTEMPTS_MAX: u32 = 4;
/// Before the second attempt, and twice as long before each one after.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Between two attempts to reach a server that is away.
pub(super) const AWAY_PAUSE: Duration = Duration::from_secs(1);
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
}

/// What the workers tell.
#[allow(clippy::large_enum_variant, reason = "nearly all of them are parts")]
pub(super) enum News {
    Part {
        number: usize,
        part: usize,
        done: Part,
    },
    Counted {
        number: usize,
        rows: u64,
    },
    Refused {
        number: usize,
        reason: String,
    },
    /// The target did not take a share, which is kept in its exports.
    Declined {
        number: usize,
        reason: String,
    },
    Uncounted {
        number: usize,
        reason: String,
    },
}

/// Why the relays ended early.
pub(crate) enum RelayEnd {
    /// Nothing more can be read from this snapshot; a new one may serve.
    SnapshotLost(Lost),
    Stop(Stop),
}

/// Why a snapshot was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub reason: String,
    /// The source is a standby, and replayed what the primary had removed.
    pub in_conflict: bool,
}

impl Lost {
    pub fn of(error: &PgError) -> Self {
        Lost { reason: error.to_string(), in_conflict: error.code() == Some(SERIALIZATION_FAILURE) }
    }
}

impl From<String> for Lost {
    fn from(reason: String) -> Self {
        Lost { reason, in_conflict: false }
    }
}

impl RelayEnd {
    /// What an error on the connection that holds the snapshot means: with the connection, or its transaction, the
    /// snapshot is lost.
    pub fn of_snapshot(error: PgError) -> Self {
        match Self::is_of_snapshot(&error) {
            true => RelayEnd::SnapshotLost(Lost::of(&error)),
            false => error.into(),
        }
    }

    /// Whether a new snapshot may serve better. A lock was waited for as long as it may be.
    pub fn is_of_snapshot(error: &PgError) -> bool {
        match error.concern() {
            Concern::Session | Concern::Snapshot => true,
            Concern::Moment => !error.is_lock_not_had(),
            Concern::Statement | Concern::Room | Concern::Login => false,
        }
    }
}

impl<S: Into<Stop>> From<S> for RelayEnd {
    fn from(stop: S) -> Self {
        RelayEnd::Stop(stop.into())
    }
}

struct Connections {
    reader: Option<SnapshotReader>,
    loader: Loader,
}

/// What a worker needs besides [`Relays`].
struct Crew {
    ticket: SnapshotTicket,
    /// Ends all workers: because somebody asked, or because one of them can't go on.
    halt: Interrupt,
    stall: Duration,
}

impl Relays<'_> {
    /// Carries all shares and counts all tables. Also returns the longest lag of replication that was seen.
    pub fn run(
        &self,
        snapshot: &mut Snapshot,
        tables: &[Sized],
        shares: &[Share<'_>],
    ) -> Result<(Tables, Option<Duration>), RelayEnd> {
        let halt = Interrupt::default();
        let patience = Patience { stall: Some(self.stall), interrupt: halt.clone() };
        let crew = Crew { ticket: snapshot.ticket(patience), halt: halt.clone(), stall: self.stall };
        watched(snapshot, self.lock_timeout, &halt, &self.work.interrupt, || self.all(&crew, tables, shares))
    }

    fn all(&self, crew: &Crew, tables: &[Sized], shares: &[Share<'_>]) -> Result<Tables, RelayEnd> {
        let queue = Mutex::new(shares.iter());
        let (told, ends) = std::thread::scope(|scope| {
            let (news, heard) = channel();
            let mut threads = Vec::new();
            for _ in 0..self.workers.clamp(1, shares.len().max(1)) {
                let news = news.clone();
                threads.push(scope.spawn(|| crew.ended(self.work_off(&queue, crew, news))));
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
    fn listen(&self, tables: &[Sized], shares: &[Share<'_>], heard: &Receiver<News>) -> Result<Tally<'_>, Stop> {
        let mut tally = Tally::new(self.work, tables.iter().map(|sized| sized.table.clone()), shares);
        for news in heard {
            tally.take(news)?;
        }
        Ok(tally)
    }

    fn work_off<'s>(
        &self,
        queue: &Mutex<impl Iterator<Item = &'s Share<'s>>>,
        crew: &Crew,
        news: Sender<News>,
    ) -> Result<(), RelayEnd> {
        let patience = Patience { stall: Some(crew.stall), interrupt: crew.halt.clone() };
        let mut connections = Connections { reader: None, loader: self.database.loader(patience) };
        loop {
            crew.go_on()?;
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(share) = next else { return Ok(()) };
            let (carried, declined) = self.carry_or_keep(share, crew, &mut connections);
            if let (Ok(_), Some(reason)) = (&carried, declined) {
                let _ = news.send(News::Declined { number: share.number, reason });
            }
            match carried {
                Ok(parts) => {
                    for (part, done) in parts {
                        let _ = news.send(News::Part { number: share.number, part, done });
                    }
                }
                Err(Trouble::Refused(reason) | Trouble::Declined(reason) | Trouble::NotNow(reason)) => {
                    let _ = news.send(News::Refused { number: share.number, reason });
                }
                Err(Trouble::End(end)) => return Err(end),
                Err(Trouble::Lost(reason)) => return Err(lost_source(&share.table.name.to_string(), &reason)),
            }
        }
    }

    /// Carries a share, or as much of it as can be. What the target does not take now is only kept, and why is returned
    /// beside it.
    fn carry_or_keep(
        &self,
        share: &Share<'_>,
        crew: &Crew,
        connections: &mut Connections,
    ) -> (Carried, Option<String>) {
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
        share: &Share<'_>,
        salvaged: &[(usize, Salvaged)],
        crew: &Crew,
        connections: &mut Connections,
    ) -> Carried {
        crew.again_and_again(|| {
            let reader = reader_of(&mut connections.reader, crew)?;
            let mut finished = RowTotals::NONE;
            let loaded = connections.loader.load(share.table, share.filling, |loading| {
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
        share: &Share<'_>,
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
        share: &Share<'_>,
        (part, range, pieces): (usize, &BlockRange, Option<&Pieces>),
        reader: &mut SnapshotReader,
        loading: Option<&mut Loading<'_>>,
        halt: &Interrupt,
    ) -> Result<Part, TransferError> {
        let (watch, table) = (Stopwatch::start(), share.table);
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
                Err(Trouble::Lost(reason)) => return Err(lost_source(&table.name.to_string(), &reason)),
                Err(Trouble::End(end)) => return Err(end),
            };
            let _ = news.send(told);
        }
        Ok(())
    }
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
fn lost_source(what: &str, reason: &str) -> RelayEnd {
    RelayEnd::SnapshotLost(format!("reading {what}: {reason}, {ATTEMPTS_MAX} times").into())
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

pub(super) fn panicked() -> Stop {
    TransferError::Internal("a worker died".to_owned()).into()
}
