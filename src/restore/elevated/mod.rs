//! What only the managed cluster's superuser can create: extensions, event triggers, publications of all tables and of
//! schemas, LEAKPROOF functions, how the triggers of constraints fire, and settings of the database.
//!
//! None of the source's text is run with these rights except what `definitions` allows: every other statement is built
//! here, from quoted names and listed keywords. What the source doesn't have is not created, nor what
//! is not on the list.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use super::refused::RefusedStatement;
use crate::pg::{
    Address, PgError,
    catalog::special::{EventTrigger, Publication, Routine, Setting, SuperuserObjects, each_system_trigger},
    name::{literal, quoted},
};

pub(crate) mod definitions;
pub(crate) mod extensions;

/// Custom settings with this prefix belong to procedural languages, some of them are code that runs when the language is
/// first used (PostgreSQL documentation, `plperl.on_plperl_init`, `pltcl.start_proc`); `plpgsql` has none of that kind.
const LANGUAGES: &str = "pl";
/// Allowed events of an event trigger. A trigger on `login` would run at the next login of a superuser.
const EVENTS: [&str; 4] = ["ddl_command_start", "ddl_command_end", "table_rewrite", "sql_drop"];

/// The restored database, as the cluster's superuser, or as the only login of a user's server.
pub struct SuperuserSession {
    client: Client,
    owner: String,
}

impl SuperuserSession {
    /// `admin` is the restored database's address; `owner` owns what is restored.
    pub fn connect(admin: &Address, owner: &str) -> Result<Self, PgError> {
        Ok(SuperuserSession { client: admin.connect()?, owner: owner.to_owned() })
    }

    /// Retries what the restricted owner was refused; returns what is finally refused.
    pub fn mend(
        &mut self,
        refused: Vec<RefusedStatement>,
        special: &SuperuserObjects,
        made: &BTreeSet<String>,
    ) -> Result<Vec<RefusedStatement>, PgError> {
        let mut left = Vec::new();
        for statement in refused {
            let words: Vec<_> = statement.object.split(' ').collect();
            let mended = match words[..] {
                ["EXTENSION", name, ..] | ["COMMENT", "EXTENSION", name, ..] => made.contains(name),
                // They come last, see `event_triggers`.
                ["EVENT", "TRIGGER", ..] => true,
                ["PUBLICATION", "TABLES", "IN", "SCHEMA", ..] => {
                    self.publish_schema(&special.published_schemas, &statement.object)?
                }
                ["PUBLICATION", ..] => self.publication(&special.publications, &statement.object)?,
                _ => false,
            };
            if !mended {
                left.push(statement);
            }
        }
        Ok(left)
    }

    /// Creates the publication of the archive's entry, if it needs a superuser.
    fn publication(&mut self, all: &[Publication], entry: &str) -> Result<bool, PgError> {
        let rest = entry.strip_prefix("PUBLICATION ").unwrap_or_default();
        let about = all.iter().find(|one| rest.strip_prefix(&one.name).is_some_and(|rest| rest.starts_with(' ')));
        match about.and_then(publication) {
            Some(sql) => self.run(&sql),
            None => Ok(false),
        }
    }

    /// Publishes the schema of the archive's entry.
    fn publish_schema(&mut self, all: &[(String, String)], entry: &str) -> Result<bool, PgError> {
        let rest = entry.strip_prefix("PUBLICATION TABLES IN SCHEMA ").unwrap_or_default();
        let about = all.iter().find(|(publication, schema)| rest.starts_with(&format!("{publication} {schema} ")));
        match about {
            Some((publication, schema)) => {
                self.run(&format!("ALTER PUBLICATION {} ADD TABLES IN SCHEMA {}", quoted(publication), quoted(schema)))
            }
            None => Ok(false),
        }
    }

    /// Marks functions LEAKPROOF that were restored without it, see `restore::script`. A missing one is
    /// found by the comparison.
    pub fn leakproof(&mut self, special: &SuperuserObjects) -> Result<(), PgError> {
        let sql = "SELECT concat(p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc p \
                   JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1::text \
                   AND p.proname = $2::text AND pg_catalog.pg_get_function_identity_arguments(p.oid) = $3 \
                   AND NOT p.proleakproof";
        for Routine { schema, name, arguments } in &special.leakproof {
            let failed = |error| PgError::statement("looking for a leakproof function", &error);
            // The target's own definition, never the source's.
            for row in self.client.query(sql, &[schema, name, arguments]).map_err(failed)? {
                let function: String = row.try_get(0).map_err(failed)?;
                self.run(&format!("ALTER ROUTINE {function} LEAKPROOF"))?;
            }
        }
        Ok(())
    }

    /// Lets the triggers of constraints fire as they do at the source.
    pub fn system_triggers(&mut self, special: &SuperuserObjects) -> Result<(), PgError> {
        if special.system_triggers.is_empty() {
            return Ok(());
        }
        let failed = |error| PgError::statement("looking for the triggers of constraints", &error);
        let sql =
            format!("SELECT title, relation, name FROM ({}) s ORDER BY title, kind, function", each_system_trigger());
        let mut by_title: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for row in self.client.query(&sql, &[]).map_err(failed)? {
            let title = row.try_get(0).map_err(failed)?;
            let trigger = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
            by_title.entry(title).or_default().push(trigger);
        }
        for (title, states) in &special.system_triggers {
            let triggers = by_title.get(title).filter(|triggers| triggers.len() == states.len());
            for ((relation, name), state) in triggers.into_iter().flatten().zip(states.chars()) {
                if let Some(verb) = firing(state) {
                    self.run(&format!("ALTER TABLE ONLY {relation} {verb} TRIGGER {}", quoted(name)))?;
                }
            }
        }
        Ok(())
    }

    /// Creates event triggers; returns those that can't be. Nothing may be defined in the database with a superuser's
    /// rights after this: their functions are the source's code, and run on every definition.
    pub fn event_triggers(mut self, special: &SuperuserObjects) -> Result<Vec<RefusedStatement>, PgError> {
        let mut refused = Vec::new();
        for trigger in &special.event_triggers {
            let reason = match event_trigger(trigger) {
                Some(sql) => self.refused(&sql)?,
                None => Some(format!("it waits for {}, which is not carried", trigger.event)),
            };
            let object = format!("event trigger {}", trigger.name);
            refused.extend(reason.map(|reason| RefusedStatement::of(object, reason)));
        }
        Ok(refused)
    }

    /// Whether a statement was accepted; only a lost server is an error.
    fn run(&mut self, sql: &str) -> Result<bool, PgError> {
        let refused = self.refused(sql)?;
        if let Some(reason) = &refused {
            tracing::warn!(reason, "a superuser's statement was refused");
        }
        Ok(refused.is_none())
    }

    /// Why a statement was refused, if so; only a lost server is an error.
    fn refused(&mut self, sql: &str) -> Result<Option<String>, PgError> {
        match self.client.batch_execute(sql) {
            Ok(()) => Ok(None),
            Err(error) if crate::pg::error::connection_lost(&error) => {
                Err(PgError::statement("making what needs a superuser", &error))
            }
            Err(error) => Ok(Some(crate::pg::error::reason(&error))),
        }
    }

    /// Restores the settings of the source's database; returns what is not copied.
    ///
    /// The value is set in this session and read from there, so that it is never part of a statement.
    pub fn settings(
        &mut self,
        special: &SuperuserObjects,
        on_target: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<Setting>, PgError> {
        let database = self.database()?;
        let mut left = Vec::new();
        for setting in &special.settings {
            let place = match &setting.role {
                None => Some(format!("DATABASE {}", quoted(&database))),
                Some(role) => {
                    on_target(role).map(|role| format!("ROLE {} IN DATABASE {}", quoted(&role), quoted(&database)))
                }
            };
            let set = match place.filter(|_| setting.harmless) {
                Some(place) if self.is_harmless(&setting.name)? => self.set(&place, setting)?,
                _ => false,
            };
            if !set {
                left.push(setting.clone());
            }
        }
        Ok(left)
    }

    /// Whether every role may set it, without loading or running anything: the source is not trusted for that.
    fn is_harmless(&mut self, name: &str) -> Result<bool, PgError> {
        let sql = "SELECT context = 'user' AND name !~ '_libraries$' AND name NOT IN ('role', 'session_authorization') \
                   FROM pg_catalog.pg_settings WHERE lower(name) = lower($1)";
        let failed = |error| PgError::statement("asking who may set what the database sets", &error);
        match self.client.query_opt(sql, &[&name]).map_err(failed)? {
            Some(row) => row.try_get(0).map_err(failed),
            None => Ok(is_plain_custom(name)),
        }
    }

    /// In one transaction: a setting must not affect its own storing, as `default_transaction_read_only` would.
    fn set(&mut self, place: &str, setting: &Setting) -> Result<bool, PgError> {
        let name = setting.name.split('.').map(quoted).collect::<Vec<_>>().join(".");
        let set = self.client.transaction().and_then(|mut transaction| {
            let sql = "SELECT pg_catalog.set_config($1, $2, false)";
            transaction.execute(sql, &[&setting.name, &setting.value])?;
            transaction.batch_execute(&format!("ALTER {place} SET {name} FROM CURRENT"))?;
            transaction.commit()
        });
        let pinned = self.client.batch_execute(&crate::pg::session::statements());
        pinned.map_err(|error| PgError::statement("pinning the session's settings", &error))?;
        match set {
            Err(error) if crate::pg::error::connection_lost(&error) => {
                Err(PgError::statement("setting what the database sets", &error))
            }
            set => Ok(set.is_ok()),
        }
    }

    fn database(&mut self) -> Result<String, PgError> {
        let failed = |error| PgError::statement("asking for the database's name", &error);
        self.client.query_one("SELECT current_database()::text", &[]).map_err(failed)?.try_get(0).map_err(failed)
    }
}

/// The statement that changes how a trigger fires (PostgreSQL documentation, `pg_trigger.tgenabled`).
fn firing(state: char) -> Option<&'static str> {
    match state {
        'D' => Some("DISABLE"),
        'R' => Some("ENABLE REPLICA"),
        'A' => Some("ENABLE ALWAYS"),
        _ => None,
    }
}

/// Whether a setting that no module has defined yet belongs to no procedural language.
fn is_plain_custom(name: &str) -> bool {
    let prefix = name.split_once('.').map(|(prefix, _)| prefix.to_ascii_lowercase());
    prefix.is_some_and(|prefix| prefix == "plpgsql" || !prefix.starts_with(LANGUAGES))
}

fn event_trigger(trigger: &EventTrigger) -> Option<String> {
    let event = EVENTS.iter().find(|event| **event == trigger.event)?;
    let tags: Vec<_> = trigger.tags.iter().map(|tag| literal(tag)).collect();
    let when = if tags.is_empty() { String::new() } else { format!(" WHEN TAG IN ({})", tags.join(", ")) };
    let name = quoted(&trigger.name);
    let state = match trigger.enabled.as_str() {
        "D" => format!("; ALTER EVENT TRIGGER {name} DISABLE"),
        "R" => format!("; ALTER EVENT TRIGGER {name} ENABLE REPLICA"),
        "A" => format!("; ALTER EVENT TRIGGER {name} ENABLE ALWAYS"),
        _ => String::new(),
    };
    let function = format!("{}.{}", quoted(&trigger.function_schema), quoted(&trigger.function));
    let comment = trigger.comment.iter().map(|text| format!("; COMMENT ON EVENT TRIGGER {name} IS {}", literal(text)));
    let comment = comment.collect::<String>();
    Some(format!("CREATE EVENT TRIGGER {name} ON {event}{when} EXECUTE FUNCTION {function}(){state}{comment}"))
}

fn publication(publication: &Publication) -> Option<String> {
    if !publication.all_tables {
        return None;
    }
    let actions: Vec<_> = publication.actions.iter().map(String::as_str).collect();
    let actions =
        actions.iter().all(|action| ["insert", "update", "delete", "truncate"].contains(action)).then_some(actions)?;
    let name = quoted(&publication.name);
    let root = publication.via_root;
    Some(format!(
        "CREATE PUBLICATION {name} FOR ALL TABLES WITH (publish = '{}', publish_via_partition_root = {root})",
        actions.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::is_plain_custom;

    #[test]
    fn settings_that_a_language_would_run_are_not_carried() {
        for name in ["plperl.on_plperl_init", "PLtcl.start_proc", "plv8.start_proc", "nodot"] {
            assert!(!is_plain_custom(name), "{name}");
        }
        for name in ["app.tenant", "plpgsql.extra_warnings", "pg_trgm.similarity_threshold"] {
            assert!(is_plain_custom(name), "{name}");
        }
    }
}
