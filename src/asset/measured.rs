//! What copying an asset would take, as values.

use crate::domain::event::AssetKind;

/// One asset as it would be copied now.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measured {
    /// The asset's id.
    pub id: String,
    /// Bucket or database.
    pub kind: AssetKind,
    /// The bucket with its prefix, or the database's address without the login.
    pub source: String,
    /// Objects, or rows as the source's planner estimates them.
    pub items: u64,
    /// Bytes of the objects, or of the tables on the source's disk.
    pub bytes: u64,
    /// Units of work.
    pub units: u64,
    /// Remarks for the reader.
    pub remarks: Vec<String>,
    /// The provider does not report its size.
    #[serde(skip)]
    pub size_unknown: bool,
    /// Only for buckets: sizes, requests, time and cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<MeasuredObjects>,
}

/// The parts of a plan that only buckets have.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct MeasuredObjects {
    /// Objects and bytes of each size class, the smallest first.
    pub sizes: Vec<SizeClass>,
    /// Delete markers.
    pub delete_markers: u64,
    /// Requests of a run: opening and closing listing, requests about the bucket.
    pub list_requests: u64,
    /// Requests of a run that read objects.
    pub get_requests: u64,
    /// Seconds that the transfer is expected to take.
    pub expected_s: u64,
    /// What that is based on.
    pub expected_basis: String,
    /// US dollars for the bytes, at list prices to the internet.
    pub egress_usd: f64,
    /// US dollars for the requests.
    pub requests_usd: f64,
    /// The date of the prices, or that none was recorded.
    pub prices_as_of: &'static str,
    /// Their source.
    pub prices_source: &'static str,
}

impl MeasuredObjects {
    /// The size of the largest object.
    pub fn largest_max(&self) -> u64 {
        let largest = self.sizes.iter().rev().find(|class| class.objects > 0);
        largest.map_or(0, |class| class.bytes.min(class.bytes_from.saturating_mul(4)))
    }
}

/// Objects of which the next class's are at least four times as large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SizeClass {
    /// The least bytes of each.
    pub bytes_from: u64,
    /// Their number.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Bytes that are expected at the target, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceNeeded {
    /// Objects of buckets.
    pub objects: u64,
    /// Tables and indexes of a server on this machine.
    pub databases: u64,
    /// The rows of databases as files.
    pub exports: u64,
    /// The records of what was copied.
    pub records: u64,
}
