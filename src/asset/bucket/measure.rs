//! What copying a bucket would take: sizes, requests, time and cost, from its listing alone.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use super::{
    preflight::{bucket_name, bucket_obstacle, reached_bucket},
    sample::size_class,
};
use crate::{
    asset::{
        measured::{Measured, MeasuredObjects, SizeClass, SpaceNeeded},
        seam::obstacle,
    },
    clock::Stopwatch,
    domain::event::AssetKind as Kind,
    evidence::{exit_time::cost, result::RunResult},
    playbook::{BucketSpec, Layout, Playbook},
    provider::aws::Aws,
    record::error::Obstacle,
    transfer::{
        error::TransferError,
        executor::UNITS_IN_FLIGHT,
        listing::Pages,
        object::{ObjectEntry, Odd},
        objects::RANGE_BYTES,
        retry::OutageTracker,
        unit::{LARGE_OBJECT_BYTES, PlacedObject, UNIT_BYTES_MAX, UnitCutter},
    },
    words,
};

/// Bytes expected per second without an earlier run: a well-used gigabit line.
const ASSUMED_BYTES_PER_SECOND: u64 = 100_000_000;
/// Parallel requests of this kind.
const REQUESTS_AT_ONCE: u64 = 32;
/// Requests about the bucket itself.
const CONFIGURATION_REQUESTS: u64 = 22;
/// Overhead of an object: the rest of its last block, its directory entry, or the headers of its member.
const OBJECT_OVERHEAD_BYTES: u64 = 4 << 10;
/// Size of the records of an object, in the run's state and in the bundle together.
const RECORD_BYTES: u64 = 3 << 10;
/// Units of the largest kind that are in staging at once on their way to another server.
const UNITS_STAGED: u64 = UNITS_IN_FLIGHT as u64;
/// How long the provider may be unreachable while a plan is made.
const OUTAGE_MAX: Duration = Duration::from_secs(20);

/// Adds a listing up.
struct Counting {
    classes: BTreeMap<u32, SizeClass>,
    cutter: UnitCutter,
    units: u64,
    pages: u64,
    markers: u64,
    gets: u64,
    /// Entries that can't be copied.
    odd: u64,
}

impl Counting {
    fn add(&mut self, entry: ObjectEntry) {
        if entry.is_delete_marker() {
            self.markers += 1;
            return;
        }
        let number = size_class(entry.size);
        let class = self.classes.entry(number).or_default();
        class.bytes_from = if number == 0 { 0 } else { 1 << ((number - 1) * 2) };
        class.objects += 1;
        class.bytes += entry.size;
        // A large object takes one HEAD, and is read in ranges.
        let large = entry.size >= LARGE_OBJECT_BYTES;
        self.gets += if large { 1 + entry.size.div_ceil(RANGE_BYTES) } else { 1 };
        let placed = PlacedObject { entry, place: String::new() };
        self.units += u64::from(self.cutter.push(placed).is_some());
    }
}

/// Lists a bucket and estimates what copying it would take.
pub(super) async fn of(asset: &str, bucket: &BucketSpec, aws: &Aws, playbook: &Playbook) -> Result<Measured, Obstacle> {
    let source = reached_bucket(aws, bucket).await;
    let source = source.map_err(|error| bucket_obstacle(asset, &error))?;
    let watch = Stopwatch::start();
    let cutter = UnitCutter::starting_at(1);
    let mut counting = Counting { classes: BTreeMap::new(), cutter, units: 0, pages: 0, markers: 0, gets: 0, odd: 0 };
    let mut pages = Pages::default();
    let reach = OutageTracker::new(OUTAGE_MAX);
    loop {
        let page = pages.next(source.as_ref(), &reach).await.map_err(|error| match error {
            TransferError::Source(error) | TransferError::Away(error) => bucket_obstacle(asset, &error),
            error => obstacle(asset, error, None),
        })?;
        let Some(page) = page else { break };
        counting.pages += 1;
        counting.odd += page.odd.iter().filter(|entry| entry.odd != Odd::Undated).count() as u64;
        page.entries.into_iter().for_each(|entry| counting.add(entry));
    }
    counting.units += u64::from(counting.cutter.flush().is_some());
    let rate = measured_rate(asset, playbook);
    Ok(surveyed(asset, bucket, counting, watch.elapsed_ms(), rate))
}

fn surveyed(
    asset: &str,
    bucket: &BucketSpec,
    counting: Counting,
    listing_ms: u64,
    rate: Option<(String, u64)>,
) -> Measured {
    let Counting { classes, units, pages, markers, gets, odd, .. } = counting;
    let sizes: Vec<_> = classes.into_values().collect();
    let items: u64 = sizes.iter().map(|class| class.objects).sum();
    let bytes: u64 = sizes.iter().map(|class| class.bytes).sum();
    let share = bucket.sample.map_or(1.0, |sample| f64::from(sample.share.per_million()) / 1e6);
    let part = |number: u64| (number as f64 * share).ceil() as u64;
    let bytes_carried = part(bytes);
    let gets = part(gets);
    let latency_ms = listing_ms / pages.max(1);
    let lists = 2 * pages + CONFIGURATION_REQUESTS;
    let (expected_s, expected_basis) = expected(bytes_carried, gets, lists, latency_ms, rate);
    let objects = MeasuredObjects {
        sizes,
        delete_markers: markers,
        list_requests: lists,
        get_requests: gets,
        expected_s,
        expected_basis,
        egress_usd: usd(cost::egress(bytes_carried)),
        requests_usd: usd(cost::requests(lists, gets)),
        prices_as_of: cost::PRICES_AS_OF,
        prices_source: cost::PRICES_SOURCE,
    };
    let mut remarks = Vec::new();
    if items == 0 {
        remarks.push("matches nothing: a run would FAIL".to_owned());
    }
    if odd > 0 {
        let entries = words::count(odd, "entry", "entries");
        remarks.push(format!("{entries} of the listing can't be carried: a run would name each as a finding"));
    }
    if let Some(sample) = bucket.sample {
        remarks.push(format!("a sample of {} is carried; requests, time and cost are the sample's", sample.share));
    }
    Measured {
        id: asset.to_owned(),
        kind: Kind::S3,
        source: bucket_name(bucket),
        items,
        bytes,
        units,
        remarks,
        size_unknown: false,
        objects: Some(objects),
    }
}

/// The longer of what the bytes and what the requests take.
fn expected(bytes: u64, gets: u64, lists: u64, latency_ms: u64, rate: Option<(String, u64)>) -> (u64, String) {
    let (bytes_per_second, origin) = match rate {
        Some((run, rate)) => (rate.max(1), format!("the rate of run {run}")),
        None => {
            (ASSUMED_BYTES_PER_SECOND, "an assumed 100 MB/s; no run of this playbook has measured it yet".to_owned())
        }
    };
    let by_bytes_s = bytes.div_ceil(bytes_per_second);
    let by_requests_s = (gets * latency_ms).div_ceil(REQUESTS_AT_ONCE * 1000) + (lists * latency_ms).div_ceil(1000);
    let basis = format!("{origin}; {latency_ms} ms for a request, as the listing took; {REQUESTS_AT_ONCE} at once");
    (by_bytes_s.max(by_requests_s).max(1), basis)
}

/// Bytes per second of the last run of this playbook that copied the asset, with the run's name.
fn measured_rate(asset: &str, playbook: &Playbook) -> Option<(String, u64)> {
    let bundles = fs::read_dir(playbook.evidence_path()).ok()?;
    let mut runs: Vec<_> = bundles.flatten().map(|entry| entry.path()).collect();
    // Runs are named after their time.
    runs.sort();
    runs.iter().rev().find_map(|run| rate_of(run, asset, playbook.id().as_str()))
}

fn rate_of(run: &Path, asset: &str, playbook: &str) -> Option<(String, u64)> {
    let result: RunResult = serde_json::from_slice(&fs::read(run.join("data/result.json")).ok()?).ok()?;
    let asset = result.assets.iter().find(|carried| carried.id == asset && result.playbook.id == playbook)?;
    let rate = asset.bytes.checked_mul(1000)?.checked_div(asset.timings.transfer_ms)?;
    (result.resumed == 0 && rate > 0).then_some((result.run, rate))
}

/// Millionths of a dollar in dollars.
fn usd(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

/// The space that a bucket of this measure takes.
pub(super) fn space_needed(bucket: &BucketSpec, measured: &Measured) -> SpaceNeeded {
    let share = bucket.sample.map_or(1_000_000, |sample| sample.share.per_million());
    let part = |whole: u64| u64::try_from(u128::from(whole) * u128::from(share) / 1_000_000).unwrap_or(whole);
    let largest = measured.objects.as_ref().map_or(0, MeasuredObjects::largest_max);
    space_for(bucket.layout, part(measured.items), part(measured.bytes), largest)
}

/// `largest`: the size of the largest object.
fn space_for(layout: Layout, objects: u64, bytes: u64, largest: u64) -> SpaceNeeded {
    let lying = match layout {
        Layout::Tree | Layout::Tar => bytes.saturating_add(objects.saturating_mul(OBJECT_OVERHEAD_BYTES)),
        Layout::S3 => bytes.min(UNIT_BYTES_MAX.max(largest).saturating_mul(UNITS_STAGED)),
    };
    SpaceNeeded { objects: lying, records: objects.saturating_mul(RECORD_BYTES), ..SpaceNeeded::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn small_objects_need_more_than_their_bytes() {
        let need = space_for(Layout::Tar, 1_000_000, 1_000_000, 0);
        assert!(need.objects > 4 * GIB - GIB / 2 && need.records > 2 * GIB, "{need:?}");
    }

    #[test]
    fn what_goes_elsewhere_needs_no_room_here_but_on_its_way() {
        assert_eq!(space_for(Layout::S3, 0, 100 * GIB, GIB / 2).objects, 3 * GIB);
        assert_eq!(space_for(Layout::S3, 0, 500 * GIB, 100 * GIB).objects, 300 * GIB, "large objects are staged whole");
        assert_eq!(
            space_for(Layout::Tree, 0, 100 * GIB, 0),
            SpaceNeeded { objects: 100 * GIB, ..SpaceNeeded::default() }
        );
    }

    #[test]
    fn many_small_objects_are_bound_by_requests_and_few_large_ones_by_bytes() {
        assert_eq!(expected(1_000, 320_000, 0, 10, None).0, 100);
        assert_eq!(expected(1_000_000_000, 10, 2, 10, None).0, 10);
        let (seconds, basis) = expected(1_000, 1, 1, 1, Some(("drill-1".into(), 10)));
        assert!(seconds == 100 && basis.contains("drill-1"), "{basis}");
    }
}
