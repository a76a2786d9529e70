//! Lists that come in pages, each with the token of the next: bounded in pages and time, and a repeated token is
//! an error. A provider that repeats itself would otherwise be queried forever.

use std::{collections::HashSet, time::Duration};

use crate::clock::Stopwatch;

/// Pages of one list: a million items where a page holds a hundred.
const PAGES_MAX: u64 = 10_000;
/// How long one list may take.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Why a list was abandoned before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Endless {
    /// A repeated token: following it would be a cycle.
    #[error("page {page} names a next page that was read before, so the list has no end")]
    Repeated {
        /// Which page, from 1.
        page: u64,
    },
    /// There are more pages than any account has.
    #[error("the list has more than {pages} pages")]
    TooLong {
        /// The bound.
        pages: u64,
    },
    /// It takes too long.
    #[error("the list was not at its end after {seconds} s, on page {page}")]
    TooSlow {
        /// The bound.
        seconds: u64,
        /// Which page, from 1.
        page: u64,
    },
}

/// The position in one list.
pub(crate) struct Paging {
    seen: HashSet<String>,
    pages: u64,
    pages_max: u64,
    time_max: Duration,
    watch: Stopwatch,
}

impl Paging {
    /// Before the first page.
    pub(crate) fn new() -> Self {
        Paging::bounded(PAGES_MAX, TIME_MAX)
    }

    /// Other bounds than the usual ones.
    pub(crate) fn bounded(pages_max: u64, time_max: Duration) -> Self {
        Paging { seen: HashSet::new(), pages: 0, pages_max, time_max, watch: Stopwatch::start() }
    }

    /// Takes a page's final token; the token of the next page, or none at the end of the list. An empty token
    /// counts as none.
    pub(crate) fn next(&mut self, token: Option<&str>) -> Result<Option<String>, Endless> {
        self.pages += 1;
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        if !self.seen.insert(token.to_owned()) {
            return Err(Endless::Repeated { page: self.pages });
        }
        if self.pages >= self.pages_max {
            return Err(Endless::TooLong { pages: self.pages_max });
        }
        if self.watch.elapsed() >= self.time_max {
            return Err(Endless::TooSlow { seconds: self.time_max.as_secs(), page: self.pages });
        }
        Ok(Some(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_at_its_end_at_a_repeated_token_and_at_its_bounds() {
        let walk = |mut paging: Paging, tokens: &[&str]| {
            tokens.iter().map(|token| paging.next(Some(token))).find(|next| !matches!(next, Ok(Some(_))))
        };
        assert_eq!(walk(Paging::new(), &["a", "b", ""]), Some(Ok(None)));
        assert_eq!(walk(Paging::new(), &["a", "a"]), Some(Err(Endless::Repeated { page: 2 })));
        assert_eq!(walk(Paging::new(), &["a", "b", "a"]), Some(Err(Endless::Repeated { page: 3 })));
        let short = Paging::bounded(3, TIME_MAX);
        assert_eq!(walk(short, &["a", "b", "c", "d"]), Some(Err(Endless::TooLong { pages: 3 })));
        let hasty = Paging::bounded(3, Duration::ZERO);
        assert_eq!(walk(hasty, &["a"]), Some(Err(Endless::TooSlow { seconds: 0, page: 1 })));
        assert_eq!(Paging::new().next(None), Ok(None));
    }
}
