//! What a finished asset restored, looked at again when its run is resumed: it may have been removed in between.

use std::{collections::BTreeMap, sync::Arc};

use super::{stop::Stop, target::Target, work::Work};
use crate::{
    event::Phase,
    evidence::{
        merge,
        result::AssetResult,
        tables::{TABLES_CSV, read_tables},
    },
    finding::Finding,
    pg::catalog,
    transfer::{meter::Meter, object::RestoredBucket, receipt::TableReceipt},
    verify::{objects::ReadBack, tables},
};

/// How closely it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything is there, and of the right size.
    #[default]
    Presence,
    /// Everything is read and compared, as after the transfer.
    Content,
}

/// What there is to see, and how much of it is not as it was left.
pub(super) struct Looked {
    pub items: u64,
    pub differ: u64,
}

/// Files, members of archives, or objects of the target's server.
pub(super) fn at_objects(work: &Work, depth: Depth, buckets: Option<&dyn RestoredBucket>) -> Result<Looked, Stop> {
    let files = work.ledger.receipt_files(&work.asset)?;
    let (root, meter) = (work.root(), Arc::new(Meter::default()));
    if !root.exists() {
        let items = merge(files).count() as u64;
        return Ok(Looked { items, differ: items.max(1) });
    }
    let ticker = work.ticker(Phase::Verify, &meter);
    let reader = ReadBack { asset: &work.asset, root: &root, meter: &meter, interrupt: &work.interrupt, buckets };
    let mut differing = Vec::<Finding>::new();
    let seen = match depth {
        Depth::Presence => reader.look_into(merge(files), &mut differing),
        Depth::Content => reader.compare_into(merge(files), &mut differing),
    };
    drop(ticker);
    let seen = seen.map_err(|source| super::objects::unreadable(root.clone(), source))?;
    work.go_on()?;
    Ok(Looked { items: seen.expected, differ: differing.len() as u64 })
}

/// Tables of a restored database, and the files that its rows were spooled to.
pub(super) fn at_database(work: &Work, depth: Depth, result: &AssetResult, target: &Target) -> Result<Looked, Stop> {
    let evidence = work.layout.asset_evidence(&work.asset);
    let Some(database) = result.database.as_ref().filter(|_| evidence.join(TABLES_CSV).exists()) else {
        return Ok(Looked { items: 0, differ: 0 });
    };
    let receipts = read_tables(&evidence)?;
    let items = receipts.len() as u64;
    let address = target.server.existing(&database.target_database).address().clone();
    // A database that can't be entered is not as it was left; restoring it again says why.
    let there = address.connect().and_then(|mut client| catalog::tables(&mut client)).unwrap_or_default();
    let there: BTreeMap<String, u64> =
        there.into_iter().map(|table| (table.name.to_string(), table.bytes_on_disk)).collect();
    let root = work.root();
    let is_there = |receipt: &&TableReceipt| {
        let filled = there.get(&receipt.table).is_some_and(|bytes| *bytes > 0 || receipt.stream.rows == 0);
        filled && receipt.exports.iter().all(|export| root.join(&export.path).is_file())
    };
    let missing = items - receipts.iter().filter(is_there).count() as u64;
    if missing > 0 || depth == Depth::Presence {
        return Ok(Looked { items, differ: missing });
    }
    let meter = Arc::new(Meter::default());
    let ticker = work.ticker(Phase::Verify, &meter);
    let reader = tables::ReadBack {
        asset: &work.asset,
        target: &address,
        root: &root,
        key: database.row_key,
        parallel: std::thread::available_parallelism().map_or(2, usize::from),
        meter: &meter,
        interrupt: &work.interrupt,
    };
    let excluded: Vec<_> = database.excluded_tables.iter().map(|table| table.table.clone()).collect();
    let compared = reader.compare(&receipts, &excluded)?;
    drop(ticker);
    work.go_on()?;
    let spools = tables::compare_spools(&work.asset, &root, &receipts);
    let differ = compared.rows.findings.len() + compared.digest.findings.len() + spools.findings.len();
    Ok(Looked { items, differ: differ as u64 })
}
