//! What the answers so far tell of the tags of a bucket's objects: whether one that states no number of tags has none.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use super::question::Question;

/// Objects in a row that state no number and of which the tags may not be read, until no other one is asked about.
const REFUSED_MAX: u32 = 3;

/// What is known of the tags of a bucket's objects.
#[derive(Debug, Default)]
pub(super) struct Tagging {
    pub(super) question: Question,
    /// An object stated its number.
    pub(super) is_counted: AtomicBool,
    /// An object that has tags stated no number.
    pub(super) is_uncounted: AtomicBool,
    /// A set of tags was read, with or without tags in it.
    pub(super) is_known: AtomicBool,
    /// The server does not know the question: then nobody can have given it tags.
    pub(super) is_unknown: AtomicBool,
    /// Objects in a row.
    pub(super) refused: AtomicU32,
    /// Why objects that state no number are not asked about.
    pub(super) refusal: OnceLock<String>,
}

impl Tagging {
    /// Whether an object has no tags that states no number.
    pub(super) fn is_none_unstated(&self) -> bool {
        self.is_unknown.load(Relaxed) || self.is_counted.load(Relaxed) && !self.is_uncounted.load(Relaxed)
    }

    pub(super) fn note_refusal(&self, reason: &str) {
        if self.refused.fetch_add(1, Relaxed) + 1 >= REFUSED_MAX {
            // Another one may have come before.
            let _ = self.refusal.set(reason.to_owned());
        }
    }
}
