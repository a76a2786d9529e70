//! What the playbook of a run accepts, for the monitors: a finding that a waiver accepts is not shown as one that
//! is not accepted. The verdict does not depend on this.

use std::{fs, path::Path};

use jiff::civil::Date;
use serde::Deserialize;

use crate::{
    account::drive::{self, today_of},
    clock,
    evidence::{RESOLVED, journal, result::WaiverResult},
    playbook::Playbook,
};

/// The waivers of a run that starts now.
pub fn waivers(playbook: &Playbook) -> Vec<WaiverResult> {
    drive::waivers(playbook, clock::today())
}

/// The waivers of a resumed run; none where they cannot be read, which the run itself will report.
pub fn waivers_of(run_dir: &Path) -> Vec<WaiverResult> {
    let resolved = fs::read(run_dir.join(RESOLVED)).unwrap_or_default();
    let entries = journal::read(&run_dir.join("data/journal.ndjson")).unwrap_or_default();
    let today = entries.first().map_or_else(clock::today, |entry| today_of(entry.at));
    let resolved = serde_json::from_slice(&resolved).unwrap_or_default();
    told(resolved, today)
}

#[derive(Default, Deserialize)]
struct Resolved {
    account: Account,
}

#[derive(Default, Deserialize)]
struct Account {
    #[serde(default)]
    waivers: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    finding: String,
    reason: String,
    owner: String,
    until: Date,
}

fn told(resolved: Resolved, today: Date) -> Vec<WaiverResult> {
    let told = resolved.account.waivers.into_iter().map(|waiver| WaiverResult {
        expired: today > waiver.until,
        finding: waiver.finding,
        reason: waiver.reason,
        owner: waiver.owner,
        until: waiver.until.to_string(),
        waives: 0,
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waivers_are_read_from_the_resolved_playbook() {
        let json =
            r#"{"account": {"waivers": [{"finding": "a", "reason": "r", "owner": "o", "until": "2026-02-01"}]}}"#;
        let of = |today: Date| told(serde_json::from_str(json).expect("json"), today);
        assert!(!of(Date::constant(2026, 2, 1))[0].expired && of(Date::constant(2026, 2, 2))[0].expired);
        assert!(waivers_of(Path::new("/nonexistent")).is_empty());
    }
}
