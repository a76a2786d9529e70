//! One database from snapshot to verdict: schema, rows, indexes, sequences; then everything is read back and compared.
//!
//! A snapshot can't outlive its connection, so an interrupted database restarts from nothing, and so does
//! one whose snapshot or target was lost on the way, see `again`: data of two snapshots is never mixed.

use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{
    chunks::{self, SizedTable},
    copying::{AWAY_PAUSE, CopyWorkers, WorkerContext},
    deferred::{BROKEN, BROKEN_HERE, LateLoad, Loaded},
    endpoint::{LESSER_LOGIN, SOURCE_RUNS},
    ends::{CopyEnd, Lost},
    exclusions, large_objects,
    ownership::Ownership,
    proof::{Phases, Restored},
    range_worker::RangeWorker,
    ranges::{ENGINE, EXPORTS, Ranges},
    receipts::{Deferred, Tables},
    reconnect::{ReconnectLimits, stall},
    rows_proof,
    target::Target,
    views::{self, Reading, View},
};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    domain::{
        digest::RowKey,
        event::{AssetKind, Event, Phase},
        finding::{Finding, FindingKind},
    },
    evidence::result::{ExcludedTable, SourceLoad},
    pg::{
        PgError,
        catalog::{Catalog, DatabaseFacts, SequenceState},
        large::LargeObject,
        name::Table,
        session, wire,
    },
    playbook::DatabaseSpec,
    provider::postgres::{PostgresSource, Snapshot},
    record::directory::make_private,
    restore::{
        database::{RefusedStatement, TargetDatabase},
        foreign_keys::Unsatisfied,
    },
    transfer::{
        error::{SinkError, TransferError},
        executor::{UnitReceipt, UnitSpec, UnitWorker},
        meter::Meter,
        pace::Pace,
    },
    verify::catalog::Spellings,
    words,
};

/// The schema as a pg_dump archive, below the asset's directory.
const SCHEMA: &str = "schema.dump";
const CHANGED: &str = "changed or dropped at the source since the snapshot";
/// The connection that holds the snapshot and the one that counts.
const CONNECTIONS_BESIDE_WORKERS: usize = 2;

/// Copies one database and verifies the copy. Everything here blocks.
pub(crate) struct DatabaseWork {
    pub work: Work,
    pub spec: DatabaseSpec,
    pub source: PostgresSource,
    pub target: Arc<Target>,
}

impl UnitWorker for DatabaseWork {
    fn work<'a>(&'a self, spec: UnitSpec) -> BoxFuture<'a, Result<UnitReceipt, TransferError>> {
        async move { self.run_unit(spec) }.boxed()
    }
}

/// A database that has been copied.
pub(crate) struct CarriedDatabase {
    pub(super) restored: Restored,
    pub(super) findings: Vec<Finding>,
    pub(super) before: Phases,
    /// How long the target is waited for.
    pub(super) reconnect: ReconnectLimits,
}

/// What has been copied when the snapshot is released.
struct Snapshotted {
    facts: DatabaseFacts,
    key: RowKey,
    database: TargetDatabase,
    snapshot: String,
    sequences: Vec<SequenceState>,
    catalog: Catalog,
    large_objects: Vec<LargeObject>,
    ownership: Ownership,
    tables: Tables,
    views: Vec<View>,
    load: SourceLoad,
    excluded: Vec<ExcludedTable>,
    /// The parts of the schema that the target refused.
    refused: Vec<RefusedStatement>,
    findings: Vec<Finding>,
}

/// The outcome of everything after the rows.
struct Rebuilt {
    late: Loaded,
    unsatisfied: Unsatisfied,
    refused: Vec<RefusedStatement>,
}

impl DatabaseWork {
    /// Everything from one snapshot to the last index. The last attempt continues despite concurrent changes.
    pub(super) fn attempt(&self, is_last: bool) -> Result<CarriedDatabase, CopyEnd> {
        let watch = Stopwatch::start();
        let mut carried = self.carry_snapshot(is_last)?;
        let transfer_ms = watch.elapsed_ms();
        let receipts = &carried.tables.receipts;
        let rows = receipts.iter().map(|receipt| receipt.stream.rows).sum();
        let bytes = receipts.iter().map(|receipt| receipt.stream.bytes).sum();
        self.work.transferred(rows, bytes, transfer_ms)?;

        let watch = Stopwatch::start();
        let database = carried.database;
        let mut findings = carried.findings;
        let mut ownership = carried.ownership;
        let Tables { mut receipts, findings: of_tables, deferred } = carried.tables;
        findings.extend(of_tables);
        let incomplete = incomplete(&carried.excluded, &findings);
        let Rebuilt { late, unsatisfied, refused: of_rebuild } =
            self.restore_post_data(&database, &ownership, carried.key, deferred, incomplete)?;
        let mut refused = carried.refused;
        findings.extend(self.refused(&of_rebuild));
        refused.extend(of_rebuild);
        for (kind, keys, what) in [
            (FindingKind::Deviation, unsatisfied.keys, BROKEN),
            (FindingKind::SchemaStatement, unsatisfied.only_here, BROKEN_HERE),
        ] {
            findings.extend(keys.into_iter().map(|RefusedStatement { object, reason, .. }| {
                self.work.finding(kind, object, format!("{what}: {reason}"))
            }));
        }
        findings.extend(late.findings);
        receipts.extend(late.receipts);
        receipts.sort_by(|one, other| one.table.cmp(&other.table));
        findings.extend(self.refused(&database.set_sequences(&carried.sequences)?));
        // Temporary objects that show how the target prints definitions come before the database's own event triggers,
        // which may forbid it.
        let spellings = Spellings::learn(&carried.catalog, database.address())?;
        let spellings = spellings.with_members(ownership.members().clone());
        findings.extend(ownership.finish(&database, &mut carried.catalog)?);
        self.work.check_interrupt()?;
        self.target.enable_durability()?;
        let rebuild_ms = watch.elapsed_ms();
        self.work.check_interrupt()?;
        let restored = Restored {
            work: self.work.clone(),
            spec: self.spec.clone(),
            source_name: self.source.address().to_string(),
            snapshot: carried.snapshot,
            facts: carried.facts,
            load: carried.load,
            target_version: self.target.server.probe()?.version,
            database,
            key: carried.key,
            receipts,
            marks: late.marks.into_iter().chain(unsatisfied.marks).collect(),
            refused,
            sequences: carried.sequences,
            catalog: carried.catalog,
            spellings,
            large_objects: carried.large_objects,
            ownership,
            views: carried.views,
            excluded: carried.excluded,
        };
        let reconnect = ReconnectLimits::of_target(self.stall(), self.target.is_managed());
        Ok(CarriedDatabase { restored, findings, before: Phases { transfer_ms, rebuild_ms }, reconnect })
    }

    fn carry_snapshot(&self, is_last: bool) -> Result<Snapshotted, CopyEnd> {
        self.work.started(AssetKind::Postgres)?;
        self.clear()?;
        self.target.disable_durability()?;
        let mut snapshot = self.source.snapshot().map_err(CopyEnd::of_snapshot)?;
        let facts = snapshot.facts().map_err(CopyEnd::of_snapshot)?;
        self.check_texts(&mut snapshot, &facts)?;
        self.work
            .recorder
            .fact(&Event::SnapshotTaken {
                asset: self.work.asset.clone(),
                snapshot: snapshot.id().to_owned(),
                server_version: facts.version.clone(),
            })
            .map_err(Stop::from)?;
        // Drawn after the snapshot fixed the rows, so that no row can have been chosen to suit the key.
        let key = RowKey::draw().map_err(|error| self.failed(&self.work.root(), &error))?;
        let (database, mut findings) = self.create_database(&facts)?;
        let rights = snapshot.rights().and_then(|rights| Ok((rights, snapshot.special()?)));
        let rights = rights.map_err(|error| of_catalog(error, &snapshot))?;
        let mut ownership = Ownership::new(&self.work, &self.target, self.spec.roles.as_ref(), rights)?;
        findings.extend(ownership.prepare(&database)?);
        self.dump_schema(&mut snapshot, &facts.encoding)?;
        let mut catalog = snapshot.definitions().map_err(|error| of_catalog(error, &snapshot))?;
        findings.extend(self.changed(&snapshot, is_last)?);
        self.work.check_interrupt()?;
        let definitions = ownership.definitions(&database)?;
        let search_path = ownership.search_path();
        let refused = database.restore_pre_data(&self.target.tools, &self.schema(), search_path, definitions)?;
        let refused = ownership.mend(&database, refused)?;
        findings.extend(self.refused(&refused));
        let (large_objects, lost) = large_objects::carry(&self.work, &mut snapshot, &database)?;
        findings.extend(lost);
        let (excluded, unmatched) = self.left_out(&mut snapshot)?;
        findings.extend(unmatched);
        let is_in = |table: &Table| !excluded.iter().any(|other| other.table == table.name.to_string());
        let tables: Vec<_> = snapshot.tables().map_err(CopyEnd::of_snapshot)?.into_iter().filter(is_in).collect();
        ownership.open(&database, &tables)?;
        let has_tables = tables.iter().any(|table| !table.of_extension);
        let (tables, mut load) = self.carry_tables(&mut snapshot, &facts, &database, key, tables)?;
        let (views, unread) = self.read_views(&mut snapshot, key)?;
        findings.extend(unread);
        let sequences = snapshot.sequences().map_err(CopyEnd::of_snapshot)?;
        let came = tables.receipts.iter().any(|receipt| receipt.stream.rows > 0) || !tables.deferred.is_empty();
        if !has_tables && !came {
            findings.push(self.without_tables(&catalog, facts.large_objects));
        }
        ownership.without_lost(&large_objects, &mut catalog);
        load.snapshot_held_ms = ms(snapshot.held());
        // The snapshot ends here: indexes can take hours, and the provider need not keep old row versions for them.
        let snapshot = snapshot.id().to_owned();
        Ok(Snapshotted {
            facts,
            key,
            database,
            snapshot,
            sequences,
            catalog,
            large_objects,
            ownership,
            tables,
            views,
            load,
            excluded,
            refused,
            findings,
        })
    }

    /// A pg_dump that lost a connection of its own says so in words alone: where the snapshot's holder sees nothing wrong, it
    /// is run once more.
    fn dump_schema(&self, snapshot: &mut Snapshot, encoding: &str) -> Result<(), CopyEnd> {
        let mut dump = || {
            let dumped = snapshot.dump_schema(&self.target.tools, &self.schema(), encoding);
            dumped.or_else(|error| of_dump(error, snapshot))
        };
        match dump() {
            Err(CopyEnd::Stop(Stop::Asset { reason, .. })) => {
                self.work.check_interrupt()?;
                tracing::warn!(reason, "the schema was not dumped; trying again");
                dump()
            }
            dumped => dumped,
        }
    }

    /// Definitions newer than the snapshot would be compared with a dump of others: before any row is read,
    /// a new snapshot is taken. Where something changes all the time, it is reported instead.
    fn changed(&self, snapshot: &Snapshot, is_last: bool) -> Result<Option<Finding>, CopyEnd> {
        let changed = snapshot.changed().map_err(CopyEnd::of_snapshot)?;
        match (changed.is_empty(), is_last) {
            (true, _) => Ok(None),
            (false, false) => Err(CopyEnd::SnapshotLost(Lost::to_change(format!("{}: {CHANGED}", changed.join(", "))))),
            (false, true) => {
                let detail = format!("{CHANGED}, once more: what differs in it may be of that");
                Ok(Some(self.work.finding(FindingKind::Deviation, changed.join(", "), detail)))
            }
        }
    }

    /// The excluded tables, and the entries of the playbook that exclude nothing.
    fn left_out(&self, snapshot: &mut Snapshot) -> Result<(Vec<ExcludedTable>, Vec<Finding>), CopyEnd> {
        let mut excluded = Vec::new();
        let mut findings = Vec::new();
        for (table, name) in rows_proof::excluded(&self.spec).iter().zip(exclusions::names(&self.spec)) {
            let named = snapshot.named(&name).map_err(CopyEnd::of_snapshot)?;
            match exclusions::left_out(table, named.as_ref()) {
                Ok(tables) => excluded.extend(tables),
                Err(reason) => {
                    let subject = format!("{} of exclude_tables", table.table);
                    let detail = format!("{reason}; {}", exclusions::UNMATCHED_HINT);
                    findings.push(self.work.finding(FindingKind::NothingMatched, subject, detail));
                }
            }
        }
        Ok((excluded, findings))
    }

    fn read_views(&self, snapshot: &mut Snapshot, key: RowKey) -> Result<(Vec<View>, Vec<Finding>), CopyEnd> {
        let pace = self.spec.limits.bytes_per_s.map(|rate| Pace::new(rate.bytes()));
        let stall = self.stall();
        let lock_timeout = self.source.lock_limit();
        views::read(&Reading { key, pace, stall, lock_timeout, work: &self.work }, snapshot)
    }

    /// How long a copy may stall.
    pub(super) fn stall(&self) -> Duration {
        stall(&self.spec)
    }

    /// Text must come back byte for byte; so must the catalog, whose names may be of any bytes in some databases.
    fn check_texts(&self, snapshot: &mut Snapshot, facts: &DatabaseFacts) -> Result<(), CopyEnd> {
        if let Some(reason) = session::encoding_refused(&facts.encoding) {
            return Err(Stop::Asset { reason, hint: None }.into());
        }
        if facts.encoding == session::RAW
            && let Some(reason) = snapshot.not_utf8().map_err(CopyEnd::of_snapshot)?
        {
            return Err(Stop::Asset { reason, hint: None }.into());
        }
        Ok(())
    }

    fn schema(&self) -> PathBuf {
        self.work.root().join(SCHEMA)
    }

    fn failed(&self, path: &std::path::Path, error: &io::Error) -> Stop {
        Stop::Asset { reason: format!("{}: {error}", path.display()), hint: None }
    }

    /// Nothing of an earlier attempt may mix with this one.
    fn clear(&self) -> Result<(), Stop> {
        self.work.make_root()?;
        for directory in [self.work.root(), self.work.layout.receipts(&self.work.asset)] {
            match fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(&directory, &error)),
                _ => {}
            }
        }
        let exports = self.work.root().join(EXPORTS);
        self.work.make_root()?;
        make_private(&exports).map_err(|error| SinkError::write(&exports, error).into())
    }

    fn create_database(&self, facts: &DatabaseFacts) -> Result<(TargetDatabase, Vec<Finding>), Stop> {
        let name = &self.work.asset;
        self.target.refuse_source(name, self.source.address())?;
        let (database, missing) = self.target.server.create(name, facts, &self.work.run)?;
        let event = Event::DatabaseCreated { asset: name.clone(), database: name.clone() };
        self.work.recorder.fact(&event)?;
        let mut findings = self.not_carried(facts);
        let ways_out = self.target.server.probe()?.ways_out;
        if !ways_out.is_empty() && !self.target.is_managed() {
            let detail = format!("{}: {}", SOURCE_RUNS, LESSER_LOGIN);
            let subject = format!("the target's login {}", ways_out.join(", "));
            findings.push(self.work.finding(FindingKind::Deviation, subject, detail));
        }
        let missing = missing.into_iter();
        findings.extend(missing.map(|one| self.work.finding(FindingKind::NotCarried, one.subject, one.detail)));
        Ok((database, findings))
    }

    /// A database may have none but functions, views and their like, which are compared, or nothing at all: what CREATE
    /// EXTENSION makes is none of its own.
    fn without_tables(&self, catalog: &Catalog, large_objects: u64) -> Finding {
        let objects = catalog.keys().filter(|object| object.is_of_users()).count() as u64;
        match objects + large_objects {
            0 => {
                let nothing = "neither a table nor anything else, extensions aside,";
                self.work.empty(self.spec.may_be_empty, &self.work.asset, nothing)
            }
            _ => {
                let what = format!(
                    "{} and {}",
                    words::count(objects, "definition", "definitions"),
                    words::count(large_objects, "large object", "large objects")
                );
                let detail = format!("no table holds rows there, so {what} are all that was compared");
                self.work.finding(FindingKind::Deviation, &self.work.asset, detail)
            }
        }
    }

    fn not_carried(&self, facts: &DatabaseFacts) -> Vec<Finding> {
        let finding = |subject: String| self.work.finding(FindingKind::NotCarried, subject, "");
        facts.not_carried.iter().cloned().map(finding).collect()
    }

    /// Also loads what the target rejected before.
    fn restore_post_data(
        &self,
        database: &TargetDatabase,
        ownership: &Ownership,
        key: RowKey,
        deferred: Vec<Deferred>,
        mut incomplete: BTreeSet<String>,
    ) -> Result<Rebuilt, Stop> {
        self.work.check_interrupt()?;
        let meter = Arc::new(Meter::default());
        let _ticker = self.work.ticker(Phase::Rebuild, &meter);
        let mut loaded = Loaded::default();
        let search_path = ownership.search_path();
        let late = LateLoad { work: &self.work, database, key, search_path };
        let tools = &self.target.tools;
        let schema = self.schema();
        let workers = self.spec.parallel;
        let (refused, unsatisfied) = database.restore_post_data(tools, &schema, workers, search_path, || {
            loaded = late.load(deferred)?;
            incomplete.extend(without_rows(&loaded.findings));
            Ok::<_, Stop>(incomplete)
        })?;
        Ok(Rebuilt { late: loaded, unsatisfied, refused: ownership.mend(database, refused)? })
    }

    fn refused(&self, statements: &[RefusedStatement]) -> Vec<Finding> {
        let finding = |refused: &RefusedStatement| {
            self.work.finding(FindingKind::SchemaStatement, &refused.object, &refused.reason)
        };
        statements.iter().map(finding).collect()
    }

    fn carry_tables(
        &self,
        snapshot: &mut Snapshot,
        facts: &DatabaseFacts,
        database: &TargetDatabase,
        key: RowKey,
        tables: Vec<Table>,
    ) -> Result<(Tables, SourceLoad), CopyEnd> {
        if tables.is_empty() {
            return Ok((Tables::default(), SourceLoad::default()));
        }
        let meter = Arc::new(Meter::default());
        tables.iter().for_each(|table| meter.expect(table.rows_estimate.unwrap_or_default(), table.bytes_on_disk));
        let _ticker = self.work.ticker(Phase::Transfer, &meter);
        let sized = tables.into_iter().map(|table| Ok(SizedTable { blocks: blocks(snapshot, &table)?, table }));
        let sized = sized.collect::<Result<Vec<_>, CopyEnd>>()?;
        let workers = self.workers();
        let chunks = chunks::cut(&sized, workers, facts.major);
        let copy_workers = self.copy_workers(database, key, &meter);
        let (tables, lag_max) = copy_workers.run(snapshot, &sized, &chunks)?;
        let connections_max = (workers.min(chunks.len()) + CONNECTIONS_BESIDE_WORKERS) as u64;
        Ok((tables, SourceLoad { snapshot_held_ms: 0, replication_lag_ms_max: lag_max.map(ms), connections_max }))
    }

    fn copy_workers<'a>(&'a self, database: &'a TargetDatabase, key: RowKey, meter: &'a Meter) -> CopyWorkers<'a> {
        CopyWorkers {
            work: &self.work,
            database,
            key,
            meter,
            pace: self.spec.limits.bytes_per_s.map(|rate| Pace::new(rate.bytes())),
            stall: self.stall(),
            lock_timeout: self.source.lock_limit(),
            workers: self.workers(),
        }
    }

    /// Copies ranges that another process cut, of a snapshot that is held there.
    fn run_unit(&self, spec: UnitSpec) -> Result<UnitReceipt, TransferError> {
        let Ranges { snapshot, key, database, .. } = spec.clone().into_rows(ENGINE)?;
        let wait_limits = wire::WaitLimits { stall: Some(self.stall()), interrupt: self.work.interrupt.clone() };
        let handle = self.source.handle(&snapshot, wait_limits);
        let context = WorkerContext { handle, halt: self.work.interrupt.clone(), stall: self.stall() };
        let database = self.target.server.existing(&database);
        let meter = Meter::default();
        let copy_workers = self.copy_workers(&database, key, &meter);
        RangeWorker::new(&copy_workers, &context).run(spec)
    }

    /// The source's connections limit the workers.
    fn workers(&self) -> usize {
        let allowed = self.spec.limits.connections.map_or(usize::MAX, |connections| connections as usize);
        self.spec.parallel.min(allowed.saturating_sub(CONNECTIONS_BESIDE_WORKERS)).max(1)
    }
}

/// Tables that lack rows of the source, so that foreign keys to and from them prove nothing.
fn incomplete(excluded: &[ExcludedTable], findings: &[Finding]) -> BTreeSet<String> {
    excluded.iter().map(|table| table.table.clone()).chain(without_rows(findings)).collect()
}

fn without_rows(findings: &[Finding]) -> impl Iterator<Item = String> {
    let lacks = |kind| matches!(kind, FindingKind::RowsUnreadable | FindingKind::TableUnreadable);
    findings.iter().filter(move |finding| lacks(finding.kind)).map(|finding| finding.subject.clone())
}

/// What an error means while the catalog is read: most often that something was dropped meanwhile.
fn of_catalog(error: PgError, snapshot: &Snapshot) -> CopyEnd {
    if !error.is_of_vanished() {
        return CopyEnd::of_snapshot(error);
    }
    let changed = snapshot.changed().unwrap_or_default();
    let changed = if changed.is_empty() { "something".to_owned() } else { changed.join(", ") };
    CopyEnd::SnapshotLost(Lost::to_change(format!("{changed}: {CHANGED} ({error})")))
}

/// pg_dump waits for locks itself, mostly behind a session that waits for the snapshot. Whether that was the cause, the
/// snapshot's holder can see, which is also gone when the server is.
fn of_dump(error: PgError, snapshot: &mut Snapshot) -> Result<(), CopyEnd> {
    // A standby ends conflicting sessions one after the other.
    std::thread::sleep(AWAY_PAUSE);
    let locked = snapshot.locked().map_err(CopyEnd::of_snapshot)?;
    let changed = snapshot.changed().map_err(CopyEnd::of_snapshot)?;
    match locked.is_empty() {
        true if changed.is_empty() => Err(error.into()),
        true => Err(CopyEnd::SnapshotLost(Lost::to_change(format!("{}: {CHANGED} ({error})", changed.join(", "))))),
        false => Err(CopyEnd::SnapshotLost(format!("{}: {error}", locked.join("; ")).into())),
    }
}

/// Only the blocks of a large enough table are queried.
fn blocks(snapshot: &mut Snapshot, table: &Table) -> Result<u64, CopyEnd> {
    if table.bytes_on_disk < chunks::WHOLE_BYTES_MAX {
        Ok(0)
    } else {
        snapshot.blocks(table).map_err(CopyEnd::of_snapshot)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
