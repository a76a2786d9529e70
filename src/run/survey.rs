//! What `walkaway plan` shows: every asset with its size and units, measured at the provider. Writes nothing, neither
//! there nor here.

use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::{
    account::{self, Before, Facts},
    preflight, room, seal,
};
use crate::{
    account::{
        coverage::{Carried, CarriedFrom, Coverage, RegionTotals, Status, Totals},
        identity::Answer,
        inventory::{Inventory, Unreadable},
        rights::policy,
    },
    asset::{
        bucket::measure::{self, ObjectsSurvey},
        database::target::address,
        rds::{carry, export},
        stop::Stop,
    },
    clock,
    digest::Sha256Digest,
    event::AssetKind as Kind,
    finding::{Finding, FindingKind},
    pg::Address,
    playbook::{
        Asset, AssetKind, DatabaseSpec, ExportFrom, ExportSpec, Playbook, RdsMethodSpec, RdsSpec, Server,
        SnapshotChoice, Versions,
    },
    record::error::{EngineError, Obstacle},
    source::{
        self,
        account::Wanted,
        aws::Aws,
        postgres::PostgresSource,
        rds::{Rds, RdsFacts},
    },
    words,
};

/// A plan with its measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// The assets in the playbook's order.
    pub assets: Vec<SurveyedAsset>,
    /// The account around them; none where the playbook names no provider.
    pub account: Option<SurveyedAccount>,
    /// What stands in the way of a run.
    pub obstacles: Vec<Obstacle>,
    /// The directory below which each run restores.
    pub restored_to: PathBuf,
    /// The directory below which each run leaves its bundle.
    pub evidence: PathBuf,
}

/// One asset as it would be carried now.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SurveyedAsset {
    /// The asset's id.
    pub id: String,
    /// Bucket or database.
    pub kind: Kind,
    /// The bucket with its prefix, or the database's address without the login.
    pub source: String,
    /// Objects, or rows as the source's planner estimates them.
    pub items: u64,
    /// Bytes of the objects, or of the tables on the source's disk.
    pub bytes: u64,
    /// Units of work.
    pub units: u64,
    /// What a reader should know.
    pub remarks: Vec<String>,
    /// Only for buckets: sizes, requests, time and cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsSurvey>,
}

/// The account as a run would judge it now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SurveyedAccount {
    /// What a run of these assets would cover.
    pub coverage: Totals,
    /// The same by region.
    pub regions: Vec<RegionTotals>,
    /// Things that a run would not test, each with the reason.
    pub not_tested: Vec<String>,
    /// What is wrong in the account, on this machine, and with the documents.
    pub findings: Vec<Finding>,
    /// Calls that were refused or failed.
    pub unreadable: Vec<String>,
    /// Rights that were missing.
    pub missing_rights: Vec<String>,
}

/// The least IAM policy for a playbook. Asks the account, for some seconds at most, by which keys the playbook's buckets and
/// databases are encrypted; what it does not say leaves the policy as wide as it has to be, with a warning.
pub async fn iam_policy(playbook: &Playbook) -> serde_json::Value {
    let mut needs = account::needs(playbook);
    let Some(spec) = playbook.provider() else { return policy(&needs) };
    let wanted = Wanted {
        regions: needs.regions.clone(),
        encryption: true,
        only_buckets: needs.restored.is_empty() && needs.iam_logins.is_empty(),
        ..Wanted::default()
    };
    let aws = preflight::aws(spec).await;
    let inventory = source::account::look(&aws, needs.account.as_deref(), wanted, clock::now().to_string()).await;
    for unseen in needs.narrow(&inventory) {
        tracing::warn!("{unseen}");
    }
    policy(&needs)
}

/// Measures every asset of a playbook, and looks at the account around them.
///
/// # Errors
/// Every asset that could not be measured, as obstacles.
pub async fn survey(playbook: Playbook, folder: &Path) -> Result<Survey, EngineError> {
    let (playbook, mut before) = account::prepare(playbook, folder).await?;
    let mut survey = survey_assets(&playbook).await?;
    if Before::wants_room(&playbook) {
        before.take_room(&playbook, room::answer(&playbook, &survey.assets));
    }
    survey.account =
        survey_account(&playbook, before.inventory, before.identity, before.selected, &survey.assets).await?;
    survey.obstacles = before.obstacles;
    Ok(survey)
}

/// Measures the assets as [`survey`] does, where the playbook wants room at the target. What stops the measuring, the
/// preflight names.
pub(crate) async fn look_for_room(playbook: &Playbook, before: &mut Before) -> Result<(), EngineError> {
    if !Before::wants_room(playbook) {
        return Ok(());
    }
    let answer = match survey_assets(playbook).await {
        Ok(survey) => room::answer(playbook, &survey.assets),
        Err(EngineError::NotReady(_)) => Answer::new(None, "not everything could be measured"),
        Err(error) => return Err(error),
    };
    before.take_room(playbook, answer);
    Ok(())
}

/// Judges as the end of a run would, as if every asset had been compared.
async fn survey_account(
    playbook: &Playbook,
    inventory: Option<Inventory>,
    identity: Option<account::IdentityCheck>,
    selected: Vec<account::Selected>,
    assets: &[SurveyedAsset],
) -> Result<Option<SurveyedAccount>, EngineError> {
    if playbook.provider().is_none() {
        return Ok(None);
    }
    let inventory = match inventory {
        Some(inventory) => inventory,
        None => account::look(playbook, false).await,
    };
    let (spec, today) = (playbook.account().clone(), clock::today());
    let local = spawn_blocking(move || {
        let machine = spec.non_cloud.is_some().then(|| account::machine_here(spec.ask_metadata_service));
        (machine, account::attested(&spec, today))
    });
    let (machine, documents) = local.await.map_err(|error| EngineError::Internal(error.to_string()))?;
    let carried = assets.iter().map(|asset| Carried {
        id: asset.id.clone(),
        from: from(playbook, asset),
        bytes: asset.bytes,
        listed_bytes: None,
        compared: true,
    });
    let carried: Vec<_> = carried.collect();
    let facts = Facts {
        inventory: Some((inventory, Sha256Digest::of(""))),
        after: None,
        identity,
        selected,
        machine,
        documents: Some(documents),
    };
    let outcome = account::Outcome {
        carried: &carried,
        exclusions: &seal::exclusions(playbook, today),
        today,
        worked_ms: 0,
        exit: None,
        host: "this machine",
    };
    let judged = account::judge(playbook, &facts, outcome)?;
    let Some((_, coverage)) = judged.coverage else { return Ok(None) };
    let thresholds = account::thresholds(playbook, Some(&coverage));
    let mut findings = seal::run_findings(&thresholds, outcome.exclusions);
    // There was no second look yet.
    let judged = judged.findings.into_iter().filter(|finding| finding.kind != FindingKind::SourceNotCompared);
    findings.extend(judged);
    findings.sort();
    findings.dedup();
    let unreadable = facts.inventory.iter().flat_map(|(inventory, _)| &inventory.unreadable);
    let mut missing_rights: Vec<_> =
        unreadable.clone().filter(|missing| missing.denied).filter_map(|missing| missing.right.clone()).collect();
    missing_rights.sort();
    missing_rights.dedup();
    Ok(Some(SurveyedAccount {
        not_tested: not_tested(&coverage),
        unreadable: unreadable.map(told).collect(),
        coverage: coverage.totals,
        regions: coverage.regions,
        findings,
        missing_rights,
    }))
}

fn from(playbook: &Playbook, surveyed: &SurveyedAsset) -> CarriedFrom {
    let asset = playbook.assets().iter().find(|asset| asset.id.as_str() == surveyed.id);
    match asset.map(|asset| &asset.kind) {
        Some(AssetKind::Database(DatabaseSpec { server: Server::Rds(rds), .. })) => {
            CarriedFrom::Instance { name: rds.place.id().to_string(), arn: None, database: rds.database.to_string() }
        }
        Some(AssetKind::Objects(bucket)) => CarriedFrom::Bucket {
            name: bucket.bucket.to_string(),
            prefix: bucket.prefix.clone().unwrap_or_default(),
            sample: bucket.sample.is_some(),
            versions: bucket.versions == Versions::All,
        },
        _ => CarriedFrom::of_source(surveyed.kind == Kind::S3, &surveyed.source),
    }
}

fn not_tested(coverage: &Coverage) -> Vec<String> {
    let open = coverage.rows.iter().filter(|row| row.status != Status::Tested);
    open.map(|row| format!("{} {} {}: {}", row.status.word(), row.kind, row.name, row.why)).collect()
}

fn told(missing: &Unreadable) -> String {
    let place = missing.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let subject = missing.subject.as_ref().map(|subject| format!(" of {subject}")).unwrap_or_default();
    format!("{}{place}{subject}: {}", missing.call, missing.reason)
}

async fn survey_assets(playbook: &Playbook) -> Result<Survey, EngineError> {
    let aws = match playbook.provider() {
        Some(spec) => Some(preflight::aws(spec).await),
        None => None,
    };
    let (mut assets, mut obstacles) = (Vec::new(), Vec::new());
    for asset in playbook.assets() {
        let measured = match (&asset.kind, &aws) {
            (AssetKind::Objects(bucket), Some(aws)) => measure::of(asset, bucket, aws, playbook).await,
            (AssetKind::Objects(_), None) => Err(obstacle(asset, "the playbook names no provider", None)),
            (AssetKind::Database(spec), aws) => survey_any_database(asset, spec, aws.as_ref()).await?,
        };
        match measured {
            Ok(measured) => assets.push(measured),
            Err(found) => obstacles.push(found),
        }
    }
    let (restored_to, evidence) = (playbook.target().path.clone(), playbook.evidence_path().to_owned());
    if obstacles.is_empty() {
        Ok(Survey { assets, account: None, obstacles, restored_to, evidence })
    } else {
        Err(EngineError::NotReady(obstacles))
    }
}

pub(crate) fn obstacle(asset: &Asset, what: impl std::fmt::Display, hint: Option<String>) -> Obstacle {
    Obstacle { what: format!("asset {}: {what}", asset.id), hint }
}

/// The outer error ends the survey.
async fn survey_any_database(
    asset: &Asset,
    spec: &DatabaseSpec,
    aws: Option<&Aws>,
) -> Result<Result<SurveyedAsset, Obstacle>, EngineError> {
    let (address, remarks) = match (&spec.server, aws) {
        (Server::Url { url }, _) => match address(url) {
            Ok(address) => (address, Vec::new()),
            Err(error) => return Ok(Err(obstacle(asset, &error, error.hint()))),
        },
        (Server::Rds(rds), Some(aws)) => match survey_rds(asset, rds, aws).await {
            Ok(OnRds::Running(address, remarks)) => (*address, remarks),
            Ok(OnRds::Snapshot(surveyed)) => return Ok(Ok(surveyed)),
            Err(obstacle) => return Ok(Err(obstacle)),
        },
        (Server::Rds(_), None) => return Ok(Err(obstacle(asset, "the playbook names no provider", None))),
    };
    let (asset, spec) = (asset.clone(), spec.clone());
    let measured = spawn_blocking(move || survey_database(&asset, &spec, address)).await;
    let measured = measured.map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(measured.map(|measured| SurveyedAsset { remarks: [remarks, measured.remarks].concat(), ..measured }))
}

/// What can be told of a database on RDS without making anything.
enum OnRds {
    /// It runs, and can be asked.
    Running(Box<Address>, Vec<String>),
    /// It would be restored from a snapshot first.
    Snapshot(SurveyedAsset),
}

async fn survey_rds(asset: &Asset, spec: &RdsSpec, aws: &Aws) -> Result<OnRds, Obstacle> {
    let client = Rds::new(aws);
    let stopped = |stop: Stop| match stop {
        Stop::Asset { reason, hint } => obstacle(asset, reason, hint),
        _ => obstacle(asset, "was interrupted", None),
    };
    let facts = client.describe(&carry::place(spec)).await.map_err(|error| preflight::rds_obstacle(asset, &error))?;
    let mut remarks = vec![format!("{} {} on RDS, {}", facts.engine, facts.engine_version, facts.class)];
    match &spec.method {
        RdsMethodSpec::Live { replica } => {
            let replica = replica.as_ref().map(ToString::to_string);
            let endpoint = carry::live_endpoint(&client, &facts, replica.as_deref()).await.map_err(stopped)?;
            let login = carry::login(spec).map_err(stopped)?;
            let address = client.address(&endpoint, &login).map_err(|error| obstacle(asset, &error, error.hint()))?;
            Ok(OnRds::Running(Box::new(address), remarks))
        }
        RdsMethodSpec::Export(export) => {
            remarks.extend(export_remarks(export, &facts).map_err(stopped)?);
            Ok(OnRds::Snapshot(unmeasured(asset, spec, &facts, remarks)))
        }
        RdsMethodSpec::Snapshot(snapshot) => {
            remarks.push(match snapshot.take {
                SnapshotChoice::New => "a snapshot would be taken and removed again".to_owned(),
                SnapshotChoice::Newest => {
                    let (id, taken) = carry::newest(&facts).map_err(stopped)?;
                    format!("the snapshot {id} of {taken} would be restored")
                }
            });
            let (class, hour, ceiling) = (&snapshot.class, &snapshot.per_hour, &snapshot.cost_ceiling);
            remarks.push(format!("a temporary {class} at {hour} an hour, at most {ceiling}; a run needs --confirm"));
            Ok(OnRds::Snapshot(unmeasured(asset, spec, &facts, remarks)))
        }
    }
}

/// A database whose rows nobody can count yet.
fn unmeasured(asset: &Asset, spec: &RdsSpec, facts: &RdsFacts, remarks: Vec<String>) -> SurveyedAsset {
    SurveyedAsset {
        id: asset.id.to_string(),
        kind: Kind::Postgres,
        source: spec.to_string(),
        items: 0,
        bytes: facts.storage_gib << 30,
        units: 0,
        remarks,
        objects: None,
    }
}

fn export_remarks(export: &ExportSpec, facts: &RdsFacts) -> Result<Vec<String>, Stop> {
    let mut remarks = match &export.from {
        ExportFrom::Task(id) => vec![format!("the export {id} would be read")],
        ExportFrom::Files { bucket, folder } => vec![format!("the files below s3://{bucket}/{folder} would be read")],
        ExportFrom::New(new) => {
            let gib = export::affordable_gib(facts, new)?;
            let (bucket, per_gb, cost) = (&new.bucket, &new.per_gb, new.per_gb.times(gib));
            vec![
                format!("{gib} GiB would be exported to s3://{bucket}, at {per_gb} a gigabyte about {cost}"),
                format!("at most {}; a run needs --confirm, and the files stay in the bucket", new.cost_ceiling),
            ]
        }
    };
    remarks.push("an export is data only, and its verdict is never PASS".to_owned());
    Ok(remarks)
}

fn survey_database(asset: &Asset, spec: &DatabaseSpec, address: Address) -> Result<SurveyedAsset, Obstacle> {
    let source = PostgresSource::new(address);
    let failed = |error: crate::pg::PgError| obstacle(asset, &error, error.hint());
    let (facts, unreadable) = source.probe().map_err(failed)?;
    let excluded = |name: &str| {
        spec.exclude_tables.iter().any(|table| format!("{}.{}", table.name.schema(), table.name.table()) == name)
    };
    let mut tables = source.tables().map_err(failed)?;
    tables.retain(|table| !excluded(&table.name.to_string()));
    let mut remarks = vec![format!("PostgreSQL {}; rows are the planner's estimate", facts.version)];
    remarks.extend(unreadable.iter().map(|name| format!("cannot be read whole: {name}")));
    remarks.extend(facts.not_carried.iter().map(|what| format!("not carried: {what}")));
    if facts.large_objects > 0 {
        remarks.push(words::count(facts.large_objects, "large object", "large objects"));
    }
    if facts.unreadable_large_objects.count > 0 {
        let unreadable = words::count(facts.unreadable_large_objects.count, "large object", "large objects");
        remarks.push(format!("cannot be read by this login: {unreadable}; grant SELECT on them"));
    }
    Ok(SurveyedAsset {
        id: asset.id.to_string(),
        kind: Kind::Postgres,
        source: source.address().to_string(),
        items: tables.iter().filter_map(|table| table.rows_estimate).sum(),
        bytes: tables.iter().map(|table| table.bytes_on_disk).sum(),
        units: tables.len() as u64,
        remarks,
        objects: None,
    })
}
