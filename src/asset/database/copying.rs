//! How one worker copies ranges of a table from the snapshot into the target and into their exports, over a pair of
//! connections of its own.
//!
//! A reader that loses its connection is replaced as long as the snapshot is held; what it had copied of its share is
//! rolled back at the target and restarted.

use std::time::Duration;

use super::{
    ends::{CopyEnd, Lost},
    ranges::{Chunk, EXPORTS, Part},
    salvage::Salvaged,
};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    domain::digest::{RowDigest, RowKey, RowTotals},
    interrupt::Interrupt,
    pg::{
        PgError, copy,
        name::Table,
        pieces::Pieces,
        range::BlockRange,
        sqlstate::{self, Concern},
    },
    provider::postgres::{SnapshotHandle, SnapshotReader},
    restore::{
        database::{Loader, Loading, TargetDatabase},
        spool::{self, Spool},
    },
    transfer::{
        error::{SinkError, SourceError, TransferError},
        generated::WithoutLast,
        meter::Meter,
        pace::{Pace, Paced},
        receipt::ExportReceipt,
        table::{CopiedRows, RowSink, RowSource, copy_rows},
    },
};

/// How often a chunk, or a table's count, is started.
pub(crate) const ATTEMPTS_MAX: u32 = 4;
/// Before the second attempt, and twice as long before each one after.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Between two attempts to reach a server that is unreachable.
pub(crate) const AWAY_PAUSE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(200);

/// What all workers share.
pub(crate) struct CopyWorkers<'a> {
    pub work: &'a Work,
    pub database: &'a TargetDatabase,
    pub key: RowKey,
    pub meter: &'a Meter,
    pub pace: Option<Pace>,
    pub stall: Duration,
    /// How long another session may wait for an exclusive lock on a table before the snapshot is released.
    pub lock_timeout: Duration,
    pub workers: usize,
}

/// A worker's pair of connections.
pub(super) struct Connections {
    pub reader: Option<SnapshotReader>,
    pub loader: Loader,
}

/// What a worker needs besides [`CopyWorkers`].
pub(crate) struct WorkerContext {
    pub handle: SnapshotHandle,
    /// Ends all workers: because a stop was requested, or because one of them can't continue.
    pub halt: Interrupt,
    pub stall: Duration,
}

impl CopyWorkers<'_> {
    /// Copies a chunk; of the parts in `salvaged`, only what was found to be copyable.
    pub(super) fn carry(
        &self,
        chunk: &Chunk,
        salvaged: &[(usize, Salvaged)],
        context: &WorkerContext,
        connections: &mut Connections,
    ) -> Carried {
        context.with_retries(|| {
            let reader = reader_of(&mut connections.reader, context)?;
            let mut finished = RowTotals::NONE;
            let loaded = connections.loader.load(&chunk.table, chunk.filling, |loading| {
                let parts = chunk.parts.iter().map(|(part, range)| {
                    let pieces = pieces_of(*part, salvaged);
                    let done = self.copy_rows(chunk, (*part, range, pieces), reader, Some(loading), &context.halt)?;
                    finished = finished.and(done.export.totals);
                    Ok((*part, done))
                });
                parts.collect::<Result<Vec<_>, TransferError>>()
            });
            loaded.map_err(|error| {
                // Whatever happened, the reader's transaction or its stream is no longer usable.
                connections.reader = None;
                self.meter.take_back_items(finished.rows);
                self.meter.take_back_bytes(finished.bytes + finished.rows);
                trouble(error)
            })
        })
    }

    /// Reads a chunk into its exports only.
    pub(super) fn keep(
        &self,
        chunk: &Chunk,
        salvaged: &[(usize, Salvaged)],
        context: &WorkerContext,
        connections: &mut Connections,
    ) -> Carried {
        context.with_retries(|| {
            let reader = reader_of(&mut connections.reader, context)?;
            let parts = chunk.parts.iter().map(|(part, range)| {
                let pieces = pieces_of(*part, salvaged);
                Ok((*part, self.copy_rows(chunk, (*part, range, pieces), reader, None, &context.halt)?))
            });
            parts.collect::<Result<Vec<_>, TransferError>>().map_err(|error| {
                connections.reader = None;
                trouble(error)
            })
        })
    }

    /// One part of a chunk, into its export and, if it is being loaded, into the target.
    pub(super) fn copy_rows(
        &self,
        chunk: &Chunk,
        (part, range, pieces): (usize, &BlockRange, Option<&Pieces>),
        reader: &mut SnapshotReader,
        loading: Option<&mut Loading<'_>>,
        halt: &Interrupt,
    ) -> Result<Part, TransferError> {
        let watch = Stopwatch::start();
        let table = &chunk.table;
        let file = spool::file_name(chunk.number + 1, &table.name.to_string(), part + 1, chunk.of);
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
            None => Box::new(DiscardSink),
        };
        let (relayed, generated) = self.pass_on(table, &mut rows, &mut export, &mut *target, self.meter, halt)?;
        let internal = |what: &str| TransferError::Internal(what.to_owned());
        let sha256 = export.digest().ok_or_else(|| internal("an export has no digest"))?;
        let from_block = range.from;
        let to_block = range.to;
        Ok(Part {
            export: ExportReceipt { path, sha256, totals: relayed.stream, from_block, to_block },
            sent_rows: relayed.sent_rows.ok_or_else(|| internal("the source does not say what it sent"))?,
            accepted_rows: is_loaded.then_some(relayed.accepted_rows),
            duration_ms: watch.elapsed_ms(),
            generated,
            kept: None,
        })
    }

    /// Copies rows, with generated columns' values at their end if the table has any, and passes them on without.
    pub(super) fn pass_on(
        &self,
        table: &Table,
        rows: &mut dyn RowSource,
        export: &mut dyn RowSink,
        target: &mut dyn RowSink,
        meter: &Meter,
        halt: &Interrupt,
    ) -> Result<(CopiedRows, Option<RowTotals>), TransferError> {
        let digest = RowDigest::new(self.key, &table.copy_out_sql());
        match table.generated.len() {
            0 => Ok((copy_rows(rows, digest, export, target, meter, halt)?, None)),
            fields => {
                let of_whole = RowDigest::new(self.key, &table.whole_out_sql());
                let mut rows = WithoutLast::new(rows, fields, of_whole);
                let relayed = copy_rows(&mut rows, digest, export, target, meter, halt)?;
                let no_end = || TransferError::Internal("the last row has no end".to_owned());
                Ok((relayed, Some(rows.totals().ok_or_else(no_end)?)))
            }
        }
    }
}

/// What was found of a part that could not be copied whole.
fn pieces_of(part: usize, salvaged: &[(usize, Salvaged)]) -> Option<&Pieces> {
    salvaged.iter().find(|(number, _)| *number == part).map(|(_, found)| &found.pieces)
}

/// Receives rows that are only kept, or only tested.
pub(super) struct DiscardSink;

impl RowSink for DiscardSink {
    fn write(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(Some(0))
    }
}

/// The existing reader, or a new one.
pub(super) fn reader_of<'r>(
    reader: &'r mut Option<SnapshotReader>,
    context: &WorkerContext,
) -> Result<&'r mut SnapshotReader, Trouble> {
    match reader {
        Some(reader) => Ok(reader),
        none => Ok(none.insert(context.reader()?)),
    }
}

/// The pieces of a chunk that were copied, by number.
pub(super) type Carried = Result<Vec<(usize, Part)>, Trouble>;

/// Why a worker can't finish its share.
pub(super) enum Trouble {
    /// Caused by the table itself; the others can continue.
    Refused(String),
    /// The target does not accept these rows now; it may when everything else is there.
    Declined(String),
    /// Not now; if it persists, it is caused by the table.
    NotNow(String),
    /// The connection to the source broke; another attempt may succeed.
    Lost(String),
    /// The end of all workers.
    End(CopyEnd),
}

pub(super) fn trouble(error: TransferError) -> Trouble {
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
        other => Trouble::End(CopyEnd::from(other)),
    }
}

/// A snapshot that can't be read from is useless to all; a new one may work.
pub(super) fn lost_source(what: &str, reason: &str) -> Lost {
    format!("reading {what}: {reason}, {ATTEMPTS_MAX} times").into()
}

impl WorkerContext {
    pub(super) fn check_interrupt(&self) -> Result<(), Stop> {
        if self.halt.asked() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    pub(super) fn ended(&self, end: Result<(), CopyEnd>) -> Result<(), CopyEnd> {
        if end.is_err() {
            self.halt.ask();
        }
        end
    }

    /// Waits for an unreachable server as long as a copy may stall.
    fn reader(&self) -> Result<SnapshotReader, Trouble> {
        let away = Stopwatch::start();
        loop {
            match self.handle.reader() {
                Ok(reader) => return Ok(reader),
                Err(error) if !error.connection_lost() => {
                    // What keeps one reader from the snapshot keeps all of them from it.
                    return Err(Trouble::End(match error {
                        PgError::Statement { .. } => CopyEnd::SnapshotLost(Lost::of(&error)),
                        other => other.into(),
                    }));
                }
                Err(error) if away.elapsed() >= self.stall => return Err(Trouble::Lost(error.to_string())),
                Err(_) => self.wait(AWAY_PAUSE)?,
            }
        }
    }

    pub(super) fn with_retries<T>(&self, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut pause = RETRY_AFTER;
        let mut attempts = 1;
        loop {
            match attempt() {
                Err(trouble @ (Trouble::Lost(_) | Trouble::NotNow(_))) => {
                    // A worker that was cancelled drops its connection: nothing was lost.
                    self.check_interrupt().map_err(|stop| Trouble::End(stop.into()))?;
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
            self.check_interrupt().map_err(|stop| Trouble::End(stop.into()))?;
            std::thread::sleep(TICK.min(pause));
        }
        Ok(())
    }
}
