//! A database's catalog in a form that two servers can be compared by: every object of a class, with its definition.
//!
//! Left out: objects of the system, of extensions, and temporary ones; owners and grants, which are not carried.

use std::collections::BTreeMap;

use postgres::GenericClient;

use super::{
    error::PgError,
    name::{RelationName, Table},
};

/// Class and identity of a catalog object, and how it is defined.
pub type Catalog = BTreeMap<CatalogKey, String>;

/// What identifies an object: `("index", "public.orders_pkey")`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogKey {
    /// The class, in words.
    pub class: String,
    /// The object, qualified.
    pub name: String,
}

/// A sequence and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceState {
    /// Its name.
    pub name: RelationName,
    /// The last value handed out, or the one to be handed out first.
    pub last_value: i64,
    /// Whether `last_value` was handed out.
    pub is_called: bool,
}

/// What makes a new database like another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The server's version text, such as `15.18 (Debian …)`.
    pub version: String,
    /// Major version.
    pub major: u32,
    /// The encoding's name.
    pub encoding: String,
    /// LC_COLLATE.
    pub collate: String,
    /// LC_CTYPE.
    pub ctype: String,
    /// Number of large objects.
    pub large_objects: u64,
    /// Foreign tables and subscriptions, whose data or connections are not carried.
    pub not_carried: Vec<String>,
}

/// Relations that belong to users: neither the system's, nor temporary, nor an extension's.
const USERS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

fn not_of_extension(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
         AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// Version, encoding, locale, and what the database holds that isn't carried.
pub fn facts(client: &mut impl GenericClient) -> Result<DatabaseFacts, PgError> {
    let failed = |error| PgError::statement("reading the database's properties", &error);
    let sql = "SELECT current_setting('server_version'), current_setting('server_version_num')::int8, \
               pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, \
               (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata) \
               FROM pg_catalog.pg_database WHERE datname = current_database()";
    let row = client.query_one(sql, &[]).map_err(failed)?;
    let sql = format!(
        "SELECT 'rows of foreign table ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND {USERS} ORDER BY 1"
    );
    let foreign = client.query(&sql, &[]).map_err(failed)?;
    let mut not_carried: Vec<String> =
        foreign.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
    not_carried.extend(extension_rows(client).map_err(failed)?);
    let number: i64 = row.try_get(1).map_err(failed)?;
    let large_objects: i64 = row.try_get(5).map_err(failed)?;
    Ok(DatabaseFacts {
        version: row.try_get(0).map_err(failed)?,
        major: u32::try_from(number / 10_000).unwrap_or_default(),
        encoding: row.try_get(2).map_err(failed)?,
        collate: row.try_get(3).map_err(failed)?,
        ctype: row.try_get(4).map_err(failed)?,
        large_objects: large_objects.unsigned_abs(),
        not_carried,
    })
}

/// Tables in which extensions keep what users configured, where that is anything (PostgreSQL documentation,
/// "Extension Configuration Tables").
fn extension_rows(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = "SELECT x.extname::text, n.nspname::text, c.relname::text, f.condition \
               FROM pg_catalog.pg_extension x, unnest(x.extconfig, x.extcondition) f (relation, condition) \
               JOIN pg_catalog.pg_class c ON c.oid = f.relation AND c.relkind = 'r' \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2, 3";
    let mut found = Vec::new();
    for row in client.query(sql, &[])? {
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

/// Every table that holds rows of its own: plain tables, partitions, children; not partitioned parents.
pub fn tables(client: &mut impl GenericClient) -> Result<Vec<Table>, PgError> {
    let failed = |error| PgError::statement("listing the tables", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.reltuples::float8, pg_catalog.pg_table_size(c.oid), \
         coalesce(array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attnum > 0), '{{}}') \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_attribute a \
         ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
         WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {USERS} AND {} \
         GROUP BY c.oid, n.nspname, c.relname, c.reltuples ORDER BY 4 DESC, 1, 2",
        not_of_extension("pg_class", "c.oid")
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    rows.iter().map(|row| table(row).map_err(failed)).collect()
}

fn table(row: &postgres::Row) -> Result<Table, postgres::Error> {
    let estimate: f64 = row.try_get(2)?;
    let bytes: i64 = row.try_get(3)?;
    Ok(Table {
        name: RelationName { schema: row.try_get(0)?, name: row.try_get(1)? },
        columns: row.try_get(4)?,
        rows_estimate: (estimate >= 0.0).then_some(estimate as u64),
        bytes_on_disk: bytes.unsigned_abs(),
    })
}

/// Tables that this login can't read whole: no SELECT, or row level security would hide rows.
pub fn unreadable(client: &mut impl GenericClient) -> Result<Vec<RelationName>, PgError> {
    let failed = |error| PgError::statement("asking for the rights on the tables", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't' AND {USERS} \
         AND (NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind WHEN 'S' \
         THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END) \
         OR (c.relrowsecurity AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles \
         WHERE rolname = current_user) AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')))) \
         ORDER BY 1, 2"
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    rows.iter().map(|row| relation(row).map_err(failed)).collect()
}

fn relation(row: &postgres::Row) -> Result<RelationName, postgres::Error> {
    Ok(RelationName { schema: row.try_get(0)?, name: row.try_get(1)? })
}

/// Every sequence and where it stands. Sequences don't obey snapshots (PostgreSQL documentation, "Sequence
/// Manipulation Functions"): what is read is at or after the snapshot.
pub fn sequences(client: &mut impl GenericClient) -> Result<Vec<SequenceState>, PgError> {
    let failed = |error| PgError::statement("reading the sequences", &error);
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {USERS} AND {} ORDER BY 1, 2",
        not_of_extension("pg_class", "c.oid")
    );
    let rows = client.query(&sql, &[]).map_err(failed)?;
    let names: Vec<_> = rows.iter().map(relation).collect::<Result<_, _>>().map_err(failed)?;
    names.into_iter().map(|name| state(client, name).map_err(failed)).collect()
}

fn state(client: &mut impl GenericClient, name: RelationName) -> Result<SequenceState, postgres::Error> {
    let row = client.query_one(&format!("SELECT last_value, is_called FROM {}", name.to_sql()), &[])?;
    Ok(SequenceState { name, last_value: row.try_get(0)?, is_called: row.try_get(1)? })
}

/// Every object of the compared classes with its definition, as the server spells it with an empty search_path.
pub fn definitions(client: &mut impl GenericClient) -> Result<Catalog, PgError> {
    let mut catalog = Catalog::new();
    for (class, sql) in classes() {
        let failed = |error| PgError::statement(format!("reading the catalog ({class})"), &error);
        for row in client.query(&sql, &[]).map_err(failed)? {
            let name: String = row.try_get(0).map_err(failed)?;
            let definition: Option<String> = row.try_get(1).map_err(failed)?;
            catalog.insert(CatalogKey { class: class.to_owned(), name }, definition.unwrap_or_default());
        }
    }
    Ok(catalog)
}

/// One query per class; each returns a qualified name and a definition, both text.
fn classes() -> Vec<(&'static str, String)> {
    let relation = "n.nspname || '.' || c.relname";
    let of_relations = format!(
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND {USERS} AND {}",
        not_of_extension("pg_class", "c.oid")
    );
    let on_relation = |oid: &str| format!("JOIN pg_catalog.pg_class c ON c.oid = {oid} {of_relations}");
    let own =
        |catalog: &str| format!("JOIN pg_catalog.pg_namespace n ON {USERS} AND {}", not_of_extension(catalog, "o.oid"));
    vec![
        (
            "schema",
            format!(
                "SELECT n.nspname::text, '' FROM pg_catalog.pg_namespace n WHERE {USERS} AND {}",
                not_of_extension("pg_namespace", "n.oid")
            ),
        ),
        (
            "relation",
            format!(
                "SELECT {relation}, concat_ws(' ', c.relkind, c.relpersistence, pg_catalog.pg_get_partkeydef(c.oid), \
                 pg_catalog.pg_get_expr(c.relpartbound, c.oid), c.relrowsecurity, c.relforcerowsecurity, \
                 CASE WHEN c.relkind = 'm' THEN c.relispopulated END, c.reloptions::text, \
                 (SELECT string_agg(i.inhparent::pg_catalog.regclass::text, ',' ORDER BY i.inhseqno) \
                 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)) \
                 FROM pg_catalog.pg_class c {of_relations} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')"
            ),
        ),
        (
            "column",
            format!(
                "SELECT {relation} || '.' || a.attname, concat_ws(' ', \
                 row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), \
                 pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, \
                 CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END, \
                 pg_catalog.pg_get_expr(d.adbin, d.adrelid)) FROM pg_catalog.pg_attribute a \
                 JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                 LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum {} \
                 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
                on_relation("a.attrelid")
            ),
        ),
        (
            "index",
            format!(
                "SELECT n.nspname || '.' || x.relname, pg_catalog.pg_get_indexdef(i.indexrelid) || ' valid ' || \
                 i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid {}",
                on_relation("i.indrelid")
            ),
        ),
        (
            "constraint",
            format!(
                "SELECT {relation} || '.' || o.conname, pg_catalog.pg_get_constraintdef(o.oid) || ' valid ' || \
                 o.convalidated FROM pg_catalog.pg_constraint o {} AND o.contype <> 'n'",
                on_relation("o.conrelid")
            ),
        ),
        (
            "view",
            format!(
                "SELECT {relation}, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c {of_relations} \
                 AND c.relkind IN ('v', 'm')"
            ),
        ),
        (
            "function",
            format!(
                "SELECT n.nspname || '.' || o.proname || '(' || \
                 pg_catalog.pg_get_function_identity_arguments(o.oid) || ')', \
                 CASE WHEN o.prokind = 'a' THEN 'aggregate' ELSE pg_catalog.pg_get_functiondef(o.oid) END \
                 FROM pg_catalog.pg_proc o {} AND n.oid = o.pronamespace",
                own("pg_proc")
            ),
        ),
        (
            "trigger",
            format!(
                "SELECT {relation} || '.' || o.tgname, pg_catalog.pg_get_triggerdef(o.oid) || ' ' || o.tgenabled::text \
                 FROM pg_catalog.pg_trigger o {} AND NOT o.tgisinternal",
                on_relation("o.tgrelid")
            ),
        ),
        (
            "rule",
            format!(
                "SELECT {relation} || '.' || o.rulename, pg_catalog.pg_get_ruledef(o.oid) \
                 FROM pg_catalog.pg_rewrite o {} AND o.rulename <> '_RETURN'",
                on_relation("o.ev_class")
            ),
        ),
        (
            "policy",
            format!(
                "SELECT {relation} || '.' || o.polname, concat_ws(' ', o.polcmd, o.polpermissive, \
                 pg_catalog.pg_get_expr(o.polqual, o.polrelid), pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid)) \
                 FROM pg_catalog.pg_policy o {}",
                on_relation("o.polrelid")
            ),
        ),
        (
            "statistics",
            format!(
                "SELECT n.nspname || '.' || o.stxname, pg_catalog.pg_get_statisticsobjdef(o.oid) \
                 FROM pg_catalog.pg_statistic_ext o {} AND n.oid = o.stxnamespace",
                own("pg_statistic_ext")
            ),
        ),
        (
            "type",
            format!(
                "SELECT n.nspname || '.' || o.typname, concat_ws(' ', o.typtype, \
                 CASE WHEN o.typtype = 'd' THEN pg_catalog.format_type(o.typbasetype, o.typtypmod) END, \
                 CASE WHEN o.typtype = 'd' THEN o.typnotnull END, o.typdefault, \
                 (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) \
                 FROM pg_catalog.pg_enum e WHERE e.enumtypid = o.oid), \
                 (SELECT string_agg(k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) \
                 FROM pg_catalog.pg_constraint k WHERE k.contypid = o.oid AND k.contype = 'c')) \
                 FROM pg_catalog.pg_type o {} AND n.oid = o.typnamespace AND o.typtype IN ('d', 'e', 'r')",
                own("pg_type")
            ),
        ),
        (
            "sequence",
            format!(
                "SELECT {relation}, concat_ws(' ', pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, \
                 s.seqmin, s.seqmax, s.seqcache, s.seqcycle) FROM pg_catalog.pg_sequence s {}",
                on_relation("s.seqrelid")
            ),
        ),
        ("extension", "SELECT o.extname::text, '' FROM pg_catalog.pg_extension o".to_owned()),
        (
            "event trigger",
            "SELECT o.evtname::text, concat_ws(' ', o.evtevent, o.evtenabled, o.evttags::text) \
             FROM pg_catalog.pg_event_trigger o"
                .to_owned(),
        ),
        (
            "comment",
            "SELECT i.type || ' ' || i.identity, d.description FROM pg_catalog.pg_description d, \
             LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) i \
             WHERE d.objoid >= 16384 AND i.identity IS NOT NULL AND i.type NOT IN ('extension', 'large object') \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
             WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')"
                .to_owned(),
        ),
    ]
}
