//! The columns of a table, and a digest of the values of each, computed by the server, so that two servers can be compared
//! where rows can't be compared one by one. Used by `provider` and by `verify`.
//!
//! A column's digest is the sum of 60 bits of the SHA-256 of each value's text: it depends on no order, nor on which row
//! holds which value. It detects accidental loss or change; it is no protection against forgery.

use postgres::GenericClient;

use super::{
    error::PgError,
    name::{RelationName, quoted},
};

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as written in SQL.
    pub sql_type: String,
    /// The name of its type if that is built in, such as `int4` or `_text`; the base type of a domain.
    pub own_type: Option<String>,
}

impl Column {
    /// The expression of its values as text.
    pub fn text(&self) -> String {
        format!("{}::pg_catalog.text", quoted(&self.name))
    }
}

/// Digests of a table's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableTotals {
    /// All rows.
    pub rows: u64,
    /// One per expression, in their order.
    pub columns: Vec<ColumnTotals>,
}

/// The digest of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnTotals {
    /// Values that are not NULL.
    pub values: u64,
    /// Sum of their digests, in decimal digits.
    pub digest: String,
}

/// The columns of a table, in their order.
///
/// # Errors
/// The table does not exist, or the catalog can't be read.
pub fn columns(client: &mut impl GenericClient, table: &RelationName) -> Result<Vec<Column>, PgError> {
    let failed = |error| PgError::statement(format!("reading the columns of {table}"), &error);
    let sql = "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
               CASE WHEN n.nspname = 'pg_catalog' THEN b.typname::text END \
               FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
               JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END \
               JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace \
               WHERE a.attrelid = $1::text::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let rows = client.query(sql, &[&table.to_sql()]).map_err(failed)?;
    let column = |row: &postgres::Row| {
        Ok(Column { name: row.try_get(0)?, sql_type: row.try_get(1)?, own_type: row.try_get(2)? })
    };
    rows.iter().map(|row| column(row).map_err(failed)).collect()
}

/// Reads the whole table once, without children if `only` is set. An expression is text.
///
/// # Errors
/// A value can't be computed, or the table can't be read.
pub fn totals(
    client: &mut impl GenericClient,
    table: &RelationName,
    only: bool,
    expressions: &[String],
) -> Result<TableTotals, PgError> {
    let failed = |error| PgError::statement(format!("reading {table}"), &error);
    let from = format!("{}{}", if only { "ONLY " } else { "" }, table.to_sql());
    let row = client.query_one(&totals_sql(&from, expressions), &[]).map_err(failed)?;
    let rows: i64 = row.try_get(0).map_err(failed)?;
    let values: Vec<i64> = row.try_get(1).map_err(failed)?;
    let digests: Vec<String> = row.try_get(2).map_err(failed)?;
    let columns = values.into_iter().zip(digests);
    let columns = columns.map(|(values, digest)| ColumnTotals { values: values.unsigned_abs(), digest });
    Ok(TableTotals { rows: rows.unsigned_abs(), columns: columns.collect() })
}

/// Two arrays, as a table may have more columns than half of the result columns of a query.
fn totals_sql(from: &str, expressions: &[String]) -> String {
    let counts: Vec<_> = expressions.iter().map(|value| format!("pg_catalog.count({value})")).collect();
    let digest = |value: &String| {
        format!(
            "coalesce(pg_catalog.sum(('x' || pg_catalog.substr(pg_catalog.encode(pg_catalog.sha256(\
             pg_catalog.convert_to({value}, 'UTF8')), 'hex'), 1, 15))::pg_catalog.bit(60)::pg_catalog.int8), 0)::text"
        )
    };
    let digests: Vec<_> = expressions.iter().map(digest).collect();
    format!(
        "SELECT pg_catalog.count(*), ARRAY[{}]::pg_catalog.int8[], ARRAY[{}]::pg_catalog.text[] FROM {from}",
        counts.join(", "),
        digests.join(", ")
    )
}
