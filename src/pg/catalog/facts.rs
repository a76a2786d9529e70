//! What makes a new database like another one, and what of a database is not carried.

use postgres::GenericClient;

use super::USERS;
use crate::pg::{error::PgError, name::RelationName};

/// What makes a new database like another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The server's version text, such as `15.18 (Debian …)`.
    pub version: String,
    /// Major version.
    pub major: u32,
    /// The encoding's name.
    pub encoding: String,
    /// LC_COLLATE.
    pub collate: String,
    /// LC_CTYPE.
    pub ctype: String,
    /// Number of large objects.
    pub large_objects: u64,
    /// Foreign tables and subscriptions, whose data or connections are not carried.
    pub not_carried: Vec<String>,
}

/// Version, encoding, locale, and what the database holds that isn't carried.
pub fn facts(client: &mut impl GenericClient) -> Result<DatabaseFacts, PgError> {
    let failed = |error| PgError::statement("reading the database's properties", &error);
    let sql = "SELECT current_setting('server_version'), current_setting('server_version_num')::int8, \
               pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, \
               (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata) \
               FROM pg_catalog.pg_database WHERE datname = current_database()";
    let row = client.query_one(sql, &[]).map_err(failed)?;
    let sql = format!(
        "SELECT 'rows of foreign table ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND {USERS} ORDER BY 1"
    );
    let foreign = client.query(&sql, &[]).map_err(failed)?;
    let mut not_carried: Vec<String> =
        foreign.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
    not_carried.extend(extension_rows(client).map_err(failed)?);
    let number: i64 = row.try_get(1).map_err(failed)?;
    let large_objects: i64 = row.try_get(5).map_err(failed)?;
    Ok(DatabaseFacts {
        version: row.try_get(0).map_err(failed)?,
        major: u32::try_from(number / 10_000).unwrap_or_default(),
        encoding: row.try_get(2).map_err(failed)?,
        collate: row.try_get(3).map_err(failed)?,
        ctype: row.try_get(4).map_err(failed)?,
        large_objects: large_objects.unsigned_abs(),
        not_carried,
    })
}

/// Tables in which extensions keep what users configured, where that is anything (PostgreSQL documentation,
/// "Extension Configuration Tables").
fn extension_rows(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = "SELECT x.extname::text, n.nspname::text, c.relname::text, f.condition \
               FROM pg_catalog.pg_extension x, unnest(x.extconfig, x.extcondition) f (relation, condition) \
               JOIN pg_catalog.pg_class c ON c.oid = f.relation AND c.relkind = 'r' \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2, 3";
    let mut found = Vec::new();
    for row in client.query(sql, &[])? {
        let name = RelationName { schema: row.try_get(1)?, name: row.try_get(2)? };
        let condition: Option<String> = row.try_get(3)?;
        let sql = format!("SELECT EXISTS (SELECT FROM {} {})", name.to_sql(), condition.unwrap_or_default());
        if client.query_one(&sql, &[])?.try_get(0)? {
            let extension: String = row.try_get(0)?;
            found.push(format!("rows of {name}, the configuration of extension {extension}"));
        }
    }
    Ok(found)
}
