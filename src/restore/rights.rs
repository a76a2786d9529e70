//! Roles, owners, grants and default privileges, put where the source had them.
//!
//! A superuser of the target does this, so nothing of the source's text is run: every name is quoted here, and an object
//! is named in the target's own words, after the target itself said that it has it.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use super::database::RefusedStatement;
use crate::pg::{
    Address, PgError,
    catalog::rights::{self, Defaults, Grant, Held, Object, Rights, Role, is_predefined, is_providers},
    name::{literal, quoted},
};

/// Under which name each role of the source stands on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleNames {
    /// Every role keeps its name; roles that are not there are made.
    Same,
    /// Some roles have another name, which has to be there; the others are left out.
    Mapped(BTreeMap<String, String>),
}

impl RoleNames {
    /// The role's name on the target; none if it is left out.
    pub fn on_target(&self, role: &str) -> Option<String> {
        match self {
            _ if is_predefined(role) => Some(role.to_owned()),
            RoleNames::Same => (!is_providers(role)).then(|| role.to_owned()),
            RoleNames::Mapped(names) => names.get(role).cloned(),
        }
    }
}

/// The restored database, as somebody who may give things away.
pub struct RightsTarget {
    admin: Address,
    /// Owns what was restored until its owner is known.
    restorer: String,
}

impl RightsTarget {
    /// `admin` leads to the restored database as a superuser.
    pub fn new(admin: Address, restorer: &str) -> Self {
        RightsTarget { admin, restorer: restorer.to_owned() }
    }

    /// Makes the roles of the source that are not there yet, without passwords, and brings those that are into line.
    pub fn make_roles(&self, source: &Rights) -> Result<Vec<RefusedStatement>, PgError> {
        let mut work = Work::begin(&self.admin)?;
        let there = work.names("SELECT rolname::text FROM pg_catalog.pg_roles")?;
        let carried = source.roles.iter().filter(|(name, _)| RoleNames::Same.on_target(name).is_some());
        for (name, role) in carried.clone() {
            let verb = if there.contains(name) { "ALTER" } else { "CREATE" };
            work.run(&format!("role {name}"), &format!("{verb} ROLE {} {}", quoted(name), attributes(role)))?;
            if let Some(comment) = &role.comment {
                let sql = format!("COMMENT ON ROLE {} IS {}", quoted(name), literal(comment));
                work.run(&format!("comment on role {name}"), &sql)?;
            }
        }
        for one in &source.memberships {
            if RoleNames::Same.on_target(&one.role).is_some() && RoleNames::Same.on_target(&one.member).is_some() {
                let option = if one.admin { " WITH ADMIN OPTION" } else { "" };
                let sql = format!("GRANT {} TO {}{option}", quoted(&one.role), quoted(&one.member));
                work.run(&format!("membership of {} in {}", one.member, one.role), &sql)?;
            }
        }
        // Whoever restores reads back, and is looked at by hand, as any of them.
        for (name, _) in carried {
            work.run(&format!("role {name}"), &format!("GRANT {} TO {}", quoted(name), quoted(&self.restorer)))?;
        }
        Ok(work.refused)
    }

    /// Gives every restored object to its owner, then grants and revokes what the source had granted and revoked.
    pub fn apply(&self, source: &Rights, names: &RoleNames) -> Result<Vec<RefusedStatement>, PgError> {
        let mut work = Work::begin(&self.admin)?;
        let restored = rights::rights(&mut work.client)?;
        for (object, held) in &source.objects {
            let Some(owner) = names.on_target(&held.owner) else { continue };
            let is_new = |there: &Held| there.owner != owner && !there.follows;
            if restored.objects.get(object).is_some_and(is_new) && object.kind != "database" {
                let sql = format!("ALTER {} OWNER TO {}", object.spelled(false), quoted(&owner));
                work.run(&format!("owner of {object}"), &sql)?;
            }
        }
        // Owners are grantors: what stands there now is what the grants begin from.
        let restored = rights::rights(&mut work.client)?;
        for (object, held) in &source.objects {
            if let Some(there) = restored.objects.get(object) {
                let wanted = self.translated(object, held, names);
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

    /// A database stays with whoever restored it, so what its owner granted is the restorer's grant here.
    fn translated(&self, object: &Object, held: &Held, names: &RoleNames) -> BTreeSet<Grant> {
        let owners = |role: &str| object.kind == "database" && role == held.owner;
        let name = |role: &str| if owners(role) { Some(self.restorer.clone()) } else { names.on_target(role) };
        let translate = |grant: &Grant| {
            let grantee = match &grant.grantee {
                None => None,
                Some(role) => Some(name(role)?),
            };
            Some(Grant { grantor: name(&grant.grantor)?, grantee, ..grant.clone() })
        };
        held.grants.iter().filter_map(translate).collect()
    }

    fn place(&self, object: &Object) -> String {
        match object.kind.as_str() {
            "database" => format!("DATABASE {}", quoted(self.admin.database_name())),
            _ => object.spelled(true),
        }
    }
}

fn translate(grant: &Grant, names: &RoleNames) -> Option<Grant> {
    let grantee = match &grant.grantee {
        None => None,
        Some(role) => Some(names.on_target(role)?),
    };
    Some(Grant { grantor: names.on_target(&grant.grantor)?, grantee, ..grant.clone() })
}

/// No password, no superuser, no replication: those are named, not carried.
fn attributes(role: &Role) -> String {
    let word = |has: bool, word: &str| format!("{}{word}", if has { "" } else { "NO" });
    let mut words = vec![
        word(role.inherits, "INHERIT"),
        word(role.logs_in, "LOGIN"),
        word(role.makes_databases, "CREATEDB"),
        word(role.makes_roles, "CREATEROLE"),
        word(role.bypasses_rls, "BYPASSRLS"),
        format!("CONNECTION LIMIT {}", role.connections_max),
    ];
    let until = role.valid_until.as_deref().unwrap_or("infinity");
    if role.valid_until.is_some() {
        words.push(format!("VALID UNTIL '{}'", until.replace('\'', "''")));
    }
    words.join(" ")
}

impl Object {
    /// How SQL names the object, in `ALTER` or in `GRANT … ON`.
    fn spelled(&self, in_grant: bool) -> String {
        let keyword = match (self.kind.as_str(), in_grant) {
            ("function" | "procedure" | "aggregate", _) => "ROUTINE".to_owned(),
            ("view" | "materialized view" | "foreign table", true) => "TABLE".to_owned(),
            ("foreign-data wrapper", _) => "FOREIGN DATA WRAPPER".to_owned(),
            ("server", true) => "FOREIGN SERVER".to_owned(),
            ("statistics object", _) => "STATISTICS".to_owned(),
            (kind, _) => kind.to_uppercase(),
        };
        format!("{keyword} {}", self.identity)
    }
}

/// One session of the superuser, and what was refused in it.
struct Work {
    client: Client,
    refused: Vec<RefusedStatement>,
}

impl Work {
    fn begin(admin: &Address) -> Result<Self, PgError> {
        Ok(Work { client: admin.connect()?, refused: Vec::new() })
    }

    fn names(&mut self, sql: &str) -> Result<BTreeSet<String>, PgError> {
        let failed = |error| PgError::statement("reading the target's roles", &error);
        self.client.query(sql, &[]).map_err(failed)?.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }

    /// Runs a statement; one that the server refuses is put down, a lost server ends the work.
    fn run(&mut self, object: &str, sql: &str) -> Result<(), PgError> {
        match self.client.batch_execute(sql) {
            Ok(()) => Ok(()),
            Err(error) if crate::pg::error::connection_lost(&error) => {
                Err(PgError::statement("setting owners and grants", &error))
            }
            Err(error) => {
                let reason = crate::pg::error::reason(&error);
                self.refused.push(RefusedStatement { object: object.to_owned(), reason });
                Ok(())
            }
        }
    }

    /// Makes the grants on one object what they should be. Each is given by the one who gave it at the source.
    fn grant(&mut self, place: &str, title: &str, wanted: &BTreeSet<Grant>, there: &Held) -> Result<(), PgError> {
        let Held { owner, grants: there, .. } = there;
        for grant in there.difference(wanted) {
            let sql = format!("REVOKE {} ON {place} FROM {} CASCADE", right(grant), receiver(grant));
            self.as_grantor(grant, owner, title, &sql)?;
        }
        // What was revoked may have taken others with it.
        let intact = there.is_subset(wanted);
        for grant in wanted.iter().filter(|grant| !(intact && there.contains(grant))) {
            let option = if grant.fixed { "" } else { " WITH GRANT OPTION" };
            let sql = format!("GRANT {} ON {place} TO {}{option}", right(grant), receiver(grant));
            self.as_grantor(grant, owner, title, &sql)?;
        }
        Ok(())
    }

    fn as_grantor(&mut self, grant: &Grant, owner: &str, title: &str, sql: &str) -> Result<(), PgError> {
        // A superuser's grant is the owner's, who may not even see the object's schema by themselves.
        let sql = match is_predefined(&grant.grantor) || grant.grantor == owner {
            true => sql.to_owned(),
            false => format!("SET ROLE {}; {sql}; RESET ROLE", quoted(&grant.grantor)),
        };
        let before = self.refused.len();
        self.run(&format!("grant on {title}"), &sql)?;
        if self.refused.len() > before {
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

/// `SELECT`, or `SELECT (column)`. A privilege's name comes from the source; only words are let through.
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
