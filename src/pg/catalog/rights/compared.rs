//! Rights as objects of a catalog, to be compared: under the names that roles have on the target, or, for a later
//! re-check, as one database has them.

use std::collections::{BTreeMap, BTreeSet};

use postgres::GenericClient;

use super::{Grant, Held, Membership, Object, Rights, Role};
use crate::pg::{
    catalog::class::{Catalog, CatalogKey},
    error::PgError,
};

impl Rights {
    /// The rights as catalog objects, with every role under its name on the target. What belongs to a role
    /// that doesn't exist there is left out.
    pub fn as_catalog(&self, name: &dyn Fn(&str) -> Option<String>) -> Catalog {
        let mut catalog = Catalog::new();
        let mut put = |class: &str, name: String, definition: String| {
            catalog.insert(CatalogKey { class: class.to_owned(), name }, definition);
        };
        for (role, attributes) in &self.roles {
            if let Some(role) = name(role) {
                put("role", role, attributes.carried());
            }
        }
        for one in &self.memberships {
            if let (Some(role), Some(member)) = (name(&one.role), name(&one.member)) {
                put("membership", format!("{member} in {role}"), one.options(&self.roles));
            }
        }
        for (object, held) in &self.objects {
            let title = object.to_string();
            // A restored database belongs to the restorer, and so does what belonged to a role that isn't copied: such an
            // owner is unnamed, but its grants to others still count.
            let named = name(&held.owner).filter(|_| !object.owner_is_given());
            let owner = named.clone().unwrap_or_else(|| "its owner".to_owned());
            if let Some(named) = named {
                put("owner", title.clone(), named);
            }
            let name = &|role: &str| if role == held.owner { Some(owner.clone()) } else { name(role) };
            put_grants(&mut put, "grant", &title, &held.grants, &owner, name);
        }
        for (defaults, grants) in &self.defaults {
            let Some(role) = name(&defaults.role) else { continue };
            let place = defaults.schema.as_deref().unwrap_or("every schema");
            let title = format!("{role} in {place}, {}", defaults.kind);
            put_grants(&mut put, "default privilege", &title, grants, &role, name);
        }
        catalog
    }
}

fn put_grants(
    put: &mut impl FnMut(&str, String, String),
    class: &str,
    title: &str,
    grants: &BTreeSet<Grant>,
    owner: &str,
    name: &dyn Fn(&str) -> Option<String>,
) {
    for grant in grants {
        if let Some((title, passes_on)) = grant.under(title, owner, name) {
            put(class, title, passes_on);
        }
    }
}

/// Everything that one database has, each role under its own name, for a later re-check of that database. Of the roles
/// only the `carried` count, with all of their attributes: other roles of the server don't belong to this database.
pub fn state(client: &mut impl GenericClient, carried: &BTreeSet<String>) -> Result<Catalog, PgError> {
    let all = super::everything(client)?;
    let of_objects = Rights { roles: Default::default(), memberships: Default::default(), ..all.clone() };
    let mut state = of_objects.as_catalog(&|role| Some(role.to_owned()));
    let mut put = |class: &str, name: String, definition: String| {
        state.insert(CatalogKey { class: class.to_owned(), name }, definition);
    };
    for (object, Held { owner, .. }) in all.objects.iter().filter(|(object, _)| object.kind == "database") {
        put("owner", object.to_string(), owner.clone());
    }
    for (role, attributes) in all.roles.iter().filter(|(role, _)| carried.contains(*role)) {
        put("role", role.clone(), attributes.whole());
    }
    for one in all.memberships.iter().filter(|one| carried.contains(&one.member)) {
        put("membership", format!("{} in {}", one.member, one.role), one.options(&all.roles));
    }
    Ok(state)
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.identity)
    }
}

impl Membership {
    /// Its options beyond the defaults, as one text.
    fn options(&self, roles: &BTreeMap<String, Role>) -> String {
        let by_itself = roles.get(&self.member).is_none_or(|member| member.inherits);
        let inherits = if self.inherits { "inherits" } else { "does not inherit" };
        let options = [
            self.admin.then_some("admin"),
            (self.inherits != by_itself).then_some(inherits),
            (!self.sets).then_some("may not act as it"),
        ];
        options.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Role {
    /// Whether another role has the same attributes, of those that are copied.
    pub fn may_the_same(&self, other: &Role) -> bool {
        self.carried() == other.carried()
    }

    /// All attributes, as one text.
    fn whole(&self) -> String {
        let comment = self.comment.as_deref().unwrap_or_default();
        format!("{} superuser {} replication {} comment {comment}", self.carried(), self.superuser, self.replicates)
    }

    /// The attributes that are copied, as one text.
    fn carried(&self) -> String {
        let valid_until = self.valid_until.as_deref().unwrap_or("ever");
        format!(
            "inherits {} logs in {} makes databases {} makes roles {} bypasses rls {} connections {} until {valid_until}",
            self.inherits,
            self.logs_in,
            self.makes_databases,
            self.makes_roles,
            self.bypasses_rls,
            self.connections_max
        )
    }
}

impl Grant {
    /// Grants by a role that isn't copied become the owner's.
    fn under(&self, title: &str, owner: &str, name: &dyn Fn(&str) -> Option<String>) -> Option<(String, String)> {
        let grantee = match &self.grantee {
            None => "everybody".to_owned(),
            Some(grantee) => format!("role {}", name(grantee)?),
        };
        let grantor = name(&self.grantor).unwrap_or_else(|| owner.to_owned());
        let column = self.column.as_ref().map(|column| format!(" ({column})")).unwrap_or_default();
        let passes_on = if self.fixed { "" } else { " with grant option" };
        Some((format!("{} on {title}{column} to {grantee} by {grantor}", self.privilege), passes_on.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_told_by_what_its_member_would_not_do_anyway() {
        let role = |inherits| Role {
            inherits,
            logs_in: false,
            makes_databases: false,
            makes_roles: false,
            bypasses_rls: false,
            superuser: false,
            replicates: false,
            connections_max: -1,
            valid_until: None,
            comment: None,
        };
        let roles: BTreeMap<_, _> =
            [("eager", true), ("shy", false)].map(|(name, inherits)| (name.to_owned(), role(inherits))).into();
        let options = |member: &str, admin, inherits, sets| {
            Membership { role: "r".into(), member: member.into(), admin, inherits, sets }.options(&roles)
        };
        // As in bundles of earlier versions, which had neither option.
        assert_eq!(options("eager", false, true, true), "");
        assert_eq!(options("shy", false, false, true), "");
        assert_eq!(options("pg_monitor", true, true, true), "admin");
        assert_eq!(options("eager", true, false, false), "admin, does not inherit, may not act as it");
        assert_eq!(options("shy", false, true, true), "inherits");
    }
}
