//! What the first page says of the findings: the heaviest that weigh, one line each, and how many more there are.

use std::cmp::Reverse;

use super::{phrases::weight, view::View};
use crate::{
    evidence::result::FiledKind,
    finding::{Finding, Severity, Waives as _},
    words::thousands,
};

/// So many stand on the first page.
const SHOWN_MAX: usize = 3;
/// Characters of a line there.
const LINE_MAX: usize = 100;

impl View<'_> {
    /// The heaviest findings that weigh, those first that nobody answers for.
    pub(super) fn heaviest(&self) -> Vec<String> {
        let waived = |finding: &Finding| self.result.waivers.iter().any(|waiver| waiver.waives(finding));
        let mut findings: Vec<&Finding> =
            self.result.all_findings().filter(|finding| weighs(finding.severity)).collect();
        findings.sort_by_key(|finding| (waived(finding), Reverse(finding.severity)));
        let line = |finding: &&Finding| {
            let waived = if waived(finding) { ", waived" } else { "" };
            clipped(&format!("{}{waived}: {finding}", weight(finding.severity)))
        };
        findings.iter().take(SHOWN_MAX).map(line).collect()
    }

    /// `and 12 more`, where there are more than are shown; `see` follows where they are.
    pub(super) fn more_than_heaviest(&self) -> Option<String> {
        let shown = self.result.all_findings().filter(|finding| weighs(finding.severity)).count() as u64;
        let kinds = self.assets().iter().filter_map(|asset| asset.filed.as_ref()).flat_map(|filed| &filed.kinds);
        let beyond = kinds.filter(|kind| weighs(kind.severity)).map(FiledKind::beyond);
        let all = beyond.fold(shown, u64::saturating_add);
        let more = all.saturating_sub(SHOWN_MAX as u64);
        (more > 0).then(|| format!("and {} more, see ", thousands(more)))
    }
}

fn weighs(severity: Severity) -> bool {
    severity > Severity::Note
}

/// One line of it.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(LINE_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(LINE_MAX - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one() {
        assert_eq!(clipped("short"), "short");
        let long = clipped(&"é".repeat(500));
        assert!(long.chars().count() == LINE_MAX && long.ends_with('…'));
    }
}
