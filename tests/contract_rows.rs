//! What every source and every sink of rows has to do, asked of each implementation.
//!
//! Sources: memory, and `CopyOut` on a real server. Sinks: memory, [`Spool`], and the `CopyIn` of a [`Loader`] on a real
//! server. Leaves out the relay between them, which has tests of its own beside it.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt::Write as _,
    fs,
    io::Read as _,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
};

use walkaway::{
    domain::digest::Sha256Digest,
    pg::{
        Address,
        copy::CopyOut,
        name::{RelationName, Table},
        wire::{WaitLimits, Wire},
    },
    restore::{
        database::{Filling, Loader, TargetServer},
        spool::Spool,
    },
    transfer::{
        error::{SinkError, SourceError, TransferError},
        table::{BATCH_BYTES, RowSink, RowSource},
    },
};

use crate::support::{PgCluster, TempDir};

/// One value that is far larger than a batch.
const HUGE: usize = 5_000_000;

// ---------------------------------------------------------------------------------------------------------------------
// Sources

/// Reads a source to its end, as the relay does, and a little further.
fn read_all(source: &mut dyn RowSource) -> Result<Vec<u8>, SourceError> {
    let mut stream = Vec::new();
    loop {
        let mut batch = Vec::new();
        source.fill(&mut batch)?;
        if batch.is_empty() {
            break;
        }
        assert_eq!(batch.last(), Some(&b'\n'), "a batch ends inside a row");
        let last_row = batch[..batch.len() - 1].iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        assert!(batch.len() - last_row < BATCH_BYTES, "a batch goes on after {BATCH_BYTES} bytes");
        stream.extend(batch);
    }
    for _ in 0..3 {
        let mut batch = Vec::new();
        source.fill(&mut batch)?;
        assert!(batch.is_empty(), "something comes after the end");
    }
    Ok(stream)
}

/// Rows in memory.
struct MemoryRows(VecDeque<Vec<u8>>);

impl RowSource for MemoryRows {
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        while batch.len() < BATCH_BYTES {
            let Some(row) = self.0.pop_front() else { break };
            batch.extend(row);
        }
        Ok(())
    }
}

#[test]
fn memory_rows_come_as_they_are() {
    for rows in [many_rows(), huge_row(), "\n\n\n".to_owned(), String::new()] {
        let mut source = MemoryRows(rows.split_inclusive('\n').map(|row| row.as_bytes().to_vec()).collect());
        assert!(read_all(&mut source).unwrap() == rows.as_bytes());
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn copy_out_yields_the_bytes_of_copy() {
    let cluster = PgCluster::start();
    cluster.execute(
        "postgres",
        r"create table plain (a int, b text);
          insert into plain values (1, E'tab\tnewline\nbackslash\\'), (2, null), (3, ''), (4, 'ü🚀'), (5, '\N');
          create table many (n int, t text);
          insert into many select n, md5(n::text) from generate_series(1, 50000) n;
          create table nothing (a int);
          create table no_columns ();
          insert into no_columns default values;
          insert into no_columns default values;
          create table huge (t text);
          insert into huge select repeat('x', 5000000) from generate_series(1, 2)",
    );
    let mut client = address(&cluster).wire().unwrap();
    let plain = "1\ttab\\tnewline\\nbackslash\\\\\n2\t\\N\n3\t\n4\tü🚀\n5\t\\\\N\n";
    for (table, expected) in [
        (table("plain", &["a", "b"]), plain.to_owned()),
        (table("nothing", &["a"]), String::new()),
        (table("no_columns", &[]), "\n\n".to_owned()),
        (table("huge", &["t"]), huge_row() + &huge_row()),
    ] {
        let stream = copied_out(&mut client, &table.copy_out_sql()).unwrap();
        assert!(stream == expected.as_bytes(), "{}", String::from_utf8_lossy(&stream[..stream.len().min(200)]));
    }
    // The server's own bytes, by a way that knows nothing of walkaway.
    let sql = table("many", &["n", "t"]).copy_out_sql();
    let mut expected = Vec::new();
    cluster.client("postgres").copy_out(&sql).unwrap().read_to_end(&mut expected).unwrap();
    assert!(copied_out(&mut client, &sql).unwrap() == expected);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn copy_out_that_fails_never_looks_like_an_end() {
    let cluster = PgCluster::start();
    let mut client = address(&cluster).wire().unwrap();
    let error = copied_out(&mut client, "COPY (SELECT 1 / (90000 - n) FROM generate_series(1, 100000) n) TO STDOUT");
    assert!(matches!(&error, Err(SourceError::Permanent { reason, .. }) if reason.contains("22012")), "{error:?}");

    let pid = client.query("SELECT pg_backend_pid()").unwrap()[0][0].clone().unwrap();
    let sql = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT";
    let mut source = CopyOut::start(&mut client, sql, "t").unwrap();
    source.fill(&mut Vec::new()).unwrap();
    cluster.execute("postgres", &format!("select pg_terminate_backend({pid})"));
    let error = read_all(&mut source);
    assert!(matches!(error, Err(SourceError::Transient { .. })), "{error:?}");
}

fn copied_out(client: &mut Wire, sql: &str) -> Result<Vec<u8>, SourceError> {
    read_all(&mut CopyOut::start(client, sql, "t").unwrap())
}

// ---------------------------------------------------------------------------------------------------------------------
// Sinks: what each has to do

/// Somewhere that rows are kept.
trait Target {
    /// Opens a sink for a new attempt and lets `fill` use it; the sink is dropped afterwards.
    fn attempt(&self, fill: Fill<'_>) -> Result<(), TransferError>;

    /// The rows that were made to stick.
    fn kept(&self) -> Vec<u8>;

    /// Whether it says how many rows it took.
    fn counts(&self) -> bool;
}

type Fill<'a> = &'a mut dyn FnMut(&mut dyn RowSink) -> Result<(), TransferError>;

fn check_sink(target: &dyn Target) {
    what_is_finished_is_kept_and_counted(target);
    what_is_dropped_unfinished_is_not_kept(target);
    a_second_attempt_replaces_the_first(target);
}

fn what_is_finished_is_kept_and_counted(target: &dyn Target) {
    for rows in [String::new(), "1\n".to_owned(), many_rows(), huge_row()] {
        let expected = rows.lines().count() as u64;
        target
            .attempt(&mut |sink| {
                write(sink, &rows)?;
                assert_eq!(sink.finish()?, target.counts().then_some(expected));
                Ok(())
            })
            .unwrap();
        assert!(target.kept() == rows.as_bytes(), "{expected} rows are not kept as they are");
    }
}

fn what_is_dropped_unfinished_is_not_kept(target: &dyn Target) {
    target.attempt(&mut |sink| Ok(sink.finish().map(drop)?)).unwrap();
    let failed = || SourceError::Transient { what: "t".to_owned(), reason: "scripted".to_owned() };
    for rows in [String::new(), "1\n".to_owned(), many_rows()] {
        // The relay returns an error when a sink is not finished.
        let result = target.attempt(&mut |sink| {
            write(sink, &rows)?;
            Err(failed().into())
        });
        assert!(result.is_err());
        assert_eq!(target.kept().len(), 0, "bytes of an attempt that was not finished");
    }
}

fn a_second_attempt_replaces_the_first(target: &dyn Target) {
    for rows in ["first\nand longer\n", "second\n"] {
        target
            .attempt(&mut |sink| {
                write(sink, rows)?;
                Ok(sink.finish().map(drop)?)
            })
            .unwrap();
    }
    assert_eq!(target.kept(), b"second\n");
}

/// In batches that end with a row, as the relay writes them.
fn write(sink: &mut dyn RowSink, rows: &str) -> Result<(), SinkError> {
    let mut batch = String::new();
    for row in rows.split_inclusive('\n') {
        batch.push_str(row);
        if batch.len() >= BATCH_BYTES {
            sink.write(batch.as_bytes())?;
            batch.clear();
        }
    }
    if batch.is_empty() { Ok(()) } else { sink.write(batch.as_bytes()) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Sinks: each implementation

#[test]
fn memory_sink() {
    check_sink(&MemoryTarget::default());
}

#[test]
fn spool_keeps_what_is_finished() {
    what_is_finished_is_kept_and_counted(&SpoolTarget::new());
}

#[test]
fn spool_drops_what_is_unfinished() {
    what_is_dropped_unfinished_is_not_kept(&SpoolTarget::new());
}

#[test]
fn spool_replaces_an_earlier_attempt() {
    a_second_attempt_replaces_the_first(&SpoolTarget::new());
}

#[test]
fn spool_has_the_digest_of_its_file() {
    let target = SpoolTarget::new();
    let mut spool = Spool::create(&target.file()).unwrap();
    assert_eq!(spool.digest(), None);
    write(&mut spool, &many_rows()).unwrap();
    assert_eq!(spool.digest(), None);
    spool.finish().unwrap();
    let written = fs::read(target.file()).unwrap();
    assert_eq!(spool.digest(), Some(Sha256Digest::of(&written)));
    assert!(written.len() < many_rows().len() / 2, "nothing is compressed");
    assert!(target.kept() == many_rows().as_bytes());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn copy_in_keeps_the_contract() {
    let cluster = PgCluster::start();
    check_sink(&TableTarget::new(&cluster));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn copy_in_refuses_broken_rows_and_goes_on_with_the_next_attempt() {
    let cluster = PgCluster::start();
    let target = TableTarget::new(&cluster);
    let nul_byte = "a\0b\n";
    let late = many_rows() + "two\tcolumns\n";
    for rows in ["two\tcolumns\n", nul_byte, "bad \\xff\n", &late] {
        let result = target.attempt(&mut |sink| {
            write(sink, rows)?;
            Ok(sink.finish().map(drop)?)
        });
        let refused = |error: &TransferError| {
            matches!(error, TransferError::Sink(SinkError::Database { server_failed: false, .. }))
        };
        assert!(result.as_ref().is_err_and(refused), "{:?}: {result:?}", &rows[..rows.len().min(40)]);
        assert_eq!(target.kept().len(), 0);
    }
    a_second_attempt_replaces_the_first(&target);
}

/// A reason goes into the record, which never shows a row.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn copy_in_says_why_without_showing_a_row() {
    let cluster = PgCluster::start();
    cluster.execute("postgres", "create table narrow (n int primary key, t varchar(3))");
    let target = TableTarget::of(&cluster, table("narrow", &["n", "t"]));
    for rows in ["1\tsecret\n", "1\ta\n1\tsecret\n", "secret\ta\n"] {
        let error = target.attempt(&mut |sink| {
            write(sink, rows)?;
            Ok(sink.finish().map(drop)?)
        });
        let told = error.unwrap_err().to_string();
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn copy_in_says_when_the_server_is_gone() {
    let cluster = PgCluster::start();
    let target = TableTarget::new(&cluster);
    let result = target.attempt(&mut |sink| {
        sink.write(b"1\n")?;
        cluster.stop();
        let rows = many_rows();
        for _ in 0..50 {
            write(sink, &rows)?;
        }
        Ok(sink.finish().map(drop)?)
    });
    let gone =
        |error: &TransferError| matches!(error, TransferError::Sink(SinkError::Database { server_failed: true, .. }));
    assert!(result.as_ref().is_err_and(gone), "{result:?}");
}

#[derive(Default)]
struct MemoryTarget(Arc<Mutex<Vec<u8>>>);

struct MemorySink {
    kept: Arc<Mutex<Vec<u8>>>,
    taken: Vec<u8>,
}

impl RowSink for MemorySink {
    fn write(&mut self, rows: &[u8]) -> Result<(), SinkError> {
        self.taken.extend_from_slice(rows);
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<u64>, SinkError> {
        let rows = self.taken.iter().filter(|byte| **byte == b'\n').count();
        *self.kept.lock().unwrap() = std::mem::take(&mut self.taken);
        Ok(Some(rows as u64))
    }
}

impl Target for MemoryTarget {
    fn attempt(&self, fill: Fill<'_>) -> Result<(), TransferError> {
        fill(&mut MemorySink { kept: Arc::clone(&self.0), taken: Vec::new() })
    }

    fn kept(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    fn counts(&self) -> bool {
        true
    }
}

struct SpoolTarget(TempDir);

impl SpoolTarget {
    fn new() -> Self {
        SpoolTarget(TempDir::new())
    }

    fn file(&self) -> PathBuf {
        self.0.join("00001-t.copy.zst")
    }
}

impl Target for SpoolTarget {
    fn attempt(&self, fill: Fill<'_>) -> Result<(), TransferError> {
        fill(&mut Spool::create(&self.file())?)
    }

    fn kept(&self) -> Vec<u8> {
        // By the program that people have.
        let unpacked = Command::new("zstd").args(["-dcq"]).arg(self.file()).output().unwrap();
        assert!(unpacked.status.success() || !self.file().exists(), "{unpacked:?}");
        unpacked.stdout
    }

    fn counts(&self) -> bool {
        false
    }
}

struct TableTarget<'a> {
    cluster: &'a PgCluster,
    loader: RefCell<Loader>,
    table: Table,
}

impl<'a> TableTarget<'a> {
    fn new(cluster: &'a PgCluster) -> Self {
        cluster.execute("postgres", "create table t (\"a \"\"b\" text)");
        TableTarget::of(cluster, table("t", &["a \"b"]))
    }

    fn of(cluster: &'a PgCluster, table: Table) -> Self {
        let database = TargetServer::named(address(cluster)).existing("postgres");
        TableTarget { cluster, loader: RefCell::new(database.loader(WaitLimits::default())), table }
    }
}

impl Target for TableTarget<'_> {
    fn attempt(&self, fill: Fill<'_>) -> Result<(), TransferError> {
        self.loader.borrow_mut().load(&self.table, Filling::Alone, |loading| fill(&mut loading.copy_in()?))
    }

    fn kept(&self) -> Vec<u8> {
        let mut rows = Vec::new();
        let mut client = self.cluster.client("postgres");
        client.copy_out(&self.table.copy_out_sql()).unwrap().read_to_end(&mut rows).unwrap();
        rows
    }

    fn counts(&self) -> bool {
        true
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Tools

fn address(cluster: &PgCluster) -> Address {
    Address::parse(&cluster.url("postgres")).unwrap()
}

fn table(name: &str, columns: &[&str]) -> Table {
    Table {
        name: RelationName { schema: "public".to_owned(), name: name.to_owned() },
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        ..Table::default()
    }
}

/// Several batches of short rows.
fn many_rows() -> String {
    let mut rows = String::new();
    for number in 0..60_000 {
        writeln!(rows, "row {number} ü").unwrap();
    }
    rows
}

fn huge_row() -> String {
    "x".repeat(HUGE) + "\n"
}
