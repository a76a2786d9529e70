//! Combines the parts of each table and its count into a receipt, and records it.

use super::{
    ends::panicked,
    ranges::{Chunk, Kept, Part, record},
    salvage::LeftOut,
};
use crate::{
    asset::{stop::Stop, work::Work},
    domain::{
        digest::RowTotals,
        finding::{Finding, FindingKind},
    },
    pg::name::Table,
    transfer::receipt::{ExportReceipt, GeneratedReceipt, TableReceipt},
};

/// The receipts of all tables, and the findings about those that could not be copied.
#[derive(Default)]
pub(crate) struct Tables {
    pub receipts: Vec<TableReceipt>,
    pub findings: Vec<Finding>,
    /// Those that the target has not accepted yet.
    pub deferred: Vec<Deferred>,
}

/// A table that is not loaded yet, or not whole.
pub(crate) struct Deferred {
    /// Its number among the asset's units.
    pub number: usize,
    pub table: Table,
    /// What was observed so far; the target's count is still to be added.
    pub receipt: TableReceipt,
    /// The exports that the target rejected.
    pub kept: Vec<ExportReceipt>,
    /// The reason.
    pub reason: String,
}

/// What the workers report.
#[allow(clippy::large_enum_variant, reason = "nearly all of them are parts")]
pub(crate) enum WorkerMessage {
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
    /// The target rejected a chunk, which is kept in its exports.
    Declined {
        number: usize,
        reason: String,
    },
    Uncounted {
        number: usize,
        reason: String,
    },
}

/// What is known of each table so far.
pub(crate) struct ReceiptAggregator<'a> {
    work: &'a Work,
    entries: Vec<Entry>,
    done: Tables,
}

struct Entry {
    table: Table,
    parts: Vec<Option<Part>>,
    source_count: Count,
    /// Why the target rejected a part.
    declined: Option<String>,
    settled: bool,
}

/// The server's own count of a table's rows.
enum Count {
    Awaited,
    Had(u64),
    Refused(String),
}

impl Entry {
    /// The receipt, once everything is there, and the exports that were only kept.
    fn receipt(&mut self, work: &Work, findings: &mut Vec<Finding>) -> Option<(TableReceipt, Vec<ExportReceipt>)> {
        let is_awaited = matches!(self.source_count, Count::Awaited) || self.parts.iter().any(Option::is_none);
        if self.settled || is_awaited {
            return None;
        }
        self.settled = true;
        let parts: Vec<Part> = self.parts.drain(..).flatten().collect();
        let sum = |number: fn(&Part) -> u64| parts.iter().map(number).fold(0, u64::saturating_add);
        let subject = self.table.name.to_string();
        for LeftOut { place, reason } in
            parts.iter().filter_map(|part| part.kept.as_ref()).flat_map(|kept| &kept.left_out)
        {
            let detail = format!("{place} could not be carried: {reason}; the other rows were");
            findings.push(work.finding(FindingKind::RowsUnreadable, &subject, detail));
        }
        let kept: Vec<_> = parts.iter().filter_map(|part| part.kept.as_ref()).collect();
        let source_count = counted(&self.source_count, parts.len(), &kept).unwrap_or_else(|reason| {
            let detail = format!("the source could not count its rows, and so nothing but the rows that came says how many there are: {reason}");
            findings.push(work.finding(FindingKind::NotProven, &subject, detail));
            sum(|part| part.sent_rows)
        });
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

/// How many rows have to be on the target by the source's count; or why it is unknown. A part that was searched for rows
/// that can be copied does not show how many there are: the count of the whole table is used, less the rows that are
/// reported one by one.
fn counted(whole: &Count, parts: usize, kept: &[&Kept]) -> Result<u64, String> {
    let rows_left_out: Option<u64> =
        kept.iter().flat_map(|kept| &kept.left_out).map(|left_out| left_out.place.is_row().then_some(1)).sum();
    let of_pieces = || kept.iter().map(|kept| kept.counted).sum::<Option<u64>>().filter(|_| kept.len() == parts);
    match (whole, rows_left_out) {
        (Count::Had(rows), Some(left_out)) => {
            rows.checked_sub(left_out).ok_or_else(|| "it counts fewer rows than can't be carried".to_owned())
        }
        // How many rows an unreadable page held is unknown: it is reported, and the others were counted by location.
        (Count::Had(_), None) => of_pieces().ok_or_else(|| "a page of it can't be read".to_owned()),
        // Something is left out and reported, or else nothing proves that the locations were complete.
        (Count::Refused(reason), left_out) => of_pieces().filter(|_| left_out != Some(0)).ok_or_else(|| reason.clone()),
        (Count::Awaited, _) => Err("it was not asked".to_owned()),
    }
}

impl<'a> ReceiptAggregator<'a> {
    pub(crate) fn new(work: &'a Work, tables: impl Iterator<Item = Table>, chunks: &[Chunk]) -> Self {
        let entry = |table| {
            let parts = Vec::new();
            let source_count = Count::Awaited;
            Entry { table, parts, source_count, declined: None, settled: false }
        };
        let mut entries: Vec<Entry> = tables.map(entry).collect();
        for chunk in chunks {
            entries[chunk.number].parts.resize_with(chunk.of, || None);
        }
        ReceiptAggregator { work, entries, done: Tables::default() }
    }

    pub(crate) fn take(&mut self, news: WorkerMessage) -> Result<(), Stop> {
        let number = match news {
            WorkerMessage::Part { number, part, done } => {
                if let Some(place) = self.entries[number].parts.get_mut(part) {
                    *place = Some(done);
                }
                number
            }
            WorkerMessage::Counted { number, rows } => {
                self.entries[number].source_count = Count::Had(rows);
                number
            }
            WorkerMessage::Uncounted { number, reason } => {
                self.entries[number].source_count = Count::Refused(reason);
                number
            }
            WorkerMessage::Declined { number, reason } => {
                self.entries[number].declined.get_or_insert(reason);
                return Ok(());
            }
            WorkerMessage::Refused { number, reason } => {
                self.refuse(number, reason);
                return Ok(());
            }
        };
        let Some((receipt, kept)) = self.entries[number].receipt(self.work, &mut self.done.findings) else {
            return Ok(());
        };
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

    /// The receipts by table. A table without one is a bug.
    pub(crate) fn finish(mut self) -> Result<Tables, Stop> {
        if self.entries.iter().any(|entry| !entry.settled) {
            return Err(panicked());
        }
        self.done.receipts.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::database::salvage::Place;

    #[test]
    fn the_whole_tables_count_is_what_has_to_come_and_not_what_was_found_to_be_carried() {
        let kept = |counted, places: &[Place]| Kept {
            counted,
            left_out: places.iter().map(|place| LeftOut { place: *place, reason: String::new() }).collect(),
        };
        let row = Place::Row(1, 2);
        let page = Place::Page(3);
        let refused = || Count::Refused("damaged".to_owned());
        for (whole, parts, of_parts, expected) in [
            (Count::Had(10), 1, vec![], Some(10)),
            // A row that the search overlooked is detected.
            (Count::Had(10), 1, vec![kept(Some(8), &[row])], Some(9)),
            (Count::Had(10), 1, vec![kept(Some(8), &[])], Some(10)),
            (Count::Had(10), 3, vec![kept(Some(2), &[row, row]), kept(Some(3), &[])], Some(8)),
            (Count::Had(10), 1, vec![kept(Some(6), &[row, page])], Some(6)),
            (Count::Had(10), 2, vec![kept(Some(6), &[page])], None),
            (Count::Had(1), 1, vec![kept(None, &[row, row])], None),
            (refused(), 1, vec![], None),
            (refused(), 1, vec![kept(Some(6), &[row])], Some(6)),
            // Nothing proves that all locations were read, and no finding reports any as left out.
            (refused(), 1, vec![kept(Some(6), &[])], None),
            (refused(), 2, vec![kept(Some(6), &[row])], None),
            (Count::Awaited, 1, vec![], None),
        ] {
            let of_parts: Vec<_> = of_parts.iter().collect();
            assert_eq!(counted(&whole, parts, &of_parts).ok(), expected);
        }
    }
}
