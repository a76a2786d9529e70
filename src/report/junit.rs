//! `junit.xml`: a suite for each asset and one for the run, a case for each comparison, control, threshold and finding.
//!
//! What was not compared is an error and never skipped: build servers show skipped tests in green.

use std::fmt::Write as _;

use super::{phrases::kind, view::View, xml::escape};
use crate::{
    domain::finding::{Finding, Severity},
    evidence::result::AssetResult,
};

struct Case {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed(String),
    NotRun(String),
}

struct Suite {
    name: String,
    seconds: f64,
    cases: Vec<Case>,
}

/// The document.
pub fn junit(view: &View) -> String {
    let result = view.result;
    let suites: Vec<Suite> = result.assets.iter().map(of_asset).chain([of_run(view)]).collect();
    let total = |count: fn(&Outcome) -> bool| {
        suites.iter().flat_map(|suite| &suite.cases).filter(|case| count(&case.outcome)).count()
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3}\">\n",
        escape(&result.run),
        total(|_| true),
        total(|outcome| matches!(outcome, Outcome::Failed(_))),
        total(|outcome| matches!(outcome, Outcome::NotRun(_))),
        result.duration_ms as f64 / 1000.0,
    );
    for suite in &suites {
        write_suite(&mut out, suite, &result.started);
    }
    out + "</testsuites>\n"
}

fn write_suite(out: &mut String, suite: &Suite, started: &str) {
    let count = |fits: fn(&Outcome) -> bool| suite.cases.iter().filter(|case| fits(&case.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let errors = count(|outcome| matches!(outcome, Outcome::NotRun(_)));
    let name = escape(&suite.name);
    let tests = suite.cases.len();
    let _ = writeln!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" timestamp=\"{}\" time=\"{:.3}\">",
        escape(started.trim_end_matches('Z')),
        suite.seconds
    );
    for case in &suite.cases {
        let open = format!("    <testcase classname=\"{name}\" name=\"{}\"", escape(&case.name));
        let _ = match &case.outcome {
            Outcome::Passed => writeln!(out, "{open}/>"),
            Outcome::Failed(why) => writeln!(out, "{open}><failure message=\"{}\"/></testcase>", escape(why)),
            Outcome::NotRun(why) => writeln!(out, "{open}><error message=\"NOT RUN: {}\"/></testcase>", escape(why)),
        };
    }
    out.push_str("  </testsuite>\n");
}

fn of_asset(asset: &AssetResult) -> Suite {
    let mut cases = Vec::new();
    for check in &asset.checks {
        let words = format!("{} expected, {} compared, {} equal", check.expected, check.compared, check.equal);
        let outcome = match check.expected {
            expected if check.compared < expected => Outcome::NotRun(words),
            expected if check.equal < expected => Outcome::Failed(words),
            _ => Outcome::Passed,
        };
        cases.push(Case { name: format!("compared: {}", check.name), outcome });
    }
    for control in &asset.controls {
        let outcome = if control.found { Outcome::Passed } else { Outcome::Failed("not found".to_owned()) };
        cases.push(Case { name: format!("planted damage is found: {}", control.damage), outcome });
    }
    cases.extend(asset.findings.iter().filter_map(of_finding));
    cases.extend(asset.findings_beyond().iter().filter_map(of_finding));
    cases.push(verdict(asset.verdict.to_string()));
    let timings = asset.timings;
    let ms = timings.transfer_ms.saturating_add(timings.rebuild_ms).saturating_add(timings.verify_ms);
    Suite { name: format!("{} {}", kind(asset.kind), asset.id), seconds: ms as f64 / 1000.0, cases }
}

fn of_run(view: &View) -> Suite {
    let result = view.result;
    let mut cases: Vec<Case> = result.findings.iter().filter_map(of_finding).collect();
    for threshold in &result.thresholds {
        let words = format!("limit {}, measured {}", threshold.limit, threshold.measured);
        let outcome = if threshold.met { Outcome::Passed } else { Outcome::Failed(words) };
        cases.push(Case { name: format!("threshold: {}", threshold.name), outcome });
    }
    cases.push(verdict(result.verdict.to_string()));
    Suite { name: "the run".to_owned(), seconds: result.duration_ms as f64 / 1000.0, cases }
}

fn of_finding(finding: &Finding) -> Option<Case> {
    let words = if finding.detail.is_empty() { finding.kind.title().to_owned() } else { finding.detail.clone() };
    let outcome = match finding.severity {
        Severity::Note => return None,
        Severity::NotRun => Outcome::NotRun(words),
        Severity::Fail => Outcome::Failed(words),
    };
    Some(Case { name: format!("{}: {}", finding.kind.title(), finding.subject), outcome })
}

/// A suite whose verdict isn't PASS is never all green.
fn verdict(verdict: String) -> Case {
    let outcome = match verdict.as_str() {
        "PASS" => Outcome::Passed,
        "NOT RUN" => Outcome::NotRun("could not be compared in full".to_owned()),
        other => Outcome::Failed(format!("verdict is {other}")),
    };
    Case { name: "verdict".to_owned(), outcome }
}
