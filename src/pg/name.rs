//! Names of tables and their form in SQL.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An identifier in double quotes, with inner ones doubled (PostgreSQL documentation, "Lexical Structure").
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A text as a literal, read the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// A schema and a relation in it, each as spelled in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationName {
    /// The schema.
    pub schema: String,
    /// The relation.
    pub name: String,
}

impl RelationName {
    /// Both parts quoted.
    pub fn to_sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A dot or a quote inside a part would make two names look alike.
        let part = |part: &str| if part.contains(['.', '"']) { quoted(part) } else { part.to_owned() };
        write!(f, "{}.{}", part(&self.schema), part(&self.name))
    }
}

/// A table whose rows are copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: RelationName,
    /// Its columns in order, without generated ones.
    pub columns: Vec<String>,
    /// Those whose values the server computed and stored.
    pub generated: Vec<String>,
    /// Whether it belongs to an extension, which may have inserted rows of its own.
    pub of_extension: bool,
    /// The planner's estimate of the rows; none if it was never analysed.
    pub rows_estimate: Option<u64>,
    /// Bytes on the server's disk.
    pub bytes_on_disk: u64,
}

impl Table {
    fn column_list(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| quoted(column)).collect();
        if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) }
    }

    /// The statement that copies the table's own rows from it, without children; also the context of its digest.
    pub fn copy_out_sql(&self) -> String {
        format!("COPY {}{} TO STDOUT", self.name.to_sql(), self.column_list())
    }

    /// The same with the values of generated columns at the end, which only a query can copy.
    pub fn whole_out_sql(&self) -> String {
        let columns: Vec<_> = self.columns.iter().chain(&self.generated).map(|column| quoted(column)).collect();
        format!("COPY (SELECT {} FROM ONLY {}) TO STDOUT", columns.join(", "), self.name.to_sql())
    }

    /// The table with its columns in the order of this statement, if it has the same columns: a dump puts the
    /// inherited ones first, wherever they were.
    pub fn in_order_of(&self, copy_out_sql: &str) -> Option<Table> {
        let columns = copy_out_sql.get("COPY ".len() + self.name.to_sql().len()..)?;
        let mut table = self.clone();
        table.columns.sort_by_key(|column| columns.find(&quoted(column)));
        (table.copy_out_sql() == copy_out_sql).then_some(table)
    }

    /// The statement that copies the rows of a view: only a query can do that.
    pub fn select_out_sql(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| quoted(column)).collect();
        format!("COPY (SELECT {} FROM {}) TO STDOUT", columns.join(", "), self.name.to_sql())
    }

    /// The statement that copies rows in.
    pub fn copy_in_sql(&self) -> String {
        format!("COPY {}{} FROM STDIN", self.name.to_sql(), self.column_list())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_a_table_without_columns_has_no_list() {
        let name = RelationName { schema: "s".into(), name: "a\"b".into() };
        let mut table = Table { name, columns: vec!["x y".into()], ..Table::default() };
        assert_eq!(table.copy_out_sql(), r#"COPY "s"."a""b" ("x y") TO STDOUT"#);
        table.columns.clear();
        assert_eq!(table.copy_in_sql(), r#"COPY "s"."a""b" FROM STDIN"#);
    }

    #[test]
    fn columns_are_matched_by_name_and_not_by_order() {
        let name = RelationName { schema: "s".into(), name: "b".into() };
        let table = |columns: &[&str]| {
            let columns = columns.iter().map(|column| (*column).to_owned()).collect();
            Table { name: name.clone(), columns, ..Table::default() }
        };
        let source = table(&["a", "late", "b"]);
        let found = table(&["a", "b", "late"]).in_order_of(&source.copy_out_sql());
        assert_eq!(found, Some(source.clone()));
        for others in [&["a", "b"][..], &["a", "b", "late", "more"], &["a", "b", "lat"]] {
            assert_eq!(table(others).in_order_of(&source.copy_out_sql()), None, "{others:?}");
        }
        assert_eq!(table(&[]).in_order_of(&table(&[]).copy_out_sql()), Some(table(&[])));
    }

    #[test]
    fn literals_stay_what_they_are() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"\'x"), r"E'\\''x'");
    }
}
