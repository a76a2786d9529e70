//! Where everything lies in a bundle's bag, and the finding that two parts of a bundle contradict each other.

use crate::domain::finding::{Finding, FindingKind};

/// The machine-readable result, in the bag.
pub const RESULT: &str = "data/result.json";
/// The journal, in the bag.
pub(super) const JOURNAL: &str = "data/journal.ndjson";
/// The playbook as read, in the bag.
pub const PLAYBOOK: &str = "data/playbook.yaml";
/// The resolved playbook, in the bag.
pub const RESOLVED: &str = "data/playbook.resolved.json";
/// The directory of each asset's evidence, in the bag.
pub(super) const ASSETS: &str = "data/assets";

/// A finding that the bundle contradicts itself.
pub(crate) fn inconsistent(subject: impl Into<String>, detail: impl Into<String>) -> Finding {
    Finding::of_run(FindingKind::BundleInconsistent, subject, detail)
}
