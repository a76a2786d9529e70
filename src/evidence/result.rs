//! `result.json`: the machine-readable result of one run, with a JSON Schema made from the same types.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::changes::ChangesCount;
use super::facts::{Chain, Cost, ExitTime, PacePoint, PlanFacts};
pub use crate::transfer::properties::ClassCount;
use crate::{
    digest::{RowKey, Sha256Digest},
    event::AssetKind,
    finding::{Finding, FindingKind, Severity, Verdict},
};

mod account;
mod bound;
mod rds;

pub use account::{CoverageResult, SessionResult, TargetResult, WaiverResult, carried, excluding};
pub use bound::bound_sha256;
pub(crate) use bound::outcomes;
pub use rds::{ExportResult, RdsResult, TemporaryResult};

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
    /// Findings that somebody answers for.
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

/// One asset's part of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetResult {
    /// The asset's id.
    pub id: String,
    /// Bucket or database.
    pub kind: AssetKind,
    /// The bucket (with prefix), or the database's name.
    pub source: String,
    /// The judgement of this asset.
    pub verdict: Verdict,
    /// Whether everything of it was carried, or a sample.
    #[serde(default)]
    pub tier: Tier,
    /// Its directory below `restored_to`.
    pub directory: String,
    /// Objects, or rows.
    pub items: u64,
    /// Bytes that crossed.
    pub bytes: u64,
    /// SHA-256 over what crossed, in an order of its own: equal for equal content, however the run went.
    pub content_sha256: Sha256Digest,
    /// What was compared, one row per method.
    pub checks: Vec<Check>,
    /// Damage that was planted to prove the verifier.
    pub controls: Vec<Control>,
    /// Milliseconds of the phases.
    pub timings: Timings,
    /// Discrepancies of this asset; of a kind that there are very many of, the first ones.
    pub findings: Vec<Finding>,
    /// Where all findings of such kinds are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filed: Option<FiledFindings>,
    /// Only for databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseResult>,
    /// Only for buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsResult>,
}

/// Findings of which there are more than a result holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FiledFindings {
    /// The file in the asset's directory of the bundle; it has every finding of these kinds, one a line.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// The kinds, and how many there are of each.
    pub kinds: Vec<FiledKind>,
}

impl FiledFindings {
    /// What is filed of a kind.
    pub fn of_kind(&self, kind: FindingKind) -> Option<&FiledKind> {
        self.kinds.iter().find(|filed| filed.kind == kind)
    }

    /// How many findings stand in the file only.
    pub fn beyond(&self) -> u64 {
        self.kinds.iter().map(FiledKind::beyond).fold(0, u64::saturating_add)
    }
}

/// A kind of finding of which an asset has more than the result holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FiledKind {
    /// The kind.
    pub kind: FindingKind,
    /// Fail, not_run or note; follows from the kind.
    pub severity: Severity,
    /// All findings of it.
    pub total: u64,
    /// Those that stand in the result, the first ones by name.
    pub shown: u64,
}

impl FiledKind {
    /// How many stand in the file only.
    pub fn beyond(&self) -> u64 {
        self.total.saturating_sub(self.shown)
    }
}

/// What one method of comparison covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// `objects`, `rows`, `digest`, `sequences`, `catalog`, `spool`.
    pub name: String,
    /// How many things of the source there were to compare.
    pub expected: u64,
    /// How many were compared.
    pub compared: u64,
    /// How many of those agree.
    pub equal: u64,
}

impl Check {
    /// Counts one thing of the source; none stands for equal. What could not be read back was not compared.
    pub fn count(&mut self, difference: Option<FindingKind>) {
        self.expected += 1;
        self.compared += u64::from(difference != Some(FindingKind::CopyUnreadable));
        self.equal += u64::from(difference.is_none());
    }
}

/// One planted damage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `byte changed`, `row dropped`, `row doubled`, `NULL turned into ''`, …
    pub damage: String,
    /// Whether the verifier found it.
    pub found: bool,
}

/// Milliseconds of an asset's phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Provider to restored copy.
    pub transfer_ms: u64,
    /// Indexes, constraints, sequences after the data.
    pub rebuild_ms: u64,
    /// Reading back and comparing.
    pub verify_ms: u64,
}

/// How much of what is in scope was carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// All of it.
    #[default]
    Full,
    /// A part that was drawn at random; a verdict speaks of that part only.
    Sample,
}

/// A sample of a bucket's objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleResult {
    /// The share that the playbook asks for.
    pub share: String,
    /// With the keys it decides what is taken.
    pub seed: u64,
    /// The size classes that there are objects of, the smallest first.
    pub strata: Vec<Stratum>,
}

impl SampleResult {
    /// Objects and bytes that there are, then those that were taken.
    pub fn totals(&self) -> [(u64, u64); 2] {
        let sum = |part: fn(&Stratum) -> (u64, u64)| {
            let parts = self.strata.iter().map(part);
            parts.fold((0u64, 0u64), |sum, part| (sum.0.saturating_add(part.0), sum.1.saturating_add(part.1)))
        };
        [sum(|stratum| (stratum.objects, stratum.bytes)), sum(|stratum| (stratum.taken_objects, stratum.taken_bytes))]
    }
}

/// One size class of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// Its objects have at least so many bytes, and less than four times as many.
    pub bytes_from: u64,
    /// Objects that there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were taken.
    pub taken_objects: u64,
    /// Their bytes.
    pub taken_bytes: u64,
}

/// How a bucket's objects lie at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectLayout {
    /// Files.
    #[default]
    Tree,
    /// Members of archives.
    Tar,
    /// Objects of another server.
    S3,
}

/// What is particular to a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectsResult {
    /// How they lie at the target.
    #[serde(default)]
    pub layout: ObjectLayout,
    /// Objects listed at the provider; of a sample, those that it takes.
    pub listed: u64,
    /// Whether earlier versions were carried, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub versions: bool,
    /// Delete markers, recorded in their order, where all versions are carried.
    #[serde(default)]
    pub delete_markers: u64,
    /// Objects whose bytes a checksum of the provider confirmed.
    pub provider_confirmed: u64,
    /// Objects for which the provider keeps no checksum that could be computed.
    pub provider_unconfirmed: u64,
    /// Objects whose key a tree of files can't hold, restored under a mapped name.
    pub mapped: u64,
    /// What became of everything that belongs to the objects.
    #[serde(default)]
    pub classes: ClassCount,
    /// What became of the bucket's configuration.
    #[serde(default)]
    pub bucket_classes: ClassCount,
    /// What changed at the provider between the opening and the closing listing.
    #[serde(default)]
    pub changes: ChangesCount,
    /// The sample, if not everything was carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleResult>,
    /// If the keys are pseudonyms (HMAC-SHA-256 under a secret): that of the text `walkaway pseudonyms`, which tells one
    /// secret from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonyms: Option<String>,
}

impl AssetResult {
    /// The verdict in words, with the word that it is about a sample, if it is.
    pub fn verdict_words(&self) -> String {
        self.verdict.words(self.tier == Tier::Sample)
    }

    /// Whether something that was compared differs; also where somebody accepts that.
    pub fn differs(&self) -> bool {
        let filed = self.filed.iter().flat_map(|filed| &filed.kinds).map(|filed| filed.kind);
        let mut kinds = self.findings.iter().map(|finding| finding.kind).chain(filed);
        kinds.any(FindingKind::is_difference) || self.checks.iter().any(|check| check.equal < check.compared)
    }

    /// The mark of the secret under which its objects got pseudonyms.
    pub fn pseudonyms(&self) -> Option<&str> {
        self.objects.as_ref()?.pseudonyms.as_deref()
    }
}

/// The mark of the secret under which the objects of a run got pseudonyms: one for all of its assets.
pub fn pseudonyms_mark(assets: &[AssetResult]) -> Option<&str> {
    assets.iter().find_map(AssetResult::pseudonyms)
}

/// What is particular to a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseResult {
    /// Version of the server that was read, as it reports it.
    pub source_version: String,
    /// Version of the server that was restored into.
    pub target_version: String,
    /// The database's name on the target.
    pub target_database: String,
    /// The encoding of both; none in results of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// SHA-256 of `restored.csv`; none in results of versions that wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_sha256: Option<Sha256Digest>,
    /// The exported snapshot that everything was read from.
    pub snapshot: String,
    /// K of the row digests, 64 hexadecimal digits.
    pub row_key: RowKey,
    /// Tables that were carried.
    pub tables: u64,
    /// Tables that the playbook leaves out.
    pub excluded_tables: Vec<ExcludedTable>,
    /// What exists nowhere else, each by its name: passwords, the provider's own roles, secrets of other servers.
    #[serde(default)]
    pub not_portable: Vec<String>,
    /// Only for databases on RDS and Aurora.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rds: Option<RdsResult>,
    /// What reading meant for the source; none in results of versions that did not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_load: Option<SourceLoad>,
}

/// What reading a database meant for its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceLoad {
    /// How long the snapshot was held: so long the server kept rows that were deleted meanwhile.
    pub snapshot_held_ms: u64,
    /// The longest lag of replication seen meanwhile, every ten seconds; none where the server has no replica, is none,
    /// or does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_lag_ms_max: Option<u64>,
    /// The most connections that were open at once.
    pub connections_max: u64,
}

/// A table that the playbook leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcludedTable {
    /// `schema.table`.
    pub table: String,
    /// The playbook's reason.
    pub reason: String,
}

/// An exclusion of the playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExclusionResult {
    /// The pattern.
    pub pattern: String,
    /// Tags that the thing must have besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The date it ends, ISO 8601.
    pub until: String,
    /// Whether that date was past on the day of the run.
    pub expired: bool,
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

/// The journal's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalHead {
    /// Lines.
    pub lines: u64,
    /// SHA-256 of the last line, its line end not counted.
    pub head: Sha256Digest,
}

impl RunResult {
    /// The verdict in words, with the word that it is about a sample, if it is.
    pub fn verdict_words(&self) -> String {
        self.verdict.words(self.tier == Tier::Sample)
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

/// The JSON Schema (draft 2020-12) of `result.json`.
pub fn result_schema() -> Schema {
    schema_for!(RunResult)
}
