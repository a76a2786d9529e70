//! What happens during a run, and the [`Monitor`] that hears of it.
//!
//! Facts go into the journal and to the monitor; progress goes to the monitor only. Neither carries a row's value, a
//! secret, or a URL with one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Sha256Digest,
    finding::{Finding, Verdict},
};

/// One fact of a run, as it stands in the journal.
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
        /// Which file on which running machine this journal is, as `evidence::Journal::place` has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Sha256Digest>,
    },
    /// The run went on after it had been interrupted; `torn_bytes` of an unfinished last line were cut off.
    RunResumed {
        walkaway: String,
        binary_sha256: Sha256Digest,
        host: String,
        torn_bytes: u64,
        /// As of the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Sha256Digest>,
    },
    /// The run continues the chain of another; stands at the beginning of the journal.
    Continues { previous: String, bundle_digest: Sha256Digest, journal_head: Sha256Digest },
    /// Who walkaway is at the provider, and the region where it makes what it makes.
    CallerIdentified {
        account: String,
        arn: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
    },
    /// The account was looked at; `inventory.json` or `after.json` has what was found.
    AccountRead { look: String, sha256: Sha256Digest, things: u64, unreadable: u64 },
    /// Work on an asset began, or began again.
    AssetStarted { asset: String, kind: AssetKind },
    /// A database snapshot was exported; everything of the asset is read from it.
    SnapshotTaken { asset: String, snapshot: String, server_version: String },
    /// Rows of this asset are restored into this database of the target.
    DatabaseCreated { asset: String, database: String },
    /// A unit is restored, synced, and its receipt is on disk.
    UnitDone { asset: String, unit: String, items: u64, bytes: u64, receipt_sha256: Sha256Digest },
    /// Everything of the asset that could be moved has been moved.
    AssetTransferred { asset: String, items: u64, bytes: u64, duration_ms: u64 },
    /// The restored copy was read back and compared.
    AssetVerified { asset: String, items: u64, bytes: u64, duration_ms: u64 },
    /// A run went on, and what a finished asset restored was looked at again; where something differs the asset is taken up
    /// again.
    AssetLookedAt { asset: String, items: u64, differ: u64 },
    /// Damage was planted in a scratch copy, and the verifier found it or did not.
    ControlRan { asset: String, damage: String, found: bool },
    /// The run is alive; said once a minute, so that a kill loses no more of the measured time.
    StillAtWork,
    /// Something temporary is about to be made at the provider.
    CloudMaking { asset: String, resource: String },
    /// What was made at the provider was removed there.
    CloudRemoved { asset: String, resource: String },
    /// What was made at the provider, or may have been, could not be removed.
    CloudLeftBehind { asset: String, resource: String, reason: String },
    /// What was going to be made at the provider never was there.
    CloudNotMade { asset: String, resource: String },
    /// Something of another run was left alone at the provider, because that run may be at work.
    CloudSpared { asset: String, resource: String, reason: String },
    /// A discrepancy.
    Found { finding: Finding },
    /// The asset has more findings of some kinds than the journal holds; every one of these kinds stands in a file.
    FindingsFiled { asset: String, file: String, sha256: Sha256Digest, beyond: u64 },
    /// The asset has its verdict; nothing of it is done again.
    AssetDone {
        asset: String,
        verdict: Verdict,
        outcome_sha256: Sha256Digest,
        /// Whether the verdict is about a sample only.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sampled: bool,
    },
    /// An error ended the work on an asset; a resumed run takes it up again.
    AssetStopped { asset: String, reason: String },
    /// The run stopped in order because somebody asked.
    Interrupted,
    /// The last line of a finished journal.
    RunDone {
        verdict: Verdict,
        findings: u64,
        duration_ms: u64,
        /// Whether the verdict is about a sample of some asset only.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sampled: bool,
        /// SHA-256 of the result, as `evidence::result::bound_sha256` takes it; journals of older versions have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result_sha256: Option<Sha256Digest>,
    },
}

/// Ends the name of an asset within an asset: the files that a database was exported to.
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
    /// What an asset is, in a word.
    pub word: &'static str,
    /// What one item of it is, and what several are.
    pub items: (&'static str, &'static str),
    /// Several assets of the kind, in a projection.
    pub class: &'static str,
    /// The file of the evidence that lists the items.
    pub record: &'static str,
    /// All files of its evidence, each with the version of the result from which on bundles have it.
    pub files: &'static [(&'static str, u32)],
    /// What the files of an export of it are, where it can be carried by one.
    pub exported_as: Option<AssetKind>,
    /// Begun again, it begins from nothing: what had been carried belongs to a moment that is gone.
    pub begins_anew: bool,
    /// Items and bytes are estimates before it is carried.
    pub is_estimated: bool,
}

impl AssetKind {
    /// What is true of every asset of this kind: whoever adds a kind says it here, and nowhere else.
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
    /// The provider writes an export; nothing moves yet.
    Export,
    /// Provider to restored copy.
    Transfer,
    /// Indexes, constraints and what else follows the data.
    Rebuild,
    /// Reading back.
    Verify,
}

/// How far an asset is. Totals grow while a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The asset's id.
    pub asset: String,
    /// The phase the numbers are of.
    pub phase: Phase,
    /// Objects or rows finished.
    pub items: u64,
    /// Objects or rows known of; an estimate for rows.
    pub items_total: u64,
    /// Bytes finished.
    pub bytes: u64,
    /// Bytes known of; an estimate for databases.
    pub bytes_total: u64,
}

/// Hears of a run while it happens. Implementations return fast and never fail: the record that must not fail is the
/// journal, which the engine writes itself.
pub trait Monitor: Send + Sync {
    /// A fact, already in the journal.
    fn fact(&self, at: Timestamp, event: &Event);

    /// How far an asset is; called often.
    fn progress(&self, progress: &Progress);
}

/// A monitor that doesn't listen.
pub struct Silent;

impl Monitor for Silent {
    fn fact(&self, _: Timestamp, _: &Event) {}

    fn progress(&self, _: &Progress) {}
}
