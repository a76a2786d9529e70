//! What a login at the source may not read, as obstacles with the statements that grant it.

use crate::{
    pg::{
        catalog::Unreadable,
        name::{RelationName, literal, quoted},
    },
    record::error::Obstacle,
    words::count,
};

/// All missing rights in one obstacle, with the statements that grant them.
pub(crate) fn of_relations(subject: &str, user: &str, unreadable: &[RelationName]) -> Option<Obstacle> {
    if unreadable.is_empty() {
        return None;
    }
    let names: Vec<_> = unreadable.iter().map(RelationName::to_sql).collect();
    let what = format!("{subject}: the login {user} cannot read {} whole", names.join(", "));
    let mut schemas: Vec<_> = unreadable.iter().map(|name| quoted(&name.schema)).collect();
    schemas.dedup();
    let user = quoted(user);
    let hint = format!(
        "GRANT USAGE ON SCHEMA {0} TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO {user}; GRANT SELECT ON ALL \
         SEQUENCES IN SCHEMA {0} TO {user}; with row level security also ALTER ROLE {user} BYPASSRLS",
        schemas.join(", ")
    );
    Some(Obstacle { what, hint: Some(hint) })
}

/// Large objects are not covered by pg_read_all_data.
pub(crate) fn of_large_objects(subject: &str, user: &str, unreadable: &Unreadable) -> Option<Obstacle> {
    let Unreadable { count: all, first } = unreadable;
    if *all == 0 {
        return None;
    }
    let named = first.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let and_more = if *all > first.len() as u64 { ", …" } else { "" };
    let what = format!(
        "{subject}: the login {user} cannot read {}: {named}{and_more} (pg_read_all_data does not cover them)",
        count(*all, "large object", "large objects")
    );
    let hint = if and_more.is_empty() {
        format!("as their owner: GRANT SELECT ON LARGE OBJECT {named} TO {}", quoted(user))
    } else {
        format!(
            "as their owner, in psql: SELECT format('GRANT SELECT ON LARGE OBJECT %s TO %I', oid, {}) FROM \
             pg_largeobject_metadata \\gexec",
            literal(user)
        )
    };
    Some(Obstacle { what, hint: Some(hint) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_large_objects_are_granted_by_their_numbers_and_many_by_a_query() {
        assert_eq!(of_large_objects("asset crm", "reader", &Unreadable::default()), None);
        let some =
            of_large_objects("asset crm", "reader", &Unreadable { count: 1, first: vec![777] }).expect("obstacle");
        assert_eq!(
            some.what,
            "asset crm: the login reader cannot read 1 large object: 777 (pg_read_all_data does not cover them)"
        );
        assert_eq!(some.hint.as_deref(), Some("as their owner: GRANT SELECT ON LARGE OBJECT 777 TO \"reader\""));
        let many =
            of_large_objects("asset crm", "o'r", &Unreadable { count: 9000, first: vec![1, 2] }).expect("obstacle");
        assert!(many.what.contains("9,000 large objects: 1, 2, …"), "{}", many.what);
        assert!(many.hint.is_some_and(|hint| hint.contains("oid, 'o''r') FROM pg_largeobject_metadata \\gexec")));
    }
}
