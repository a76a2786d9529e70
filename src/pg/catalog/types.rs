//! Types, collations, conversions, and text search.

use super::{
    class::Class,
    user_objects::{FIRST_OWN, USERS, own},
};

pub(super) fn classes() -> Vec<Class> {
    let mut classes = vec![("type", by_definition()), ("base type", base())];
    classes.extend(collations());
    classes.extend(text_search());
    classes
}

/// Domains, enums, ranges; multiranges follow from their ranges.
fn by_definition() -> String {
    format!(
        "SELECT n.nspname || '.' || o.typname, concat_ws(' ', o.typtype, \
         CASE WHEN o.typtype = 'd' THEN pg_catalog.format_type(o.typbasetype, o.typtypmod) END, \
         CASE WHEN o.typtype = 'd' THEN o.typnotnull END, \
         CASE WHEN o.typtype = 'd' AND o.typcollation <> b.typcollation \
         THEN o.typcollation::pg_catalog.regcollation::text END, o.typdefault, \
         (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) \
         FROM pg_catalog.pg_enum e WHERE e.enumtypid = o.oid), \
         (SELECT string_agg(k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid) || k.convalidated, ',' \
         ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.contypid = o.oid AND k.contype = 'c'), \
         (SELECT concat_ws(' ', pg_catalog.format_type(r.rngsubtype, NULL), \
         (SELECT opcname FROM pg_catalog.pg_opclass WHERE oid = r.rngsubopc), \
         CASE WHEN r.rngcollation <> 0 THEN r.rngcollation::pg_catalog.regcollation::text END, \
         CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::pg_catalog.regprocedure::text END, \
         CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::pg_catalog.regprocedure::text END) \
         FROM pg_catalog.pg_range r WHERE r.rngtypid = o.oid)) \
         FROM pg_catalog.pg_type o LEFT JOIN pg_catalog.pg_type b ON b.oid = o.typbasetype {} \
         AND o.typtype IN ('d', 'e', 'r', 'm')",
        own("pg_type", "typnamespace")
    )
}

/// Types with input and output functions of their own, and shell types.
fn base() -> String {
    format!(
        "SELECT n.nspname || '.' || o.typname, concat_ws(' ', o.typtype, o.typisdefined, o.typlen, o.typbyval, \
         o.typcategory, o.typispreferred, o.typdelim, o.typalign, o.typstorage, \
         o.typinput::pg_catalog.regprocedure::text, o.typoutput::pg_catalog.regprocedure::text, \
         o.typreceive::pg_catalog.regproc::text, o.typsend::pg_catalog.regproc::text, \
         o.typmodin::pg_catalog.regproc::text, o.typmodout::pg_catalog.regproc::text, \
         o.typanalyze::pg_catalog.regproc::text, o.typdefault) FROM pg_catalog.pg_type o {} \
         AND (o.typtype = 'p' OR o.typtype = 'b' AND NOT (o.typelem <> 0 AND o.typinput = \
         'pg_catalog.array_in'::pg_catalog.regproc))",
        own("pg_type", "typnamespace")
    )
}

/// The version of a collation belongs to the machine's library, so it is separate from the definition.
fn collations() -> Vec<Class> {
    let own_collations = own("pg_collation", "collnamespace");
    let definition = "concat_ws(' ', o.collprovider, \
         pg_catalog.to_jsonb(o) ->> 'collisdeterministic', o.collcollate, o.collctype, \
         coalesce(pg_catalog.to_jsonb(o) ->> 'colllocale', pg_catalog.to_jsonb(o) ->> 'colliculocale'), \
         pg_catalog.to_jsonb(o) ->> 'collicurules')";
    vec![
        (
            "collation",
            format!(
                "SELECT n.nspname || '.' || o.collname, {definition} FROM pg_catalog.pg_collation o {own_collations}"
            ),
        ),
        (
            "collation version",
            format!(
                "SELECT n.nspname || '.' || o.collname, o.collversion FROM pg_catalog.pg_collation o {own_collations}"
            ),
        ),
        ("locale version", locale_version()),
        (
            "conversion",
            format!(
                "SELECT n.nspname || '.' || o.conname, concat_ws(' ', \
                 pg_catalog.pg_encoding_to_char(o.conforencoding), pg_catalog.pg_encoding_to_char(o.contoencoding), \
                 o.conproc::pg_catalog.regproc::text, o.condefault) FROM pg_catalog.pg_conversion o {}",
                own("pg_conversion", "connamespace")
            ),
        ),
    ]
}

/// Which version of a library's rules the database was built under, and each collation of the server that users' columns
/// use.
fn locale_version() -> String {
    format!(
        "SELECT 'of the database', pg_catalog.to_jsonb(d) ->> 'datcollversion' FROM pg_catalog.pg_database d \
         WHERE d.datname = current_database() AND pg_catalog.to_jsonb(d) ->> 'datcollversion' IS NOT NULL \
         UNION SELECT 'of collation ' || l.collname, l.collversion FROM pg_catalog.pg_collation l \
         JOIN pg_catalog.pg_attribute a ON a.attcollation = l.oid AND l.collversion IS NOT NULL AND l.oid < {FIRST_OWN} \
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         AND {USERS}"
    )
}

/// Configurations and dictionaries that every server has built in, which determine the result of `to_tsvector`. They can
/// be altered, and no dump contains that.
pub(super) fn built_in_text_search() -> Class {
    let sql = format!(
        "SELECT 'configuration ' || o.cfgname, (SELECT string_agg(m.maptokentype || ' ' || m.mapseqno || ' ' || \
         m.mapdict::pg_catalog.regdictionary::text, ',' ORDER BY m.maptokentype, m.mapseqno) \
         FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = o.oid) FROM pg_catalog.pg_ts_config o WHERE o.oid < {FIRST_OWN} \
         UNION ALL SELECT 'dictionary ' || o.dictname, o.dictinitoption FROM pg_catalog.pg_ts_dict o \
         WHERE o.oid < {FIRST_OWN}"
    );
    ("built-in text search", sql)
}

fn text_search() -> Vec<Class> {
    vec![
        (
            "text search configuration",
            format!(
                "SELECT n.nspname || '.' || o.cfgname, concat_ws(' ', pn.nspname || '.' || p.prsname, \
                 (SELECT string_agg(m.maptokentype || ' ' || m.mapseqno || ' ' || \
                 m.mapdict::pg_catalog.regdictionary::text, ',' ORDER BY m.maptokentype, m.mapseqno) \
                 FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = o.oid)) FROM pg_catalog.pg_ts_config o \
                 JOIN pg_catalog.pg_ts_parser p ON p.oid = o.cfgparser \
                 JOIN pg_catalog.pg_namespace pn ON pn.oid = p.prsnamespace {}",
                own("pg_ts_config", "cfgnamespace")
            ),
        ),
        (
            "text search dictionary",
            format!(
                "SELECT n.nspname || '.' || o.dictname, concat_ws(' ', tn.nspname || '.' || t.tmplname, \
                 o.dictinitoption) FROM pg_catalog.pg_ts_dict o \
                 JOIN pg_catalog.pg_ts_template t ON t.oid = o.dicttemplate \
                 JOIN pg_catalog.pg_namespace tn ON tn.oid = t.tmplnamespace {}",
                own("pg_ts_dict", "dictnamespace")
            ),
        ),
        (
            "text search parser",
            format!(
                "SELECT n.nspname || '.' || o.prsname, concat_ws(' ', o.prsstart::pg_catalog.regproc::text, \
                 o.prstoken::pg_catalog.regproc::text, o.prsend::pg_catalog.regproc::text, \
                 o.prsheadline::pg_catalog.regproc::text, o.prslextype::pg_catalog.regproc::text) \
                 FROM pg_catalog.pg_ts_parser o {}",
                own("pg_ts_parser", "prsnamespace")
            ),
        ),
        (
            "text search template",
            format!(
                "SELECT n.nspname || '.' || o.tmplname, concat_ws(' ', o.tmplinit::pg_catalog.regproc::text, \
                 o.tmpllexize::pg_catalog.regproc::text) FROM pg_catalog.pg_ts_template o {}",
                own("pg_ts_template", "tmplnamespace")
            ),
        ),
    ]
}
