//! Parts of a table by physical place: ranges of blocks, which a server from version 14 on reads without touching the
//! rest (TID range scans). Physical order differs between source and restored table; each side is split separately.

use postgres::GenericClient;
use serde::{Deserialize, Serialize};

use super::{
    error::PgError,
    name::{Table, quoted},
};

/// The first version with TID range scans (PostgreSQL 14 release notes).
pub const MAJOR_MIN: u32 = 14;

/// Blocks `from <= block < to` of a table; open-ended where unset, so that rows beyond the expected end are read too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockRange {
    /// The first block.
    pub from: Option<u64>,
    /// The block after the last.
    pub to: Option<u64>,
}

impl BlockRange {
    /// All of a table.
    pub const WHOLE: BlockRange = BlockRange { from: None, to: None };

    /// Cuts `blocks` into `parts` of about the same size. The first and the last are open-ended.
    pub fn split(blocks: u64, parts: u64) -> Vec<Self> {
        let parts = parts.clamp(1, blocks.max(1));
        let at =
            |part: u64| (part > 0 && part < parts).then(|| u128::from(blocks) * u128::from(part) / u128::from(parts));
        let bound = |part| at(part).map(|block| block as u64);
        (0..parts).map(|part| BlockRange { from: bound(part), to: bound(part + 1) }).collect()
    }

    /// The statement that copies this part of a table's own rows.
    pub fn copy_out_sql(&self, table: &Table) -> String {
        if *self == BlockRange::WHOLE {
            return table.copy_out_sql();
        }
        let columns: Vec<_> = table.columns.iter().map(|column| quoted(column)).collect();
        format!("COPY (SELECT {} FROM ONLY {} {}) TO STDOUT", columns.join(", "), table.name.to_sql(), self.to_sql())
    }

    /// The same with the values of generated columns at the end, if the table has any.
    pub fn whole_out_sql(&self, table: &Table) -> String {
        if table.generated.is_empty() {
            self.copy_out_sql(table)
        } else {
            let columns: Vec<_> = table.columns.iter().chain(&table.generated).map(|column| quoted(column)).collect();
            let columns = columns.join(", ");
            let name = table.name.to_sql();
            format!("COPY (SELECT {columns} FROM ONLY {name} {}) TO STDOUT", self.to_sql())
        }
    }

    /// A WHERE clause; empty for all of a table.
    pub fn to_sql(&self) -> String {
        let bounds = [(self.from, ">="), (self.to, "<")];
        let bounds = bounds.into_iter().filter_map(|(bound, compare)| {
            bound.map(|block| format!("ctid OPERATOR(pg_catalog.{compare}) '({block},0)'::pg_catalog.tid"))
        });
        let bounds: Vec<_> = bounds.collect();
        if bounds.is_empty() { String::new() } else { format!("WHERE {}", bounds.join(" AND ")) }
    }
}

/// Only plans a query of the table. That fails where an expression of one of its indexes needs another search
/// path; only a COPY of the table itself does without a plan.
pub fn plan(client: &mut impl GenericClient, table: &Table) -> Result<(), postgres::Error> {
    client.batch_execute(&format!("EXPLAIN SELECT FROM ONLY {}", table.name.to_sql()))
}

/// Cuts a table of a server into parts; one part where the server does not support efficient range reads.
pub fn split(client: &mut impl GenericClient, table: &Table, parts: u64) -> Result<Vec<BlockRange>, PgError> {
    let failed = |error| PgError::statement(format!("measuring {}", table.name), &error);
    let sql = "SELECT pg_catalog.pg_relation_size($1::text::pg_catalog.regclass) \
               / pg_catalog.current_setting('block_size')::int8, \
               pg_catalog.current_setting('server_version_num')::int8 / 10000";
    let row = client.query_one(sql, &[&table.name.to_sql()]).map_err(failed)?;
    let (blocks, major): (i64, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    let parts = if major < i64::from(MAJOR_MIN) || plan(client, table).is_err() { 1 } else { parts };
    Ok(BlockRange::split(blocks.unsigned_abs(), parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::name::RelationName;

    #[test]
    fn parts_meet_and_are_open_at_both_ends() {
        for (blocks, parts) in [(0, 4), (1, 4), (10, 3), (10, 10), (4_294_967_295, 7)] {
            let ranges = BlockRange::split(blocks, parts);
            assert_eq!(ranges.len() as u64, parts.min(blocks.max(1)));
            assert_eq!((ranges[0].from, ranges[ranges.len() - 1].to), (None, None));
            assert!(ranges.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].to.is_some()));
            assert!(ranges.windows(3).all(|three| three[1].from < three[1].to));
        }
    }

    #[test]
    fn a_part_is_copied_by_a_query_and_the_whole_by_name() {
        let name = RelationName { schema: "s".into(), name: "t".into() };
        let mut table = Table { name, columns: vec!["a b".into()], ..Table::default() };
        assert_eq!(BlockRange::WHOLE.copy_out_sql(&table), table.copy_out_sql());
        let part = BlockRange { from: Some(2), to: Some(7) };
        assert_eq!(
            part.copy_out_sql(&table),
            "COPY (SELECT \"a b\" FROM ONLY \"s\".\"t\" WHERE ctid OPERATOR(pg_catalog.>=) '(2,0)'::pg_catalog.tid \
             AND ctid OPERATOR(pg_catalog.<) '(7,0)'::pg_catalog.tid) TO STDOUT"
        );
        assert_eq!(BlockRange::WHOLE.whole_out_sql(&table), table.copy_out_sql());
        table.generated.push("g".to_owned());
        assert_eq!(
            BlockRange::WHOLE.whole_out_sql(&table),
            "COPY (SELECT \"a b\", \"g\" FROM ONLY \"s\".\"t\" ) TO STDOUT"
        );
    }
}
