//! Objects of any store as files of an asset: another kind of store has to provide a source and a configuration.

use std::{sync::Arc, time::Duration};

use tokio::task::spawn_blocking;

use super::{evidence::write_evidence, recheck, sink::Destination, transfer, work::BucketWork};
use crate::{
    asset::{
        look::{RecheckCounts, RecheckDepth},
        seam::Carried,
        stop::Stop,
        work::Work,
    },
    evidence::{
        findings,
        result::{AssetResult, ObjectLayout, ObjectsResult},
    },
    transfer::{
        error::TransferError,
        executor::UnitWorker,
        meter::Meter,
        object::{Configured, ObjectSource},
    },
};

/// The source.
pub struct ObjectsFrom {
    /// A description, as used in the evidence.
    pub name: String,
    /// Lists and opens them.
    pub source: Arc<dyn ObjectSource>,
    /// Reads the configuration of the store.
    pub configuration: Arc<dyn Configured>,
    /// How long it may be unreachable.
    pub stall: Duration,
}

impl ObjectsFrom {
    fn work(self, work: Work) -> BucketWork {
        BucketWork {
            work,
            source_name: self.name,
            source: self.source,
            names: None,
            bucket: self.configuration,
            into: Destination::Tree,
            sample: None,
            versions: false,
            // Completeness is checked by the caller.
            may_be_empty: false,
            stall: self.stall,
        }
    }

    /// Copies all of them.
    ///
    /// # Errors
    /// What ends the work on the asset.
    pub async fn carry(self, work: Work) -> Result<Box<dyn Carried>, Stop> {
        Ok(Box::new(self.work(work).carry().await?))
    }

    /// The runner of their units in this process.
    ///
    /// # Errors
    /// The asset's directory can't be opened.
    pub async fn worker(self, work: Work) -> Result<Arc<dyn UnitWorker>, Stop> {
        let work = self.work(work);
        let sink = work.into.open(work.work.root(), false).await?;
        Ok(Arc::new(transfer::copier(&work, sink, &Arc::new(Meter::default()))))
    }
}

/// Re-checks files that were restored before.
///
/// # Errors
/// They can't be re-checked.
pub async fn recheck_restored(work: Work, depth: RecheckDepth) -> Result<RecheckCounts, Stop> {
    let looked = spawn_blocking(move || recheck::look(&work, depth, None));
    looked.await.map_err(TransferError::from)?
}

/// Puts the existing receipts into the entry of an asset that was not finished.
///
/// # Errors
/// The evidence can't be written.
pub fn as_it_stands(work: &Work, result: &mut AssetResult) -> Result<(), Stop> {
    // What a kill left before the end of the asset belongs to another attempt.
    findings::discard(&work.layout.asset_evidence(&work.asset))?;
    let written = write_evidence(work, &work.ledger.receipt_files(&work.asset)?)?;
    result.items = written.evidence.objects;
    result.bytes = written.evidence.bytes;
    result.content_sha256 = written.evidence.content_sha256;
    result.objects = Some(ObjectsResult { layout: ObjectLayout::Tree, ..written.numbers() });
    Ok(())
}
