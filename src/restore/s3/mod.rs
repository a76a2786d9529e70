//! Objects as objects of another S3-compatible server: the same key, content headers, metadata and tags.
//!
//! Bytes are staged in local files until their digest is right; only then are they put, with that digest, so that the
//! target verifies them. The bucket is created for the run, and nothing is ever written anywhere else. Superseded
//! versions are put as objects of their own under [`VERSIONS`], because no server accepts a version's id.

mod copy;
mod put;
mod server;

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_s3::Client as SdkClient;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;

pub use self::{copy::S3Copy, put::VERSIONS, server::Server};
use self::{
    put::Put,
    server::{CallError, CallErrorKind, failed},
};
use super::{file::PendingFile, place::Places, tree};
use crate::{
    aws::{error::message, listing::PageStart},
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink, PendingObject, Refused, UnitSink},
        properties::Item,
        receipt::ObjectReceipt,
        unit::UnitId,
    },
};

/// A client of the target.
pub type Client = SdkClient;
const PUTS_IN_FLIGHT: usize = 16;

/// A bucket of the target, created for one asset of one run.
pub struct S3Target {
    server: Server,
    bucket: String,
    staging: PathBuf,
    runtime: Handle,
    places: Mutex<Places>,
}

impl S3Target {
    /// Creates the bucket if missing. With `fresh` it must be empty: no other objects may mix with the run's.
    pub async fn open(server: Server, bucket: String, staging: PathBuf, fresh: bool) -> Result<Self, SinkError> {
        tree::remove_tree(&staging)?;
        std::fs::create_dir_all(&staging).map_err(|error| SinkError::write(&staging, error))?;
        let target = S3Target { server, bucket, staging, runtime: Handle::current(), places: Mutex::default() };
        let client = &target.server.client;
        let head = || client.head_bucket().bucket(&target.bucket).send();
        match target.server.call(None, head).await {
            Err(error) if error.kind == CallErrorKind::NotFound => {
                let make = || client.create_bucket().bucket(&target.bucket).send();
                // An earlier attempt may have made it, and its answer was lost.
                if let Err(error) = target.server.call(None, make).await
                    && target.server.call(None, head).await.is_err()
                {
                    return Err(target.failed("making the bucket", &error));
                }
            }
            answer => drop(answer.map_err(|error| target.failed("looking for the bucket", &error))?),
        }
        if fresh && !target.is_empty().await? {
            let reason = "it is not empty; a run restores into a bucket of its own only".to_owned();
            return Err(SinkError::Server { what: format!("bucket {}", target.bucket), reason });
        }
        Ok(target)
    }

    /// Checks that the server answers and accepts the caller, with one small request.
    pub async fn probe(client: &Client) -> Result<(), SinkError> {
        let refused = |reason| SinkError::Server { what: "the target's S3 server".to_owned(), reason };
        client.list_buckets().send().await.map(drop).map_err(|error| refused(message(&error)))
    }

    async fn is_empty(&self) -> Result<bool, SinkError> {
        let read = || copy::page(&self.server.client, &self.bucket, &PageStart::Beginning);
        let page = self.server.attempt(None, read).await.map_err(|error| self.failed("listing the bucket", &error))?;
        Ok(page.entries.is_empty() && page.odd.is_empty() && page.next.is_none())
    }

    fn failed(&self, doing: &str, error: &CallError) -> SinkError {
        failed(&self.bucket, doing, error)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectSink for S3Target {
    fn place(&self, entry: &ObjectEntry) -> String {
        self.places().place_entry(entry)
    }

    fn carries(&self) -> &'static [Item] {
        &[Item::ContentHeaders, Item::Metadata, Item::Tags, Item::WebsiteRedirect]
    }

    fn occupy(&self, _key: &str, place: &str) {
        self.places().occupy(place);
    }

    /// Objects in the bucket without a record do no harm: they are put again, or found by the read-back.
    fn discard_unrecorded(&self, _recorded: &HashSet<u128>) -> Result<(), SinkError> {
        Ok(())
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        let staging = self.staging.join(unit.as_str());
        std::fs::create_dir(&staging).map_err(|error| SinkError::write(&staging, error))?;
        let put = Put { server: self.server.clone(), bucket: self.bucket.clone() };
        Ok(Box::new(S3Unit { put, staging, runtime: self.runtime.clone() }))
    }

    fn close(&self) -> Result<(), SinkError> {
        tree::remove_tree(&self.staging)
    }
}

struct S3Unit {
    put: Put,
    staging: PathBuf,
    runtime: Handle,
}

impl UnitSink for S3Unit {
    fn create(&self, index: usize, _: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        Ok(Box::new(PendingFile::create_in_cache(self.staging.join(index.to_string()))?))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        let puts = published.iter_mut().map(|(index, receipt)| {
            let staged = self.staging.join(index.to_string());
            async move { self.put.object(staged, receipt).await.map(|put| put.err().map(|error| (*index, error))) }
        });
        let puts = stream::iter(puts).buffer_unordered(PUTS_IN_FLIGHT).try_collect::<Vec<_>>();
        let failures: Vec<_> = self.runtime.block_on(puts)?.into_iter().flatten().collect();
        // A server that fails over several objects, and takes none, does not fail for what they are.
        let is_about_one = |error: &CallError| error.kind == CallErrorKind::AboutObject;
        let takes_none = failures.len() == published.len() && !failures.iter().any(|(_, error)| is_about_one(error));
        let fails_for_all = takes_none && published.len() > 1;
        let sorted = |error: CallError| match error.kind {
            CallErrorKind::Away | CallErrorKind::Full => failed(&self.put.bucket, "putting an object", &error),
            CallErrorKind::Machine => SinkError::write(&self.staging, io::Error::other(error.reason)),
            CallErrorKind::Passing if fails_for_all => failed(&self.put.bucket, "putting an object", &error),
            CallErrorKind::Passing => SinkError::Failed { reason: error.reason },
            CallErrorKind::AboutObject | CallErrorKind::NotFound | CallErrorKind::Refused => {
                SinkError::Refused { reason: error.reason }
            }
        };
        let refused = failures.into_iter().map(|(index, error)| (index, sorted(error))).collect();
        tree::remove_tree(&self.staging)?;
        Ok(refused)
    }
}

impl Drop for S3Unit {
    fn drop(&mut self) {
        // After a commit nothing is left; after a failure the remains are cleared at the next start.
        let _ = std::fs::remove_dir_all(&self.staging);
    }
}
