//! A table's rows as a COPY stream out of a server, batched for the relay; read by `source` and, for the proof, `verify`.

use std::io::BufRead as _;

use postgres::{CancelToken, CopyOutReader, GenericClient};

use super::{Address, error::PgError, name::Table};
use crate::{
    digest::{RowDigest, RowKey, RowTotals},
    transfer::{
        error::SourceError,
        table::{BATCH_BYTES, RowSource},
    },
};

/// A COPY … TO STDOUT that is being read.
pub struct CopyOut<'a> {
    table: String,
    reader: CopyOutReader<'a>,
    /// The reader must not be asked again after its end.
    ended: bool,
    /// Tells the server to stop, should the copy be given up: dropping the reader alone would read all the rest.
    cancel: Option<(CancelToken, Address)>,
}

impl<'a> CopyOut<'a> {
    /// Starts the copy on a connection whose settings are pinned.
    pub fn start(client: &'a mut impl GenericClient, sql: &str, table: &str) -> Result<Self, PgError> {
        let reader =
            client.copy_out(sql).map_err(|error| PgError::statement(format!("copying {table} out"), &error))?;
        Ok(CopyOut { table: table.to_owned(), reader, ended: false, cancel: None })
    }
}

impl<'a> CopyOut<'a> {
    /// Names the way to stop the server.
    pub fn cancelled_by(self, cancel: (CancelToken, Address)) -> Self {
        let mut copy = self;
        copy.cancel = Some(cancel);
        copy
    }
}

impl Drop for CopyOut<'_> {
    fn drop(&mut self) {
        if let Some((token, address)) = self.cancel.take().filter(|_| !self.ended)
            && let Err(error) = address.cancel(&token)
        {
            tracing::debug!(table = self.table, %error, "the copy could not be cancelled");
        }
    }
}

impl RowSource for CopyOut<'_> {
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        while batch.len() < BATCH_BYTES && !self.ended {
            let piece = self.reader.fill_buf().map_err(|error| read_error(&self.table, &error))?;
            let length = piece.len();
            self.ended = length == 0;
            batch.extend_from_slice(piece);
            self.reader.consume(length);
        }
        Ok(())
    }
}

fn read_error(table: &str, error: &std::io::Error) -> SourceError {
    let what = table.to_owned();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<postgres::Error>()) {
        Some(inner) if !super::error::connection_lost(inner) => {
            SourceError::Permanent { what, reason: super::error::reason(inner) }
        }
        Some(inner) => SourceError::Transient { what, reason: super::error::reason(inner) },
        None => SourceError::Transient { what, reason: error.to_string() },
    }
}

/// Reads a table through COPY and digests its rows; keeps nothing of them.
pub fn totals(
    client: &mut impl GenericClient,
    table: &Table,
    key: RowKey,
    mut heard: impl FnMut(u64, u64),
) -> Result<RowTotals, SourceError> {
    let name = table.name.to_string();
    let failed = |error: PgError| SourceError::Permanent { what: name.clone(), reason: error.to_string() };
    let mut digest = RowDigest::new(key, &table.copy_out_sql());
    let mut rows = CopyOut::start(client, &table.copy_out_sql(), &name).map_err(failed)?;
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    loop {
        rows.fill(&mut batch)?;
        if batch.is_empty() {
            break;
        }
        let before = digest.rows();
        digest.update(&batch);
        heard(digest.rows() - before, batch.len() as u64);
        batch.clear();
    }
    let unfinished = || SourceError::Permanent { what: name.clone(), reason: "the last row has no end".to_owned() };
    digest.finish().ok_or_else(unfinished)
}
