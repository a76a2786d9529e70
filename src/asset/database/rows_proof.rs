//! How every restored database is verified, wherever its rows came from: rows and digests read back, the exports on the
//! disk, the playbook's questions, the verifier's control, and the evidence of all these.

use std::{collections::BTreeSet, fs, sync::Arc};

use super::{ends::panicked, exclusions};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    domain::{
        digest::{RowKey, Sha256Digest},
        event::Phase,
        finding::Finding,
        proof::{Check, Control},
    },
    evidence::{self, EvidenceError, TablesEvidence, result::ExcludedTable},
    pg::{catalog, large::LargeObject, name::Table},
    playbook::{DatabaseSpec, SqlCheckSpec},
    restore::database::TargetDatabase,
    transfer::{meter::Meter, receipt::TableReceipt},
    verify::{
        Comparison, control,
        questions::{self, Question},
        state::{State, rights_of, state_of},
        tables::{ReadBack, compare_spools},
    },
};

/// Restored tables, and what they have to equal.
pub(crate) struct RowsProof<'a> {
    pub work: &'a Work,
    pub spec: &'a DatabaseSpec,
    pub database: &'a TargetDatabase,
    pub key: RowKey,
    pub receipts: &'a [TableReceipt],
}

/// What was restored beside the rows, as far as it has been read back.
#[derive(Default)]
pub(crate) struct Beside<'a> {
    pub large_objects: &'a [LargeObject],
    /// Of materialized views.
    pub view_rows: State,
    /// The roles that were copied, under their names on the target; none if rights are not carried.
    pub roles: Option<&'a BTreeSet<String>>,
}

impl RowsProof<'_> {
    /// Reads tables and exports back, side by side. Tables in `known` are not unexpected on the target, receipt or not.
    pub(crate) fn compare(&self, known: &[String]) -> Result<Vec<Comparison>, Stop> {
        let (read_back, spools) = std::thread::scope(|scope| {
            let spools = scope.spawn(|| compare_spools(&self.work.asset, &self.work.root(), self.receipts));
            (self.read_back(known), spools.join())
        });
        let mut comparisons = read_back?;
        comparisons.push(spools.map_err(|_| panicked())?);
        Ok(comparisons)
    }

    fn read_back(&self, known: &[String]) -> Result<Vec<Comparison>, Stop> {
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
        let compared = reader.compare(self.receipts, known)?;
        drop(ticker);
        self.work.check_interrupt()?;
        let read = meter.read();
        self.work.verified(read.items, read.bytes, watch.elapsed_ms())?;
        Ok(vec![compared.rows, compared.digest])
    }

    /// The playbook's questions, if it has any.
    pub(crate) fn ask(&self) -> Result<Option<Comparison>, Stop> {
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

    /// The largest table that has rows is used for the control.
    pub(crate) fn plant_damage(&self) -> Result<Vec<Control>, Stop> {
        let target = self.database.address();
        let tables = catalog::tables(&mut target.connect()?)?;
        let has_rows = |table: &&Table| {
            let name = table.name.to_string();
            self.receipts.iter().any(|receipt| receipt.table == name && receipt.stream.rows > 0)
        };
        Ok(control::of_table(&self.work.asset, target, tables.iter().find(has_rows), self.key)?)
    }

    /// Writes what was restored into the bundle: the tables, and the digest of the list of the rest.
    pub(crate) fn write_evidence(&self, beside: Beside<'_>) -> Result<(TablesEvidence, Sha256Digest), Stop> {
        let directory = self.work.layout.asset_evidence(&self.work.asset);
        fs::create_dir_all(&directory).map_err(|source| EvidenceError::Io {
            action: "create",
            path: directory.clone(),
            source,
        })?;
        let mut client = self.database.address().connect()?;
        let mut state = state_of(&mut client, Some(beside.large_objects))?;
        state.extend(beside.view_rows);
        if let Some(roles) = beside.roles {
            state.extend(rights_of(&mut client, roles)?);
        }
        let restored_sha256 = evidence::write_restored(&state, &directory)?;
        Ok((evidence::write_tables(self.receipts, self.key, &directory)?, restored_sha256))
    }
}

/// The checks of the comparisons; what they found joins the findings. Tables that were not copied were expected, too.
pub(crate) fn checks(comparisons: Vec<Comparison>, unread: u64, findings: &mut Vec<Finding>) -> Vec<Check> {
    let mut checks = Vec::new();
    for mut comparison in comparisons {
        if matches!(comparison.check.name.as_str(), "rows" | "digest") {
            comparison.check.expected += unread;
        }
        findings.extend(comparison.findings);
        checks.push(comparison.check);
    }
    checks
}

/// The tables that the playbook excludes.
pub(crate) fn excluded(spec: &DatabaseSpec) -> Vec<ExcludedTable> {
    let names = exclusions::names(spec).into_iter().zip(&spec.exclude_tables);
    names.map(|(name, table)| ExcludedTable { table: name.to_string(), reason: table.reason.to_string() }).collect()
}
