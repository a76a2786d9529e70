//! Names of tables and how SQL spells them.

use std::fmt;

/// An identifier in double quotes, with those inside doubled (PostgreSQL documentation, "Lexical Structure").
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A text as a literal, read the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// A schema and a relation in it, each as the catalog spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        // A dot or a quote inside a part would let two names look alike.
        let part = |part: &str| if part.contains(['.', '"']) { quoted(part) } else { part.to_owned() };
        write!(f, "{}.{}", part(&self.schema), part(&self.name))
    }
}

/// A table whose rows are carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: RelationName,
    /// Its columns in order, without generated ones.
    pub columns: Vec<String>,
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

    /// The statement that copies the table's own rows out, children excluded; also the context of its digest.
    pub fn copy_out_sql(&self) -> String {
        format!("COPY {}{} TO STDOUT", self.name.to_sql(), self.column_list())
    }

    /// The statement that copies the rows of a view out: only a query may do that.
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
        let mut table = Table { name, columns: vec!["x y".into()], rows_estimate: None, bytes_on_disk: 0 };
        assert_eq!(table.copy_out_sql(), r#"COPY "s"."a""b" ("x y") TO STDOUT"#);
        table.columns.clear();
        assert_eq!(table.copy_in_sql(), r#"COPY "s"."a""b" FROM STDIN"#);
    }

    #[test]
    fn literals_stay_what_they_are() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"\'x"), r"E'\\''x'");
    }
}
