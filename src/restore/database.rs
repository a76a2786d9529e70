//! A PostgreSQL database as the sink of schema, rows and sequences.
//!
//! The database is created by walkaway and marked as its own; only a database with this run's mark is ever dropped.
//! Restored DDL is untrusted code: it runs as the database's owner, which on a managed cluster is not a superuser.

use std::{collections::BTreeSet, path::Path, time::Duration};

use postgres::Client;

pub use super::locale::MissingLocale;
pub use super::refused::RefusedStatement;
use super::{
    elevated::definitions::Definitions,
    foreign_keys::{ForeignKeys, Unsatisfied},
    locale,
    rights::CREATEROLE_HARMLESS_SINCE,
    script::{Script, Second, Section},
};
use crate::{
    interrupt::Interrupt,
    pg::{
        Address, PgError,
        catalog::{DatabaseFacts, SequenceState, rights::is_harmless},
        copy::{self, CopyIn},
        name::{RelationName, Table, literal, quoted},
        tools::Tools,
        wire::{WaitLimits, Wire, WireError},
    },
    transfer::error::{SinkError, TransferError},
};

/// A server that databases are restored into.
#[derive(Clone, Debug)]
pub struct TargetServer {
    /// Creates and drops databases.
    admin: Address,
    /// Owns what is restored.
    owner: Address,
    /// Only this run uses the server.
    exclusive: bool,
}

/// Why a database can't be used as a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A database with that name exists and isn't this run's.
    #[error("the target {server} already has a database {database}")]
    Occupied { server: String, database: String },
    /// The server refused.
    #[error(transparent)]
    Pg(#[from] PgError),
}

impl TargetServer {
    /// A server with one login that both creates databases and owns them.
    pub fn named(address: Address) -> Self {
        TargetServer { admin: address.clone(), owner: address, exclusive: false }
    }

    /// A server where restored objects are owned by another, unprivileged role.
    pub fn managed(admin: Address, owner_role: &str) -> Self {
        let owner = admin.user(owner_role);
        TargetServer { admin, owner, exclusive: true }
    }

    /// The same, waiting this long when it is silent, see [`Address::watched`].
    #[must_use]
    pub fn watched(&self, stall: Duration, interrupt: &Interrupt) -> Self {
        let admin = self.admin.watched(stall, interrupt);
        TargetServer { owner: self.owner.watched(stall, interrupt), admin, exclusive: self.exclusive }
    }

    /// Connects; returns the version (number and text) and whether databases can be created.
    pub fn probe(&self) -> Result<TargetFacts, PgError> {
        let failed = |error| PgError::statement("asking the target for its version", &error);
        let sql = "SELECT current_setting('server_version_num')::int8, current_setting('server_version'), \
                   u.rolcreatedb OR u.rolsuper, u.rolsuper, u.rolcreaterole, \
                   ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE (r.rolsuper OR r.rolname ~ '^pg_') \
                   AND pg_catalog.pg_has_role(r.oid, 'MEMBER') ORDER BY 1) \
                   FROM pg_catalog.pg_roles u WHERE u.rolname = current_user";
        let row = self.admin.connect()?.query_one(sql, &[]).map_err(failed)?;
        let number: i64 = row.try_get(0).map_err(failed)?;
        let major = u32::try_from(number / 10_000).unwrap_or_default();
        let superuser = row.try_get(3).map_err(failed)?;
        let makes_roles = row.try_get(4).map_err(failed)?;
        let member_of = row.try_get(5).map_err(failed)?;
        Ok(TargetFacts {
            major,
            version: row.try_get(1).map_err(failed)?,
            can_create: row.try_get(2).map_err(failed)?,
            superuser,
            ways_out: ways_out(major, superuser, makes_roles, member_of),
        })
    }

    /// Whether a database with this name could be created: there is none, or one that this run created before.
    pub fn check_free(&self, database: &str, run: &str) -> Result<(), TargetError> {
        match mark_of(&mut self.admin.connect()?, database)? {
            Some(found) if found != mark(run) => Err(self.occupied(database)),
            _ => Ok(()),
        }
    }

    fn occupied(&self, database: &str) -> TargetError {
        TargetError::Occupied { server: self.admin.to_string(), database: database.to_owned() }
    }

    /// Creates a database like the source's and marks it with the run. One that this run created is dropped first.
    /// Returns it with the locales of the source that it lacks.
    pub fn create(
        &self,
        database: &str,
        like: &DatabaseFacts,
        run: &str,
    ) -> Result<(TargetDatabase, Vec<MissingLocale>), TargetError> {
        let mut client = self.admin.connect()?;
        self.drop_own(&mut client, database, run)?;
        let missing = locale::create(&mut client, database, &like.encoding, &like.locale)?;
        let name = quoted(database);
        let owner = quoted(self.owner.user_name());
        execute(&mut client, &format!("COMMENT ON DATABASE {name} IS '{}'", mark(run)))?;
        execute(&mut client, &format!("ALTER DATABASE {name} OWNER TO {owner}"))?;
        Ok((self.existing(database), missing))
    }

    /// The same database as the creator of databases, who on a managed cluster is a superuser.
    pub fn admin_of(&self, database: &TargetDatabase) -> Address {
        self.admin.database(database.owner.database_name())
    }

    /// A database that was created before.
    pub fn existing(&self, database: &str) -> TargetDatabase {
        TargetDatabase { owner: self.owner.database(database) }
    }

    fn drop_own(&self, client: &mut Client, database: &str, run: &str) -> Result<(), TargetError> {
        match mark_of(client, database)? {
            None => Ok(()),
            Some(found) if self.exclusive || found == mark(run) => {
                Ok(execute(client, &format!("DROP DATABASE {} WITH (FORCE)", quoted(database)))?)
            }
            Some(_) => Err(self.occupied(database)),
        }
    }
}

/// Facts about a target server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// Major version.
    pub major: u32,
    /// Version text.
    pub version: String,
    /// Whether the login may create databases.
    pub can_create: bool,
    /// Whether the login is a superuser.
    pub superuser: bool,
    /// Why code that runs as the login could reach outside of the database.
    pub ways_out: Vec<String>,
}

/// `member_of` are the predefined roles and the superusers that the login may act as.
fn ways_out(major: u32, superuser: bool, makes_roles: bool, member_of: Vec<String>) -> Vec<String> {
    if superuser {
        return vec!["is a superuser".to_owned()];
    }
    let mut ways: Vec<_> =
        member_of.iter().filter(|role| !is_harmless(role)).map(|role| format!("belongs to {role}")).collect();
    if makes_roles && major < CREATEROLE_HARMLESS_SINCE {
        ways.push("may create roles (before PostgreSQL 16 that lets it into pg_execute_server_program)".to_owned());
    }
    ways
}

/// One database that is being restored.
#[derive(Clone, Debug)]
pub struct TargetDatabase {
    owner: Address,
}

impl TargetDatabase {
    /// Its address, as the owner of what is restored.
    pub fn address(&self) -> &Address {
        &self.owner
    }

    /// Runs what follows the rows: indexes and constraints by several workers, then the rest in its order.
    ///
    /// `between` runs after indexes and before triggers and foreign keys; it returns which tables lack rows.
    /// `search_path` is that of sessions at the source.
    pub fn restore_post_data<E: From<PgError>>(
        &self,
        tools: &Tools,
        archive: &Path,
        workers: usize,
        search_path: &str,
        between: impl FnOnce() -> Result<BTreeSet<String>, E>,
    ) -> Result<(Vec<RefusedStatement>, Unsatisfied), E> {
        let script = Script::read(tools, archive, Section::PostData)?;
        let left = super::rebuild::build_independent_entries(script, &self.owner, workers)?;
        let mut keys = ForeignKeys::new(&self.owner, between()?);
        let refused = left.run(&self.owner, search_path, &mut |entry, error| keys.second(entry, error))?;
        Ok((refused, keys.unsatisfied))
    }

    /// Runs what must exist before the rows; continues after a refused statement and returns all of them.
    /// `search_path` is that of sessions at the source; `elevated` creates what the owner may not.
    pub fn restore_pre_data(
        &self,
        tools: &Tools,
        archive: &Path,
        search_path: &str,
        mut elevated: Option<Definitions<'_>>,
    ) -> Result<Vec<RefusedStatement>, PgError> {
        let script = Script::read(tools, archive, Section::PreData)?;
        script.run(&self.owner, search_path, &mut |entry, error| match &mut elevated {
            Some(definitions) => definitions.second(entry, error),
            None => Ok(Second::Left),
        })
    }

    /// Truncates tables that CREATE EXTENSION may fill, together, as they may refer to each other. What stays in one
    /// nevertheless is found when it is read back.
    pub fn empty(&self, tables: &[&RelationName]) -> Result<(), PgError> {
        let names: Vec<_> = tables.iter().map(|name| name.to_sql()).collect();
        let together = (!names.is_empty()).then(|| format!("TRUNCATE ONLY {}", names.join(", ONLY ")));
        let one_by_one = names.iter().map(|name| format!("DELETE FROM ONLY {name}"));
        let mut client = self.owner.connect()?;
        for statement in together.into_iter().chain(one_by_one) {
            match client.batch_execute(&statement) {
                Err(error) if crate::pg::error::connection_lost(&error) => {
                    return Err(PgError::statement("emptying tables of extensions", &error));
                }
                Err(error) => tracing::debug!(reason = crate::pg::error::reason(&error), statement, "not emptied so"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Restores the comments of large objects; they still belong to the restoring role.
    pub fn comment_large_objects(&self, comments: &[(u32, String)]) -> Result<Vec<RefusedStatement>, PgError> {
        let mut refused = Vec::new();
        if comments.is_empty() {
            return Ok(refused);
        }
        let mut client = self.owner.connect()?;
        for (oid, comment) in comments {
            match client.batch_execute(&format!("COMMENT ON LARGE OBJECT {oid} IS {}", literal(comment))) {
                Ok(()) => {}
                Err(error) if crate::pg::error::connection_lost(&error) => {
                    return Err(PgError::statement("commenting large objects", &error));
                }
                Err(error) => {
                    let object = format!("comment on large object {oid}");
                    refused.push(RefusedStatement::of(object, crate::pg::error::reason(&error)));
                }
            }
        }
        Ok(refused)
    }

    /// A connection for one worker that loads tables.
    pub fn loader(&self, wait_limits: WaitLimits) -> Loader {
        Loader { address: self.owner.clone(), wait_limits, search_path: None, wire: None }
    }

    /// Sets the sequences to the source's state.
    pub fn set_sequences(&self, sequences: &[SequenceState]) -> Result<Vec<RefusedStatement>, PgError> {
        let mut client = self.owner.connect()?;
        let mut refused = Vec::new();
        for state in sequences {
            let sql = "SELECT pg_catalog.setval($1::text::pg_catalog.regclass, $2, $3)";
            match client.execute(sql, &[&state.name.to_sql(), &state.last_value, &state.is_called]) {
                Ok(_) => {}
                Err(error) if crate::pg::error::connection_lost(&error) => {
                    return Err(PgError::statement("setting the sequences", &error));
                }
                Err(error) => {
                    let object = format!("sequence {}", state.name);
                    refused.push(RefusedStatement::of(object, crate::pg::error::reason(&error)));
                }
            }
        }
        Ok(refused)
    }
}

/// How a table is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filling {
    /// By one loader alone, which truncates it first in the same transaction: that avoids the write-ahead log where the
    /// server allows it, and the rows arrive frozen, so that no later reader has to write to their pages
    /// (PostgreSQL documentation, "Populating a Database" and COPY, `FREEZE`).
    Alone,
    /// By several loaders at once, each in a transaction of its own.
    Shared,
}

/// Loads tables, one after the other.
pub struct Loader {
    address: Address,
    wait_limits: WaitLimits,
    search_path: Option<String>,
    wire: Option<Wire>,
}

impl Loader {
    /// Lets functions that process rows look names up in these schemas, instead of in none.
    pub fn looking_up_in(self, search_path: &str) -> Self {
        Loader { search_path: Some(search_path.to_owned()), wire: None, ..self }
    }

    /// Lets `fill` copy rows into a table, in any number of copies, and commits them all if it succeeds. A failed
    /// attempt leaves nothing, and the next one may follow at once.
    pub fn load<T>(
        &mut self,
        table: &Table,
        filling: Filling,
        fill: impl FnOnce(&mut Loading<'_>) -> Result<T, TransferError>,
    ) -> Result<T, TransferError> {
        self.fill(table, filling, "COMMIT", fill)
    }

    /// The same, and rolls back: only whether the rows would be accepted is of interest.
    pub fn rehearse<T>(
        &mut self,
        table: &Table,
        filling: Filling,
        fill: impl FnOnce(&mut Loading<'_>) -> Result<T, TransferError>,
    ) -> Result<T, TransferError> {
        self.fill(table, filling, "ROLLBACK", fill)
    }

    fn fill<T>(
        &mut self,
        table: &Table,
        filling: Filling,
        end: &str,
        fill: impl FnOnce(&mut Loading<'_>) -> Result<T, TransferError>,
    ) -> Result<T, TransferError> {
        let mut wire = self.ready().map_err(|error| self.failed(table, &error))?;
        let name = table.name.to_string();
        let refused = |error: &WireError| TransferError::from(copy::write_error(&name, error));
        let begin = match filling {
            Filling::Alone => format!("BEGIN; TRUNCATE ONLY {}", table.name.to_sql()),
            Filling::Shared => "BEGIN".to_owned(),
        };
        wire.execute(&begin).map_err(|error| refused(&error))?;
        let freeze = if filling == Filling::Alone { " WITH (FREEZE)" } else { "" };
        let sql = table.copy_in_sql() + freeze;
        let filled = fill(&mut Loading { wire: &mut wire, sql: &sql, table: &name })?;
        wire.query(end).map_err(|error| refused(&error))?;
        // Only a connection without errors is used again: closing one rolls back.
        self.wire = Some(wire);
        Ok(filled)
    }

    fn ready(&mut self) -> Result<Wire, PgError> {
        if let Some(wire) = self.wire.take().filter(|wire| !wire.is_broken()) {
            return Ok(wire);
        }
        let mut wire = self.address.wire()?;
        wire.set_wait_limits(self.wait_limits.clone());
        if let Some(search_path) = &self.search_path {
            let sql = format!("SELECT pg_catalog.set_config('search_path', {}, false)", literal(search_path));
            wire.execute(&sql).map_err(|error| error.during("preparing to load a table"))?;
        }
        Ok(wire)
    }

    fn failed(&self, table: &Table, error: &PgError) -> TransferError {
        let what = table.name.to_string();
        let code = error.code().map(str::to_owned);
        let went_away = error.connection_lost();
        SinkError::Database { what, reason: error.to_string(), code, server_failed: true, went_away }.into()
    }
}

/// A transaction that fills a table.
pub struct Loading<'a> {
    wire: &'a mut Wire,
    sql: &'a str,
    table: &'a str,
}

impl Loading<'_> {
    /// Starts the next copy into the table.
    pub fn copy_in(&mut self) -> Result<CopyIn<'_>, SinkError> {
        CopyIn::start(self.wire, self.sql, self.table)
    }
}

fn mark(run: &str) -> String {
    format!("walkaway run {run}")
}

/// The comment of a database; empty if it has none, none if the database doesn't exist.
fn mark_of(client: &mut Client, database: &str) -> Result<Option<String>, PgError> {
    let sql = "SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '') \
               FROM pg_catalog.pg_database WHERE datname = $1::text::name";
    let failed = |error| PgError::statement("looking for the target database", &error);
    client.query_opt(sql, &[&database]).map_err(failed)?.map(|row| row.try_get(0).map_err(failed)).transpose()
}

fn execute(client: &mut Client, sql: &str) -> Result<(), PgError> {
    let what = sql.split(' ').take(3).collect::<Vec<_>>().join(" ");
    client.batch_execute(sql).map_err(|error| PgError::statement(what, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_can_leave_the_database_is_known_by_what_it_is_and_belongs_to() {
        let ways = |major, superuser, makes_roles, member_of: &[&str]| {
            let member_of = member_of.iter().map(|role| (*role).to_owned()).collect();
            ways_out(major, superuser, makes_roles, member_of).join(", ")
        };
        assert_eq!(ways(15, true, true, &["pg_monitor", "pg_write_server_files"]), "is a superuser");
        assert_eq!(ways(16, false, true, &["pg_monitor", "pg_read_all_data"]), "");
        assert_eq!(
            ways(16, false, false, &["dba", "pg_execute_server_program", "pg_signal_backend"]),
            "belongs to dba, belongs to pg_execute_server_program"
        );
        assert!(ways(15, false, true, &[]).starts_with("may create roles"));
    }
}
