//! Reads the duration of each unit and the pace of the run from the journal.
//!
//! Units of an asset overlap, so what is measured is the time from the end of one unit to the end of the next: those
//! intervals add up to the wall time of the transfer. An interruption is not part of any.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::model::Sample;
use crate::{
    domain::event::{AssetKind, Event, FILES_SUFFIX},
    evidence::{chain::Entry, facts::PacePoint},
};

/// The journal's data on one class of assets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// The units in the order in which they ended.
    pub units: Vec<Sample>,
    /// From the start of a database's work to its snapshot: does not grow with its size.
    pub setup_ms: u64,
}

#[derive(Default)]
struct Open {
    since: Option<Timestamp>,
    setup_ms: u64,
    units: Vec<Sample>,
}

/// The units of all assets of one kind.
pub(super) fn of_journal(entries: &[Entry], kind: AssetKind) -> Measured {
    let mut assets: BTreeMap<&str, Open> = BTreeMap::new();
    for Entry { at, event, .. } in entries {
        match event {
            // Files of an export are a step of their database's work, not objects that the exit carries.
            Event::AssetStarted { asset, .. } if asset.ends_with(FILES_SUFFIX) => {}
            Event::AssetStarted { asset, kind: found } if *found == kind => {
                let open = assets.entry(asset).or_default();
                open.since = Some(*at);
                // A database starts again from nothing, a bucket is continued.
                if kind.facts().begins_anew {
                    (open.setup_ms, open.units) = (0, Vec::new());
                }
            }
            Event::SnapshotTaken { asset, .. } => {
                if let Some(open) = assets.get_mut(asset.as_str()) {
                    open.setup_ms = open.since.map_or(0, |since| between_ms(since, *at));
                    open.since = Some(*at);
                }
            }
            Event::UnitDone { asset, items, bytes, .. } => {
                if let Some(open) = assets.get_mut(asset.as_str())
                    && let Some(since) = open.since.replace(*at)
                {
                    open.units.push(Sample { elapsed_ms: between_ms(since, *at), items: *items, bytes: *bytes });
                }
            }
            _ => {}
        }
    }
    Measured {
        setup_ms: assets.values().map(|open| open.setup_ms).fold(0, u64::saturating_add),
        units: assets.into_values().flat_map(|open| open.units).collect(),
    }
}

fn between_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or_default()
}

/// The most points of the pace that are kept.
const PACE_POINTS_MAX: usize = 120;

/// Bytes over time, all assets together; breaks between interruption and resumption are cut out.
pub fn pace(entries: &[Entry]) -> Vec<PacePoint> {
    let Some(first) = entries.first() else { return Vec::new() };
    let mut last = first.at;
    let mut worked_ms = 0u64;
    let mut points = Vec::new();
    let mut bytes_so_far: u64 = 0;
    for Entry { at, event, .. } in entries {
        if !matches!(event, Event::RunResumed { .. }) {
            worked_ms = worked_ms.saturating_add(between_ms(last, *at));
        }
        last = *at;
        if let Event::UnitDone { bytes, .. } = event {
            bytes_so_far = bytes_so_far.saturating_add(*bytes);
            points.push(PacePoint { at_ms: worked_ms, bytes: bytes_so_far });
        }
    }
    thinned(points)
}

/// Every n-th point and the last.
fn thinned(points: Vec<PacePoint>) -> Vec<PacePoint> {
    let step = points.len().div_ceil(PACE_POINTS_MAX).max(1);
    let last = points.len().saturating_sub(1);
    points
        .into_iter()
        .enumerate()
        .filter(|(at, _)| at % step == step - 1 || *at == last)
        .map(|(_, point)| point)
        .collect()
}
