//! What happens during a run, and the [`Monitor`] that receives it.
//!
//! Facts go into the journal and to the monitor; progress goes to the monitor only. Neither carries a row's value, a
//! secret, or a URL with one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    digest::Sha256Digest,
    finding::{Finding, Verdict},
};

/// One fact of a run, as recorded in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line of every journal.
    RunStarted {
        run: String,
        playbook_sha256: Sha256Digest,
        walkaway: String,
        binary_sha256: Sha256Digest,
        host: String,
        /// Which file on which running machine this journal is, as returned by `evidence::Journal::place`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Sha256Digest>,
    },
    /// The run was resumed after an interruption; `torn_bytes` of an unfinished last line were cut off.
    RunResumed {
        walkaway: String,
        binary_sha256: Sha256Digest,
        host: String,
        torn_bytes: u64,
        /// As at the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Sha256Digest>,
    },
    /// The run continues the chain of another; recorded at the beginning of the journal.
    Continues { previous: String, bundle_digest: Sha256Digest, journal_head: Sha256Digest },
    /// walkaway's identity at the provider, and the region where it creates temporary resources.
    CallerIdentified {
        account: String,
        arn: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
    },
    /// The account was inspected; the result is in `inventory.json` or `after.json`.
    AccountRead { look: String, sha256: Sha256Digest, things: u64, unreadable: u64 },
    /// Work on an asset began, or was restarted.
    AssetStarted { asset: String, kind: AssetKind },
    /// A database snapshot was exported; the asset is read from it alone.
    SnapshotTaken { asset: String, snapshot: String, server_version: String },
    /// Rows of this asset are restored into this database of the target.
    DatabaseCreated { asset: String, database: String },
    /// A unit is restored, synced, and its receipt is on disk.
    UnitDone { asset: String, unit: String, items: u64, bytes: u64, receipt_sha256: Sha256Digest },
    /// Everything of the asset that could be copied has been copied.
    AssetTransferred { asset: String, items: u64, bytes: u64, duration_ms: u64 },
    /// The restored copy was read back and compared.
    AssetVerified { asset: String, items: u64, bytes: u64, duration_ms: u64 },
    /// A run was resumed, and the restored copy of a finished asset was re-checked; where something differs the asset is
    /// reopened.
    AssetLookedAt { asset: String, items: u64, differ: u64 },
    /// Damage was planted in a scratch copy, and the verifier found it or did not.
    ControlRan { asset: String, damage: String, found: bool },
    /// The run is alive; recorded once a minute, so that a kill loses no more of the measured time.
    StillAtWork,
    /// Something temporary is about to be created at the provider.
    CloudMaking { asset: String, resource: String },
    /// What was created at the provider was removed.
    CloudRemoved { asset: String, resource: String },
    /// What was, or may have been, created at the provider could not be removed.
    CloudLeftBehind { asset: String, resource: String, reason: String },
    /// What was about to be created at the provider was never created.
    CloudNotMade { asset: String, resource: String },
    /// A resource of another run was left untouched at the provider, because that run may be in progress.
    CloudSpared { asset: String, resource: String, reason: String },
    /// A discrepancy.
    Found { finding: Finding },
    /// The asset has more findings of some kinds than the journal holds; all findings of these kinds are in a file.
    FindingsFiled { asset: String, file: String, sha256: Sha256Digest, beyond: u64 },
    /// The asset has its verdict; none of its work is repeated.
    AssetDone {
        asset: String,
        verdict: Verdict,
        outcome_sha256: Sha256Digest,
        /// Whether the verdict is about a sample only.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sampled: bool,
    },
    /// An error ended the work on an asset; a resumed run continues it.
    AssetStopped { asset: String, reason: String },
    /// The run was stopped in order on request.
    Interrupted,
    /// The last line of a finished journal.
    RunDone {
        verdict: Verdict,
        findings: u64,
        duration_ms: u64,
        /// Whether the verdict is about a sample of some asset only.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sampled: bool,
        /// SHA-256 of the result, as computed by `evidence::result::bound_sha256`; absent in older journals.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result_sha256: Option<Sha256Digest>,
    },
}

/// Suffix of the id of an asset within an asset: the files that a database was exported to.
pub const FILES_SUFFIX: &str = "/files";

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// A bucket, or a prefix of one.
    S3,
    /// A PostgreSQL database.
    Postgres,
}

/// What is true of every asset of a kind.
#[derive(Debug)]
pub struct KindFacts {
    /// The noun for such an asset.
    pub word: &'static str,
    /// The noun for its items, singular and plural.
    pub items: (&'static str, &'static str),
    /// The plural of the kind, in a projection.
    pub class: &'static str,
    /// The file of the evidence that lists the items.
    pub record: &'static str,
    /// All files of its evidence, each with the version of the result from which on bundles have it.
    pub files: &'static [(&'static str, u32)],
    /// What the files of an export of it are, where it can be carried by one.
    pub exported_as: Option<AssetKind>,
    /// Restarted, it starts from nothing: what had been copied belongs to a snapshot that is gone.
    pub begins_anew: bool,
    /// Items and bytes are estimates before the copy.
    pub is_estimated: bool,
}

impl AssetKind {
    /// What is true of every asset of this kind: a new kind is described here, and nowhere else.
    pub const fn facts(self) -> &'static KindFacts {
        match self {
            AssetKind::S3 => &KindFacts {
                word: "bucket",
                items: ("object", "objects"),
                class: "objects",
                record: "objects.ndjson",
                files: &[
                    ("objects.ndjson", 1),
                    ("objects.sha256", 1),
                    ("bucket.json", 2),
                    ("changes.ndjson", 2),
                    ("findings.ndjson", 2),
                ],
                exported_as: None,
                begins_anew: false,
                is_estimated: false,
            },
            AssetKind::Postgres => &KindFacts {
                word: "database",
                items: ("row", "rows"),
                class: "databases",
                record: "tables.csv",
                files: &[
                    ("tables.csv", 1),
                    ("exports.sha256", 1),
                    ("exports.csv", 2),
                    ("restored.csv", 2),
                    ("findings.ndjson", 2),
                    ("tables.ndjson", 3),
                ],
                exported_as: Some(AssetKind::S3),
                begins_anew: true,
                is_estimated: true,
            },
        }
    }
}

/// A phase of an asset's work, as progress names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The provider writes an export; nothing is transferred yet.
    Export,
    /// Provider to restored copy.
    Transfer,
    /// Indexes, constraints and everything else that follows the data.
    Rebuild,
    /// Reading back.
    Verify,
}

/// Progress of an asset. Totals grow while a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The asset's id.
    pub asset: String,
    /// The phase that the numbers refer to.
    pub phase: Phase,
    /// Objects or rows finished.
    pub items: u64,
    /// Objects or rows known so far; an estimate for rows.
    pub items_total: u64,
    /// Bytes finished.
    pub bytes: u64,
    /// Bytes known so far; an estimate for databases.
    pub bytes_total: u64,
}

/// Observes a run in progress. Implementations return fast and never fail: the record that must not fail is the
/// journal, which the engine writes itself.
pub trait Monitor: Send + Sync {
    /// A fact, already in the journal.
    fn fact(&self, at: Timestamp, event: &Event);

    /// Progress of an asset; called often.
    fn progress(&self, progress: &Progress);
}

/// A monitor that ignores everything.
pub struct Silent;

impl Monitor for Silent {
    fn fact(&self, _: Timestamp, _: &Event) {}

    fn progress(&self, _: &Progress) {}
}
