//! What a restricted owner can't create itself, in parts that can be reassembled: extensions, event triggers,
//! publications of all tables, settings, comments on large objects. And the names of what is not carried at all.

use std::collections::BTreeSet;

use postgres::GenericClient;

pub use super::relations::{each_system_trigger, system_triggers};
use super::{
    named::named,
    user_objects::{own, without_schema},
};
use crate::pg::error::PgError;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuperuserObjects {
    /// The extensions.
    pub extensions: Vec<Extension>,
    /// The event triggers.
    pub event_triggers: Vec<EventTrigger>,
    /// The publications.
    pub publications: Vec<Publication>,
    /// Publications and the schemas that they publish as a whole.
    pub published_schemas: Vec<(String, String)>,
    /// Functions that are marked LEAKPROOF.
    pub leakproof: Vec<Routine>,
    /// Functions with support functions for the planner.
    pub supports: Vec<Support>,
    /// Foreign-data wrappers.
    pub wrappers: Vec<Wrapper>,
    /// Shell types, as `schema.name`.
    pub shells: BTreeSet<String>,
    /// Constraints and how their triggers fire, where that was changed, see [`super::relations::system_triggers`].
    pub system_triggers: Vec<(String, String)>,
    /// Settings for the database's sessions, see [`in_force`].
    pub settings: Vec<Setting>,
    /// Comments on large objects, by their numbers.
    pub large_object_comments: Vec<(u32, String)>,
    /// What is only named, such as subscriptions and user mappings, which hold secrets of other servers.
    pub named: Vec<String>,
}

/// An extension and where its objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The schema.
    pub schema: String,
    /// Its version.
    pub version: String,
    /// What its own script or a user says of it.
    pub comment: Option<String>,
}

/// An event trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTrigger {
    /// Its name.
    pub name: String,
    /// The event.
    pub event: String,
    /// `O`, `D`, `R` or `A` (PostgreSQL documentation, `pg_event_trigger`).
    pub enabled: String,
    /// Commands that it is limited to.
    pub tags: Vec<String>,
    /// The schema of its function.
    pub function_schema: String,
    /// Its function.
    pub function: String,
    /// Its comment.
    pub comment: Option<String>,
}

/// A function, identified by its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routine {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The types of its arguments, as printed by `pg_get_function_identity_arguments`.
    pub arguments: String,
}

/// A function and its support function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// The function.
    pub routine: Routine,
    /// The schema of its support function.
    pub schema: String,
    /// The support function.
    pub name: String,
}

/// A foreign-data wrapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapper {
    /// Its name.
    pub name: String,
    /// Schema and name of its handler function.
    pub handler: Option<(String, String)>,
    /// The same for its validator function.
    pub validator: Option<(String, String)>,
    /// Its options.
    pub options: Vec<(String, String)>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// Whether it publishes all tables, including future ones.
    pub all_tables: bool,
    /// What it publishes: `insert`, `update`, `delete`, `truncate`.
    pub actions: Vec<String>,
    /// Whether partitions appear as their root.
    pub via_root: bool,
}

/// One setting of the database or of every database, for all roles or for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The role.
    pub role: Option<String>,
    /// Whether it applies to every database of the server.
    pub everywhere: bool,
    /// The setting's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether any user may set it, without loading a library or changing the role.
    pub harmless: bool,
}

impl Setting {
    /// Its scope within one database: `work_mem of role app`.
    pub fn title(&self) -> String {
        match &self.role {
            None => format!("{} of the database", self.name),
            Some(role) => format!("{} of role {role}", self.name),
        }
    }

    /// Its scope on the server: `work_mem of every role in every database`.
    pub fn place(&self) -> String {
        match (self.everywhere, &self.role) {
            (false, _) => self.title(),
            (true, None) => format!("{} of every role in every database", self.name),
            (true, Some(_)) => format!("{} in every database", self.title()),
        }
    }
}

/// The settings in effect in the database: its own override those of every database (PostgreSQL documentation, ALTER
/// ROLE).
pub fn in_force(settings: Vec<Setting>) -> Vec<Setting> {
    let own = settings.iter().filter(|setting| !setting.everywhere).map(Setting::title).collect::<BTreeSet<_>>();
    settings.into_iter().filter(|setting| !setting.everywhere || !own.contains(&setting.title())).collect()
}

/// Reads all of it.
pub fn special(client: &mut impl GenericClient) -> Result<SuperuserObjects, PgError> {
    read(client)
        .map_err(|error| PgError::statement("reading extensions, event triggers, publications, settings", &error))
}

fn read(client: &mut impl GenericClient) -> Result<SuperuserObjects, postgres::Error> {
    let mut special = SuperuserObjects::default();
    let sql = "SELECT o.extname::text, n.nspname::text, o.extversion, \
               pg_catalog.obj_description(o.oid, 'pg_extension') FROM pg_catalog.pg_extension o \
               JOIN pg_catalog.pg_namespace n ON n.oid = o.extnamespace WHERE o.extname <> 'plpgsql' ORDER BY o.oid";
    for row in client.query(sql, &[])? {
        let name = row.try_get(0)?;
        let schema = row.try_get(1)?;
        let version = row.try_get(2)?;
        let comment = row.try_get(3)?;
        special.extensions.push(Extension { name, schema, version, comment });
    }
    let sql = format!(
        "SELECT o.evtname::text, o.evtevent::text, o.evtenabled::text, coalesce(o.evttags, '{{}}'), n.nspname::text, \
         p.proname::text, pg_catalog.obj_description(o.oid, 'pg_event_trigger') FROM pg_catalog.pg_event_trigger o \
         JOIN pg_catalog.pg_proc p ON p.oid = o.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE {} ORDER BY 1",
        // An extension creates its own.
        without_schema("pg_event_trigger")
    );
    for row in client.query(&sql, &[])? {
        special.event_triggers.push(EventTrigger {
            name: row.try_get(0)?,
            event: row.try_get(1)?,
            enabled: row.try_get(2)?,
            tags: row.try_get(3)?,
            function_schema: row.try_get(4)?,
            function: row.try_get(5)?,
            comment: row.try_get(6)?,
        });
    }
    let sql = "SELECT pubname::text, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot \
               FROM pg_catalog.pg_publication ORDER BY 1";
    for row in client.query(sql, &[])? {
        let mut actions = Vec::new();
        for (at, action) in (2_usize..).zip(["insert", "update", "delete", "truncate"]) {
            if row.try_get(at)? {
                actions.push(action.to_owned());
            }
        }
        let name = row.try_get(0)?;
        let all_tables = row.try_get(1)?;
        let via_root = row.try_get(6)?;
        special.publications.push(Publication { name, all_tables, actions, via_root });
    }
    special.published_schemas = published_schemas(client)?;
    special.leakproof = leakproof(client)?;
    special.supports = supports(client)?;
    special.wrappers = wrappers(client)?;
    let shells = format!(
        "SELECT n.nspname || '.' || o.typname FROM pg_catalog.pg_type o {} AND NOT o.typisdefined",
        own("pg_type", "typnamespace")
    );
    special.shells = client.query(&shells, &[])?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let rows = client.query(&system_triggers(), &[])?;
    special.system_triggers =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, postgres::Error>>()?;
    special.settings = read_settings(client)?;
    special.large_object_comments = large_object_comments(client)?;
    special.named = named(client)?;
    Ok(special)
}

fn published_schemas(client: &mut impl GenericClient) -> Result<Vec<(String, String)>, postgres::Error> {
    // From version 15 on.
    let sql = "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL";
    if !client.query_one(sql, &[])?.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT o.pubname::text, n.nspname::text FROM pg_catalog.pg_publication_namespace p \
               JOIN pg_catalog.pg_publication o ON o.oid = p.pnpubid \
               JOIN pg_catalog.pg_namespace n ON n.oid = p.pnnspid ORDER BY 1, 2";
    client.query(sql, &[])?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn leakproof(client: &mut impl GenericClient) -> Result<Vec<Routine>, postgres::Error> {
    let sql = format!(
        "SELECT n.nspname::text, o.proname::text, pg_catalog.pg_get_function_identity_arguments(o.oid) \
         FROM pg_catalog.pg_proc o {} AND o.proleakproof ORDER BY 1, 2, 3",
        own("pg_proc", "pronamespace")
    );
    let routine = |row: &postgres::Row| {
        Ok(Routine { schema: row.try_get(0)?, name: row.try_get(1)?, arguments: row.try_get(2)? })
    };
    client.query(&sql, &[])?.iter().map(routine).collect()
}

fn supports(client: &mut impl GenericClient) -> Result<Vec<Support>, postgres::Error> {
    let sql = format!(
        "SELECT n.nspname::text, o.proname::text, pg_catalog.pg_get_function_identity_arguments(o.oid), sn.nspname::text, \
         s.proname::text FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_proc s ON s.oid = o.prosupport \
         JOIN pg_catalog.pg_namespace sn ON sn.oid = s.pronamespace {} ORDER BY 1, 2, 3",
        own("pg_proc", "pronamespace")
    );
    let support = |row: &postgres::Row| {
        let routine = Routine { schema: row.try_get(0)?, name: row.try_get(1)?, arguments: row.try_get(2)? };
        Ok(Support { routine, schema: row.try_get(3)?, name: row.try_get(4)? })
    };
    client.query(&sql, &[])?.iter().map(support).collect()
}

fn wrappers(client: &mut impl GenericClient) -> Result<Vec<Wrapper>, postgres::Error> {
    let sql = format!(
        "SELECT o.fdwname::text, hn.nspname::text, h.proname::text, vn.nspname::text, v.proname::text, \
         coalesce(o.fdwoptions, '{{}}') FROM pg_catalog.pg_foreign_data_wrapper o \
         LEFT JOIN pg_catalog.pg_proc h ON h.oid = o.fdwhandler LEFT JOIN pg_catalog.pg_namespace hn ON hn.oid = h.pronamespace \
         LEFT JOIN pg_catalog.pg_proc v ON v.oid = o.fdwvalidator \
         LEFT JOIN pg_catalog.pg_namespace vn ON vn.oid = v.pronamespace WHERE {} ORDER BY 1",
        without_schema("pg_foreign_data_wrapper")
    );
    let wrapper = |row: &postgres::Row| {
        let function = |at: usize| {
            let schema: Option<String> = row.try_get(at)?;
            Ok::<_, postgres::Error>(schema.zip(row.try_get(at + 1)?))
        };
        let options: Vec<String> = row.try_get(5)?;
        let pair = |option: &String| option.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = options.iter().filter_map(pair).collect();
        Ok(Wrapper { name: row.try_get(0)?, handler: function(1)?, validator: function(3)?, options })
    };
    client.query(&sql, &[])?.iter().map(wrapper).collect()
}

/// All settings for this database or for every database.
pub fn settings(client: &mut impl GenericClient) -> Result<Vec<Setting>, PgError> {
    read_settings(client).map_err(|error| PgError::statement("reading the settings of database and roles", &error))
}

fn read_settings(client: &mut impl GenericClient) -> Result<Vec<Setting>, postgres::Error> {
    let sql = "SELECT r.rolname::text, s.setdatabase = 0, split_part(c.setting, '=', 1), \
               substr(c.setting, strpos(c.setting, '=') + 1), coalesce(g.context = 'user' \
               AND g.name !~ '_libraries$' AND g.name NOT IN ('role', 'session_authorization'), \
               strpos(split_part(c.setting, '=', 1), '.') > 0) \
               FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, \
               LATERAL unnest(s.setconfig) WITH ORDINALITY c (setting, at) \
               LEFT JOIN pg_catalog.pg_settings g ON g.name = split_part(c.setting, '=', 1) \
               WHERE s.setdatabase = 0 OR s.setdatabase = \
               (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
               ORDER BY 1, 2, c.at";
    let setting = |row: &postgres::Row| {
        Ok(Setting {
            role: row.try_get(0)?,
            everywhere: row.try_get(1)?,
            name: row.try_get(2)?,
            value: row.try_get(3)?,
            harmless: row.try_get(4)?,
        })
    };
    client.query(sql, &[])?.iter().map(setting).collect()
}

fn large_object_comments(client: &mut impl GenericClient) -> Result<Vec<(u32, String)>, postgres::Error> {
    let sql = "SELECT d.objoid, d.description FROM pg_catalog.pg_description d \
               WHERE d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass ORDER BY 1";
    client.query(sql, &[])?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_the_database_outranks_one_of_every_database() {
        let setting = |role: Option<&str>, everywhere, value: &str| Setting {
            role: role.map(str::to_owned),
            everywhere,
            name: "work_mem".to_owned(),
            value: value.to_owned(),
            harmless: true,
        };
        let all = vec![
            setting(None, true, "1"),
            setting(Some("a"), true, "2"),
            setting(Some("a"), false, "3"),
            setting(Some("b"), true, "4"),
        ];
        let values: Vec<_> = in_force(all).into_iter().map(|one| (one.place(), one.value)).collect();
        let expected = [
            ("work_mem of every role in every database", "1"),
            ("work_mem of role a", "3"),
            ("work_mem of role b in every database", "4"),
        ];
        assert_eq!(values, expected.map(|(place, value)| (place.to_owned(), value.to_owned())));
    }
}
