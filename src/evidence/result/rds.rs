//! What `result.json` says of a database on Amazon RDS: the instance or cluster, and how its data was reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AssetResult;

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
    /// Whether it has an address of the internet.
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
    /// Whether the run asked for it.
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

impl AssetResult {
    /// The export that a database was read from.
    pub fn export(&self) -> Option<&ExportResult> {
        self.database.as_ref()?.rds.as_ref()?.export.as_ref()
    }
}
