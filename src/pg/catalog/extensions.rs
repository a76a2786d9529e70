//! What belongs to extensions: the objects that CREATE EXTENSION made, and those that users gave to one since (`ALTER
//! EXTENSION … ADD`), which a dump leaves out with the rest.

use postgres::GenericClient;

use super::{Class, tables};
use crate::pg::{error::PgError, name::Table};

/// Of every member: what users can change of it. Row types and types of arrays follow from others, and count as members in
/// some versions only.
pub(super) fn members() -> Class {
    // Of the schema of built-in types some versions speak, and some don't.
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

/// The extensions' tables, except those whose rows a dump carries as configuration: their rows come from CREATE EXTENSION or
/// from nowhere.
pub fn tables_of_extensions(client: &mut impl GenericClient) -> Result<Vec<Table>, PgError> {
    tables::of_kind(
        client,
        "c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_extension x \
         ON x.oid = e.refobjid WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid \
         AND e.deptype = 'e' AND c.oid <> ALL (coalesce(x.extconfig, '{}')))",
    )
}
