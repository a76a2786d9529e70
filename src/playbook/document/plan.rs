//! The part of the document that plan and reports need besides what is to be copied.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::playbook::checked::{Checked, List, Written};

/// What kind of end of the contract the drill stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Scenario {
    /// The provider fails, or ends the contract, with little notice.
    Stressed,
    /// The exit is intended, and prepared.
    Planned,
}

/// What the plan document and the report need beside the measurements.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct PlanEntry {
    /// The services that the exit is about.
    #[serde(default)]
    pub services: List<ServiceEntry>,
    /// What would trigger the exit, with its threshold.
    #[serde(default)]
    pub triggers: List<String>,
    /// Alternative providers.
    #[serde(default)]
    pub alternatives: List<AlternativeEntry>,
    /// Who fixes findings of earlier drills, by when.
    #[serde(default)]
    pub follow_up: List<FollowUpEntry>,
    /// The day of the plan's next review.
    #[serde(default)]
    #[schemars(extend("format" = "date"))]
    pub next_review: Checked<Written>,
    /// How long a verified drill counts; 52 weeks by default.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub every: Checked<Written>,
}

/// A service that the exit is about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct ServiceEntry {
    /// Its name.
    #[schemars(extend("minLength" = 1))]
    pub name: Checked<String>,
    /// How critical it is, such as critical.
    #[schemars(extend("minLength" = 1))]
    pub criticality: Checked<String>,
    /// The assets that it needs, by their ids.
    #[serde(default)]
    pub data: List<String>,
}

/// A person who fixes a drill's finding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct FollowUpEntry {
    /// The beginning of the finding, as printed in the report; `*` stands for any characters.
    #[schemars(extend("minLength" = 1))]
    pub finding: Checked<String>,
    /// Who fixes it.
    #[schemars(extend("minLength" = 1))]
    pub owner: Checked<String>,
    /// By which day.
    #[schemars(extend("format" = "date"))]
    pub due: Checked<Written>,
}

/// An alternative provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct AlternativeEntry {
    /// The name.
    #[schemars(extend("minLength" = 1))]
    pub name: Checked<String>,
    /// Where its owner sits, as a country code.
    #[schemars(extend("pattern" = "^[A-Z]{2}$"))]
    pub country: Checked<String>,
    /// Which service replaces which.
    #[serde(default)]
    pub maps: Checked<BTreeMap<String, Checked<String>>>,
    /// What is missing there.
    #[schemars(extend("minLength" = 1))]
    pub gap: Checked<String>,
    /// When it was assessed.
    #[schemars(extend("format" = "date"))]
    pub assessed: Checked<Written>,
}

/// Who answers for what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct RolesEntry {
    /// The owner of the exit plan.
    #[serde(default)]
    pub accountable: Checked<String>,
    /// Who runs the drill.
    #[serde(default)]
    pub operator: Checked<String>,
    /// Who reviews it.
    #[serde(default)]
    pub reviewer: Checked<String>,
}

/// What the recovery must achieve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct ObjectivesEntry {
    /// Recovery time objective: how long the exit may take.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub rto: Checked<Written>,
    /// Recovery point objective: how old the data may be.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+\\s*[smhdw]$"))]
    pub rpo: Checked<Written>,
}
