//! The proof of one restored database: rows, digests, sequences, catalog and exports, the verifier's control, and the
//! asset's evidence and result.

use std::{fs, sync::Arc};

use super::{
    belongings::{self, Belongings},
    relays::panicked,
    stop::Stop,
    views::{self, View},
    work::Work,
};
use crate::{
    clock::Stopwatch,
    digest::RowKey,
    event::{AssetKind, Phase},
    evidence::{
        self, EvidenceError,
        result::{AssetResult, Control, DatabaseResult, ExcludedTable, SourceLoad, Tier, Timings},
    },
    finding::{Finding, Verdict},
    pg::{
        catalog::{self, Catalog, DatabaseFacts, SequenceState},
        large::LargeObject,
        name::Table,
    },
    playbook::{DatabaseCheck, DatabaseSpec, SqlCheckSpec},
    restore::database::TargetDatabase,
    transfer::{meter::Meter, receipt::TableReceipt},
    verify::{
        Comparison,
        catalog::{compare_catalogs, respelled},
        control,
        questions::{self, Question},
        state::state_of,
        tables::{ReadBack, compare_sequences, compare_spools},
    },
};

/// What was restored, and what the source was like.
pub(crate) struct Restored<'a> {
    pub work: &'a Work,
    pub spec: &'a DatabaseSpec,
    pub source_name: String,
    pub snapshot: String,
    pub facts: DatabaseFacts,
    pub load: SourceLoad,
    pub target_version: String,
    pub database: TargetDatabase,
    pub key: RowKey,
    pub receipts: Vec<TableReceipt>,
    pub sequences: Vec<SequenceState>,
    pub catalog: Catalog,
    pub large_objects: Vec<LargeObject>,
    pub belongings: Belongings<'a>,
    pub views: Vec<View>,
    pub excluded: Vec<ExcludedTable>,
}

/// Milliseconds of what came before.
pub(crate) struct Phases {
    pub transfer_ms: u64,
    pub rebuild_ms: u64,
}

impl Restored<'_> {
    /// Compares everything and writes the asset's evidence; `findings` are those of the transfer.
    pub fn prove(self, mut findings: Vec<Finding>, before: Phases) -> Result<AssetResult, Stop> {
        let Phases { transfer_ms, rebuild_ms } = before;
        let watch = Stopwatch::start();
        let unread: Vec<_> = findings.iter().filter(|finding| is_unread_table(finding)).collect();
        let unread_tables: Vec<_> = unread.iter().map(|finding| finding.subject.clone()).collect();
        let unread = unread.len() as u64;
        let comparisons = self.compare(unread_tables)?;
        self.work.go_on()?;
        let controls = self.plant_damage()?;
        let verify_ms = watch.elapsed_ms();
        let mut checks = Vec::new();
        for mut comparison in comparisons {
            if matches!(comparison.check.name.as_str(), "rows" | "digest") {
                comparison.check.expected += unread;
            }
            findings.extend(comparison.findings);
            checks.push(comparison.check);
        }
        findings.extend(self.work.controls(&controls)?);
        let evidence = self.write_evidence()?;
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
            database: Some(self.summary(evidence.tables)),
            objects: None,
            filed: None,
        })
    }

    fn compare(&self, unread: Vec<String>) -> Result<Vec<Comparison>, Stop> {
        let asset = &self.work.asset;
        let target = self.database.address();
        // The exports are read while the database is.
        let (read_back, spools) = std::thread::scope(|scope| {
            let spools = scope.spawn(|| compare_spools(asset, &self.work.root(), &self.receipts));
            (self.read_back(unread), spools.join())
        });
        let mut comparisons = read_back?;
        comparisons.push(spools.map_err(|_| panicked())?);
        if self.spec.verify.contains(&DatabaseCheck::Sequences) {
            comparisons.push(compare_sequences(asset, &self.sequences, target)?);
        }
        if self.spec.verify.contains(&DatabaseCheck::Catalog) {
            let mut expected = self.catalog.clone();
            expected.extend(self.belongings.expected());
            let mut client = target.connect()?;
            let mut restored = catalog::definitions(&mut client)?;
            restored.extend(self.belongings.restored(&self.database)?);
            comparisons.push(compare_catalogs(asset, &expected, &restored, |view| respelled(&mut client, view)));
        }
        comparisons.push(belongings::compare_large_objects(self.work, &self.large_objects, &self.database)?);
        if !self.views.is_empty() {
            comparisons.push(views::compare(self.work, &self.views, &self.database, self.key)?);
        }
        comparisons.extend(self.ask()?);
        Ok(comparisons)
    }

    /// The playbook's questions, if it has any.
    fn ask(&self) -> Result<Option<Comparison>, Stop> {
        if self.spec.checks.is_empty() {
            return Ok(None);
        }
        let question = |check: &SqlCheckSpec| {
            let expect = check.expect.clone();
            let expected = expect.to_string();
            let accepts = Box::new(move |answer: &str| expect.accepts(answer));
            Question { id: check.id.to_string(), sql: check.sql.clone(), expected, accepts }
        };
        let questions: Vec<_> = self.spec.checks.iter().map(question).collect();
        Ok(Some(questions::ask(&self.work.asset, &questions, self.database.address())?))
    }

    /// Tables that did not come, excluded or `unread`, are no strangers on the target.
    fn read_back(&self, unread: Vec<String>) -> Result<Vec<Comparison>, Stop> {
        let meter = Arc::new(Meter::default());
        let lines = |receipt: &TableReceipt| receipt.stream.bytes + receipt.stream.rows;
        self.receipts.iter().for_each(|receipt| meter.expect(receipt.stream.rows, lines(receipt)));
        let ticker = self.work.ticker(Phase::Verify, &meter);
        let watch = Stopwatch::start();
        let reader = ReadBack {
            asset: &self.work.asset,
            target: self.database.address(),
            root: &self.work.root(),
            key: self.key,
            parallel: self.spec.parallel,
            meter: &meter,
            interrupt: &self.work.interrupt,
        };
        let mut known = unread;
        known.extend(self.excluded.iter().map(|table| table.table.clone()));
        let compared = reader.compare(&self.receipts, &known)?;
        drop(ticker);
        self.work.go_on()?;
        let read = meter.read();
        self.work.verified(read.items, read.bytes, watch.elapsed_ms())?;
        Ok(vec![compared.rows, compared.digest])
    }

    /// The largest table that has rows serves for the control.
    fn plant_damage(&self) -> Result<Vec<Control>, Stop> {
        let target = self.database.address();
        let tables = catalog::tables(&mut target.connect()?)?;
        let has_rows = |table: &&Table| {
            let name = table.name.to_string();
            self.receipts.iter().any(|receipt| receipt.table == name && receipt.stream.rows > 0)
        };
        Ok(control::of_table(&self.work.asset, target, tables.iter().find(has_rows), self.key)?)
    }

    fn write_evidence(&self) -> Result<evidence::TablesEvidence, Stop> {
        let directory = self.work.layout.asset_evidence(&self.work.asset);
        fs::create_dir_all(&directory).map_err(|source| EvidenceError::Io {
            action: "create",
            path: directory.clone(),
            source,
        })?;
        let state = state_of(&mut self.database.address().connect()?, Some(&self.large_objects))?;
        evidence::write_restored(&state, &directory)?;
        Ok(evidence::write_tables(&self.receipts, self.key, &directory)?)
    }

    fn summary(&self, tables: u64) -> DatabaseResult {
        DatabaseResult {
            source_version: self.facts.version.clone(),
            target_version: self.target_version.clone(),
            target_database: self.database.address().database_name().to_owned(),
            encoding: Some(self.facts.encoding.clone()),
            snapshot: self.snapshot.clone(),
            row_key: self.key,
            tables,
            excluded_tables: self.excluded.clone(),
            not_portable: self.belongings.not_portable().to_vec(),
            rds: None,
            source_load: Some(self.load),
        }
    }
}

fn is_unread_table(finding: &Finding) -> bool {
    finding.kind == crate::finding::FindingKind::TableUnreadable
}
