//! Ranges of a table as a unit of work, and their outcome: serializable values.

use serde::{Deserialize, Serialize};

use super::{ends::Lost, salvage::LeftOut};
use crate::{
    asset::{stop::Stop, work::Work},
    domain::{
        digest::{RowKey, RowTotals},
        event::Event,
    },
    pg::{name::Table, range::BlockRange},
    record::ledger,
    restore::database::Filling,
    transfer::{
        receipt::{ExportReceipt, TableReceipt},
        unit::UnitId,
    },
};

/// The engine's name in units of rows.
pub(crate) const ENGINE: &str = "postgres";
/// The directory of the exports below the asset's.
pub(crate) const EXPORTS: &str = "exports";

/// What one worker copies in one transaction of the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub table: Table,
    /// The table's number, from 0.
    pub number: usize,
    /// The parts with their numbers, from 0.
    pub parts: Vec<(usize, BlockRange)>,
    /// How many parts the table has in all.
    pub of: usize,
    pub filling: Filling,
    /// Approximate bytes on the source's disk.
    pub bytes: u64,
}

/// A chunk, with its snapshot, digest key and target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ranges {
    /// The exported snapshot, held by the process that cut the work.
    pub snapshot: String,
    /// The key of the rows' digests. It is evidence, not a secret.
    pub key: RowKey,
    /// The database at the target.
    pub database: String,
    pub chunk: Chunk,
}

/// The outcome of a chunk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    Carried {
        parts: Vec<(usize, Part)>,
        /// Why the target rejected it; it is kept in its exports.
        declined: Option<String>,
    },
    /// Caused by the table itself; the others can continue.
    Refused { reason: String },
    /// Nothing more can be read from the snapshot.
    Lost(Lost),
    /// The target, or the connection to it, was lost.
    Away { reason: String, hint: Option<String> },
    /// The asset can't continue now.
    Stopped { reason: String, hint: Option<String> },
}

/// One part of a table, copied.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub export: ExportReceipt,
    pub sent_rows: u64,
    /// None if it was only kept.
    pub accepted_rows: Option<u64>,
    pub duration_ms: u64,
    /// Of the rows with their generated values, if the table has any.
    pub generated: Option<RowTotals>,
    /// Where not all of it could be copied.
    pub kept: Option<Kept>,
}

/// What was copied of a part that could not be copied whole.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The server's own count of what was read.
    pub counted: Option<u64>,
    pub left_out: Vec<LeftOut>,
}

/// Records the receipt of a table: a table is one unit of the journal, however many ranges it was cut into.
pub(crate) fn record(work: &Work, number: usize, receipt: &TableReceipt) -> Result<(), Stop> {
    let unit = UnitId::numbered(number as u64 + 1);
    let receipt_sha256 = ledger::write_table_receipt(&work.layout, &work.asset, &unit, receipt)?;
    let items = receipt.stream.rows;
    let bytes = receipt.stream.bytes;
    let asset = work.asset.clone();
    Ok(work.recorder.fact(&Event::UnitDone { asset, unit: unit.to_string(), items, bytes, receipt_sha256 })?)
}
