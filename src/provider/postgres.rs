//! A PostgreSQL database read from one exported snapshot: its schema by pg_dump, its rows by COPY.
//!
//! Every transaction is read only, so the server itself refuses a write.

use std::{collections::BTreeSet, fs, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use ::postgres::{Client, SimpleQueryMessage};

use super::{
    changes::Objects,
    holder::{self, Kept, Wanted},
    locks,
};
use crate::{
    clock::Stopwatch,
    interrupt::Interrupt,
    pg::{
        Address, PgError,
        catalog::{self, Catalog, DatabaseFacts, Named, SequenceState, rights::Rights, special::SuperuserObjects},
        copy::CopyOut,
        large::{self, LargeObject},
        name::{RelationName, Table, literal},
        pieces::{PLAN_BY_PLACE, Pieces},
        range::{self, BlockRange},
        session,
        tools::{self, Tools},
        wire::{WaitLimits, Wire, WireError},
    },
};

/// How long a table's lock is waited for by default; it conflicts only with TRUNCATE, DROP, rewriting ALTERs and
/// similar.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// Databases that most servers have.
const EVERYWHERE: [&str; 2] = ["postgres", "template1"];
/// How often the tables are listed and locked anew because some were created or dropped in between.
const LOCK_ATTEMPTS_MAX: u32 = 5;

/// The savepoint for pieces that can't be read.
const PIECES: &str = "walkaway_pieces";
/// Errors of a name that can't be resolved (syntax error or access rule violation).
const UNRESOLVED: &str = "42";

/// The connection limit by which a server marks what an interrupted DROP DATABASE left (`DATCONNLIMIT_INVALID_DB` in its
/// pg_database.h).
const LIMIT_OF_INVALID: i32 = -2;

/// How a server lists a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// As one of its own.
    Whole,
    /// As what an interrupted DROP DATABASE left behind.
    Invalid,
}

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

    /// The same, with this time-out for a table's lock.
    #[must_use]
    pub fn lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.lock_timeout = lock_timeout;
        self
    }

    /// The same, waiting this long for a silent server, see [`Address::watched`].
    #[must_use]
    pub fn watched(self, stall: Duration, interrupt: &Interrupt) -> Self {
        PostgresSource { address: self.address.watched(stall, interrupt), ..self }
    }

    /// How long a table's lock is waited for, and how long others may wait for one behind a snapshot.
    pub fn lock_limit(&self) -> Duration {
        self.lock_timeout
    }

    /// What reads from a snapshot that another connection holds.
    pub fn handle(&self, snapshot: &str, wait_limits: WaitLimits) -> SnapshotHandle {
        SnapshotHandle { address: self.address.clone(), id: snapshot.to_owned(), wait_limits }
    }

    /// Whether it answers at all.
    ///
    /// # Errors
    /// Why it does not.
    pub fn reach(&self) -> Result<(), PgError> {
        self.address.connect_unpinned().map(drop)
    }

    /// Its address, without the login.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The facts of the database, and the relations that this login couldn't read whole.
    pub fn probe(&self) -> Result<(DatabaseFacts, Vec<RelationName>), PgError> {
        let mut client = begin(&self.address)?;
        let facts = catalog::facts(&mut client).and_then(|facts| Ok((facts, catalog::unreadable(&mut client)?)));
        facts.map_err(|error| self.with_names(error))
    }

    /// How the server lists a database that it does not let in; nothing where it does not list it, or can't be asked. What a
    /// pooler does not let in may well be listed.
    pub fn listed(&self) -> Option<Listed> {
        let sql = "SELECT d.datconnlimit FROM pg_catalog.pg_database d WHERE d.datname = $1::text";
        let asked = |database: &&str| {
            let other = self.address.database(database);
            let mut client = other.connect_unpinned().ok()?;
            let rows = client.query(sql, &[&self.address.database_name()]).ok()?;
            Some(rows.first().filter(|_| other.is_direct()).and_then(|row| row.try_get(0).ok()))
        };
        let limit: i32 = EVERYWHERE.iter().find_map(asked)??;
        Some(if limit == LIMIT_OF_INVALID { Listed::Invalid } else { Listed::Whole })
    }

    /// The relation of each of these names; none where no relation has it.
    pub fn named(&self, names: &[RelationName]) -> Result<Vec<Option<Named>>, PgError> {
        let mut client = begin(&self.address)?;
        names.iter().map(|name| catalog::named(&mut client, name)).collect()
    }

    /// The tables with their estimated sizes, for a plan.
    pub fn tables(&self) -> Result<Vec<Table>, PgError> {
        // Measuring a table takes a lock on it, too.
        let mut client = self.begin_patiently()?;
        let tables = catalog::tables(&mut client).map_err(|error| self.with_names(error));
        tables.map_err(|error| locks::named(&self.address, error))
    }

    /// An error that came of a text which is no UTF-8 says which one it is.
    fn with_names(&self, error: PgError) -> PgError {
        if let PgError::Statement { what, .. } = &error
            && error.is_of_encoding()
            && let Ok(Some(named)) = begin(&self.address).and_then(|mut client| not_utf8(&mut client))
        {
            return PgError::answer(what.clone(), named);
        }
        error
    }

    /// A read-only transaction with a time-out for locks.
    pub(super) fn begin_patiently(&self) -> Result<Client, PgError> {
        let mut client = begin(&self.address)?;
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
            let mut holder = begin(&self.address)?;
            match lock(&mut holder, &tables, self.lock_timeout) {
                Ok(()) if all_locked(&mut holder, &tables)? => return self.export(holder),
                Err(error) if error.connection_lost() || tried == LOCK_ATTEMPTS_MAX => {
                    return Err(locks::named(&self.address, error));
                }
                Ok(()) if tried == LOCK_ATTEMPTS_MAX => {
                    return Err(PgError::answer(
                        LOCKING,
                        "tables came while the others were being locked, again and again",
                    ));
                }
                _ => tried += 1,
            }
        }
    }

    fn export(&self, mut holder: Client) -> Result<Snapshot, PgError> {
        let exported = holder.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]);
        let exported = exported.and_then(|row| row.try_get(0));
        let id = exported.map_err(|error| PgError::statement("exporting a snapshot", &error))?;
        let address = self.address.clone();
        let lock_timeout = self.lock_timeout;
        let objects = holder::probe(&mut holder, Objects::read)?;
        Ok(Snapshot { address, lock_timeout, holder, objects, id, held: Stopwatch::start() })
    }
}

/// An exported snapshot: schema, counts and rows that are read through it belong to one moment.
pub struct Snapshot {
    address: Address,
    lock_timeout: Duration,
    holder: Client,
    /// The objects at the snapshot; none where the server can't list them.
    objects: Option<Objects>,
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

    /// The relation of a name; none where no relation has it.
    pub fn named(&mut self, name: &RelationName) -> Result<Option<Named>, PgError> {
        catalog::named(&mut self.holder, name)
    }

    /// The tables of extensions whose rows a dump leaves to CREATE EXTENSION.
    pub fn extension_tables(&mut self) -> Result<Vec<Table>, PgError> {
        catalog::tables_of_extensions(&mut self.holder)
    }

    /// The state of the sequences; at or after the snapshot, see [`catalog::sequences`].
    pub fn sequences(&mut self) -> Result<Vec<SequenceState>, PgError> {
        catalog::sequences(&mut self.holder)
    }

    /// Every object of the compared classes with its definition.
    pub fn definitions(&mut self) -> Result<Catalog, PgError> {
        catalog::definitions(&mut self.holder)
    }

    /// What has a name or a definition that is no UTF-8, in words, if anything has: those can't be read. Rows may be of any
    /// bytes.
    pub fn not_utf8(&mut self) -> Result<Option<String>, PgError> {
        not_utf8(&mut self.holder)
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
        tools::run_at("pg_dump", command, &self.address)
    }

    /// Which locks that pg_dump needs keep others waiting at this moment. It reports only in the server's language
    /// which wait timed out.
    pub fn locked(&mut self) -> Result<Vec<String>, PgError> {
        let wanted = self.keep()?.wanted.into_iter();
        let mut locked: Vec<_> =
            wanted.map(|Wanted { table, .. }| format!("another session wants {table} for itself")).collect();
        locked.extend(locks::holders(&self.address)?);
        Ok(locked)
    }

    /// What was changed at the source since the snapshot, so that its definition may not be the snapshot's: by name, the
    /// first few.
    pub fn changed(&self) -> Result<Vec<String>, PgError> {
        let Some(objects) = &self.objects else { return Ok(Vec::new()) };
        let now = Objects::read(&mut begin(&self.address)?);
        let now = now.map_err(|error| PgError::statement("looking for changes since the snapshot", &error))?;
        Ok(objects.changed(&now))
    }

    /// Roles, owners and grants.
    pub fn rights(&mut self) -> Result<Rights, PgError> {
        let mentioned = catalog::rights::roles_in_rows(&mut self.holder)?;
        catalog::rights::rights_with(&mut self.holder, &mentioned)
    }

    /// What only a superuser can create.
    pub fn special(&mut self) -> Result<SuperuserObjects, PgError> {
        catalog::special::special(&mut self.holder)
    }

    /// The numbers of the large objects.
    pub fn large_objects(&mut self) -> Result<Vec<u32>, PgError> {
        large::list(&mut self.holder)
    }

    /// Another connection that sees the snapshot, for large objects.
    pub fn large_object_reader(&self) -> Result<LargeObjectReader, PgError> {
        Ok(LargeObjectReader { client: adopt(&self.address, Some(&self.id))? })
    }

    /// What another thread needs to read from this snapshot while it is held.
    pub fn handle(&self, wait_limits: WaitLimits) -> SnapshotHandle {
        SnapshotHandle { address: self.address.clone(), id: self.id.clone(), wait_limits }
    }

    /// Blocks of a table's own file now; it may grow, which a last range without an end covers. None of one that can be
    /// copied as it is, and not by a query.
    pub fn blocks(&mut self, table: &Table) -> Result<u64, PgError> {
        if holder::probe(&mut self.holder, |client| range::plan(client, table))?.is_none() {
            return Ok(0);
        }
        let sql = "SELECT pg_catalog.pg_relation_size($1::text::pg_catalog.regclass) \
                   / pg_catalog.current_setting('block_size')::int8";
        let counted = self.holder.query_one(sql, &[&table.name.to_sql()]).and_then(|row| row.try_get::<_, i64>(0));
        let counted = counted.map_err(|error| PgError::statement(format!("measuring {}", table.name), &error))?;
        Ok(counted.unsigned_abs())
    }

    /// How long the snapshot has been held; as long, the server keeps rows that were deleted meanwhile.
    pub fn held(&self) -> Duration {
        self.held.elapsed()
    }

    /// Checks that the snapshot still exists, which also keeps the connection from looking idle to proxies
    /// in between. Returns what the holder sees of the server meanwhile.
    pub fn keep(&mut self) -> Result<Kept, PgError> {
        holder::look(&mut self.holder)
    }
}

/// Things that are named where too many are.
const NAMED_MAX: usize = 10;

fn not_utf8(client: &mut Client) -> Result<Option<String>, PgError> {
    let mut found = catalog::not_utf8(client)?;
    let more = found.len().saturating_sub(NAMED_MAX);
    found.truncate(NAMED_MAX);
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = found.join(", ");
    Ok((!found.is_empty()).then(|| {
        format!(
            "names and definitions have to be UTF-8, and these are not: {named}{and_more}; at the provider, rename what has \
             such a name, and define anew what has such a text in its definition"
        )
    }))
}

/// The right to read from a snapshot that another connection holds.
#[derive(Clone, Debug)]
pub struct SnapshotHandle {
    address: Address,
    id: String,
    wait_limits: WaitLimits,
}

impl SnapshotHandle {
    /// The name of the snapshot.
    pub fn snapshot(&self) -> &str {
        &self.id
    }

    /// A connection of its own that sees the snapshot.
    pub fn reader(&self) -> Result<SnapshotReader, PgError> {
        let mut wire = self.address.wire_unpinned()?;
        wire.begin_reading(Some(&self.id)).map_err(|error| error.during(ADOPTING))?;
        notice_our_end(&mut wire)?;
        wire.set_wait_limits(self.wait_limits.clone());
        Ok(SnapshotReader { wire, in_pieces: false })
    }
}

/// A reader that is abandoned in the middle of a query, or while it waits for a lock, does not continue at the server
/// unattended. Servers before version 14 don't know the setting, and some systems can't do it.
/// Source: PostgreSQL documentation, `client_connection_check_interval`.
fn notice_our_end(wire: &mut Wire) -> Result<(), PgError> {
    let failed = |error: WireError| error.during("preparing a reader");
    wire.execute("SAVEPOINT walkaway_notice").map_err(failed)?;
    match wire.execute("SET LOCAL client_connection_check_interval = '5s'") {
        Ok(()) => Ok(()),
        Err(error) if error.connection_lost() => Err(failed(error)),
        Err(_) => wire.execute("ROLLBACK TO SAVEPOINT walkaway_notice").map_err(failed),
    }
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
    /// A savepoint precedes the pieces that were read last.
    in_pieces: bool,
}

impl SnapshotReader {
    /// The server's own count of a table's rows, children excluded. It spares the source further processes.
    ///
    /// A query evaluates the expressions of the table's indexes before it reads anything, and one of them may need the
    /// search path that the database's users have: then it is counted under that.
    pub fn count(&mut self, table: &Table) -> Result<u64, PgError> {
        let sql = format!("SELECT pg_catalog.count(*) FROM ONLY {}", table.name.to_sql());
        let before = "SET LOCAL max_parallel_workers_per_gather = 0; SAVEPOINT walkaway_count";
        self.execute(before, table)?;
        let mut counted = self.number(&sql, table);
        if counted.as_ref().is_err_and(is_unresolved) {
            self.execute("ROLLBACK TO SAVEPOINT walkaway_count; SET LOCAL search_path TO DEFAULT", table)?;
            counted = self.number(&sql, table);
        }
        let counted = counted?;
        // Settings since the savepoint are rolled back with it.
        self.execute("ROLLBACK TO SAVEPOINT walkaway_count; RELEASE SAVEPOINT walkaway_count", table)?;
        Ok(counted)
    }

    /// The server's own count of these rows.
    pub fn count_pieces(&mut self, table: &Table, pieces: &Pieces) -> Result<u64, PgError> {
        self.execute(PLAN_BY_PLACE, table)?;
        self.number(&pieces.count_sql(table, self.wire.major()), table)
    }

    /// The table's blocks as they are now, and the bytes of one.
    pub fn blocks(&mut self, table: &Table) -> Result<(u64, u64), PgError> {
        let size = format!("pg_catalog.pg_relation_size({}::pg_catalog.regclass)", literal(&table.name.to_sql()));
        let block = "pg_catalog.current_setting('block_size')::int8";
        let blocks = self.number(&format!("SELECT {size} / {block}"), table)?;
        Ok((blocks, self.number(&format!("SELECT {block}"), table)?))
    }

    fn execute(&mut self, sql: &str, table: &Table) -> Result<(), PgError> {
        self.wire.execute(sql).map_err(|error| error.during(format!("reading {}", table.name)))
    }

    fn number(&mut self, sql: &str, table: &Table) -> Result<u64, PgError> {
        let what = || format!("counting {}", table.name);
        let rows = self.wire.query(sql).map_err(|error| error.during(what()))?;
        let number = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        number.ok_or_else(|| PgError::answer(what(), "the server's answer is no number"))
    }

    /// Starts to copy a part of a table out, with the values of generated columns at the end. Abandoned before its end, the reader can't be used again.
    pub fn copy_out(&mut self, table: &Table, range: &BlockRange) -> Result<CopyOut<'_>, PgError> {
        CopyOut::start(&mut self.wire, &range.whole_out_sql(table), &table.name.to_string())
    }

    /// Starts to copy some rows of a table out, with the values of generated columns at the end. Abandoned before its end, the reader can't be used again.
    pub fn copy_pieces_out(&mut self, table: &Table, pieces: &Pieces) -> Result<CopyOut<'_>, PgError> {
        let end = if self.in_pieces { format!("RELEASE SAVEPOINT {PIECES};") } else { String::new() };
        self.execute(&format!("{end} SAVEPOINT {PIECES}; {PLAN_BY_PLACE}"), table)?;
        self.in_pieces = true;
        let sql = pieces.whole_out_sql(table, self.wire.major());
        CopyOut::start(&mut self.wire, &sql, &table.name.to_string())
    }

    /// The same without a savepoint: what can't be read to its end is not retried.
    pub fn copy_whole_pieces_out(&mut self, table: &Table, pieces: &Pieces) -> Result<CopyOut<'_>, PgError> {
        self.execute(PLAN_BY_PLACE, table)?;
        let sql = pieces.whole_out_sql(table, self.wire.major());
        CopyOut::start(&mut self.wire, &sql, &table.name.to_string())
    }

    /// The same reader after pieces that could not be read to their end, unless the stream has not ended.
    pub fn recovered(mut self) -> Option<Self> {
        let back = format!("ROLLBACK TO SAVEPOINT {PIECES}");
        (!self.wire.is_broken() && self.wire.execute(&back).is_ok()).then_some(self)
    }

    /// Starts to copy a view out. Abandoned before its end, the reader can't be used again.
    pub fn copy_view_out(&mut self, view: &Table) -> Result<CopyOut<'_>, PgError> {
        CopyOut::start(&mut self.wire, &view.select_out_sql(), &view.name.to_string())
    }
}

/// Whether a name could not be resolved.
fn is_unresolved(error: &PgError) -> bool {
    error.code().is_some_and(|code| code.starts_with(UNRESOLVED))
}

/// A connection in a transaction that only reads. Its settings end with it: sessions may be others' before and after.
fn begin(address: &Address) -> Result<Client, PgError> {
    adopt(address, None)
}

/// The same under an exported snapshot, if one is named.
fn adopt(address: &Address, snapshot: Option<&str>) -> Result<Client, PgError> {
    let mut client = address.connect_unpinned()?;
    let what = if snapshot.is_some() { ADOPTING } else { "beginning a read-only transaction" };
    let failed = |error| PgError::statement(what, &error);
    // SHOW takes no snapshot, unlike a query.
    let shown = client.simple_query("SHOW server_version_num").map_err(failed)?;
    let number = shown.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse::<u32>().ok(),
        _ => None,
    });
    let sql = session::begin_reading(number.unwrap_or_default() / 10_000, false, snapshot);
    client.batch_execute(&sql).map_err(failed)?;
    Ok(client)
}

const ADOPTING: &str = "adopting the snapshot";

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

/// Creates the file before pg_dump does, readable for its owner only: it may hold secrets of other servers.
fn private(archive: &Path) -> Result<(), String> {
    let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(archive);
    made.map(drop).map_err(|error| format!("{}: {error}", archive.display()))
}
