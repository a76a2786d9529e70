//! Restored objects, read back some time after verification: when a run is resumed, and against a sealed bundle.

use std::sync::Arc;

use super::work::unreadable;
use crate::{
    asset::{
        look::{RecheckCounts, RecheckDepth},
        recheck::{Rechecking, unread},
        stop::Stop,
        ticker::Ticker,
        work::Work,
    },
    domain::{
        event::Phase,
        finding::{Finding, FindingKind},
    },
    evidence::{self, merge, result::AssetResult},
    transfer::{meter::Meter, object::RestoredBucket},
    verify::{Comparison, objects::ReadBack},
};

/// Files, members of archives, or objects of the target's server.
pub(crate) fn look(
    work: &Work,
    depth: RecheckDepth,
    buckets: Option<&dyn RestoredBucket>,
) -> Result<RecheckCounts, Stop> {
    let files = work.ledger.receipt_files(&work.asset)?;
    let root = work.root();
    let meter = Arc::new(Meter::default());
    if !root.exists() {
        let items = merge(files).count() as u64;
        return Ok(RecheckCounts { items, differ: items.max(1) });
    }
    let ticker = work.ticker(Phase::Verify, &meter);
    let reader = ReadBack { asset: &work.asset, root: &root, meter: &meter, interrupt: &work.interrupt, buckets };
    let mut differing = Vec::<Finding>::new();
    let seen = match depth {
        RecheckDepth::Presence => reader.look_into(merge(files), &mut differing),
        RecheckDepth::Content => reader.compare_into(merge(files), &mut differing),
    };
    drop(ticker);
    let seen = seen.map_err(|source| unreadable(root.clone(), source))?;
    work.check_interrupt()?;
    Ok(RecheckCounts { items: seen.expected, differ: differing.len() as u64 })
}

/// The restored objects according to a bundle.
pub(crate) fn of_bundle(at: &Rechecking, asset: &AssetResult) -> Result<Vec<Comparison>, Finding> {
    let root = at.root(asset);
    let meter = Arc::new(Meter::default());
    meter.expect(asset.items, asset.bytes);
    let _ticker = Ticker::start(&at.monitor, &asset.id, Phase::Verify, &meter);
    let buckets = at.buckets.as_deref();
    let reader = ReadBack { asset: &asset.id, root: &root, meter: &meter, interrupt: &at.interrupt, buckets };
    let compared = reader.compare(evidence::merge(vec![at.evidence(asset).join(evidence::OBJECTS_NDJSON)]));
    let compared = compared.map_err(|error| unread(asset, FindingKind::CopyUnreadable, &root, &error))?;
    Ok(vec![compared])
}
