//! Limits a source to a number of bytes a second, over all its readers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{error::SourceError, table::RowSource};
use crate::clock::Stopwatch;

/// Unused allowance is kept no longer than this, so that a pause is not followed by a burst.
const BURST: Duration = Duration::from_millis(250);

/// A rate that several readers share.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: u64,
    clock: Stopwatch,
    /// When, on the clock, everything taken so far is covered.
    paid_until: Mutex<Duration>,
}

impl Pace {
    /// A rate in bytes a second.
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Pace { bytes_per_s: bytes_per_s.max(1), clock: Stopwatch::start(), paid_until: Mutex::default() }
    }

    /// Takes bytes, and waits until they are covered.
    pub(crate) fn take(&self, bytes: u64) {
        std::thread::sleep(self.due(bytes, self.clock.elapsed()));
    }

    fn due(&self, bytes: u64, now: Duration) -> Duration {
        let price = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paid_until = (*paid_until).max(now.saturating_sub(BURST)) + price;
        paid_until.saturating_sub(now)
    }
}

/// A source with a rate limit.
pub(crate) struct Paced<'a, S> {
    source: S,
    pace: Option<&'a Pace>,
}

impl<'a, S: RowSource> Paced<'a, S> {
    /// Without a rate, as fast as possible.
    pub(crate) fn new(source: S, pace: Option<&'a Pace>) -> Self {
        Paced { source, pace }
    }
}

impl<S: RowSource> RowSource for Paced<'_, S> {
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        self.source.fill(batch)?;
        if let Some(pace) = self.pace {
            pace.take(batch.len() as u64);
        }
        Ok(())
    }

    fn sent(&self) -> Option<u64> {
        self.source.sent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_paid_for_in_time() {
        let pace = Pace::new(1_000);
        let second = Duration::from_secs(1);
        assert_eq!(pace.due(1_000, Duration::ZERO), second);
        assert_eq!(pace.due(1_000, Duration::ZERO), 2 * second);
        assert_eq!(pace.due(1_000, second), 2 * second);
        // After a long pause no more than the burst arrives at once.
        assert_eq!(pace.due(1_000, 60 * second), second - BURST);
    }
}
