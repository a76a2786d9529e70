//! Restores the tables of an export, compares them with what was decoded from its files, and with the live tables where the
//! playbook has a login.
//!
//! Always reports that only data was copied: neither keys nor constraints, sequences or types are in the files. And
//! that values rest on the provider's statement alone, whatever agrees with the live tables: those are of another moment,
//! and are compared column by column. The verdict can't be PASS.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::task::spawn_blocking;

use super::{info, layout::Exported, task::Found};
use crate::{
    asset::{
        database::{
            again::prove_or_begin_again,
            reconnect::{ReconnectLimits, stall},
            rows_proof::{Beside, RowsProof, checks, excluded},
            target::Target,
        },
        seam::Carried,
        stop::Stop,
        work::Work,
    },
    clock::Stopwatch,
    domain::{
        digest::RowKey,
        event::{AssetKind, Event},
        finding::{Finding, FindingKind, Severity, Verdict},
        proof::{Check, Tier},
    },
    evidence::result::{AssetResult, DatabaseResult, ExportResult, RdsResult, Timings},
    pg::{
        Address,
        catalog::{DatabaseFacts, LocaleFacts, Unreadable},
    },
    playbook::DatabaseSpec,
    provider::postgres::PostgresSource,
    restore::database::TargetDatabase,
    transfer::{error::TransferError, receipt::TableReceipt},
    verify::live::{LiveCompared, Loaded},
};

/// An export whose files are here, to be restored and verified. Everything here blocks.
pub(super) struct Proof {
    pub work: Work,
    pub spec: DatabaseSpec,
    pub target: Arc<Target>,
    pub source_name: String,
    pub record: RdsResult,
    pub found: Found,
    pub files: AssetResult,
    pub exported: Exported,
    /// The database's name at the source.
    pub database: String,
    /// Where the live tables are counted.
    pub live: Option<Result<Address, String>>,
    /// Folders of other databases.
    pub skipped: Vec<String>,
}

/// What was restored.
struct Restored {
    database: TargetDatabase,
    key: RowKey,
    receipts: Vec<TableReceipt>,
    unread: Vec<String>,
}

/// An export whose rows have been copied.
pub(super) struct CarriedExport {
    proof: Proof,
    restored: Restored,
    findings: Vec<Finding>,
    transfer_ms: u64,
    rebuild_ms: u64,
}

impl Carried for CarriedExport {
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>> {
        async move { spawn_blocking(move || self.prove_again_if_lost()).await.map_err(TransferError::from)? }.boxed()
    }
}

impl CarriedExport {
    fn prove_again_if_lost(&self) -> Result<AssetResult, Stop> {
        let CarriedExport { proof, restored, findings, transfer_ms, rebuild_ms } = self;
        let reconnect = ReconnectLimits::of_target(stall(&proof.spec), proof.target.is_managed());
        let prove = |findings| proof.prove(restored, findings, *transfer_ms, *rebuild_ms);
        prove_or_begin_again(&proof.work, restored.database.address(), reconnect, findings.clone(), prove)
    }
}

impl Proof {
    /// Creates the tables and fills them. Blocks.
    pub(super) fn load_all(self) -> Result<CarriedExport, Stop> {
        let watch = Stopwatch::start();
        self.clear()?;
        self.target.disable_durability()?;
        let (database, mut findings) = self.create_database()?;
        let key =
            RowKey::draw().map_err(|error| Stop::Asset { reason: format!("no random key: {error}"), hint: None })?;
        let (tables, flaws) = self.load(&database, key)?;
        let (rows, bytes) = totals(&tables.receipts);
        let transfer_ms = watch.elapsed_ms();
        self.work.transferred(rows, bytes, transfer_ms)?;
        let watch = Stopwatch::start();
        self.work.check_interrupt()?;
        self.target.enable_durability()?;
        let rebuild_ms = watch.elapsed_ms();
        let unread = tables.findings.iter().map(|finding| finding.subject.clone()).collect();
        findings.extend(tables.findings);
        findings.extend(flaws);
        findings.extend(self.of_files());
        findings.extend(self.of_export());
        if self.exported.tables.is_empty() && self.exported.listed == 0 {
            let detail = "the export holds no table of this database";
            findings.push(self.work.finding(FindingKind::NothingMatched, &self.source_name, detail));
        }
        let restored = Restored { database, key, receipts: tables.receipts, unread };
        Ok(CarriedExport { proof: self, restored, findings, transfer_ms, rebuild_ms })
    }

    fn create_database(&self) -> Result<(TargetDatabase, Vec<Finding>), Stop> {
        let name = &self.work.asset;
        let facts = DatabaseFacts {
            version: self.record.engine_version.clone(),
            major: 0,
            minor: 0,
            // Parquet's texts are UTF-8; nothing else of the database is known.
            encoding: "UTF8".to_owned(),
            locale: LocaleFacts {
                provider: LocaleFacts::LIBRARY,
                collate: "C".to_owned(),
                ctype: "C".to_owned(),
                locale: None,
                rules: None,
            },
            large_objects: 0,
            unreadable_large_objects: Unreadable::default(),
            not_carried: Vec::new(),
        };
        let (database, missing) = self.target.server.create(name, &facts, &self.work.run)?;
        let event = Event::DatabaseCreated { asset: name.clone(), database: name.clone() };
        self.work.recorder.fact(&event)?;
        let missing = missing.into_iter();
        Ok((database, missing.map(|one| self.work.finding(FindingKind::NotCarried, one.subject, one.detail)).collect()))
    }

    /// Problems with the files are problems with the asset.
    fn of_files(&self) -> Vec<Finding> {
        let own = |finding: &Finding| Finding { asset: Some(self.work.asset.clone()), ..finding.clone() };
        let beyond = self.files.findings_beyond();
        let all = self.files.findings.iter().chain(&beyond);
        all.filter(|finding| finding.severity != Severity::Note).map(own).collect()
    }

    /// What the export itself does not prove.
    fn of_export(&self) -> Vec<Finding> {
        let find = |kind, subject: &str, detail: &str| self.work.finding(kind, subject, detail);
        let mut findings = self.exported.findings.clone();
        findings.push(find(
            FindingKind::NotCarried,
            "everything but rows",
            "an export is data only: no keys, constraints, indexes, defaults, sequences, views, functions, roles or grants, \
             and types are what Parquet could say",
        ));
        if let Some(warning) = self.found.task.as_ref().and_then(|task| task.warning.as_deref()) {
            findings.push(find(FindingKind::TableSkipped, "the export's warning", warning));
        }
        if self.found.task.is_none() {
            let detail = if self.found.started {
                "its files came in an earlier part of the run, and RDS knows the export no longer"
            } else {
                "only its files are known, so RDS could not be asked whether the export is complete, and of what"
            };
            findings.push(find(FindingKind::NotProven, "the export", detail));
        }
        let only = self.found.task.as_ref().map(|task| task.only.as_slice()).unwrap_or_default();
        findings.extend(info::partial(only, &self.database).map(|(kind, detail)| find(kind, "the export", &detail)));
        if let Some(arn) = &self.found.stranger {
            let detail = format!(
                "it is of {}, which RDS does not list as {} or a snapshot of it, so nothing says that it is of this database",
                if arn.is_empty() { "an unknown source" } else { arn },
                self.record.id
            );
            findings.push(find(FindingKind::NotProven, "the export's source", &detail));
        }
        if self.found.started {
            let detail =
                "the export's files stay in the bucket; they are the account's, and walkaway deletes nothing there";
            findings.push(find(FindingKind::Deviation, &self.files.source, detail));
        }
        if !self.skipped.is_empty() {
            let detail = format!("the export also holds {}, which are not of this asset", self.skipped.join(", "));
            findings.push(find(FindingKind::Deviation, "other databases", &detail));
        }
        let left = |(resource, reason): &(String, String)| find(FindingKind::LeftBehind, resource, reason);
        findings.extend(self.found.left.iter().map(left));
        findings
    }

    fn prove(
        &self,
        restored: &Restored,
        mut findings: Vec<Finding>,
        transfer_ms: u64,
        rebuild_ms: u64,
    ) -> Result<AssetResult, Stop> {
        let watch = Stopwatch::start();
        let mut comparisons = self.rows(restored).compare(&restored.unread)?;
        let live = self.compare_live(restored, &mut findings)?;
        let counted = live.as_ref().map_or(0, |live| live.counts.check.compared);
        if !restored.receipts.is_empty() {
            let mut detail =
                "captured, not proven: their rows agree with the files that RDS wrote, and nothing but RDS's \
                              word says that the files hold what the snapshot held"
                    .to_owned();
            if let Some(live) = &live {
                let Check { equal, expected, .. } = live.columns.check;
                detail += &format!("; of the live tables of now, {equal} of {expected} columns agree, each by itself");
            }
            let subject = format!("{} tables", restored.receipts.len());
            findings.push(self.work.finding(FindingKind::NotProven, subject, detail));
        }
        comparisons.extend(live.into_iter().flat_map(|live| [live.counts, live.columns]));
        comparisons.extend(self.rows(restored).ask()?);
        let controls = self.rows(restored).plant_damage()?;
        let verify_ms = watch.elapsed_ms();
        findings.extend(self.work.controls(&controls)?);
        let checks = checks(comparisons, restored.unread.len() as u64, &mut findings);
        findings.sort();
        findings.dedup();
        let (evidence, restored_sha256) = self.rows(restored).write_evidence(Beside::default())?;
        let id = self.work.asset.clone();
        let source = self.source_name.clone();
        let database = self.summary(restored, evidence.tables, counted)?;
        let database = DatabaseResult { restored_sha256: Some(restored_sha256), ..database };
        Ok(AssetResult {
            directory: id.clone(),
            id,
            kind: AssetKind::Postgres,
            source,
            verdict: Verdict::from_findings(&findings),
            tier: Tier::Full,
            items: evidence.rows,
            bytes: evidence.bytes,
            content_sha256: evidence.content_sha256,
            checks,
            controls,
            timings: Timings { transfer_ms, rebuild_ms, verify_ms },
            findings,
            filed: None,
            database: Some(database),
            objects: None,
        })
    }

    fn rows<'a>(&'a self, restored: &'a Restored) -> RowsProof<'a> {
        let Restored { database, key, receipts, .. } = restored;
        RowsProof { work: &self.work, spec: &self.spec, database, key: *key, receipts }
    }

    /// Rows and columns of the live tables, where the playbook has a login.
    fn compare_live(&self, restored: &Restored, findings: &mut Vec<Finding>) -> Result<Option<LiveCompared>, Stop> {
        let known = excluded(&self.spec).into_iter().map(|table| table.table);
        let tables = match &self.live {
            None => return Ok(None),
            Some(Ok(address)) => {
                let source = PostgresSource::new(address.clone()).watched(stall(&self.spec), &self.work.interrupt);
                let excluded: BTreeSet<String> = known.clone().collect();
                source.live_tables(&excluded, || self.work.interrupt.asked()).map_err(|error| error.to_string())
            }
            Some(Err(reason)) => Err(reason.clone()),
        };
        self.work.check_interrupt()?;
        match tables {
            Ok(tables) => {
                let moment = self.found.task.as_ref().and_then(|task| task.snapshot_taken.as_deref());
                let known: Vec<_> = known.chain(restored.unread.clone()).collect();
                let loaded = Loaded {
                    asset: &self.work.asset,
                    target: restored.database.address(),
                    receipts: &restored.receipts,
                    known: &known,
                    moment,
                };
                let live = tables.into_iter().map(|table| (table.name.to_string(), (table.name, table.read))).collect();
                Ok(Some(loaded.compare(&live)?))
            }
            Err(reason) => {
                findings.push(self.work.finding(FindingKind::NotProven, "live counts", reason));
                Ok(None)
            }
        }
    }

    fn summary(&self, restored: &Restored, tables: u64, counted_tables: u64) -> Result<DatabaseResult, Stop> {
        let target_version = self.target.server.probe()?.version;
        let excluded_tables = excluded(&self.spec);
        let Proof { found, files, exported, record, .. } = self;
        let snapshot = found.snapshot();
        let (cost, cost_ceiling) = found.cost.clone().unzip();
        let task = found.task.as_ref();
        let export = ExportResult {
            task: task.map(|task| task.id.clone()),
            started: found.started,
            snapshot_taken: task.and_then(|task| task.snapshot_taken.clone()),
            bucket: found.bucket.clone(),
            folder: found.folder.clone(),
            waited_ms: found.waited_ms,
            extracted_gib: task.map(|task| task.extracted_gib),
            cost,
            cost_ceiling,
            warning: task.and_then(|task| task.warning.clone()),
            listed_tables: exported.listed,
            counted_tables,
            data_only: true,
            files: Box::new(files.clone()),
        };
        Ok(DatabaseResult {
            source_version: record.engine_version.clone(),
            target_version,
            target_database: restored.database.address().database_name().to_owned(),
            encoding: Some("UTF8".to_owned()),
            restored_sha256: None,
            snapshot,
            row_key: restored.key,
            tables,
            excluded_tables,
            not_portable: Vec::new(),
            rds: Some(RdsResult { export: Some(export), ..record.clone() }),
            source_load: None,
        })
    }
}

fn totals(receipts: &[TableReceipt]) -> (u64, u64) {
    let sum = |number: fn(&TableReceipt) -> u64| receipts.iter().map(number).fold(0, u64::saturating_add);
    (sum(|receipt| receipt.stream.rows), sum(|receipt| receipt.stream.bytes))
}
