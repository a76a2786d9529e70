//! The tables that hold rows, the sequences and their state, and what this login can't read whole.

use postgres::GenericClient;

use super::user_objects::{USERS, not_of_extension};
use crate::pg::{
    error::PgError,
    name::{RelationName, Table},
};

/// Condition that a relation `c` holds user configuration of an extension (PostgreSQL documentation, "Extension
/// Configuration Tables"): its rows are the database's own.
pub(super) const REGISTERED: &str = "EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE c.oid = ANY (x.extconfig))";
/// Condition that a sequence `c` numbers the rows of such a table.
pub(super) const NUMBERS_REGISTERED: &str = "EXISTS (SELECT FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_extension x ON d.refobjid = ANY (x.extconfig) \
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid \
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i'))";

/// A sequence and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceState {
    /// Its name.
    pub name: RelationName,
    /// The last value returned, or the first one to be returned.
    pub last_value: i64,
    /// Whether `last_value` was returned already.
    pub is_called: bool,
}

/// Condition that a relation `c` belongs to an extension.
pub(super) const OF_EXTENSION: &str = "EXISTS (SELECT FROM pg_catalog.pg_depend e \
     WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')";

/// Every table that holds rows of its own: plain tables, partitions, children, and those in which extensions keep user
/// configuration; not partitioned parents.
pub fn tables(client: &mut impl GenericClient) -> Result<Vec<Table>, PgError> {
    of_kind(client, &format!("c.relkind = 'r' AND (NOT {OF_EXTENSION} OR {REGISTERED})"))
}

/// Every materialized view that is populated.
pub fn materialized_views(client: &mut impl GenericClient) -> Result<Vec<Table>, PgError> {
    of_kind(client, &format!("c.relkind = 'm' AND c.relispopulated AND {}", not_of_extension("pg_class", "c.oid")))
}

pub(super) fn of_kind(client: &mut impl GenericClient, kind: &str) -> Result<Vec<Table>, PgError> {
    let failed = |error| PgError::statement("listing the tables", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.reltuples::float8, pg_catalog.pg_table_size(c.oid), \
         coalesce(array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = ''), '{{}}'), \
         coalesce(array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = 's'), '{{}}'), \
         {OF_EXTENSION} \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_attribute a \
         ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE {kind} AND c.relpersistence <> 't' AND {USERS} \
         GROUP BY c.oid, n.nspname, c.relname, c.reltuples ORDER BY 4 DESC, 1, 2"
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    rows.iter().map(|row| table(row).map_err(failed)).collect()
}

/// The relation of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `r`, `p`, `v`, … (PostgreSQL documentation, `pg_class.relkind`).
    pub kind: String,
    /// The partitions that hold the rows of a partitioned table.
    pub partitions: Vec<RelationName>,
}

/// The relation of a name, if any.
pub fn named(client: &mut impl GenericClient, name: &RelationName) -> Result<Option<Named>, PgError> {
    let failed = |error| PgError::statement(format!("looking for {name}"), &error);
    let sql = "SELECT c.relkind::text, n.nspname::text, p.relname::text FROM pg_catalog.pg_class c \
               LEFT JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) t ON t.isleaf AND t.relid <> c.oid \
               LEFT JOIN pg_catalog.pg_class p ON p.oid = t.relid \
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
               WHERE c.relname = $2::text AND c.relnamespace = (SELECT s.oid FROM pg_catalog.pg_namespace s \
               WHERE s.nspname = $1::text) ORDER BY 2, 3";
    let rows = client.query(sql, &[&name.schema, &name.name]).map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut named = Named { kind: first.try_get(0).map_err(failed)?, partitions: Vec::new() };
    for row in &rows {
        let (schema, name): (Option<String>, Option<String>) =
            (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
        named.partitions.extend(schema.zip(name).map(|(schema, name)| RelationName { schema, name }));
    }
    Ok(Some(named))
}

/// Every user table, including unlogged ones, partitioned ones in place of their partitions; and whether only
/// its own rows are meant.
pub fn whole_tables(client: &mut impl GenericClient) -> Result<Vec<(RelationName, bool)>, PgError> {
    let failed = |error| PgError::statement("listing the tables", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind = 'r' FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND {USERS} AND {} ORDER BY 1, 2",
        not_of_extension("pg_class", "c.oid")
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    rows.iter().map(|row| Ok((relation(row).map_err(failed)?, row.try_get(2).map_err(failed)?))).collect()
}

fn table(row: &postgres::Row) -> Result<Table, postgres::Error> {
    let estimate: f64 = row.try_get(2)?;
    let bytes: i64 = row.try_get(3)?;
    Ok(Table {
        name: RelationName { schema: row.try_get(0)?, name: row.try_get(1)? },
        columns: row.try_get(4)?,
        generated: row.try_get(5)?,
        of_extension: row.try_get(6)?,
        rows_estimate: (estimate >= 0.0).then_some(estimate as u64),
        bytes_on_disk: bytes.unsigned_abs(),
    })
}

/// Tables that this login can't read whole: no SELECT, or row level security would hide rows.
pub fn unreadable(client: &mut impl GenericClient) -> Result<Vec<RelationName>, PgError> {
    let failed = |error| PgError::statement("asking for the rights on the tables", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't' AND {USERS} \
         AND (NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind WHEN 'S' \
         THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END) \
         OR (c.relrowsecurity AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles \
         WHERE rolname = current_user) AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')))) \
         ORDER BY 1, 2"
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    rows.iter().map(|row| relation(row).map_err(failed)).collect()
}

fn relation(row: &postgres::Row) -> Result<RelationName, postgres::Error> {
    Ok(RelationName { schema: row.try_get(0)?, name: row.try_get(1)? })
}

/// Every sequence and its state. Sequences don't obey snapshots (PostgreSQL documentation, "Sequence
/// Manipulation Functions"): what is read is at or after the snapshot.
pub fn sequences(client: &mut impl GenericClient) -> Result<Vec<SequenceState>, PgError> {
    let failed = |error| PgError::statement("reading the sequences", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {USERS} \
         AND (NOT {OF_EXTENSION} OR {REGISTERED} OR {NUMBERS_REGISTERED}) ORDER BY 1, 2"
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    let names: Vec<_> = rows.iter().map(relation).collect::<Result<_, _>>().map_err(failed)?;
    names.into_iter().map(|name| state(client, name).map_err(failed)).collect()
}

fn state(client: &mut impl GenericClient, name: RelationName) -> Result<SequenceState, postgres::Error> {
    let row = client.query_one(&format!("SELECT last_value, is_called FROM {}", name.to_sql()), &[])?;
    Ok(SequenceState { name, last_value: row.try_get(0)?, is_called: row.try_get(1)? })
}
