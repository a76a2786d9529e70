//! `target.free_space`: whether the target has room for what `walkaway plan` expects, asked before a byte moves.
//!
//! An estimate with a reserve, from the source's own numbers. What is restored into other servers lies where nobody can be
//! asked for room; only what passes through this machine is counted then.

use std::{io, path::Path};

use super::survey::SurveyedAsset;
use crate::{
    account::identity::Answer,
    asset::bucket::carry::UNITS_IN_FLIGHT,
    playbook::{AssetKind, Layout, Playbook, PostgresTarget, RdsMethodSpec, Server},
    transfer::unit::UNIT_BYTES_MAX,
    words::size,
};

/// So much room is asked for, in percent of what is expected.
const RESERVE_PERCENT: u64 = 120;
/// What an object costs beside its bytes: the rest of its last block, its directory entry, or the headers of its member.
const OBJECT_OVERHEAD_BYTES: u64 = 4 << 10;
/// What the record of an object takes, in the run's state and in the bundle together.
const RECORD_BYTES: u64 = 3 << 10;
/// Indexes and the write-ahead log of a managed cluster, in percent of its tables.
const CLUSTER_PERCENT: u64 = 200;
/// Units of the largest kind that lie in staging at once on their way to another server.
const UNITS_STAGED: u64 = UNITS_IN_FLIGHT as u64;

/// Bytes that are expected at the target, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Need {
    objects: u64,
    databases: u64,
    exports: u64,
    records: u64,
}

/// Whether there is room for these assets.
pub(crate) fn answer(playbook: &Playbook, surveyed: &[SurveyedAsset]) -> Answer {
    let asset_of = |id: &str| playbook.assets().iter().find(|asset| asset.id.as_str() == id);
    let unmeasured = |id: &str| asset_of(id).is_some_and(|asset| cannot_be_measured(&asset.kind));
    let unknown = surveyed.iter().find(|surveyed| surveyed.bytes == 0 && unmeasured(&surveyed.id));
    if let Some(unknown) = unknown {
        return Answer::new(None, format!("{}: its provider does not say how large it is", unknown.id));
    }
    let need = surveyed.iter().fold(Need::default(), |need, asset| need.and(of_asset(playbook, asset)));
    let path = &playbook.target().path;
    match free_bytes(path) {
        Ok(free) => need.held_against(free, path),
        Err(error) => Answer::new(None, format!("the file system of {}: {error}", path.display())),
    }
}

fn of_asset(playbook: &Playbook, surveyed: &SurveyedAsset) -> Need {
    let asset = playbook.assets().iter().find(|asset| asset.id.as_str() == surveyed.id);
    match asset.map(|asset| &asset.kind) {
        Some(AssetKind::Objects(bucket)) => {
            let share = bucket.sample.map_or(1_000_000, |sample| sample.share.per_million());
            let part = |whole: u64| u64::try_from(u128::from(whole) * u128::from(share) / 1_000_000).unwrap_or(whole);
            let largest = surveyed.objects.as_ref().map_or(0, |objects| objects.largest_max());
            of_bucket(bucket.layout, part(surveyed.items), part(surveyed.bytes), largest)
        }
        Some(AssetKind::Database(_)) => of_database(playbook.target().postgres.as_ref(), surveyed.bytes),
        None => Need::default(),
    }
}

/// Of a snapshot nothing is known but what is allotted, and of Aurora's not even that.
fn cannot_be_measured(kind: &AssetKind) -> bool {
    let AssetKind::Database(spec) = kind else { return false };
    matches!(&spec.server, Server::Rds(rds) if !matches!(rds.method, RdsMethodSpec::Live { .. }))
}

/// `largest`: no object has more bytes.
fn of_bucket(layout: Layout, objects: u64, bytes: u64, largest: u64) -> Need {
    let lying = match layout {
        Layout::Tree | Layout::Tar => bytes.saturating_add(objects.saturating_mul(OBJECT_OVERHEAD_BYTES)),
        Layout::S3 => bytes.min(UNIT_BYTES_MAX.max(largest).saturating_mul(UNITS_STAGED)),
    };
    Need { objects: lying, records: objects.saturating_mul(RECORD_BYTES), ..Need::default() }
}

/// Exports are compressed, by how much nobody knows before.
fn of_database(target: Option<&PostgresTarget>, bytes: u64) -> Need {
    let databases = match target {
        Some(PostgresTarget::Managed) => percent(bytes, CLUSTER_PERCENT),
        Some(PostgresTarget::Url { .. }) | None => 0,
    };
    Need { databases, exports: bytes, ..Need::default() }
}

fn percent(number: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

impl Need {
    fn and(self, other: Need) -> Need {
        Need {
            objects: self.objects.saturating_add(other.objects),
            databases: self.databases.saturating_add(other.databases),
            exports: self.exports.saturating_add(other.exports),
            records: self.records.saturating_add(other.records),
        }
    }

    fn parts(self) -> [(&'static str, u64); 4] {
        [
            ("objects", self.objects),
            ("databases", self.databases),
            ("exports of databases", self.exports),
            ("records", self.records),
        ]
    }

    fn held_against(self, free: u64, path: &Path) -> Answer {
        let parts = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        let told: Vec<_> = parts.map(|(what, bytes)| format!("{what} {}", size(bytes))).collect();
        let wanted =
            percent(self.parts().into_iter().fold(0, |sum, (_, bytes)| sum.saturating_add(bytes)), RESERVE_PERCENT);
        let reserve = RESERVE_PERCENT - 100;
        let because = format!(
            "{} are free at {}, {} are wanted: {} and a reserve of {reserve} %",
            size(free),
            path.display(),
            size(wanted),
            if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
        );
        Answer::new(Some(free >= wanted), because)
    }
}

/// What an ordinary user may still write on the file system of the path, or of what there is above it.
fn free_bytes(path: &Path) -> io::Result<u64> {
    let there = path.ancestors().find(|above| above.exists()).unwrap_or(path);
    let told = rustix::fs::statvfs(there)?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn room_is_held_against_what_is_expected_and_a_reserve() {
        let need = of_bucket(Layout::Tree, 0, 100 * GIB, 0);
        let path = Path::new("/srv/exit");
        assert_eq!(need.held_against(120 * GIB, path).holds, Some(true));
        let short = need.held_against(119 * GIB, path);
        assert_eq!(short.holds, Some(false));
        for words in ["119 GiB", "120 GiB", "100 GiB", "/srv/exit", "20 %"] {
            assert!(short.because.contains(words), "{words}: {}", short.because);
        }
    }

    #[test]
    fn small_objects_need_more_than_their_bytes() {
        let need = of_bucket(Layout::Tar, 1_000_000, 1_000_000, 0);
        assert!(need.objects > 4 * GIB - GIB / 2 && need.records > 2 * GIB, "{need:?}");
    }

    #[test]
    fn what_goes_elsewhere_needs_no_room_here_but_on_its_way() {
        assert_eq!(of_bucket(Layout::S3, 0, 100 * GIB, GIB / 2).objects, 3 * GIB);
        assert_eq!(of_bucket(Layout::S3, 0, 500 * GIB, 100 * GIB).objects, 300 * GIB, "large objects are staged whole");
        let managed = of_database(Some(&PostgresTarget::Managed), GIB);
        assert_eq!((managed.databases, managed.exports), (2 * GIB, GIB));
        assert_eq!(of_database(None, GIB), Need { exports: GIB, ..Need::default() });
    }

    #[test]
    fn a_path_that_is_not_there_yet_lies_on_the_file_system_above_it() {
        let dir = tempfile::tempdir().expect("directory");
        assert!(free_bytes(&dir.path().join("a/b/c")).expect("told") > 0);
    }
}
