//! Exports of snapshots of RDS databases.
//!
//! Leaves out whether task, bucket, role and key exist: that is found when the provider is queried.

use super::Validator;
use crate::playbook::{
    checked::{Checked, Written},
    document::{RdsExport, SnapshotChoice},
    names::{BucketName, Line},
    problem::{Located, Place, Problem},
    rds::{ExportFrom, ExportSpec, ExportedSnapshot, NewExport},
};

const COMPLETE_WITHIN: &str = "24h";

impl Validator<'_> {
    pub(super) fn export(&self, entry: &Located<RdsExport>) -> Option<ExportSpec> {
        let Located { value: export, place } = entry;
        let complete_within = self.period(&export.complete_within, COMPLETE_WITHIN);
        let from = match (export.task.is_missing(), export.folder.is_missing()) {
            (false, _) => self.export_by_task(export),
            (true, false) => self.export_by_folder(export, place),
            (true, true) => self.new_export(export, place).map(ExportFrom::New),
        };
        Some(ExportSpec { from: from?, complete_within: complete_within? })
    }

    fn export_by_task(&self, export: &RdsExport) -> Option<ExportFrom> {
        let named: [(Option<&Place>, &str); 3] = [
            (export.bucket.optional().map(|bucket| &bucket.place), "bucket"),
            (export.folder.optional().map(|folder| &folder.place), "folder"),
            (export.prefix.optional().map(|prefix| &prefix.place), "prefix"),
        ];
        let hint = "remove the key: RDS says where the files of a task lie";
        self.export_unknown_keys(named.into_iter().chain(making(export)), "`task`", hint);
        self.optional_text(&export.task).map(ExportFrom::Task)
    }

    fn export_by_folder(&self, export: &RdsExport, place: &Place) -> Option<ExportFrom> {
        let prefix = (export.prefix.optional().map(|prefix| &prefix.place), "prefix");
        let hint = "remove the key: an export that is there is only read";
        self.export_unknown_keys(std::iter::once(prefix).chain(making(export)), "`folder`", hint);
        let bucket: Option<BucketName> = self.required_text(&export.bucket, "bucket", place);
        let folder: Option<Line> = self.optional_text(&export.folder);
        let folder = folder.map(|folder| format!("{}/", folder.as_str().trim_end_matches('/')));
        Some(ExportFrom::Files { bucket: bucket?, folder: folder? })
    }

    fn new_export(&self, export: &RdsExport, place: &Place) -> Option<NewExport> {
        let bucket: Option<BucketName> = self.required_text(&export.bucket, "bucket", place);
        let prefix: Option<Line> = self.optional_text(&export.prefix);
        if let Some(prefix) = export.prefix.optional().filter(|prefix| prefix.value.contains(':')) {
            let problem = Problem::at(&prefix.place, "contains a colon, which RDS does not take");
            self.problems.add(problem.hint("choose another prefix"));
        }
        let role = self.required_text(&export.role, "role", place);
        let key = self.required_text(&export.key, "key", place);
        let (per_gb, ceiling) =
            (self.money(&export.per_gb, "per_gb", place), self.money(&export.cost_ceiling, "cost_ceiling", place));
        if let (Some(per_gb), Some(ceiling)) = (&per_gb, &ceiling)
            && per_gb.currency() != ceiling.currency()
        {
            let problem = Problem::at(place, "names two currencies");
            self.problems.add(problem.hint("write `per_gb` and `cost_ceiling` in the same one"));
        }
        Some(NewExport {
            bucket: bucket?,
            prefix: prefix.map(|prefix| prefix.as_str().trim_end_matches('/').to_owned()).unwrap_or_default(),
            role: role?,
            key: key?,
            take: self.exported_snapshot(export)?,
            per_gb: per_gb?,
            cost_ceiling: ceiling?,
        })
    }

    fn exported_snapshot(&self, export: &RdsExport) -> Option<ExportedSnapshot> {
        match (export.snapshot.optional(), export.take.optional()) {
            (Some(snapshot), Some(_)) => {
                let problem = Problem::at(&snapshot.place, "stands beside `take`");
                self.problems.add(problem.hint("keep one of the two"));
                None
            }
            (Some(_), None) => self.optional_text(&export.snapshot).map(ExportedSnapshot::Named),
            (None, take) => Some(match take.map_or_else(SnapshotChoice::default, |take| take.value) {
                SnapshotChoice::Newest => ExportedSnapshot::Newest,
                SnapshotChoice::New => ExportedSnapshot::New,
            }),
        }
    }

    /// Keys that would be ignored, so they are errors.
    fn export_unknown_keys<'p>(
        &self,
        keys: impl Iterator<Item = (Option<&'p Place>, &'p str)>,
        beside: &str,
        hint: &'static str,
    ) {
        for (place, key) in keys {
            if let Some(place) = place {
                self.problems.add(Problem::at(place, format!("`{key}` stands beside {beside}")).hint(hint));
            }
        }
    }
}

/// Keys for a new export only.
fn making(export: &RdsExport) -> [(Option<&Place>, &'static str); 6] {
    [
        (place_of(&export.role), "role"),
        (place_of(&export.key), "key"),
        (export.take.optional().map(|take| &take.place), "take"),
        (place_of(&export.snapshot), "snapshot"),
        (place_of_written(&export.per_gb), "per_gb"),
        (place_of_written(&export.cost_ceiling), "cost_ceiling"),
    ]
}

fn place_of(field: &Checked<String>) -> Option<&Place> {
    field.optional().map(|field| &field.place)
}

fn place_of_written(field: &Checked<Written>) -> Option<&Place> {
    field.optional().map(|field| &field.place)
}
