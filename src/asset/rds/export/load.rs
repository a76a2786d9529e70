//! Tables created from the schema of their files, and filled from them, several in parallel.

use std::{
    fs::{self, File},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use super::{columns, folders::ExportedFile, layout::ExportedTable, proof::Proof};
use crate::{
    asset::{
        database::{
            ends::panicked,
            ranges::{EXPORTS, record},
            receipts::Tables,
        },
        stop::Stop,
    },
    clock::Stopwatch,
    domain::{
        digest::{RowDigest, RowKey, Sha256Digest},
        event::Phase,
        finding::{Finding, FindingKind},
    },
    pg::{name::Table, wire::WaitLimits},
    provider::parquet_rows::{ParquetRows, ParquetShape, shape_of},
    record::directory::make_private,
    restore::{
        database::{Filling, Loader, TargetDatabase},
        spool::{self, Spool},
    },
    transfer::{
        error::{SinkError, SourceError, TransferError},
        meter::Meter,
        receipt::{ExportReceipt, TableReceipt},
        table::copy_rows,
    },
};

impl Proof {
    /// Loads every table of the export. What is wrong with one table is a finding; the others continue.
    /// The second value holds the findings about tables that were loaded.
    pub(super) fn load(&self, database: &TargetDatabase, key: RowKey) -> Result<(Tables, Vec<Finding>), Stop> {
        let meter = Arc::new(Meter::default());
        let _ticker = self.work.ticker(Phase::Transfer, &meter);
        let queue = Mutex::new(self.exported.tables.iter().enumerate());
        let done = Mutex::new((Tables::default(), Vec::new()));
        let run_workers = || -> Result<(), Stop> {
            let wait_limits = WaitLimits { stall: None, interrupt: self.work.interrupt.clone() };
            let mut loader = database.loader(wait_limits);
            loop {
                self.work.check_interrupt()?;
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, table)) = next else { return Ok(()) };
                let one = One { of: self, number, table, database, key, meter: &meter };
                let loaded = match self.changed(table)? {
                    Some(finding) => Err(finding),
                    None => match one.load(&mut loader) {
                        Ok(loaded) => Ok(loaded),
                        Err(error) => Err(self.refused(table, error)?),
                    },
                };
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                let (tables, flaws) = &mut *done;
                match loaded {
                    Ok((receipt, found)) => {
                        record(&self.work, number, &receipt)?;
                        tables.receipts.push(receipt);
                        flaws.extend(found);
                    }
                    Err(finding) => tables.findings.push(finding),
                }
            }
        };
        let ends: Vec<Result<(), Stop>> = std::thread::scope(|scope| {
            let workers = self.spec.parallel.clamp(1, self.exported.tables.len().max(1));
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run_workers)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        ends.into_iter().collect::<Result<(), Stop>>()?;
        let (mut tables, flaws) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        tables.receipts.sort_by(|one, other| one.table.cmp(&other.table));
        tables.findings.sort();
        Ok((tables, flaws))
    }

    /// Reports a file of the table that is not as received: only verified files are decoded.
    fn changed(&self, table: &ExportedTable) -> Result<Option<Finding>, Stop> {
        let root = self.work.layout.asset_root(&self.files.id);
        for file in &table.files {
            self.work.check_interrupt()?;
            let (kind, what) = match File::open(&file.path).and_then(Sha256Digest::of_reader) {
                Ok(found) if found == file.sha256 => continue,
                Ok(found) => {
                    let what = format!("received with SHA-256 {}, and now it has {found}", file.sha256);
                    (FindingKind::ObjectDigest, what)
                }
                Err(error) => (FindingKind::TableUnreadable, error.to_string()),
            };
            let shown = file.path.strip_prefix(&root).unwrap_or(&file.path).display();
            let detail = format!("{shown}: {what}; the table was not loaded");
            return Ok(Some(self.work.finding(kind, table.name.to_string(), detail)));
        }
        Ok(None)
    }

    /// A finding about the table, or the end of the asset.
    fn refused(&self, table: &ExportedTable, error: TransferError) -> Result<Finding, Stop> {
        let reason = match error {
            TransferError::Source(error) => error.to_string(),
            TransferError::Sink(SinkError::Database { reason, server_failed: false, .. }) => reason,
            other => return Err(other.into()),
        };
        Ok(self.work.finding(FindingKind::TableUnreadable, table.name.to_string(), reason))
    }

    /// Nothing of an earlier attempt may mix with this one; the files stay.
    pub(super) fn clear(&self) -> Result<(), Stop> {
        let failed = |path: &std::path::Path, error: io::Error| SinkError::write(path, error);
        let exports = self.work.root().join(EXPORTS);
        self.work.make_root()?;
        match fs::remove_dir_all(&exports) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&exports, error).into()),
            _ => {}
        }
        let receipts = self.work.layout.receipts(&self.work.asset);
        for entry in fs::read_dir(&receipts).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                fs::remove_file(entry.path()).map_err(|error| failed(&entry.path(), error))?;
            }
        }
        make_private(&exports).map_err(|error| failed(&exports, error).into())
    }
}

/// One table being loaded.
struct One<'a> {
    of: &'a Proof,
    number: usize,
    table: &'a ExportedTable,
    database: &'a TargetDatabase,
    key: RowKey,
    meter: &'a Meter,
}

impl One<'_> {
    fn load(&self, loader: &mut Loader) -> Result<(TableReceipt, Vec<Finding>), TransferError> {
        let watch = Stopwatch::start();
        let shapes = self.shapes()?;
        let columns: Vec<(String, String)> = match shapes.first() {
            Some(shape) => shape.columns.iter().map(|column| (column.name.clone(), column.sql_type.clone())).collect(),
            None => {
                let listed = self.table.listed_columns.iter();
                listed.map(|column| (column.name.clone(), column.sql_type().to_owned())).collect()
            }
        };
        self.database.create_plain_table(&self.table.name, &columns)?;
        let table = Table {
            name: self.table.name.clone(),
            columns: columns.into_iter().map(|(name, _)| name).collect(),
            ..Table::default()
        };
        let source_count = shapes.iter().map(|shape| shape.rows).fold(0, u64::saturating_add);
        self.meter.expect(source_count, 0);
        let flaws = self.flaws(&shapes);
        let columns = shapes.into_iter().next().map(|shape| shape.columns).unwrap_or_default();
        let mut rows = ParquetRows::new(self.table.files.iter().map(|file| file.path.clone()), columns);
        let file = spool::file_name(self.number + 1, &table.name.to_string(), 1, 1);
        let path = format!("{EXPORTS}/{file}");
        let mut export = Spool::create(&self.of.work.root().join(&path))?;
        let digest = RowDigest::new(self.key, &table.copy_out_sql());
        let relayed = loader.load(&table, Filling::Alone, |loading| {
            let mut target = loading.copy_in()?;
            copy_rows(&mut rows, digest, &mut export, &mut target, self.meter, &self.of.work.interrupt)
        })?;
        let sha256 = export.digest().ok_or_else(|| TransferError::Internal("an export has no digest".to_owned()))?;
        let receipt = TableReceipt {
            table: table.name.to_string(),
            copy_sql: table.copy_out_sql(),
            stream: relayed.stream,
            source_count,
            sent_rows: relayed.sent_rows.unwrap_or_default(),
            accepted_rows: relayed.accepted_rows,
            exports: vec![ExportReceipt { path, sha256, totals: relayed.stream, from_block: None, to_block: None }],
            duration_ms: watch.elapsed_ms(),
            generated: None,
        };
        Ok((receipt, flaws))
    }

    /// The metadata of each file. All must have one list of columns.
    fn shapes(&self) -> Result<Vec<ParquetShape>, SourceError> {
        let mut shapes: Vec<ParquetShape> = Vec::new();
        for file in &self.table.files {
            let shape = shape_of(&file.path)?;
            let first = shapes.first().map_or(&shape.columns, |first| &first.columns);
            if let Some(reason) = columns::from_first(first, &shape.columns) {
                return Err(SourceError::Permanent { what: file_name(file), reason });
            }
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// Problems with the files that do not prevent loading.
    fn flaws(&self, shapes: &[ParquetShape]) -> Vec<Finding> {
        let find = |kind, detail: String| self.of.work.finding(kind, self.table.name.to_string(), detail);
        let listed = shapes.first().and_then(|first| columns::from_list(&self.table.listed_columns, &first.columns));
        let mut flaws: Vec<_> = listed.map(|detail| find(FindingKind::ExportContradicts, detail)).into_iter().collect();
        for (one, other) in columns::twins(&self.table.files, shapes) {
            let detail =
                format!("{} and {} hold the same bytes: rows may have come twice", file_name(one), file_name(other));
            flaws.push(find(FindingKind::ExportContradicts, detail));
        }
        for (file, shape) in self.table.files.iter().zip(shapes).filter(|(_, shape)| shape.unnamed_bytes > 0) {
            let name = file_name(file);
            let bytes = shape.unnamed_bytes;
            let detail =
                format!("{bytes} bytes of {name} belong to no row group that its footer names; rows may be missing");
            flaws.push(find(FindingKind::ExportContradicts, detail));
        }
        flaws
    }
}

fn file_name(file: &ExportedFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
