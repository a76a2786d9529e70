//! What copying a database would take: tables, rows as the planner estimates them, bytes on the source's disk.

use crate::{
    asset::{
        measured::{Measured, SpaceNeeded},
        seam::obstacle,
    },
    domain::event::AssetKind,
    pg::{Address, PgError},
    playbook::{DatabaseSpec, PostgresTarget},
    provider::postgres::PostgresSource,
    record::error::Obstacle,
    words,
};

/// Indexes and the write-ahead log of a managed cluster, in percent of its tables.
const CLUSTER_PERCENT: u64 = 200;

/// Queries the server. Blocks.
pub(crate) fn of(asset: &str, spec: &DatabaseSpec, address: Address) -> Result<Measured, Obstacle> {
    let source = PostgresSource::new(address);
    let failed = |error: PgError| obstacle(asset, &error, error.hint());
    let (facts, unreadable) = source.probe().map_err(failed)?;
    let excluded = |name: &str| {
        spec.exclude_tables.iter().any(|table| format!("{}.{}", table.name.schema(), table.name.table()) == name)
    };
    let mut tables = source.tables().map_err(failed)?;
    tables.retain(|table| !excluded(&table.name.to_string()));
    let mut remarks = vec![format!("PostgreSQL {}; rows are the planner's estimate", facts.version)];
    remarks.extend(unreadable.iter().map(|name| format!("cannot be read whole: {name}")));
    remarks.extend(facts.not_carried.iter().map(|what| format!("not carried: {what}")));
    if facts.large_objects > 0 {
        remarks.push(words::count(facts.large_objects, "large object", "large objects"));
    }
    if facts.unreadable_large_objects.count > 0 {
        let unreadable = words::count(facts.unreadable_large_objects.count, "large object", "large objects");
        remarks.push(format!("cannot be read by this login: {unreadable}; grant SELECT on them"));
    }
    Ok(Measured {
        id: asset.to_owned(),
        kind: AssetKind::Postgres,
        source: source.address().to_string(),
        items: tables.iter().filter_map(|table| table.rows_estimate).sum(),
        bytes: tables.iter().map(|table| table.bytes_on_disk).sum(),
        units: tables.len() as u64,
        remarks,
        size_unknown: false,
        objects: None,
    })
}

/// The space that a database of this size takes. Exports are compressed, by a ratio not known in advance.
pub(crate) fn space_needed(bytes: u64, target: Option<&PostgresTarget>) -> SpaceNeeded {
    let databases = match target {
        Some(PostgresTarget::Managed) => {
            u64::try_from(u128::from(bytes) * u128::from(CLUSTER_PERCENT) / 100).unwrap_or(u64::MAX)
        }
        Some(PostgresTarget::Url { .. }) | None => 0,
    };
    SpaceNeeded { databases, exports: bytes, ..SpaceNeeded::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_managed_cluster_lies_here_and_another_server_elsewhere() {
        let gib = 1 << 30;
        let managed = space_needed(gib, Some(&PostgresTarget::Managed));
        assert_eq!((managed.databases, managed.exports), (2 * gib, gib));
        assert_eq!(space_needed(gib, None), SpaceNeeded { exports: gib, ..SpaceNeeded::default() });
    }
}
