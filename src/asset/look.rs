//! What a finished asset restored, looked at again when its run is resumed: it may have been removed in between.

use std::sync::Arc;

use super::{database::target::Target, stop::Stop, work::Work};
use crate::{
    event::Phase,
    evidence::{
        merge,
        result::AssetResult,
        tables::{TABLES_CSV, read_tables},
    },
    finding::{Finding, Severity},
    transfer::{meter::Meter, object::RestoredBucket, receipt::TableReceipt},
    verify::{objects::ReadBack, tables},
};

/// How closely it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything is there, and of the right size: objects by their bytes, tables by their rows; and what stands
    /// beside rows is as it was proven.
    #[default]
    Presence,
    /// Everything is read and compared, as after the transfer.
    Content,
}

/// What there is to see, and how much of it is not as it was left.
pub(crate) struct Looked {
    pub items: u64,
    pub differ: u64,
}

impl Looked {
    /// Where nothing is left of what an asset restored.
    pub fn nothing_of(result: &AssetResult) -> Self {
        let items = result.database.as_ref().map_or(1, |database| database.tables);
        Looked { items, differ: items.max(1) }
    }
}

/// Files, members of archives, or objects of the target's server.
pub(crate) fn at_objects(work: &Work, depth: Depth, buckets: Option<&dyn RestoredBucket>) -> Result<Looked, Stop> {
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
    let seen = seen.map_err(|source| crate::asset::bucket::carry::unreadable(root.clone(), source))?;
    work.go_on()?;
    Ok(Looked { items: seen.expected, differ: differing.len() as u64 })
}

/// Tables of a restored database, the files that its rows were spooled to, and what stands beside the rows.
pub(crate) fn at_database(work: &Work, depth: Depth, result: &AssetResult, target: &Target) -> Result<Looked, Stop> {
    let evidence = work.layout.asset_evidence(&work.asset);
    let Some(database) = result.database.as_ref().filter(|_| evidence.join(TABLES_CSV).exists()) else {
        // Nothing says what there has to be.
        return Ok(Looked::nothing_of(result));
    };
    let receipts = read_tables(&evidence)?;
    let items = receipts.len() as u64;
    let address = target.server.existing(&database.target_database).address().clone();
    let root = work.root();
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
    let has_exports = |receipt: &TableReceipt| receipt.exports.iter().all(|export| root.join(&export.path).is_file());
    let there = reader.hold_as_many_rows(&receipts);
    work.go_on()?;
    let missing = receipts.iter().zip(there).filter(|(receipt, there)| !there || !has_exports(receipt)).count() as u64;
    let weighing =
        |findings: &[Finding]| findings.iter().filter(|finding| finding.severity != Severity::Note).count() as u64;
    let mut findings = match crate::command::recheck::state(result, &evidence, &address) {
        Ok(beside) => beside.into_iter().flat_map(|comparison| comparison.findings).collect(),
        Err(unread) => vec![unread],
    };
    if missing > 0 || depth == Depth::Presence {
        return Ok(Looked { items, differ: missing.saturating_add(weighing(&findings)) });
    }
    let excluded: Vec<_> = database.excluded_tables.iter().map(|table| table.table.clone()).collect();
    let compared = reader.compare(&receipts, &excluded)?;
    drop(ticker);
    work.go_on()?;
    findings.extend(compared.rows.findings);
    findings.extend(compared.digest.findings);
    findings.extend(tables::compare_spools(&work.asset, &root, &receipts).findings);
    Ok(Looked { items, differ: weighing(&findings) })
}
