//! A PostgreSQL database read from one exported snapshot: its schema by pg_dump, its rows by COPY.
//!
//! Every transaction is read only, so the server itself refuses a write.

use std::{collections::BTreeSet, path::Path};

use ::postgres::Client;

use crate::pg::{
    Address, PgError,
    catalog::{self, Catalog, DatabaseFacts, SequenceState, rights::Rights, special::Special},
    copy::CopyOut,
    large::{self, LargeObject},
    name::{RelationName, Table},
    tools::{self, Tools},
};

/// Isolation and access mode of every transaction at the source.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How long a table's lock is waited for; it conflicts only with TRUNCATE, DROP, rewriting ALTERs and their like.
const LOCK_SECONDS_MAX: u32 = 60;
/// How often the tables are listed and locked anew because some came or went in between.
const LOCK_ATTEMPTS_MAX: u32 = 5;

/// A database at the provider.
#[derive(Clone, Debug)]
pub struct PostgresSource {
    address: Address,
}

impl PostgresSource {
    /// A source at this address. Connects to nothing yet.
    pub fn new(address: Address) -> Self {
        PostgresSource { address }
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

    /// The tables with their estimated sizes, for a plan.
    pub fn tables(&self) -> Result<Vec<Table>, PgError> {
        let mut client = self.address.connect()?;
        begin(&mut client)?;
        catalog::tables(&mut client)
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
            match lock(&mut holder, &tables) {
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
        Ok(Snapshot { address: self.address.clone(), holder, id })
    }
}

/// An exported snapshot: schema, counts and rows that are read through it belong to one moment.
pub struct Snapshot {
    address: Address,
    holder: Client,
    id: String,
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

    /// Where the sequences stand; at or after the snapshot, see [`catalog::sequences`].
    pub fn sequences(&mut self) -> Result<Vec<SequenceState>, PgError> {
        catalog::sequences(&mut self.holder)
    }

    /// Every object of the compared classes with its definition.
    pub fn definitions(&mut self) -> Result<Catalog, PgError> {
        catalog::definitions(&mut self.holder)
    }

    /// Writes the schema, without rows, as a pg_dump archive. Owners, grants, tablespaces and subscriptions stay out.
    pub fn dump_schema(&self, tools: &Tools, archive: &Path) -> Result<(), PgError> {
        let mut command = tools.command("pg_dump", Some(&self.address))?;
        command.args(["--format=custom", "--section=pre-data", "--section=post-data", "--no-blobs"]);
        command.args(["--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions"]);
        command.arg(format!("--lock-wait-timeout={}s", LOCK_SECONDS_MAX));
        command.arg("--snapshot").arg(&self.id).arg("--file").arg(archive);
        tools::run("pg_dump", command)
    }

    /// Roles, owners and grants.
    pub fn rights(&mut self) -> Result<Rights, PgError> {
        catalog::rights::rights(&mut self.holder)
    }

    /// What only a superuser can make.
    pub fn special(&mut self) -> Result<Special, PgError> {
        catalog::special::special(&mut self.holder)
    }

    /// The numbers of the large objects.
    pub fn large_objects(&mut self) -> Result<Vec<u32>, PgError> {
        large::list(&mut self.holder)
    }

    /// What another thread needs to read from this snapshot while it is held.
    pub fn ticket(&self) -> SnapshotTicket {
        SnapshotTicket { address: self.address.clone(), id: self.id.clone() }
    }
}

/// The right to read from a snapshot that somebody else holds.
#[derive(Clone, Debug)]
pub struct SnapshotTicket {
    address: Address,
    id: String,
}

impl SnapshotTicket {
    /// A connection of its own that sees the snapshot.
    pub fn reader(&self) -> Result<SnapshotReader, PgError> {
        let mut client = self.address.connect()?;
        begin(&mut client)?;
        let adopted = client.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{}'", self.id.replace('\'', "''")));
        adopted.map_err(|error| PgError::statement("adopting the snapshot", &error))?;
        Ok(SnapshotReader { client, address: self.address.clone() })
    }
}

/// Reads tables from a snapshot, one after the other.
pub struct SnapshotReader {
    client: Client,
    address: Address,
}

impl SnapshotReader {
    /// The server's own count of a table's rows, children excluded.
    pub fn count(&mut self, table: &Table) -> Result<u64, PgError> {
        let sql = format!("SELECT count(*) FROM ONLY {}", table.name.to_sql());
        let counted = self.client.query_one(&sql, &[]).and_then(|row| row.try_get::<_, i64>(0));
        let counted = counted.map_err(|error| PgError::statement(format!("counting {}", table.name), &error))?;
        Ok(counted.unsigned_abs())
    }

    /// Reads a large object in pieces.
    pub fn large_object(
        &mut self,
        oid: u32,
        take: impl FnMut(i64, &[u8]) -> Result<(), PgError>,
    ) -> Result<LargeObject, PgError> {
        large::read(&mut self.client, oid, take)
    }

    /// Starts to copy a table out. Given up before its end, the server is told to stop sending.
    pub fn copy_out(&mut self, table: &Table) -> Result<CopyOut<'_>, PgError> {
        let cancel = (self.client.cancel_token(), self.address.clone());
        Ok(CopyOut::start(&mut self.client, &table.copy_out_sql(), &table.name.to_string())?.cancelled_by(cancel))
    }
}

fn begin(client: &mut Client) -> Result<(), PgError> {
    client.batch_execute(BEGIN).map_err(|error| PgError::statement("beginning a read-only transaction", &error))
}

const LOCKING: &str = "locking the tables against TRUNCATE and ALTER";

/// Locks before the transaction's first query, so that its snapshot is taken under the locks.
fn lock(client: &mut Client, tables: &[Table]) -> Result<(), PgError> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = tables.iter().map(|table| format!("ONLY {}", table.name.to_sql())).collect();
    let sql = format!(
        "SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'; LOCK TABLE {} IN ACCESS SHARE MODE; SET LOCAL lock_timeout = 0",
        names.join(", ")
    );
    client.batch_execute(&sql).map_err(|error| PgError::statement(LOCKING, &error))
}

/// Whether the snapshot holds no table that was not locked.
fn all_locked(client: &mut Client, locked: &[Table]) -> Result<bool, PgError> {
    let names: BTreeSet<_> = locked.iter().map(|table| &table.name).collect();
    Ok(catalog::tables(client)?.iter().all(|table| names.contains(&table.name)))
}
