//! Extensions in the restored database: listed ones created by a superuser, those of other versions tried in the source's,
//! and access to the tables in which extensions keep user configuration.

use std::collections::BTreeSet;

use postgres::types::ToSql;

use super::SuperuserSession;
use crate::pg::{
    PgError,
    catalog::{
        self, Catalog, Configuration,
        special::{Extension, SuperuserObjects},
    },
    error::connection_lost,
    name::{RelationName, literal, quoted},
};

/// Extensions that need a superuser but pass on no such rights: they neither read the machine's files nor run programs, or let
/// only superusers do so. Trusted ones need no list; the restricted owner creates them itself.
const EXTENSIONS: [&str; 23] = [
    "amcheck",
    "autoinc",
    "bloom",
    "dblink",
    "dict_xsyn",
    "earthdistance",
    "file_fdw",
    "insert_username",
    "intagg",
    "moddatetime",
    "pageinspect",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_visibility",
    "pgrowlocks",
    "pgstattuple",
    "postgres_fdw",
    "refint",
    "sslinfo",
    "xml2",
    "vector",
];

/// Listed extensions whose functions would let restored code connect from this machine, and pass file names to the library
/// that does. EXECUTE is revoked here until it is granted explicitly.
pub(crate) const CLOSED: [&str; 1] = ["dblink"];

impl SuperuserSession {
    /// Creates the listed extensions of the source that the machine has. Returns their names.
    pub fn extensions(&mut self, special: &SuperuserObjects) -> Result<BTreeSet<String>, PgError> {
        let mut made = BTreeSet::new();
        for Extension { name, schema, comment, .. } in
            special.extensions.iter().filter(|one| EXTENSIONS.contains(&one.name.as_str()))
        {
            if let Some(schema_sql) = self.make_schema(schema)
                && !self.run(&schema_sql)?
            {
                continue;
            }
            if self.run(&format!("CREATE EXTENSION {} SCHEMA {} CASCADE", quoted(name), quoted(schema)))? {
                made.insert(name.clone());
                let text = comment.as_deref().map_or_else(|| "NULL".to_owned(), literal);
                self.run(&format!("COMMENT ON EXTENSION {} IS {text}", quoted(name)))?;
                if CLOSED.contains(&name.as_str()) {
                    self.close_functions(name)?;
                }
            }
        }
        for wrapper in self.wrappers()? {
            self.run(&format!("GRANT USAGE ON FOREIGN DATA WRAPPER {} TO {}", quoted(&wrapper), quoted(&self.owner)))?;
        }
        Ok(made)
    }

    fn wrappers(&mut self) -> Result<Vec<String>, PgError> {
        self.names("SELECT fdwname::text FROM pg_catalog.pg_foreign_data_wrapper ORDER BY 1", &[])
    }

    fn close_functions(&mut self, extension: &str) -> Result<(), PgError> {
        let sql = "SELECT concat(p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_depend e \
                   ON e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e' \
                   JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid WHERE x.extname = $1::text ORDER BY 1";
        for function in self.names(sql, &[&extension])? {
            self.run(&format!("REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC"))?;
        }
        Ok(())
    }

    fn names(&mut self, sql: &str, about: &[&(dyn ToSql + Sync)]) -> Result<Vec<String>, PgError> {
        let failed = |error| PgError::statement("looking for what an extension made", &error);
        self.client.query(sql, about).map_err(failed)?.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }

    /// The schema of an extension has to exist before it.
    fn make_schema(&self, schema: &str) -> Option<String> {
        let is_there = ["pg_catalog", "public"].contains(&schema);
        (!is_there)
            .then(|| format!("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}", quoted(schema), quoted(&self.owner)))
    }

    /// What CREATE EXTENSION creates for the source's versions here, where this server's default version differs. It
    /// is created in a transaction that is rolled back, in an otherwise empty database. Of a version that this server
    /// doesn't have, nothing can be known; nor of an extension that is neither trusted nor on the list.
    pub fn rehearse(&mut self, special: &SuperuserObjects) -> Result<Catalog, PgError> {
        let failed = |error| PgError::statement("asking for versions of extensions", &error);
        let sql = "SELECT v.trusted FROM pg_catalog.pg_available_extension_versions v \
                   JOIN pg_catalog.pg_available_extensions a ON a.name = v.name \
                   WHERE v.name = $1::text AND v.version = $2::text AND v.version <> a.default_version";
        let mut made = Catalog::new();
        for extension in &special.extensions {
            let other = self.client.query_opt(sql, &[&extension.name, &extension.version]).map_err(failed)?;
            let is_trusted = other.map(|row| row.try_get::<_, bool>(0)).transpose().map_err(failed)?;
            if is_trusted.is_some_and(|is_trusted| is_trusted || EXTENSIONS.contains(&extension.name.as_str())) {
                made.extend(self.members_of(extension)?);
            }
        }
        Ok(made)
    }

    fn members_of(&mut self, extension: &Extension) -> Result<Catalog, PgError> {
        let Extension { name, schema, version, .. } = extension;
        let create = format!(
            "{}; CREATE EXTENSION {} SCHEMA {} VERSION {} CASCADE",
            self.make_schema(schema).unwrap_or_default(),
            quoted(name),
            quoted(schema),
            literal(version)
        );
        let failed = |error| PgError::statement(format!("trying version {version} of extension {name}"), &error);
        let mut transaction = self.client.transaction().map_err(failed)?;
        let mut members = match transaction.batch_execute(&create) {
            Ok(()) => catalog::members_of_extensions(&mut transaction)?,
            Err(error) if connection_lost(&error) => return Err(failed(error)),
            Err(_) => Catalog::new(),
        };
        transaction.rollback().map_err(failed)?;
        members.retain(|key, _| key.name.starts_with(&format!("{name}: ")));
        Ok(members)
    }

    /// Lets the owner fill those of the tables, and the sequences, in which extensions of the target keep user
    /// configuration: the source is not trusted for that. Returns the rights to be revoked.
    pub fn open(&mut self, tables: &[&RelationName]) -> Result<Vec<String>, PgError> {
        let mut opened = Vec::new();
        for Configuration { name, is_sequence, owner } in catalog::configuration(&mut self.client)? {
            let (rights, kind) =
                if is_sequence { ("UPDATE", "SEQUENCE") } else { ("INSERT, DELETE, TRUNCATE", "TABLE") };
            if owner != self.owner && (is_sequence || tables.contains(&&name)) {
                let place = format!("{kind} {}", name.to_sql());
                // It is read back, too, and stays readable.
                let grant = format!("GRANT SELECT, {rights} ON {place} TO {}", quoted(&self.owner));
                if self.run(&grant)? {
                    opened.push(format!("{rights} ON {place}"));
                }
            }
        }
        Ok(opened)
    }

    /// Revokes these rights.
    pub fn close(&mut self, opened: &[String]) -> Result<(), PgError> {
        for rights in opened {
            self.run(&format!("REVOKE {rights} FROM {}", quoted(&self.owner)))?;
        }
        Ok(())
    }

    /// Revokes what the owner needed only during the restore.
    pub fn withdraw(&mut self) -> Result<(), PgError> {
        for wrapper in self.wrappers()? {
            self.run(&format!(
                "REVOKE USAGE ON FOREIGN DATA WRAPPER {} FROM {}",
                quoted(&wrapper),
                quoted(&self.owner)
            ))?;
        }
        Ok(())
    }
}
