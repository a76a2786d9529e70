//! A table's rows as COPY streams from a server and into one, batched for the copy workers; used by `provider` and `restore`,
//! and by `verify` for the proof.

use super::{
    error::PgError,
    name::Table,
    sqlstate::{Concern, INSUFFICIENT_PRIVILEGE},
    wire::{Wire, WireError},
};
use crate::{
    domain::digest::{RowDigest, RowKey, RowTotals},
    transfer::{
        error::{SinkError, SourceError},
        table::{BATCH_BYTES, RowSink, RowSource},
    },
};

/// Bytes of rows in one message to a server.
const MESSAGE_BYTES: usize = 2 * BATCH_BYTES;

/// A COPY … TO STDOUT that is being read.
pub struct CopyOut<'a> {
    table: String,
    wire: &'a mut Wire,
    /// Messages that each held a row.
    frames: u64,
    /// Rows that the server reports as sent.
    sent: Option<u64>,
    ended: bool,
}

impl<'a> CopyOut<'a> {
    /// Starts the copy. Abandoned before its end, the connection can't be used again: closing it stops the server.
    pub fn start(wire: &'a mut Wire, sql: &str, table: &str) -> Result<Self, PgError> {
        wire.start_copy(sql, b'H').map_err(|error| error.during(format!("copying {table} out")))?;
        Ok(CopyOut { table: table.to_owned(), wire, frames: 0, sent: None, ended: false })
    }

    fn read(&mut self, batch: &mut Vec<u8>) -> Result<(), WireError> {
        while batch.len() < BATCH_BYTES && !self.ended {
            self.message(batch).inspect_err(|_| self.ended = true)?;
        }
        Ok(())
    }

    fn message(&mut self, batch: &mut Vec<u8>) -> Result<(), WireError> {
        let header = self.wire.header()?;
        match header.tag {
            b'd' => {
                self.frames += 1;
                return self.wire.take(header.length, batch);
            }
            b'C' => {
                let body = self.wire.body(header)?;
                self.sent = super::wire::command_rows(&body);
                return Ok(());
            }
            b'E' => return Err(self.wire.refusal(header)),
            b'Z' => {
                self.ended = true;
                self.wire.copy_ended();
            }
            _ => {}
        }
        self.wire.skip(header)
    }
}

impl RowSource for CopyOut<'_> {
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        self.read(batch).map_err(|error| read_error(&self.table, error))
    }

    /// The number of messages, if the server reports the same number of rows.
    fn sent(&self) -> Option<u64> {
        self.sent.filter(|sent| *sent == self.frames)
    }
}

fn read_error(table: &str, error: WireError) -> SourceError {
    sorted(table, error.concern(), error.code(), error.to_string())
}

/// The consequence of a failed statement for its table.
pub fn source_error(table: &Table, error: &PgError) -> SourceError {
    sorted(&table.name.to_string(), error.concern(), error.code(), error.to_string())
}

fn sorted(table: &str, concern: Concern, code: Option<&str>, reason: String) -> SourceError {
    let what = table.to_owned();
    match (concern, code) {
        (Concern::Session | Concern::Snapshot, _) => SourceError::Transient { what, reason },
        (Concern::Moment | Concern::Room, _) => SourceError::Throttled { what, reason },
        (Concern::Statement, Some(INSUFFICIENT_PRIVILEGE)) => SourceError::Denied { what, reason },
        (Concern::Statement | Concern::Login, _) => SourceError::Permanent { what, reason },
    }
}

/// A COPY … FROM STDIN in progress. Dropped unfinished, the server keeps none of the rows: the connection, which
/// can't be used again, has to be closed for that.
pub struct CopyIn<'a> {
    table: String,
    wire: &'a mut Wire,
}

impl<'a> CopyIn<'a> {
    /// Starts the copy.
    pub fn start(wire: &'a mut Wire, sql: &str, table: &str) -> Result<Self, SinkError> {
        wire.start_copy(sql, b'G').map_err(|error| write_error(table, &error))?;
        Ok(CopyIn { table: table.to_owned(), wire })
    }
}

/// The consequence of a target that rejected rows, or failed, for the copy workers.
pub fn write_error(table: &str, error: &WireError) -> SinkError {
    SinkError::Database {
        what: table.to_owned(),
        reason: error.to_string(),
        code: error.code().map(str::to_owned),
        server_failed: error.ends_all(),
        went_away: error.connection_lost(),
    }
}

impl RowSink for CopyIn<'_> {
    fn write(&mut self, rows: &[u8]) -> Result<(), SinkError> {
        // A message may end anywhere in a row, and a row may be longer than the server accepts a message.
        for piece in rows.chunks(MESSAGE_BYTES) {
            let written = self.wire.refused_early().and_then(|()| self.wire.send(b'd', &[piece]));
            let written = written.map_err(|error| self.wire.last_words(error));
            written.map_err(|error| write_error(&self.table, &error))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<u64>, SinkError> {
        self.wire.finish_copy_in().map(Some).map_err(|error| write_error(&self.table, &error))
    }
}

/// Reads rows of a table through COPY and digests them; keeps nothing of them. `sql` may copy a part of the table, the
/// digest's context is the whole table's statement.
pub fn totals(
    wire: &mut Wire,
    table: &Table,
    sql: &str,
    key: RowKey,
    heard: impl FnMut(u64, u64),
) -> Result<RowTotals, PgError> {
    totals_of(wire, &table.name.to_string(), sql, RowDigest::new(key, &table.copy_out_sql()), heard)
}

/// The same with a given digest.
pub fn totals_of(
    wire: &mut Wire,
    name: &str,
    sql: &str,
    mut digest: RowDigest,
    mut heard: impl FnMut(u64, u64),
) -> Result<RowTotals, PgError> {
    let reading = || format!("reading {name}");
    let mut rows = CopyOut::start(wire, sql, name)?;
    let mut batch = Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 8);
    loop {
        rows.read(&mut batch).map_err(|error| error.during(reading()))?;
        if batch.is_empty() {
            break;
        }
        let before = digest.rows();
        digest.update(&batch);
        heard(digest.rows() - before, batch.len() as u64);
        batch.clear();
    }
    let sent = rows.sent();
    let totals = digest.finish().ok_or_else(|| PgError::answer(reading(), "the last row has no end"))?;
    if sent != Some(totals.rows) {
        let reason = format!("{} rows came, and the server did not send as many", totals.rows);
        return Err(PgError::answer(reading(), reason));
    }
    Ok(totals)
}
