//! One database from snapshot to verdict: schema, rows, indexes, sequences; then everything read back and compared.
//!
//! A snapshot can't outlive its connection, so a database that was interrupted starts again from nothing.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    belongings::{self, Belongings},
    database_proof::Restored,
    ledger,
    stop::Stop,
    target::Target,
    work::Work,
};
use crate::{
    clock::Stopwatch,
    digest::{RowDigest, RowKey},
    event::{AssetKind, Event, Phase},
    evidence::result::{AssetResult, ExcludedTable},
    finding::{Finding, FindingKind},
    pg::{catalog::DatabaseFacts, name::Table},
    playbook::DatabaseSpec,
    restore::{
        database::{Loader, Locale, RefusedStatement, Section, TargetDatabase},
        spool::{self, Spool},
    },
    source::postgres::{PostgresSource, Snapshot, SnapshotReader, SnapshotTicket},
    transfer::{
        error::{SinkError, SourceError, TransferError},
        meter::Meter,
        receipt::TableReceipt,
        table::relay,
        unit::UnitId,
    },
};

/// Where the exports lie below the asset's directory.
const EXPORTS: &str = "exports";
/// The schema as a pg_dump archive, below the asset's directory.
const SCHEMA: &str = "schema.dump";

/// Carries one database out and proves it. Everything here blocks.
pub(crate) struct DatabaseWork {
    pub work: Work,
    pub spec: DatabaseSpec,
    pub source: PostgresSource,
    pub target: Arc<Target>,
}

impl DatabaseWork {
    /// Everything from the snapshot to the asset's result.
    pub fn carry(&self) -> Result<AssetResult, Stop> {
        self.work.started(AssetKind::Postgres)?;
        self.clear()?;
        let watch = Stopwatch::start();
        let mut snapshot = self.source.snapshot()?;
        let facts = snapshot.facts()?;
        self.work.recorder.fact(&Event::SnapshotTaken {
            asset: self.work.asset.clone(),
            snapshot: snapshot.id().to_owned(),
            server_version: facts.version.clone(),
        })?;
        // Drawn after the snapshot fixed the rows, so that no row can have been chosen to fit the key.
        let key = RowKey::draw().map_err(|error| self.failed(&self.work.root(), &error))?;
        let (database, mut findings) = self.create_database(&facts)?;
        let mut belongings = Belongings::read(&self.work, &self.target, self.spec.roles.as_ref(), &mut snapshot)?;
        findings.extend(belongings.prepare(&database)?);
        snapshot.dump_schema(&self.target.tools, &self.schema())?;
        findings.extend(self.restore_schema(&database, Section::PreData, &belongings)?);
        let (large_objects, lost) = belongings::carry_large_objects(&self.work, &mut snapshot, &database)?;
        findings.extend(lost);
        let tables = self.carry_tables(&mut snapshot, &database, key)?;
        findings.extend(tables.findings);
        let transfer_ms = watch.elapsed_ms();
        let rows = tables.receipts.iter().map(|receipt| receipt.stream.rows).sum();
        let bytes = tables.receipts.iter().map(|receipt| receipt.stream.bytes).sum();
        self.work.transferred(rows, bytes, transfer_ms)?;

        let watch = Stopwatch::start();
        let (sequences, catalog, snapshot_id) =
            (snapshot.sequences()?, snapshot.definitions()?, snapshot.id().to_owned());
        // Indexes can take hours; the provider need not keep old rows for them.
        drop(snapshot);
        findings.extend(self.restore_schema(&database, Section::PostData, &belongings)?);
        findings.extend(self.refused(database.set_sequences(&sequences)?));
        findings.extend(belongings.finish(&database)?);
        let rebuild_ms = watch.elapsed_ms();
        self.work.go_on()?;
        let restored = Restored {
            work: &self.work,
            spec: &self.spec,
            source_name: self.source.address().to_string(),
            snapshot: snapshot_id,
            facts,
            target_version: self.target.server.probe()?.version,
            database,
            key,
            receipts: tables.receipts,
            sequences,
            catalog,
            large_objects,
            belongings,
            excluded: self.excluded(),
        };
        restored.prove(findings, transfer_ms, rebuild_ms)
    }

    fn schema(&self) -> PathBuf {
        self.work.root().join(SCHEMA)
    }

    fn failed(&self, path: &std::path::Path, error: &io::Error) -> Stop {
        Stop::Asset { reason: format!("{}: {error}", path.display()), hint: None }
    }

    /// Nothing of an earlier attempt may mix with this one.
    fn clear(&self) -> Result<(), Stop> {
        for directory in [self.work.root(), self.work.layout.receipts(&self.work.asset)] {
            match fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(&directory, &error)),
                _ => {}
            }
        }
        let exports = self.work.root().join(EXPORTS);
        fs::create_dir_all(&exports).map_err(|error| SinkError::write(&exports, error).into())
    }

    fn create_database(&self, facts: &DatabaseFacts) -> Result<(TargetDatabase, Vec<Finding>), Stop> {
        let name = &self.work.asset;
        let (database, locale) = self.target.server.create(name, facts, &self.work.run)?;
        let event = Event::DatabaseCreated { asset: name.clone(), database: name.clone() };
        self.work.recorder.fact(&event)?;
        let mut findings = self.not_carried(facts);
        if self.target.server.probe()?.superuser && !self.target.is_managed() {
            let detail = "the source's DDL ran with its rights; name a login that has CREATEDB and no more";
            findings.push(self.work.finding(FindingKind::Deviation, "the target's login is a superuser", detail));
        }
        if locale == Locale::Plain {
            let detail = format!("the source's {} is not on this machine, C serves instead", facts.collate);
            findings.push(self.work.finding(FindingKind::Deviation, "locale", detail));
        }
        Ok((database, findings))
    }

    fn not_carried(&self, facts: &DatabaseFacts) -> Vec<Finding> {
        let finding = |subject: String| self.work.finding(FindingKind::NotCarried, subject, "");
        facts.not_carried.iter().cloned().map(finding).collect()
    }

    fn restore_schema(
        &self,
        database: &TargetDatabase,
        section: Section,
        belongings: &Belongings<'_>,
    ) -> Result<Vec<Finding>, Stop> {
        self.work.go_on()?;
        let meter = Arc::new(Meter::default());
        let _ticker = (section == Section::PostData).then(|| self.work.ticker(Phase::Rebuild, &meter));
        let refused = database.restore_schema(&self.target.tools, &self.schema(), section)?;
        Ok(self.refused(belongings.mend(database, refused)?))
    }

    fn refused(&self, statements: Vec<RefusedStatement>) -> Vec<Finding> {
        let finding =
            |refused: RefusedStatement| self.work.finding(FindingKind::SchemaStatement, refused.object, refused.reason);
        statements.into_iter().map(finding).collect()
    }

    fn excluded(&self) -> Vec<ExcludedTable> {
        let excluded = self.spec.exclude_tables.iter();
        excluded
            .map(|table| ExcludedTable {
                table: format!("{}.{}", table.name.schema(), table.name.table()),
                reason: table.reason.to_string(),
            })
            .collect()
    }

    fn carry_tables(&self, snapshot: &mut Snapshot, database: &TargetDatabase, key: RowKey) -> Result<Tables, Stop> {
        let excluded = self.excluded();
        let is_in = |table: &Table| !excluded.iter().any(|other| other.table == table.name.to_string());
        let tables: Vec<_> = snapshot.tables()?.into_iter().filter(is_in).collect();
        if tables.is_empty() {
            let nothing =
                self.work.finding(FindingKind::NothingMatched, database.address().database_name(), "no table is there");
            return Ok(Tables { receipts: Vec::new(), findings: vec![nothing] });
        }
        let meter = Arc::new(Meter::default());
        tables.iter().for_each(|table| meter.expect(table.rows_estimate.unwrap_or_default(), table.bytes_on_disk));
        let _ticker = self.work.ticker(Phase::Transfer, &meter);
        let relays = Relays { work: &self.work, ticket: snapshot.ticket(), database, key, meter: &meter };
        relays.run(&tables, self.spec.parallel)
    }
}

/// The receipts of all tables, and the findings about those that could not be carried.
struct Tables {
    receipts: Vec<TableReceipt>,
    findings: Vec<Finding>,
}

/// The workers that relay tables, largest first, each with a pair of connections of its own.
struct Relays<'a> {
    work: &'a Work,
    ticket: SnapshotTicket,
    database: &'a TargetDatabase,
    key: RowKey,
    meter: &'a Meter,
}

struct Connections {
    reader: SnapshotReader,
    loader: Loader,
}

impl Relays<'_> {
    fn run(&self, tables: &[Table], workers: usize) -> Result<Tables, Stop> {
        let queue = Mutex::new(tables.iter().enumerate());
        let done = Mutex::new(Tables { receipts: Vec::new(), findings: Vec::new() });
        let stopping = AtomicBool::new(false);
        let results: Vec<_> = std::thread::scope(|scope| {
            let worker = || {
                let result = self.work_off(&queue, &done, &stopping);
                stopping.fetch_or(result.is_err(), Relaxed);
                result
            };
            let threads: Vec<_> = (0..workers.clamp(1, tables.len())).map(|_| scope.spawn(worker)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        results.into_iter().collect::<Result<(), Stop>>()?;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.receipts.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(done)
    }

    fn work_off<'t>(
        &self,
        queue: &Mutex<impl Iterator<Item = (usize, &'t Table)>>,
        done: &Mutex<Tables>,
        stopping: &AtomicBool,
    ) -> Result<(), Stop> {
        let mut connections = None;
        loop {
            self.work.go_on()?;
            if stopping.load(Relaxed) {
                return Ok(());
            }
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, table)) = next else { return Ok(()) };
            let carried = self.carry(index, table, &mut connections);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match carried {
                Ok(receipt) => done.receipts.push(receipt),
                Err(TableError::Refused(reason)) => {
                    // What failed inside a transaction leaves it unusable.
                    connections = None;
                    let kind = FindingKind::TableUnreadable;
                    done.findings.push(self.work.finding(kind, table.name.to_string(), reason));
                }
                Err(TableError::Stop(stop)) => return Err(stop),
            }
        }
    }

    fn carry(
        &self,
        index: usize,
        table: &Table,
        connections: &mut Option<Connections>,
    ) -> Result<TableReceipt, TableError> {
        let connections = match connections {
            Some(connections) => connections,
            None => connections.insert(self.connect()?),
        };
        let receipt = self.relay(index, table, connections)?;
        let unit = UnitId::numbered(index as u64 + 1);
        let receipt_sha256 =
            ledger::write_table_receipt(&self.work.layout, &self.work.asset, &unit, &receipt).map_err(Stop::from)?;
        let (items, bytes) = (receipt.stream.rows, receipt.stream.bytes);
        let asset = self.work.asset.clone();
        let event = Event::UnitDone { asset, unit: unit.to_string(), items, bytes, receipt_sha256 };
        self.work.recorder.fact(&event).map_err(Stop::from)?;
        Ok(receipt)
    }

    fn connect(&self) -> Result<Connections, Stop> {
        Ok(Connections { reader: self.ticket.reader()?, loader: self.database.loader()? })
    }

    fn relay(&self, index: usize, table: &Table, at: &mut Connections) -> Result<TableReceipt, TableError> {
        let (name, copy_sql) = (table.name.to_string(), table.copy_out_sql());
        let source_count = at.reader.count(table).map_err(table_error)?;
        let watch = Stopwatch::start();
        let path = format!("{EXPORTS}/{}", spool::file_name(index + 1, &name));
        let mut export = Spool::create(&self.work.root().join(&path)).map_err(Stop::from)?;
        let mut rows = at.reader.copy_out(table).map_err(table_error)?;
        let digest = RowDigest::new(self.key, &copy_sql);
        let relayed = at
            .loader
            .load(table, |target| relay(&mut rows, digest, &mut export, target, self.meter, &self.work.interrupt))?;
        let spool_sha256 = export.digest().ok_or_else(panicked)?;
        Ok(TableReceipt {
            table: name,
            copy_sql,
            stream: relayed.stream,
            source_count,
            accepted_rows: relayed.accepted_rows,
            spool: path,
            spool_sha256,
            duration_ms: watch.elapsed_ms(),
        })
    }
}

/// Why one table didn't make it: its own fault, or everybody's.
enum TableError {
    Refused(String),
    Stop(Stop),
}

impl From<Stop> for TableError {
    fn from(stop: Stop) -> Self {
        TableError::Stop(stop)
    }
}

impl From<TransferError> for TableError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Source(SourceError::Permanent { reason, .. }) => TableError::Refused(reason),
            TransferError::Sink(SinkError::Database { reason, server_failed: false, .. }) => {
                TableError::Refused(reason)
            }
            other => TableError::Stop(other.into()),
        }
    }
}

fn table_error(error: crate::pg::PgError) -> TableError {
    if error.connection_lost() { TableError::Stop(error.into()) } else { TableError::Refused(error.to_string()) }
}

fn panicked() -> Stop {
    TransferError::Internal("a worker died".to_owned()).into()
}
