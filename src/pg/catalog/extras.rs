//! Objects outside of schemas: extensions, event triggers, publications, foreign servers, comments, labels.

use super::{
    class::Class,
    user_objects::{FIRST_OWN, without_schema},
};

pub(super) fn classes() -> Vec<Class> {
    let mut classes = vec![
        (
            "extension",
            "SELECT o.extname::text, n.nspname::text FROM pg_catalog.pg_extension o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.extnamespace"
                .to_owned(),
        ),
        ("extension version", "SELECT o.extname::text, o.extversion FROM pg_catalog.pg_extension o".to_owned()),
        (
            "event trigger",
            format!(
                "SELECT o.evtname::text, concat_ws(' ', o.evtevent, o.evtenabled, o.evttags::text, \
                 o.evtfoid::pg_catalog.regprocedure::text) FROM pg_catalog.pg_event_trigger o WHERE {}",
                without_schema("pg_event_trigger")
            ),
        ),
        ("publication", publication()),
        ("comment", about("pg_description", "description")),
        ("security label", about("pg_seclabel", "provider || ' ' || d.label")),
    ];
    classes.extend(foreign());
    classes
}

/// With its tables and their conditions, and the column lists, if any.
fn publication() -> String {
    format!(
        "SELECT o.pubname::text, concat_ws(' ', o.puballtables, o.pubinsert, o.pubupdate, o.pubdelete, o.pubtruncate, \
         o.pubviaroot, (SELECT string_agg(concat_ws(' ', t.schemaname, t.tablename, \
         pg_catalog.to_jsonb(t) ->> 'rowfilter'), ',' ORDER BY t.schemaname, t.tablename) \
         FROM pg_catalog.pg_publication_tables t WHERE t.pubname = o.pubname), \
         (SELECT string_agg(r.prrelid::pg_catalog.regclass::text || ' ' || a.attname, ',' \
         ORDER BY r.prrelid::pg_catalog.regclass::text, a.attname) FROM pg_catalog.pg_publication_rel r \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = r.prrelid AND pg_catalog.to_jsonb(r) -> 'prattrs' \
         @> pg_catalog.to_jsonb(a.attnum) WHERE r.prpubid = o.oid)) \
         FROM pg_catalog.pg_publication o WHERE {}",
        without_schema("pg_publication")
    )
}

/// The schemas that are published as a whole, from version 15 on.
pub(super) fn published_schemas() -> Class {
    let sql = "SELECT o.pubname || ' ' || n.nspname, '' FROM pg_catalog.pg_publication_namespace p \
               JOIN pg_catalog.pg_publication o ON o.oid = p.pnpubid JOIN pg_catalog.pg_namespace n ON n.oid = p.pnnspid";
    ("published schema", sql.to_owned())
}

/// What extensions say of themselves or somebody says of them, and user mappings, which hold passwords: only their names are
/// read.
pub(super) fn beside() -> Vec<Class> {
    let comments = "SELECT o.extname::text, d.description FROM pg_catalog.pg_description d \
                    JOIN pg_catalog.pg_extension o ON o.oid = d.objoid \
                    WHERE d.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass";
    let mappings = "SELECT m.usename || ' on ' || m.srvname, '' FROM pg_catalog.pg_user_mappings m";
    vec![("comment on extension", comments.to_owned()), ("user mapping", mappings.to_owned())]
}

/// Names and settings that belong to the server and are read with every database of it.
pub(super) fn of_server() -> Vec<Class> {
    let settings = "SELECT split_part(c.setting, '=', 1), c.setting \
                    FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c (setting)";
    vec![("role", "SELECT r.rolname::text, '' FROM pg_catalog.pg_roles r".to_owned()), ("setting", settings.to_owned())]
}

fn foreign() -> Vec<Class> {
    vec![
        (
            "foreign-data wrapper",
            format!(
                "SELECT o.fdwname::text, concat_ws(' ', \
                 CASE WHEN o.fdwhandler <> 0 THEN o.fdwhandler::pg_catalog.regproc::text END, \
                 CASE WHEN o.fdwvalidator <> 0 THEN o.fdwvalidator::pg_catalog.regproc::text END, \
                 (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM unnest(o.fdwoptions) x (option))) \
                 FROM pg_catalog.pg_foreign_data_wrapper o WHERE {}",
                without_schema("pg_foreign_data_wrapper")
            ),
        ),
        (
            "foreign server",
            format!(
                "SELECT o.srvname::text, concat_ws(' ', w.fdwname, o.srvtype, o.srvversion, \
                 (SELECT string_agg(x.option, ',' ORDER BY x.option) FROM unnest(o.srvoptions) x (option))) \
                 FROM pg_catalog.pg_foreign_server o \
                 JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = o.srvfdw WHERE {}",
                without_schema("pg_foreign_server")
            ),
        ),
    ]
}

/// Comments on users' objects, including columns and large objects, whose numbers are chosen freely. Comments
/// on roles and databases are read elsewhere.
fn about(catalog: &str, text: &str) -> String {
    format!(
        "SELECT i.type || ' ' || i.identity, d.{text} FROM pg_catalog.{catalog} d, \
         LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) i \
         WHERE (d.objoid >= {FIRST_OWN} OR d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass) \
         AND i.identity IS NOT NULL AND i.type <> 'extension' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
         WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')"
    )
}
