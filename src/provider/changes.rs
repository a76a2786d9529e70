//! What was changed at the source since a snapshot.
//!
//! Rows of a table are read as they were in the snapshot. Definitions are not: the server's functions that spell them look
//! objects up as they are now, in a dump, too. Nothing locks functions, views, types, sequences and their like against being
//! replaced or dropped meanwhile. Which of them were, their rows in the catalog tell.
//!
//! Not every new row is a change of the definition. Owners and grants are read as rows, in the snapshot, whatever they are
//! by now; and where a relation's rows lie, how many they are and what else hangs on it says nothing of what it is: a
//! materialized view that was refreshed, an index that was built anew, a table that got a trigger or a partition.

use std::collections::BTreeMap;

use postgres::GenericClient;

/// Users' objects: catalog and number, with a digest of the row that describes the object, and its name.
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
/// Columns that say nothing of a definition.
const NOT_DEFINING: &str = "{oprowner,opcowner,collowner,conowner,cfgowner,dictowner,stxowner,nspowner,extowner,pubowner,\
    evtowner,srvowner,fdwowner,proowner,relowner,typowner,nspacl,srvacl,fdwacl,proacl,relacl,typacl,\
    relfilenode,reltablespace,reltoastrelid,relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,\
    relhasindex,relhasrules,relhastriggers,relhassubclass,relispopulated,stxndistinct,stxdependencies}";
/// Every role of the server, so that one of the database's is not missed that merely has no grant there any more.
const ANY_ROLE: &str = "any role";
const ROLE: &str = "role";
/// Relations; types that are not a relation's; sequences' settings; and the roles that this database refers to, of
/// which only the names count. Temporary objects of sessions are left out.
const OTHERS: &str = "SELECT 'relation', c.oid, {ROW c}, format('%s.%s', n.nspname, c.relname) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS} \
    WHERE c.relpersistence <> 't' AND c.relkind <> 't' \
    UNION ALL SELECT 'type', t.oid, {ROW t}, format('%s.%s', n.nspname, t.typname) \
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND {USERS} \
    WHERE t.typrelid = 0 AND t.typtype IN ('b', 'd', 'e', 'r') AND t.typelem = 0 \
    UNION ALL SELECT 'settings of sequence', c.oid, s.xmin::text, format('%s.%s', n.nspname, c.relname) \
    FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid AND c.relpersistence <> 't' \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS} \
    UNION ALL SELECT 'label of enum', e.oid, e.xmin::text, e.enumlabel::text FROM pg_catalog.pg_enum e \
    UNION ALL SELECT 'any role', r.oid, r.rolname::text, r.rolname::text FROM pg_catalog.pg_roles r \
    UNION ALL SELECT 'role', r.oid, r.rolname::text, r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid IN \
    (SELECT d.refobjid FROM pg_catalog.pg_shdepend d WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
    AND d.dbid = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()))";
/// The most that are named.
const NAMED_MAX: usize = 5;

impl Objects {
    /// As this transaction sees them. Calls no function that looks past its snapshot.
    pub(super) fn read(client: &mut impl GenericClient) -> Result<Self, postgres::Error> {
        let row = |row: &postgres::Row| {
            let key = (row.try_get(0)?, row.try_get(1)?);
            Ok((key, (row.try_get(2)?, row.try_get(3)?)))
        };
        client.query(&sql(), &[])?.iter().map(row).collect::<Result<_, postgres::Error>>().map(Objects)
    }

    /// Which of these were dropped or replaced, by name: the first few.
    pub(super) fn changed(&self, now: &Objects) -> Vec<String> {
        let is_other = |(key, (row, _)): &(&(String, u32), &(String, String))| {
            let now = match key.0.as_str() {
                ANY_ROLE => return false,
                ROLE => now.0.get(&(ANY_ROLE.to_owned(), key.1)),
                _ => now.0.get(*key),
            };
            now.is_none_or(|(row_now, _)| row_now != row)
        };
        let title = |((class, _), (_, name)): (&(String, u32), &(String, String))| format!("{class} {name}");
        self.0.iter().filter(is_other).map(title).take(NAMED_MAX).collect()
    }
}

fn sql() -> String {
    let in_schemas = IN_SCHEMAS.iter().map(|(catalog, namespace, name, what)| {
        format!(
            "SELECT '{what}', o.oid, {}, format('%s.%s', n.nspname, o.{name}) FROM pg_catalog.{catalog} o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace} AND {USERS}",
            row("o")
        )
    });
    let alone = ALONE.iter().map(|(catalog, name, what)| {
        format!("SELECT '{what}', o.oid, {}, o.{name}::text FROM pg_catalog.{catalog} o WHERE o.oid >= 16384", row("o"))
    });
    let of_relations = OF_RELATIONS.iter().map(|(catalog, relation, name, what)| {
        format!(
            "SELECT '{what}', o.oid, o.xmin::text, format('%s on %s.%s', o.{name}, n.nspname, c.relname) \
             FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_class c ON c.oid = o.{relation} AND c.relpersistence <> 't' \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND {USERS}"
        )
    });
    let others = OTHERS.replace("{USERS}", USERS).replace("{ROW c}", &row("c")).replace("{ROW t}", &row("t"));
    let all: Vec<_> = in_schemas.chain(alone).chain(of_relations).chain([others]).collect();
    all.join(" UNION ALL ")
}

/// A digest of what a row of the catalog says of a definition. No MD5: not every server may compute it.
fn row(alias: &str) -> String {
    format!("pg_catalog.hashtext((pg_catalog.to_jsonb({alias}) - '{NOT_DEFINING}'::pg_catalog.text[])::text)::text")
}
