//! CHECK constraints that reject rows of the source: dropped from a table while it is loaded, restored without a
//! check of the rows, and then validated.
//!
//! Such a constraint reads tables that are filled later, or the clock, or a function that has changed since. pg_dump writes
//! it into the table's own statement, as if only the row mattered. Source: PostgreSQL documentation, ALTER TABLE,
//! `NOT VALID` and `VALIDATE CONSTRAINT`.

use postgres::Client;

use super::refused::RefusedStatement;
use crate::pg::{
    Address, PgError,
    catalog::CatalogKey,
    name::{RelationName, literal, quoted},
    sqlstate::{CHECK_VIOLATION, FEATURE_NOT_SUPPORTED},
};

/// Dropped constraints, and the session that restores them.
pub(crate) struct DroppedConstraints {
    client: Client,
    /// Those of parents before those of their children.
    taken: Vec<Constraint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Constraint {
    /// `TABLE public.t` or `DOMAIN public.d`.
    on: String,
    name: String,
    definition: String,
    comment: Option<String>,
}

/// The outcome of the constraints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RestoredConstraints {
    /// They exist, and apply to new rows only: a row violates them.
    pub broken: Vec<RefusedStatement>,
    /// Their differences in the catalog.
    pub marks: Vec<Mark>,
    /// They exist, and apply to new rows only; every row satisfies them, which PostgreSQL cannot record.
    pub held: Vec<RefusedStatement>,
    /// They exist, and it is unknown whether the rows satisfy them.
    pub unchecked: Vec<RefusedStatement>,
    /// They do not exist.
    pub refused: Vec<RefusedStatement>,
}

/// The effect of an unvalidated constraint on the definition of one object of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub object: CatalogKey,
    /// Part of the definition if the constraint is validated, …
    pub checked: String,
    /// … and if it is not.
    pub unchecked: String,
}

/// Of the table `$1`, its parents and their other children: they share a constraint.
const OF_TABLE: &str = "\
    WITH RECURSIVE up (oid) AS (SELECT pg_catalog.to_regclass($1::text)::oid \
    UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.oid), \
    down (oid, depth) AS (SELECT oid, 0 FROM up \
    UNION SELECT i.inhrelid, d.depth + 1 FROM pg_catalog.pg_inherits i JOIN down d ON i.inhparent = d.oid) \
    SELECT 'TABLE ' || c.conrelid::pg_catalog.regclass::text, c.conname::text, pg_catalog.pg_get_constraintdef(c.oid), \
    pg_catalog.obj_description(c.oid, 'pg_constraint') \
    FROM pg_catalog.pg_constraint c JOIN (SELECT oid, max(depth) AS depth FROM down GROUP BY oid) d ON d.oid = c.conrelid \
    WHERE c.contype = 'c' AND c.convalidated AND c.conislocal AND c.conname IN (SELECT o.conname \
    FROM pg_catalog.pg_constraint o WHERE o.contype = 'c' AND o.conrelid = pg_catalog.to_regclass($1::text)) \
    ORDER BY d.depth, 1, 2";
/// Of the domains in the table's values, directly or nested.
const OF_DOMAINS: &str = "\
    WITH RECURSIVE used (oid) AS (SELECT a.atttypid FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = pg_catalog.to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped \
    UNION SELECT x.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid, \
    LATERAL (SELECT t.typbasetype UNION ALL SELECT t.typelem UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r \
    WHERE r.rngtypid = t.oid UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid \
    AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped) x (oid) WHERE x.oid <> 0) \
    SELECT 'DOMAIN ' || c.contypid::pg_catalog.regtype::text, c.conname::text, pg_catalog.pg_get_constraintdef(c.oid), \
    pg_catalog.obj_description(c.oid, 'pg_constraint') \
    FROM pg_catalog.pg_constraint c JOIN used u ON u.oid = c.contypid \
    WHERE c.contype = 'c' AND c.convalidated ORDER BY 1, 2";

/// The constraint `$2` of the table `$1` on all tables that inherit it, as [`CatalogKey`] names it.
const ON_TABLES: &str = "\
    WITH RECURSIVE down (oid) AS (SELECT pg_catalog.to_regclass($1::text)::oid \
    UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN down d ON i.inhparent = d.oid) \
    SELECT n.nspname || '.' || c.relname || '.' || $2::text FROM down d JOIN pg_catalog.pg_class c ON c.oid = d.oid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
/// The domain `$1`, as [`CatalogKey`] names it.
const DOMAIN: &str = "SELECT n.nspname || '.' || t.typname FROM pg_catalog.pg_type t \
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = pg_catalog.to_regtype($1::text)";

/// The columns of tables with the domain `$1` in their values, directly or nested.
const WITH_DOMAIN: &str = "\
    WITH RECURSIVE holds (oid) AS (SELECT pg_catalog.to_regtype($1::text)::oid UNION SELECT x.oid FROM holds h, \
    LATERAL (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typbasetype = h.oid OR t.typelem = h.oid \
    UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngsubtype = h.oid \
    UNION ALL SELECT (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid FROM pg_catalog.pg_range r WHERE r.rngtypid = h.oid \
    UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
    WHERE a.atttypid = h.oid AND a.attnum > 0 AND NOT a.attisdropped) x (oid) WHERE x.oid <> 0) \
    SELECT c.oid::pg_catalog.regclass::text, a.attname::text, pg_catalog.format_type(a.atttypid, NULL) \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' \
    JOIN holds h ON h.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum";

impl DroppedConstraints {
    /// A session of the owner of the restored objects.
    pub(crate) fn begin(owner: &Address) -> Result<Self, PgError> {
        Ok(DroppedConstraints { client: owner.connect()?, taken: Vec::new() })
    }

    /// Drops every CHECK constraint on rows of this table. Returns whether there were any.
    pub(crate) fn take_off(&mut self, table: &RelationName) -> Result<bool, PgError> {
        let mut found = Vec::new();
        for sql in [OF_TABLE, OF_DOMAINS] {
            let failed = |error| PgError::statement(format!("looking for constraints of {table}"), &error);
            for row in self.client.query(sql, &[&table.to_sql()]).map_err(failed)? {
                found.push(Constraint {
                    on: row.try_get(0).map_err(failed)?,
                    name: row.try_get(1).map_err(failed)?,
                    definition: row.try_get(2).map_err(failed)?,
                    comment: row.try_get(3).map_err(failed)?,
                });
            }
        }
        let mut any = false;
        for constraint in found {
            let Constraint { on, name, .. } = &constraint;
            if self.refused(&format!("ALTER {on} DROP CONSTRAINT {}", quoted(name)))?.is_none() {
                self.taken.push(constraint);
                any = true;
            }
        }
        Ok(any)
    }

    /// Restores all of them, children's first, which are then merged with their parents'; and validates the rows.
    ///
    /// A definition keeps its meaning: it is restored with an empty search path, so that it finds no namesake. The
    /// functions that it calls may look names up while rows are validated: they use the search path of the source.
    pub(crate) fn put_back(mut self, search_path: &str) -> Result<RestoredConstraints, PgError> {
        let mut done = RestoredConstraints::default();
        let taken = std::mem::take(&mut self.taken);
        let mut there = Vec::new();
        for constraint in taken.iter().rev() {
            match self.refused(&constraint.add())? {
                None => there.push(constraint),
                Some(error) => done.refused.push(constraint.refused(&error)),
            }
        }
        let set = "SELECT pg_catalog.set_config('search_path', $1, false)";
        let failed = |error| PgError::statement("preparing to check constraints", &error);
        self.client.execute(set, &[&search_path]).map_err(failed)?;
        for constraint in there {
            let Constraint { on, name, .. } = constraint;
            match self.refused(&format!("ALTER {on} VALIDATE CONSTRAINT {}", quoted(name)))? {
                None => {}
                Some(error) if error.code() == Some(CHECK_VIOLATION) => {
                    done.broken.push(constraint.refused(&error));
                    done.marks.extend(self.marks(constraint)?);
                }
                Some(error) if error.code() == Some(FEATURE_NOT_SUPPORTED) => match self.each_value(on)? {
                    None => {
                        done.held.push(constraint.refused(&error));
                        done.marks.extend(self.marks(constraint)?);
                    }
                    Some(error) if error.code() == Some(CHECK_VIOLATION) => {
                        done.broken.push(constraint.refused(&error));
                        done.marks.extend(self.marks(constraint)?);
                    }
                    Some(error) => done.unchecked.push(constraint.refused(&error)),
                },
                Some(error) => done.unchecked.push(constraint.refused(&error)),
            }
        }
        Ok(done)
    }

    /// Re-parses every value that contains the domain: a domain within arrays or composite types PostgreSQL
    /// never validates (`ALTER DOMAIN`, "Notes"), and its constraints apply to input. Returns why one is rejected, if any.
    fn each_value(&mut self, on: &str) -> Result<Option<PgError>, PgError> {
        let failed = |error| PgError::statement("looking for values of a domain", &error);
        let domain = on.strip_prefix("DOMAIN ").unwrap_or_default();
        let columns = self.client.query(WITH_DOMAIN, &[&domain]).map_err(failed)?;
        for row in columns {
            let table: String = row.try_get(0).map_err(failed)?;
            let column: String = row.try_get(1).map_err(failed)?;
            let of_type: String = row.try_get(2).map_err(failed)?;
            let sql = format!("SELECT count({}::pg_catalog.text::{of_type}) FROM ONLY {table}", quoted(&column));
            if let Some(error) = self.refused(&sql)? {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    /// Where the catalog shows that a constraint is not validated.
    fn marks(&mut self, constraint: &Constraint) -> Result<Vec<Mark>, PgError> {
        let Constraint { on, name, definition, .. } = constraint;
        let failed = |error| PgError::statement("looking for what a constraint is on", &error);
        let mark = |class: &str, name: String, checked: String, unchecked: String| {
            let object = CatalogKey { class: class.to_owned(), name };
            Mark { object, checked, unchecked }
        };
        let mut marks = Vec::new();
        if let Some(table) = on.strip_prefix("TABLE ") {
            for row in self.client.query(ON_TABLES, &[&table, name]).map_err(failed)? {
                let checked = " valid true".to_owned();
                let unchecked = " NOT VALID valid false".to_owned();
                marks.push(mark("constraint", row.try_get(0).map_err(failed)?, checked, unchecked));
            }
        }
        if let Some(domain) = on.strip_prefix("DOMAIN ") {
            for row in self.client.query(DOMAIN, &[&domain]).map_err(failed)? {
                let checked = format!("{name} {definition}true");
                let unchecked = format!("{name} {definition} NOT VALIDfalse");
                marks.push(mark("type", row.try_get(0).map_err(failed)?, checked, unchecked));
            }
        }
        Ok(marks)
    }

    /// Why a statement was refused, if so; only a lost server is an error.
    fn refused(&mut self, sql: &str) -> Result<Option<PgError>, PgError> {
        let refused =
            self.client.batch_execute(sql).map_err(|error| PgError::statement("changing constraints", &error));
        match refused {
            Ok(()) => Ok(None),
            Err(error) if error.ends_all() => Err(error),
            Err(error) => Ok(Some(error)),
        }
    }
}

impl Mark {
    /// The definition with the constraint validated; none if it doesn't show the difference.
    pub fn taken_off(&self, definition: &str) -> Option<String> {
        definition.contains(&self.unchecked).then(|| definition.replacen(&self.unchecked, &self.checked, 1))
    }
}

impl Constraint {
    fn add(&self) -> String {
        let Constraint { on, name, definition, comment } = self;
        let name = quoted(name);
        let place = on.strip_prefix("TABLE ").unwrap_or(on);
        let comment =
            comment.iter().map(|text| format!("; COMMENT ON CONSTRAINT {name} ON {place} IS {}", literal(text)));
        format!("ALTER {on} ADD CONSTRAINT {name} {definition} NOT VALID{}", comment.collect::<String>())
    }

    fn refused(&self, error: &PgError) -> RefusedStatement {
        let on = self.on.split_once(' ').map_or(self.on.as_str(), |(_, name)| name);
        RefusedStatement::of(format!("constraint {on}.{}", self.name), error.reason())
    }
}
