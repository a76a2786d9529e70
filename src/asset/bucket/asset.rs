//! A bucket as an asset of a run.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::task::spawn_blocking;

use super::{
    carry::CarriedBucket,
    measure, objects,
    preflight::{self, bucket_name, bucket_source},
    pseudonym_map, recheck,
    sink::{self, Destination},
    transfer,
    work::BucketWork,
};
use crate::{
    account::{coverage::CarriedFrom, rights},
    asset::{
        endpoints::{Endpoints, Preflight, lacking},
        look::{RecheckCounts, RecheckDepth},
        measured::{Measured, SpaceNeeded},
        seam::{Asset, Carried, Description, Measuring, Needs, obstacle},
        stop::Stop,
        work::Work,
    },
    domain::event::AssetKind,
    evidence::result::{AssetResult, ObjectLayout},
    playbook::{BucketSpec, Layout, Playbook, ProcessEnvironment, TargetSpec, Unresolved, Versions},
    record::error::{Obstacle, Unopened},
    transfer::{
        error::TransferError,
        executor::UnitWorker,
        meter::Meter,
        object::ObjectSource,
        pseudonyms::{Pseudonymous, Pseudonyms},
        retry::STALL,
    },
};

/// A bucket of a playbook.
pub(crate) struct BucketAsset {
    id: String,
    spec: BucketSpec,
}

impl BucketAsset {
    pub(crate) fn new(id: &str, spec: &BucketSpec) -> Self {
        BucketAsset { id: id.to_owned(), spec: spec.clone() }
    }

    fn work(&self, work: Work, endpoints: &Endpoints) -> Result<BucketWork, Stop> {
        let bucket = bucket_source(endpoints.aws()?, &self.spec);
        let names = pseudonyms(&endpoints.playbook)?;
        let mut source: Arc<dyn ObjectSource> = bucket.clone();
        if let Some(names) = &names {
            source = Arc::new(Pseudonymous::new(source, names.clone()));
        }
        Ok(BucketWork {
            source_name: bucket_name(&self.spec),
            source,
            names,
            bucket,
            into: self.destination(&work.run, endpoints)?,
            sample: self.spec.sample,
            versions: self.spec.versions == Versions::All,
            may_be_empty: self.spec.may_be_empty,
            stall: self.stall(),
            work,
        })
    }

    /// Where the objects go.
    fn destination(&self, run: &str, endpoints: &Endpoints) -> Result<Destination, Stop> {
        match self.spec.layout {
            Layout::Tree => Ok(Destination::Tree),
            Layout::Tar => Ok(Destination::Archives),
            Layout::S3 => {
                let target = endpoints.ready.s3_target.as_ref().ok_or_else(|| lacking("target.s3"))?;
                let name = sink::bucket_name(&self.id, run);
                Ok(Destination::Bucket { client: target.s3(), name, stall: self.stall() })
            }
        }
    }

    /// How long either end may be unreachable.
    fn stall(&self) -> Duration {
        self.spec.limits.stall.map_or(STALL, |stall| stall.duration())
    }
}

impl Asset for BucketAsset {
    fn id(&self) -> &str {
        &self.id
    }

    fn describe(&self) -> Description {
        let BucketSpec { bucket, prefix, sample, versions, layout, .. } = &self.spec;
        Description {
            kind: AssetKind::S3,
            source: bucket_name(&self.spec),
            from: Some(CarriedFrom::Bucket {
                name: bucket.to_string(),
                prefix: prefix.clone().unwrap_or_default(),
                sample: sample.is_some(),
                versions: *versions == Versions::All,
            }),
            needs: Needs { s3: *layout == Layout::S3, ..Needs::default() },
            makes: None,
        }
    }

    fn rights(&self, needs: &mut rights::Needs) {
        needs.buckets.push((self.spec.bucket.to_string(), self.spec.prefix.clone()));
        needs.versions |= self.spec.versions != Versions::Latest;
    }

    fn preflight<'a>(&'a self, at: &'a Preflight<'a>) -> BoxFuture<'a, Result<Vec<Obstacle>, Unopened>> {
        async move { Ok(preflight::look(&self.id, &self.spec, at).await) }.boxed()
    }

    fn measure<'a>(&'a self, at: &'a Measuring<'a>) -> BoxFuture<'a, Result<Measured, Obstacle>> {
        async move {
            let aws = at.aws.ok_or_else(|| obstacle(&self.id, "the playbook names no provider", None))?;
            measure::of(&self.id, &self.spec, aws, at.playbook).await
        }
        .boxed()
    }

    fn space_needed(&self, measured: &Measured, _: &TargetSpec) -> SpaceNeeded {
        measure::space_needed(&self.spec, measured)
    }

    fn carry<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Box<dyn Carried>, Stop>> {
        async move { Ok(Box::new(self.work(work, endpoints)?.carry().await?) as Box<dyn Carried>) }.boxed()
    }

    fn worker<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Arc<dyn UnitWorker>, Stop>> {
        async move {
            let work = self.work(work, endpoints)?;
            let sink = work.into.open(work.work.root(), false).await?;
            Ok(Arc::new(transfer::copier(&work, sink, &Arc::new(Meter::default()))) as Arc<dyn UnitWorker>)
        }
        .boxed()
    }

    fn recheck<'a>(
        &'a self,
        work: Work,
        endpoints: &'a Endpoints,
        depth: RecheckDepth,
        _: &'a AssetResult,
    ) -> BoxFuture<'a, Result<RecheckCounts, Stop>> {
        async move {
            let reader = self.destination(&work.run, endpoints)?.reader();
            let looked = spawn_blocking(move || recheck::look(&work, depth, reader.as_deref()));
            looked.await.map_err(TransferError::from)?
        }
        .boxed()
    }

    fn as_it_stands(&self, work: &Work, playbook: &Playbook, result: &mut AssetResult) -> Result<(), Stop> {
        let names = pseudonyms(playbook)?;
        if let Some(names) = &names {
            pseudonym_map::begun_under(&pseudonym_map::path(work), names)?;
        }
        objects::as_it_stands(work, result)?;
        if let Some(objects) = &mut result.objects {
            objects.layout = match self.spec.layout {
                Layout::Tree => ObjectLayout::Tree,
                Layout::Tar => ObjectLayout::Tar,
                Layout::S3 => ObjectLayout::S3,
            };
            objects.pseudonyms = names.as_ref().map(Pseudonyms::mark);
            objects.versions = self.spec.versions == Versions::All;
        }
        Ok(())
    }
}

impl Carried for CarriedBucket {
    fn prove<'a>(self: Box<Self>) -> BoxFuture<'a, Result<AssetResult, Stop>> {
        CarriedBucket::prove(*self).boxed()
    }
}

/// The pseudonyms of keys in the evidence, where they are used.
fn pseudonyms(playbook: &Playbook) -> Result<Option<Pseudonyms>, Stop> {
    let secret = playbook.pseudonyms().map(|reference| reference.resolve(&ProcessEnvironment)).transpose();
    let missing = |error: Unresolved| Stop::Asset { reason: error.to_string(), hint: Some(error.hint().to_owned()) };
    Ok(secret.map_err(missing)?.map(|secret| Pseudonyms::under(secret.expose())))
}
