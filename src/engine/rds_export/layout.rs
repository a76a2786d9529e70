//! Which tables the objects of an export are: its folders held against the lists that RDS writes beside them.
//!
//! Source: Amazon RDS user guide, "File naming conventions for exports to Amazon S3":
//! `<export>/<database>/<schema>.<table>/<batch>/part-<n>-<uuid>.gz.parquet`, where numbers of parts may be missing, with an
//! empty `_SUCCESS` in each batch; and `export_tables_info_<export>_from_<n>_to_<m>.json` with a status for each table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::scope::{Scope, in_keys};
use crate::{
    engine::work::Work,
    finding::{Finding, FindingKind},
    pg::name::RelationName,
    playbook::DatabaseSpec,
    transfer::receipt::ObjectReceipt,
};

const LIST_PREFIX: &str = "export_tables_info_";
/// A list of tables is some hundred bytes for each column.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// How many bytes of an identifier PostgreSQL keeps.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// The tables of an export.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exported {
    /// Those that can be loaded.
    pub tables: Vec<ExportedTable>,
    /// How many the lists name, tables that the playbook leaves out included.
    pub listed: u64,
    /// What is missing, skipped or unclear.
    pub findings: Vec<Finding>,
}

/// A table with its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExportedTable {
    pub name: RelationName,
    /// In the order of batches and parts; none of a table without rows.
    pub files: Vec<PathBuf>,
    /// Name and type of each column as the lists have them, for a table without files.
    pub listed_columns: Vec<(String, String)>,
}

/// `export_tables_info_….json`, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
struct List {
    #[serde(rename = "perTableStatus", default)]
    tables: Vec<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    /// `database.schema.table`.
    target: String,
    status: String,
    warning_message: Option<String>,
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

/// A folder of a table.
#[derive(Debug, Default)]
struct Folder {
    /// Batch and file name, and where it lies.
    parts: Vec<(u64, String, PathBuf)>,
    /// Whether RDS said of a batch that it is whole.
    marked: bool,
}

/// Sorts the files that were carried into tables.
pub(super) fn read(
    work: &Work,
    spec: &DatabaseSpec,
    scope: &Scope,
    receipts: &[ObjectReceipt],
    root: &Path,
) -> Exported {
    let database = match &spec.server {
        crate::playbook::Server::Rds(rds) => rds.database.as_str(),
        crate::playbook::Server::Url { .. } => "",
    };
    let mut reading =
        Reading { asset: &work.asset, database, findings: Vec::new(), folders: BTreeMap::new(), lists: None };
    for receipt in receipts {
        match (scope.below(&receipt.key), scope.of_database(&receipt.key)) {
            (_, Some(within)) => reading.take_file(within, root.join(&receipt.path)),
            (Some(beside), None) if beside.starts_with(LIST_PREFIX) && beside.ends_with(".json") => {
                reading.take_list(beside, &root.join(&receipt.path));
            }
            _ => {}
        }
    }
    let excluded: BTreeSet<_> =
        spec.exclude_tables.iter().map(|table| format!("{}.{}", table.name.schema(), table.name.table())).collect();
    reading.finish(&excluded)
}

struct Reading<'a> {
    asset: &'a str,
    database: &'a str,
    findings: Vec<Finding>,
    folders: BTreeMap<String, Folder>,
    /// Tables of the database by their names; none while no list was read.
    lists: Option<Vec<(String, Status)>>,
}

impl Reading<'_> {
    fn find(&mut self, kind: FindingKind, subject: impl Into<String>, detail: impl Into<String>) {
        self.findings.push(Finding::of(self.asset, kind, subject, detail));
    }

    /// `schema.table/batch/part-….parquet`.
    fn take_file(&mut self, within: &str, path: PathBuf) {
        let mut steps = within.split('/');
        let (table, rest): (&str, Vec<&str>) = (steps.next().unwrap_or_default(), steps.collect());
        let name = rest.last().copied().unwrap_or_default();
        let batch = match rest[..] {
            [batch, _] => batch.parse().ok(),
            // Exports of earlier years have no batches.
            [_] => Some(0),
            _ => None,
        };
        match batch {
            Some(batch) if name.ends_with(".parquet") => {
                let folder = self.folders.entry(table.to_owned()).or_default();
                folder.parts.push((batch, name.to_owned(), path));
            }
            _ if name.eq_ignore_ascii_case("_SUCCESS") => {
                self.folders.entry(table.to_owned()).or_default().marked = true;
            }
            _ => self.find(
                FindingKind::Deviation,
                within,
                "is no file that an export of RDS consists of; it was not loaded",
            ),
        }
    }

    fn take_list(&mut self, name: &str, path: &Path) {
        let read = File::open(path).and_then(|file| {
            let mut text = String::new();
            file.take(LIST_BYTES_MAX).read_to_string(&mut text)?;
            Ok(serde_json::from_str::<List>(&text)?)
        });
        match read {
            Ok(list) => self.take_statuses(list.tables),
            Err(error) => self.find(FindingKind::NotProven, name, format!("the list can't be read: {error}")),
        }
    }

    fn take_statuses(&mut self, statuses: Vec<Status>) {
        let lists = self.lists.get_or_insert_default();
        let mut whole = Vec::new();
        for status in statuses {
            match status.target.strip_prefix(self.database) {
                Some("") => whole.push(status),
                Some(rest) if rest.starts_with('.') => lists.push((rest[1..].to_owned(), status)),
                _ => {}
            }
        }
        for status in whole.into_iter().filter(|status| !status.is_complete()) {
            self.find(FindingKind::TableSkipped, self.database, status.in_words());
        }
    }

    fn finish(mut self, excluded: &BTreeSet<String>) -> Exported {
        let listed = self.lists.take();
        if listed.is_none() && !self.folders.is_empty() {
            let detail = "no export_tables_info file is there, so nobody can tell which tables are missing";
            self.find(FindingKind::NotProven, "the list of tables", detail);
        }
        let number = listed.as_ref().map_or(0, |listed| listed.len() as u64);
        let mut by_folder: BTreeMap<String, Vec<(String, Status)>> = BTreeMap::new();
        for (name, status) in listed.iter().flatten().filter(|(name, _)| !excluded.contains(name)) {
            by_folder.entry(in_keys(name)).or_default().push((name.clone(), status.clone()));
        }
        let mut tables = Vec::new();
        for (folder, named) in by_folder {
            let files = self.folders.remove(&folder);
            match &named[..] {
                [(name, status)] => tables.extend(self.listed_table(name, status, files)),
                several => {
                    let names = several.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" and ");
                    self.find(FindingKind::TableUnreadable, names, format!("all have the folder {folder}"));
                }
            }
        }
        let excluded: BTreeSet<_> = excluded.iter().map(|name| in_keys(name)).collect();
        for (folder, files) in std::mem::take(&mut self.folders) {
            if excluded.contains(&folder) {
                continue;
            }
            if listed.is_some() {
                self.find(FindingKind::Deviation, &folder, "the export's list of tables does not name it");
            }
            tables.extend(self.named(&folder).map(|name| files.into_table(name, Vec::new())));
        }
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        Exported { tables, listed: number, findings: self.findings }
    }

    fn listed_table(&mut self, name: &str, status: &Status, files: Option<Folder>) -> Option<ExportedTable> {
        if !status.is_complete() {
            self.find(FindingKind::TableSkipped, name, status.in_words());
        }
        match files {
            None if status.is_complete() => {
                self.find(FindingKind::ExportIncomplete, name, "listed as exported, and no file of it is there");
                None
            }
            None => None,
            Some(files) => {
                let columns = status.schema_metadata.original_type_mappings.iter().map(TypeMapping::column).collect();
                self.named(name).map(|name| files.into_table(name, columns))
            }
        }
    }

    /// Schema and table of a name in which only a dot stands between them.
    fn named(&mut self, text: &str) -> Option<RelationName> {
        let parts = text.split_once('.').filter(|(schema, table)| {
            [schema, table]
                .iter()
                .all(|part| !part.is_empty() && part.len() <= IDENTIFIER_BYTES_MAX && !part.contains('\0'))
        });
        let Some((schema, table)) = parts else {
            self.find(FindingKind::TableUnreadable, text, "is not the name of a schema and a table");
            return None;
        };
        if table.contains('.') {
            self.find(
                FindingKind::Deviation,
                text,
                "has several dots; what stands before the first is taken for the schema",
            );
        }
        Some(RelationName { schema: schema.to_owned(), name: table.to_owned() })
    }
}

impl Folder {
    fn into_table(mut self, name: RelationName, listed_columns: Vec<(String, String)>) -> ExportedTable {
        self.parts.sort();
        let files = self.parts.into_iter().map(|(.., path)| path).collect();
        ExportedTable { name, files, listed_columns }
    }
}

impl Status {
    fn is_complete(&self) -> bool {
        self.status.eq_ignore_ascii_case("COMPLETE") && self.warning_message.as_deref().unwrap_or_default().is_empty()
    }

    fn in_words(&self) -> String {
        let status = if self.status.is_empty() { "unknown" } else { &self.status };
        match &self.warning_message {
            Some(warning) => format!("its status is {status}: {warning}"),
            None => format!("its status is {status}"),
        }
    }
}

impl TypeMapping {
    /// The type that the file would have had; text holds everything else.
    fn column(&self) -> (String, String) {
        let exported = self.expected_exported_type.to_ascii_lowercase();
        let known = [
            ("boolean", "boolean"),
            ("int32 (int_16", "smallint"),
            ("int32", "integer"),
            ("int64", "bigint"),
            ("float", "real"),
            ("double", "double precision"),
        ];
        let found = known.iter().find(|(begin, _)| exported.starts_with(begin)).map(|(_, sql)| *sql);
        let sql = found.unwrap_or(if exported == "binary" { "bytea" } else { "text" });
        (self.column_name.clone(), sql.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading<'a>(files: &[&str], list: Option<&str>) -> Reading<'a> {
        let (findings, folders) = (Vec::new(), BTreeMap::new());
        let mut reading = Reading { asset: "a", database: "shop", findings, folders, lists: None };
        files.iter().for_each(|file| reading.take_file(file, PathBuf::from(file)));
        if let Some(list) = list {
            reading.take_statuses(serde_json::from_str::<List>(list).expect("list").tables);
        }
        reading
    }

    fn finish(files: &[&str], list: Option<&str>) -> (Vec<String>, Vec<(FindingKind, String)>) {
        let exported = reading(files, list).finish(&BTreeSet::from(["public.left_out".to_owned()]));
        let tables = exported.tables.iter().map(|table| format!("{} {}", table.name, table.files.len())).collect();
        (tables, exported.findings.into_iter().map(|finding| (finding.kind, finding.subject)).collect())
    }

    fn complete(target: &str) -> String {
        format!(r#"{{"target": "{target}", "status": "COMPLETE", "schemaMetadata": {{"originalTypeMappings": []}}}}"#)
    }

    #[test]
    fn parts_are_ordered_by_batch_and_may_have_gaps() {
        let files =
            ["public.t/10/part-00000-a.gz.parquet", "public.t/2/part-00007-a.gz.parquet", "public.t/2/_SUCCESS"];
        let list = format!(r#"{{"perTableStatus": [{}]}}"#, complete("shop.public.t"));
        let exported = reading(&files, Some(&list)).finish(&BTreeSet::new());
        assert_eq!(exported.tables[0].files, [PathBuf::from(files[1]), PathBuf::from(files[0])]);
        assert_eq!((exported.findings, exported.listed), (Vec::new(), 1));
    }

    #[test]
    fn what_is_missing_skipped_or_unlisted_is_named() {
        let list = format!(
            r#"{{"perTableStatus": [{}, {}, {}, {}, {}]}}"#,
            complete("shop.public.empty"),
            complete("shop.public.gone"),
            complete("shop.public.left_out"),
            r#"{"target": "shop.public.wide", "status": "SKIPPED", "warningMessage": "a row is too large"}"#,
            complete("shops.public.other"),
        );
        let files =
            ["public.empty/1/_SUCCESS", "public.more/1/part-0.parquet", "public.more/x/y/z", "nodot/1/a.parquet"];
        let (tables, findings) = finish(&files, Some(&list));
        assert_eq!(tables, ["public.empty 0", "public.more 1"]);
        let expected = [
            (FindingKind::Deviation, "public.more/x/y/z"),
            (FindingKind::ExportIncomplete, "public.gone"),
            (FindingKind::TableSkipped, "public.wide"),
            (FindingKind::Deviation, "nodot"),
            (FindingKind::TableUnreadable, "nodot"),
            (FindingKind::Deviation, "public.more"),
        ];
        assert_eq!(findings, expected.map(|(kind, subject)| (kind, subject.to_owned())));
    }

    #[test]
    fn names_that_keys_spell_alike_are_not_guessed_apart() {
        let list =
            format!(r#"{{"perTableStatus": [{}, {}]}}"#, complete("shop.public.a b"), complete("shop.public.a_b"));
        let (tables, findings) = finish(&["public.a_b/1/part-0.parquet"], Some(&list));
        assert_eq!((tables.len(), findings[0].0), (0, FindingKind::TableUnreadable));
    }

    #[test]
    fn without_a_list_nobody_knows_what_is_missing() {
        let (tables, findings) = finish(&["public.t/1/part-0.parquet"], None);
        assert_eq!((tables.len(), findings[0].0), (1, FindingKind::NotProven));
    }
}
