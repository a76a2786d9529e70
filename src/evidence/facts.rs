//! What `result.json` says beside the comparison of each asset: the chain of runs, the time and cost of the exit, the plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    digest::Sha256Digest,
    event::AssetKind,
    finding::{Finding, Verdict},
};

/// Runs that the history keeps, the predecessor included.
pub const HISTORY_RUNS_MAX: usize = 8;

/// The runs before this one, of the same playbook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The run before. Its bundle's digest stands here, so whoever trusts this bundle can trust that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousRun>,
    /// The runs before, oldest first, the predecessor last; as each bundle told the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastRun>,
}

impl Chain {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Chain::default()
    }
}

/// The run before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviousRun {
    /// Its id.
    pub run: String,
    /// SHA-256 of its `tagmanifest-sha256.txt`.
    pub bundle_digest: Sha256Digest,
    /// Head of its journal.
    pub journal_head: Sha256Digest,
    /// What it came to.
    pub verdict: Verdict,
    /// What it found that weighs; each is closed or still open in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Whether findings are not told, because objects had other names in that run: keys, or pseudonyms under another secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// One run of the history, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastRun {
    /// Its id.
    pub run: String,
    /// UTC, RFC 3339.
    pub started: String,
    /// What it came to.
    pub verdict: Verdict,
    /// Whether it carried a sample, of which alone the verdict speaks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sampled: bool,
    /// Milliseconds of work.
    pub duration_ms: u64,
    /// Bytes that crossed, all assets together.
    pub bytes: u64,
    /// Assets that passed.
    pub passed: u64,
    /// Assets in all.
    pub assets: u64,
    /// Projected time to exit, milliseconds, median and 90th percentile, where it was not refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_p50_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_p90_ms: Option<u64>,
    /// SHA-256 of its `tagmanifest-sha256.txt`.
    pub bundle_digest: Sha256Digest,
}

/// How long the exit would take, projected from this run; the method is described in `walkaway`'s documentation of
/// `evidence::exit_time::model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExitTime {
    /// What the exit would carry, in words.
    pub scope: String,
    /// Repetitions of the bootstrap.
    pub replicates: u32,
    /// Each class of assets by itself.
    pub classes: Vec<ClassTime>,
    /// Milliseconds, median; none where the projection is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// Milliseconds, 90th percentile; none where the projection is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<u64>,
    /// The terms that it is held against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Why there is no projection; empty where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// One class of assets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassTime {
    /// Buckets or databases.
    pub kind: AssetKind,
    /// Units that were measured, and for how long.
    pub units: u64,
    pub measured_ms: u64,
    /// What was carried.
    pub measured_items: u64,
    pub measured_bytes: u64,
    /// What the exit has to carry.
    pub scope_items: u64,
    pub scope_bytes: u64,
    /// Bytes a second of the transfer, percentiles of the bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_p10: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_p50: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_p90: Option<u64>,
    /// Milliseconds for this class alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<u64>,
}

/// A term that the exit is held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The key in the playbook.
    pub name: String,
    /// Its length in milliseconds.
    pub limit_ms: u64,
    /// Whether the projection fits; none where it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_fits: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_fits: Option<bool>,
    /// The most bytes that fit at the 10th percentile of the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
}

/// What the traffic costs, in millionths of a dollar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The day of the prices.
    pub as_of: String,
    /// Whose prices, for what.
    pub source: String,
    /// The region that the bytes leave.
    pub region: String,
    /// The drill's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_usd_millionths: Option<u64>,
    /// The exit's at list price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_usd_millionths: Option<u64>,
    /// The exit's where traffic is waived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_waived_usd_millionths: Option<u64>,
    /// Why there is no amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What a reader has to know.
    pub remarks: Vec<String>,
}

/// How far the run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacePoint {
    /// Milliseconds of work since the start.
    pub at_ms: u64,
    /// Bytes of all finished units until then.
    pub bytes: u64,
}

/// What the playbook says beside what is to be carried: the plan that the drill tested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanFacts {
    /// `stressed` or `planned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Who answers for what: role and person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<(String, String)>,
    /// The controls that the evidence is meant for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
    /// Services that the exit is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceFact>,
    /// What would trigger the exit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<String>,
    /// Who could take over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativeFact>,
    /// Who fixes findings of earlier drills, by when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_up: Vec<FollowUpFact>,
    /// The contract's period of notice, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Recovery point objective, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<String>,
    /// The day of the next review, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_review: Option<String>,
    /// The day by which the drill has to be run again, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retest: Option<String>,
}

impl PlanFacts {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == PlanFacts::default()
    }
}

/// A person who fixes a drill's finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowUpFact {
    /// How the finding begins; `*` stands for any characters.
    pub finding: String,
    /// Who mends it.
    pub owner: String,
    /// The day by which, ISO 8601.
    pub due: String,
}

/// A service that the exit is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFact {
    /// Its name.
    pub name: String,
    /// How critical it is, in the plan's own words.
    pub criticality: String,
    /// The assets that it needs.
    pub data: Vec<String>,
}

/// An alternative provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlternativeFact {
    /// The name.
    pub name: String,
    /// Where its owner sits.
    pub country: String,
    /// Which service replaces which.
    pub maps: Vec<(String, String)>,
    /// What is missing there.
    pub gap: String,
    /// When it was looked at, ISO 8601.
    pub assessed: String,
}
