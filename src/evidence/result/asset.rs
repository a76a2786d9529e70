//! What `result.json` says of one asset: what was compared, what is particular to a bucket, to a database, and to one on
//! Amazon RDS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::proof::{Check, Control, Tier};
pub use crate::transfer::properties::ClassCount;
use crate::{
    domain::{
        digest::{RowKey, Sha256Digest},
        event::AssetKind,
        finding::{Finding, FindingKind, Severity, Verdict},
    },
    evidence::changes::ChangesCount,
};

/// One asset's part of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetResult {
    /// The asset's id.
    pub id: String,
    /// Bucket or database.
    pub kind: AssetKind,
    /// The bucket (with prefix), or the database's name.
    pub source: String,
    /// The judgement of this asset.
    pub verdict: Verdict,
    /// Whether everything of it was carried, or a sample.
    #[serde(default)]
    pub tier: Tier,
    /// Its directory below `restored_to`.
    pub directory: String,
    /// Objects, or rows.
    pub items: u64,
    /// Bytes that crossed.
    pub bytes: u64,
    /// SHA-256 over what crossed, in an order of its own: equal for equal content, however the run went.
    pub content_sha256: Sha256Digest,
    /// What was compared, one row per method.
    pub checks: Vec<Check>,
    /// Damage that was planted to prove the verifier.
    pub controls: Vec<Control>,
    /// Milliseconds of the phases.
    pub timings: Timings,
    /// Discrepancies of this asset; of a kind that there are very many of, the first ones.
    pub findings: Vec<Finding>,
    /// Where all findings of such kinds are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filed: Option<FiledFindings>,
    /// Only for databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseResult>,
    /// Only for buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsResult>,
}

/// Findings of which there are more than a result holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FiledFindings {
    /// The file in the asset's directory of the bundle; it has every finding of these kinds, one a line.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// The kinds, and how many there are of each.
    pub kinds: Vec<FiledKind>,
}

impl FiledFindings {
    /// What is filed of a kind.
    pub fn of_kind(&self, kind: FindingKind) -> Option<&FiledKind> {
        self.kinds.iter().find(|filed| filed.kind == kind)
    }

    /// How many findings stand in the file only.
    pub fn beyond(&self) -> u64 {
        self.kinds.iter().map(FiledKind::beyond).fold(0, u64::saturating_add)
    }
}

/// A kind of finding of which an asset has more than the result holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FiledKind {
    /// The kind.
    pub kind: FindingKind,
    /// Fail, not_run or note; follows from the kind.
    pub severity: Severity,
    /// All findings of it.
    pub total: u64,
    /// Those that stand in the result, the first ones by name.
    pub shown: u64,
}

impl FiledKind {
    /// How many stand in the file only.
    pub fn beyond(&self) -> u64 {
        self.total.saturating_sub(self.shown)
    }
}

/// Milliseconds of an asset's phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Provider to restored copy.
    pub transfer_ms: u64,
    /// Indexes, constraints, sequences after the data.
    pub rebuild_ms: u64,
    /// Reading back and comparing.
    pub verify_ms: u64,
}

/// A sample of a bucket's objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleResult {
    /// The share that the playbook asks for.
    pub share: String,
    /// With the keys it decides what is taken.
    pub seed: u64,
    /// The size classes that there are objects of, the smallest first.
    pub strata: Vec<Stratum>,
}

impl SampleResult {
    /// Objects and bytes that there are, then those that were taken.
    pub fn totals(&self) -> [(u64, u64); 2] {
        let sum = |part: fn(&Stratum) -> (u64, u64)| {
            let parts = self.strata.iter().map(part);
            parts.fold((0u64, 0u64), |sum, part| (sum.0.saturating_add(part.0), sum.1.saturating_add(part.1)))
        };
        [sum(|stratum| (stratum.objects, stratum.bytes)), sum(|stratum| (stratum.taken_objects, stratum.taken_bytes))]
    }
}

/// One size class of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// Its objects have at least so many bytes, and less than four times as many.
    pub bytes_from: u64,
    /// Objects that there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were taken.
    pub taken_objects: u64,
    /// Their bytes.
    pub taken_bytes: u64,
}

/// How a bucket's objects lie at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectLayout {
    /// Files.
    #[default]
    Tree,
    /// Members of archives.
    Tar,
    /// Objects of another server.
    S3,
}

/// What is particular to a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectsResult {
    /// How they lie at the target.
    #[serde(default)]
    pub layout: ObjectLayout,
    /// Objects listed at the provider; of a sample, those that it takes.
    pub listed: u64,
    /// Whether earlier versions were carried, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub versions: bool,
    /// Delete markers, recorded in their order, where all versions are carried.
    #[serde(default)]
    pub delete_markers: u64,
    /// Objects whose bytes a checksum of the provider confirmed.
    pub provider_confirmed: u64,
    /// Objects for which the provider keeps no checksum that could be computed.
    pub provider_unconfirmed: u64,
    /// Objects whose key a tree of files can't hold, restored under a mapped name.
    pub mapped: u64,
    /// What became of everything that belongs to the objects.
    #[serde(default)]
    pub classes: ClassCount,
    /// What became of the bucket's configuration.
    #[serde(default)]
    pub bucket_classes: ClassCount,
    /// What changed at the provider between the opening and the closing listing.
    #[serde(default)]
    pub changes: ChangesCount,
    /// The sample, if not everything was carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleResult>,
    /// If the keys are pseudonyms (HMAC-SHA-256 under a secret): that of the text `walkaway pseudonyms`, which tells one
    /// secret from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonyms: Option<String>,
}

impl AssetResult {
    /// The verdict in words, with the word that it is about a sample, if it is.
    pub fn verdict_words(&self) -> String {
        self.verdict.words(self.tier == Tier::Sample)
    }

    /// Whether something that was compared differs; also where somebody accepts that.
    pub fn differs(&self) -> bool {
        let filed = self.filed.iter().flat_map(|filed| &filed.kinds).map(|filed| filed.kind);
        let mut kinds = self.findings.iter().map(|finding| finding.kind).chain(filed);
        kinds.any(FindingKind::is_difference) || self.checks.iter().any(|check| check.equal < check.compared)
    }

    /// The export that a database was read from.
    pub fn export(&self) -> Option<&ExportResult> {
        self.database.as_ref()?.rds.as_ref()?.export.as_ref()
    }

    /// The mark of the secret under which its objects got pseudonyms.
    pub fn pseudonyms(&self) -> Option<&str> {
        self.objects.as_ref()?.pseudonyms.as_deref()
    }
}

/// The mark of the secret under which the objects of a run got pseudonyms: one for all of its assets.
pub fn pseudonyms_mark(assets: &[AssetResult]) -> Option<&str> {
    assets.iter().find_map(AssetResult::pseudonyms)
}

/// What is particular to a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseResult {
    /// Version of the server that was read, as it reports it.
    pub source_version: String,
    /// Version of the server that was restored into.
    pub target_version: String,
    /// The database's name on the target.
    pub target_database: String,
    /// The encoding of both; none in results of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// SHA-256 of `restored.csv`; none in results of versions that wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_sha256: Option<Sha256Digest>,
    /// The exported snapshot that everything was read from.
    pub snapshot: String,
    /// K of the row digests, 64 hexadecimal digits.
    pub row_key: RowKey,
    /// Tables that were carried.
    pub tables: u64,
    /// Tables that the playbook leaves out.
    pub excluded_tables: Vec<ExcludedTable>,
    /// What exists nowhere else, each by its name: passwords, the provider's own roles, secrets of other servers.
    #[serde(default)]
    pub not_portable: Vec<String>,
    /// Only for databases on RDS and Aurora.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rds: Option<RdsResult>,
    /// What reading meant for the source; none in results of versions that did not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_load: Option<SourceLoad>,
}

/// What reading a database meant for its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceLoad {
    /// How long the snapshot was held: so long the server kept rows that were deleted meanwhile.
    pub snapshot_held_ms: u64,
    /// The longest lag of replication seen meanwhile, every ten seconds; none where the server has no replica, is none,
    /// or does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_lag_ms_max: Option<u64>,
    /// The most connections that were open at once.
    pub connections_max: u64,
}

/// A table that the playbook leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcludedTable {
    /// `schema.table`.
    pub table: String,
    /// The playbook's reason.
    pub reason: String,
}

/// An RDS instance or Aurora cluster as the provider described it when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RdsResult {
    /// `live`, `snapshot` or `export`.
    pub method: String,
    /// The identifier.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// `postgres` or `aurora-postgresql`.
    pub engine: String,
    /// The engine's version.
    pub engine_version: String,
    /// The instance's class; empty for a cluster.
    pub class: String,
    /// Gibibytes allotted; 0 for Aurora.
    pub storage_gib: u64,
    /// Whether the storage is encrypted.
    pub encrypted: bool,
    /// The key that encrypts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The CA that signed the server's certificate, as the provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The parameter groups.
    pub parameter_groups: Vec<String>,
    /// Days that automated backups are kept.
    pub retention_days: u64,
    /// Whether IAM may log in.
    pub iam: bool,
    /// Whether it has a stand-by in another zone.
    pub multi_az: bool,
    /// Whether it has a public address.
    pub public: bool,
    /// Snapshots that are available.
    pub snapshots: u64,
    /// When the newest of them was taken, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_snapshot: Option<String>,
    /// Its age when it was looked at, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_snapshot_age_s: Option<u64>,
    /// The replica that was read in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Only for `snapshot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary: Option<TemporaryResult>,
    /// Only for `export`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportResult>,
}

/// The export that a database was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportResult {
    /// Its identifier at RDS; none where only its files were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether the run requested it.
    pub started: bool,
    /// When the snapshot was taken, RFC 3339, where RDS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_taken: Option<String>,
    /// The bucket that its files are in.
    pub bucket: String,
    /// What their keys begin with.
    pub folder: String,
    /// Milliseconds of waiting until it was complete; nothing moved in that time.
    pub waited_ms: u64,
    /// Gibibytes that RDS read out of the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted_gib: Option<u64>,
    /// What it cost at the price that the playbook names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What it was allowed to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_ceiling: Option<String>,
    /// The warning of RDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Tables that the export's own lists name.
    pub listed_tables: u64,
    /// Tables whose rows were compared with a count of the live table.
    pub counted_tables: u64,
    /// Always: keys, constraints, sequences and types are not in an export.
    pub data_only: bool,
    /// The files, carried and proven as objects of a bucket are; an asset within the asset.
    pub files: Box<AssetResult>,
}

/// The temporary instance that a snapshot was restored to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemporaryResult {
    /// The snapshot.
    pub snapshot: String,
    /// When it was taken, RFC 3339; empty for one that was made for the run.
    pub snapshot_taken: String,
    /// The instance.
    pub instance: String,
    /// Milliseconds from asking for it until it was available.
    pub waited_ms: u64,
    /// Milliseconds that it was read.
    pub read_ms: u64,
    /// What it cost at the price that the playbook names.
    pub cost: String,
    /// What it was allowed to cost.
    pub cost_ceiling: String,
    /// Whether everything that was made for it was removed.
    pub removed: bool,
}
