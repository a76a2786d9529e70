//! Whether the receipts in the bundle are those with digests in the journal, and whether what a PASS is based on
//! adds up to them: objects and tables that were checked, damage that was planted.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AssetCheck, earlier,
    units::{Unit, Units},
};
use crate::{
    domain::{digest::Sha256Digest, event::AssetKind, finding::Finding},
    evidence::{
        check::journal::BINDING,
        contents::{JOURNAL, RESULT, inconsistent},
        tables::{Lists, TABLES_NDJSON, lists_of},
    },
    transfer::receipt::TableReceipt,
};

/// The control that plants nothing.
const INTACT: &str = "none (an intact copy is accepted)";
/// What is planted in a copy of an object, and in rows.
const OBJECT_DAMAGE: [&str; 4] = ["one byte changed", "one byte added", "file removed", "metadata changed"];
const ROW_DAMAGE: [&str; 4] = ["one byte changed", "one row dropped", "one row doubled", "NULL turned into ''"];
/// Every check that an asset can have.
const CHECKS: [&str; 13] = [
    "objects",
    "rows",
    "digest",
    "spool",
    "sequences",
    "catalog",
    "large objects",
    "generated columns",
    "materialized views",
    "extensions' tables",
    "checks",
    "live count",
    "live columns",
];
/// Those without which no copy is proven: an object without content has no byte to change.
const OBJECT_DAMAGE_LEAST: [&str; 2] = ["one byte added", "file removed"];

impl AssetCheck<'_> {
    /// Units are those of the journal, one by one. An older version's receipts can be assigned only where all
    /// are in one unit.
    pub(super) fn compare_units(&self, name: &str, units: Units) -> Option<Finding> {
        let replay = self.replay.assets.get(self.asset.id.as_str())?;
        let told: BTreeMap<&str, Unit> = replay
            .receipts
            .iter()
            .map(|(unit, digest)| {
                let (items, bytes) = replay.units.get(unit).copied().unwrap_or_default();
                (*unit, (*digest, items, bytes))
            })
            .collect();
        if self.version >= BINDING && self.by_several_builds() && units.are_unnamed() {
            return Some(earlier(name));
        }
        let same = if self.version < BINDING { units.fit_older(&told) } else { units.fit(&told) };
        (!same).then(|| inconsistent(name, format!("the receipts are not those of which {JOURNAL} has the digests")))
    }

    /// The receipts of tables are those of the journal, and the lists follow from them.
    pub(super) fn compare_table_receipts(&self, lists: &Lists) -> Vec<Finding> {
        let name = self.file(TABLES_NDJSON);
        if self.version < BINDING {
            let is_there = self.bag.files.contains_key(&name);
            return is_there.then(|| inconsistent(&name, "belongs to a later version")).into_iter().collect();
        }
        let text = match self.bag.read(&name) {
            Ok(text) => text,
            Err(error) => return vec![self.lacks(&name, &error)],
        };
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let receipts: Result<Vec<TableReceipt>, _> = lines.iter().map(|line| serde_json::from_slice(line)).collect();
        let Ok(receipts) = receipts else { return vec![inconsistent(&name, "has a line that is no receipt")] };
        let mut findings = Vec::new();
        let mut found: Vec<_> = lines.into_iter().map(Sha256Digest::of).collect();
        let told = self.replay.assets.get(self.asset.id.as_str()).map(|replay| replay.receipts.values().copied());
        let mut told: Vec<_> = told.into_iter().flatten().collect();
        found.sort_unstable();
        told.sort_unstable();
        if found != told {
            findings
                .push(inconsistent(&name, format!("the receipts are not those of which {JOURNAL} has the digests")));
        }
        let key = self.asset.database.as_ref().map(|database| database.row_key);
        if key.is_some_and(|key| lists_of(receipts.iter(), key) != *lists) {
            findings.push(inconsistent(&name, "the lists of tables and exports do not follow from it"));
        }
        findings
    }

    /// For an asset that passed, what was compared is what was copied.
    pub(super) fn compare_checks(&self) -> Vec<Finding> {
        let expected: &[(&str, u64)] = match (&self.asset.database, self.asset.kind) {
            (Some(database), AssetKind::Postgres) => &[("rows", database.tables), ("digest", database.tables)],
            _ => &[("objects", self.asset.items)],
        };
        let mut findings = Vec::new();
        for (name, number) in expected {
            let checks: Vec<_> = self.asset.checks.iter().filter(|check| check.name == *name).collect();
            if checks.len() != 1 || checks.iter().any(|check| check.expected != *number) {
                let detail =
                    format!("verdict is PASS, {number} were carried, and {name} were not expected to be as many");
                findings.push(inconsistent(RESULT, detail));
            }
        }
        let names: BTreeSet<_> = self.asset.checks.iter().map(|check| &check.name).collect();
        if names.len() != self.asset.checks.len() {
            findings.push(inconsistent(RESULT, "two checks have one name"));
        }
        for check in self.asset.checks.iter().filter(|check| !CHECKS.contains(&check.name.as_str())) {
            findings.push(inconsistent(RESULT, format!("a check is called {:?}, which none is", check.name)));
        }
        findings
    }

    /// Each control plants damage that the verifier knows, except the one that plants none; and those that always can be
    /// planted were.
    pub(super) fn planted(&self) -> Vec<Finding> {
        let (known, least): (&[&str], &[&str]) = match self.asset.kind {
            AssetKind::S3 => (&OBJECT_DAMAGE, &OBJECT_DAMAGE_LEAST),
            AssetKind::Postgres => (&ROW_DAMAGE, &ROW_DAMAGE),
        };
        let ran: Vec<&str> = self.asset.controls.iter().map(|control| control.damage.as_str()).collect();
        let mut findings = Vec::new();
        for damage in ran.iter().filter(|damage| **damage != INTACT && !known.contains(damage)) {
            findings.push(inconsistent(RESULT, format!("a control plants {damage:?}, which is no damage")));
        }
        let lacking = least.iter().chain([&INTACT]).find(|damage| !ran.contains(damage));
        if let Some(damage) = lacking.filter(|_| self.passed()) {
            findings.push(inconsistent(RESULT, format!("verdict is PASS, and the control {damage:?} never ran")));
        }
        findings
    }
}
