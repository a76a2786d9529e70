//! A database on RDS or Aurora in the playbook: its identifier, how it is reached, and the settings of a temporary
//! instance.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::document::SnapshotChoice;
use super::names::{BucketName, Line, RdsId};
use super::path::optional_path_text;
use super::quantity::{Money, Period};
use super::reference::Reference;

/// A database on RDS or Aurora.
#[derive(Debug, Clone, Serialize)]
pub struct RdsSpec {
    /// The instance or cluster.
    #[serde(flatten)]
    pub place: RdsPlace,
    /// The database on it.
    pub database: Line,
    /// The login; always present unless an export is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<RdsLogin>,
    /// CA certificates that replace walkaway's built-in ones.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_path_text")]
    pub ca: Option<PathBuf>,
    /// Where to connect instead of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<ViaSpec>,
    /// How the data is reached.
    pub method: RdsMethodSpec,
}

/// An instance or a cluster, by its identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RdsPlace {
    /// An instance.
    Instance(RdsId),
    /// An Aurora cluster.
    Cluster(RdsId),
}

/// The login, and its authentication.
#[derive(Debug, Clone, Serialize)]
pub struct RdsLogin {
    /// The role.
    pub user: Line,
    /// The reference to its password; none means IAM tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Reference>,
}

/// Where a tunnel begins.
#[derive(Debug, Clone, Serialize)]
pub struct ViaSpec {
    /// A host name or an address.
    pub host: Line,
    /// The port.
    pub port: u16,
}

/// How the data is reached.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RdsMethodSpec {
    /// From the running instance, or from this replica of it.
    Live {
        /// The replica.
        #[serde(skip_serializing_if = "Option::is_none")]
        replica: Option<RdsId>,
    },
    /// From a temporary instance.
    Snapshot(SnapshotSpec),
    /// From the files of an export.
    Export(ExportSpec),
}

/// An export, and how long it may take.
#[derive(Debug, Clone, Serialize)]
pub struct ExportSpec {
    /// The export.
    #[serde(flatten)]
    pub from: ExportFrom,
    /// How long it may take to become complete.
    pub complete_within: Period,
}

/// The origin of an export.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFrom {
    /// It was requested before, under this identifier.
    Task(Line),
    /// Its files are here.
    Files {
        /// The bucket.
        bucket: BucketName,
        /// The prefix of the keys.
        folder: String,
    },
    /// It is created for the run.
    New(NewExport),
}

/// An export that is created for the run.
#[derive(Debug, Clone, Serialize)]
pub struct NewExport {
    /// The destination bucket.
    pub bucket: BucketName,
    /// The prefix of its keys; may be empty.
    pub prefix: String,
    /// The role that RDS writes as.
    pub role: Line,
    /// The key that RDS encrypts with.
    pub key: Line,
    /// What is exported.
    pub take: ExportedSnapshot,
    /// What a gigabyte of the snapshot costs.
    pub per_gb: Money,
    /// Its cost limit, in the same currency.
    pub cost_ceiling: Money,
}

/// The snapshot that is exported.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ExportedSnapshot {
    /// The newest automated one.
    Newest,
    /// One that is created for the run and removed after it.
    New,
    /// The one with this identifier.
    Named(Line),
}

/// A snapshot and the temporary instance that it is restored to.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotSpec {
    /// Which snapshot.
    pub take: SnapshotChoice,
    /// The instance's class.
    pub class: Line,
    /// Its subnet group.
    pub subnet_group: Line,
    /// Its security groups; at least one.
    pub security_groups: Vec<Line>,
    /// Its parameter group.
    pub parameter_group: Line,
    /// Tags besides walkaway's own.
    pub tags: Vec<(String, String)>,
    /// What an hour costs.
    pub per_hour: Money,
    /// Its cost limit, in the same currency.
    pub cost_ceiling: Money,
    /// How long it may take to become available.
    pub available_within: Period,
}

impl RdsSpec {
    /// Whether copying this database creates paid resources at the provider, which has to be confirmed.
    #[must_use]
    pub fn makes_resources(&self) -> bool {
        matches!(self.method, RdsMethodSpec::Snapshot(_)) || self.new_export().is_some()
    }

    /// The export that is created for the run, if any.
    #[must_use]
    pub fn new_export(&self) -> Option<&NewExport> {
        match &self.method {
            RdsMethodSpec::Export(ExportSpec { from: ExportFrom::New(new), .. }) => Some(new),
            _ => None,
        }
    }

    /// The paid resource, as text.
    #[must_use]
    pub fn makes_what(&self) -> &'static str {
        match self.method {
            RdsMethodSpec::Export(_) => "an export",
            _ => "a temporary instance",
        }
    }

    /// The name of the method.
    #[must_use]
    pub fn method_word(&self) -> &'static str {
        match self.method {
            RdsMethodSpec::Live { .. } => "live",
            RdsMethodSpec::Snapshot(_) => "snapshot",
            RdsMethodSpec::Export(_) => "export",
        }
    }
}

impl RdsPlace {
    /// The identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Instance(id) | Self::Cluster(id) => id.as_str(),
        }
    }
}

/// `rds:ledger-prod/ledger`.
impl fmt::Display for RdsSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rds:{}/{}", self.place.id(), self.database)
    }
}
