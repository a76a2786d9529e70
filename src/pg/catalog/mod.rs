//! A database's catalog in a form in which two servers can be compared: every object of a class, with its definition.
//!
//! | file | what it reads |
//! |---|---|
//! | `class` | one class of objects into a catalog, and the identity of an object in it |
//! | `facts` | version, encoding, locale, and what is not carried |
//! | `tables` | the tables that hold rows, the sequences, and what this login can't read |
//! | `relations`, `routines`, `types`, `extras` | the definitions, one query per class |
//! | `rights` | roles, owners and grants, which are compared only where they are copied |
//! | `extensions` | members of extensions |
//! | `special` | what only a superuser can create, in parts |
//! | `multiranges` | what newer servers create for ranges implicitly |
//! | `named` | what is neither copied nor compared |
//! | `user_objects` | nothing itself: the conditions by which the others exclude what is not created by users |
//!
//! Left out: system objects and temporary ones; of members of extensions, all but what users can change.

use postgres::GenericClient;

use super::error::PgError;

mod class;
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
mod user_objects;

pub use class::{Catalog, CatalogKey, LATER};
pub use extensions::{Configuration, configuration, members_of_extensions, tables_of_extensions};
pub use facts::{DatabaseFacts, LocaleFacts, Unreadable, facts, properties};
pub use tables::{Named, SequenceState, materialized_views, named, sequences, tables, unreadable, whole_tables};
pub use user_objects::COLUMN_OPTIONS;

/// Every object of the compared classes with its definition, as the server prints it with an empty search_path.
pub fn definitions(client: &mut impl GenericClient) -> Result<Catalog, PgError> {
    read(client, classes)
}

/// What is looked at again, and not compared with the source: mappings lie by other roles' names there, and an extension says
/// of itself what it is.
pub fn beside(client: &mut impl GenericClient) -> Result<Catalog, PgError> {
    read(client, |_| Ok(extras::beside()))
}

/// What has a name or a definition that is no UTF-8, as far as a database's texts may be of any bytes.
pub fn not_utf8(client: &mut impl GenericClient) -> Result<Vec<String>, PgError> {
    let mut found = Vec::new();
    for (class, sql) in classes(client)?.into_iter().chain(extras::of_server()) {
        found.extend(class::not_utf8(client, class, &sql)?);
    }
    Ok(found)
}

fn read<C: GenericClient>(
    client: &mut C,
    classes: impl FnOnce(&mut C) -> Result<Vec<class::Class>, PgError>,
) -> Result<Catalog, PgError> {
    let mut catalog = Catalog::new();
    for (class, sql) in classes(client)? {
        class::read_class(client, class, &sql, &mut catalog)?;
    }
    Ok(catalog)
}

fn classes(client: &mut impl GenericClient) -> Result<Vec<class::Class>, PgError> {
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
    Ok(classes.into_iter().flatten().collect())
}
