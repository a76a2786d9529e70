//! What a database has beside schema and rows: roles, owners, grants, settings, comments on what is not part of the
//! schema, and what only a superuser can create. Read under the snapshot, restored before and after the rows, compared
//! with the rest.

use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc};

use super::target::Target;
use crate::{
    asset::{stop::Stop, work::Work},
    domain::finding::{Finding, FindingKind},
    pg::{
        PgError,
        catalog::{
            Catalog, CatalogKey,
            rights::{self, Rights, is_providers},
            special::{self, Setting, SuperuserObjects},
        },
        large::LargeObject,
        name::Table,
        session,
    },
    playbook::RolesSpec,
    restore::{
        database::{RefusedStatement, TargetDatabase},
        elevated::{SuperuserSession, definitions::Definitions, extensions::CLOSED},
        rights::{RightsTarget, RoleNames, is_own, take_dangerous},
    },
};

/// The server's name for large objects.
const LARGE_OBJECT: &str = "large object";

/// All of this for one database, and its target.
pub(crate) struct Ownership {
    work: Work,
    target: Arc<Target>,
    rights: Rights,
    special: SuperuserObjects,
    /// The names under which roles are copied; none if they are not.
    names: Option<RoleNames>,
    extensions: BTreeSet<String>,
    /// Roles that this run created on a user's server, for this database or earlier.
    made: BTreeSet<String>,
    /// What CREATE EXTENSION creates here for the source's versions, where those are not the default versions.
    members: Catalog,
    /// Extensions' tables and sequences that the restoring role may fill for now.
    opened: Vec<String>,
    /// What is not copied because it would let restored code reach outside of the database.
    dangerous: Vec<String>,
    not_portable: Vec<String>,
    /// Functions that exist without their support functions.
    unsupported: Vec<RefusedStatement>,
}

impl Ownership {
    /// From what the snapshot has.
    pub(super) fn new(
        work: &Work,
        target: &Arc<Target>,
        roles: Option<&RolesSpec>,
        (mut rights, mut special): (Rights, SuperuserObjects),
    ) -> Result<Self, Stop> {
        let concerned = |setting: &Setting| setting.role.as_ref().is_none_or(|role| rights.roles.contains_key(role));
        special.settings.retain(concerned);
        special.settings = special::in_force(special.settings);
        let names = match roles {
            Some(RolesSpec::Carry) => Some(RoleNames::Same),
            Some(RolesSpec::Map(names)) => {
                let is_free = |(_, name): &(&String, &String)| !(target.is_managed() && is_own(name));
                Some(RoleNames::Mapped(
                    names.iter().filter(is_free).map(|(role, name)| (role.clone(), name.clone())).collect(),
                ))
            }
            Some(RolesSpec::Skip) => None,
            None => target.is_managed().then_some(RoleNames::Same),
        };
        let major = target.server.probe()?.major;
        let dangerous = names.as_ref().map(|names| take_dangerous(&mut rights, names, major)).unwrap_or_default();
        let (extensions, members, opened, not_portable) = Default::default();
        let unsupported = Vec::new();
        let made = if target.is_managed() { BTreeSet::new() } else { made_before(work)? };
        Ok(Ownership {
            work: work.clone(),
            target: Arc::clone(target),
            rights,
            special,
            names,
            extensions,
            made,
            members,
            opened,
            dangerous,
            not_portable,
            unsupported,
        })
    }

    /// Attributes of large objects that were not copied are not, either: the objects themselves are reported.
    pub(super) fn without_lost(&mut self, carried: &[LargeObject], catalog: &mut Catalog) {
        let came: BTreeSet<String> = carried.iter().map(|object| object.oid.to_string()).collect();
        self.rights.objects.retain(|object, _| object.kind != LARGE_OBJECT || came.contains(&object.identity));
        self.special.large_object_comments.retain(|(oid, _)| came.contains(&oid.to_string()));
        let about = |key: &CatalogKey| key.name.strip_prefix(LARGE_OBJECT).map(|oid| oid.trim_start().to_owned());
        let hangs = |key: &CatalogKey| ["comment", "security label"].contains(&key.class.as_str());
        catalog.retain(|key, _| !hangs(key) || about(key).is_none_or(|oid| came.contains(&oid)));
    }

    /// Before the schema: roles that it refers to, extensions that it needs.
    pub(super) fn prepare(&mut self, database: &TargetDatabase) -> Result<Vec<Finding>, Stop> {
        self.not_portable = self.lost();
        // Roles of databases that were restored before have no code of this one.
        let mut findings = self.refused(self.rights_target(database).leave_roles()?);
        if self.names == Some(RoleNames::Same) {
            let (refused, made) = self.rights_target(database).make_roles(&self.rights)?;
            findings.extend(self.refused(refused));
            if !self.target.is_managed() {
                self.made.extend(made);
                note_made(&self.work, &self.made)?;
            }
        }
        let mut elevated = self.elevated(database)?;
        self.members = elevated.rehearse(&self.special)?;
        if self.target.is_managed() {
            self.extensions = elevated.extensions(&self.special)?;
            findings.extend(
                self.extensions.iter().filter(|name| CLOSED.contains(&name.as_str())).map(|name| self.closed(name)),
            );
        }
        Ok(findings)
    }

    fn closed(&self, extension: &str) -> Finding {
        let detail = "nobody may execute its functions on the target, by which code of the source could make this machine \
                      connect to others and write its files: GRANT EXECUTE to whoever needs them";
        self.work.finding(FindingKind::Deviation, format!("extension {extension}"), detail)
    }

    /// While the schema is restored: who creates definitions that the restricted owner may not, if anyone does.
    pub(super) fn definitions(&self, database: &TargetDatabase) -> Result<Option<Definitions<'_>>, PgError> {
        let elevated = self.target.is_managed().then(|| self.elevated(database)).transpose()?;
        Ok(elevated.map(|elevated| Definitions::new(elevated, &self.special)))
    }

    /// Before the rows: the extensions' tables among these are cleared of what CREATE EXTENSION inserted, and may be filled,
    /// as far as the extensions of the target keep users' configuration in them.
    pub(super) fn open(&mut self, database: &TargetDatabase, tables: &[Table]) -> Result<(), Stop> {
        if self.special.extensions.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = tables.iter().filter(|table| table.of_extension).map(|table| &table.name).collect();
        self.opened = self.elevated(database)?.open(&names)?;
        Ok(database.empty(&names)?)
    }

    /// What CREATE EXTENSION creates here for the source's versions.
    pub(super) fn members(&self) -> &Catalog {
        &self.members
    }

    /// After each part of the schema: what the restricted owner was denied.
    pub(super) fn mend(
        &self,
        database: &TargetDatabase,
        refused: Vec<RefusedStatement>,
    ) -> Result<Vec<RefusedStatement>, Stop> {
        if refused.is_empty() || !self.target.is_managed() {
            return Ok(refused);
        }
        Ok(self.elevated(database)?.mend(refused, &self.special, &self.extensions)?)
    }

    /// At the end: comments, owners, grants and settings; event triggers last, because from then on their functions run
    /// for every definition.
    ///
    /// What only a superuser could restore is left out of the source's `catalog`, and is reported.
    pub(super) fn finish(&mut self, database: &TargetDatabase, catalog: &mut Catalog) -> Result<Vec<Finding>, Stop> {
        let mut findings = self.refused(database.comment_large_objects(&self.special.large_object_comments)?);
        if let Some(names) = &self.names {
            let rights = self.rights_target(database);
            if *names == RoleNames::Same {
                findings.extend(self.refused(rights.join_roles(Some(&self.rights))?));
            }
            findings.extend(self.refused(rights.apply(&self.rights, names)?));
        }
        let on_target = |role: &str| self.names.as_ref().and_then(|names| names.on_target(role));
        let mut elevated = self.elevated(database)?;
        elevated.close(&self.opened)?;
        if self.target.server.probe()?.superuser {
            elevated.system_triggers(&self.special)?;
        } else {
            findings.extend(self.without_system_triggers(catalog));
        }
        let left = if self.target.is_managed() {
            elevated.withdraw()?;
            elevated.leakproof(&self.special)?;
            self.unsupported = elevated.supports(&self.special)?;
            findings.extend(self.refused(self.unsupported.clone()));
            elevated.settings(&self.special, &on_target)?
        } else {
            self.special.settings.clone()
        };
        findings.extend(self.refused(elevated.event_triggers(&self.special)?));
        // Nothing of a provider's role is copied, and the role itself is reported.
        let named = left.iter().filter(|setting| !setting.role.as_deref().is_some_and(is_providers));
        self.not_portable.extend(named.map(|setting| format!("setting {}", setting.place())));
        self.special.settings.retain(|setting| !left.contains(setting));
        Ok(findings)
    }

    /// Only a superuser may set how the triggers of constraints fire: each is reported, and not expected afterwards.
    fn without_system_triggers(&self, catalog: &mut Catalog) -> Vec<Finding> {
        let finding = |(title, _): &(String, String)| {
            catalog.remove(&CatalogKey { class: "system trigger".to_owned(), name: title.clone() });
            let detail = "it does not fire at the source as it was made to (ALTER TABLE … DISABLE TRIGGER ALL), and on the \
                          target it does, because only a superuser may change that: do so there as one";
            self.work.finding(FindingKind::Deviation, format!("trigger of constraint {title}"), detail)
        };
        self.special.system_triggers.iter().map(finding).collect()
    }

    /// After verification: the restoring role may act as every role that runs created, to read earlier restores, too.
    pub(super) fn rejoin(&self, database: &TargetDatabase) -> Result<(), Stop> {
        // What is denied here was denied before, and reported.
        self.rights_target(database).join_roles(None)?;
        Ok(())
    }

    /// The source's state, under the names of the target, for the comparison; without what is not copied.
    pub(super) fn expected(&self, database: &TargetDatabase) -> Result<Catalog, Stop> {
        let mut expected = self.settings(&self.special.settings, database, &|role| self.on_target(role))?;
        if let Some(names) = &self.names {
            expected.extend(self.rights.as_catalog(&|role| names.on_target(role)));
            expected.extend(self.role_comments(&self.rights));
        }
        Ok(expected)
    }

    /// The same state of the target.
    pub(super) fn restored(&self, database: &TargetDatabase) -> Result<Catalog, Stop> {
        let carried = self.carried();
        let known = |role: &str| (carried.contains(role) || rights::is_harmless(role)).then(|| role.to_owned());
        let mut client = database.address().connect()?;
        let mut restored = Catalog::new();
        if self.target.is_managed() {
            let found = special::in_force(special::settings(&mut client)?);
            restored.extend(self.settings(&found, database, &known)?);
        }
        if self.names.is_some() {
            let found = rights::rights_with(&mut client, &carried)?;
            restored.extend(found.as_catalog(&known));
            restored.extend(self.role_comments(&found));
        }
        Ok(restored)
    }

    /// The default search path of sessions of the source's database.
    pub(super) fn search_path(&self) -> &str {
        let of_all = |setting: &&Setting| setting.role.is_none() && setting.name == "search_path";
        self.special.settings.iter().find(of_all).map_or("\"$user\", public", |setting| setting.value.as_str())
    }

    /// The names of the copied roles on the target; none if none are copied.
    pub(super) fn roles(&self) -> Option<BTreeSet<String>> {
        self.names.as_ref().map(|_| self.carried())
    }

    fn carried(&self) -> BTreeSet<String> {
        self.rights.roles.keys().filter_map(|role| self.on_target(role)).collect()
    }

    fn on_target(&self, role: &str) -> Option<String> {
        self.names.as_ref().and_then(|names| names.on_target(role))
    }

    /// Comments on roles of the source. Roles of another name existed before, and keep their comments.
    fn role_comments(&self, there: &Rights) -> Catalog {
        let commented = |name: &String| self.rights.roles.get(name).is_some_and(|role| role.comment.is_some());
        let same = |name: &String| self.names == Some(RoleNames::Same) && self.on_target(name).is_some();
        let roles = there.roles.iter().filter(|(name, _)| same(name) && commented(name));
        let key = |name: &String| CatalogKey { class: "comment".to_owned(), name: format!("role {name}") };
        roles.filter_map(|(name, role)| Some((key(name), role.comment.clone()?))).collect()
    }

    /// Settings with values as this server prints them: `1000` and `1s` are the same time-out.
    fn settings(
        &self,
        settings: &[Setting],
        database: &TargetDatabase,
        name: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Catalog, Stop> {
        let mut spelled = Catalog::new();
        let mut client = database.address().connect()?;
        for setting in settings {
            let role = setting.role.as_deref().map(name);
            // Nothing of a role that is not copied is copied.
            let role = match role {
                Some(None) => continue,
                other => other.flatten(),
            };
            let title = Setting { role, ..setting.clone() }.title();
            let value = session::spelled(&mut client, &setting.name, &setting.value)?;
            spelled.insert(CatalogKey { class: "setting".to_owned(), name: title }, value);
        }
        Ok(spelled)
    }

    fn rights_target(&self, database: &TargetDatabase) -> RightsTarget {
        let restorer = database.address().user_name().to_owned();
        let admin = self.target.server.admin_of(database);
        RightsTarget::new(admin, &restorer, self.target.is_managed(), self.made.clone())
    }

    fn elevated(&self, database: &TargetDatabase) -> Result<SuperuserSession, PgError> {
        SuperuserSession::connect(&self.target.server.admin_of(database), database.address().user_name())
    }

    fn refused(&self, statements: Vec<RefusedStatement>) -> Vec<Finding> {
        let finding =
            |refused: RefusedStatement| self.work.finding(FindingKind::SchemaStatement, refused.object, refused.reason);
        statements.into_iter().map(finding).collect()
    }

    /// What was denied of functions that exist.
    pub(super) fn unsupported(&self) -> &[RefusedStatement] {
        &self.unsupported
    }

    /// What exists nowhere else, each by name.
    pub(super) fn not_portable(&self) -> &[String] {
        &self.not_portable
    }

    /// Passwords, superusers' rights, the provider's own roles, other servers' secrets.
    fn lost(&self) -> Vec<String> {
        let mut lost = self.special.named.clone();
        let Some(names) = &self.names else {
            lost.push("roles, owners and grants, which are skipped".to_owned());
            return lost;
        };
        lost.extend(self.dangerous.iter().cloned());
        for (name, role) in &self.rights.roles {
            match names.on_target(name) {
                None if is_own(name) => lost.push(format!("role {name}, a name that walkaway's own roles have here")),
                None if is_providers(name) => lost.push(format!("role {name}, the provider's own")),
                None => lost.push(format!("role {name}, which is mapped to nothing")),
                Some(_) if *names == RoleNames::Same => {
                    let parts =
                        [("password", role.logs_in), ("superuser", role.superuser), ("replication", role.replicates)];
                    let parts: Vec<_> = parts.iter().filter(|(_, has)| *has).map(|(what, _)| *what).collect();
                    if !parts.is_empty() {
                        lost.push(format!("{} of role {name}", parts.join(", ")));
                    }
                }
                Some(_) if role.comment.is_some() => lost.push(format!("comment on role {name}")),
                Some(_) => {}
            }
        }
        lost
    }
}

/// The file with the names of the roles that this run created on a user's server.
fn made_file(work: &Work) -> PathBuf {
    work.layout.state().join("roles.json")
}

fn made_before(work: &Work) -> Result<BTreeSet<String>, Stop> {
    match fs::read(made_file(work)) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| unreadable(work, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(unreadable(work, &error)),
    }
}

fn note_made(work: &Work, made: &BTreeSet<String>) -> Result<(), Stop> {
    let text = serde_json::to_vec(made).map_err(|error| unreadable(work, &error))?;
    fs::write(made_file(work), text).map_err(|error| unreadable(work, &error))
}

fn unreadable(work: &Work, error: &dyn std::error::Error) -> Stop {
    Stop::Asset { reason: format!("{}: {error}", made_file(work).display()), hint: None }
}
