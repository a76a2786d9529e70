//! Which objects of an export are the asset's: RDS's data about the export, and the files of one database. An export
//! may hold others, which are counted and left where they are.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};

use crate::{
    provider::s3::S3Source,
    transfer::{
        error::SourceError,
        object::{ByteRange, Described, ListPage, ObjectBody, ObjectEntry, ObjectSource},
    },
};

/// The most names of other databases that are remembered.
const SKIPPED_MAX: usize = 1000;

/// A bucket of which only some keys are seen.
pub(super) struct Scope {
    inner: Arc<S3Source>,
    folder: String,
    /// The database as it is spelled in keys, with a slash.
    database: String,
    skipped: Mutex<BTreeSet<String>>,
}

/// A name as RDS spells it in keys (Amazon RDS user guide, "Limitations").
pub(super) fn in_keys(name: &str) -> String {
    name.replace(['\\', '`', '"', ' '], "_")
}

impl Scope {
    pub(super) fn new(inner: Arc<S3Source>, folder: &str, database: &str) -> Self {
        let database = format!("{}/", in_keys(database));
        Scope { inner, folder: folder.to_owned(), database, skipped: Mutex::default() }
    }

    /// The bucket itself.
    pub(super) fn bucket(&self) -> Arc<S3Source> {
        Arc::clone(&self.inner)
    }

    /// The part of a key below the export's folder.
    pub(super) fn below<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.folder)
    }

    /// The part of a key below the database's folder.
    pub(super) fn of_database<'k>(&self, key: &'k str) -> Option<&'k str> {
        self.below(key)?.strip_prefix(&self.database)
    }

    /// Folders that belong to other databases, as far as they were listed.
    pub(super) fn skipped(&self) -> Vec<String> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn takes(&self, entry: &ObjectEntry) -> bool {
        let Some(below) = self.below(&entry.key) else { return false };
        match below.split_once('/') {
            None => true,
            Some(_) if below.starts_with(&self.database) => true,
            Some((other, _)) => {
                let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
                if skipped.len() < SKIPPED_MAX {
                    skipped.insert(other.to_owned());
                }
                false
            }
        }
    }

    async fn list_page(&self, from: Option<&str>) -> Result<ListPage, SourceError> {
        let mut page = self.inner.list(from).await?;
        page.entries.retain(|entry| self.takes(entry));
        Ok(page)
    }
}

impl ObjectSource for Scope {
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        self.inner.answers()
    }

    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        self.list_page(from).boxed()
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        self.inner.open(entry, range)
    }

    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
        self.inner.find(entry)
    }

    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
        self.inner.describe(entry)
    }
}
