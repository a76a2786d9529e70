//! The playbook as it is written: a mirror of the YAML, from which the JSON Schema is made as well.
//!
//! Leaves out every judgement on values: it knows keys, types and the words of closed lists. A field that is
//! `#[serde(default)]` is optional; every other key is required, which `validate` enforces by asking for it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use super::checked::Checked;

type List<T> = Checked<Vec<Checked<T>>>;

/// A dry-run exit from a cloud provider: what is carried out, where it goes, and what must hold.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
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
    /// Where the data comes from. Required when an asset is a bucket.
    #[serde(default)]
    pub provider: Checked<Provider>,
    /// Where the data goes.
    pub target: Checked<Target>,
    /// Settings for all assets.
    #[serde(default)]
    pub defaults: Checked<Defaults>,
    /// What is carried out and gets a verdict.
    #[schemars(extend("minItems" = 1))]
    pub assets: List<Asset>,
    /// What is left out on purpose, for how long, and who says so.
    #[serde(default)]
    pub exclude: List<Exclusion>,
    /// Bounds that the run must keep to pass.
    #[serde(default)]
    pub thresholds: Checked<Thresholds>,
    /// Where the evidence of each run is written.
    #[serde(default)]
    pub evidence: Checked<Evidence>,
}

/// The provider that is left.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    /// Amazon Web Services, or a server that speaks its protocols.
    pub aws: Checked<Aws>,
}

/// How to reach AWS. Credentials come from the SDK's own chain, never from here.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Aws {
    /// The account, compared with the caller's identity before anything moves.
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
    /// Addresses of S3-compatible servers or VPC endpoints.
    #[serde(default)]
    pub endpoints: Checked<Endpoints>,
}

/// Addresses that replace the provider's own.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoints {
    /// Address for S3.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub s3: Checked<String>,
    /// Address for STS, which says who the caller is.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub sts: Checked<String>,
}

/// The local, non-cloud side.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// The folder that receives the data; a relative path starts at the playbook's folder.
    #[schemars(extend("minLength" = 1))]
    pub path: Checked<String>,
    /// The PostgreSQL that databases are restored into. Required when an asset is a database.
    #[serde(default)]
    pub postgres: Checked<TargetPostgres>,
}

/// A disposable cluster or a server of yours: exactly one of the two keys.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
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
}

/// Settings for all assets.
#[derive(Debug, Default, DeriveDeserialize, JsonSchema)]
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
#[derive(Debug, Default, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct S3Defaults {
    /// How the objects are laid out at the target.
    #[serde(default)]
    pub layout: Checked<Layout>,
    /// Which versions of an object are carried.
    #[serde(default)]
    pub versions: Checked<Versions>,
}

/// Settings for databases.
#[derive(Debug, Default, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseDefaults {
    /// What is compared after the restore; rows and digest are always among it.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub verify: List<DatabaseCheck>,
    /// How many connections copy at the same time.
    #[serde(default)]
    #[schemars(extend("minimum" = 1, "maximum" = 16))]
    pub parallel: Checked<u64>,
}

/// How objects are laid out at the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, DeriveDeserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Layout {
    /// Files named by key.
    #[default]
    Tree,
}

/// Which versions of an object are carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, DeriveDeserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Versions {
    /// The current version only.
    #[default]
    Latest,
}

/// One comparison of a restored database with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, DeriveDeserialize, Serialize, JsonSchema)]
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

/// One bucket or one database: exactly one of `s3` and `postgres`.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["s3"]}, {"required": ["postgres"]}]))]
pub(super) struct Asset {
    /// Names the asset within the playbook.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub id: Checked<String>,
    /// The asset is a bucket, or the part of one below a prefix.
    #[serde(default)]
    pub s3: Checked<S3>,
    /// The asset is a PostgreSQL database.
    #[serde(default)]
    pub postgres: Checked<Postgres>,
    /// Tables of the database that are left out.
    #[serde(default)]
    pub exclude_tables: List<ExcludedTable>,
}

/// A bucket.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct S3 {
    /// The bucket's name.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"))]
    pub bucket: Checked<String>,
    /// Only keys that begin with this.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub prefix: Checked<String>,
    /// How the objects are laid out at the target.
    #[serde(default)]
    pub layout: Checked<Layout>,
    /// Which versions of an object are carried.
    #[serde(default)]
    pub versions: Checked<Versions>,
}

/// A PostgreSQL database.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    /// A reference to a connection string: env:NAME or file:path.
    #[schemars(extend("pattern" = "^(env|file):.+$"))]
    pub url: Checked<String>,
}

/// A table that is left out, and why.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExcludedTable {
    /// The table as schema.table.
    #[schemars(extend("pattern" = "^[^.]+\\.[^.]+$"))]
    pub name: Checked<String>,
    /// Why the exit can do without it.
    #[schemars(extend("minLength" = 1))]
    pub reason: Checked<String>,
}

/// Something in the account that is left out, why, who says so, and until when.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exclusion {
    /// What is left out, as kind:glob, such as s3:acme-logs-*.
    #[serde(rename = "match")]
    #[schemars(extend("pattern" = "^(s3|postgres|rds):.+$"))]
    pub selector: Checked<String>,
    /// Why the exit can do without it.
    #[schemars(extend("minLength" = 1))]
    pub reason: Checked<String>,
    /// Who answers for it.
    #[schemars(extend("minLength" = 1))]
    pub owner: Checked<String>,
    /// The last day on which it holds.
    #[schemars(extend("format" = "date"))]
    pub until: Checked<Written>,
}

/// Bounds that the run must keep.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Thresholds {
    /// How long the run may take, such as `<= 4h`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^<=?\\s*[0-9]+\\s*[smhdw]$"))]
    pub run_time: Checked<Written>,
}

/// Where the evidence goes.
#[derive(Debug, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    /// The folder for the bundles; a relative path starts at the playbook's folder.
    #[schemars(extend("minLength" = 1))]
    pub path: Checked<String>,
}

/// A scalar as it is written, also when YAML takes it for a number.
///
/// For quantities and dates, where a forgotten unit should be called that and not a wrong type.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Written(pub String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl Visitor<'_> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written(text.to_owned()))
    }
}
