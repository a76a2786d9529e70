//! The proof of one restored database: rows, digests, sequences, catalog and exports, the verifier's control, and the
//! asset's evidence and result.

use std::collections::BTreeMap;

use super::{
    exclusions, large_objects,
    ownership::Ownership,
    refusals,
    rows_proof::{Beside, RowsProof, checks},
    views::{self, View},
};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    domain::{
        digest::{RowKey, Sha256Digest},
        event::AssetKind,
        finding::{Finding, Verdict},
        proof::Tier,
    },
    evidence::result::{AssetResult, DatabaseResult, ExcludedTable, SourceLoad, Timings},
    pg::{
        catalog::{self, Catalog, CatalogKey, DatabaseFacts, SequenceState, multiranges},
        large::LargeObject,
    },
    playbook::{DatabaseCheck, DatabaseSpec},
    restore::{
        constraints::Mark,
        database::{RefusedStatement, TargetDatabase},
    },
    transfer::receipt::TableReceipt,
    verify::{
        Comparison,
        catalog::{Spellings, compare_catalogs},
        generated,
        state::State,
        tables::compare_sequences,
    },
};

/// What was restored, and what was read of the source.
pub(crate) struct Restored {
    pub work: Work,
    pub spec: DatabaseSpec,
    pub source_name: String,
    pub snapshot: String,
    pub facts: DatabaseFacts,
    pub load: SourceLoad,
    pub target_version: String,
    pub database: TargetDatabase,
    pub key: RowKey,
    pub receipts: Vec<TableReceipt>,
    /// Where the catalog shows constraints that rows of the source do not satisfy.
    pub marks: Vec<Mark>,
    /// The parts of the schema that the target refused, named in findings.
    pub refused: Vec<RefusedStatement>,
    pub sequences: Vec<SequenceState>,
    pub catalog: Catalog,
    pub spellings: Spellings,
    pub large_objects: Vec<LargeObject>,
    pub ownership: Ownership,
    pub views: Vec<View>,
    pub excluded: Vec<ExcludedTable>,
}

/// Milliseconds of the previous phases.
pub(crate) struct Phases {
    pub transfer_ms: u64,
    pub rebuild_ms: u64,
}

impl Restored {
    /// Compares everything and writes the asset's evidence; `findings` are those of the transfer.
    pub(super) fn prove(&self, mut findings: Vec<Finding>, before: &Phases) -> Result<AssetResult, Stop> {
        let Phases { transfer_ms, rebuild_ms } = *before;
        let watch = Stopwatch::start();
        let unread: Vec<_> = findings.iter().filter(|finding| is_unread_table(finding)).collect();
        let unread_tables: Vec<_> = unread.iter().map(|finding| finding.subject.clone()).collect();
        let unread = unread.len() as u64;
        let (comparisons, view_rows) = self.compare(unread_tables)?;
        self.work.check_interrupt()?;
        let controls = self.rows().plant_damage()?;
        let verify_ms = watch.elapsed_ms();
        let checks = checks(comparisons, unread, &mut findings);
        findings.extend(self.work.controls(&controls)?);
        refusals::tell_once(&mut findings, &[&self.refused[..], self.ownership.unsupported()].concat());
        exclusions::explain(&mut findings, &self.catalog, &self.excluded);
        let roles = self.ownership.roles();
        let beside = Beside { large_objects: &self.large_objects, view_rows, roles: roles.as_ref() };
        let (evidence, restored_sha256) = self.rows().write_evidence(beside)?;
        self.ownership.rejoin(&self.database)?;
        Ok(AssetResult {
            id: self.work.asset.clone(),
            kind: AssetKind::Postgres,
            source: self.source_name.clone(),
            verdict: Verdict::from_findings(&findings),
            tier: Tier::Full,
            directory: self.work.asset.clone(),
            items: evidence.rows,
            bytes: evidence.bytes,
            content_sha256: evidence.content_sha256,
            checks,
            controls,
            timings: Timings { transfer_ms, rebuild_ms, verify_ms },
            findings,
            database: Some(self.summary(evidence.tables, restored_sha256)),
            objects: None,
            filed: None,
        })
    }

    fn rows(&self) -> RowsProof<'_> {
        let Restored { work, spec, database, key, receipts, .. } = self;
        RowsProof { work, spec, database, key: *key, receipts }
    }

    /// Also returns what was read of materialized views and generated columns.
    fn compare(&self, mut known: Vec<String>) -> Result<(Vec<Comparison>, State), Stop> {
        let asset = &self.work.asset;
        let target = self.database.address();
        // Tables that were not copied, excluded or unread, are not unexpected on the target.
        known.extend(self.excluded.iter().map(|table| table.table.clone()));
        let mut comparisons = self.rows().compare(&known)?;
        if self.spec.verify.contains(&DatabaseCheck::Sequences) {
            comparisons.push(compare_sequences(asset, &self.sequences, target)?);
        }
        if self.spec.verify.contains(&DatabaseCheck::Catalog) {
            let mut expected = self.catalog.clone();
            expected.extend(self.ownership.expected(&self.database)?);
            let mut client = target.connect()?;
            let mut restored = catalog::definitions(&mut client)?;
            restored.extend(self.ownership.restored(&self.database)?);
            if self.facts.major < multiranges::MAJOR_MIN {
                multiranges::leave_out(&mut client, &mut restored)?;
            }
            take_broken(&mut expected, &restored, &self.marks);
            comparisons.push(compare_catalogs(asset, &expected, &restored, &self.spellings));
        }
        comparisons.push(large_objects::compare(&self.work, &self.large_objects, &self.database)?);
        let (of_generated, mut view_rows) =
            generated::compare(asset, target, self.key, &self.receipts, self.spec.parallel)?;
        comparisons.extend(of_generated);
        if !self.views.is_empty() {
            let (comparison, read) = views::compare(&self.work, &self.views, &self.database, self.key)?;
            comparisons.extend((comparison.check.expected > 0).then_some(comparison));
            comparisons.extend(views::compare_extension_tables(&self.work, &self.views, &self.database, self.key)?);
            view_rows.extend(read);
        }
        comparisons.extend(self.rows().ask()?);
        Ok((comparisons, view_rows))
    }

    fn summary(&self, tables: u64, restored_sha256: Sha256Digest) -> DatabaseResult {
        DatabaseResult {
            source_version: self.facts.version.clone(),
            target_version: self.target_version.clone(),
            target_database: self.database.address().database_name().to_owned(),
            encoding: Some(self.facts.encoding.clone()),
            restored_sha256: Some(restored_sha256),
            snapshot: self.snapshot.clone(),
            row_key: self.key,
            tables,
            excluded_tables: self.excluded.clone(),
            not_portable: self.ownership.not_portable().to_vec(),
            rds: None,
            source_load: Some(self.load),
        }
    }
}

fn is_unread_table(finding: &Finding) -> bool {
    finding.kind == crate::domain::finding::FindingKind::TableUnreadable
}

/// CHECK constraints that the source's own rows do not satisfy are on the target for new rows only, which a finding says
/// of each: those are not reported twice.
fn take_broken(expected: &mut Catalog, restored: &Catalog, marks: &[Mark]) {
    let mut proven: BTreeMap<&CatalogKey, String> = BTreeMap::new();
    for mark in marks {
        let Some(found) = restored.get(&mark.object) else { continue };
        let before = proven.entry(&mark.object).or_insert_with(|| found.clone());
        if let Some(checked) = mark.taken_off(before) {
            *before = checked;
        }
    }
    for (object, checked) in proven {
        if expected.get(object) == Some(&checked) {
            expected.extend(restored.get_key_value(object).map(|(object, found)| (object.clone(), found.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constraints_that_rows_break_are_excused() {
        let key = |class: &str, name: &str| CatalogKey { class: class.to_owned(), name: name.to_owned() };
        let catalog = |things: &[(&str, &str, &str)]| -> Catalog {
            things.iter().map(|(class, name, what)| (key(class, name), (*what).to_owned())).collect()
        };
        let source = catalog(&[
            ("constraint", "s.t.a", "CHECK ((x > 0)) valid true"),
            ("constraint", "s.t.b", "CHECK ((x > 1)) valid true"),
            ("type", "s.d", "d integer one CHECK ((VALUE > 0))true,two CHECK ((VALUE > 1))true"),
        ]);
        let restored = catalog(&[
            ("constraint", "s.t.a", "CHECK ((x > 0)) NOT VALID valid false"),
            ("constraint", "s.t.b", "CHECK ((x > 1)) NOT VALID valid false"),
            ("type", "s.d", "d integer one CHECK ((VALUE > 0)) NOT VALIDfalse,two CHECK ((VALUE > 1)) NOT VALIDfalse"),
        ]);
        let on = |object, checked: &str, unchecked: &str| {
            let checked = checked.to_owned();
            let unchecked = unchecked.to_owned();
            Mark { object, checked, unchecked }
        };
        let table = |name| on(key("constraint", name), " valid true", " NOT VALID valid false");
        let domain = |name: &str, check: &str| {
            let checked = format!("{name} {check}true");
            let unchecked = format!("{name} {check} NOT VALIDfalse");
            on(key("type", "s.d"), &checked, &unchecked)
        };
        let one = domain("one", "CHECK ((VALUE > 0))");
        let two = domain("two", "CHECK ((VALUE > 1))");
        for (marks, left) in [
            (vec![], vec!["s.t.a", "s.t.b", "s.d"]),
            (vec![table("s.t.a")], vec!["s.t.b", "s.d"]),
            (vec![table("s.t.a"), one.clone()], vec!["s.t.b", "s.d"]),
            (vec![table("s.t.b"), one, two], vec!["s.t.a"]),
        ] {
            let mut expected = source.clone();
            take_broken(&mut expected, &restored, &marks);
            let differing = expected.iter().filter(|(object, definition)| restored.get(*object) != Some(*definition));
            assert_eq!(differing.map(|(object, _)| object.name.as_str()).collect::<Vec<_>>(), left);
        }
        // What is shown as broken and also differs in another way is not excused.
        let mut expected = catalog(&[("constraint", "s.t.a", "CHECK ((x > 7)) valid true")]);
        take_broken(&mut expected, &restored, &[table("s.t.a")]);
        assert_eq!(expected[&key("constraint", "s.t.a")], "CHECK ((x > 7)) valid true");
    }
}
