//! Restored databases, read back some time after verification: when a run is resumed, and against a sealed bundle.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    clusters,
    target::{self, Target},
};
use crate::{
    asset::{
        look::{RecheckCounts, RecheckDepth},
        recheck::{Recheck, Rechecking, unread},
        stop::Stop,
        ticker::Ticker,
        work::Work,
    },
    domain::{
        event::Phase,
        finding::{Finding, FindingKind, Severity},
    },
    evidence::{
        self,
        result::{AssetResult, DatabaseResult},
        tables::{TABLES_CSV, read_tables},
    },
    pg::{Address, PgError, tools::Tools},
    playbook::Reference,
    record::{error::EngineError, layout::Layout},
    restore::cluster::Cluster,
    transfer::{meter::Meter, receipt::TableReceipt, retry::STALL},
    verify::{
        Comparison,
        state::{again, compare_state},
        tables::{self, compare_spools},
    },
};

/// A server has a limited number of connections, however many cores this machine has.
const CONNECTIONS_MAX: usize = 8;

/// Tables of a restored database, the files that its rows were spooled to, and what a database has beside rows.
pub(crate) fn look(
    work: &Work,
    depth: RecheckDepth,
    result: &AssetResult,
    target: &Target,
) -> Result<RecheckCounts, Stop> {
    let evidence = work.layout.asset_evidence(&work.asset);
    let Some(database) = result.database.as_ref().filter(|_| evidence.join(TABLES_CSV).exists()) else {
        // Nothing states what has to be there.
        return Ok(RecheckCounts::nothing_of(result));
    };
    let receipts = read_tables(&evidence)?;
    let items = receipts.len() as u64;
    let server = target.server.watched(STALL, &work.interrupt);
    let address = server.existing(&database.target_database).address().clone();
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
    work.check_interrupt()?;
    let missing = receipts.iter().zip(there).filter(|(receipt, there)| !there || !has_exports(receipt)).count() as u64;
    let weighing =
        |findings: &[Finding]| findings.iter().filter(|finding| finding.severity != Severity::Note).count() as u64;
    let mut findings = match state(result, &evidence, &address) {
        Ok(beside) => beside.into_iter().flat_map(|comparison| comparison.findings).collect(),
        Err(unread) => vec![unread],
    };
    if missing > 0 || depth == RecheckDepth::Presence {
        return Ok(RecheckCounts { items, differ: missing.saturating_add(weighing(&findings)) });
    }
    let excluded: Vec<_> = database.excluded_tables.iter().map(|table| table.table.clone()).collect();
    let compared = reader.compare(&receipts, &excluded)?;
    drop(ticker);
    work.check_interrupt()?;
    findings.extend(compared.rows.findings);
    findings.extend(compared.digest.findings);
    findings.extend(tables::compare_spools(&work.asset, &root, &receipts).findings);
    Ok(RecheckCounts { items, differ: weighing(&findings) })
}

/// The restored databases according to a bundle; a target that is gone is a finding.
pub(crate) fn of_bundle(at: &Rechecking, databases: &[&AssetResult], recheck: &mut Recheck) -> Result<(), EngineError> {
    let layout = Layout { bundle: at.bundle.clone(), restored: at.restored_to.clone() };
    let mut by_cluster: BTreeMap<PathBuf, Vec<&AssetResult>> = BTreeMap::new();
    for asset in databases {
        by_cluster.entry(clusters::of_asset(&layout, &asset.id)).or_default().push(asset);
    }
    by_cluster.iter().try_for_each(|(cluster, databases)| in_cluster(at, cluster, databases, recheck))
}

/// Databases of one managed cluster, or of the server that the playbook names.
fn in_cluster(
    at: &Rechecking,
    cluster: &Path,
    databases: &[&AssetResult],
    recheck: &mut Recheck,
) -> Result<(), EngineError> {
    let target = match &at.postgres {
        None => managed(cluster),
        Some(reference) => named(reference),
    };
    let target = match target {
        Ok(target) => target,
        Err(reason) => {
            let lost =
                |asset: &&AssetResult| Finding::of(&asset.id, FindingKind::CopyUnreadable, "target.postgres", &reason);
            recheck.findings.extend(databases.iter().map(lost));
            return Ok(());
        }
    };
    for asset in databases {
        recheck.take(&asset.id, compare(at, asset, &target));
    }
    target.stop().map_err(|error| EngineError::Internal(error.to_string()))
}

fn compare(at: &Rechecking, asset: &AssetResult, target: &Target) -> Result<Vec<Comparison>, Finding> {
    let Some(database) = &asset.database else { return Ok(Vec::new()) };
    let evidence = at.evidence(asset);
    let receipts = read_tables(&evidence);
    let receipts = receipts.map_err(|error| unread(asset, FindingKind::TableUnreadable, &evidence, &error))?;
    let server = target.server.watched(STALL, &at.interrupt);
    let address = server.existing(&database.target_database).address().clone();
    let compared = read_back(at, asset, database, &address, &receipts);
    let compared = compared.map_err(|error| {
        Finding::of(&asset.id, FindingKind::TableUnreadable, &database.target_database, error.to_string())
    })?;
    let spools = compare_spools(&asset.id, &at.root(asset), &receipts);
    let mut comparisons = vec![compared.rows, compared.digest, spools];
    comparisons.extend(state(asset, &evidence, &address)?);
    Ok(comparisons)
}

fn read_back(
    at: &Rechecking,
    asset: &AssetResult,
    database: &DatabaseResult,
    address: &Address,
    receipts: &[TableReceipt],
) -> Result<tables::TablesCompared, PgError> {
    let meter = Arc::new(Meter::default());
    meter.expect(asset.items, asset.bytes + asset.items);
    let _ticker = Ticker::start(&at.monitor, &asset.id, Phase::Verify, &meter);
    let reader = tables::ReadBack {
        asset: &asset.id,
        target: address,
        root: &at.root(asset),
        key: database.row_key,
        parallel: std::thread::available_parallelism().map_or(2, usize::from).min(CONNECTIONS_MAX),
        meter: &meter,
        interrupt: &at.interrupt,
    };
    let excluded: Vec<_> = database.excluded_tables.iter().map(|table| table.table.clone()).collect();
    reader.compare(receipts, &excluded)
}

/// Sequences, large objects, catalog, rights, settings, rows of views, as in the evidence; what it doesn't have is
/// reported.
fn state(asset: &AssetResult, evidence: &Path, address: &Address) -> Result<Vec<Comparison>, Finding> {
    let proven = evidence::read_restored(evidence)
        .map_err(|error| unread(asset, FindingKind::TableUnreadable, evidence, &error))?;
    let told = asset.database.as_ref().is_some_and(|database| database.restored_sha256.is_some());
    if proven.is_none() && told {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(unread(asset, FindingKind::TableUnreadable, &evidence.join(evidence::RESTORED_CSV), &missing));
    }
    let Some(proven) = proven else {
        let detail = "the bundle does not hold what they were, so they were not compared";
        let subject = "sequences, large objects, catalog, roles, owners, grants, settings, materialized views";
        let mut said = Comparison::new("catalog");
        said.findings.push(Finding::of(&asset.id, FindingKind::Deviation, subject, detail));
        return Ok(vec![said]);
    };
    let what = "sequences, large objects, catalog";
    let unread = |reason: String| Finding::of(&asset.id, FindingKind::TableUnreadable, what, reason);
    let key = asset.database.as_ref().map(|database| database.row_key).ok_or_else(|| unread("no key".to_owned()))?;
    let (found, not_held) = again(address, key, &proven).map_err(|error| unread(error.to_string()))?;
    let mut compared = compare_state(&asset.id, &proven, &found);
    if let Some((subject, comparison)) = not_held.zip(compared.last_mut()) {
        let detail = "the bundle does not hold what they were, so they were not compared";
        comparison.findings.push(Finding::of(&asset.id, FindingKind::Deviation, subject, detail));
    }
    Ok(compared)
}

/// A finding has no field for a hint.
fn with_hint(error: &dyn std::fmt::Display, hint: Option<String>) -> String {
    hint.map_or_else(|| error.to_string(), |hint| format!("{error}; {hint}"))
}

fn managed(directory: &Path) -> Result<Target, String> {
    if !Cluster::is_in(directory) {
        return Err(format!("{} holds no managed cluster", directory.display()));
    }
    let tools = Tools::server().map_err(|error| error.to_string())?;
    Target::managed(tools, directory).map_err(|error| with_hint(&error, error.hint()))
}

fn named(reference: &str) -> Result<Target, String> {
    let reference = Reference::parse(reference, Path::new("")).map_err(|error| error.to_string())?;
    let address = target::address(&reference).map_err(|error| with_hint(&error, error.hint()))?;
    let tools = Tools::client().map_err(|error| error.to_string())?;
    Ok(Target::named(tools, address))
}
