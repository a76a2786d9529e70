//! Watches a snapshot while others read from it, and releases it when holding it longer would harm the source.
//!
//! A session that waits for an exclusive lock waits behind the snapshot, and all readers of that table wait behind that
//! session. A drill must not block production: after a time the snapshot is released, and the database restarts from
//! a new one.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use super::ends::{CopyEnd, Lost, panicked};
use crate::{
    clock::Stopwatch,
    interrupt::Interrupt,
    provider::{
        holder::{Kept, Wanted},
        postgres::Snapshot,
    },
    words,
};

/// How often the snapshot is checked.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a session may wait between the snapshot and a reader of this run: it may time out by itself.
const READER_WAITS_MAX: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(200);

/// Does `work` while the snapshot is watched. `halt` is requested when the snapshot is gone, or on a request for
/// the run's end. Also returns the longest replication lag observed.
pub(crate) fn watched<T>(
    snapshot: &mut Snapshot,
    lock_timeout: Duration,
    halt: &Interrupt,
    run: &Interrupt,
    work: impl FnOnce() -> Result<T, CopyEnd>,
) -> Result<(T, Option<Duration>), CopyEnd> {
    let mut watch = Watch { snapshot, lock_waits: LockWaits::new(lock_timeout), lag_max: None, lost: None };
    let done = std::thread::scope(|scope| {
        let (done, over) = channel();
        let keeper = scope.spawn(|| watch.keep_until(over, halt, run));
        let worked = work();
        drop(done);
        keeper.join().map_err(|_| panicked()).map(|()| worked)
    })?;
    // A reader's error does not tell why the snapshot is gone; its holder knows.
    if let (Err(CopyEnd::SnapshotLost(_)), None) = (&done, &watch.lost) {
        watch.look();
    }
    match watch.lost {
        Some(lost) => Err(CopyEnd::SnapshotLost(lost)),
        None => Ok((done?, watch.lag_max)),
    }
}

struct Watch<'a> {
    snapshot: &'a mut Snapshot,
    lock_waits: LockWaits,
    lag_max: Option<Duration>,
    lost: Option<Lost>,
}

impl Watch<'_> {
    fn keep_until(&mut self, over: Receiver<()>, halt: &Interrupt, run: &Interrupt) {
        while self.lost.is_none() {
            self.look();
            if self.lost.is_some() {
                halt.ask();
            }
            if Self::pause(&over, halt, run) {
                return;
            }
        }
    }

    fn look(&mut self) {
        match self.snapshot.keep() {
            Ok(Kept { lag, wanted }) => {
                self.lag_max = self.lag_max.max(lag);
                self.lost = self.lock_waits.ended(&wanted).map(Lost::from);
            }
            Err(error) => self.lost = Some(Lost::of(&error)),
        }
    }

    /// Waits until the next check; true when there is none.
    fn pause(over: &Receiver<()>, halt: &Interrupt, run: &Interrupt) -> bool {
        let waiting = Stopwatch::start();
        while waiting.elapsed() < KEEP_EVERY {
            if run.asked() {
                halt.ask();
            }
            if over.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                return true;
            }
        }
        false
    }
}

/// How long others wait for a table, and how long they may.
struct LockWaits {
    limit: Duration,
    since: BTreeMap<String, Since>,
}

struct Since {
    wanted: Stopwatch,
    before_a_reader: Option<Stopwatch>,
}

impl LockWaits {
    fn new(limit: Duration) -> Self {
        LockWaits { limit, since: BTreeMap::new() }
    }

    /// Why the snapshot has to be released, once it has to.
    fn ended(&mut self, wanted: &[Wanted]) -> Option<String> {
        self.since.retain(|table, _| wanted.iter().any(|now| now.table == *table));
        let reasons: Vec<_> = wanted.iter().filter_map(|now| self.table_ended(now)).collect();
        reasons.into_iter().next()
    }

    fn table_ended(&mut self, now: &Wanted) -> Option<String> {
        let table = &now.table;
        let since = self.since.entry(table.clone()).or_insert_with(|| {
            let (for_itself, limit) =
                ("another session wants a table for itself and waits for the snapshot", self.limit);
            tracing::warn!(table, "{for_itself}, which is let go after {}", words::duration(ms(limit)));
            Since { wanted: Stopwatch::start(), before_a_reader: None }
        });
        since.before_a_reader = if now.before_a_reader {
            Some(since.before_a_reader.take().unwrap_or_else(Stopwatch::start))
        } else {
            None
        };
        let in_the_way = since.before_a_reader.as_ref().map_or(Duration::ZERO, Stopwatch::elapsed);
        let over = since.wanted.elapsed() >= self.limit || in_the_way >= self.limit.min(READER_WAITS_MAX);
        over.then(|| {
            format!(
                "another session wanted {table} for itself and waited {} behind the snapshot, which was let go",
                words::duration(ms(since.wanted.elapsed()))
            )
        })
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(table: &str, before_a_reader: bool) -> Wanted {
        Wanted { table: table.to_owned(), before_a_reader }
    }

    #[test]
    fn a_wish_that_goes_away_in_time_ends_nothing_and_one_that_stays_does() {
        let mut lock_waits = LockWaits::new(Duration::from_secs(3600));
        assert_eq!(lock_waits.ended(&[wanted("s.t", true)]), None);
        assert_eq!(lock_waits.ended(&[]), None);
        assert!(lock_waits.since.is_empty());
        let mut none = LockWaits::new(Duration::ZERO);
        let reason = none.ended(&[wanted("s.t", false), wanted("s.u", false)]).unwrap();
        assert!(reason.contains("s.t"), "{reason}");
    }

    #[test]
    fn a_reader_behind_the_wish_is_timed_apart() {
        let mut lock_waits = LockWaits::new(Duration::from_secs(3600));
        lock_waits.ended(&[wanted("s.t", true)]);
        assert!(lock_waits.since["s.t"].before_a_reader.is_some());
        lock_waits.ended(&[wanted("s.t", false)]);
        assert!(lock_waits.since["s.t"].before_a_reader.is_none());
    }
}
