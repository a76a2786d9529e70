//! Compares what was loaded from an export with the live tables: columns, rows, NULLs, and a digest of each column.
//!
//! Both sides are queried alike, and the live side may have changed since the export's snapshot. What agrees is not
//! called proven: a column's digest does not show which row holds a value.

use std::collections::BTreeMap;

use super::Comparison;
use crate::{
    domain::finding::{Finding, FindingKind},
    pg::{
        Address, PgError,
        columns::{self, Column, ColumnTotals, TableTotals},
        name::RelationName,
    },
    transfer::receipt::TableReceipt,
};

/// Types that an export writes natively, and every server prints in one way.
const NATIVE: &[&str] = &["bool", "int2", "int4", "int8", "float4", "float8", "bytea"];
/// Types that are text.
const TEXTS: &[&str] = &["text", "varchar", "name"];
/// Types that an export writes as text, in its own format: cast to their own type, they are printed alike.
const SPELLED: &[&str] = &[
    "numeric",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "jsonb",
    "bpchar",
];

/// Live tables by their names as in receipts: the columns and their digests; or why one could not be read.
pub(crate) type LiveTables = BTreeMap<String, (RelationName, Result<(Vec<Column>, TableTotals), String>)>;

/// Both comparisons with the live tables.
pub(crate) struct LiveCompared {
    /// Numbers of rows.
    pub counts: Comparison,
    /// Columns, each compared as one.
    pub columns: Comparison,
}

/// What is compared with the live tables.
pub(crate) struct Loaded<'a> {
    /// The asset's id, for findings.
    pub asset: &'a str,
    /// The restored database.
    pub target: &'a Address,
    /// The tables that were loaded.
    pub receipts: &'a [TableReceipt],
    /// Tables without a receipt that are known to be missing.
    pub known: &'a [String],
    /// The snapshot's moment, RFC 3339.
    pub moment: Option<&'a str>,
}

impl Loaded<'_> {
    /// Compares every table that was loaded, and reports live tables that were not.
    ///
    /// # Errors
    /// The target does not answer.
    pub(crate) fn compare(&self, live: &LiveTables) -> Result<LiveCompared, PgError> {
        let mut compared =
            LiveCompared { counts: Comparison::new("live count"), columns: Comparison::new("live columns") };
        for receipt in self.receipts {
            match live.get(&receipt.table) {
                Some((name, Ok((columns, totals)))) => {
                    let rows_agree = totals.rows == receipt.stream.rows;
                    compared.counts.compared((!rows_agree).then(|| self.rows_differ(receipt, totals.rows)));
                    self.columns(name, columns, totals, rows_agree, &mut compared.columns)?;
                }
                Some((_, Err(reason))) => {
                    let detail = format!("the live table could not be counted: {reason}");
                    compared.counts.not_compared(self.finding(FindingKind::NotProven, &receipt.table, detail));
                }
                None => {
                    let detail = format!("no live table has this name; it may be gone since {}", self.since());
                    compared.counts.not_compared(self.finding(FindingKind::NotProven, &receipt.table, detail));
                }
            }
        }
        let carried =
            |name: &String| self.known.contains(name) || self.receipts.iter().any(|receipt| receipt.table == *name);
        for (name, (_, read)) in live.iter().filter(|(name, _)| !carried(name)) {
            let live = match read {
                Ok((_, totals)) => format!("has {} rows", totals.rows),
                Err(reason) => format!("could not be counted ({reason})"),
            };
            let since = self.since();
            let detail = format!("the live table {live}, the export has no such table; it may have come since {since}");
            compared.counts.findings.push(self.finding(FindingKind::TableMissing, name, detail));
        }
        Ok(compared)
    }

    fn since(&self) -> String {
        self.moment.map_or("the snapshot".to_owned(), |moment| format!("the snapshot of {moment}"))
    }

    fn finding(&self, kind: FindingKind, table: &str, detail: String) -> Finding {
        Finding::of(self.asset, kind, table, detail)
    }

    fn rows_differ(&self, receipt: &TableReceipt, live: u64) -> Finding {
        let rows = receipt.stream.rows;
        let since = self.since();
        let detail = format!("the export holds {rows} rows, the live table {live}; it may have changed since {since}");
        self.finding(FindingKind::TableRows, &receipt.table, detail)
    }

    /// Compares names and types, and where the row counts agree, the values.
    fn columns(
        &self,
        table: &RelationName,
        live: &[Column],
        totals: &TableTotals,
        rows_agree: bool,
        comparison: &mut Comparison,
    ) -> Result<(), PgError> {
        let mut client = self.target.connect()?;
        let restored = columns::columns(&mut client, table)?;
        let of_table = table.to_string();
        let differs = |kind, detail: String| Some(self.finding(kind, &of_table, detail));
        let mut pairs = Vec::new();
        for (column, totals) in live.iter().zip(&totals.columns) {
            match restored.iter().find(|found| found.name == column.name) {
                None => {
                    let name = &column.name;
                    let since = self.since();
                    let detail =
                        format!("the column {name} of the live table is missing; it may have come since {since}");
                    comparison.compared(differs(FindingKind::CatalogMissing, detail));
                }
                Some(found) if !holds(column, found) => {
                    let name = &column.name;
                    let live = &column.sql_type;
                    let found = &found.sql_type;
                    let detail = format!("the column {name} is {live} in the live table, and came as {found}");
                    comparison.compared(differs(FindingKind::CatalogDiffers, detail));
                }
                Some(_) => pairs.push((column, totals)),
            }
        }
        for found in restored.iter().filter(|found| live.iter().all(|column| column.name != found.name)) {
            let name = &found.name;
            let since = self.since();
            let detail = format!("the live table has no column {name}; it may be gone since {since}");
            comparison.findings.extend(differs(FindingKind::CatalogUnexpected, detail));
        }
        let common = |columns: &[Column], others: &[Column]| -> Vec<String> {
            let names = columns.iter().map(|column| column.name.clone());
            names.filter(|name| others.iter().any(|other| other.name == *name)).collect()
        };
        if common(live, &restored) != common(&restored, live) {
            let detail = "its columns are in another order than those of the live table".to_owned();
            comparison.findings.extend(differs(FindingKind::CatalogDiffers, detail));
        }
        if !rows_agree {
            let why = "its columns were not compared, as its rows are not as many".to_owned();
            comparison.not_compared(self.finding(FindingKind::NotProven, &of_table, why));
            return Ok(());
        }
        let expressions: Vec<_> = pairs.iter().map(|(column, _)| spelled(column)).collect();
        let found = match columns::totals(&mut client, table, false, &expressions) {
            Err(error) if !error.ends_all() => self.one_by_one(&mut client, table, &pairs)?,
            totals => totals?.columns.into_iter().map(|totals| (totals, None)).collect(),
        };
        for ((column, live), (found, unread)) in pairs.iter().zip(&found) {
            match unread {
                Some(reason) if found != *live => {
                    let name = &column.name;
                    let kind = &column.sql_type;
                    let detail = format!(
                        "the column {name} holds text that cannot be read as {kind}, and so its values were not compared: {reason}"
                    );
                    comparison.not_compared(self.finding(FindingKind::NotProven, &of_table, detail));
                }
                _ => comparison.compared(self.values_differ(&of_table, column, live, found)),
            }
        }
        Ok(())
    }

    /// The digest of each column, cast to the live type; where a value can't be cast, uncast, with the
    /// reason.
    fn one_by_one(
        &self,
        client: &mut postgres::Client,
        table: &RelationName,
        pairs: &[(&Column, &ColumnTotals)],
    ) -> Result<Vec<(ColumnTotals, Option<String>)>, PgError> {
        let mut found = Vec::new();
        for (column, _) in pairs {
            let mut of_one = |expression: String| columns::totals(client, table, false, &[expression]);
            let (totals, unread) = match of_one(spelled(column)) {
                Err(error) if !error.ends_all() => (of_one(column.text())?, Some(error.to_string())),
                totals => (totals?, None),
            };
            found.extend(totals.columns.into_iter().map(|totals| (totals, unread.clone())));
        }
        Ok(found)
    }

    fn values_differ(
        &self,
        table: &str,
        column: &Column,
        live: &ColumnTotals,
        found: &ColumnTotals,
    ) -> Option<Finding> {
        let name = &column.name;
        let since = self.since();
        if live.values != found.values {
            let detail = format!(
                "the column {name} has {} values that are not NULL, the live one {}; it may have changed since {since}",
                found.values, live.values
            );
            return Some(self.finding(FindingKind::TableDigest, table, detail));
        }
        if live.digest == found.digest {
            return None;
        }
        let is_one_spelling = column
            .own_type
            .as_deref()
            .is_some_and(|own| [NATIVE, TEXTS, SPELLED].iter().any(|kinds| kinds.contains(&own)));
        if is_one_spelling {
            let detail =
                format!("the column {name} holds other values than the live one, which may have changed since {since}");
            return Some(self.finding(FindingKind::TableDigest, table, detail));
        }
        let kind = &column.sql_type;
        let detail = format!("the column {name} is {kind}: an export spells it in its own way, or its values differ");
        Some(self.finding(FindingKind::NotProven, table, detail))
    }
}

/// A restored column's values as the live one would print them.
fn spelled(column: &Column) -> String {
    match column.own_type.as_deref().filter(|own| SPELLED.contains(own)) {
        Some(own) => format!("{}::pg_catalog.{own}::pg_catalog.text", column.text()),
        None => column.text(),
    }
}

/// Whether a live column can be exported as this one: natively if the export supports the type, and as text otherwise.
fn holds(live: &Column, restored: &Column) -> bool {
    let Some(own) = live.own_type.as_deref() else { return true };
    match restored.own_type.as_deref() {
        Some("text") => !NATIVE.contains(&own),
        // Integers narrower than 32 bits are exported as such, too.
        Some("int4") => ["int2", "int4"].contains(&own),
        Some(restored) => restored == own,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(own_type: Option<&str>) -> Column {
        Column { name: "c".to_owned(), sql_type: "t".to_owned(), own_type: own_type.map(str::to_owned) }
    }

    #[test]
    fn a_column_comes_as_what_an_export_writes_it_as() {
        let fits = |live, restored| holds(&column(Some(live)), &column(Some(restored)));
        for (live, restored) in [
            ("int2", "int2"),
            ("int2", "int4"),
            ("numeric", "text"),
            ("numeric", "numeric"),
            ("jsonb", "text"),
            ("bytea", "bytea"),
            ("timestamptz", "timestamptz"),
            ("_int4", "text"),
        ] {
            assert!(fits(live, restored), "{live} {restored}");
        }
        for (live, restored) in [
            ("int4", "int2"),
            ("int8", "int4"),
            ("int4", "text"),
            ("bytea", "text"),
            ("text", "bytea"),
            ("float8", "float4"),
            ("timestamptz", "timestamp"),
            ("bool", "int4"),
        ] {
            assert!(!fits(live, restored), "{live} {restored}");
        }
        assert!(holds(&column(None), &column(Some("text"))));
    }

    #[test]
    fn only_types_with_a_spelling_are_read_as_such() {
        assert_eq!(spelled(&column(Some("numeric"))), "\"c\"::pg_catalog.text::pg_catalog.numeric::pg_catalog.text");
        for own in [Some("int4"), Some("regclass"), None] {
            assert_eq!(spelled(&column(own)), "\"c\"::pg_catalog.text");
        }
    }
}
