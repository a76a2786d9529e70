//! What servers from 14 on create implicitly for every range: a multirange type, the functions that construct values
//! of that, and a cast. A source of an older release has none of it, and no dump contains it.
//! Source: PostgreSQL documentation, "Range Types", and `DefineRange` in its `typecmds.c`.

use postgres::GenericClient;

use super::{class::Catalog, user_objects::USERS};
use crate::pg::error::PgError;

/// The first release that does so.
pub const MAJOR_MIN: u32 = 14;

/// Removes from a catalog what this server created for its ranges.
pub fn leave_out(client: &mut impl GenericClient, catalog: &mut Catalog) -> Result<(), PgError> {
    let failed = |error| PgError::statement("looking for what the server made of ranges", &error);
    let of_multiranges = format!(
        "pg_catalog.pg_type m JOIN pg_catalog.pg_namespace n ON n.oid = m.typnamespace AND {USERS} AND m.typtype = 'm'"
    );
    let sql = format!(
        "SELECT 'type', n.nspname || '.' || m.typname, \
         (SELECT i.type || ' ' || i.identity FROM pg_catalog.pg_identify_object('pg_type'::regclass, m.oid, 0) i) \
         FROM {of_multiranges} \
         UNION ALL SELECT 'function', s.nspname || '.' || o.proname || '(' || \
         pg_catalog.pg_get_function_identity_arguments(o.oid) || ')', \
         (SELECT i.type || ' ' || i.identity FROM pg_catalog.pg_identify_object('pg_proc'::regclass, o.oid, 0) i) \
         FROM {of_multiranges} JOIN pg_catalog.pg_depend d ON d.refobjid = m.oid AND d.deptype = 'i' \
         AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass \
         AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
         JOIN pg_catalog.pg_proc o ON o.oid = d.objid JOIN pg_catalog.pg_namespace s ON s.oid = o.pronamespace \
         UNION ALL SELECT 'cast', pg_catalog.format_type(c.castsource, NULL) || ' AS ' || \
         pg_catalog.format_type(c.casttarget, NULL), NULL \
         FROM {of_multiranges} JOIN pg_catalog.pg_range r ON r.rngmultitypid = m.oid \
         JOIN pg_catalog.pg_cast c ON c.castsource = r.rngtypid AND c.casttarget = m.oid"
    );
    for row in client.query(&sql, &[]).map_err(failed)? {
        let class: String = row.try_get(0).map_err(failed)?;
        let name: String = row.try_get(1).map_err(failed)?;
        let title: Option<String> = row.try_get(2).map_err(failed)?;
        let is_of_rights = |key: &str, of: &str| title.as_ref().is_some_and(|title| is_about(key, of, title));
        catalog.retain(|key, _| !(key.class == class && key.name == name || is_of_rights(&key.class, &key.name)));
    }
    Ok(())
}

/// Whether an owner or a grant belongs to the object of this title.
fn is_about(class: &str, name: &str, title: &str) -> bool {
    match class {
        "owner" => name == title,
        "grant" => name
            .split_once(" on ")
            .is_some_and(|(_, rest)| rest.strip_prefix(title).is_some_and(|grantee| grantee.starts_with(" to "))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_about;

    #[test]
    fn rights_are_told_by_the_whole_title() {
        let title = "function s.spans(s.span[])";
        for (class, name, expected) in [
            ("owner", "function s.spans(s.span[])", true),
            ("owner", "function s.spans(s.span)", false),
            ("grant", "EXECUTE on function s.spans(s.span[]) to reader", true),
            ("grant", "EXECUTE on function s.spans(s.span[])x to reader", false),
            ("function", "function s.spans(s.span[])", false),
        ] {
            assert_eq!(is_about(class, name, title), expected, "{class} {name}");
        }
    }
}
