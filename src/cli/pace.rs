//! How fast something goes, measured over the last seconds, and how often it is reported. Time is passed as a value.

use std::collections::{HashMap, VecDeque};

/// The rate is taken over this much time.
const WINDOW_MS: u64 = 10_000;
/// Samples closer together than this are one.
const SAMPLE_MS: u64 = 250;

/// A sliding window over a growing number.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since_ms: Option<u64>,
    samples: VecDeque<(u64, u64)>,
}

impl Pace {
    /// Records the number at a time.
    pub(super) fn note(&mut self, now_ms: u64, value: u64) {
        self.since_ms.get_or_insert(now_ms);
        if self.samples.back().is_some_and(|(last_ms, _)| now_ms < last_ms + SAMPLE_MS) {
            return;
        }
        self.samples.push_back((now_ms, value));
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(ms, _)| ms + WINDOW_MS <= now_ms) {
            self.samples.pop_front();
        }
    }

    /// Milliseconds since the first note.
    pub(super) fn elapsed_ms(&self, now_ms: u64) -> u64 {
        self.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms))
    }

    /// The growth per second, once there is some.
    pub(super) fn per_s(&self) -> Option<u64> {
        let ((from_ms, from), (to_ms, to)) = (self.samples.front()?, self.samples.back()?);
        let grown = u128::from(to.saturating_sub(*from)) * 1000;
        let per_s = grown / u128::from((to_ms - from_ms).max(1));
        u64::try_from(per_s).ok().filter(|per_s| *per_s > 0)
    }

    /// Milliseconds until `rest` more is done.
    pub(super) fn left_ms(&self, rest: u64) -> Option<u64> {
        let ms = u128::from(rest) * 1000 / u128::from(self.per_s()?);
        u64::try_from(ms).ok()
    }
}

/// Limits the rate of reports, for each asset.
#[derive(Debug)]
pub(super) struct Throttle {
    every_ms: u64,
    at_once: bool,
    last_ms: HashMap<String, u64>,
}

impl Throttle {
    /// The first report passes, then one in every `every_ms`.
    pub(super) fn eager(every_ms: u64) -> Self {
        Throttle { every_ms, at_once: true, last_ms: HashMap::new() }
    }

    /// The first report only starts the clock.
    pub(super) fn patient(every_ms: u64) -> Self {
        Throttle { at_once: false, ..Self::eager(every_ms) }
    }

    /// Whether a report about `asset` passes now.
    pub(super) fn passes(&mut self, asset: &str, now_ms: u64) -> bool {
        let Some(last_ms) = self.last_ms.get_mut(asset) else {
            self.last_ms.insert(asset.to_owned(), now_ms);
            return self.at_once;
        };
        let due = now_ms >= last_ms.saturating_add(self.every_ms);
        if due {
            *last_ms = now_ms;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        assert_eq!(pace.per_s(), None);
        (0..=60).for_each(|s| pace.note(s * 1000, if s < 30 { 0 } else { (s - 30) * 100 }));
        assert_eq!((pace.per_s(), pace.left_ms(50)), (Some(100), Some(500)));
        assert_eq!(pace.elapsed_ms(61_000), 61_000);
    }

    #[test]
    fn what_was_there_before_is_not_speed() {
        let mut pace = Pace::default();
        pace.note(0, 1_000_000);
        pace.note(1000, 1_000_010);
        assert_eq!(pace.per_s(), Some(10));
    }

    #[test]
    fn a_throttle_holds_back_each_asset_alone() {
        let mut eager = Throttle::eager(500);
        let mut patient = Throttle::patient(500);
        let passed = [0, 499, 500, 999, 1000].map(|ms| eager.passes("a", ms));
        assert_eq!(passed, [true, false, true, false, true]);
        assert!(eager.passes("b", 1));
        assert_eq!([0, 499, 500].map(|ms| patient.passes("a", ms)), [false, false, true]);
    }
}
