//! What a look at one database says before anything moves: whether it answers, its rights, version and encoding.

use super::{error::Obstacle, preflight::pg_obstacle, source_rights};
use crate::{
    pg::{Address, session::encoding_refused},
    source::postgres::PostgresSource,
};

/// The newest major versions that this side understands, where they are known.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub tools: Option<u32>,
    pub target: Option<u32>,
}

/// What keeps a database from being read whole.
pub(super) fn look_at_source(subject: &str, address: &Address, limits: Limits) -> Vec<Obstacle> {
    let user = address.user_name().to_owned();
    match PostgresSource::new(address.clone()).probe() {
        Err(error) => vec![pg_obstacle(subject, &error)],
        Ok((facts, unreadable)) => {
            let mut obstacles = Vec::new();
            obstacles.extend(source_rights::of_relations(subject, &user, &unreadable));
            obstacles.extend(source_rights::of_large_objects(subject, &user, &facts.unreadable_large_objects));
            obstacles.extend(version_obstacle(subject, facts.major, limits));
            obstacles.extend(encoding_refused(&facts.encoding).map(|reason| Obstacle {
                what: format!("{subject}: {reason}"),
                hint: Some("convert it to UTF8 at the provider, or carry it with other means".to_owned()),
            }));
            obstacles
        }
    }
}

/// A target or a pg_dump that is older than the source.
pub(super) fn version_obstacle(subject: &str, source: u32, limits: Limits) -> Option<Obstacle> {
    let older = |what: &str, major: u32| Obstacle {
        what: format!("{subject}: the source is PostgreSQL {source}, {what} {major}"),
        hint: Some(format!("install PostgreSQL {source} or later on this side")),
    };
    match limits {
        Limits { target: Some(major), .. } if major < source => Some(older("the target is", major)),
        Limits { tools: Some(major), .. } if major < source => Some(older("the newest pg_dump here is", major)),
        _ => None,
    }
}
