//! What a worker can copy of a chunk that can't be copied whole: found by trying pieces of it.

use super::{
    copying::{Connections, CopyWorkers, DiscardSink, Trouble, WorkerContext, reader_of, trouble},
    ranges::{Chunk, Kept, Part},
    salvage::{Pages, SalvageError, Salvaged, Search},
};
use crate::{
    pg::{PgError, copy, pieces::Pieces},
    provider::postgres::SnapshotReader,
    transfer::{error::TransferError, meter::Meter, pace::Paced, table::RowSink},
};

/// The destination of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Into the target and their exports.
    Target,
    /// Only into their exports: the target does not accept all of them now.
    Exports,
}

impl CopyWorkers<'_> {
    /// What can be copied of a chunk that was rejected for this reason, with the locations of the rest.
    pub(super) fn salvage(
        &self,
        reason: String,
        chunk: &Chunk,
        route: Route,
        context: &WorkerContext,
        connections: &mut Connections,
    ) -> Result<Vec<(usize, Part)>, Trouble> {
        tracing::warn!(table = %chunk.table.name, reason, "searching for rows that can be copied");
        let (count, bytes) = match self.read(chunk, context, connections, |reader| reader.blocks(&chunk.table)) {
            Err(Trouble::Refused(_) | Trouble::NotNow(_)) => return Err(Trouble::Refused(reason)),
            pages => pages?,
        };
        // What is rejected without a single row is rejected because of the table.
        if self.rehearse(chunk, &Pieces::default(), route, context, connections)?.is_some() {
            return Err(Trouble::Refused(reason));
        }
        let mut salvaged = Vec::new();
        for (part, range) in &chunk.parts {
            let pages = Pages { count, bytes };
            let attempt = |pieces: &Pieces| self.rehearse(chunk, pieces, route, context, connections);
            match Search::new(pages, attempt).part(*range) {
                Ok(found) => salvaged.push((*part, found)),
                Err(SalvageError::Refused(reason)) => return Err(Trouble::Refused(reason)),
                Err(SalvageError::Ended(trouble)) => return Err(trouble),
            }
        }
        let mut parts = match route {
            Route::Target => self.carry(chunk, &salvaged, context, connections)?,
            Route::Exports => self.keep(chunk, &salvaged, context, connections)?,
        };
        // A table of which no row can be copied is one finding, not one per row.
        if parts.iter().all(|(_, part)| part.sent_rows == 0)
            && salvaged.iter().any(|(_, found)| !found.left_out.is_empty())
        {
            return Err(Trouble::Refused(reason));
        }
        for ((_, part), (_, Salvaged { pieces, left_out })) in parts.iter_mut().zip(salvaged) {
            let counted = self.read(chunk, context, connections, |reader| reader.count_pieces(&chunk.table, &pieces));
            part.kept = Some(Kept { counted: counted.ok(), left_out });
        }
        Ok(parts)
    }

    /// Why these rows can't be copied; nothing if they can. They are read as for the copy, loaded and rolled back.
    fn rehearse(
        &self,
        chunk: &Chunk,
        pieces: &Pieces,
        route: Route,
        context: &WorkerContext,
        connections: &mut Connections,
    ) -> Result<Option<String>, Trouble> {
        let rehearsed = context.with_retries(|| {
            let reader = reader_of(&mut connections.reader, context)?;
            let mut tried = |target: &mut dyn RowSink| {
                let rows = reader.copy_pieces_out(&chunk.table, pieces);
                let rows = rows.map_err(|error| copy::source_error(&chunk.table, &error))?;
                let mut rows = Paced::new(rows, self.pace.as_ref());
                self.pass_on(&chunk.table, &mut rows, &mut DiscardSink, target, &Meter::default(), &context.halt)
                    .map(drop)
            };
            let rehearsed: Result<(), TransferError> = match route {
                Route::Exports => tried(&mut DiscardSink),
                Route::Target => {
                    connections.loader.rehearse(&chunk.table, chunk.filling, |loading| tried(&mut loading.copy_in()?))
                }
            };
            rehearsed.map_err(|error| {
                connections.reader = connections.reader.take().and_then(SnapshotReader::recovered);
                trouble(error)
            })
        });
        match rehearsed {
            Ok(()) => Ok(None),
            Err(Trouble::Refused(reason) | Trouble::NotNow(reason)) => Ok(Some(reason)),
            // Whether rows are accepted when everything else exists is not determined by this search.
            Err(trouble) => Err(trouble),
        }
    }

    fn read<T>(
        &self,
        chunk: &Chunk,
        context: &WorkerContext,
        connections: &mut Connections,
        mut read: impl FnMut(&mut SnapshotReader) -> Result<T, PgError>,
    ) -> Result<T, Trouble> {
        context.with_retries(|| {
            read(reader_of(&mut connections.reader, context)?).map_err(|error| {
                connections.reader = None;
                trouble(copy::source_error(&chunk.table, &error).into())
            })
        })
    }
}
