//! Puts the parts of each table and its count together into a receipt, and the receipt on record.

use super::{
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
pub(crate) struct Tables {
    pub receipts: Vec<TableReceipt>,
    pub findings: Vec<Finding>,
}

/// One part of a table, carried.
pub(crate) struct Part {
    pub export: ExportReceipt,
    pub sent_rows: u64,
    pub accepted_rows: u64,
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
    settled: bool,
}

impl Entry {
    /// The receipt, once everything is there.
    fn receipt(&mut self) -> Option<TableReceipt> {
        let source_count = self.source_count.filter(|_| !self.settled && self.parts.iter().all(Option::is_some))?;
        self.settled = true;
        let parts: Vec<Part> = self.parts.drain(..).flatten().collect();
        let sum = |number: fn(&Part) -> u64| parts.iter().map(number).fold(0, u64::saturating_add);
        Some(TableReceipt {
            table: self.table.name.to_string(),
            copy_sql: self.table.copy_out_sql(),
            stream: parts.iter().fold(RowTotals::NONE, |sum, part| sum.and(part.export.totals)),
            source_count,
            sent_rows: sum(|part| part.sent_rows),
            accepted_rows: sum(|part| part.accepted_rows),
            duration_ms: sum(|part| part.duration_ms),
            generated: (!self.table.generated.is_empty()).then(|| GeneratedReceipt {
                columns: self.table.generated.clone(),
                copy_sql: self.table.whole_out_sql(),
                totals: parts.iter().filter_map(|part| part.generated).fold(RowTotals::NONE, RowTotals::and),
            }),
            exports: parts.into_iter().map(|part| part.export).collect(),
        })
    }
}

impl<'a> Tally<'a> {
    pub fn new(work: &'a Work, tables: impl Iterator<Item = Table>, shares: &[Share<'_>]) -> Self {
        let entry = |table| Entry { table, parts: Vec::new(), source_count: None, settled: false };
        let mut entries: Vec<Entry> = tables.map(entry).collect();
        for share in shares {
            entries[share.number].parts.resize_with(share.of, || None);
        }
        Tally { work, entries, done: Tables { receipts: Vec::new(), findings: Vec::new() } }
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
            News::Refused { number, reason } => {
                self.refuse(number, reason);
                return Ok(());
            }
        };
        match self.entries[number].receipt() {
            Some(receipt) => self.record(number, receipt),
            None => Ok(()),
        }
    }

    fn refuse(&mut self, number: usize, reason: String) {
        let entry = &mut self.entries[number];
        if !std::mem::replace(&mut entry.settled, true) {
            let subject = entry.table.name.to_string();
            self.done.findings.push(self.work.finding(FindingKind::TableUnreadable, subject, reason));
        }
    }

    fn record(&mut self, number: usize, receipt: TableReceipt) -> Result<(), Stop> {
        let unit = UnitId::numbered(number as u64 + 1);
        let receipt_sha256 = ledger::write_table_receipt(&self.work.layout, &self.work.asset, &unit, &receipt)?;
        let (items, bytes) = (receipt.stream.rows, receipt.stream.bytes);
        let asset = self.work.asset.clone();
        self.work.recorder.fact(&Event::UnitDone { asset, unit: unit.to_string(), items, bytes, receipt_sha256 })?;
        self.done.receipts.push(receipt);
        Ok(())
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
