//! The only reader of time: wall-clock stamps for the record, a monotonic stopwatch for durations.
//!
//! The wall clock is the machine's own; nothing here checks how accurate it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The current time in UTC, to the millisecond: finer digits would suggest a precision that is not given.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// A time stamp as the standard library's type, to the second, for libraries that take it; none is before 1970.
pub fn system(stamp: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(stamp.as_second()).unwrap_or(0))
}

/// Today's date in UTC, for exclusions with an end date.
pub fn today() -> Date {
    TimeZone::UTC.to_datetime(now()).date()
}

/// Measures how long a phase took, unaffected by changes of the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts the stopwatch.
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Time since the start in whole milliseconds.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
