//! The bucket: keys in the order of their bytes, and the pages of their listing.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use super::content::Content;

/// One bucket; requests and its owner share it.
pub struct Bucket {
    /// The only name that is served.
    pub name: String,
    /// When every object was last modified, as far as anybody asks.
    pub modified: SystemTime,
    objects: RwLock<BTreeMap<String, Content>>,
}

/// What of a listing is asked for.
pub struct Listing<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    /// The last key of the page before.
    pub after: Option<&'a str>,
    pub keys_max: usize,
}

/// One page of a listing.
#[derive(Default)]
pub struct Page {
    pub objects: Vec<(String, Content)>,
    /// The keys up to and with the delimiter, one for all keys that begin so.
    pub prefixes: Vec<String>,
    /// The last key that this page is about; none on the last page.
    pub next: Option<String>,
}

impl Bucket {
    /// A bucket with these objects.
    pub fn new(name: &str, objects: impl IntoIterator<Item = (String, Content)>) -> Arc<Self> {
        let objects = RwLock::new(objects.into_iter().collect());
        Arc::new(Bucket { name: name.to_owned(), modified: SystemTime::now(), objects })
    }

    /// Puts an object, in place of the one under this key.
    pub fn put(&self, key: &str, content: Content) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), content);
    }

    /// Removes an object.
    pub fn remove(&self, key: &str) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The object under this key.
    pub fn get(&self, key: &str) -> Option<Content> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// One page of the listing (S3 API reference, `ListObjectsV2`).
    pub fn page(&self, asked: &Listing<'_>) -> Page {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let from = match asked.after {
            Some(after) if after >= asked.prefix => Excluded(after),
            _ => Included(asked.prefix),
        };
        let mut page = Page::default();
        let mut last = None::<&String>;
        let matching = objects.range::<str, _>((from, Unbounded));
        for (key, content) in matching.take_while(|(key, _)| key.starts_with(asked.prefix)) {
            let group = asked.group(key);
            let is_new = group.is_none() || page.prefixes.last().map(String::as_str) != group;
            if is_new && page.objects.len() + page.prefixes.len() >= asked.keys_max {
                page.next = last.cloned();
                break;
            }
            match group {
                Some(group) if is_new => page.prefixes.push(group.to_owned()),
                Some(_) => {}
                None => page.objects.push((key.clone(), content.clone())),
            }
            last = Some(key);
        }
        page
    }
}

impl Listing<'_> {
    /// The common prefix that stands for this key.
    fn group<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.filter(|delimiter| !delimiter.is_empty())?;
        let at = key[self.prefix.len()..].find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }
}
