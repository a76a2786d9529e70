//! A database's catalog in a form that two servers can be compared by: every object of a class, with its definition.
//!
//! | file | what it reads |
//! |---|---|
//! | `facts` | version, encoding, locale, and what is not carried |
//! | `tables` | the tables that hold rows, the sequences, and what this login can't read |
//! | `relations`, `routines`, `types`, `extras` | the definitions, one query per class |
//! | `rights` | roles, owners and grants, which are compared only where they are carried |
//! | `extensions` | what belongs to extensions |
//! | `special` | what only a superuser can make, in parts |
//! | `multiranges` | what newer servers make of ranges by themselves |
//! | `named` | what is neither carried nor compared |
//!
//! Left out: objects of the system and temporary ones; of extensions' all but what users can change.

use std::collections::BTreeMap;

use postgres::GenericClient;

use super::error::PgError;

mod extensions;
mod extras;
mod facts;
pub mod multiranges;
mod named;
mod relations;
pub mod rights;
mod routines;
pub mod special;
mod tables;
mod types;

pub use extensions::{Configuration, configuration, members_of_extensions, tables_of_extensions};
pub use facts::{DatabaseFacts, LocaleFacts, Unreadable, facts, properties};
pub use tables::{Named, SequenceState, materialized_views, named, sequences, tables, unreadable, whole_tables};

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

impl CatalogKey {
    /// Whether somebody made it: not what every new database has, nor what says something about other objects only.
    pub fn is_of_users(&self) -> bool {
        const GIVEN: [&str; 6] = [
            "built-in text search",
            "derived constraint",
            "extension member",
            "extension version",
            "locale version",
            "property of extension member",
        ];
        let is_given =
            matches!((self.class.as_str(), self.name.as_str()), ("schema", "public") | ("extension", "plpgsql"));
        !is_given && !GIVEN.contains(&self.class.as_str())
    }
}

/// Classes that bundles of earlier versions do not hold, the newest last: a bundle says how many of them it knows.
pub const LATER: [&str; 8] = [
    "derived constraint",
    "extension member",
    "locale version",
    "published schema",
    "system trigger",
    "property of extension member",
    "built-in text search",
    "dependence on extension",
];

/// One class of objects: its name in words, and a query that returns a qualified name and a definition, both text.
type Class = (&'static str, String);

/// Namespaces that belong to users: neither the system's nor temporary.
const USERS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";
/// The options that a column can be given in SQL (PostgreSQL documentation, ALTER TABLE, "attribute_option"). Whatever else
/// stands beside them is the server's bookkeeping, different on each: 15.20 counts there, and its pg_dump leaves that out.
pub const COLUMN_OPTIONS: [&str; 2] = ["n_distinct", "n_distinct_inherited"];
/// How the names of options begin that a server keeps for itself; no option that SQL knows begins like this.
const RESERVED: &str = "pg_";
/// Where the numbers of users' objects begin (PostgreSQL sources, `FirstNormalObjectId`).
const FIRST_OWN: u32 = 16_384;

/// Whether a column's option, `name=value` in SQL, is one that a user can set.
fn is_column_option(option: &str) -> String {
    format!("split_part({option}, '=', 1) IN ('{}')", COLUMN_OPTIONS.join("', '"))
}

/// Whether a relation's option, `name=value` in SQL, is one that a user can set.
fn is_relation_option(option: &str) -> String {
    format!("NOT starts_with({option}, '{RESERVED}')")
}

fn not_of_extension(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
         AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// The schema `n` of an object `o` of this catalog, neither the system's nor an extension's.
fn own(catalog: &str, namespace: &str) -> String {
    let free = not_of_extension(catalog, "o.oid");
    format!("JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace} AND {USERS} AND {free}")
}

/// Objects `o` without a schema: users', and no extension's.
fn without_schema(catalog: &str) -> String {
    format!("o.oid >= {FIRST_OWN} AND {}", not_of_extension(catalog, "o.oid"))
}

/// Every object of the compared classes with its definition, as the server spells it with an empty search_path.
pub fn definitions(client: &mut impl GenericClient) -> Result<Catalog, PgError> {
    let mut catalog = Catalog::new();
    let more = vec![
        extensions::members(),
        extensions::properties_of_members(),
        types::built_in_text_search(),
        extensions::dependences(),
    ];
    let mut classes = vec![relations::classes(), routines::classes(), types::classes(), extras::classes(), more];
    let sql = "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL";
    let publishes_schemas = client.query_one(sql, &[]).and_then(|row| row.try_get(0));
    if publishes_schemas.map_err(|error| PgError::statement("reading the catalog", &error))? {
        classes.push(vec![extras::published_schemas()]);
    }
    for (class, sql) in classes.into_iter().flatten() {
        read_class(client, class, &sql, &mut catalog)?;
    }
    Ok(catalog)
}

fn read_class(client: &mut impl GenericClient, class: &str, sql: &str, catalog: &mut Catalog) -> Result<(), PgError> {
    let failed = |error| PgError::statement(format!("reading the catalog ({class})"), &error);
    let mut named: Vec<(String, String)> = Vec::new();
    for row in client.query(sql, &[]).map_err(failed)? {
        let definition: Option<String> = row.try_get(1).map_err(failed)?;
        named.push((row.try_get(0).map_err(failed)?, definition.unwrap_or_default()));
    }
    put(catalog, class, named);
    Ok(())
}

/// A dot in one of its parts can give an object another one's name. None hides the other: they are told apart in the order of
/// what they are.
fn put(catalog: &mut Catalog, class: &str, mut named: Vec<(String, String)>) {
    named.sort();
    for (name, definition) in named {
        let mut key = CatalogKey { class: class.to_owned(), name };
        while catalog.contains_key(&key) {
            key.name.push_str(" (another)");
        }
        catalog.insert(key, definition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_hides_another_of_its_name() {
        let put = |things: &[(&str, &str)]| {
            let mut catalog = Catalog::new();
            let named = things.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect();
            super::put(&mut catalog, "column", named);
            catalog
        };
        let both = put(&[("s.a.b.c", "2 text"), ("s.a.b.c", "1 integer"), ("s.d", "")]);
        assert_eq!(both.len(), 3);
        assert_eq!(both, put(&[("s.d", ""), ("s.a.b.c", "1 integer"), ("s.a.b.c", "2 text")]));
        assert_ne!(both, put(&[("s.d", ""), ("s.a.b.c", "1 integer"), ("s.a.b.c", "2 int")]));
    }
}
