//! What belongs to a database beside schema and rows: roles, owners, grants, settings, large objects, and what needs a
//! superuser to be made. Read under the snapshot, put in place around the rows, compared with the rest.

use std::collections::BTreeSet;

use super::{stop::Stop, target::Target, work::Work};
use crate::{
    finding::{Finding, FindingKind},
    pg::{
        PgError,
        catalog::{
            Catalog,
            rights::{self, Rights, is_providers},
            special::Special,
        },
        large::{self, LargeObject},
    },
    playbook::RolesSpec,
    restore::{
        cluster::OWNER_ROLE,
        database::{RefusedStatement, TargetDatabase},
        elevated::Elevated,
        rights::{RightsTarget, RoleNames},
    },
    source::postgres::Snapshot,
    verify::Comparison,
};

/// Everything of one database, and where it goes.
pub(crate) struct Belongings<'a> {
    work: &'a Work,
    target: &'a Target,
    rights: Rights,
    special: Special,
    /// Under which names roles are carried; none if they are not.
    names: Option<RoleNames>,
    extensions: BTreeSet<String>,
    not_portable: Vec<String>,
}

impl<'a> Belongings<'a> {
    /// Reads what the snapshot has.
    pub fn read(
        work: &'a Work,
        target: &'a Target,
        roles: Option<&RolesSpec>,
        snapshot: &mut Snapshot,
    ) -> Result<Self, Stop> {
        let (rights, special) = (snapshot.rights()?, snapshot.special()?);
        let names = match roles {
            Some(RolesSpec::Carry) => Some(RoleNames::Same),
            Some(RolesSpec::Map(names)) => Some(RoleNames::Mapped(names.clone())),
            Some(RolesSpec::Skip) => None,
            None => target.is_managed().then_some(RoleNames::Same),
        };
        Ok(Belongings { work, target, rights, special, names, extensions: BTreeSet::new(), not_portable: Vec::new() })
    }

    /// Before the schema: roles that it mentions, extensions that it needs.
    pub fn prepare(&mut self, database: &TargetDatabase) -> Result<Vec<Finding>, Stop> {
        self.not_portable = self.lost();
        let mut findings = Vec::new();
        if self.names == Some(RoleNames::Same) {
            findings.extend(self.refused(self.rights_target(database).make_roles(&self.rights)?));
        }
        if self.target.is_managed() {
            self.extensions = self.elevated(database)?.extensions(&self.special)?;
        }
        Ok(findings)
    }

    /// After each part of the schema: what the restricted owner was refused.
    pub fn mend(
        &self,
        database: &TargetDatabase,
        refused: Vec<RefusedStatement>,
    ) -> Result<Vec<RefusedStatement>, Stop> {
        if refused.is_empty() || !self.target.is_managed() {
            return Ok(refused);
        }
        Ok(self.elevated(database)?.mend(refused, &self.special, &self.extensions)?)
    }

    /// At the end: owners, grants and settings.
    pub fn finish(&mut self, database: &TargetDatabase) -> Result<Vec<Finding>, Stop> {
        let mut findings = Vec::new();
        if let Some(names) = &self.names {
            findings.extend(self.refused(self.rights_target(database).apply(&self.rights, names)?));
        }
        let on_target = |role: &str| self.names.as_ref().and_then(|names| names.on_target(role));
        let left = match self.target.is_managed() {
            true => {
                let mut elevated = self.elevated(database)?;
                elevated.withdraw(&self.extensions)?;
                let left = elevated.settings(&self.special, &on_target)?;
                findings.extend(self.refused(elevated.event_triggers(&self.special)?));
                left
            }
            false => self.special.settings.clone(),
        };
        self.not_portable.extend(left.into_iter().map(|setting| {
            let whose = setting.role.map_or_else(|| "the database".to_owned(), |role| format!("role {role}"));
            format!("setting {} of {whose}", setting.name)
        }));
        Ok(findings)
    }

    /// Rights as the source has them, under the names of the target, for the comparison; empty if they are not carried.
    pub fn expected(&self) -> Catalog {
        let Some(names) = &self.names else { return Catalog::new() };
        self.rights.as_catalog(&|role| names.on_target(role))
    }

    /// The same as the target has them.
    pub fn restored(&self, database: &TargetDatabase) -> Result<Catalog, Stop> {
        let Some(names) = &self.names else { return Ok(Catalog::new()) };
        let carried: BTreeSet<_> = self.rights.roles.keys().filter_map(|role| names.on_target(role)).collect();
        let mut client = database.address().connect()?;
        let found = rights::rights(&mut client)?;
        let known = |role: &str| carried.contains(role) || rights::is_predefined(role);
        Ok(found.as_catalog(&|role| known(role).then(|| role.to_owned())))
    }

    fn rights_target(&self, database: &TargetDatabase) -> RightsTarget {
        let restorer = database.address().user_name().to_owned();
        RightsTarget::new(self.target.server.admin_of(database), &restorer)
    }

    fn elevated(&self, database: &TargetDatabase) -> Result<Elevated, PgError> {
        Elevated::connect(&self.target.server.admin_of(database), OWNER_ROLE)
    }

    fn refused(&self, statements: Vec<RefusedStatement>) -> Vec<Finding> {
        let finding =
            |refused: RefusedStatement| self.work.finding(FindingKind::SchemaStatement, refused.object, refused.reason);
        statements.into_iter().map(finding).collect()
    }

    /// What exists nowhere else, each by its name.
    pub fn not_portable(&self) -> &[String] {
        &self.not_portable
    }

    /// Passwords, superusers' rights, the provider's own roles, other servers' secrets.
    fn lost(&self) -> Vec<String> {
        let mut lost = self.special.secrets.clone();
        let Some(names) = &self.names else {
            lost.push("roles, owners and grants, which are skipped".to_owned());
            return lost;
        };
        for (name, role) in &self.rights.roles {
            match names.on_target(name) {
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
                Some(_) => {}
            }
        }
        lost
    }
}

/// Copies every large object and returns what was read; one that can't be carried is a finding.
pub(crate) fn carry_large_objects(
    work: &Work,
    snapshot: &mut Snapshot,
    database: &TargetDatabase,
) -> Result<(Vec<LargeObject>, Vec<Finding>), Stop> {
    let (mut carried, mut findings) = (Vec::new(), Vec::new());
    let oids = snapshot.large_objects()?;
    if oids.is_empty() {
        return Ok((carried, findings));
    }
    let mut target = database.address().connect()?;
    let mut reader = snapshot.large_object_reader()?;
    for oid in oids {
        work.go_on()?;
        let copied = large::create(&mut target, oid)
            .and_then(|()| reader.read(oid, |at, piece| large::write(&mut target, oid, at, piece)));
        match copied {
            Ok(read) => carried.push(read),
            Err(error) if error.connection_lost() => return Err(error.into()),
            Err(error) => {
                findings.push(work.finding(FindingKind::NotCarried, format!("large object {oid}"), error.to_string()));
                if large::list(&mut target)?.contains(&oid) {
                    large::remove(&mut target, oid)?;
                }
                // A transaction that failed reads nothing more.
                reader = snapshot.large_object_reader()?;
            }
        }
    }
    Ok((carried, findings))
}

/// Reads every large object back and compares it.
pub(crate) fn compare_large_objects(
    work: &Work,
    expected: &[LargeObject],
    database: &TargetDatabase,
) -> Result<Comparison, Stop> {
    let mut comparison = Comparison::new("large objects");
    let mut client = database.address().connect()?;
    let there: BTreeSet<u32> = large::list(&mut client)?.into_iter().collect();
    for object in expected {
        let finding = |detail: String| {
            Some(work.finding(FindingKind::LargeObject, format!("large object {}", object.oid), detail))
        };
        comparison.compared(match there.contains(&object.oid) {
            false => finding("it is not there".to_owned()),
            true => match large::read(&mut client, object.oid, |_, _| Ok(()))? {
                found if found == *object => None,
                found => finding(format!(
                    "{} bytes with SHA-256 {} left, {} with {} are there",
                    object.bytes, object.sha256, found.bytes, found.sha256
                )),
            },
        });
    }
    for stranger in there.iter().filter(|oid| !expected.iter().any(|object| object.oid == **oid)) {
        let subject = format!("large object {stranger}");
        comparison.findings.push(work.finding(
            FindingKind::CatalogUnexpected,
            subject,
            "the source has no such object",
        ));
    }
    Ok(comparison)
}
