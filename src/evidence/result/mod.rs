//! `result.json`: the machine-readable result of one run, with a JSON Schema made from the same types.

use std::io;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

pub use super::chain::JournalHead;
use super::facts::{Chain, Cost, ExitTime, PacePoint, PlanFacts};
use crate::domain::{
    digest::Sha256Digest,
    finding::{Finding, Verdict},
    proof::Tier,
};

mod account;
mod asset;
mod bound;

pub use account::{CoverageResult, ExclusionResult, SessionResult, TargetResult, WaiverResult, carried, excluding};
pub use asset::{
    AssetResult, ClassCount, DatabaseResult, ExcludedTable, ExportResult, FiledFindings, FiledKind, ObjectLayout,
    ObjectsResult, RdsResult, SampleResult, SourceLoad, Stratum, TemporaryResult, Timings, pseudonyms_mark,
};
pub use bound::bound_sha256;
pub(crate) use bound::outcomes;

/// The format that this version writes. From 3 on the journal's last line binds the whole result, and its receipts are in
/// the bundle; from 4 on every signature has a statement beside it.
pub const RESULT_VERSION: u32 = 4;
/// The oldest format that is read; what it lacks is empty.
pub const RESULT_VERSION_OLDEST: u32 = 1;

/// The whole result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Version of this format.
    pub result_version: u32,
    /// The run's id; also the name of its directory.
    pub run: String,
    /// The playbook's id and title.
    pub playbook: PlaybookRef,
    /// What ran.
    pub tool: Tool,
    /// The machine that the data was restored to.
    pub host: String,
    /// UTC, RFC 3339, from the machine's own clock.
    pub started: String,
    /// UTC, RFC 3339, from the machine's own clock.
    pub ended: String,
    /// Milliseconds of work, breaks between interruption and resumption not counted.
    pub duration_ms: u64,
    /// How often the run was interrupted and went on.
    pub resumed: u32,
    /// Who asked the provider, where it could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// What kind of session asked, where preconditions had it looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionResult>,
    /// The change record that the run belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// What the target looks like, where the playbook asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetResult>,
    /// How much of the account was covered; none where there is no account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageResult>,
    /// The directory that holds the restored data, absolute.
    pub restored_to: String,
    /// The judgement of the run.
    pub verdict: Verdict,
    /// Whether everything in scope was carried, or a sample of it.
    #[serde(default)]
    pub tier: Tier,
    /// One entry for each asset of the playbook, in its order.
    pub assets: Vec<AssetResult>,
    /// What the playbook leaves out, and why.
    pub exclusions: Vec<ExclusionResult>,
    /// Waivers of findings.
    #[serde(default)]
    pub waivers: Vec<WaiverResult>,
    /// Findings about the run as a whole; those of an asset stand with it.
    pub findings: Vec<Finding>,
    /// Each threshold with what was measured.
    pub thresholds: Vec<ThresholdResult>,
    /// What this version does not carry or prove, in plain words.
    pub not_proven: Vec<String>,
    /// The journal's length and head.
    pub journal: JournalHead,
    /// The runs before this one.
    #[serde(default, skip_serializing_if = "Chain::is_empty")]
    pub chain: Chain,
    /// What the playbook says beside what is to be carried.
    #[serde(default, skip_serializing_if = "PlanFacts::is_empty")]
    pub plan: PlanFacts,
    /// How long the exit would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_time: Option<ExitTime>,
    /// What the traffic costs; none where no provider is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// How far the run was, over its time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pace: Vec<PacePoint>,
}

/// Which playbook was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaybookRef {
    /// The playbook's id.
    pub id: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// SHA-256 of the file as read.
    pub sha256: Sha256Digest,
}

/// Which program ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Always `walkaway`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the executable.
    pub binary_sha256: Sha256Digest,
}

/// The identity at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

/// A threshold and what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdResult {
    /// The key in the playbook.
    pub name: String,
    /// The limit as the playbook writes it.
    pub limit: String,
    /// What was measured, in words.
    pub measured: String,
    /// Whether the limit held.
    pub met: bool,
    /// Whether it could not be measured; then it is not met either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

impl RunResult {
    /// The verdict in words, with the word that it is about a sample, if it is.
    pub fn verdict_words(&self) -> String {
        self.verdict.words(self.tier == Tier::Sample)
    }

    /// [`bound_sha256`] of a result that has no text yet.
    ///
    /// # Errors
    /// When it can't be serialized as JSON.
    pub fn bound_sha256(&self) -> io::Result<Sha256Digest> {
        bound_sha256(&serde_json::to_vec(self)?)
    }

    /// All findings that the result holds: the run's own, then each asset's.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.assets.iter().flat_map(|asset| &asset.findings))
    }

    /// How many findings there are, those included that stand in files only.
    pub fn findings_total(&self) -> u64 {
        let beyond = self.assets.iter().filter_map(|asset| Some(asset.filed.as_ref()?.beyond()));
        beyond.fold(self.all_findings().count() as u64, u64::saturating_add)
    }
}

#[derive(Deserialize)]
struct Versioned {
    result_version: u32,
}

/// Reads a result of any supported version.
pub fn parse_result(bytes: &[u8]) -> Result<RunResult, String> {
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if !(RESULT_VERSION_OLDEST..=RESULT_VERSION).contains(&versioned.result_version) {
        let version = versioned.result_version;
        return Err(format!("version {version}, this walkaway reads {RESULT_VERSION_OLDEST} to {RESULT_VERSION}"));
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// The JSON Schema (draft 2020-12) of `result.json`.
pub fn result_schema() -> Schema {
    schema_for!(RunResult)
}
