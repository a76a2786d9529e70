//! The parsed playbook: types that can only be valid, with every default filled in.
//!
//! The parts are plain data made of checked names; a whole [`Playbook`] comes from `Playbook::parse` alone, because
//! only there are the parts checked against each other. Serialized it is the resolved playbook, without secrets.
//! Leaves out what a run makes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

mod plan;

pub use plan::{Alternative, EVERY_DEFAULT, ExitLimit, ExitPlan, FollowUp, Objectives, Roles, Service};

use super::document::{DatabaseCheck, Layout, Previous, Versions};
use super::expect::Expectation;
use super::names::{AccountId, AssetId, BucketName, Endpoint, Line, PlaybookId, Region, TableName};
use super::quantity::{Ceiling, Floor, Period, Share, Size};
use super::rds::RdsSpec;
use super::reference::Reference;
use super::selector::Selector;

mod account;

pub use account::{AccountSpec, Attest, BucketLike, Contract, DocumentPlace, Selection, Waiver};

/// A valid playbook.
#[derive(Debug, Clone, Serialize)]
pub struct Playbook {
    pub(super) version: u64,
    pub(super) id: PlaybookId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<Provider>,
    pub(super) target: TargetSpec,
    pub(super) assets: Vec<Asset>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) selections: Vec<Selection>,
    pub(super) exclude: Vec<Exclusion>,
    pub(super) thresholds: Thresholds,
    pub(super) evidence: EvidenceSpec,
    pub(super) account: AccountSpec,
    pub(super) plan: ExitPlan,
}

impl Playbook {
    /// Its settings for the account, documents and waivers.
    #[must_use]
    pub fn account(&self) -> &AccountSpec {
        &self.account
    }

    /// Assets that are selected when the run starts.
    #[must_use]
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// The playbook with resolved selections: selected buckets follow the assets that have names. A bucket that is an
    /// asset already is not copied twice.
    #[must_use]
    pub fn with_selected(mut self, chosen: &[(AssetId, Vec<BucketName>)]) -> Self {
        for (id, buckets) in chosen {
            let Some(selection) = self.selections.iter().find(|selection| selection.id == *id) else { continue };
            let like = selection.like.0.clone();
            for bucket in buckets {
                if self.names_whole(bucket) {
                    continue;
                }
                let id = selected_id(id, bucket, &self.assets);
                let kind = AssetKind::Objects(BucketSpec { bucket: bucket.clone(), ..like.clone() });
                self.assets.extend(id.map(|id| Asset { id, kind }));
            }
        }
        self
    }

    fn names_whole(&self, bucket: &BucketName) -> bool {
        self.assets.iter().any(|asset| match &asset.kind {
            AssetKind::Objects(spec) => spec.bucket == *bucket && spec.prefix.is_none(),
            AssetKind::Database(_) => false,
        })
    }

    /// Names the playbook across its runs.
    #[must_use]
    pub fn id(&self) -> &PlaybookId {
        &self.id
    }

    /// The title for people, if there is one.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(Line::as_str)
    }

    /// The provider; always there when an asset is a bucket.
    #[must_use]
    pub fn provider(&self) -> Option<&AwsSpec> {
        self.provider.as_ref().map(|provider| &provider.aws)
    }

    /// Where the data goes.
    #[must_use]
    pub fn target(&self) -> &TargetSpec {
        &self.target
    }

    /// The assets in the order of the file, each with an id of its own: at least one, but where buckets are selected.
    #[must_use]
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// What is left out on purpose, also where the exclusion has expired.
    #[must_use]
    pub fn exclusions(&self) -> &[Exclusion] {
        &self.exclude
    }

    /// The bounds that a run must keep.
    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// The plan that the drill tests.
    #[must_use]
    pub fn plan(&self) -> &ExitPlan {
        &self.plan
    }

    /// The folder in which each run's bundle is made.
    #[must_use]
    pub fn evidence_path(&self) -> &Path {
        &self.evidence.path
    }

    /// The operator's key.
    #[must_use]
    pub fn signing_key(&self) -> Option<&Path> {
        self.evidence.sign.as_deref()
    }

    /// The address of the time-stamp authority.
    #[must_use]
    pub fn timestamp_authority(&self) -> Option<&str> {
        self.evidence.timestamp.as_ref().map(Endpoint::as_str)
    }

    /// The reference to the secret of the pseudonyms, if keys get them.
    #[must_use]
    pub fn pseudonyms(&self) -> Option<&Reference> {
        self.evidence.pseudonyms.as_ref()
    }

    /// Whether each run names the previous run.
    #[must_use]
    pub fn previous(&self) -> Previous {
        self.evidence.previous
    }
}

/// The provider, in the form of the file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Provider {
    pub(super) aws: AwsSpec,
}

/// How to reach AWS or a compatible server.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AwsSpec {
    /// The required account of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The profile of the AWS configuration files; `None` leaves the choice to the SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Line>,
    /// The regions in scope, the client's first; empty leaves the choice to the SDK.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Regions in which nothing may be, and in which databases and snapshots are looked for as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_look_in: Vec<Region>,
    /// Addresses that replace the provider's own.
    pub endpoints: Endpoints,
}

/// Addresses that replace the provider's own.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Endpoints {
    /// Address for S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<Endpoint>,
    /// Address for RDS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rds: Option<Endpoint>,
    /// Address for STS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts: Option<Endpoint>,
    /// Address for IAM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam: Option<Endpoint>,
    /// Address for CloudWatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch: Option<Endpoint>,
    /// Address for S3 Control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3control: Option<Endpoint>,
}

/// The local side.
#[derive(Debug, Clone, Serialize)]
pub struct TargetSpec {
    /// The folder that receives the data, with the playbook's folder.
    #[serde(serialize_with = "path_text")]
    pub path: PathBuf,
    /// The PostgreSQL that is restored into; always there when an asset is a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresTarget>,
    /// The S3 server that buckets are restored into; always there when the layout of one is `s3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3TargetSpec>,
}

/// The S3 server that buckets are restored into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3TargetSpec {
    /// Its address.
    pub endpoint: Endpoint,
    /// The profile that holds its credentials; `None` leaves the choice to the SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Line>,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// The PostgreSQL that databases are restored into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTarget {
    /// A disposable cluster, started from the programs on this machine.
    Managed,
    /// A user's server.
    Url {
        /// The reference to its connection string.
        url: Reference,
        /// Whether code of the source may run there as a login that can reach outside of the database.
        trust_source: bool,
    },
}

impl Serialize for PostgresTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Managed => serializer.collect_map([("managed", true)]),
            Self::Url { url, trust_source } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("url", url)?;
                if *trust_source {
                    map.serialize_entry("trust_source", trust_source)?;
                }
                map.end()
            }
        }
    }
}

/// What is copied and gets a verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Asset {
    /// Unique within the playbook.
    pub id: AssetId,
    /// Its kind.
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

/// Something at the provider that is left out on purpose.
#[derive(Debug, Clone, Serialize)]
pub struct Exclusion {
    /// What is left out.
    #[serde(rename = "match")]
    pub selector: Selector,
    /// Tags that the resource must also have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Why the exit can do without it.
    pub reason: Line,
    /// Its owner.
    pub owner: Line,
    /// The last day on which it holds.
    pub until: Date,
}

impl Exclusion {
    /// Whether the exclusion has ended before `today`.
    #[must_use]
    pub fn expired(&self, today: Date) -> bool {
        today > self.until
    }
}

/// The bounds that a run must keep.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Thresholds {
    /// How long the run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_time: Option<Ceiling>,
    /// How many of the account's resources are tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage_assets: Option<Floor>,
    /// How many of their bytes are tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage_bytes: Option<Floor>,
    /// How long the exit may take by the median of the projection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_exit_p50: Option<ExitLimit>,
    /// The same by the 90th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_exit_p90: Option<ExitLimit>,
}

/// An id for a bucket that was selected: the selection's and the bucket's, cut where that is too long, and numbered
/// where it is taken.
fn selected_id(selection: &AssetId, bucket: &BucketName, taken: &[Asset]) -> Option<AssetId> {
    let whole = format!("{selection}-{}", bucket.as_str().replace('.', "_"));
    let numbered = |number: usize| {
        let ending = if number == 1 { String::new() } else { format!("-{number}") };
        let room = ID_CHARS_MAX - ending.len();
        format!("{}{ending}", whole.get(..room).unwrap_or(&whole))
    };
    let free = |id: &AssetId| !taken.iter().any(|asset| asset.id == *id);
    (1..=taken.len() + 1).filter_map(|number| numbered(number).parse().ok()).find(free)
}

const ID_CHARS_MAX: usize = 63;

/// Where the evidence goes, in the form of the file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct EvidenceSpec {
    #[serde(serialize_with = "path_text")]
    pub(super) path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_path_text")]
    pub(super) sign: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pseudonyms: Option<Reference>,
    pub(super) previous: Previous,
}

/// A path as text, also where the folder's name is not UTF-8: a folder's name must not stop the evidence.
fn path_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn optional_path_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        None => serializer.serialize_none(),
        Some(path) => path_text(path, serializer),
    }
}
