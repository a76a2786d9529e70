//! Findings of which there are more than the result holds: one line for each kind, in table and test report.

use super::{phrases::weight, table::Cell};
use crate::{
    domain::finding::{Finding, Severity},
    evidence::result::{AssetResult, RunResult},
};

/// The same as rows of the table of findings.
pub(super) fn rows(result: &RunResult, owner_of: impl Fn(&Finding) -> String) -> Vec<Vec<Cell>> {
    let row = |finding: Finding| {
        let verdict = finding.severity > Severity::Note;
        let owner = owner_of(&finding);
        vec![
            Cell { text: weight(finding.severity).to_owned(), key: None, verdict },
            finding.asset.unwrap_or_default().into(),
            finding.kind.title().into(),
            finding.subject.into(),
            finding.detail.into(),
            owner.into(),
        ]
    };
    result.assets.iter().flat_map(AssetResult::findings_beyond).map(row).collect()
}
