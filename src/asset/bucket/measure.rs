//! What carrying a bucket would take: sizes, requests, time and cost, from its listing alone.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use super::sample::size_class;
use crate::{
    clock::Stopwatch,
    event::AssetKind as Kind,
    evidence::{exit_time::cost, result::RunResult},
    playbook::{Asset, BucketSpec, Playbook},
    record::error::Obstacle,
    run::{driver::bucket_name, preflight, survey::SurveyedAsset},
    source::aws::Aws,
    transfer::{
        error::TransferError,
        listing::Pages,
        object::{ObjectEntry, Odd},
        objects::RANGE_BYTES,
        retry::Reach,
        unit::{LARGE_OBJECT_BYTES, PlacedObject, UnitCutter},
    },
    words,
};

/// Without a run to go by, so many bytes are expected in a second: a gigabit line that is well used.
const ASSUMED_BYTES_PER_SECOND: u64 = 100_000_000;
/// Requests of this kind are made side by side.
const REQUESTS_AT_ONCE: u64 = 32;
/// Questions about the bucket itself.
const CONFIGURATION_REQUESTS: u64 = 22;
/// How long the provider may be away while a plan is made.
const OUTAGE_MAX: Duration = Duration::from_secs(20);

/// What is particular to the plan of a bucket.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ObjectsSurvey {
    /// Objects and bytes of each size class, the smallest first.
    pub sizes: Vec<SizeClass>,
    /// Delete markers.
    pub delete_markers: u64,
    /// Requests of a run: opening and closing listing, questions about the bucket.
    pub list_requests: u64,
    /// Requests of a run that read objects.
    pub get_requests: u64,
    /// Seconds that the transfer is expected to take.
    pub expected_s: u64,
    /// What that rests on.
    pub expected_basis: String,
    /// US dollars for the bytes, at list prices to the internet.
    pub egress_usd: f64,
    /// US dollars for the requests.
    pub requests_usd: f64,
    /// The day of the prices, or that none was recorded.
    pub prices_as_of: &'static str,
    /// Where they come from.
    pub prices_source: &'static str,
}

impl ObjectsSurvey {
    /// No object has more bytes than this.
    pub fn largest_max(&self) -> u64 {
        let largest = self.sizes.iter().rev().find(|class| class.objects > 0);
        largest.map_or(0, |class| class.bytes.min(class.bytes_from.saturating_mul(4)))
    }
}

/// Objects of which the next class's are at least four times as large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SizeClass {
    /// They have at least so many bytes.
    pub bytes_from: u64,
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Adds a listing up.
struct Counting {
    classes: BTreeMap<u32, SizeClass>,
    cutter: UnitCutter,
    units: u64,
    pages: u64,
    markers: u64,
    gets: u64,
    /// Entries that name nothing which could be carried.
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
        // A large object is asked about once, and read in ranges.
        let large = entry.size >= LARGE_OBJECT_BYTES;
        self.gets += if large { 1 + entry.size.div_ceil(RANGE_BYTES) } else { 1 };
        let placed = PlacedObject { entry, place: String::new() };
        self.units += u64::from(self.cutter.push(placed).is_some());
    }
}

/// Lists a bucket and says what carrying it would take.
pub(crate) async fn of(
    asset: &Asset,
    bucket: &BucketSpec,
    aws: &Aws,
    playbook: &Playbook,
) -> Result<SurveyedAsset, Obstacle> {
    let source = preflight::reached_bucket(aws, bucket).await;
    let source = source.map_err(|error| preflight::bucket_obstacle(asset, &error))?;
    let watch = Stopwatch::start();
    let cutter = UnitCutter::starting_at(1);
    let mut counting = Counting { classes: BTreeMap::new(), cutter, units: 0, pages: 0, markers: 0, gets: 0, odd: 0 };
    let (mut pages, reach) = (Pages::default(), Reach::new(OUTAGE_MAX));
    loop {
        let page = pages.next(source.as_ref(), &reach).await.map_err(|error| match error {
            TransferError::Source(error) | TransferError::Away(error) => preflight::bucket_obstacle(asset, &error),
            error => crate::run::survey::obstacle(asset, error, None),
        })?;
        let Some(page) = page else { break };
        counting.pages += 1;
        counting.odd += page.odd.iter().filter(|entry| entry.odd != Odd::Undated).count() as u64;
        page.entries.into_iter().for_each(|entry| counting.add(entry));
    }
    counting.units += u64::from(counting.cutter.flush().is_some());
    let rate = measured_rate(asset.id.as_str(), playbook);
    Ok(surveyed(asset, bucket, counting, watch.elapsed_ms(), rate))
}

fn surveyed(
    asset: &Asset,
    bucket: &BucketSpec,
    counting: Counting,
    listing_ms: u64,
    rate: Option<(String, u64)>,
) -> SurveyedAsset {
    let Counting { classes, units, pages, markers, gets, odd, .. } = counting;
    let sizes: Vec<_> = classes.into_values().collect();
    let items: u64 = sizes.iter().map(|class| class.objects).sum();
    let bytes: u64 = sizes.iter().map(|class| class.bytes).sum();
    let share = bucket.sample.map_or(1.0, |sample| f64::from(sample.share.per_million()) / 1e6);
    let part = |number: u64| (number as f64 * share).ceil() as u64;
    let (bytes_carried, gets) = (part(bytes), part(gets));
    let latency_ms = listing_ms / pages.max(1);
    let lists = 2 * pages + CONFIGURATION_REQUESTS;
    let (expected_s, expected_basis) = expected(bytes_carried, gets, lists, latency_ms, rate);
    let objects = ObjectsSurvey {
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
    SurveyedAsset {
        id: asset.id.to_string(),
        kind: Kind::S3,
        source: bucket_name(bucket),
        items,
        bytes,
        units,
        remarks,
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

/// Bytes in a second of the last run of this playbook that carried the asset, with the run's name.
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

/// Millionths of a dollar as dollars.
fn usd(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_objects_are_bound_by_requests_and_few_large_ones_by_bytes() {
        assert_eq!(expected(1_000, 320_000, 0, 10, None).0, 100);
        assert_eq!(expected(1_000_000_000, 10, 2, 10, None).0, 10);
        let (seconds, basis) = expected(1_000, 1, 1, 1, Some(("drill-1".into(), 10)));
        assert!(seconds == 100 && basis.contains("drill-1"), "{basis}");
    }
}
