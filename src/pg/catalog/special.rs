//! What a restricted owner can't make by itself, in parts that can be put together again: extensions, event triggers,
//! publications of all tables, settings of the database. And the names of what is not carried at all.

use postgres::GenericClient;

use super::FIRST_OWN;
use crate::pg::error::PgError;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// The extensions.
    pub extensions: Vec<Extension>,
    /// The event triggers.
    pub event_triggers: Vec<EventTrigger>,
    /// The publications.
    pub publications: Vec<Publication>,
    /// What the database sets for its sessions.
    pub settings: Vec<Setting>,
    /// Subscriptions and user mappings, which hold secrets of other servers.
    pub secrets: Vec<String>,
}

/// An extension and where its objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The schema.
    pub schema: String,
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
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// Whether it publishes every table there will be.
    pub all_tables: bool,
    /// What it publishes: `insert`, `update`, `delete`, `truncate`.
    pub actions: Vec<String>,
    /// Whether partitions appear as their root.
    pub via_root: bool,
}

/// One setting of the database, for everybody or for one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The role.
    pub role: Option<String>,
    /// The setting's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether any user may set it, and nothing is loaded by it and nobody becomes somebody else.
    pub harmless: bool,
}

/// Reads all of it.
pub fn special(client: &mut impl GenericClient) -> Result<Special, PgError> {
    read(client)
        .map_err(|error| PgError::statement("reading extensions, event triggers, publications, settings", &error))
}

fn read(client: &mut impl GenericClient) -> Result<Special, postgres::Error> {
    let mut special = Special::default();
    let sql = "SELECT o.extname::text, n.nspname::text FROM pg_catalog.pg_extension o \
               JOIN pg_catalog.pg_namespace n ON n.oid = o.extnamespace WHERE o.extname <> 'plpgsql' ORDER BY o.oid";
    for row in client.query(sql, &[])? {
        special.extensions.push(Extension { name: row.try_get(0)?, schema: row.try_get(1)? });
    }
    let sql = format!(
        "SELECT o.evtname::text, o.evtevent::text, o.evtenabled::text, coalesce(o.evttags, '{{}}'), n.nspname::text, \
         p.proname::text FROM pg_catalog.pg_event_trigger o JOIN pg_catalog.pg_proc p ON p.oid = o.evtfoid \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE o.oid >= {FIRST_OWN} ORDER BY 1"
    );
    for row in client.query(&sql, &[])? {
        special.event_triggers.push(EventTrigger {
            name: row.try_get(0)?,
            event: row.try_get(1)?,
            enabled: row.try_get(2)?,
            tags: row.try_get(3)?,
            function_schema: row.try_get(4)?,
            function: row.try_get(5)?,
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
        let (name, all_tables, via_root) = (row.try_get(0)?, row.try_get(1)?, row.try_get(6)?);
        special.publications.push(Publication { name, all_tables, actions, via_root });
    }
    special.settings = settings(client)?;
    special.secrets = secrets(client)?;
    Ok(special)
}

fn settings(client: &mut impl GenericClient) -> Result<Vec<Setting>, postgres::Error> {
    let sql = "SELECT r.rolname::text, split_part(c.setting, '=', 1), \
               substr(c.setting, strpos(c.setting, '=') + 1), coalesce(g.context = 'user' \
               AND g.name !~ '_libraries$' AND g.name NOT IN ('role', 'session_authorization'), \
               strpos(split_part(c.setting, '=', 1), '.') > 0) \
               FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, \
               LATERAL unnest(s.setconfig) WITH ORDINALITY c (setting, at) \
               LEFT JOIN pg_catalog.pg_settings g ON g.name = split_part(c.setting, '=', 1) \
               WHERE s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
               ORDER BY 1, c.at";
    let setting = |row: &postgres::Row| {
        Ok(Setting { role: row.try_get(0)?, name: row.try_get(1)?, value: row.try_get(2)?, harmless: row.try_get(3)? })
    };
    client.query(sql, &[])?.iter().map(setting).collect()
}

/// Names only: connections and passwords are not read.
fn secrets(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let sql = "SELECT 'subscription ' || s.subname FROM pg_catalog.pg_subscription s WHERE s.subdbid = \
               (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
               UNION ALL SELECT 'password of the mapping of ' || m.usename || ' on the foreign server ' || m.srvname \
               FROM pg_catalog.pg_user_mappings m ORDER BY 1";
    client.query(sql, &[])?.iter().map(|row| row.try_get(0)).collect()
}
