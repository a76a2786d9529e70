//! Classes of catalog objects: the identity of an object, and reading every object of a class into a catalog.

use std::collections::BTreeMap;

use postgres::GenericClient;

use crate::pg::error::PgError;

/// Class and identity of a catalog object, and how it is defined.
pub type Catalog = BTreeMap<CatalogKey, String>;

/// The identity of an object: `("index", "public.orders_pkey")`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogKey {
    /// The class, in words.
    pub class: String,
    /// The object, qualified.
    pub name: String,
}

impl CatalogKey {
    /// Whether a user created it: neither part of every new database nor only an attribute of other objects.
    pub fn is_of_users(&self) -> bool {
        const GIVEN: [&str; 8] = [
            "built-in text search",
            "dependence on extension",
            "derived constraint",
            "extension",
            "extension member",
            "extension version",
            "locale version",
            "property of extension member",
        ];
        let is_given = self.class == "schema" && self.name == "public";
        !is_given && !GIVEN.contains(&self.class.as_str())
    }
}

/// Classes that bundles of earlier versions do not hold, the newest last: a bundle states how many of them it has.
pub const LATER: [&str; 10] = [
    "derived constraint",
    "extension member",
    "locale version",
    "published schema",
    "system trigger",
    "property of extension member",
    "built-in text search",
    "dependence on extension",
    "comment on extension",
    "user mapping",
];

/// One class of objects: its name, and a query that returns a qualified name and a definition, both text.
pub(super) type Class = (&'static str, String);

/// Reads one class into the catalog.
pub(super) fn read_class(
    client: &mut impl GenericClient,
    class: &str,
    sql: &str,
    catalog: &mut Catalog,
) -> Result<(), PgError> {
    let failed = |error| PgError::statement(format!("reading the catalog ({class})"), &error);
    let mut named: Vec<(String, String)> = Vec::new();
    for row in client.query(sql, &[]).map_err(failed)? {
        let definition: Option<String> = row.try_get(1).map_err(failed)?;
        named.push((row.try_get(0).map_err(failed)?, definition.unwrap_or_default()));
    }
    put(catalog, class, named);
    Ok(())
}

/// What of a class has a name or a definition that is no UTF-8, with the bytes that are none as `\xff`. For databases of which
/// the texts may be of any bytes.
pub(super) fn not_utf8(client: &mut impl GenericClient, class: &str, sql: &str) -> Result<Vec<String>, PgError> {
    let failed = |error| PgError::statement(format!("looking for what is no UTF-8 ({class})"), &error);
    let sql = format!(
        "SELECT pg_catalog.convert_to(s.name, 'SQL_ASCII'), pg_catalog.convert_to(s.definition, 'SQL_ASCII') \
         FROM ({sql}) s (name, definition)"
    );
    let mut found = Vec::new();
    for row in client.query(&sql, &[]).map_err(failed)? {
        let name: Vec<u8> = row.try_get::<_, Option<_>>(0).map_err(failed)?.unwrap_or_default();
        let definition: Vec<u8> = row.try_get::<_, Option<_>>(1).map_err(failed)?.unwrap_or_default();
        if [&name, &definition].iter().any(|text| std::str::from_utf8(text).is_err()) {
            found.push(format!("{class} {}", escaped(&name)));
        }
    }
    Ok(found)
}

fn escaped(text: &[u8]) -> String {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("{}{invalid}", chunk.valid())
    };
    text.utf8_chunks().map(chunk).collect()
}

/// A dot in one of its parts can give an object another one's name. None hides the other: they are numbered in the order of
/// their definitions.
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
