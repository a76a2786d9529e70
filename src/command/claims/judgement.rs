//! The outcome, judged again from the playbook, the files of the inspections, and the result's own numbers: coverage,
//! thresholds, findings of the run, statements, projection and cost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Claims, read as read_file, resolved::Read};
use crate::{
    account::drive::{self, Outcome, today_of},
    asset::rds::leftovers,
    evidence::{
        RESULT, journal,
        result::{ThresholdResult, carried},
    },
    run::{not_proven, projection, seal},
};

impl Claims<'_> {
    pub(super) fn judgement(&mut self, read: &Read) {
        let (result, Read { playbook, facts, .. }) = (self.result, read);
        // The first version judged nothing but its assets.
        let Some((started, exit_time)) = result.started.parse().ok().zip(result.exit_time.as_ref()) else { return };
        let outcome = Outcome {
            carried: &carried(&result.assets),
            exclusions: &result.exclusions,
            today: today_of(started),
            worked_ms: result.duration_ms,
            exit: Some(exit_time),
            host: &result.host,
        };
        let Ok(judged) = drive::judge(playbook, facts, outcome) else { return };
        let coverage = judged.coverage.as_ref().map(|(_, coverage)| coverage);
        let mut thresholds: Vec<ThresholdResult> = seal::run_time(playbook, result.duration_ms).into_iter().collect();
        thresholds.extend(projection::thresholds(playbook, exit_time));
        thresholds.extend(drive::thresholds(playbook, coverage));
        let mut findings = seal::run_findings(&thresholds, &result.exclusions);
        findings.extend(judged.findings);
        let entries = journal::read(&self.bundle.join("data/journal.ndjson")).unwrap_or_default();
        findings.extend(leftovers::unremoved(&entries, result.assets.iter().flat_map(|asset| &asset.findings)));
        findings.sort();
        findings.dedup();
        findings.extend(drive::wrong_waivers(&result.waivers));
        self.weigh(&findings);
        let statements = [not_proven::statements(&result.assets, coverage.is_some()), judged.statements].concat();
        let projected = projection::exit_time(playbook, &entries, &result.run, &result.assets);
        let told = [
            ("the session", result.session == judged.session),
            ("the target", result.target == judged.target),
            ("what was measured of the thresholds", result.thresholds == thresholds),
            ("the findings about the run", result.findings == findings),
            ("what is not proven", result.not_proven == statements),
            ("the scope of the exit", projected.scope == exit_time.scope),
            ("the cost", result.cost == projection::cost(playbook, &result.assets, exit_time)),
        ];
        for (what, _) in told.into_iter().filter(|(_, same)| !same) {
            self.unproven(RESULT, &format!("{what} does not follow from playbook, looks and assets"));
        }
        self.checks(judged.checks.into_iter().collect());
    }

    /// Each file of a check equals the current judgement.
    fn checks(&mut self, judged: BTreeMap<String, Value>) {
        for (name, expected) in judged {
            let file = format!("data/checks/{name}.json");
            let found =
                read_file(self.bundle, &file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            if found.as_ref() != Some(&expected) {
                self.unproven(&file, "is not what the looks at the account come to");
            }
        }
    }
}
