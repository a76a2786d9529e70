//! `target.free_space`: whether the target has the space that `walkaway plan` expects, checked before the transfer.
//!
//! An estimate with a reserve, from the source's own numbers. The free space of other servers is
//! unknown; only what passes through this machine is counted then.

use std::{io, path::Path, sync::Arc};

use crate::{
    account::identity::Answer,
    asset::{
        measured::{Measured, SpaceNeeded},
        seam::Asset,
    },
    playbook::Playbook,
    words::size,
};

/// The free space that is required, in percent of what is expected.
const RESERVE_PERCENT: u64 = 120;

/// Whether there is space for these assets, each with its measure.
pub(crate) fn answer(playbook: &Playbook, assets: &[Arc<dyn Asset>], measured: &[Measured]) -> Answer {
    if let Some(unknown) = measured.iter().find(|measured| measured.bytes == 0 && measured.size_unknown) {
        return Answer::new(None, format!("{}: its provider does not say how large it is", unknown.id));
    }
    let rooms = assets.iter().zip(measured).map(|(asset, measured)| asset.space_needed(measured, playbook.target()));
    let need = rooms.fold(SpaceNeeded::default(), and);
    let path = &playbook.target().path;
    match free_bytes(path) {
        Ok(free) => held_against(need, free, path),
        Err(error) => Answer::new(None, format!("the file system of {}: {error}", path.display())),
    }
}

fn percent(number: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

fn and(one: SpaceNeeded, other: SpaceNeeded) -> SpaceNeeded {
    SpaceNeeded {
        objects: one.objects.saturating_add(other.objects),
        databases: one.databases.saturating_add(other.databases),
        exports: one.exports.saturating_add(other.exports),
        records: one.records.saturating_add(other.records),
    }
}

fn parts(need: SpaceNeeded) -> [(&'static str, u64); 4] {
    [
        ("objects", need.objects),
        ("databases", need.databases),
        ("exports of databases", need.exports),
        ("records", need.records),
    ]
}

fn held_against(need: SpaceNeeded, free: u64, path: &Path) -> Answer {
    let told: Vec<_> = parts(need).into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    let told: Vec<_> = told.into_iter().map(|(what, bytes)| format!("{what} {}", size(bytes))).collect();
    let wanted = percent(parts(need).into_iter().fold(0, |sum, (_, bytes)| sum.saturating_add(bytes)), RESERVE_PERCENT);
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

/// The space available to an ordinary user on the file system of the path or its nearest existing parent.
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
        let need = SpaceNeeded { objects: 100 * GIB, ..SpaceNeeded::default() };
        let path = Path::new("/srv/exit");
        assert_eq!(held_against(need, 120 * GIB, path).holds, Some(true));
        let short = held_against(need, 119 * GIB, path);
        assert_eq!(short.holds, Some(false));
        for words in ["119 GiB", "120 GiB", "100 GiB", "/srv/exit", "20 %"] {
            assert!(short.because.contains(words), "{words}: {}", short.because);
        }
    }

    #[test]
    fn a_path_that_is_not_there_yet_lies_on_the_file_system_above_it() {
        let dir = tempfile::tempdir().expect("directory");
        assert!(free_bytes(&dir.path().join("a/b/c")).expect("told") > 0);
    }
}
