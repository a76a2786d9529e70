//! Roles, owners, grants and default privileges, restored as at the source.
//!
//! A superuser of the target does this, so none of the source's text is run: every name is quoted here, and an object
//! is named as the target prints it, after the target itself confirmed that it exists.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use super::{
    cluster::{ADMIN_ROLE, OWNER_ROLE},
    refused::RefusedStatement,
};
use crate::pg::{
    Address, PgError,
    catalog::rights::{
        self, Defaults, Grant, Held, Membership, Object, Rights, is_harmless, is_predefined, is_providers,
    },
    name::quoted,
};

mod roles;

/// Before this version CREATEROLE lets a role join every other except superusers, and so those that run programs
/// (PostgreSQL documentation, release 16, "Migration").
pub(super) const CREATEROLE_HARMLESS_SINCE: u32 = 16;

/// The name of each role of the source on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleNames {
    /// Every role keeps its name; missing roles are created, except under the names of walkaway's own roles.
    Same,
    /// Some roles have another name, which has to exist; the others are left out.
    Mapped(BTreeMap<String, String>),
}

impl RoleNames {
    /// The role's name on the target; none if it is left out. The restored database's own code may act as any role that
    /// it knows, so no predefined role that reaches the machine is among them.
    pub fn on_target(&self, role: &str) -> Option<String> {
        match self {
            _ if is_predefined(role) => is_harmless(role).then(|| role.to_owned()),
            RoleNames::Same => (!is_providers(role) && !is_own(role)).then(|| role.to_owned()),
            RoleNames::Mapped(names) => names.get(role).cloned(),
        }
    }

    fn both(&self, one: &Membership) -> bool {
        self.on_target(&one.role).is_some() && self.on_target(&one.member).is_some()
    }
}

/// Whether one of walkaway's own roles on a managed cluster has this name.
pub fn is_own(role: &str) -> bool {
    [ADMIN_ROLE, OWNER_ROLE].contains(&role)
}

/// Removes from the roles what would let restored code out of the database on a server of this version, returns from
/// which roles it removed what.
pub fn take_dangerous(source: &mut Rights, names: &RoleNames, target_major: u32) -> Vec<String> {
    let mut taken = Vec::new();
    if *names == RoleNames::Same && target_major < CREATEROLE_HARMLESS_SINCE {
        for (name, role) in source.roles.iter_mut().filter(|(name, _)| names.on_target(name).is_some()) {
            if std::mem::replace(&mut role.makes_roles, false) {
                taken.push(format!(
                    "createrole of role {name}, with which restored code could run programs on PostgreSQL {target_major}"
                ));
            }
        }
    }
    let member_of = |one: &&Membership| reaches_machine(&one.role) && names.on_target(&one.member).is_some();
    for one in source.memberships.iter().filter(member_of) {
        taken.push(format!(
            "membership of role {} in {}, with which restored code could reach this machine",
            one.member, one.role
        ));
    }
    for one in
        source.of_predefined.iter().filter(|one| is_predefined(&one.role) || names.on_target(&one.role).is_some())
    {
        taken.push(format!("membership of {} in role {}, which holds on the whole server", one.member, one.role));
    }
    for (object, held) in source.objects.iter().filter(|(_, held)| reaches_machine(&held.owner)) {
        taken.push(format!("owner {} of {object}, as which restored code could reach this machine", held.owner));
    }
    taken
}

/// Whether a predefined role lets its members reach outside of the database.
fn reaches_machine(role: &str) -> bool {
    is_predefined(role) && !is_harmless(role)
}

/// The restored database, as a role that may change owners.
pub struct RightsTarget {
    admin: Address,
    /// The owner of restored objects until theirs is known.
    restorer: String,
    /// Only walkaway uses the server.
    exclusive: bool,
    /// Roles that this run created on a shared server.
    made: BTreeSet<String>,
}

impl RightsTarget {
    /// `admin` is the restored database's address as a superuser.
    pub fn new(admin: Address, restorer: &str, exclusive: bool, made: BTreeSet<String>) -> Self {
        RightsTarget { admin, restorer: restorer.to_owned(), exclusive, made }
    }

    /// Gives every restored object to its owner, then grants and revokes what the source had granted and revoked.
    pub fn apply(&self, source: &Rights, names: &RoleNames) -> Result<Vec<RefusedStatement>, PgError> {
        let mut work = Work::begin(&self.admin)?;
        let restored = rights::rights(&mut work.client)?;
        for (object, held) in &source.objects {
            let Some(owner) = names.on_target(&held.owner) else { continue };
            let is_new = |there: &Held| there.owner != owner && !there.follows;
            if restored.objects.get(object).is_some_and(is_new) && !object.owner_is_given() {
                let sql = format!("ALTER {} OWNER TO {}", object.spelled(false), quoted(&owner));
                work.run(&format!("owner of {object}"), &sql)?;
            }
        }
        // Owners are grantors: the current state is what the grants start from.
        let restored = rights::rights(&mut work.client)?;
        for (object, held) in &source.objects {
            if let Some(there) = restored.objects.get(object) {
                let wanted = translated(held, &there.owner, names);
                work.grant(&self.place(object), &object.to_string(), &wanted, there)?;
            }
        }
        for (defaults, grants) in &source.defaults {
            if let Some(role) = names.on_target(&defaults.role) {
                let grants = grants.iter().filter_map(|grant| translate(grant, names)).collect();
                work.default_privileges(defaults, &role, &grants)?;
            }
        }
        Ok(work.refused)
    }

    fn place(&self, object: &Object) -> String {
        match object.kind.as_str() {
            "database" => format!("DATABASE {}", quoted(self.admin.database_name())),
            _ => object.spelled(true),
        }
    }
}

/// The grants on an object whose owner on the target is `owner`, the restorer where the source's is not copied. Grants
/// by a role that isn't copied either become the owner's.
fn translated(held: &Held, owner: &str, names: &RoleNames) -> BTreeSet<Grant> {
    let name = |role: &str| if role == held.owner { Some(owner.to_owned()) } else { names.on_target(role) };
    let translate = |grant: &Grant| {
        let grantee = match &grant.grantee {
            None => None,
            Some(role) => Some(name(role)?),
        };
        let grantor = name(&grant.grantor).unwrap_or_else(|| owner.to_owned());
        Some(Grant { grantor, grantee, ..grant.clone() })
    };
    held.grants.iter().filter_map(translate).collect()
}

fn translate(grant: &Grant, names: &RoleNames) -> Option<Grant> {
    let grantee = match &grant.grantee {
        None => None,
        Some(role) => Some(names.on_target(role)?),
    };
    Some(Grant { grantor: names.on_target(&grant.grantor)?, grantee, ..grant.clone() })
}

impl Object {
    /// The object's name in SQL, in `ALTER` or in `GRANT … ON`.
    fn spelled(&self, in_grant: bool) -> String {
        let keyword = match (self.kind.as_str(), in_grant) {
            ("function" | "procedure" | "aggregate", _) => "ROUTINE".to_owned(),
            ("view" | "materialized view" | "foreign table", true) => "TABLE".to_owned(),
            ("foreign-data wrapper", _) => "FOREIGN DATA WRAPPER".to_owned(),
            ("server", true) => "FOREIGN SERVER".to_owned(),
            ("statistics object", _) => "STATISTICS".to_owned(),
            (kind, _) => kind.to_uppercase(),
        };
        let identity = if self.kind == "procedure" { of_input(&self.identity) } else { self.identity.clone() };
        format!("{keyword} {identity}")
    }
}

/// A procedure by its input arguments, as it is identified: without modes, another one may match, whose arguments
/// include output arguments.
fn of_input(procedure: &str) -> String {
    let mut quoted = false;
    let open = procedure.find(|c: char| {
        quoted ^= c == '"';
        c == '(' && !quoted
    });
    match open.map(|open| procedure.split_at(open + 1)) {
        Some((name, arguments)) if arguments != ")" => format!("{name}IN {arguments}"),
        _ => procedure.to_owned(),
    }
}

/// One session of the superuser, and the statements refused in it.
struct Work {
    client: Client,
    refused: Vec<RefusedStatement>,
}

impl Work {
    fn begin(admin: &Address) -> Result<Self, PgError> {
        Ok(Work { client: admin.connect()?, refused: Vec::new() })
    }

    fn refuse(&mut self, object: &str, reason: &str) {
        self.refused.push(RefusedStatement::of(object, reason));
    }

    /// Runs a statement, returns whether the server accepted it; refusals are recorded, a lost server ends the work.
    fn run(&mut self, object: &str, sql: &str) -> Result<bool, PgError> {
        match self.client.batch_execute(sql) {
            Ok(()) => Ok(true),
            Err(error) if crate::pg::error::connection_lost(&error) => {
                Err(PgError::statement("setting owners and grants", &error))
            }
            Err(error) => {
                self.refuse(object, &crate::pg::error::reason(&error));
                Ok(false)
            }
        }
    }

    /// Sets the grants on one object. Each is granted by the same grantor as at the source.
    fn grant(&mut self, place: &str, title: &str, wanted: &BTreeSet<Grant>, there: &Held) -> Result<(), PgError> {
        let Held { owner, grants: there, .. } = there;
        for grant in there.difference(wanted) {
            let sql = format!("REVOKE {} ON {place} FROM {} CASCADE", right(grant), receiver(grant));
            self.as_grantor(grant, owner, title, &sql)?;
        }
        // A revoke may have cascaded to others.
        let intact = there.is_subset(wanted);
        for grant in wanted.iter().filter(|grant| !(intact && there.contains(grant))) {
            let option = if grant.fixed { "" } else { " WITH GRANT OPTION" };
            let sql = format!("GRANT {} ON {place} TO {}{option}", right(grant), receiver(grant));
            self.as_grantor(grant, owner, title, &sql)?;
        }
        Ok(())
    }

    fn as_grantor(&mut self, grant: &Grant, owner: &str, title: &str, sql: &str) -> Result<(), PgError> {
        // A superuser's grant counts as the owner's, who may not even have access to the object's schema.
        let sql = if is_predefined(&grant.grantor) || grant.grantor == owner {
            sql.to_owned()
        } else {
            format!("SET ROLE {}; {sql}; RESET ROLE", quoted(&grant.grantor))
        };
        if !self.run(&format!("grant on {title}"), &sql)? {
            self.run(&format!("grant on {title}"), "RESET ROLE")?;
        }
        Ok(())
    }

    fn default_privileges(&mut self, defaults: &Defaults, role: &str, grants: &BTreeSet<Grant>) -> Result<(), PgError> {
        let kind = match defaults.kind.as_str() {
            "r" => "TABLES",
            "S" => "SEQUENCES",
            "f" => "ROUTINES",
            "T" => "TYPES",
            "L" => "LARGE OBJECTS",
            _ => "SCHEMAS",
        };
        let schema = defaults.schema.as_ref().map(|schema| format!(" IN SCHEMA {}", quoted(schema)));
        let begin = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}{}", quoted(role), schema.clone().unwrap_or_default());
        let title = format!("default privileges of {role}");
        if schema.is_none() {
            let from = format!("{}, PUBLIC", quoted(role));
            self.run(&title, &format!("{begin} REVOKE ALL ON {kind} FROM {from}"))?;
        }
        for grant in grants {
            let option = if grant.fixed { "" } else { " WITH GRANT OPTION" };
            self.run(&title, &format!("{begin} GRANT {} ON {kind} TO {}{option}", right(grant), receiver(grant)))?;
        }
        Ok(())
    }
}

/// `SELECT`, or `SELECT (column)`. A privilege's name comes from the source; only keywords are allowed.
fn right(grant: &Grant) -> String {
    let words: String = grant.privilege.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').collect();
    match &grant.column {
        Some(column) => format!("{words} ({})", quoted(column)),
        None => words,
    }
}

fn receiver(grant: &Grant) -> String {
    grant.grantee.as_ref().map_or_else(|| "PUBLIC".to_owned(), |role| quoted(role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::rights::Role;

    pub(crate) fn role() -> Role {
        Role {
            inherits: true,
            logs_in: false,
            makes_databases: false,
            makes_roles: true,
            bypasses_rls: false,
            superuser: false,
            replicates: false,
            connections_max: -1,
            valid_until: None,
            comment: None,
        }
    }

    #[test]
    fn a_procedure_is_named_by_what_is_put_into_it() {
        for (identity, named) in [
            ("s.p(integer,text)", "s.p(IN integer,text)"),
            ("s.p()", "s.p()"),
            (r#""s(".p(s."t()")"#, r#""s(".p(IN s."t()")"#),
        ] {
            assert_eq!(of_input(identity), named);
        }
    }

    pub(crate) fn membership(member: &str, role: &str) -> Membership {
        Membership { role: role.into(), member: member.into(), admin: false, inherits: true, sets: true }
    }

    fn source() -> Rights {
        let held = Held { owner: "pg_write_server_files".into(), ..Held::default() };
        Rights {
            roles: ["app", "walkaway", "rds_superuser"].map(|name| (name.to_owned(), role())).into(),
            memberships: [
                membership("app", "pg_execute_server_program"),
                membership("app", "pg_read_all_data"),
                membership("app", "pg_of_a_version_to_come"),
                membership("rds_superuser", "pg_execute_server_program"),
            ]
            .into(),
            of_predefined: [membership("pg_monitor", "app")].into(),
            objects: [(Object { kind: "function".into(), identity: "public.f()".into() }, held)].into(),
            ..Rights::default()
        }
    }

    #[test]
    fn what_reaches_the_machine_is_taken_and_named() {
        let mut rights = source();
        let taken = take_dangerous(&mut rights, &RoleNames::Same, 15);
        let begins: Vec<_> = taken.iter().map(|what| what.split(',').next().unwrap_or_default()).collect();
        let expected = [
            "createrole of role app",
            "membership of role app in pg_execute_server_program",
            "membership of role app in pg_of_a_version_to_come",
            "membership of pg_monitor in role app",
            "owner pg_write_server_files of function public.f()",
        ];
        assert_eq!(begins, expected);
        assert!(!rights.roles["app"].makes_roles);
        let catalog = rights.as_catalog(&|role| RoleNames::Same.on_target(role));
        let memberships: Vec<_> = catalog.keys().filter(|key| key.class == "membership").collect();
        assert_eq!(memberships.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["app in pg_read_all_data"]);

        let mut rights = source();
        assert!(!take_dangerous(&mut rights, &RoleNames::Same, 16).iter().any(|what| what.starts_with("createrole")));
        assert!(rights.roles["app"].makes_roles);
    }

    #[test]
    fn no_role_of_the_source_becomes_one_of_walkaways_or_reaches_the_machine() {
        let mapped = RoleNames::Mapped([("pg_read_server_files".to_owned(), "x".to_owned())].into());
        for names in [RoleNames::Same, mapped] {
            for role in
                ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files", "pg_create_subscription"]
            {
                assert_eq!(names.on_target(role), None, "{role}");
            }
            assert_eq!(names.on_target("pg_monitor").as_deref(), Some("pg_monitor"));
        }
        for role in [ADMIN_ROLE, OWNER_ROLE, "rdsadmin"] {
            assert_eq!(RoleNames::Same.on_target(role), None, "{role}");
        }
    }

    #[test]
    fn what_an_owner_granted_who_is_not_carried_is_the_owners_on_the_target() {
        let grant = |grantor: &str, grantee: Option<&str>| Grant {
            fixed: true,
            grantor: grantor.into(),
            grantee: grantee.map(str::to_owned),
            privilege: "USAGE".into(),
            column: None,
        };
        let grants = [
            grant("rdsadmin", None),
            grant("rdsadmin", Some("rdsadmin")),
            grant("rdsadmin", Some("rds_other")),
            grant("app", Some("app")),
        ];
        let held = Held { owner: "rdsadmin".into(), grants: grants.into(), ..Held::default() };
        let expected = [grant("restorer", None), grant("restorer", Some("restorer")), grant("app", Some("app"))];
        assert_eq!(translated(&held, "restorer", &RoleNames::Same), expected.clone().into());

        let object = Object { kind: "schema".into(), identity: "public".into() };
        let catalog = |held: Held, known: &dyn Fn(&str) -> Option<String>| {
            Rights { objects: [(object.clone(), held)].into(), ..Rights::default() }.as_catalog(known)
        };
        let there = Held { owner: "restorer".into(), grants: expected.into(), ..Held::default() };
        let restored = catalog(there, &|role| (role == "app").then(|| role.to_owned()));
        assert_eq!(catalog(held, &|role| RoleNames::Same.on_target(role)), restored);
        assert_eq!(restored.len(), 3);
    }
}
