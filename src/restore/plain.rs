//! Tables created from names and types alone, as given by files without a database schema.

use super::database::TargetDatabase;
use crate::{
    pg::{
        error::{self, connection_lost},
        name::{RelationName, quoted},
    },
    transfer::error::SinkError,
};

impl TargetDatabase {
    /// Creates an empty table, and its schema if missing. Names are quoted, types are inserted as given.
    pub fn create_plain_table(&self, name: &RelationName, columns: &[(String, String)]) -> Result<(), SinkError> {
        let failed = |reason: String, code: Option<&str>, went_away| SinkError::Database {
            what: name.to_string(),
            reason,
            code: code.map(str::to_owned),
            server_failed: went_away,
            went_away,
        };
        let mut client = self.address().connect().map_err(|error| failed(error.to_string(), error.code(), true))?;
        let columns: Vec<_> = columns.iter().map(|(name, sql_type)| format!("{} {sql_type}", quoted(name))).collect();
        let sql = format!("CREATE TABLE {} ({})", name.to_sql(), columns.join(", "));
        // Several tables of a schema may be created in parallel: the second one finds it existing.
        let there = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name";
        let refused = |error: postgres::Error| {
            failed(error::reason(&error), error.code().map(|code| code.code()), connection_lost(&error))
        };
        if client.query_opt(there, &[&name.schema]).map_err(refused)?.is_none() {
            let made = client.batch_execute(&format!("CREATE SCHEMA {}", quoted(&name.schema)));
            let is_there = client.query_opt(there, &[&name.schema]).map_err(refused)?.is_some();
            made.or_else(|error| if is_there { Ok(()) } else { Err(refused(error)) })?;
        }
        client.batch_execute(&sql).map_err(refused)
    }
}
