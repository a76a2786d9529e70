//! `verify --restored`: compares the restored data that still lies on the disk and in the target with a bundle: objects,
//! rows, exports, and of databases what stands beside the rows.
//!
//! The bundle is input from outside: its paths are opened only beneath the restored directory, and the statements that
//! read tables are made anew from the target's catalog.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::{
    asset::{
        database::{
            clusters,
            target::{self, Target},
        },
        ticker::Ticker,
    },
    event::{AssetKind, Monitor, Phase},
    evidence::{
        self,
        result::{AssetResult, Check, DatabaseResult, RunResult},
        tables::read_tables,
    },
    finding::{Finding, FindingKind},
    interrupt::Interrupt,
    pg::{Address, tools::Tools},
    playbook::Reference,
    record::{error::EngineError, layout::Layout},
    restore::{
        cluster::Cluster,
        s3::{S3Copy, Server},
    },
    source::aws::{Aws, AwsSettings},
    transfer::{meter::Meter, object::RestoredBucket, retry::STALL},
    verify::{
        Comparison, objects,
        state::{again, compare_state},
        tables::{self, compare_spools},
    },
};

/// A server has few connections to spare, however many cores this machine has.
const CONNECTIONS_MAX: usize = 8;

/// What was compared again, and what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recheck {
    /// Asset and check.
    pub checks: Vec<(String, Check)>,
    /// What differs, or could not be compared.
    pub findings: Vec<Finding>,
}

/// The one part of the resolved playbook that is needed here.
#[derive(Deserialize)]
struct Resolved {
    target: ResolvedTarget,
}

#[derive(Deserialize)]
struct ResolvedTarget {
    postgres: Option<ResolvedPostgres>,
    s3: Option<ResolvedS3>,
}

#[derive(Deserialize)]
struct ResolvedS3 {
    endpoint: String,
    profile: Option<String>,
    region: Option<String>,
}

#[derive(Deserialize)]
struct ResolvedPostgres {
    url: Option<String>,
}

/// Reads everything back that a bundle says was restored.
///
/// # Errors
/// When the bundle can't be read. A target that is gone is a finding.
pub async fn recheck(bundle: &Path, monitor: Arc<dyn Monitor>, interrupt: Interrupt) -> Result<Recheck, EngineError> {
    let bundle = bundle.to_owned();
    let work = spawn_blocking(move || Rechecking::open(bundle, monitor, interrupt)?.run());
    work.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

struct Rechecking {
    bundle: PathBuf,
    result: RunResult,
    monitor: Arc<dyn Monitor>,
    interrupt: Interrupt,
    /// Reads what was restored into an S3 server, if the playbook names one.
    buckets: Option<Box<dyn RestoredBucket>>,
}

impl Rechecking {
    fn open(bundle: PathBuf, monitor: Arc<dyn Monitor>, interrupt: Interrupt) -> Result<Self, EngineError> {
        let result = read_json(&bundle.join("data").join("result.json"))?;
        let resolved: Resolved = read_json(&bundle.join("data").join("playbook.resolved.json"))?;
        let buckets = resolved.target.s3.map(reader_of);
        Ok(Rechecking { bundle, result, monitor, interrupt, buckets })
    }

    fn run(&self) -> Result<Recheck, EngineError> {
        let mut recheck = Recheck::default();
        let of_kind = |kind| self.result.assets.iter().filter(move |asset| asset.kind == kind);
        for asset in of_kind(AssetKind::S3) {
            recheck.take(&asset.id, self.objects(asset));
        }
        let databases: Vec<_> = of_kind(AssetKind::Postgres).collect();
        for files in databases.iter().filter_map(|asset| asset.export()).map(|export| &export.files) {
            recheck.take(&files.id, self.objects(files));
        }
        if !databases.is_empty() {
            self.databases(&databases, &mut recheck)?;
        }
        Ok(recheck)
    }

    fn root(&self, asset: &AssetResult) -> PathBuf {
        Path::new(&self.result.restored_to).join(&asset.directory)
    }

    fn evidence(&self, asset: &AssetResult) -> PathBuf {
        self.bundle.join("data").join("assets").join(&asset.id)
    }

    fn objects(&self, asset: &AssetResult) -> Result<Vec<Comparison>, Finding> {
        let (root, meter) = (self.root(asset), Arc::new(Meter::default()));
        meter.expect(asset.items, asset.bytes);
        let _ticker = Ticker::start(&self.monitor, &asset.id, Phase::Verify, &meter);
        let (asset_id, interrupt, buckets) = (asset.id.as_str(), &self.interrupt, self.buckets.as_deref());
        let reader = objects::ReadBack { asset: asset_id, root: &root, meter: &meter, interrupt, buckets };
        let receipts = evidence::merge(vec![self.evidence(asset).join("objects.ndjson")]);
        let compared = reader.compare(receipts);
        let compared = compared.map_err(|error| unread(asset, FindingKind::CopyUnreadable, &root, &error))?;
        Ok(vec![compared])
    }

    fn databases(&self, databases: &[&AssetResult], recheck: &mut Recheck) -> Result<(), EngineError> {
        let layout = Layout { bundle: self.bundle.clone(), restored: PathBuf::from(&self.result.restored_to) };
        let mut by_cluster: BTreeMap<PathBuf, Vec<&AssetResult>> = BTreeMap::new();
        for asset in databases {
            by_cluster.entry(clusters::of_asset(&layout, &asset.id)).or_default().push(asset);
        }
        by_cluster.iter().try_for_each(|(cluster, databases)| self.databases_in(cluster, databases, recheck))
    }

    /// Databases of one managed cluster, or of the server that the playbook names.
    fn databases_in(
        &self,
        cluster: &Path,
        databases: &[&AssetResult],
        recheck: &mut Recheck,
    ) -> Result<(), EngineError> {
        let target = match self.target(cluster)? {
            Ok(target) => target,
            Err(reason) => {
                let lost = |asset: &&AssetResult| {
                    Finding::of(&asset.id, FindingKind::CopyUnreadable, "target.postgres", &reason)
                };
                recheck.findings.extend(databases.iter().map(lost));
                return Ok(());
            }
        };
        for asset in databases {
            recheck.take(&asset.id, self.tables(asset, &target));
        }
        target.stop().map_err(|error| EngineError::Internal(error.to_string()))
    }

    /// Brings the target up again; the inner error says why it can't be reached.
    fn target(&self, cluster: &Path) -> Result<Result<Target, String>, EngineError> {
        let resolved: Resolved = read_json(&self.bundle.join("data").join("playbook.resolved.json"))?;
        Ok(match resolved.target.postgres.and_then(|postgres| postgres.url) {
            None => managed(cluster),
            Some(reference) => named(&reference),
        })
    }

    fn tables(&self, asset: &AssetResult, target: &Target) -> Result<Vec<Comparison>, Finding> {
        let Some(database) = &asset.database else { return Ok(Vec::new()) };
        let evidence = self.evidence(asset);
        let receipts = read_tables(&evidence);
        let receipts = receipts.map_err(|error| unread(asset, FindingKind::TableUnreadable, &evidence, &error))?;
        let address = target.server.existing(&database.target_database).address().clone();
        let compared = self.read_back(asset, database, &address, &receipts);
        let compared = compared.map_err(|error| {
            Finding::of(&asset.id, FindingKind::TableUnreadable, &database.target_database, error.to_string())
        })?;
        let spools = compare_spools(&asset.id, &self.root(asset), &receipts);
        let mut comparisons = vec![compared.rows, compared.digest, spools];
        comparisons.extend(state(asset, &evidence, &address)?);
        Ok(comparisons)
    }

    fn read_back(
        &self,
        asset: &AssetResult,
        database: &DatabaseResult,
        address: &Address,
        receipts: &[crate::transfer::receipt::TableReceipt],
    ) -> Result<tables::TablesCompared, crate::pg::PgError> {
        let meter = Arc::new(Meter::default());
        meter.expect(asset.items, asset.bytes + asset.items);
        let _ticker = Ticker::start(&self.monitor, &asset.id, Phase::Verify, &meter);
        let reader = tables::ReadBack {
            asset: &asset.id,
            target: address,
            root: &self.root(asset),
            key: database.row_key,
            parallel: std::thread::available_parallelism().map_or(2, usize::from).min(CONNECTIONS_MAX),
            meter: &meter,
            interrupt: &self.interrupt,
        };
        let excluded: Vec<_> = database.excluded_tables.iter().map(|table| table.table.clone()).collect();
        reader.compare(receipts, &excluded)
    }
}

/// Sequences, large objects, catalog, rights, settings, rows of views, as the evidence has them; what it doesn't have is
/// said.
pub(crate) fn state(asset: &AssetResult, evidence: &Path, address: &Address) -> Result<Vec<Comparison>, Finding> {
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

/// On a blocking thread of the runtime.
fn reader_of(s3: ResolvedS3) -> Box<dyn RestoredBucket> {
    let ResolvedS3 { endpoint, profile, region } = s3;
    let settings = AwsSettings { profile, region, s3_endpoint: Some(endpoint), ..AwsSettings::default() };
    let aws = Handle::current().block_on(Aws::load(settings));
    Box::new(S3Copy::new(Server::new(aws.s3(), STALL)))
}

impl Recheck {
    fn take(&mut self, asset: &str, compared: Result<Vec<Comparison>, Finding>) {
        match compared {
            Err(finding) => self.findings.push(finding),
            Ok(comparisons) => {
                for Comparison { check, findings } in comparisons {
                    self.checks.push((asset.to_owned(), check));
                    self.findings.extend(findings);
                }
            }
        }
    }
}

/// A finding has no place for a hint of its own.
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

fn unread(asset: &AssetResult, kind: FindingKind, path: &Path, error: &dyn std::fmt::Display) -> Finding {
    Finding::of(&asset.id, kind, path.display().to_string(), error.to_string())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, EngineError> {
    let failed = |source| EngineError::Directory { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))
}
