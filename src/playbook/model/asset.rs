//! What is carried out, as it is understood: a bucket or a database, and how.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::playbook::{
    document::{DatabaseCheck, Layout, Versions},
    expect::Expectation,
    names::{AssetId, BucketName, Line, TableName},
    quantity::{Period, Share, Size},
    rds::RdsSpec,
    reference::Reference,
};

/// What is copied and gets a verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Asset {
    /// Unique within the playbook.
    pub id: AssetId,
    /// What it is.
    #[serde(flatten)]
    pub kind: AssetKind,
}

/// What an asset is. Serialized under the key that the file has for it.
#[derive(Debug, Clone)]
pub enum AssetKind {
    /// A bucket, or the part of one below a prefix.
    Objects(BucketSpec),
    /// A PostgreSQL database.
    Database(DatabaseSpec),
}

impl AssetKind {
    /// The bucket, if it is one.
    #[must_use]
    pub fn bucket(&self) -> Option<&BucketSpec> {
        match self {
            Self::Objects(bucket) => Some(bucket),
            Self::Database(_) => None,
        }
    }
}

impl Serialize for AssetKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Objects(bucket) => serializer.collect_map([("s3", bucket)]),
            Self::Database(database) => {
                let key = if database.server.rds().is_some() { "rds" } else { "postgres" };
                serializer.collect_map([(key, database)])
            }
        }
    }
}

/// A bucket and how it is copied.
#[derive(Debug, Clone, Serialize)]
pub struct BucketSpec {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys with this prefix; never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the objects are laid out at the target.
    pub layout: Layout,
    /// Which versions are copied.
    pub versions: Versions,
    /// Whether each object's access control list is recorded.
    pub acls: bool,
    /// Only a sample of the objects is copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
    /// Whether it may be empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_be_empty: bool,
    /// How long either end may be unreachable; nothing else of it applies to buckets.
    #[serde(skip_serializing_if = "Limits::are_none")]
    pub limits: Limits,
}

/// A part of a bucket's objects, drawn by a keyed hash of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SampleSpec {
    /// How many of the objects.
    pub share: Share,
    /// The key of the hash.
    pub seed: u64,
}

/// A database and how it is copied.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseSpec {
    /// Where it is.
    #[serde(flatten)]
    pub server: Server,
    /// Tables that are left out, each once.
    pub exclude_tables: Vec<ExcludedTable>,
    /// What is compared; rows and digest are always among it.
    pub verify: Vec<DatabaseCheck>,
    /// How many connections copy at the same time: 1 to 16.
    pub parallel: usize,
    /// How roles, owners and grants are handled; `None` leaves it to the kind of target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<RolesSpec>,
    /// Checks on the restored database, each id once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<SqlCheckSpec>,
    /// Whether it may be empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_be_empty: bool,
    /// The limits on its load.
    #[serde(skip_serializing_if = "Limits::are_none")]
    pub limits: Limits,
}

/// Where a database is.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Server {
    /// Any PostgreSQL; the reference resolves to its connection string.
    Url {
        /// The reference.
        url: Reference,
    },
    /// Amazon RDS or Aurora.
    Rds(Box<RdsSpec>),
}

impl Server {
    /// Its description on RDS, if it is there.
    #[must_use]
    pub fn rds(&self) -> Option<&RdsSpec> {
        match self {
            Self::Rds(rds) => Some(rds),
            Self::Url { .. } => None,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url } => url.fmt(f),
            Self::Rds(rds) => rds.fmt(f),
        }
    }
}

/// How roles, owners and grants are handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RolesSpec {
    /// They are as at the source.
    Carry,
    /// Roles of the source are mapped to roles of the target.
    Map(BTreeMap<String, String>),
    /// Everything belongs to the login that restores.
    Skip,
}

/// A check on the restored database.
#[derive(Debug, Clone, Serialize)]
pub struct SqlCheckSpec {
    /// Unique within the asset.
    pub id: AssetId,
    /// One query that yields one value.
    pub sql: String,
    /// What the value must be.
    pub expect: Expectation,
}

/// The limits on a database's load. What is not given is left to the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Connections in all, at least three: one holds the snapshot, one counts, the others copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Bytes a second, all connections together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<Size>,
    /// How long a table's lock is waited for, and how long others may wait for one behind the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_timeout: Option<Period>,
    /// How long a copy may stall, and a server be unreachable, before it is restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Period>,
}

impl Limits {
    fn are_none(&self) -> bool {
        *self == Limits::default()
    }
}

/// A table that is left out.
#[derive(Debug, Clone, Serialize)]
pub struct ExcludedTable {
    /// The table.
    pub name: TableName,
    /// Why the exit can do without it.
    pub reason: Line,
}
