//! Reads back what was restored and compares it with the receipts; proves on a scratch copy that it detects damage.
//!
//! Trusts no report of what was stored: every byte and row is read from the disk or the target server again. What
//! differs is returned as findings.

mod archive;
pub(crate) mod catalog;
pub(crate) mod control;
mod differs;
mod disk;
pub(crate) mod generated;
pub(crate) mod live;
mod narrow;
pub mod objects;
mod properties;
pub(crate) mod questions;
mod spelling;
pub mod state;
pub mod tables;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::{finding::Finding, proof::Check},
    pg::{PgError, sqlstate::Concern},
};

/// How often a thing is read that can't be read at a moment.
const ATTEMPTS_MAX: u32 = 3;
/// Before the second attempt, and twice as long before each one after.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Outcome of one comparison: the total, how much of it was compared and equal, and what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The counts.
    pub check: Check,
    /// What differs, or could not be compared.
    pub findings: Vec<Finding>,
}

impl Comparison {
    /// An empty comparison by this method.
    pub fn new(name: &str) -> Self {
        let check = Check { name: name.to_owned(), expected: 0, compared: 0, equal: 0 };
        Comparison { check, findings: Vec::new() }
    }

    /// Records one thing of the source that was compared: equal, or the finding that describes the difference.
    pub fn compared(&mut self, difference: Option<Finding>) {
        self.check.expected += 1;
        self.check.compared += 1;
        match difference {
            None => self.check.equal += 1,
            Some(finding) => self.findings.push(finding),
        }
    }

    /// Records one thing of the source that could not be compared.
    pub fn not_compared(&mut self, why: Finding) {
        self.check.expected += 1;
        self.findings.push(why);
    }
}

/// Reads one thing of a restored database. Inside is why it can't be read; what is only of a moment, such as a cancellation,
/// was tried again before.
///
/// # Errors
/// The server, or the way to it, failed: that says nothing about the thing.
pub(crate) fn read_patiently<T>(mut read: impl FnMut() -> Result<T, PgError>) -> Result<Result<T, PgError>, PgError> {
    let mut attempt = 1;
    loop {
        match read() {
            Err(error) if error.ends_all() => return Err(error),
            Err(error) if matches!(error.concern(), Concern::Moment | Concern::Snapshot) && attempt < ATTEMPTS_MAX => {
                tracing::warn!(%error, "not now; trying again");
                std::thread::sleep(RETRY_AFTER * 2u32.pow(attempt - 1));
                attempt += 1;
            }
            read => return Ok(read),
        }
    }
}

/// Passes the items of an iterator to `workers` threads; results are in no particular order.
fn in_parallel<I, R>(items: I, workers: usize, work: impl Fn(I::Item) -> R + Sync) -> Vec<R>
where
    I: Iterator + Send,
    R: Send,
{
    let queue = Mutex::new(items);
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                while let Some(item) = take() {
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The same with work that may fail as a whole: after the first error no other item is begun.
fn try_in_parallel<I, R, E>(
    items: I,
    workers: usize,
    work: impl Fn(I::Item) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    I: Iterator + Send,
    R: Send,
    E: Send,
{
    let has_failed = AtomicBool::new(false);
    let items = items.take_while(|_| !has_failed.load(Ordering::Relaxed));
    let done =
        in_parallel(items, workers, |item| work(item).inspect_err(|_| has_failed.store(true, Ordering::Relaxed)));
    done.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_what_is_said_of_a_thing_is_held_against_it() {
        let error = |concern| PgError::Statement { what: String::new(), reason: String::new(), code: None, concern };
        for (concern, attempts, is_of_thing) in [
            (Concern::Statement, 1, true),
            (Concern::Moment, ATTEMPTS_MAX, true),
            (Concern::Snapshot, ATTEMPTS_MAX, true),
            (Concern::Session, 1, false),
            (Concern::Room, 1, false),
            (Concern::Login, 1, false),
        ] {
            let tried = Cell::new(0);
            let read = read_patiently(|| {
                tried.set(tried.get() + 1);
                Err::<(), _>(error(concern))
            });
            assert_eq!((tried.get(), read.is_ok()), (attempts, is_of_thing), "{concern:?}");
        }
    }
}
