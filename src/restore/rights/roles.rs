//! Roles and memberships on the target: those of the source created, and the restorer added to them and removed again.

use std::collections::{BTreeMap, BTreeSet};

use super::{CREATEROLE_HARMLESS_SINCE, RightsTarget, RoleNames, Work, reaches_machine};
use crate::{
    pg::{
        PgError,
        catalog::rights::{self, Membership, Rights, Role, is_predefined},
        name::{literal, quoted},
    },
    restore::{cluster::OWNER_SETTING, database::RefusedStatement},
};

/// Since this version a membership has its own options INHERIT and SET (PostgreSQL
/// documentation, GRANT).
const OPTIONS_SINCE: u32 = 16;

/// Attributes and memberships of a role that would let restored code reach outside of the database.
fn way_out(role: &str, roles: &BTreeMap<String, Role>, members: &BTreeSet<Membership>, major: u32) -> Option<String> {
    let mut reached = BTreeSet::from([role.to_owned()]);
    loop {
        let is_new = |one: &&Membership| reached.contains(&one.member) && !reached.contains(&one.role);
        let more: Vec<_> = members.iter().filter(is_new).map(|one| one.role.clone()).collect();
        if more.is_empty() {
            break;
        }
        reached.extend(more);
    }
    let leads_out = |role: &String| match roles.get(role) {
        Some(role) => role.superuser || (role.makes_roles && major < CREATEROLE_HARMLESS_SINCE),
        None => reaches_machine(role),
    };
    reached.into_iter().find(leads_out)
}

impl RightsTarget {
    /// Creates the missing roles of the source, without passwords, and their memberships. A role that is
    /// there is changed only if no other database of the server can use it. Also returns the new ones.
    pub fn make_roles(&self, source: &Rights) -> Result<(Vec<RefusedStatement>, BTreeSet<String>), PgError> {
        const TAKEN: &str = "the target has a role of this name that may do other things; it is not changed, because another \
                             database may use it";
        let mut work = Work::begin(&self.admin)?;
        let (there, members) = rights::roles_and_memberships(&mut work.client)?;
        let alone = self.exclusive && work.is_alone()?;
        let major = work.major()?;
        let mut new = BTreeSet::new();
        let mut made = BTreeSet::new();
        for (name, role) in source.roles.iter().filter(|(name, _)| RoleNames::Same.on_target(name).is_some()) {
            let title = format!("role {name}");
            let verb = match there.get(name) {
                None => "CREATE",
                Some(found) if found.may_the_same(role) && (!alone || found.comment == role.comment) => continue,
                Some(_) if alone => "ALTER",
                Some(_) => {
                    work.refuse(&title, TAKEN);
                    continue;
                }
            };
            new.insert(name.as_str());
            if work.run(&title, &format!("{verb} ROLE {} {}", quoted(name), attributes(role)))? && verb == "CREATE" {
                made.insert(name.clone());
            }
            if let Some(comment) = &role.comment {
                let sql = format!("COMMENT ON ROLE {} IS {}", quoted(name), literal(comment));
                work.run(&format!("comment on {title}"), &sql)?;
            }
        }
        let is_free = |role: &str| alone || new.contains(role) || self.made.contains(role);
        for one in source.memberships.iter().filter(|one| RoleNames::Same.both(one) && !members.contains(one)) {
            let title = format!("membership of {} in {}", one.member, one.role);
            if !is_free(&one.member) || !(is_free(&one.role) || is_predefined(&one.role)) {
                work.refuse(&title, TAKEN);
                continue;
            }
            let sql = format!("GRANT {} TO {}{}", quoted(&one.role), quoted(&one.member), options(one, major));
            work.run(&title, &sql)?;
        }
        Ok((work.refused, made))
    }

    /// Removes the restorer from the roles that runs created, and on walkaway's own server resets what restored code set
    /// for it: what is loaded from now on can't act as those roles, whatever was restored before.
    pub fn leave_roles(&self) -> Result<Vec<RefusedStatement>, PgError> {
        let mut work = Work::begin(&self.admin)?;
        let major = work.major()?;
        let restorer = quoted(&self.restorer);
        if self.exclusive {
            let reset = format!("ALTER ROLE {restorer} RESET ALL; ALTER ROLE {restorer} {OWNER_SETTING}");
            work.run(&format!("settings of role {}", self.restorer), &reset)?;
        }
        for (role, grantor) in work.memberships_of(&self.restorer)? {
            // On a shared server, the creator of a role is a member by rule, without the right to act as it.
            let is_ours = self.exclusive || grantor.as_ref().is_none_or(|grantor| *grantor == self.restorer);
            if self.is_made(&role) && (is_ours || major < OPTIONS_SINCE) {
                let by = grantor.filter(|_| major >= OPTIONS_SINCE).map(|by| format!(" GRANTED BY {}", quoted(&by)));
                let sql = format!("REVOKE {} FROM {restorer}{} CASCADE", quoted(&role), by.unwrap_or_default());
                work.run(&format!("membership of {} in {role}", self.restorer), &sql)?;
            }
        }
        Ok(work.refused)
    }

    /// Lets the restorer act as roles that runs created, to read back and to inspect by hand: those of this database, or
    /// all. While restored code is loaded it can't.
    pub fn join_roles(&self, only: Option<&Rights>) -> Result<Vec<RefusedStatement>, PgError> {
        let mut work = Work::begin(&self.admin)?;
        let (there, members) = rights::roles_and_memberships(&mut work.client)?;
        let major = work.major()?;
        if there.get(&self.restorer).is_some_and(|role| role.superuser) {
            return Ok(work.refused);
        }
        let is_wanted =
            |name: &&String| self.is_made(name) && only.is_none_or(|rights| rights.roles.contains_key(*name));
        for name in there.keys().filter(is_wanted) {
            let title = format!("role {name}");
            match way_out(name, &there, &members, major) {
                None => drop(work.run(&title, &format!("GRANT {} TO {}", quoted(name), quoted(&self.restorer)))?),
                Some(reached) => {
                    let reason = format!("on the target it leads to {reached}, so restored code is not let act as it");
                    work.refuse(&title, &reason);
                }
            }
        }
        Ok(work.refused)
    }

    /// Whether a run created this role, and none of walkaway's own, the server's or the provider's has its name.
    fn is_made(&self, role: &str) -> bool {
        let is_carried = !is_predefined(role) && RoleNames::Same.on_target(role).is_some();
        is_carried && role != self.restorer && (self.exclusive || self.made.contains(role))
    }
}

impl Work {
    /// Whether no other restored database is on the server.
    fn is_alone(&mut self) -> Result<bool, PgError> {
        let sql = "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_database \
                   WHERE NOT datistemplate AND datname NOT IN ('postgres', current_database()))";
        let failed = |error| PgError::statement("looking for other databases of the target", &error);
        self.client.query_one(sql, &[]).map_err(failed)?.try_get(0).map_err(failed)
    }

    fn major(&mut self) -> Result<u32, PgError> {
        let failed = |error| PgError::statement("asking the target for its version", &error);
        let sql = "SELECT current_setting('server_version_num')::int8 / 10000";
        let major: i64 = self.client.query_one(sql, &[]).map_err(failed)?.try_get(0).map_err(failed)?;
        Ok(u32::try_from(major).unwrap_or_default())
    }

    /// The roles granted to a role, each with its grantor, where that still exists.
    fn memberships_of(&mut self, member: &str) -> Result<Vec<(String, Option<String>)>, PgError> {
        let failed = |error| PgError::statement("reading the memberships of a role", &error);
        let sql = "SELECT r.rolname::text, g.rolname::text FROM pg_catalog.pg_auth_members m \
                   JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member \
                   LEFT JOIN pg_catalog.pg_roles g ON g.oid = m.grantor WHERE u.rolname = $1::text ORDER BY 1, 2";
        let rows = self.client.query(sql, &[&member]).map_err(failed)?;
        rows.iter().map(|row| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))).collect()
    }
}

/// The options of a membership. Versions before 16 have one of them.
fn options(one: &Membership, major: u32) -> String {
    let Membership { admin, inherits, sets, .. } = one;
    if major >= OPTIONS_SINCE {
        format!(" WITH ADMIN {admin}, INHERIT {inherits}, SET {sets}")
    } else if *admin {
        " WITH ADMIN OPTION".to_owned()
    } else {
        String::new()
    }
}

/// No password, no superuser, no replication: those are reported, not copied.
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
    if let Some(until) = &role.valid_until {
        words.push(format!("VALID UNTIL {}", literal(until)));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pg::Address,
        restore::{
            cluster::{ADMIN_ROLE, OWNER_ROLE},
            rights::tests::{membership, role},
        },
    };

    #[test]
    fn a_membership_keeps_its_options_where_the_target_knows_them() {
        let one = Membership { admin: true, inherits: false, ..membership("a", "b") };
        assert_eq!(options(&one, 16), " WITH ADMIN true, INHERIT false, SET true");
        assert_eq!(options(&one, 15), " WITH ADMIN OPTION");
        assert_eq!(options(&Membership { admin: false, sets: false, ..one.clone() }, 15), "");
        assert_eq!(
            options(&Membership { admin: false, sets: false, ..one }, 18),
            " WITH ADMIN false, INHERIT false, SET false"
        );
    }

    #[test]
    fn nobody_is_let_into_roles_that_lead_out_of_the_database() {
        let mut roles: BTreeMap<String, Role> = ["plain", "deep", "root", "maker"]
            .map(|name| (name.to_owned(), Role { makes_roles: false, ..role() }))
            .into();
        roles.insert("root".to_owned(), Role { superuser: true, ..role() });
        roles.insert("maker".to_owned(), role());
        let members = [
            membership("plain", "pg_read_all_data"),
            membership("deep", "between"),
            membership("between", "pg_write_server_files"),
            membership("between", "deep"),
            membership("beneath", "root"),
            membership("pg_execute_server_program", "plain"),
        ]
        .into();
        for (role, major, expected) in [
            ("plain", 15, None),
            ("deep", 18, Some("pg_write_server_files")),
            ("root", 18, Some("root")),
            ("beneath", 18, Some("root")),
            ("maker", 15, Some("maker")),
            ("maker", 16, None),
        ] {
            assert_eq!(way_out(role, &roles, &members, major).as_deref(), expected, "{role} {major}");
        }
        let target = |exclusive, made: &[&str]| {
            let made = made.iter().map(|name| (*name).to_owned()).collect();
            let admin = Address::parse("postgres://login@localhost/d").expect("an address");
            RightsTarget::new(admin, "login", exclusive, made)
        };
        let of_others = target(false, &["ours", "login"]);
        assert!(of_others.is_made("ours") && !of_others.is_made("theirs") && !of_others.is_made("login"));
        let own = target(true, &[]);
        assert!(
            own.is_made("theirs")
                && ![ADMIN_ROLE, OWNER_ROLE, "pg_monitor", "rdsadmin"].iter().any(|one| own.is_made(one))
        );
    }
}
