//! A listing from its first page to its last: each page is retried while it fails, and a listing with a cycle
//! ends.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::{
    error::{SourceError, TransferError},
    object::{ListPage, ObjectSource},
    retry::{OutageTracker, with_retries},
};
use crate::domain::digest::Sha256Digest;

/// The most consecutive pages without an entry: of a bucket whose objects are behind delete markers, a server
/// may return that many empty pages. Without a bound, a server whose listing never ends would be queried forever.
const EMPTY_PAGES_MAX: u32 = 20_000;

/// Reads a listing page by page.
#[derive(Default)]
pub struct Pages {
    from: Option<String>,
    has_ended: bool,
    course: Course,
}

impl Pages {
    /// The next page, or none after the last. Waits out an outage of the source as long as `reach` allows.
    ///
    /// # Errors
    /// The source's error in the last attempt; as a transient failure, that the listing has a cycle.
    pub async fn next(
        &mut self,
        source: &dyn ObjectSource,
        reach: &OutageTracker,
    ) -> Result<Option<ListPage>, TransferError> {
        if self.has_ended {
            return Ok(None);
        }
        let page = with_retries(source, reach, || async {
            let page = source.list(self.from.as_deref()).await?;
            self.course.check(&page)?;
            Ok(page)
        })
        .await?;
        self.course.take(&page);
        self.has_ended = page.next.is_none();
        self.from.clone_from(&page.next);
        Ok(Some(page))
    }
}

/// The pages that came so far, by digests: sixteen bytes for each page, and as many for where the next one starts.
#[derive(Default)]
pub struct Course {
    seen: HashSet<u128>,
    empty: u32,
}

impl Course {
    /// Whether a page makes progress.
    ///
    /// # Errors
    /// It is one that came before, or the next one would be.
    pub fn check(&self, page: &ListPage) -> Result<(), SourceError> {
        let circle = |reason: &str| {
            let reason = format!("{reason}: the listing goes in a circle");
            Err(SourceError::Transient { what: "the listing".to_owned(), reason })
        };
        if place(page).is_some_and(|next| self.seen.contains(&start(next))) {
            return circle("the next page begins where an earlier one began");
        }
        match content(page) {
            Some(content) if self.seen.contains(&content) => circle("a page holds what an earlier one held"),
            None if self.empty == EMPTY_PAGES_MAX && page.next.is_some() => circle("too many pages are empty"),
            _ => Ok(()),
        }
    }

    /// Records a page.
    pub fn take(&mut self, page: &ListPage) {
        self.seen.extend(place(page).map(start));
        let content = content(page);
        self.empty = if content.is_some() { 0 } else { self.empty + 1 };
        self.seen.extend(content);
    }
}

/// Where the next page begins.
fn place(page: &ListPage) -> Option<&str> {
    page.place.as_deref().or(page.next.as_deref())
}

fn start(token: &str) -> u128 {
    Sha256Digest::of(format!("token {token}")).short()
}

/// The content of a page; none, if it is empty.
fn content(page: &ListPage) -> Option<u128> {
    if page.entries.is_empty() && page.odd.is_empty() {
        return None;
    }
    let mut hasher = Sha256::new_with_prefix("page");
    let mut add = |text: &str| {
        hasher.update(text.len().to_be_bytes());
        hasher.update(text);
    };
    for entry in &page.entries {
        add(&entry.key);
        add(entry.version_id.as_deref().unwrap_or_default());
        add(entry.etag.as_deref().unwrap_or_default());
    }
    page.odd.iter().for_each(|entry| add(&entry.key));
    Some(Sha256Digest::from(hasher).short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::object::ObjectEntry;

    fn page(keys: &[&str], next: Option<&str>) -> ListPage {
        let entry = |key: &&str| ObjectEntry { key: (*key).to_owned(), ..ObjectEntry::default() };
        ListPage { entries: keys.iter().map(entry).collect(), next: next.map(str::to_owned), ..ListPage::default() }
    }

    /// How many pages are accepted before one is rejected.
    fn taken(pages: impl IntoIterator<Item = ListPage>) -> usize {
        let mut course = Course::default();
        pages.into_iter().take_while(|page| course.check(page).is_ok().then(|| course.take(page)).is_some()).count()
    }

    #[test]
    fn a_listing_that_leads_on_is_taken_whole() {
        let pages = [page(&["a"], Some("1")), page(&[], Some("2")), page(&["b", "c"], Some("3")), page(&[], None)];
        assert_eq!(taken(pages), 4);
    }

    #[test]
    fn a_circle_of_tokens_ends() {
        assert_eq!(taken([page(&["a"], Some("1")), page(&["b"], Some("1"))]), 1);
        assert_eq!(taken([page(&["a"], Some("1")), page(&["b"], Some("2")), page(&["c"], Some("1"))]), 2);
        assert_eq!(taken([page(&[], Some("1")), page(&[], Some("1"))]), 1);
        let more = |keys, next| ListPage { place: Some("1".into()), ..page(keys, Some(next)) };
        assert_eq!(taken([more(&["a"], "1 a"), more(&["b"], "1 b")]), 1);
    }

    #[test]
    fn the_same_page_under_new_tokens_ends() {
        assert_eq!(taken((0..9).map(|number| page(&["a", "b"], Some(&number.to_string())))), 1);
    }

    #[test]
    fn nothing_under_new_tokens_ends() {
        let endless = (0..EMPTY_PAGES_MAX + 9).map(|number| page(&[], Some(&number.to_string())));
        assert_eq!(taken(endless) as u32, EMPTY_PAGES_MAX);
    }
}
