//! What RDS says about the tables of an export: `export_tables_info_<export>_from_<n>_to_<m>.json`, with a status for each.
//!
//! A list that is not fully understood does not count: nothing would detect what it leaves out.

use std::{fs::File, io::Read as _, path::Path};

use serde::Deserialize;

use crate::{domain::digest::Sha256Digest, provider::parquet_rows::ParquetColumn};

const PREFIX: &str = "export_tables_info_";
const SUFFIX: &str = ".json";
/// A list of tables is a few hundred bytes for each column.
const BYTES_MAX: u64 = 256 << 20;

/// The parts of a list that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    #[serde(rename = "perTableStatus")]
    pub tables: Vec<Status>,
}

/// The status of a table, or of a database as a whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// `database.schema.table`.
    pub target: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    warning_message: Option<String>,
    #[serde(default)]
    schema_metadata: SchemaMetadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SchemaMetadata {
    original_type_mappings: Vec<TypeMapping>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMapping {
    column_name: String,
    expected_exported_type: String,
}

/// Why a list does not count.
pub(super) enum Unread {
    /// It is not what was received.
    Changed,
    /// It can't be read, or has another structure.
    Unclear(String),
}

/// Whether an object beside the databases is a list, by its name.
pub(super) fn is_list(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

impl List {
    /// Reads a list that was received with this digest.
    pub(super) fn read(path: &Path, received: Sha256Digest) -> Result<Self, Unread> {
        serde_json::from_slice(&text(path, received, BYTES_MAX)?).map_err(|error| Unread::Unclear(error.to_string()))
    }
}

/// The bytes of a file that was received with this digest; one of more than `most` bytes is not read.
pub(super) fn text(path: &Path, received: Sha256Digest, most: u64) -> Result<Vec<u8>, Unread> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut text));
    read.map_err(|error| Unread::Unclear(error.to_string()))?;
    if text.len() as u64 > most {
        return Err(Unread::Unclear(format!("it has more than {most} bytes")));
    }
    if Sha256Digest::of(&text) == received { Ok(text) } else { Err(Unread::Changed) }
}

/// The export that a list is of, by its name.
pub(super) fn export_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    Some(rest.rsplit_once("_from_").map_or(rest, |(id, _)| id))
}

/// The tables that a list covers by its name, counted from 1; none if the name does not show it.
pub(super) fn range(name: &str) -> Option<(u64, u64)> {
    let (rest, to) = name.strip_suffix(SUFFIX)?.rsplit_once("_to_")?;
    let (_, from) = rest.rsplit_once("_from_")?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// The ranges that no list covers, up to the last list.
pub(super) fn gaps(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = 1;
    for (from, to) in ranges {
        if from > next {
            gaps.push((next, from - 1));
        }
        next = next.max(to.saturating_add(1));
    }
    gaps
}

impl Status {
    pub(super) fn is_complete(&self) -> bool {
        self.status.eq_ignore_ascii_case("COMPLETE") && self.warning_message.as_deref().unwrap_or_default().is_empty()
    }

    pub(super) fn in_words(&self) -> String {
        let status = if self.status.is_empty() { "unknown" } else { &self.status };
        match &self.warning_message {
            Some(warning) => format!("its status is {status}: {warning}"),
            None => format!("its status is {status}"),
        }
    }

    /// The columns, in their order.
    pub(super) fn columns(&self) -> Vec<ListedColumn> {
        let mappings = self.schema_metadata.original_type_mappings.iter();
        let column = |mapping: &TypeMapping| ListedColumn {
            name: mapping.column_name.clone(),
            exported: mapping.expected_exported_type.clone(),
        };
        mappings.map(column).collect()
    }
}

/// A column in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedColumn {
    /// Its name.
    pub name: String,
    /// The type of Parquet that it is exported as, such as `binary (UTF8)`.
    pub exported: String,
}

impl ListedColumn {
    /// Whether a file's column has the type stated in the list. A type that is not understood contradicts
    /// nothing.
    pub(super) fn holds(&self, found: &ParquetColumn) -> bool {
        let exported = self.exported.to_ascii_lowercase();
        let physical =
            exported.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_').next().unwrap_or_default();
        let is_text = ["utf8", "string"].iter().any(|word| exported.contains(word));
        match physical {
            "boolean" | "int32" | "int64" | "float" | "double" => {
                found.physical.to_string().eq_ignore_ascii_case(physical)
            }
            "binary" | "byte_array" if is_text => found.sql_type == "text",
            "binary" | "byte_array" if exported == physical => found.sql_type == "bytea",
            _ => true,
        }
    }

    /// The type that the file would have had; text holds everything else.
    pub(super) fn sql_type(&self) -> &'static str {
        let exported = self.exported.to_ascii_lowercase();
        let known = [
            ("boolean", "boolean"),
            ("int32 (int_16", "smallint"),
            ("int32", "integer"),
            ("int64", "bigint"),
            ("float", "real"),
            ("double", "double precision"),
        ];
        let found = known.iter().find(|(begin, _)| exported.starts_with(begin)).map(|(_, sql)| *sql);
        found.unwrap_or(if exported == "binary" { "bytea" } else { "text" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_another_shape_is_no_list() {
        let read = |text: &str| serde_json::from_str::<List>(text).is_ok();
        assert!(read(r#"{"perTableStatus": []}"#));
        assert!(!read("{}") && !read(r#"{"tables": []}"#));
        assert!(!read(r#"{"perTableStatus": [{"name": "shop.public.t", "status": "COMPLETE"}]}"#));
    }

    #[test]
    fn lists_between_which_one_is_missing_have_a_gap() {
        assert_eq!(range("export_tables_info_e_from_1_to_96.json"), Some((1, 96)));
        assert_eq!(range("export_tables_info_x_from_1_to_2_from_97_to_98.json"), Some((97, 98)));
        assert_eq!(range("export_tables_info_e.json"), None);
        assert_eq!(gaps(vec![(97, 120), (1, 96)]), []);
        assert_eq!(gaps(vec![(201, 220), (97, 120)]), [(1, 96), (121, 200)]);
        assert_eq!(gaps(vec![(1, u64::MAX), (2, 3)]), []);
    }

    #[test]
    fn a_list_belongs_to_an_export() {
        assert_eq!(export_of("export_tables_info_e_from_1_to_96.json"), Some("e"));
        assert_eq!(export_of("export_tables_info_x_from_1_to_2_from_97_to_98.json"), Some("x_from_1_to_2"));
        assert_eq!(export_of("export_info_e.json"), None);
    }

    #[test]
    fn a_list_that_was_changed_does_not_count() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("list");
        std::fs::write(&path, r#"{"perTableStatus": []}"#).expect("write");
        assert!(List::read(&path, Sha256Digest::of(r#"{"perTableStatus": []}"#)).is_ok());
        assert!(matches!(List::read(&path, Sha256Digest::of("another")), Err(Unread::Changed)));
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("list");
        std::fs::write(&path, "12345").expect("write");
        let read = |most| text(&path, Sha256Digest::of("12345"), most);
        assert!(matches!(read(5), Ok(text) if text == b"12345"));
        assert!(matches!(read(4), Err(Unread::Unclear(reason)) if reason.contains("more than 4")));
    }
}
