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

use std::sync::{Mutex, PoisonError};

use crate::{evidence::result::Check, finding::Finding};

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
