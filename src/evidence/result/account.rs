//! What the result says about the account around the drill, and about exclusions and waivers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::asset::AssetResult;
use crate::{
    account::{
        coverage::{Carried, CarriedFrom, Excluding, RegionTotals, Totals},
        identity::Session,
        machine::Conclusion,
    },
    domain::{
        digest::Sha256Digest,
        finding::{Severity, Verdict, Waives},
        proof::Tier,
    },
};

/// How much of the account was covered; every row of it is in `coverage.csv`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoverageResult {
    /// The rules that it was counted by: 1 by name, 2 by ARN with bytes of one bucket as a union and with its versions, 3 the
    /// same, a bucket that may keep versions being whole only if there are none that were not carried.
    #[serde(default = "first_rules")]
    pub rules: u32,
    /// SHA-256 of `inventory.json`, which it was made from.
    pub inventory_sha256: Sha256Digest,
    /// When the inventory was taken.
    pub taken: String,
    /// Tested, excluded, untested, unreadable; by things and by bytes.
    pub totals: Totals,
    /// The same by region.
    pub regions: Vec<RegionTotals>,
}

fn first_rules() -> u32 {
    1
}

/// An exclusion of the playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExclusionResult {
    /// The pattern.
    pub pattern: String,
    /// Tags that the resource must also have.
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

/// A waiver of the playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverResult {
    /// How the findings that it waives begin.
    pub finding: String,
    /// Why they are accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The date it ends, ISO 8601.
    pub until: String,
    /// Whether that date was past on the day of the run.
    pub expired: bool,
    /// How many findings it waives.
    pub waives: u64,
}

impl Waives for WaiverResult {
    fn pattern(&self) -> &str {
        &self.finding
    }

    fn expired(&self) -> bool {
        self.expired
    }
}

/// Who asked, as far as preconditions had it looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionResult {
    /// What kind of session it was.
    pub session: Session,
    /// Whether the credentials end by themselves.
    pub short_lived: bool,
    /// Whether a second factor opened the session; none where nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa: Option<bool>,
}

/// What the target looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetResult {
    /// Whether it is a machine in a cloud; none where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_cloud: Option<bool>,
    /// What that rests on.
    pub signs: Vec<String>,
}

impl From<Conclusion> for TargetResult {
    fn from(conclusion: Conclusion) -> Self {
        TargetResult { in_cloud: conclusion.in_cloud, signs: conclusion.signs }
    }
}

/// The assets as coverage sees them. One is compared when nothing of it was left uncompared, whatever was found.
pub fn carried(assets: &[AssetResult]) -> Vec<Carried> {
    let whole = |asset: &AssetResult| {
        asset.verdict != Verdict::NotRun && asset.findings.iter().all(|finding| finding.severity != Severity::NotRun)
    };
    let carried = |asset: &AssetResult| Carried {
        id: asset.id.clone(),
        from: from(asset),
        bytes: asset.bytes,
        listed_bytes: listed(asset),
        compared: whole(asset),
    };
    assets.iter().map(carried).collect()
}

/// What a whole bucket holds of which a sample was taken.
fn listed(asset: &AssetResult) -> Option<u64> {
    let sample = asset.objects.as_ref()?.sample.as_ref()?;
    let from = CarriedFrom::of_source(asset.kind, &asset.source);
    matches!(from, CarriedFrom::Bucket { prefix, .. } if prefix.is_empty()).then(|| sample.totals()[0].1)
}

/// A database on RDS was taken from the instance that it names, whatever the address that it was read at.
fn from(asset: &AssetResult) -> CarriedFrom {
    let from = CarriedFrom::of_source(asset.kind, &asset.source);
    let rds = asset.database.as_ref().and_then(|database| database.rds.as_ref());
    match (from, rds) {
        (CarriedFrom::Server { database, .. } | CarriedFrom::Instance { database, .. }, Some(rds)) => {
            let arn = Some(rds.arn.clone()).filter(|arn| !arn.is_empty());
            CarriedFrom::Instance { name: rds.id.clone(), arn, database }
        }
        // A sample is a part, however it was drawn.
        (CarriedFrom::Bucket { name, prefix, .. }, _) => CarriedFrom::Bucket {
            name,
            prefix,
            sample: asset.tier == Tier::Sample,
            versions: asset.objects.as_ref().is_some_and(|objects| objects.versions),
        },
        (from, None) => from,
    }
}

/// The exclusions as coverage sees them.
pub fn excluding(exclusions: &[ExclusionResult]) -> Vec<Excluding> {
    let excluding = |exclusion: &ExclusionResult| Excluding {
        pattern: exclusion.pattern.clone(),
        tags: exclusion.tags.clone(),
        because: format!("{}; {}, until {}", exclusion.reason, exclusion.owner, exclusion.until),
        expired: exclusion.expired,
    };
    exclusions.iter().map(excluding).collect()
}
