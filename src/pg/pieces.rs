//! What can be read of a damaged part of a table: ranges of pages, and single rows of the pages between them.
//!
//! Rows are addressed by ctid. A range scan reads every row header of a page, and so fails with any of them; a row
//! addressed by its ctid is read alone. Servers without range scans read every ctid in it, one after the other.

use super::{
    name::{Table, literal, quoted},
    range::{BlockRange, MAJOR_MIN},
};

/// The least that a row takes of a page, in bytes: its header and the pointer to it.
pub const ROW_BYTES_MIN: u64 = 28;
/// Read only by ctid: any other plan would hit the damage that is left out.
pub const PLAN_BY_PLACE: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; \
    SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_tidscan = on; \
    SET LOCAL enable_nestloop = on; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
    SET LOCAL enable_material = off; SET LOCAL max_parallel_workers_per_gather = 0";

/// Locations in a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    ranges: Vec<BlockRange>,
    /// Pages, with the numbers of rows on them.
    rows: Vec<(u64, Vec<u16>)>,
}

impl Pieces {
    /// One range of pages.
    pub fn range(range: BlockRange) -> Self {
        Pieces { ranges: vec![range], rows: Vec::new() }
    }

    /// Some rows of one page.
    pub fn rows(block: u64, rows: Vec<u16>) -> Self {
        Pieces { ranges: Vec::new(), rows: vec![(block, rows)] }
    }

    /// The union of both; adjacent ranges become one.
    pub fn add(&mut self, more: Pieces) {
        for range in more.ranges {
            match self.ranges.last_mut() {
                Some(last) if last.to.is_some() && last.to == range.from => last.to = range.to,
                _ => self.ranges.push(range),
            }
        }
        self.rows.extend(more.rows.into_iter().filter(|(_, rows)| !rows.is_empty()));
    }

    /// Whether they contain a row.
    #[cfg(test)]
    pub fn hold(&self, block: u64, row: u16) -> bool {
        let in_range =
            |range: &BlockRange| range.from.is_none_or(|from| from <= block) && range.to.is_none_or(|to| block < to);
        self.ranges.iter().any(in_range) || self.rows.iter().any(|(page, rows)| *page == block && rows.contains(&row))
    }

    /// The statement by which a server of this major version copies these rows out, with the values of generated columns at
    /// the end.
    pub fn whole_out_sql(&self, table: &Table, major: u32) -> String {
        let columns: Vec<_> = table.columns.iter().chain(&table.generated).map(|column| quoted(column)).collect();
        format!("COPY ({}) TO STDOUT", self.select(table, &columns.join(", "), major))
    }

    /// The statement that counts them.
    pub fn count_sql(&self, table: &Table, major: u32) -> String {
        format!("SELECT pg_catalog.count(*) FROM ({}) AS pieces", self.select(table, "1", major))
    }

    fn select(&self, table: &Table, columns: &str, major: u32) -> String {
        let select = |condition: String| format!("SELECT {columns} FROM ONLY {} {condition}", table.name.to_sql());
        let ranges = self.ranges.iter().map(|range| {
            if major < MAJOR_MIN {
                format!("SELECT {columns} FROM {}", every_place(table, range))
            } else {
                select(range.to_sql())
            }
        });
        let rows = self.rows.iter().map(|(block, rows)| {
            let places: Vec<_> = rows.iter().map(|row| format!("\"({block},{row})\"")).collect();
            let places = places.join(",");
            select(format!("WHERE ctid OPERATOR(pg_catalog.=) ANY ('{{{places}}}'::pg_catalog.tid[])"))
        });
        let selects: Vec<_> = ranges.chain(rows).collect();
        if selects.is_empty() { select("WHERE false".to_owned()) } else { selects.join(" UNION ALL ") }
    }
}

/// The table, joined with all ctids that rows of these pages can have: page by page, so that each is read once, and with
/// none of the ctids kept.
fn every_place(table: &Table, range: &BlockRange) -> String {
    const BLOCK: &str = "pg_catalog.current_setting('block_size')::int8";
    let size = format!("pg_catalog.pg_relation_size({}::pg_catalog.regclass)", literal(&table.name.to_sql()));
    let from = range.from.unwrap_or_default();
    let to = range.to.map_or(format!("{size} / {BLOCK}"), |to| to.to_string());
    format!(
        "pg_catalog.generate_series({from}::int8, ({to})::int8 - 1) AS walkaway_pages (walkaway_page), \
         LATERAL pg_catalog.generate_series(1::int8, {BLOCK} / {ROW_BYTES_MIN} + 0 * walkaway_page) AS walkaway_lines (walkaway_line), \
         ONLY {} WHERE ctid OPERATOR(pg_catalog.=) \
         pg_catalog.format('(%s,%s)', walkaway_page, walkaway_line)::pg_catalog.tid",
        table.name.to_sql()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::name::RelationName;

    #[test]
    fn ranges_that_meet_are_one_and_rows_are_named_by_place() {
        let name = RelationName { schema: "s".into(), name: "t".into() };
        let table = Table { name, columns: vec!["a".into()], ..Table::default() };
        let range = |from, to| Pieces::range(BlockRange { from: Some(from), to });
        let mut pieces = Pieces::default();
        assert_eq!(
            pieces.count_sql(&table, 15),
            "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM ONLY \"s\".\"t\" WHERE false) AS pieces"
        );
        for more in
            [range(0, Some(2)), range(2, Some(5)), Pieces::rows(5, vec![1, 3]), Pieces::rows(6, vec![]), range(7, None)]
        {
            pieces.add(more);
        }
        let expected = Pieces {
            ranges: vec![BlockRange { from: Some(0), to: Some(5) }, BlockRange { from: Some(7), to: None }],
            rows: vec![(5, vec![1, 3])],
        };
        assert_eq!(pieces, expected);
        let by_place = pieces.whole_out_sql(&table, 13);
        assert!(by_place.contains("generate_series(0::int8, (5)::int8 - 1)"), "{by_place}");
        assert!(
            by_place.contains("generate_series(7::int8, (pg_catalog.pg_relation_size('\"s\".\"t\"'::"),
            "{by_place}"
        );
        let sql = pieces.whole_out_sql(&table, 15);
        assert_eq!(sql.matches(" UNION ALL ").count(), 2);
        assert!(sql.contains("ANY ('{\"(5,1)\",\"(5,3)\"}'::pg_catalog.tid[])"), "{sql}");
    }
}
