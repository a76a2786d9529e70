//! What a proof covered, and that it would have noticed damage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::FindingKind;

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
