//! The keys of a playbook that concern the account, its owner's documents, and what is waived.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::playbook::checked::{Checked, List, Written};

/// Tags that a resource must have, each with its value.
pub(in crate::playbook) type Tags = Checked<BTreeMap<String, Checked<String>>>;

/// A resource of the account that is excluded, why, by whom, and until when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct Exclusion {
    /// What is excluded, as kind:glob, such as s3:acme-logs-*.
    #[serde(rename = "match")]
    #[schemars(extend("pattern" = "^(s3|postgres|rds|snapshot):.+$"))]
    pub selector: Checked<String>,
    /// Tags that the resource must also have.
    #[serde(default)]
    pub tags: Tags,
    /// Why the exit can do without it.
    #[schemars(extend("minLength" = 1))]
    pub reason: Checked<String>,
    /// Its owner.
    #[schemars(extend("minLength" = 1))]
    pub owner: Checked<String>,
    /// The last day on which it holds.
    #[schemars(extend("format" = "date"))]
    pub until: Checked<Written>,
}

/// Bounds that the run must keep.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct Thresholds {
    /// How long the run may take, such as `<= 4h`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^<=?\\s*[0-9]+\\s*[smhdw]$"))]
    pub run_time: Checked<Written>,
    /// How many of the account's buckets and databases are tested as a whole, of those that are not excluded, such as
    /// `>= 60%`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^>=?\\s*[0-9]+(\\.[0-9]{1,2})?\\s*%$"))]
    pub coverage_assets: Checked<Written>,
    /// How many of their bytes are tested.
    #[serde(default)]
    #[schemars(extend("pattern" = "^>=?\\s*[0-9]+(\\.[0-9]{1,2})?\\s*%$"))]
    pub coverage_bytes: Checked<Written>,
    /// How long the exit may take by the median of the projection, such as `<= 48h` or `<= objectives.rto`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^<=?\\s*([0-9]+\\s*[smhdw]|objectives\\.rto|contract\\.(transition|retrieval))$"))]
    pub time_to_exit_p50: Checked<Written>,
    /// The same by the 90th percentile.
    #[serde(default)]
    #[schemars(extend("pattern" = "^<=?\\s*([0-9]+\\s*[smhdw]|objectives\\.rto|contract\\.(transition|retrieval))$"))]
    pub time_to_exit_p90: Checked<Written>,
}

/// How the account's inventory is taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct InventoryEntry {
    /// Where the sizes of buckets come from.
    #[serde(default)]
    pub sizes: Checked<Sizes>,
}

/// Where the sizes of buckets come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Sizes {
    /// The metrics that CloudWatch keeps once a day.
    #[default]
    Metrics,
    /// Listing every object of every bucket: exact, and slow.
    Listing,
}

/// A waiver of a finding, until a date.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct WaiverEntry {
    /// The beginning of the finding, as printed in the report; `*` stands for any characters.
    #[schemars(extend("minLength" = 1))]
    pub finding: Checked<String>,
    /// Why it is accepted.
    #[schemars(extend("minLength" = 1))]
    pub reason: Checked<String>,
    /// Its owner.
    #[schemars(extend("minLength" = 1))]
    pub owner: Checked<String>,
    /// The last day on which it holds.
    #[schemars(extend("format" = "date"))]
    pub until: Checked<Written>,
}

/// What must hold before the transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Precondition {
    /// The session was opened with a second factor.
    #[serde(rename = "identity.mfa")]
    IdentityMfa,
    /// The credentials expire.
    #[serde(rename = "identity.short_lived")]
    IdentityShortLived,
    /// No call that the playbook needs is refused.
    #[serde(rename = "identity.rights")]
    IdentityRights,
    /// No key-shaped secret is in the AWS files or in configuration beside the playbook.
    #[serde(rename = "local.no_secrets")]
    LocalNoSecrets,
    /// The target has space for the expected data, and a reserve.
    #[serde(rename = "target.free_space")]
    TargetFreeSpace,
}

/// What is checked in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Posture {
    /// Everything is in the regions of `provider.aws.regions`.
    Residency,
    /// Everything is encrypted at rest.
    Encryption,
    /// Nothing is public.
    PublicAccess,
    /// No snapshot outlives its source.
    OrphanSnapshots,
    /// Users have a second factor, keys are young and used, the root user has none.
    Credentials,
    /// Versioning, object lock, retention of backups: recorded, not judged.
    Protection,
}

/// What must hold after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Postcondition {
    /// Inventory and settings are as before, except for walkaway's own changes.
    SourceUnchanged,
}

/// Whether the target may be a cloud machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum NonCloud {
    /// A machine in a cloud fails the run.
    Required,
    /// The facts about the machine are recorded.
    Recorded,
}

/// A document that the evidence refers to: exactly one of `file` and `folder`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["file"]}, {"required": ["folder"]}]))]
pub(in crate::playbook) struct AttestEntry {
    /// Names the document in the evidence.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub id: Checked<String>,
    /// One document; a relative path starts at the playbook's folder.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub file: Checked<String>,
    /// A folder of documents.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub folder: Checked<String>,
    /// What it is.
    #[serde(default)]
    pub kind: Checked<DocumentKind>,
    /// The document's date; without it, the date in a document's name counts, as in `soc2-2026-03-31.pdf`.
    #[serde(default)]
    #[schemars(extend("format" = "date"))]
    pub dated: Checked<Written>,
    /// How old it may be, such as 12mo or 90d.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*(mo|[dwy])$"))]
    pub max_age: Checked<Written>,
    /// Whether each document needs notes of its reviewer, in NAME.review.md or NAME.review.txt beside it.
    #[serde(default)]
    pub review_note: Checked<ReviewNote>,
}

/// What a document is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DocumentKind {
    /// Something to be read by people.
    #[default]
    Document,
    /// A CSV with the columns service, patching, application and identity, one row for each service in use.
    ResponsibilityMatrix,
}

/// Whether notes of a review are needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ReviewNote {
    /// Each document needs them.
    Required,
    /// They are not required.
    #[default]
    Optional,
}

/// The terms of the contract that the exit is compared with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct ContractEntry {
    /// The contract itself; a relative path starts at the playbook's folder.
    #[schemars(extend("minLength" = 1))]
    pub file: Checked<String>,
    /// How long before the end notice is given.
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub notice: Checked<Written>,
    /// How long the transition may take; the run must keep within it.
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub transition: Checked<Written>,
    /// How long the data can still be retrieved after the end.
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub retrieval: Checked<Written>,
}

/// The account's keys of the document, gathered so that the document itself stays short.
pub(in crate::playbook) type Waivers = List<WaiverEntry>;
