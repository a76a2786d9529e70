//! A PostgreSQL database read from one exported snapshot: its schema by pg_dump, its rows by COPY.
//!
//! Every transaction is read only, so the server itself refuses a write.

use std::{collections::BTreeSet, fs, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use ::postgres::Client;

use super::holder::{self, Kept};
use crate::{
    clock::Stopwatch,
    pg::{
        Address, PgError,
        catalog::{self, Catalog, DatabaseFacts, Named, SequenceState, rights::Rights, special::Special},
        copy::CopyOut,
        large::{self, LargeObject},
        name::{RelationName, Table},
        range::BlockRange,
        session,
        tools::{self, Tools},
        wire::{Patience, Wire},
    },
};

/// Isolation and access mode of every transaction at the source.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How long a table's lock is waited for if nobody says; it conflicts only with TRUNCATE, DROP, rewriting ALTERs and
/// their like.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the tables are listed and locked anew because some came or went in between.
const LOCK_ATTEMPTS_MAX: u32 = 5;

/// A database at the provider.
#[derive(Clone, Debug)]
pub struct PostgresSource {
    address: Address,
    lock_timeout: Duration,
}

impl PostgresSource {
    /// A source at this address. Connects to nothing yet.
    pub fn new(address: Address) -> Self {
        PostgresSource { address, lock_timeout: LOCK_TIMEOUT }
    }

    /// The same, waiting so long for a table's lock.
    #[must_use]
    pub fn lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.lock_timeout = lock_timeout;
        self
    }

    /// How long a table's lock is waited for, and others may wait for one behind a snapshot.
    pub fn lock_patience(&self) -> Duration {
        self.lock_timeout
    }

    /// Whether it answers at all.
    ///
    /// # Errors
    /// Why it does not.
    pub fn reach(&self) -> Result<(), PgError> {
        self.address.connect().map(drop)
    }

    /// Where it is, without the login.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the database is, and which relations this login couldn't read whole.
    pub fn probe(&self) -> Result<(DatabaseFacts, Vec<RelationName>), PgError> {
        let mut client = self.address.connect()?;
        begin(&mut client)?;
        Ok((catalog::facts(&mut client)?, catalog::unreadable(&mut client)?))
    }

    /// What each of these names stands for; nothing where no relation has it.
    pub fn named(&self, names: &[RelationName]) -> Result<Vec<Option<Named>>, PgError> {
        let mut client = self.address.connect()?;
        begin(&mut client)?;
        names.iter().map(|name| catalog::named(&mut client, name)).collect()
    }

    /// The tables with their estimated sizes, for a plan.
    pub fn tables(&self) -> Result<Vec<Table>, PgError> {
        // Measuring a table takes a lock on it, too.
        catalog::tables(&mut self.begin_patiently()?)
    }

    /// A read-only transaction that waits no longer for a lock than it may.
    pub(super) fn begin_patiently(&self) -> Result<Client, PgError> {
        let mut client = self.address.connect()?;
        begin(&mut client)?;
        let timeout = format!("SET LOCAL lock_timeout = {}", self.lock_timeout.as_millis());
        client.batch_execute(&timeout).map_err(|error| PgError::statement(LOCKING, &error))?;
        Ok(client)
    }

    /// Locks every table against being emptied or rewritten, exports a snapshot, and holds both until the value is
    /// dropped. Without the locks a TRUNCATE or a rewriting ALTER would make a table look empty in the snapshot
    /// (PostgreSQL documentation, "Caveats" of "Concurrency Control").
    pub fn snapshot(&self) -> Result<Snapshot, PgError> {
        let mut tried = 1;
        loop {
            let tables = self.tables()?;
            let mut holder = self.address.connect()?;
            begin(&mut holder)?;
            match lock(&mut holder, &tables, self.lock_timeout) {
                Ok(()) if all_locked(&mut holder, &tables)? => return self.export(holder),
                Err(error) if error.connection_lost() || tried == LOCK_ATTEMPTS_MAX => return Err(error),
                Ok(()) if tried == LOCK_ATTEMPTS_MAX => {
                    let reason = "tables came while the others were being locked, again and again".to_owned();
                    return Err(PgError::Statement { what: LOCKING.into(), reason, connection_lost: false });
                }
                _ => tried += 1,
            }
        }
    }

    fn export(&self, mut holder: Client) -> Result<Snapshot, PgError> {
        let exported = holder.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]);
        let exported = exported.and_then(|row| row.try_get(0));
        let id = exported.map_err(|error| PgError::statement("exporting a snapshot", &error))?;
        let (address, lock_timeout) = (self.address.clone(), self.lock_timeout);
        Ok(Snapshot { address, lock_timeout, holder, id, held: Stopwatch::start() })
    }
}

/// An exported snapshot: schema, counts and rows that are read through it belong to one moment.
pub struct Snapshot {
    address: Address,
    lock_timeout: Duration,
    holder: Client,
    id: String,
    held: Stopwatch,
}

impl Snapshot {
    /// The server's name for it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Version, encoding and locale.
    pub fn facts(&mut self) -> Result<DatabaseFacts, PgError> {
        catalog::facts(&mut self.holder)
    }

    /// The tables that hold rows, largest first.
    pub fn tables(&mut self) -> Result<Vec<Table>, PgError> {
        catalog::tables(&mut self.holder)
    }

    /// The materialized views that hold rows.
    pub fn materialized_views(&mut self) -> Result<Vec<Table>, PgError> {
        catalog::materialized_views(&mut self.holder)
    }

    /// What a name stands for; nothing where no relation has it.
    pub fn named(&mut self, name: &RelationName) -> Result<Option<Named>, PgError> {
        catalog::named(&mut self.holder, name)
    }

    /// The tables of extensions whose rows a dump leaves to CREATE EXTENSION.
    pub fn extension_tables(&mut self) -> Result<Vec<Table>, PgError> {
        catalog::tables_of_extensions(&mut self.holder)
    }

    /// Where the sequences stand; at or after the snapshot, see [`catalog::sequences`].
    pub fn sequences(&mut self) -> Result<Vec<SequenceState>, PgError> {
        catalog::sequences(&mut self.holder)
    }

    /// Every object of the compared classes with its definition.
    pub fn definitions(&mut self) -> Result<Catalog, PgError> {
        catalog::definitions(&mut self.holder)
    }

    /// Writes the schema, without rows, as a pg_dump archive. Owners, grants, tablespaces and subscriptions stay out. Its
    /// texts are UTF-8 unless the database's encoding is none at all.
    pub fn dump_schema(&self, tools: &Tools, archive: &Path, encoding: &str) -> Result<(), PgError> {
        let mut command = tools.command("pg_dump", Some(&self.address))?;
        command.args(["--format=custom", "--section=pre-data", "--section=post-data", "--no-blobs"]);
        command.args(["--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions"]);
        if encoding != session::RAW {
            command.arg("--encoding=UTF8");
        }
        command.arg(format!("--lock-wait-timeout={}", self.lock_timeout.as_millis()));
        command.arg("--snapshot").arg(&self.id).arg("--file").arg(archive);
        private(archive).map_err(|error| PgError::Program { program: "pg_dump", reason: error })?;
        tools::run("pg_dump", command)
    }

    /// Roles, owners and grants.
    pub fn rights(&mut self) -> Result<Rights, PgError> {
        let mentioned = catalog::rights::roles_in_rows(&mut self.holder)?;
        catalog::rights::rights_with(&mut self.holder, &mentioned)
    }

    /// What only a superuser can make.
    pub fn special(&mut self) -> Result<Special, PgError> {
        catalog::special::special(&mut self.holder)
    }

    /// The numbers of the large objects.
    pub fn large_objects(&mut self) -> Result<Vec<u32>, PgError> {
        large::list(&mut self.holder)
    }

    /// Another connection that sees the snapshot, for large objects.
    pub fn large_object_reader(&self) -> Result<LargeObjectReader, PgError> {
        let mut client = self.address.connect()?;
        let adopt = adopting(&self.id);
        client.batch_execute(&adopt).map_err(|error| PgError::statement("adopting the snapshot", &error))?;
        Ok(LargeObjectReader { client })
    }

    /// What another thread needs to read from this snapshot while it is held.
    pub fn ticket(&self, patience: Patience) -> SnapshotTicket {
        SnapshotTicket { address: self.address.clone(), id: self.id.clone(), patience }
    }

    /// Blocks of a table's own file now; it may grow, which a last range without an end covers.
    pub fn blocks(&mut self, table: &Table) -> Result<u64, PgError> {
        let sql = "SELECT pg_catalog.pg_relation_size($1::text::pg_catalog.regclass) \
                   / pg_catalog.current_setting('block_size')::int8";
        let counted = self.holder.query_one(sql, &[&table.name.to_sql()]).and_then(|row| row.try_get::<_, i64>(0));
        let counted = counted.map_err(|error| PgError::statement(format!("measuring {}", table.name), &error))?;
        Ok(counted.unsigned_abs())
    }

    /// How long the snapshot has been held; so long the server keeps rows that were deleted meanwhile.
    pub fn held(&self) -> Duration {
        self.held.elapsed()
    }

    /// Makes sure that the snapshot is still there, which also keeps the connection from looking idle to whatever lies
    /// between. Returns what the holder sees of the server meanwhile.
    pub fn keep(&mut self) -> Result<Kept, PgError> {
        holder::look(&mut self.holder)
    }
}

/// The right to read from a snapshot that somebody else holds.
#[derive(Clone, Debug)]
pub struct SnapshotTicket {
    address: Address,
    id: String,
    patience: Patience,
}

impl SnapshotTicket {
    /// A connection of its own that sees the snapshot.
    pub fn reader(&self) -> Result<SnapshotReader, PgError> {
        let mut wire = self.address.wire()?;
        notice_our_end(&mut wire)?;
        wire.execute(&adopting(&self.id)).map_err(|error| error.during("adopting the snapshot"))?;
        wire.set_patience(self.patience.clone());
        Ok(SnapshotReader { wire })
    }
}

/// A reader that is given up in the middle of a query, or while it waits for a lock, does not go on at the server for
/// nobody. Servers before version 14 don't know the setting, and some systems can't do it.
/// Source: PostgreSQL documentation, `client_connection_check_interval`.
fn notice_our_end(wire: &mut Wire) -> Result<(), PgError> {
    match wire.execute("SET client_connection_check_interval = '5s'") {
        Err(error) if error.connection_lost() => Err(error.during("preparing a reader")),
        _ => Ok(()),
    }
}

fn adopting(snapshot: &str) -> String {
    format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{}'", snapshot.replace('\'', "''"))
}

/// Reads large objects from a snapshot.
pub struct LargeObjectReader {
    client: Client,
}

impl LargeObjectReader {
    /// Reads one in pieces.
    pub fn read(
        &mut self,
        oid: u32,
        take: impl FnMut(i64, &[u8]) -> Result<(), PgError>,
    ) -> Result<LargeObject, PgError> {
        large::read(&mut self.client, oid, take)
    }
}

/// Reads tables from a snapshot, one after the other.
pub struct SnapshotReader {
    wire: Wire,
}

impl SnapshotReader {
    /// The server's own count of a table's rows, children excluded. It spares the source further processes.
    pub fn count(&mut self, table: &Table) -> Result<u64, PgError> {
        let what = || format!("counting {}", table.name);
        let sql =
            format!("SET LOCAL max_parallel_workers_per_gather = 0; SELECT count(*) FROM ONLY {}", table.name.to_sql());
        let rows = self.wire.query(&sql).map_err(|error| error.during(what()))?;
        let counted = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        counted.ok_or_else(|| PgError::Statement {
            what: what(),
            reason: "the server's answer is no number".to_owned(),
            connection_lost: false,
        })
    }

    /// Starts to copy a part of a table out, with the values of generated columns at the end. Given up before its end, the reader can't be used again.
    pub fn copy_out(&mut self, table: &Table, range: &BlockRange) -> Result<CopyOut<'_>, PgError> {
        CopyOut::start(&mut self.wire, &range.whole_out_sql(table), &table.name.to_string())
    }

    /// Starts to copy a view out. Given up before its end, the reader can't be used again.
    pub fn copy_view_out(&mut self, view: &Table) -> Result<CopyOut<'_>, PgError> {
        CopyOut::start(&mut self.wire, &view.select_out_sql(), &view.name.to_string())
    }
}

fn begin(client: &mut Client) -> Result<(), PgError> {
    client.batch_execute(BEGIN).map_err(|error| PgError::statement("beginning a read-only transaction", &error))
}

const LOCKING: &str = "locking the tables against TRUNCATE and ALTER";

/// Locks before the transaction's first query, so that its snapshot is taken under the locks.
fn lock(client: &mut Client, tables: &[Table], timeout: Duration) -> Result<(), PgError> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = tables.iter().map(|table| format!("ONLY {}", table.name.to_sql())).collect();
    let sql = format!(
        "SET LOCAL lock_timeout = {}; LOCK TABLE {} IN ACCESS SHARE MODE; SET LOCAL lock_timeout = 0",
        timeout.as_millis(),
        names.join(", ")
    );
    client.batch_execute(&sql).map_err(|error| PgError::statement(LOCKING, &error))
}

/// Whether the snapshot holds no table that was not locked.
fn all_locked(client: &mut Client, locked: &[Table]) -> Result<bool, PgError> {
    let names: BTreeSet<_> = locked.iter().map(|table| &table.name).collect();
    Ok(catalog::tables(client)?.iter().all(|table| names.contains(&table.name)))
}

/// Makes the file before pg_dump does, readable for its owner only: it may hold secrets of other servers.
fn private(archive: &Path) -> Result<(), String> {
    let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(archive);
    made.map(drop).map_err(|error| format!("{}: {error}", archive.display()))
}
