//! Ranges of a table as a unit of work, and what came of them: values that may travel.

use serde::{Deserialize, Serialize};

use super::{ends::Lost, salvage::LeftOut};
use crate::{
    asset::stop::Stop,
    asset::work::Work,
    digest::{RowKey, RowTotals},
    event::Event,
    pg::{name::Table, range::BlockRange},
    record::ledger,
    restore::database::Filling,
    transfer::{
        receipt::{ExportReceipt, TableReceipt},
        unit::UnitId,
    },
};

/// The engine, as units of rows name it.
pub(crate) const ENGINE: &str = "postgres";
/// Where the exports lie below the asset's directory.
pub(crate) const EXPORTS: &str = "exports";

/// What one worker carries in one transaction of the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    pub table: Table,
    /// The table's number, from 0.
    pub number: usize,
    /// The parts with their numbers, from 0.
    pub parts: Vec<(usize, BlockRange)>,
    /// How many parts the table has in all.
    pub of: usize,
    pub filling: Filling,
    /// About how many bytes lie on the source's disk.
    pub bytes: u64,
}

/// A share, and what it is read from, digested with and loaded into.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ranges {
    /// The exported snapshot, which whoever cut the work holds.
    pub snapshot: String,
    /// The key of the rows' digests. It is evidence and no secret.
    pub key: RowKey,
    /// The database at the target.
    pub database: String,
    pub share: Share,
}

/// What became of a share.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    Carried {
        parts: Vec<(usize, Part)>,
        /// Why the target did not take it, which is kept in its exports.
        declined: Option<String>,
    },
    /// The table's own fault; the others can go on.
    Refused { reason: String },
    /// Nothing more can be read from the snapshot.
    Lost(Lost),
    /// The target, or the way to it, went away.
    Away { reason: String, hint: Option<String> },
    /// The asset can't go on now.
    Stopped { reason: String, hint: Option<String> },
}

/// One part of a table, carried.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub export: ExportReceipt,
    pub sent_rows: u64,
    /// None if it was only kept.
    pub accepted_rows: Option<u64>,
    pub duration_ms: u64,
    /// Of the rows with their generated values, if the table has any.
    pub generated: Option<RowTotals>,
    /// Where not all of it could be carried.
    pub kept: Option<Kept>,
}

/// What was carried of a part that could not be carried whole.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The server's own count of what was read.
    pub counted: Option<u64>,
    pub left_out: Vec<LeftOut>,
}

/// Puts the receipt of a table on record: a table is one unit of the journal, however many ranges it was cut into.
pub(crate) fn record(work: &Work, number: usize, receipt: &TableReceipt) -> Result<(), Stop> {
    let unit = UnitId::numbered(number as u64 + 1);
    let receipt_sha256 = ledger::write_table_receipt(&work.layout, &work.asset, &unit, receipt)?;
    let items = receipt.stream.rows;
    let bytes = receipt.stream.bytes;
    let asset = work.asset.clone();
    Ok(work.recorder.fact(&Event::UnitDone { asset, unit: unit.to_string(), items, bytes, receipt_sha256 })?)
}
