//! A database on Amazon RDS, as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::playbook::checked::{Checked, List, Written};

/// A PostgreSQL database on Amazon RDS or Aurora.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["instance"]}, {"required": ["cluster"]}]))]
pub(in crate::playbook) struct Rds {
    /// The instance's identifier.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[A-Za-z][A-Za-z0-9-]{0,62}$"))]
    pub instance: Checked<String>,
    /// The Aurora cluster's identifier.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[A-Za-z][A-Za-z0-9-]{0,62}$"))]
    pub cluster: Checked<String>,
    /// The database on it.
    #[schemars(extend("minLength" = 1))]
    pub database: Checked<String>,
    /// How the data is reached.
    #[serde(default)]
    pub method: Checked<RdsMethod>,
    /// The login. With `method: export` it is optional; with it, the live tables are counted.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub user: Checked<String>,
    /// A reference to the login's password: env:NAME or file:path.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(env|file):.+$"))]
    pub password: Checked<String>,
    /// Log in with IAM tokens instead of a password.
    #[serde(default)]
    pub iam: Checked<bool>,
    /// A file of CA certificates that replaces walkaway's built-in one of Amazon RDS.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub ca: Checked<String>,
    /// Connect here instead, as through a tunnel. The certificate is still checked against the endpoint's name.
    #[serde(default)]
    pub via: Checked<Via>,
    /// Read from this read replica.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[A-Za-z][A-Za-z0-9-]{0,62}$"))]
    pub replica: Checked<String>,
    /// With `method: snapshot`, which one, and the settings of the temporary instance.
    #[serde(default)]
    pub snapshot: Checked<RdsSnapshot>,
    /// With `method: export`, which one, or how it is created.
    #[serde(default)]
    pub export: Checked<RdsExport>,
}

/// How the data of an RDS database is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::playbook) enum RdsMethod {
    /// From the running instance, or a replica of it.
    #[default]
    Live,
    /// From a temporary instance that a snapshot is restored to.
    Snapshot,
    /// From the Parquet files that RDS exports a snapshot to: the rows, and nothing else.
    Export,
}

/// Where a tunnel begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct Via {
    /// A host name or an address.
    #[schemars(extend("minLength" = 1))]
    pub host: Checked<String>,
    /// The port.
    #[schemars(extend("minimum" = 1, "maximum" = 65535))]
    pub port: Checked<u64>,
}

/// The snapshot and the temporary instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct RdsSnapshot {
    /// The newest automated snapshot, or a new one.
    #[serde(default)]
    pub take: Checked<SnapshotChoice>,
    /// The class of the temporary instance.
    #[schemars(extend("pattern" = "^db\\..+$"))]
    pub class: Checked<String>,
    /// Its subnet group.
    #[schemars(extend("minLength" = 1))]
    pub subnet_group: Checked<String>,
    /// Its security groups.
    #[schemars(extend("minItems" = 1))]
    pub security_groups: List<String>,
    /// Its parameter group.
    #[schemars(extend("minLength" = 1))]
    pub parameter_group: Checked<String>,
    /// Its tags, besides those of walkaway.
    #[serde(default)]
    pub tags: List<Tag>,
    /// What an hour of this class costs, with the currency, such as `0.35 USD`.
    #[schemars(extend("pattern" = "^[0-9]+(\\.[0-9]+)? [A-Z]{3}$"))]
    pub per_hour: Checked<Written>,
    /// What the temporary instance may cost; it is removed before it costs more.
    #[schemars(extend("pattern" = "^[0-9]+(\\.[0-9]+)? [A-Z]{3}$"))]
    pub cost_ceiling: Checked<Written>,
    /// How long it may take to become available. Default: 2h.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub available_within: Checked<Written>,
}

/// An export of a snapshot to a bucket: an existing one (`task`, or `bucket` and `folder`), or one created for the
/// run (`bucket`, `role`, `key`, `per_gb`, `cost_ceiling`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct RdsExport {
    /// The identifier of an export that was requested before.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub task: Checked<String>,
    /// The bucket that the export is in, or goes to.
    #[serde(default)]
    #[schemars(extend("minLength" = 3))]
    pub bucket: Checked<String>,
    /// The prefix of the keys of an existing export, including its identifier.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub folder: Checked<String>,
    /// The prefix of the keys of a new export, without its identifier.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub prefix: Checked<String>,
    /// The ARN of the role that RDS writes to the bucket as.
    #[serde(default)]
    #[schemars(extend("pattern" = "^arn:.+$"))]
    pub role: Checked<String>,
    /// The KMS key that RDS encrypts the files with: its ARN, id or alias.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub key: Checked<String>,
    /// The newest automated snapshot, or a new one. Default: newest.
    #[serde(default)]
    pub take: Checked<SnapshotChoice>,
    /// A snapshot by its identifier, in place of `take`.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub snapshot: Checked<String>,
    /// What the export of one gigabyte of the snapshot costs, with the currency, such as `0.01 USD`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+(\\.[0-9]+)? [A-Z]{3}$"))]
    pub per_gb: Checked<Written>,
    /// What the export may cost; a larger snapshot is not exported.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+(\\.[0-9]+)? [A-Z]{3}$"))]
    pub cost_ceiling: Checked<Written>,
    /// How long it may take to become complete. Default: 24h.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub complete_within: Checked<Written>,
}

/// Which snapshot is restored or exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SnapshotChoice {
    /// The newest automated one.
    #[default]
    Newest,
    /// One that is created for the run and removed after it.
    New,
}

/// A tag of a resource.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct Tag {
    /// Its key.
    #[schemars(extend("minLength" = 1))]
    pub key: Checked<String>,
    /// Its value.
    pub value: Checked<String>,
}
