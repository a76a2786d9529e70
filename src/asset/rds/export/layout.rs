//! Which tables the objects of an export are: its folders compared with the lists that RDS writes beside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    folders::{self, ExportedFile, Flaw, Folders},
    info::{self, Known},
    lists::{self, List, ListedColumn, Status, Unread},
    scope::{Scope, in_keys},
};
use crate::{
    asset::{database::rows_proof::excluded, work::Work},
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    pg::name::RelationName,
    playbook::DatabaseSpec,
    transfer::receipt::ObjectReceipt,
};

/// How many bytes of an identifier PostgreSQL keeps.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// The tables of an export.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exported {
    /// Those that can be loaded.
    pub tables: Vec<ExportedTable>,
    /// The number of tables in the lists, including excluded tables.
    pub listed: u64,
    /// What is missing, skipped or unclear.
    pub findings: Vec<Finding>,
}

/// A table with its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExportedTable {
    pub name: RelationName,
    /// In the order of batches and parts; none of a table without rows.
    pub files: Vec<ExportedFile>,
    /// The columns according to the lists; none if no list has any.
    pub listed_columns: Vec<ListedColumn>,
}

/// Sorts the copied files into tables.
pub(super) fn read(
    work: &Work,
    spec: &DatabaseSpec,
    scope: &Scope,
    receipts: &[ObjectReceipt],
    root: &Path,
    known: &Known,
) -> Exported {
    let mut reading = Reading::new(&work.asset, known);
    for receipt in receipts {
        match (scope.below(&receipt.key), scope.of_database(&receipt.key)) {
            (_, Some(within)) => {
                reading.take_file(within, ExportedFile { path: root.join(&receipt.path), sha256: receipt.sha256 });
            }
            (Some(beside), None) if lists::is_list(beside) => {
                reading.take_list(beside, &root.join(&receipt.path), receipt.sha256);
            }
            (Some(beside), None) if info::export_of(beside).is_some() => {
                reading.take_info(beside, &root.join(&receipt.path), receipt.sha256);
            }
            (Some(beside), None) if folders::is_part(beside) => reading.flawed(folders::astray(beside)),
            _ => {}
        }
    }
    reading.finish(&excluded(spec).into_iter().map(|table| table.table).collect())
}

struct Reading<'a> {
    asset: &'a str,
    known: &'a Known,
    findings: Vec<Finding>,
    folders: Folders,
    /// Tables of the database by their names; none while no list was read.
    lists: Option<Vec<(String, Status)>>,
    /// The tables that the lists cover, by their names.
    ranges: Vec<(u64, u64)>,
    /// The exports of lists and records, by their names.
    exports: BTreeSet<String>,
    has_info: bool,
}

impl<'a> Reading<'a> {
    fn new(asset: &'a str, known: &'a Known) -> Self {
        let (findings, folders, ranges, exports) = Default::default();
        Reading { asset, known, findings, folders, lists: None, ranges, exports, has_info: false }
    }

    fn find(&mut self, kind: FindingKind, subject: impl Into<String>, detail: impl Into<String>) {
        self.findings.push(Finding::of(self.asset, kind, subject, detail));
    }

    fn flawed(&mut self, (kind, subject, detail): Flaw) {
        self.find(kind, subject, detail);
    }

    fn take_file(&mut self, within: &str, file: ExportedFile) {
        if !self.folders.take(within, file) {
            let detail = "is no file that an export of RDS consists of; it was not loaded";
            self.find(FindingKind::Deviation, within, detail);
        }
    }

    fn take_list(&mut self, name: &str, path: &Path, received: Sha256Digest) {
        self.exports.extend(lists::export_of(name).map(str::to_owned));
        match List::read(path, received) {
            Ok(list) => {
                self.counted(name, list.tables.len() as u64);
                self.take_statuses(list.tables);
            }
            Err(unread) => self.unread(name, unread),
        }
    }

    /// The name of a list states how many tables it covers.
    fn counted(&mut self, name: &str, tables: u64) {
        let Some((from, to)) = lists::range(name) else { return };
        let expected = to.checked_sub(from).map(|more| more.saturating_add(1));
        if expected != Some(tables) {
            let detail = format!("is of the tables {from} to {to} by its name, and names {tables}");
            self.find(FindingKind::NotProven, name, detail);
        }
        if self.ranges.iter().any(|(begin, end)| from <= *end && *begin <= to) {
            let detail = "is of tables that another list is of, too";
            self.find(FindingKind::ExportContradicts, name, detail);
        }
        self.ranges.push((from, to));
    }

    fn take_info(&mut self, name: &str, path: &Path, received: Sha256Digest) {
        self.has_info = true;
        self.exports.extend(info::export_of(name).map(str::to_owned));
        match info::read(name, path, received, self.known) {
            Ok(flaws) => flaws.into_iter().for_each(|flaw| self.flawed(flaw)),
            Err(unread) => self.unread(name, unread),
        }
    }

    fn unread(&mut self, name: &str, unread: Unread) {
        match unread {
            Unread::Changed => {
                self.find(FindingKind::ObjectDigest, name, "is not what was received; it was not read");
            }
            Unread::Unclear(reason) => self.find(FindingKind::NotProven, name, format!("can't be read: {reason}")),
        }
    }

    /// Whether lists and records are of one export, and of the task.
    fn of_one_export(&mut self) {
        let expected = self.known.task.as_ref().map(|task| task.id.clone()).filter(|id| !id.is_empty());
        let all: BTreeSet<String> = expected.into_iter().chain(std::mem::take(&mut self.exports)).collect();
        if all.len() > 1 {
            let names: Vec<_> = all.into_iter().collect();
            let detail = format!("its folder has files of several exports: {}", names.join(", "));
            self.find(FindingKind::ExportContradicts, "the export", detail);
        }
        if !self.has_info && !self.folders.is_empty() {
            let detail = "no export_info file is there, so nothing says that it is complete, and of what it is";
            self.find(FindingKind::NotProven, "the export's record", detail);
        }
    }

    fn take_statuses(&mut self, statuses: Vec<Status>) {
        let lists = self.lists.get_or_insert_default();
        let mut whole = Vec::new();
        for status in statuses {
            match status.target.strip_prefix(&self.known.database) {
                Some("") => whole.push(status),
                Some(rest) if rest.starts_with('.') => lists.push((rest[1..].to_owned(), status)),
                _ => {}
            }
        }
        for status in whole.into_iter().filter(|status| !status.is_complete()) {
            self.find(FindingKind::TableSkipped, &self.known.database, status.in_words());
        }
    }

    fn finish(mut self, excluded: &BTreeSet<String>) -> Exported {
        self.of_one_export();
        let listed = self.lists.take();
        if listed.is_none() && !self.folders.is_empty() {
            let detail = "no export_tables_info file is there, so missing tables cannot be detected";
            self.find(FindingKind::NotProven, "the list of tables", detail);
        }
        for (from, to) in lists::gaps(std::mem::take(&mut self.ranges)) {
            let detail =
                format!("no list was read of tables {from} to {to}, so nothing shows which of them are missing");
            self.find(FindingKind::NotProven, "the list of tables", detail);
        }
        let left_out: BTreeSet<_> = excluded.iter().map(|name| in_keys(name)).collect();
        self.folders.flaws(&left_out).into_iter().for_each(|flaw| self.flawed(flaw));
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
                [(name, status), more @ ..] if more.iter().all(|(other, _)| other == name) => {
                    self.find(FindingKind::ExportContradicts, name, "the export's lists name it more than once");
                    tables.extend(self.listed_table(name, status, files));
                }
                several => {
                    let names = several.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" and ");
                    self.find(FindingKind::TableUnreadable, names, format!("all have the folder {folder}"));
                }
            }
        }
        let rest = std::mem::take(&mut self.folders).into_rest();
        for (folder, files) in rest.filter(|(folder, _)| !left_out.contains(folder)) {
            if listed.is_some() {
                self.find(FindingKind::Deviation, &folder, "the export's list of tables does not name it");
            }
            tables.extend(self.named(&folder).map(|name| ExportedTable { name, files, listed_columns: Vec::new() }));
        }
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        Exported { tables, listed: number, findings: self.findings }
    }

    fn listed_table(&mut self, name: &str, status: &Status, files: Option<Vec<ExportedFile>>) -> Option<ExportedTable> {
        if !status.is_complete() {
            self.find(FindingKind::TableSkipped, name, status.in_words());
        }
        match files {
            None if status.is_complete() => {
                self.find(FindingKind::ExportIncomplete, name, "listed as exported, and no file of it is there");
                None
            }
            None => None,
            Some(files) => self.named(name).map(|name| ExportedTable { name, files, listed_columns: status.columns() }),
        }
    }

    /// Schema and table of a name separated by a single dot.
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
                "has several dots; the part before the first is used as the schema",
            );
        }
        Some(RelationName { schema: schema.to_owned(), name: table.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::LazyLock};

    use super::*;
    use crate::provider::rds::export::ExportFacts;

    fn file(path: &str) -> ExportedFile {
        ExportedFile { path: PathBuf::from(path), sha256: Sha256Digest::of(path) }
    }

    static KNOWN: LazyLock<Known> = LazyLock::new(|| Known { database: "shop".to_owned(), ..Known::default() });

    fn reading<'a>(files: &[&str], list: Option<&str>) -> Reading<'a> {
        let mut reading = Reading::new("a", &KNOWN);
        reading.has_info = true;
        files.iter().for_each(|path| reading.take_file(path, file(path)));
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
        let files = [
            "public.t/10/part-00000-a.gz.parquet",
            "public.t/2/part-00007-a.gz.parquet",
            "public.t/2/_SUCCESS",
            "public.t/10/_SUCCESS",
        ];
        let list = format!(r#"{{"perTableStatus": [{}]}}"#, complete("shop.public.t"));
        let exported = reading(&files, Some(&list)).finish(&BTreeSet::new());
        assert_eq!(exported.tables[0].files, [file(files[1]), file(files[0])]);
        let gaps: Vec<_> = exported.findings.iter().map(|finding| &finding.detail[..14]).collect();
        assert_eq!((gaps, exported.listed), (vec!["has no batch 1", "has no batch 9"], 1));
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
        let files = [
            "public.empty/1/_SUCCESS",
            "public.more/1/part-0.parquet",
            "public.more/1/_SUCCESS",
            "public.more/x/y/z",
            "nodot/1/a.parquet",
            "nodot/1/_SUCCESS",
            "public.left_out/1/a.parquet",
            "public.left_out/x/y/b.parquet",
        ];
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
    fn a_part_astray_or_in_a_batch_that_is_not_whole_is_missed() {
        let list = format!(
            r#"{{"perTableStatus": [{}, {}, {}]}}"#,
            complete("shop.public.t"),
            complete("shop.public.only"),
            complete("shop.public.old")
        );
        let files = [
            "public.t/1/part-0.parquet",
            "public.t/1/_SUCCESS",
            "public.t/2/part-0.parquet",
            "public.t/new/2/part-1.gz.parquet",
            "public.t/1/part-1.csv.gz",
            "public.only/new/part-0.gz.parquet",
            "public.old/part-0.gz.parquet",
            "part-0.gz.parquet",
        ];
        let (tables, findings) = finish(&files, Some(&list));
        assert_eq!(tables, ["public.old 1", "public.t 2"]);
        let expected = [
            (FindingKind::ExportIncomplete, "part-0.gz.parquet"),
            (FindingKind::ExportIncomplete, "public.only/new/part-0.gz.parquet"),
            (FindingKind::ExportIncomplete, "public.t/new/2/part-1.gz.parquet"),
            (FindingKind::ExportIncomplete, "public.t/1/part-1.csv.gz"),
            (FindingKind::ExportIncomplete, "public.t/2"),
            (FindingKind::NotProven, "the batches"),
            (FindingKind::ExportIncomplete, "public.only"),
        ];
        assert_eq!(findings, expected.map(|(kind, subject)| (kind, subject.to_owned())));
    }

    #[test]
    fn a_list_that_is_missing_between_others_is_missed() {
        let mut reading = reading(&[], Some(r#"{"perTableStatus": []}"#));
        reading.ranges = vec![(1, 2), (5, 6)];
        let findings = reading.finish(&BTreeSet::new()).findings;
        assert!(
            findings[0].kind == FindingKind::NotProven && findings[0].detail.contains("tables 3 to 4"),
            "{findings:?}"
        );
    }

    #[test]
    fn parts_with_one_number_batches_astray_and_gaps_between_them_are_named() {
        let list = format!(r#"{{"perTableStatus": [{0}, {0}]}}"#, complete("shop.public.t"));
        let files = [
            "public.t/1/part-00000-a.gz.parquet",
            "public.t/1/part-00000-b.gz.parquet",
            "public.t/1/part-00001-a.gz.parquet",
            "public.t/1/_SUCCESS",
            "public.t/3/part-00000-a.gz.parquet",
            "public.t/3/_SUCCESS",
            "public.t/03/part-00001-a.gz.parquet",
        ];
        let (tables, findings) = finish(&files, Some(&list));
        assert_eq!(tables, ["public.t 4"]);
        let expected = [
            (FindingKind::ExportIncomplete, "public.t/03/part-00001-a.gz.parquet"),
            (FindingKind::ExportContradicts, "public.t/1"),
            (FindingKind::NotProven, "public.t"),
            (FindingKind::ExportContradicts, "public.t"),
        ];
        assert_eq!(findings, expected.map(|(kind, subject)| (kind, subject.to_owned())));
    }

    #[test]
    fn what_lies_beside_the_tables_is_of_one_export_and_says_what_its_name_does() {
        let task = ExportFacts { id: "mine".to_owned(), ..ExportFacts::default() };
        let known = Known { task: Some(task), ..KNOWN.clone() };
        let findings = |names: &[(&str, u64)]| {
            let mut reading = Reading::new("a", &known);
            reading.take_file("public.t/1/part-0.parquet", file("part"));
            for (name, tables) in names {
                reading.exports.extend(lists::export_of(name).map(str::to_owned));
                reading.counted(name, *tables);
            }
            reading.of_one_export();
            reading.findings.into_iter().map(|finding| (finding.kind, finding.subject)).collect::<Vec<_>>()
        };
        use FindingKind::{ExportContradicts, NotProven};
        let record = (NotProven, "the export's record".to_owned());
        let list = |number: &str| format!("export_tables_info_mine_from_{number}.json");
        assert_eq!(findings(&[(&list("1_to_3"), 3), (&list("4_to_4"), 1)]), std::slice::from_ref(&record));
        assert_eq!(findings(&[(&list("1_to_3"), 2)]), [(NotProven, list("1_to_3")), record.clone()]);
        let twice = findings(&[(&list("1_to_3"), 3), (&list("3_to_4"), 2)]);
        assert_eq!(twice, [(ExportContradicts, list("3_to_4")), record.clone()]);
        let other = findings(&[("export_tables_info_other_from_1_to_1.json", 1)]);
        assert_eq!(other, [(ExportContradicts, "the export".to_owned()), record]);
    }

    #[test]
    fn names_that_keys_spell_alike_are_not_guessed_apart() {
        let list =
            format!(r#"{{"perTableStatus": [{}, {}]}}"#, complete("shop.public.a b"), complete("shop.public.a_b"));
        let (tables, findings) = finish(&["public.a_b/1/part-0.parquet", "public.a_b/1/_SUCCESS"], Some(&list));
        assert_eq!((tables.len(), findings[0].0), (0, FindingKind::TableUnreadable));
    }

    #[test]
    fn without_a_list_nobody_knows_what_is_missing() {
        let (tables, findings) = finish(&["public.t/1/part-0.parquet"], None);
        assert_eq!((tables.len(), findings[0].0), (1, FindingKind::NotProven));
    }
}
