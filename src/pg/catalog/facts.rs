//! What a new database needs to match another one, and what of a database is not carried.

use postgres::GenericClient;

use super::{
    rights::is_providers,
    user_objects::{FIRST_OWN, USERS},
};
use crate::pg::{error::PgError, name::RelationName};

/// What a new database needs to match another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The server's version text, such as `15.18 (Debian …)`.
    pub version: String,
    /// Major version.
    pub major: u32,
    /// Minor version, 20 of 15.20.
    pub minor: u32,
    /// The encoding's name.
    pub encoding: String,
    /// Its locale, by which it sorts and compares text.
    pub locale: LocaleFacts,
    /// Number of large objects.
    pub large_objects: u64,
    /// Those of them that this login can't read.
    pub unreadable_large_objects: Unreadable,
    /// Rows of foreign tables, and user objects in system schemas.
    pub not_carried: Vec<String>,
}

/// What decides how a database sorts, compares and changes the case of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocaleFacts {
    /// The provider of the rules: [`LocaleFacts::LIBRARY`], ICU's or PostgreSQL's own (`pg_database.datlocprovider`).
    pub provider: char,
    /// LC_COLLATE.
    pub collate: String,
    /// LC_CTYPE.
    pub ctype: String,
    /// The locale of a provider other than the C library.
    pub locale: Option<String>,
    /// ICU rules that deviate from the locale.
    pub rules: Option<String>,
}

impl LocaleFacts {
    /// The C library, the only one before version 15.
    pub const LIBRARY: char = 'c';
    /// ICU.
    pub const ICU: char = 'i';
    /// PostgreSQL itself, from version 17 on.
    pub const BUILTIN: char = 'b';
}

/// Large objects that a login can't read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Their number.
    pub count: u64,
    /// The first of them.
    pub first: Vec<u32>,
}

/// Version, encoding, locale, and what of the database is not carried.
pub fn facts(client: &mut impl GenericClient) -> Result<DatabaseFacts, PgError> {
    let failed = |error| PgError::statement("reading the database's properties", &error);
    let sql = "SELECT current_setting('server_version'), current_setting('server_version_num')::int8, \
               pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text, \
               (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata), \
               coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'), \
               coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'), \
               pg_catalog.to_jsonb(d) ->> 'daticurules' \
               FROM pg_catalog.pg_database d WHERE d.datname = current_database()";
    let row = client.query_one(sql, &[]).map_err(failed)?;
    let sql = format!(
        "SELECT 'rows of foreign table ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND {USERS} ORDER BY 1"
    );
    let foreign = client.query(&sql, &[]).map_err(failed)?;
    let mut not_carried: Vec<String> =
        foreign.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
    not_carried.extend(extension_rows(client).map_err(failed)?);
    not_carried.extend(in_system_schemas(client).map_err(failed)?);
    let unreadable_large_objects = unreadable_large_objects(client).map_err(failed)?;
    let number: i64 = row.try_get(1).map_err(failed)?;
    let large_objects: i64 = row.try_get(5).map_err(failed)?;
    Ok(DatabaseFacts {
        version: row.try_get(0).map_err(failed)?,
        major: u32::try_from(number / 10_000).unwrap_or_default(),
        minor: u32::try_from(number % 10_000).unwrap_or_default(),
        encoding: row.try_get(2).map_err(failed)?,
        locale: LocaleFacts {
            provider: row.try_get::<_, String>(6).map_err(failed)?.chars().next().unwrap_or(LocaleFacts::LIBRARY),
            collate: row.try_get(3).map_err(failed)?,
            ctype: row.try_get(4).map_err(failed)?,
            locale: row.try_get(7).map_err(failed)?,
            rules: row.try_get(8).map_err(failed)?,
        },
        large_objects: large_objects.unsigned_abs(),
        unreadable_large_objects,
        not_carried,
    })
}

/// Encoding, locale and limits of the database, as one text.
pub fn properties(client: &mut impl GenericClient) -> Result<String, PgError> {
    let failed = |error| PgError::statement("reading the database's properties", &error);
    let sql = "SELECT concat_ws(' ', pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, \
               d.datistemplate, d.datallowconn, d.datconnlimit, nullif(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'), \
               pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', \
               pg_catalog.to_jsonb(d) ->> 'daticurules') \
               FROM pg_catalog.pg_database d WHERE d.datname = current_database()";
    client.query_one(sql, &[]).and_then(|row| row.try_get(0)).map_err(failed)
}

/// Tables in system schemas in which extensions keep user configuration, if not empty (PostgreSQL
/// documentation, "Extension Configuration Tables"); those in other schemas are copied.
fn extension_rows(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = format!(
        "SELECT x.extname::text, n.nspname::text, c.relname::text, f.condition \
         FROM pg_catalog.pg_extension x, unnest(x.extconfig, x.extcondition) f (relation, condition) \
         JOIN pg_catalog.pg_class c ON c.oid = f.relation AND c.relkind = 'r' \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT ({USERS}) ORDER BY 1, 2, 3"
    );
    let mut found = Vec::new();
    for row in client.query(&sql, &[])? {
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

/// User objects in system schemas, which pg_dump omits. What a provider put there is its own.
fn in_system_schemas(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let part = |catalog: &str, schema: &str, owner: &str, which: &str| {
        format!(
            "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::oid AS classid, o.oid AS objid, o.{owner} AS owner \
             FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema} \
             WHERE n.nspname IN ('pg_catalog', 'information_schema') AND o.oid >= {FIRST_OWN} AND {which}"
        )
    };
    let of_itself = "NOT EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = o.typrelid) \
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = o.oid)";
    let parts = [
        part("pg_class", "relnamespace", "relowner", "o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')"),
        part("pg_proc", "pronamespace", "proowner", "true"),
        part("pg_type", "typnamespace", "typowner", of_itself),
        part("pg_operator", "oprnamespace", "oprowner", "true"),
        part("pg_collation", "collnamespace", "collowner", "true"),
        part("pg_conversion", "connamespace", "conowner", "true"),
        part("pg_opclass", "opcnamespace", "opcowner", "true"),
        part("pg_opfamily", "opfnamespace", "opfowner", "true"),
        part("pg_statistic_ext", "stxnamespace", "stxowner", "true"),
        part("pg_ts_config", "cfgnamespace", "cfgowner", "true"),
        part("pg_ts_dict", "dictnamespace", "dictowner", "true"),
    ];
    // These have no owner; superusers create them.
    let unowned = [("pg_ts_parser", "prsnamespace"), ("pg_ts_template", "tmplnamespace")].map(|(catalog, schema)| {
        format!(
            "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::oid, o.oid, 10::oid FROM pg_catalog.{catalog} o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema} WHERE n.nspname = 'pg_catalog' AND o.oid >= {FIRST_OWN}"
        )
    });
    // What a user added to a built-in family, and to no class of their own.
    let added = [("pg_amop", "amopfamily"), ("pg_amproc", "amprocfamily")].map(|(catalog, family)| {
        format!(
            "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::oid, o.oid, f.opfowner FROM pg_catalog.{catalog} o \
             JOIN pg_catalog.pg_opfamily f ON f.oid = o.{family} AND f.oid < {FIRST_OWN} WHERE o.oid >= {FIRST_OWN} \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = o.tableoid AND e.objid = o.oid \
             AND (e.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass OR EXISTS (SELECT FROM pg_catalog.pg_depend x \
             WHERE x.classid = e.refclassid AND x.objid = e.refobjid AND x.deptype = 'e')))"
        )
    });
    let parts = [&parts[..], &unowned, &added].concat();
    let sql = format!(
        "SELECT i.type || ' ' || i.identity, pg_catalog.pg_get_userbyid(o.owner)::text FROM ({}) o, \
         LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i WHERE i.identity IS NOT NULL \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = o.classid AND e.objid = o.objid \
         AND e.deptype = 'e') ORDER BY 1",
        parts.join(" UNION ALL ")
    );
    let mut found = Vec::new();
    for row in client.query(&sql, &[])? {
        let (object, owner): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if !is_providers(&owner) {
            found.push(format!("{object}, which lies in a schema of the system; move it to one of its own"));
        }
    }
    Ok(found)
}

/// The most unreadable large objects that are named.
const NAMED_MAX: usize = 10;

/// Reads owners and access lists: reading every table does not include large objects (PostgreSQL documentation,
/// "Predefined Roles"). Newer servers have a function for it.
fn unreadable_large_objects(client: &mut impl GenericClient) -> Result<Unreadable, postgres::Error> {
    let sql = "SELECT pg_catalog.to_regprocedure('pg_catalog.has_largeobject_privilege(oid,text)') IS NOT NULL, \
               current_setting('lo_compat_privileges')::bool";
    let row = client.query_one(sql, &[])?;
    let (has_function, everybody_reads): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if everybody_reads {
        return Ok(Unreadable::default());
    }
    let readable = if has_function {
        "pg_catalog.has_largeobject_privilege(o.oid, 'SELECT')"
    } else {
        "(pg_catalog.pg_has_role(o.lomowner, 'USAGE') OR EXISTS (SELECT FROM pg_catalog.aclexplode(\
             coalesce(o.lomacl, pg_catalog.acldefault('L', o.lomowner))) g WHERE g.privilege_type = 'SELECT' \
             AND (g.grantee = 0 OR pg_catalog.pg_has_role(g.grantee, 'USAGE'))))"
    };
    let sql = format!(
        "SELECT count(*), coalesce((array_agg(o.oid ORDER BY o.oid))[1:{NAMED_MAX}], '{{}}') \
         FROM pg_catalog.pg_largeobject_metadata o WHERE NOT {readable}"
    );
    let row = client.query_one(&sql, &[])?;
    let count: i64 = row.try_get(0)?;
    Ok(Unreadable { count: count.unsigned_abs(), first: row.try_get(1)? })
}
