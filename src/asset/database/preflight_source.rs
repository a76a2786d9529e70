//! What the preflight reads of one database: whether it answers, its rights, version and encoding.

use super::{exclusions, source_rights};
use crate::{
    pg::{
        Address, PgError,
        error::{DAMAGED, INVALID, Unreached},
        name::RelationName,
        session::encoding_refused,
        tools::Version,
    },
    provider::postgres::{Listed, PostgresSource},
    record::error::{Obstacle, Unopened},
};

pub(crate) fn pg_obstacle(subject: &str, error: &PgError) -> Obstacle {
    Obstacle { what: format!("{subject}: {error}"), hint: error.hint() }
}

/// The newest versions that this side supports, where they are known.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub tools: Option<Version>,
    pub target: Option<u32>,
}

/// Obstacles to reading a database whole.
pub(crate) fn look_at_source(
    subject: &str,
    address: &Address,
    excluded: &[RelationName],
    limits: Limits,
) -> Result<Vec<Obstacle>, Unopened> {
    let user = address.user_name().to_owned();
    let source = PostgresSource::new(address.clone());
    match source.probe() {
        Err(error) if error.is_of_database() => Err(Unopened(pg_obstacle(subject, &error))),
        Err(error) => match unopened(&error, &source) {
            Some((why, hint)) => {
                Err(Unopened(Obstacle { what: format!("{subject}: {error}; {why}"), hint: Some(hint.to_owned()) }))
            }
            None => Ok(vec![pg_obstacle(subject, &error)]),
        },
        Ok((facts, unreadable)) => {
            let mut obstacles = Vec::new();
            obstacles.extend(source_rights::of_relations(subject, &user, &unreadable));
            obstacles.extend(source_rights::of_large_objects(subject, &user, &facts.unreadable_large_objects));
            obstacles.extend(version_obstacle(subject, Version { major: facts.major, minor: facts.minor }, limits));
            obstacles.extend(encoding_refused(&facts.encoding).map(|reason| Obstacle {
                what: format!("{subject}: {reason}"),
                hint: Some("convert it to UTF8 at the provider, or carry it with other means".to_owned()),
            }));
            obstacles.extend(unmatched_exclusions(subject, &source, excluded)?);
            Ok(obstacles)
        }
    }
}

/// What the server's list of its databases says beside a refusal, and what to do; nothing where the refusal says it all.
fn unopened(error: &PgError, source: &PostgresSource) -> Option<(&'static str, &'static str)> {
    let cause = error.unreached().filter(|cause| matches!(cause, Unreached::Database | Unreached::Closed))?;
    match (cause, source.listed()?) {
        (Unreached::Database, Listed::Whole) => Some(("the server lists it, and its files are gone", DAMAGED)),
        (_, Listed::Invalid) => Some(("an interrupted DROP DATABASE left it behind", INVALID)),
        _ => None,
    }
}

/// Entries of `exclude_tables` that exclude nothing.
fn unmatched_exclusions(
    subject: &str,
    source: &PostgresSource,
    excluded: &[RelationName],
) -> Result<Vec<Obstacle>, Unopened> {
    match source.named(excluded) {
        Err(error) if error.is_of_database() => Err(Unopened(pg_obstacle(subject, &error))),
        Err(error) => Ok(vec![pg_obstacle(subject, &error)]),
        Ok(named) => {
            let unmatched = excluded.iter().zip(named).filter_map(|(name, named)| {
                let reason = exclusions::unmatched(named.as_ref())?;
                let what = format!("{subject}: exclude_tables names {name}: {reason}");
                Some(Obstacle { what, hint: Some(exclusions::UNMATCHED_HINT.to_owned()) })
            });
            Ok(unmatched.collect())
        }
    }
}

/// A target or a pg_dump that is older than the source. A minor release can change what a dump has to leave out: 15.18's
/// pg_dump writes statements of a 15.20 that no server accepts, and every table is lost.
pub(crate) fn version_obstacle(subject: &str, source: Version, limits: Limits) -> Option<Obstacle> {
    let Version { major, .. } = source;
    let older = |what: &str, found: u32| Obstacle {
        what: format!("{subject}: the source is PostgreSQL {major}, {what} {found}"),
        hint: Some(format!("install PostgreSQL {major} or later on this side")),
    };
    match limits {
        Limits { target: Some(target), .. } if target < major => Some(older("the target is", target)),
        Limits { tools: Some(tools), .. } if tools.major < major => {
            Some(older("the newest pg_dump here is", tools.major))
        }
        Limits { tools: Some(tools), .. } if tools.major == major && tools < source => Some(Obstacle {
            what: format!("{subject}: the source is PostgreSQL {source}, the newest pg_dump here is {tools}"),
            hint: Some(format!(
                "install its updates (Debian, Ubuntu: apt-get update && apt-get install --only-upgrade \
                 postgresql-{major} postgresql-client-{major}), or put a newer major version's bin on the PATH"
            )),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_older_than_the_source_are_named_to_the_minor_version() {
        let version = |text| Version::parse(text).expect("a version");
        for (source, tools, target, named) in [
            ("15.20", "15.18", 15, Some("the source is PostgreSQL 15.20, the newest pg_dump here is 15.18")),
            ("16.2", "15.18", 16, Some("the source is PostgreSQL 16, the newest pg_dump here is 15")),
            ("16.2", "16.2", 15, Some("the source is PostgreSQL 16, the target is 15")),
            ("15.20", "15.20", 15, None),
            ("15.9", "15.20", 15, None),
            ("15.20", "18.0", 15, None),
        ] {
            let found = version_obstacle(
                "asset a",
                version(source),
                Limits { tools: Some(version(tools)), target: Some(target) },
            );
            let what = found.map(|obstacle| obstacle.what);
            assert_eq!(what, named.map(|named| format!("asset a: {named}")), "{source} {tools} {target}");
        }
    }
}
