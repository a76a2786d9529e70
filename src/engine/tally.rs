//! Puts the parts of each table and its count together into a receipt, and the receipt on record.

use super::{
    deferred::Deferred,
    ledger,
    relays::{News, panicked},
    shares::Share,
    stop::Stop,
    work::Work,
};
use crate::{
    digest::RowTotals,
    event::Event,
    finding::{Finding, FindingKind},
    pg::name::Table,
    transfer::{
        receipt::{ExportReceipt, GeneratedReceipt, TableReceipt},
        unit::UnitId,
    },
};

/// The receipts of all tables, and the findings about those that could not be carried.
#[derive(Default)]
pub(crate) struct Tables {
    pub receipts: Vec<TableReceipt>,
    pub findings: Vec<Finding>,
    /// Those that the target did not take yet.
    pub deferred: Vec<Deferred>,
}

/// One part of a table, carried.
pub(crate) struct Part {
    pub export: ExportReceipt,
    pub sent_rows: u64,
    /// None if it was only kept.
    pub accepted_rows: Option<u64>,
    pub duration_ms: u64,
    /// Of the rows with their generated values, if the table has any.
    pub generated: Option<RowTotals>,
}

/// What is known of each table so far.
pub(crate) struct Tally<'a> {
    work: &'a Work,
    entries: Vec<Entry>,
    done: Tables,
}

struct Entry {
    table: Table,
    parts: Vec<Option<Part>>,
    source_count: Option<u64>,
    /// Why the target did not take a part.
    declined: Option<String>,
    settled: bool,
}

impl Entry {
    /// The receipt, once everything is there, and the exports that were only kept.
    fn receipt(&mut self) -> Option<(TableReceipt, Vec<ExportReceipt>)> {
        let source_count = self.source_count.filter(|_| !self.settled && self.parts.iter().all(Option::is_some))?;
        self.settled = true;
        let parts: Vec<Part> = self.parts.drain(..).flatten().collect();
        let sum = |number: fn(&Part) -> u64| parts.iter().map(number).fold(0, u64::saturating_add);
        let kept = parts.iter().filter(|part| part.accepted_rows.is_none()).map(|part| part.export.clone()).collect();
        let receipt = TableReceipt {
            table: self.table.name.to_string(),
            copy_sql: self.table.copy_out_sql(),
            stream: parts.iter().fold(RowTotals::NONE, |sum, part| sum.and(part.export.totals)),
            source_count,
            sent_rows: sum(|part| part.sent_rows),
            accepted_rows: sum(|part| part.accepted_rows.unwrap_or_default()),
            duration_ms: sum(|part| part.duration_ms),
            generated: (!self.table.generated.is_empty()).then(|| GeneratedReceipt {
                columns: self.table.generated.clone(),
                copy_sql: self.table.whole_out_sql(),
                totals: parts.iter().filter_map(|part| part.generated).fold(RowTotals::NONE, RowTotals::and),
            }),
            exports: parts.into_iter().map(|part| part.export).collect(),
        };
        Some((receipt, kept))
    }
}

impl<'a> Tally<'a> {
    pub fn new(work: &'a Work, tables: impl Iterator<Item = Table>, shares: &[Share<'_>]) -> Self {
        let entry = |table| Entry { table, parts: Vec::new(), source_count: None, declined: None, settled: false };
        let mut entries: Vec<Entry> = tables.map(entry).collect();
        for share in shares {
            entries[share.number].parts.resize_with(share.of, || None);
        }
        Tally { work, entries, done: Tables::default() }
    }

    pub fn take(&mut self, news: News) -> Result<(), Stop> {
        let number = match news {
            News::Part { number, part, done } => {
                if let Some(place) = self.entries[number].parts.get_mut(part) {
                    *place = Some(done);
                }
                number
            }
            News::Counted { number, rows } => {
                self.entries[number].source_count = Some(rows);
                number
            }
            News::Declined { number, reason } => {
                self.entries[number].declined.get_or_insert(reason);
                return Ok(());
            }
            News::Refused { number, reason } => {
                self.refuse(number, reason);
                return Ok(());
            }
        };
        let Some((receipt, kept)) = self.entries[number].receipt() else { return Ok(()) };
        let entry = &mut self.entries[number];
        if let Some(reason) = entry.declined.take() {
            self.done.deferred.push(Deferred { number, table: entry.table.clone(), receipt, kept, reason });
            return Ok(());
        }
        record(self.work, number, &receipt)?;
        self.done.receipts.push(receipt);
        Ok(())
    }

    fn refuse(&mut self, number: usize, reason: String) {
        let entry = &mut self.entries[number];
        if !std::mem::replace(&mut entry.settled, true) {
            let subject = entry.table.name.to_string();
            self.done.findings.push(self.work.finding(FindingKind::TableUnreadable, subject, reason));
        }
    }

    /// The receipts by table. A table without an end is a bug.
    pub fn finish(mut self) -> Result<Tables, Stop> {
        if self.entries.iter().any(|entry| !entry.settled) {
            return Err(panicked());
        }
        self.done.receipts.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(self.done)
    }
}

/// Puts the receipt of a table on record.
pub(super) fn record(work: &Work, number: usize, receipt: &TableReceipt) -> Result<(), Stop> {
    let unit = UnitId::numbered(number as u64 + 1);
    let receipt_sha256 = ledger::write_table_receipt(&work.layout, &work.asset, &unit, receipt)?;
    let (items, bytes) = (receipt.stream.rows, receipt.stream.bytes);
    let asset = work.asset.clone();
    Ok(work.recorder.fact(&Event::UnitDone { asset, unit: unit.to_string(), items, bytes, receipt_sha256 })?)
}
