//! Foreign keys that the source's own rows do not satisfy: created for new rows only, as in effect at the source.
//!
//! Rows bypass them where triggers are off (`session_replication_role`, ALTER TABLE … DISABLE TRIGGER), and no server
//! checks a key again. Where values are equal by the server's own code alone, they are so at the source, too, and a key that
//! its rows do not satisfy here they do not satisfy there. A function of the database, or the library behind a collation, may
//! say otherwise on each side. Source: PostgreSQL documentation, ALTER TABLE, `NOT VALID`.

use std::collections::BTreeSet;

use postgres::Client;

use super::{
    constraints::Mark,
    refused::RefusedStatement,
    script::{Entry, Second},
};
use crate::pg::{
    Address, PgError, catalog::CatalogKey, name::RelationName, sqlstate::FOREIGN_KEY_VIOLATION, wire::WireError,
};

/// Creates the keys that rows do not satisfy.
pub(super) struct ForeignKeys<'a> {
    owner: &'a Address,
    /// Tables that lack rows on the target: keys of these prove nothing about the source.
    incomplete: BTreeSet<String>,
    pub unsatisfied: Unsatisfied,
}

/// Keys that apply to new rows only.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unsatisfied {
    pub keys: Vec<RefusedStatement>,
    /// Those that the rows may satisfy at the source.
    pub only_here: Vec<RefusedStatement>,
    /// Their differences in the catalog.
    pub marks: Vec<Mark>,
}

/// The keys that this transaction made, each beside every table that it is between, partitions included, and whether the
/// server's own code and types alone say what values are equal.
const MADE: &str = "\
    SELECT n.nspname || '.' || r.relname || '.' || c.conname, tn.nspname::text, t.relname::text, \
    NOT EXISTS (SELECT FROM unnest(c.conpfeqop) o (oid) WHERE o.oid >= 16384) \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid \
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
    WHERE (a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) OR a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey)) \
    AND (NOT l.collisdeterministic OR y.oid >= 16384 AND NOT (y.typtype = 'd' AND y.typbasetype < 16384))) \
    FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace, \
    LATERAL (SELECT c.conrelid UNION SELECT c.confrelid UNION SELECT p.relid FROM pg_catalog.pg_partition_tree(c.conrelid) p \
    UNION SELECT p.relid FROM pg_catalog.pg_partition_tree(c.confrelid) p) s (oid) \
    JOIN pg_catalog.pg_class t ON t.oid = s.oid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace \
    WHERE c.contype = 'f' AND NOT c.convalidated AND c.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid";

impl<'a> ForeignKeys<'a> {
    pub(super) fn new(owner: &'a Address, incomplete: BTreeSet<String>) -> Self {
        ForeignKeys { owner, incomplete, unsatisfied: Unsatisfied::default() }
    }

    /// Creates a key for new rows only, if rows are what prevents it.
    pub(super) fn second(&mut self, entry: &Entry, error: &WireError) -> Result<Second, PgError> {
        let Some(sql) = entry.sql.trim_end().strip_suffix(';').filter(|_| entry.kind == "FK CONSTRAINT") else {
            return Ok(Second::Left);
        };
        if error.code() != Some(FOREIGN_KEY_VIOLATION) {
            return Ok(Second::Left);
        }
        match self.put_on(&mut self.owner.connect()?, &format!("{sql} NOT VALID")) {
            Ok(Some(Made { keys, by_server_alone })) => {
                let key = RefusedStatement::of(format!("constraint {}", keys.join(", ")), error.to_string());
                let Unsatisfied { keys: unsatisfied, only_here, marks } = &mut self.unsatisfied;
                let of_its_kind = if by_server_alone { unsatisfied } else { only_here };
                of_its_kind.push(key);
                marks.extend(keys.into_iter().map(mark));
                Ok(Second::Made)
            }
            Ok(None) => Ok(Second::Left),
            Err(error) if error.ends_all() => Err(error),
            Err(_) => Ok(Second::Left),
        }
    }

    /// The keys that a statement makes, if none is of a table that lacks rows.
    fn put_on(&self, client: &mut Client, sql: &str) -> Result<Option<Made>, PgError> {
        let failed = |error| PgError::statement("putting on a foreign key for new rows", &error);
        let mut transaction = client.transaction().map_err(failed)?;
        transaction.batch_execute(sql).map_err(failed)?;
        let mut made = BTreeSet::new();
        let mut by_server_alone = true;
        for row in transaction.query(MADE, &[]).map_err(failed)? {
            let table = RelationName { schema: row.try_get(1).map_err(failed)?, name: row.try_get(2).map_err(failed)? };
            if self.incomplete.contains(&table.to_string()) {
                return Ok(None);
            }
            made.insert(row.try_get(0).map_err(failed)?);
            by_server_alone &= row.try_get::<_, bool>(3).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(Some(Made { keys: made.into_iter().collect(), by_server_alone }))
    }
}

/// Keys that one statement made.
struct Made {
    keys: Vec<String>,
    /// Whether values are equal by the server's own code and types alone.
    by_server_alone: bool,
}

fn mark(name: String) -> Mark {
    let object = CatalogKey { class: "constraint".to_owned(), name };
    Mark { object, checked: " valid true".to_owned(), unchecked: " NOT VALID valid false".to_owned() }
}
