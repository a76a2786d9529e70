//! The parsed playbook: types that can only be valid, with every default filled in.
//!
//! The parts are plain data made of checked names; a whole [`Playbook`] comes from `Playbook::parse` alone, because
//! only there are the parts checked against each other. Serialized it is the resolved playbook, without secrets.
//! Leaves out what a run makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

mod account;
mod asset;
mod plan;

pub(crate) use account::{AccountSpec, Attest, BucketLike, Contract, DocumentPlace, Selection, Waiver};
pub use asset::Asset;
pub(crate) use asset::{
    AssetKind, BucketSpec, DatabaseSpec, ExcludedTable, Limits, RolesSpec, SampleSpec, Server, SqlCheckSpec,
};
pub(crate) use plan::{Alternative, EVERY_DEFAULT, ExitLimit, ExitPlan, FollowUp, Objectives, Roles, Service};

use super::document::Previous;
use super::names::{AccountId, AssetId, BucketName, Endpoint, Line, PlaybookId, Region};
use super::path::{optional_path_text, path_text};
use super::quantity::{Ceiling, Floor};
use super::reference::Reference;
use super::selector::Selector;

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
        let mut buckets = self.assets.iter().filter_map(|asset| asset.kind.bucket());
        buckets.any(|spec| spec.bucket == *bucket && spec.prefix.is_none())
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
    /// Regions in which nothing may be, but which are searched for databases and snapshots as well.
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
