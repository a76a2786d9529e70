//! SQL conditions that separate what users made and set from what belongs to the system, to extensions and to the server's
//! bookkeeping.

/// Namespaces that belong to users: neither the system's nor temporary.
pub(super) const USERS: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";
/// A column's options that can be set in SQL (PostgreSQL documentation, ALTER TABLE, "attribute_option"). Whatever else
/// is stored beside them is the server's bookkeeping, different on each: 15.20 counts there, and its pg_dump omits that.
pub const COLUMN_OPTIONS: [&str; 2] = ["n_distinct", "n_distinct_inherited"];
/// Prefix of the options that a server keeps for itself; no option of SQL has this prefix.
const RESERVED: &str = "pg_";
/// The first number of users' objects (PostgreSQL sources, `FirstNormalObjectId`).
pub(super) const FIRST_OWN: u32 = 16_384;

/// Whether a column's option, `name=value` in SQL, is one that a user can set.
pub(super) fn is_column_option(option: &str) -> String {
    format!("split_part({option}, '=', 1) IN ('{}')", COLUMN_OPTIONS.join("', '"))
}

/// Whether a relation's option, `name=value` in SQL, is one that a user can set.
pub(super) fn is_relation_option(option: &str) -> String {
    format!("NOT starts_with({option}, '{RESERVED}')")
}

/// Condition that this object of this catalog belongs to no extension.
pub(super) fn not_of_extension(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
         AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// The schema `n` of an object `o` of this catalog, neither the system's nor an extension's.
pub(super) fn own(catalog: &str, namespace: &str) -> String {
    let free = not_of_extension(catalog, "o.oid");
    format!("JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace} AND {USERS} AND {free}")
}

/// Objects `o` without a schema: users', not an extension's.
pub(super) fn without_schema(catalog: &str) -> String {
    format!("o.oid >= {FIRST_OWN} AND {}", not_of_extension(catalog, "o.oid"))
}
