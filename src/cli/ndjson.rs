//! The monitor for programs: every fact and some progress as one JSON object a line, on stdout.

use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    console::{Out, lock},
    pace::Throttle,
};
use crate::{
    clock::{self, Stopwatch},
    domain::event::{Event, Monitor, Progress},
};

/// Progress is written at most this often for each asset.
const PROGRESS_EVERY_MS: u64 = 500;

/// JSON on stdout.
pub(super) struct Ndjson {
    out: Out,
    watch: Stopwatch,
    throttle: Mutex<Throttle>,
}

/// A line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Fact {
        at: Timestamp,
        #[serde(flatten)]
        event: &'a Event,
    },
    Progress {
        at: Timestamp,
        #[serde(flatten)]
        progress: &'a Progress,
    },
}

impl Ndjson {
    pub(super) fn new(out: Out) -> Self {
        Ndjson { out, watch: Stopwatch::start(), throttle: Mutex::new(Throttle::eager(PROGRESS_EVERY_MS)) }
    }
}

impl Monitor for Ndjson {
    fn fact(&self, at: Timestamp, event: &Event) {
        self.out.json(&Line::Fact { at, event });
    }

    fn progress(&self, progress: &Progress) {
        if lock(&self.throttle).passes(&progress.asset, self.watch.elapsed_ms()) {
            self.out.json(&Line::Progress { at: clock::now(), progress });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{cli::console::tests::Captured, domain::event::Phase};

    fn written(tell: impl Fn(&Ndjson)) -> Vec<Value> {
        let captured = Captured::default();
        tell(&Ndjson::new(Out::to(captured.clone())));
        captured.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn facts_carry_type_time_and_event() {
        let lines = written(|ndjson| {
            ndjson.fact(Timestamp::UNIX_EPOCH, &Event::Interrupted);
            ndjson.fact(Timestamp::UNIX_EPOCH, &Event::AssetStopped { asset: "a".into(), reason: "r".into() });
        });
        let at = "1970-01-01T00:00:00Z";
        assert_eq!(lines[0], json!({"type": "fact", "at": at, "event": "interrupted"}));
        assert_eq!(lines[1], json!({"type": "fact", "at": at, "event": "asset_stopped", "asset": "a", "reason": "r"}));
    }

    #[test]
    fn progress_is_rare() {
        let progress =
            Progress { asset: "a".into(), phase: Phase::Verify, items: 1, items_total: 2, bytes: 3, bytes_total: 4 };
        let lines = written(|ndjson| (0..3).for_each(|_| ndjson.progress(&progress)));
        assert_eq!(lines.len(), 1);
        assert_eq!((&lines[0]["type"], &lines[0]["phase"]), (&json!("progress"), &json!("verify")));
    }
}
