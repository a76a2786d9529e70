//! Members of extensions: the objects that CREATE EXTENSION created, and those that users added since (`ALTER
//! EXTENSION … ADD`), which a dump omits with the rest.

use postgres::GenericClient;

use super::{
    class::{Catalog, Class, read_class},
    tables::{self, NUMBERS_REGISTERED, REGISTERED},
};
use crate::pg::{
    error::PgError,
    name::{RelationName, Table},
};

/// A relation in which an extension keeps user configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Its name.
    pub name: RelationName,
    /// Whether it is a sequence, and not a table.
    pub is_sequence: bool,
    /// Its owner.
    pub owner: String,
}

/// Every such relation.
pub fn configuration(client: &mut impl GenericClient) -> Result<Vec<Configuration>, PgError> {
    let failed = |error| PgError::statement("looking for configuration tables of extensions", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind = 'S', pg_catalog.pg_get_userbyid(c.relowner)::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE (c.relkind IN ('r', 'S') AND {REGISTERED}) OR (c.relkind = 'S' AND {NUMBERS_REGISTERED}) ORDER BY 1, 2"
    );
    let configuration = |row: &postgres::Row| {
        let name = RelationName { schema: row.try_get(0)?, name: row.try_get(1)? };
        Ok(Configuration { name, is_sequence: row.try_get(2)?, owner: row.try_get(3)? })
    };
    client.query(&sql, &[]).map_err(failed)?.iter().map(|row| configuration(row).map_err(failed)).collect()
}

/// Members of extensions, with the attributes that users can change.
pub fn members_of_extensions(client: &mut impl GenericClient) -> Result<Catalog, PgError> {
    let (class, sql) = members();
    let mut catalog = Catalog::new();
    read_class(client, class, &sql, &mut catalog)?;
    Ok(catalog)
}

/// For every member, the attributes that users can change. Row and array types follow from others, and are members in
/// some versions only.
pub(super) fn members() -> Class {
    // Some versions name the schema of built-in types, and some don't.
    let sql = "SELECT x.extname || ': ' || i.type || ' ' || replace(i.identity, 'pg_catalog.', ''), CASE \
         WHEN p.oid IS NOT NULL THEN md5(concat_ws('|', p.prosrc, p.probin, p.provolatile, p.proisstrict, p.prosecdef, \
         p.proleakproof, p.proparallel, p.proconfig)) \
         WHEN c.oid IS NOT NULL THEN (SELECT string_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, \
         a.atttypmod), ',' ORDER BY a.attname) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid \
         AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'S') END \
         FROM pg_catalog.pg_depend e \
         JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid \
         LEFT JOIN pg_catalog.pg_proc p ON p.oid = e.objid AND e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
         LEFT JOIN pg_catalog.pg_class c ON c.oid = e.objid AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass, \
         LATERAL pg_catalog.pg_identify_object(e.classid, e.objid, e.objsubid) i \
         WHERE e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.deptype = 'e' \
         AND i.identity IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t \
         WHERE e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = e.objid AND (t.typtype = 'm' \
         OR EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = t.typrelid AND r.relkind <> 'c') \
         OR EXISTS (SELECT FROM pg_catalog.pg_type el WHERE el.typarray = t.oid)))";
    ("extension member", sql.to_owned())
}

/// Other attributes of members that ALTER and COMMENT change: comments, estimators of operators, members of operator
/// families. A dump omits all of it.
pub(super) fn properties_of_members() -> Class {
    let sql = "SELECT x.extname || ': ' || i.type || ' ' || replace(i.identity, 'pg_catalog.', ''), concat_ws('|', \
         (SELECT string_agg(d.objsubid || ' ' || d.description, '|' ORDER BY d.objsubid) \
         FROM pg_catalog.pg_description d WHERE d.classoid = e.classid AND d.objoid = e.objid), \
         (SELECT o.oprrest::text || ' ' || o.oprjoin::text \
         FROM pg_catalog.pg_operator o WHERE e.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = e.objid), \
         (SELECT string_agg(a.amopstrategy || ' ' || a.amopopr::pg_catalog.regoperator::text, ',' \
         ORDER BY a.amopstrategy, a.amopopr::pg_catalog.regoperator::text) FROM pg_catalog.pg_amop a \
         WHERE e.classid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass AND a.amopfamily = e.objid), \
         (SELECT string_agg(a.amprocnum || ' ' || a.amproc::pg_catalog.oid::pg_catalog.regprocedure::text, ',' \
         ORDER BY a.amprocnum, a.amproc::pg_catalog.oid::pg_catalog.regprocedure::text) FROM pg_catalog.pg_amproc a \
         WHERE e.classid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass AND a.amprocfamily = e.objid)) \
         FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid, \
         LATERAL pg_catalog.pg_identify_object(e.classid, e.objid, e.objsubid) i \
         WHERE e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.deptype = 'e' AND i.identity IS NOT NULL \
         AND (e.classid IN ('pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_opfamily'::pg_catalog.regclass) \
         OR EXISTS (SELECT FROM pg_catalog.pg_description d WHERE d.classoid = e.classid AND d.objoid = e.objid))";
    ("property of extension member", sql.to_owned())
}

/// Objects that users made dependent on an extension, to be dropped with it (`ALTER … DEPENDS ON EXTENSION`).
pub(super) fn dependences() -> Class {
    let sql = "SELECT i.type || ' ' || i.identity || ' on ' || x.extname, '' FROM pg_catalog.pg_depend d \
               JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid, \
               LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i \
               WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'x' \
               AND i.identity IS NOT NULL";
    ("dependence on extension", sql.to_owned())
}

/// The extensions' tables, except those with user configuration: their rows come from CREATE EXTENSION or from
/// nowhere.
pub fn tables_of_extensions(client: &mut impl GenericClient) -> Result<Vec<Table>, PgError> {
    tables::of_kind(client, &format!("c.relkind = 'r' AND {} AND NOT {REGISTERED}", tables::OF_EXTENSION))
}
