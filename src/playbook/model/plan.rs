//! The plan that the drill tests, as in the playbook.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::super::document::Scenario;
use super::super::names::{AssetId, Line};
use super::super::problem::Wrong;
use super::super::quantity::{Ceiling, Period};

/// How long a drill counts when the playbook does not set it: 52 weeks.
pub(crate) const EVERY_DEFAULT: &str = "52w";

/// Everything that the plan document and the reports need besides what is to be copied.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExitPlan {
    /// What kind of end of the contract the drill stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Scenario>,
    /// Responsibilities.
    pub roles: Roles,
    /// The controls that the evidence is meant for.
    pub controls: Vec<Line>,
    /// What the recovery must achieve.
    pub objectives: Objectives,
    /// The services that the exit is about.
    pub services: Vec<Service>,
    /// What would trigger the exit.
    pub triggers: Vec<Line>,
    /// Alternative providers.
    pub alternatives: Vec<Alternative>,
    /// Who fixes findings of earlier drills, by when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow_up: Vec<FollowUp>,
    /// The day of the plan's next review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_review: Option<Date>,
    /// How long a verified drill counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
}

/// Responsibilities.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Roles {
    /// The owner of the exit plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accountable: Option<Line>,
    /// Who runs the drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Line>,
    /// Who reviews it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<Line>,
}

/// What the recovery must achieve.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Objectives {
    /// How long the exit may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto: Option<Period>,
    /// How old the data may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Period>,
}

/// A service that the exit is about.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Its name.
    pub name: Line,
    /// How critical it is.
    pub criticality: Line,
    /// The assets that it needs; each is one of the playbook.
    pub data: Vec<AssetId>,
}

/// An alternative provider.
#[derive(Debug, Clone, Serialize)]
pub struct Alternative {
    /// The name.
    pub name: Line,
    /// Where its owner sits.
    pub country: Line,
    /// Which service replaces which.
    pub maps: BTreeMap<String, Line>,
    /// What is missing there.
    pub gap: Line,
    /// When it was assessed.
    pub assessed: Date,
}

/// A person who fixes a drill's finding. It changes no verdict.
#[derive(Debug, Clone, Serialize)]
pub struct FollowUp {
    /// The beginning of the finding.
    pub finding: Line,
    /// Who fixes it.
    pub owner: Line,
    /// By which day.
    pub due: Date,
}

/// A bound on the projected time to exit: a period, or a term that the playbook names elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitLimit {
    /// `<= 72h`
    Within(Ceiling),
    /// `<= contract.retrieval`
    Term(String),
}

impl FromStr for ExitLimit {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let term = text.strip_prefix("<=").map(str::trim).filter(|name| TERMS.contains(name));
        term.map_or_else(|| text.parse().map(ExitLimit::Within), |name| Ok(ExitLimit::Term(name.to_owned())))
    }
}

/// The terms that a bound may name.
pub(crate) const TERMS: [&str; 3] = ["objectives.rto", "contract.transition", "contract.retrieval"];

impl fmt::Display for ExitLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitLimit::Within(ceiling) => ceiling.fmt(f),
            ExitLimit::Term(name) => write!(f, "<= {name}"),
        }
    }
}

impl Serialize for ExitLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
