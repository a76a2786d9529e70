//! What was changed at the source since a snapshot.
//!
//! Rows of a table are read as they were in the snapshot. Definitions are not: the server's functions that print them look
//! objects up as they are now, also for a dump. Nothing locks functions, views, types, sequences and similar against being
//! replaced or dropped meanwhile. Their rows in the catalog show which were: each is a new one after a change.

use std::collections::BTreeMap;

use postgres::GenericClient;

/// Users' objects: catalog and number, with the row that describes the object and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Objects(BTreeMap<(String, u32), (String, String)>);

/// Catalogs of objects in schemas: the catalog, its columns for schema and name, and its name for people.
const IN_SCHEMAS: [(&str, &str, &str, &str); 9] = [
    ("pg_proc", "pronamespace", "proname", "function"),
    ("pg_operator", "oprnamespace", "oprname", "operator"),
    ("pg_opclass", "opcnamespace", "opcname", "operator class"),
    ("pg_collation", "collnamespace", "collname", "collation"),
    ("pg_conversion", "connamespace", "conname", "conversion"),
    ("pg_ts_config", "cfgnamespace", "cfgname", "text search configuration"),
    ("pg_ts_dict", "dictnamespace", "dictname", "text search dictionary"),
    ("pg_statistic_ext", "stxnamespace", "stxname", "statistics"),
    ("pg_constraint", "connamespace", "conname", "constraint"),
];
/// The same for those that are in none.
const ALONE: [(&str, &str, &str); 6] = [
    ("pg_namespace", "nspname", "schema"),
    ("pg_extension", "extname", "extension"),
    ("pg_publication", "pubname", "publication"),
    ("pg_event_trigger", "evtname", "event trigger"),
    ("pg_foreign_server", "srvname", "server"),
    ("pg_foreign_data_wrapper", "fdwname", "foreign-data wrapper"),
];
/// The same for those that belong to a relation: with its column.
const OF_RELATIONS: [(&str, &str, &str, &str); 3] = [
    ("pg_trigger", "tgrelid", "tgname", "trigger"),
    ("pg_rewrite", "ev_class", "rulename", "rule or query of"),
    ("pg_policy", "polrelid", "polname", "policy"),
];
const USERS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";
/// Relations; types that are not a relation's; sequences' settings; and the roles that this database refers to, of
/// which only the names count. Temporary objects of sessions are left out.
const OTHERS: &str = "SELECT 'relation', c.oid, c.xmin::text, format('%s.%s', n.nspname, c.relname) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS} \
    WHERE c.relpersistence <> 't' AND c.relkind <> 't' \
    UNION ALL SELECT 'type', t.oid, t.xmin::text, format('%s.%s', n.nspname, t.typname) \
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND {USERS} \
    WHERE t.typrelid = 0 AND t.typtype IN ('b', 'd', 'e', 'r') AND t.typelem = 0 \
    UNION ALL SELECT 'settings of sequence', c.oid, s.xmin::text, format('%s.%s', n.nspname, c.relname) \
    FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid AND c.relpersistence <> 't' \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS} \
    UNION ALL SELECT 'label of enum', e.oid, e.xmin::text, e.enumlabel::text FROM pg_catalog.pg_enum e \
    UNION ALL SELECT 'role', r.oid, r.rolname::text, r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid IN \
    (SELECT d.refobjid FROM pg_catalog.pg_shdepend d WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
    AND d.dbid = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()))";
/// The most that are named.
const NAMED_MAX: usize = 5;

impl Objects {
    /// As this transaction sees them. Calls no function that looks past its snapshot.
    pub fn read(client: &mut impl GenericClient) -> Result<Self, postgres::Error> {
        let row = |row: &postgres::Row| {
            let key = (row.try_get(0)?, row.try_get(1)?);
            Ok((key, (row.try_get(2)?, row.try_get(3)?)))
        };
        client.query(&sql(), &[])?.iter().map(row).collect::<Result<_, postgres::Error>>().map(Objects)
    }

    /// Which of these were dropped or replaced, by name: the first few.
    pub fn changed(&self, now: &Objects) -> Vec<String> {
        let is_other = |(key, (row, _)): &(&(String, u32), &(String, String))| {
            now.0.get(key).is_none_or(|(row_now, _)| row_now != row)
        };
        let title = |((class, _), (_, name)): (&(String, u32), &(String, String))| format!("{class} {name}");
        self.0.iter().filter(is_other).map(title).take(NAMED_MAX).collect()
    }
}

fn sql() -> String {
    let in_schemas = IN_SCHEMAS.iter().map(|(catalog, namespace, name, what)| {
        format!(
            "SELECT '{what}', o.oid, o.xmin::text, format('%s.%s', n.nspname, o.{name}) FROM pg_catalog.{catalog} o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace} AND {USERS}"
        )
    });
    let alone = ALONE.iter().map(|(catalog, name, what)| {
        format!("SELECT '{what}', o.oid, o.xmin::text, o.{name}::text FROM pg_catalog.{catalog} o WHERE o.oid >= 16384")
    });
    let of_relations = OF_RELATIONS.iter().map(|(catalog, relation, name, what)| {
        format!(
            "SELECT '{what}', o.oid, o.xmin::text, format('%s on %s.%s', o.{name}, n.nspname, c.relname) \
             FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_class c ON c.oid = o.{relation} AND c.relpersistence <> 't' \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS}"
        )
    });
    let all: Vec<_> = in_schemas.chain(alone).chain(of_relations).chain([OTHERS.replace("{USERS}", USERS)]).collect();
    all.join(" UNION ALL ")
}
