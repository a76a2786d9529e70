//! The live tables of a database as a whole: their columns, their rows, and a digest of each column's values, all at
//! one moment. For exports, whose rows are of another moment and can't be compared one by one.

use std::collections::BTreeSet;

use ::postgres::Client;

use super::postgres::PostgresSource;
use crate::pg::{
    PgError, catalog,
    columns::{self, Column, TableTotals},
    name::RelationName,
};

/// A table of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTable {
    /// Its name.
    pub name: RelationName,
    /// Its columns and the digests of their values; or why it could not be read.
    pub read: Result<(Vec<Column>, TableTotals), String>,
}

impl PostgresSource {
    /// Every table that is not `excluded`, partitioned ones as a whole. Each is read once. Ends early, without the rest, when
    /// `ended` returns true.
    ///
    /// # Errors
    /// The server does not answer, or its tables can't be listed.
    pub fn live_tables(
        &self,
        excluded: &BTreeSet<String>,
        ended: impl Fn() -> bool,
    ) -> Result<Vec<LiveTable>, PgError> {
        let mut client = self.begin_patiently()?;
        let mut tables = Vec::new();
        let names = catalog::whole_tables(&mut client)?.into_iter();
        for (name, only) in names.filter(|(name, _)| !excluded.contains(&name.to_string())).take_while(|_| !ended()) {
            let read = match read(&mut client, &name, only) {
                Ok(read) => Ok(read),
                Err(error) if error.connection_lost() => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            tables.push(LiveTable { name, read });
        }
        Ok(tables)
    }
}

/// A table that fails does not end the transaction, which is one moment for all.
fn read(client: &mut Client, name: &RelationName, only: bool) -> Result<(Vec<Column>, TableTotals), PgError> {
    let failed = |error| PgError::statement(format!("reading {name}"), &error);
    client.batch_execute("SAVEPOINT walkaway_table").map_err(failed)?;
    let read = columns::columns(client, name).and_then(|columns| {
        let values: Vec<_> = columns.iter().map(Column::text).collect();
        columns::totals(client, name, only, &values).map(|totals| (columns, totals))
    });
    if read.is_err() {
        client.batch_execute("ROLLBACK TO SAVEPOINT walkaway_table").map_err(failed)?;
    }
    client.batch_execute("RELEASE SAVEPOINT walkaway_table").map_err(failed)?;
    read
}
