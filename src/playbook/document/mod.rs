//! The playbook as written: a mirror of the YAML, from which the JSON Schema is generated as well.
//!
//! Leaves out every judgement on values: it has keys, types and enumerations. A field that is
//! `#[serde(default)]` is optional; every other key is required, which `validate` enforces by requesting it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checked::{Checked, List, Written};

mod account;

pub(super) use account::{
    AttestEntry, ContractEntry, Exclusion, InventoryEntry, Tags, Thresholds, WaiverEntry, Waivers,
};
pub(crate) use account::{DocumentKind, NonCloud, Postcondition, Posture, Precondition, ReviewNote, Sizes};
mod evidence;
mod plan;
mod rds;

pub(super) use evidence::Evidence;
pub(crate) use evidence::Previous;
pub(crate) use plan::Scenario;
pub(super) use plan::{AlternativeEntry, FollowUpEntry, ObjectivesEntry, PlanEntry, RolesEntry, ServiceEntry};
pub(crate) use rds::SnapshotChoice;
pub(super) use rds::{Rds, RdsExport, RdsMethod, RdsSnapshot, Tag, Via};

/// A dry-run exit from a cloud provider: what is copied, where it goes, and what must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "walkaway playbook")]
pub(super) struct Document {
    /// The version of the playbook format. This is version 1.
    #[schemars(extend("const" = 1))]
    pub version: Checked<u64>,
    /// Names the playbook across its runs.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    pub id: Checked<String>,
    /// A title for people, shown in reports.
    #[serde(default)]
    pub title: Checked<String>,
    /// The change record that the run belongs to.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub change: Checked<String>,
    /// The terms of the contract that the exit is compared with.
    #[serde(default)]
    pub contract: Checked<ContractEntry>,
    /// What kind of end of the contract the drill stands for.
    #[serde(default)]
    pub scenario: Checked<Scenario>,
    /// What the plan document and the report need beside the measurements.
    #[serde(default)]
    pub plan: Checked<PlanEntry>,
    /// Responsibilities.
    #[serde(default)]
    pub roles: Checked<RolesEntry>,
    /// The controls that the evidence is meant for, such as ISO27001:A.5.23.
    #[serde(default)]
    pub controls: List<String>,
    /// What the recovery must achieve.
    #[serde(default)]
    pub objectives: Checked<ObjectivesEntry>,
    /// Where the data comes from. Required when an asset is a bucket.
    #[serde(default)]
    pub provider: Checked<Provider>,
    /// How the account's inventory is taken.
    #[serde(default)]
    pub inventory: Checked<InventoryEntry>,
    /// Where the data goes.
    pub target: Checked<Target>,
    /// Settings for all assets.
    #[serde(default)]
    pub defaults: Checked<Defaults>,
    /// What is copied and gets a verdict.
    #[schemars(extend("minItems" = 1))]
    pub assets: List<Asset>,
    /// What is excluded on purpose, for how long, and by whom.
    #[serde(default)]
    pub exclude: List<Exclusion>,
    /// What must hold before the transfer.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub preconditions: List<Precondition>,
    /// What is checked in the account.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub posture: List<Posture>,
    /// Documents that the evidence refers to.
    #[serde(default)]
    pub attest: List<AttestEntry>,
    /// Waivers of findings, until a date.
    #[serde(default)]
    pub waivers: Waivers,
    /// What must hold after the run.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub postconditions: List<Postcondition>,
    /// Bounds that the run must keep to pass.
    #[serde(default)]
    pub thresholds: Checked<Thresholds>,
    /// Where the evidence of each run is written.
    #[serde(default)]
    pub evidence: Checked<Evidence>,
}

impl Document {
    /// Whether there are terms of a contract to compare with.
    pub(super) fn has_contract(&self) -> bool {
        !self.contract.is_missing()
    }
}

/// The provider that is left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    /// Amazon Web Services, or a compatible server.
    pub aws: Checked<Aws>,
}

/// How to reach AWS. Credentials come from the SDK's own chain, never from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Aws {
    /// The account, compared with the caller's identity before the transfer.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]{12}$"))]
    pub account: Checked<String>,
    /// The profile of the AWS configuration files.
    #[serde(default)]
    pub profile: Checked<String>,
    /// The regions in scope; the first is the client's.
    #[serde(default)]
    #[schemars(extend("minItems" = 1))]
    pub regions: List<String>,
    /// Regions in which nothing may be, but which are searched for databases and snapshots as well.
    #[serde(default)]
    pub also_look_in: List<String>,
    /// Addresses of S3-compatible servers or VPC endpoints.
    #[serde(default)]
    pub endpoints: Checked<Endpoints>,
}

/// Addresses that replace the provider's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoints {
    /// Address for S3.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub s3: Checked<String>,
    /// Address for RDS.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub rds: Checked<String>,
    /// Address for STS, which identifies the caller.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub sts: Checked<String>,
    /// Address for IAM, for users and keys.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub iam: Checked<String>,
    /// Address for CloudWatch, for the sizes of buckets.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub cloudwatch: Checked<String>,
    /// Address for S3 Control, for the account's own block of public access.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub s3control: Checked<String>,
}

/// The local, non-cloud side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// The folder that receives the data; a relative path starts at the playbook's folder.
    #[schemars(extend("minLength" = 1))]
    pub path: Checked<String>,
    /// The PostgreSQL that databases are restored into. Required when an asset is a database.
    #[serde(default)]
    pub postgres: Checked<TargetPostgres>,
    /// Whether this machine may be in a cloud; without it, that is not checked.
    #[serde(default)]
    pub non_cloud: Checked<NonCloud>,
    /// Also query the link-local metadata service of cloud machines.
    #[serde(default)]
    pub ask_metadata_service: Checked<bool>,
    /// The S3 server that buckets are restored into. Required when the layout of one is `s3`.
    #[serde(default)]
    pub s3: Checked<TargetS3>,
}

/// A local S3-compatible server. Credentials come from the SDK's own chain, never from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetS3 {
    /// Its address.
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub endpoint: Checked<String>,
    /// The profile of the AWS configuration files that holds its credentials.
    #[serde(default)]
    pub profile: Checked<String>,
    /// Its region, where it requires one.
    #[serde(default)]
    pub region: Checked<String>,
}

/// A disposable cluster or your own server: exactly one of the two keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["managed"]}, {"required": ["url"]}]))]
pub(super) struct TargetPostgres {
    /// Start a disposable cluster from the PostgreSQL programs on this machine.
    #[serde(default)]
    #[schemars(extend("const" = true))]
    pub managed: Checked<bool>,
    /// A reference to a connection string: env:NAME or file:path.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(env|file):.+$"))]
    pub url: Checked<String>,
    /// Lets definitions and functions of the source run on your own server as a login that can leave the database, such as
    /// a superuser: anyone who can change the source can then do so there, too. By default such a login is refused.
    #[serde(default)]
    pub trust_source: Checked<bool>,
}

/// Settings for all assets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    /// Settings for buckets.
    #[serde(default)]
    pub s3: Checked<S3Defaults>,
    /// Settings for databases.
    #[serde(default)]
    pub database: Checked<DatabaseDefaults>,
}

/// Settings for buckets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct S3Defaults {
    /// How the objects are laid out at the target.
    #[serde(default)]
    pub layout: Checked<Layout>,
    /// Which versions of an object are copied.
    #[serde(default)]
    pub versions: Checked<Versions>,
    /// How long either end may be unreachable: only `stall` applies to buckets.
    #[serde(default)]
    pub limits: Checked<Limits>,
}

/// Settings for databases.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseDefaults {
    /// What is compared after the restore; rows and digest are always included.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub verify: List<DatabaseCheck>,
    /// How many connections copy at the same time.
    #[serde(default)]
    #[schemars(extend("minimum" = 1, "maximum" = 16))]
    pub parallel: Checked<u64>,
    /// Limits on the load of a database.
    #[serde(default)]
    pub limits: Checked<Limits>,
}

/// Limits on the load of a database.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Connections in all: one holds the snapshot, one counts, the others copy.
    #[serde(default)]
    #[schemars(extend("minimum" = 3, "maximum" = 64))]
    pub connections: Checked<u64>,
    /// Bytes a second, all connections together, such as `20MiB`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*(B|kB|MB|GB|KiB|MiB|GiB)$"))]
    pub bytes_per_s: Checked<Written>,
    /// How long a table's lock is waited for, and how long another session may wait for one behind the snapshot before that
    /// is released and the database starts again, such as `30s`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub lock_timeout: Checked<Written>,
    /// How long a copy may stall, and a server be unreachable, before it is restarted, such as `5m`. For a bucket: how long
    /// the provider or the target's server may be unreachable before the work on it stops and waits to be resumed.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub stall: Checked<Written>,
}

/// How objects are laid out at the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Layout {
    /// Files named by key.
    #[default]
    Tree,
    /// One tar archive for each unit of work, for any key; metadata and tags are in its headers.
    Tar,
    /// Objects of the S3 server that `target.s3` names, in a bucket that is created for the run.
    S3,
}

/// Which versions of an object are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Versions {
    /// The current version only.
    #[default]
    Latest,
    /// Every version, and the delete markers in their order.
    All,
}

/// One comparison of a restored database with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DatabaseCheck {
    /// The definitions of all catalog objects.
    Catalog,
    /// The number of rows of each table.
    Rows,
    /// The digest of each table's rows.
    Digest,
    /// Each sequence's position.
    Sequences,
}

/// One bucket, one database, or the buckets of a pattern: exactly one of `s3` with a bucket, `postgres`, `rds`, `match`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    {"required": ["s3"]}, {"required": ["postgres"]}, {"required": ["rds"]}, {"required": ["match"]}
]))]
pub(super) struct Asset {
    /// Names the asset within the playbook.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub id: Checked<String>,
    /// The asset is a bucket, or the part of one below a prefix. With `match`, how each bucket is copied.
    #[serde(default)]
    pub s3: Checked<S3>,
    /// Every bucket of the account whose name matches becomes an asset, such as s3:acme-*.
    #[serde(default, rename = "match")]
    #[schemars(extend("pattern" = "^s3:.+$"))]
    pub selector: Checked<String>,
    /// Tags that each bucket must also have; only with `match`.
    #[serde(default)]
    pub tags: Tags,
    /// The asset is a PostgreSQL database.
    #[serde(default)]
    pub postgres: Checked<Postgres>,
    /// The asset is a PostgreSQL database on Amazon RDS or Aurora.
    #[serde(default)]
    pub rds: Checked<Rds>,
    /// Copy only a random sample of the bucket's objects; the result says so.
    #[serde(default)]
    pub sample: Checked<Sample>,
    /// An empty bucket, or an empty database, is not a failure.
    #[serde(default)]
    pub may_be_empty: Checked<bool>,
    /// Tables of the database that are excluded.
    #[serde(default)]
    pub exclude_tables: List<ExcludedTable>,
    /// How the database's roles, owners and grants are handled. By default copied into a managed target, skipped on
    /// your own server.
    #[serde(default)]
    pub roles: Checked<Roles>,
    /// With `roles: map`, the role of the target for each role of the source.
    #[serde(default)]
    pub role_map: List<RoleMapping>,
    /// Queries on the restored database and their expected results.
    #[serde(default)]
    pub checks: List<SqlCheck>,
    /// Limits on the load of the database, and how long an end may be unreachable; for a bucket only `stall`. A key that
    /// is not here comes from the defaults.
    #[serde(default)]
    pub limits: Checked<Limits>,
}

/// A bucket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct S3 {
    /// The bucket's name. Required, except with `match`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"))]
    pub bucket: Checked<String>,
    /// Only keys with this prefix.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub prefix: Checked<String>,
    /// How the objects are laid out at the target.
    #[serde(default)]
    pub layout: Checked<Layout>,
    /// Which versions of an object are copied.
    #[serde(default)]
    pub versions: Checked<Versions>,
    /// Whether each object's access control list is recorded, at one request more for each. Not by default: new
    /// buckets have none.
    #[serde(default)]
    pub acls: Checked<bool>,
}

/// A part of a bucket's objects, drawn at random and evenly from all sizes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sample {
    /// How many of the objects, such as 2%.
    #[schemars(extend("pattern" = "^[0-9]+(\\.[0-9]{1,4})?\\s*%$"))]
    pub share: Checked<Written>,
    /// Any number. The same seed draws the same objects again.
    pub seed: Checked<u64>,
}

/// A PostgreSQL database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    /// A reference to a connection string: env:NAME or file:path.
    #[schemars(extend("pattern" = "^(env|file):.+$"))]
    pub url: Checked<String>,
}

/// How roles, owners and grants are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Roles {
    /// Roles are created on the target, without passwords; owners and grants are as at the source.
    Carry,
    /// Roles of the source are mapped to existing roles of the target; see `role_map`.
    Map,
    /// Everything belongs to the login that restores.
    Skip,
}

/// A role of the source and the role that it is mapped to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleMapping {
    /// The role at the source.
    #[schemars(extend("minLength" = 1))]
    pub from: Checked<String>,
    /// The role at the target, which must exist.
    #[schemars(extend("minLength" = 1))]
    pub to: Checked<String>,
}

/// A query on the restored database, run in a read-only transaction.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlCheck {
    /// Names the check within the asset.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub id: Checked<String>,
    /// One query that yields one value.
    #[schemars(extend("minLength" = 1))]
    pub sql: Checked<String>,
    /// What the value must be: a comparison with a number such as `> 0`, or `= text`.
    #[schemars(extend("pattern" = "^(<=|>=|=|!=|<|>)\\s*.+$"))]
    pub expect: Checked<Written>,
}

/// A table that is excluded, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExcludedTable {
    /// The table as schema.table.
    #[schemars(extend("pattern" = "^[^.]+\\.[^.]+$"))]
    pub name: Checked<String>,
    /// Why the exit can do without it.
    #[schemars(extend("minLength" = 1))]
    pub reason: Checked<String>,
}
