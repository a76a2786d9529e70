//! Looks before anything moves: provider, identity, targets, programs, rights. Every obstacle is listed at once.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use tokio::task::spawn_blocking;

use super::{
    elsewhere,
    error::{EngineError, Obstacle},
    exclusions,
    layout::Layout,
    preflight_source::{Limits, Unopened, look_at_source, version_obstacle},
    rds, rds_export,
    stop::Stop,
    target::{AddressError, address},
};
use crate::{
    pg::{
        Address, PgError,
        tools::{Tools, Version},
    },
    playbook::{
        Asset, AssetKind, AwsSpec, DatabaseSpec, ExportFrom, ExportSpec, Layout as ObjectLayout, Playbook,
        PostgresTarget, RdsMethodSpec, RdsSpec, S3TargetSpec, Server, SnapshotChoice, TargetSpec, Versions,
    },
    restore::{
        cluster::{Cluster, ClusterError},
        database::{TargetError, TargetServer},
        s3::S3Target,
    },
    source::{
        aws::{Aws, AwsSettings, CallerIdentity},
        rds::{Rds, RdsFacts, export::Exports},
        s3::S3Source,
    },
    transfer::error::SourceError,
};

/// Clients and addresses that were tried and found to work.
pub(crate) struct Ready {
    pub aws: Option<Aws>,
    pub caller: Option<CallerIdentity>,
    /// The S3 server that buckets are restored into.
    pub s3_target: Option<Aws>,
    pub tools: Option<Tools>,
    pub named_target: Option<Address>,
    /// Databases whose servers can't open them, by their assets: they are not run, the others are.
    pub unopened: BTreeMap<String, Obstacle>,
}

/// Whether somebody agreed to what costs money at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// A run needs it, and this account was named.
    Given(Option<String>),
    /// Nothing is going to be made.
    NotNeeded,
}

/// Tries everything that a run will need. `obstacles` are those that were found already.
pub(crate) async fn look(
    playbook: &Playbook,
    layout: &Layout,
    run: &str,
    consent: &Consent,
    mut obstacles: Vec<Obstacle>,
) -> Result<Ready, EngineError> {
    let (aws, caller) = look_at_provider(playbook, consent, &mut obstacles).await;
    let sources = find_databases(playbook, aws.as_ref(), layout, &mut obstacles).await;
    let (s3_target, s3_obstacle) = look_at_s3_target(playbook, aws.as_ref()).await;
    obstacles.extend(s3_obstacle);
    let (book, layout, run) = (playbook.clone(), layout.clone(), run.to_owned());
    let local = spawn_blocking(move || look_at_databases(&book, &sources, &layout, &run));
    let Local { tools, named_target, obstacles: more, mut unopened } =
        local.await.map_err(|error| EngineError::Internal(error.to_string()))?;
    obstacles.extend(more);
    // Where nothing else can be carried, or something is to be mended first, it is said now.
    if !obstacles.is_empty() || unopened.len() == playbook.assets().len() {
        obstacles.extend(std::mem::take(&mut unopened).into_values());
    }
    if let Some(Err(error)) = playbook.signing_key().map(super::endorse::signer) {
        obstacles.push(Obstacle { what: format!("evidence.sign: {error}"), hint: error.hint() });
    }
    for (key, path) in [("target.path", &playbook.target().path), ("evidence.path", &playbook.evidence_path().into())] {
        obstacles.extend(unwritable(key, path));
    }
    if obstacles.is_empty() {
        Ok(Ready { aws, caller, s3_target, tools, named_target, unopened })
    } else {
        Err(EngineError::NotReady(obstacles))
    }
}

/// What it takes to look at what was restored, and nothing else: the provider may be gone. Nothing is tried, and what isn't
/// there is missed where it is needed.
pub(crate) async fn at_target(playbook: &Playbook) -> Ready {
    let TargetSpec { s3, postgres, .. } = playbook.target();
    let s3_target = match s3 {
        Some(spec) => Some(target_aws(spec).await),
        None => None,
    };
    let (tools, named_target) = match postgres {
        None => (None, None),
        Some(PostgresTarget::Managed) => (Tools::server().ok(), None),
        // Without its address there are no programs for it either: no other server takes its place.
        Some(PostgresTarget::Url { url, .. }) => {
            address(url).ok().and_then(|at| Some((Tools::client().ok()?, at))).unzip()
        }
    };
    Ready { aws: None, caller: None, s3_target, tools, named_target, unopened: BTreeMap::new() }
}

/// A client configuration for the S3 server that buckets are restored into.
pub(crate) async fn target_aws(spec: &S3TargetSpec) -> Aws {
    let settings = AwsSettings {
        profile: spec.profile.as_ref().map(ToString::to_string),
        region: spec.region.as_ref().map(ToString::to_string),
        s3_endpoint: Some(spec.endpoint.to_string()),
        ..AwsSettings::default()
    };
    Aws::load(settings).await
}

/// Whether the S3 server of the target can be asked for its buckets, and is not the provider itself.
async fn look_at_s3_target(playbook: &Playbook, source: Option<&Aws>) -> (Option<Aws>, Option<Obstacle>) {
    let into_s3 =
        |asset: &Asset| matches!(&asset.kind, AssetKind::Objects(bucket) if bucket.layout == ObjectLayout::S3);
    let wanted = playbook.assets().iter().any(into_s3);
    let Some(spec) = playbook.target().s3.as_ref().filter(|_| wanted) else { return (None, None) };
    let aws = target_aws(spec).await;
    let unreached = S3Target::probe(&aws.s3()).await.err().map(|error| Obstacle {
        what: format!("target.s3: {error}"),
        hint: Some("check target.s3: its endpoint, the profile's credentials, and that the server is up".to_owned()),
    });
    let obstacle = match (unreached, source) {
        (None, Some(source)) => elsewhere::obstacle(playbook, source, &aws).await,
        (unreached, _) => unreached,
    };
    (Some(aws), obstacle)
}

/// A client configuration out of the playbook's words.
pub(crate) async fn aws(spec: &AwsSpec) -> Aws {
    let settings = AwsSettings {
        profile: spec.profile.as_ref().map(ToString::to_string),
        region: spec.regions.first().map(ToString::to_string),
        s3_endpoint: spec.endpoints.s3.as_ref().map(ToString::to_string),
        rds_endpoint: spec.endpoints.rds.as_ref().map(ToString::to_string),
        sts_endpoint: spec.endpoints.sts.as_ref().map(ToString::to_string),
        iam_endpoint: spec.endpoints.iam.as_ref().map(ToString::to_string),
        cloudwatch_endpoint: spec.endpoints.cloudwatch.as_ref().map(ToString::to_string),
        s3control_endpoint: spec.endpoints.s3control.as_ref().map(ToString::to_string),
    };
    Aws::load(settings).await
}

async fn look_at_provider(
    playbook: &Playbook,
    consent: &Consent,
    obstacles: &mut Vec<Obstacle>,
) -> (Option<Aws>, Option<CallerIdentity>) {
    let Some(spec) = playbook.provider() else { return (None, None) };
    let aws = aws(spec).await;
    let made = rds_assets(playbook).find(|(_, rds)| rds.makes_resources());
    let caller = look_at_caller(spec, made.is_some(), &aws, obstacles).await;
    if let (Some((asset, rds)), Consent::Given(account)) = (made, consent) {
        obstacles.extend(unconfirmed(asset, rds, account.as_deref(), caller.as_ref()));
    }
    for asset in playbook.assets() {
        if let AssetKind::Objects(bucket) = &asset.kind
            && let Err(error) = reached_bucket(&aws, bucket).await
        {
            obstacles.push(bucket_obstacle(asset, &error));
        }
    }
    (Some(aws), caller)
}

fn rds_assets(playbook: &Playbook) -> impl Iterator<Item = (&Asset, &RdsSpec)> {
    let databases = playbook.assets().iter().filter_map(database);
    databases.filter_map(|(asset, spec)| spec.server.rds().map(|rds| (asset, rds)))
}

/// What costs money is made only in the account that a person named on the command line.
fn unconfirmed(
    asset: &Asset,
    rds: &RdsSpec,
    confirmed: Option<&str>,
    caller: Option<&CallerIdentity>,
) -> Option<Obstacle> {
    let caller = caller?;
    let what = match confirmed {
        Some(account) if account == caller.account => return None,
        Some(account) => format!("--confirm names account {account}, the caller belongs to {}", caller.account),
        None => {
            let (method, makes) = (rds.method_word(), rds.makes_what());
            format!("asset {}: `method: {method}` makes {makes}, which costs money", asset.id)
        }
    };
    Some(Obstacle { what, hint: Some(format!("say --confirm {} if that is meant", caller.account)) })
}

/// Where each database is, which for those on RDS the provider is asked. The address of a database whose server is not
/// there yet is not known; its version is.
async fn find_databases(
    playbook: &Playbook,
    aws: Option<&Aws>,
    layout: &Layout,
    obstacles: &mut Vec<Obstacle>,
) -> Vec<Found> {
    let mut found = Vec::new();
    for (asset, spec) in playbook.assets().iter().filter_map(database) {
        let result = match (&spec.server, aws) {
            (Server::Url { url }, _) => match address(url) {
                Ok(address) => Ok(Found { address: Some(address), version: None }),
                Err(error) => Err(address_obstacle(&format!("asset {}", asset.id), &error)),
            },
            (Server::Rds(rds), Some(aws)) => find_on_rds(asset, rds, aws, layout).await,
            (Server::Rds(_), None) => Ok(Found::default()),
        };
        found.push(result.unwrap_or_else(|obstacle| {
            obstacles.push(obstacle);
            Found::default()
        }));
    }
    found
}

/// Where a source is, and its version if only the provider can tell.
#[derive(Clone, Default)]
struct Found {
    address: Option<Address>,
    version: Option<Version>,
}

async fn find_on_rds(asset: &Asset, spec: &RdsSpec, aws: &Aws, layout: &Layout) -> Result<Found, Obstacle> {
    let client = Rds::new(aws);
    let facts = client.describe(&rds::place(spec)).await.map_err(|error| rds_obstacle(asset, &error))?;
    let stopped = |stop: Stop| stop_obstacle(asset, stop);
    if let RdsMethodSpec::Export(export) = &spec.method {
        // RDS may have forgotten what an earlier part of the run carried; nobody needs it any more.
        if !layout.outcome(&rds_export::files_of(asset.id.as_str())).exists() {
            look_at_export(asset, export, &client, &facts, aws).await?;
        }
        return Ok(Found::default());
    }
    let login = rds::login(spec).map_err(stopped)?;
    if login.password.is_none() && !facts.iam {
        let what = format!("asset {}: {} does not let IAM log in", asset.id, facts.id);
        let hint = "turn IAM database authentication on for it, or write a `password`";
        return Err(Obstacle { what, hint: Some(hint.to_owned()) });
    }
    match &spec.method {
        RdsMethodSpec::Live { replica } => {
            let replica = replica.as_ref().map(ToString::to_string);
            let endpoint = rds::live_endpoint(&client, &facts, replica.as_deref()).await.map_err(stopped)?;
            let address = client.address(&endpoint, &login).map_err(|error| pg_obstacle(asset.id.as_str(), &error))?;
            Ok(Found { address: Some(address), version: None })
        }
        RdsMethodSpec::Snapshot(snapshot) => {
            if snapshot.take == SnapshotChoice::Newest {
                rds::newest(&facts).map_err(stopped)?;
            }
            Ok(Found { address: None, version: Version::parse(&facts.engine_version) })
        }
        RdsMethodSpec::Export(_) => Ok(Found::default()),
    }
}

/// Whether the export, or the snapshot to be exported, is there, and whether its bucket can be read.
async fn look_at_export(
    asset: &Asset,
    export: &ExportSpec,
    client: &Rds,
    facts: &RdsFacts,
    aws: &Aws,
) -> Result<(), Obstacle> {
    let (bucket, folder) = match &export.from {
        ExportFrom::Task(id) => match Exports::new(client).find(id.as_str()).await {
            Ok(Some(task)) => (task.bucket.clone(), task.folder()),
            Ok(None) => {
                let what = format!("asset {}: RDS knows no export {id}", asset.id);
                return Err(Obstacle { what, hint: Some("check `task` and provider.aws.regions".to_owned()) });
            }
            Err(error) => return Err(rds_obstacle(asset, &error)),
        },
        ExportFrom::Files { bucket, folder } => (bucket.to_string(), folder.clone()),
        ExportFrom::New(new) => {
            rds_export::affordable_gib(facts, new).map_err(|stop| stop_obstacle(asset, stop))?;
            (new.bucket.to_string(), new.prefix.clone())
        }
    };
    let probed = S3Source::new(aws, &bucket, Some(&folder)).probe().await;
    probed.map_err(|error| bucket_obstacle(asset, &error))
}

fn stop_obstacle(asset: &Asset, stop: Stop) -> Obstacle {
    match stop {
        Stop::Asset { reason, hint } => Obstacle { what: format!("asset {}: {reason}", asset.id), hint },
        _ => Obstacle { what: format!("asset {}: was interrupted", asset.id), hint: None },
    }
}

/// What to do where nothing was asked because there are no credentials.
const NO_CREDENTIALS: &str = "name a profile in provider.aws.profile, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                              or log in (aws sso login)";

pub(super) fn rds_obstacle(asset: &Asset, error: &SourceError) -> Obstacle {
    let hint = match error {
        SourceError::NotFound { .. } => "check the identifier and provider.aws.regions",
        SourceError::NoCredentials { .. } => NO_CREDENTIALS,
        SourceError::Denied { .. } => {
            "check the credentials; walkaway needs rds:DescribeDBInstances, DescribeDBClusters and DescribeDBSnapshots"
        }
        SourceError::Transient { .. } | SourceError::Unreached { .. } => {
            "check endpoints.rds and that RDS can be reached from here"
        }
        _ => "check credentials (profile, environment), region and endpoint",
    };
    Obstacle { what: format!("asset {}: {error}", asset.id), hint: Some(hint.to_owned()) }
}

/// Asks who the caller is where the playbook names an account, where something is made, or where AWS itself is asked.
/// Other servers rarely know.
async fn look_at_caller(
    spec: &AwsSpec,
    is_needed: bool,
    aws: &Aws,
    obstacles: &mut Vec<Obstacle>,
) -> Option<CallerIdentity> {
    let is_aws = spec.endpoints.s3.is_none() && spec.endpoints.rds.is_none();
    if !is_needed && spec.account.is_none() && spec.endpoints.sts.is_none() && !is_aws {
        return None;
    }
    let obstacle = |what: String, hint: &str| Obstacle { what, hint: Some(hint.to_owned()) };
    match (aws.caller().await, &spec.account) {
        (Ok(caller), Some(account)) if caller.account != account.as_str() => {
            let what = format!("the caller belongs to account {}, the playbook is for {account}", caller.account);
            obstacles.push(obstacle(what, "use the credentials of the right account, or mend provider.aws.account"));
            None
        }
        (Ok(caller), _) => Some(caller),
        (Err(error @ SourceError::NoCredentials { .. }), _) => {
            obstacles.push(obstacle(error.to_string(), NO_CREDENTIALS));
            None
        }
        (Err(error), _) => {
            obstacles.push(obstacle(error.to_string(), "check credentials (profile, environment) and endpoints.sts"));
            None
        }
    }
}

pub(super) fn bucket_obstacle(asset: &Asset, error: &SourceError) -> Obstacle {
    let hint = match error {
        SourceError::NotFound { .. } => "check the bucket's name and region",
        SourceError::NoCredentials { .. } => NO_CREDENTIALS,
        SourceError::Credentials { .. } => "check the credentials (profile, environment) and this machine's clock",
        SourceError::ClockSkew { .. } => "set this machine's clock (NTP)",
        SourceError::Elsewhere { .. } => {
            "name that region first in provider.aws.regions, or its address in endpoints.s3"
        }
        SourceError::Denied { .. } => "check the credentials; walkaway needs s3:ListBucket and s3:GetObject",
        SourceError::Transient { .. } | SourceError::Unreached { .. } | SourceError::Throttled { .. } => {
            "check endpoints.s3 and that the server is up and reachable from here"
        }
        _ => "check credentials (profile, environment), region and endpoint",
    };
    Obstacle { what: format!("asset {}: {error}", asset.id), hint: Some(hint.to_owned()) }
}

/// Databases that every server has (PostgreSQL documentation, "Template Databases").
const SYSTEM_DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

/// What was seen of databases.
#[derive(Default)]
struct Local {
    tools: Option<Tools>,
    named_target: Option<Address>,
    obstacles: Vec<Obstacle>,
    unopened: BTreeMap<String, Obstacle>,
}

/// Everything about databases: programs, target, sources, rights, versions.
fn look_at_databases(playbook: &Playbook, sources: &[Found], layout: &Layout, run: &str) -> Local {
    let mut obstacles = Vec::new();
    let mut unopened = BTreeMap::new();
    let databases: Vec<_> = playbook.assets().iter().filter_map(database).collect();
    let Some(target) = playbook.target().postgres.as_ref().filter(|_| !databases.is_empty()) else {
        return Local::default();
    };
    let tools = match target {
        PostgresTarget::Managed => Tools::server(),
        PostgresTarget::Url { .. } => Tools::client(),
    };
    let tools = tools.map_err(|error| obstacles.push(pg_obstacle("target.postgres", &error))).ok();
    let (named, target_major) = look_at_target(target, tools.as_ref(), layout, &mut obstacles);
    let brings_code = databases.iter().any(|(_, spec)| !is_export(spec));
    obstacles.extend(named.as_ref().filter(|_| brings_code).and_then(|named| too_mighty(target, named)));
    for ((asset, spec), found) in databases.iter().zip(sources) {
        if SYSTEM_DATABASES.contains(&asset.id.as_str()) {
            let what = format!("asset {}: its database would be named like one of the server's own", asset.id);
            obstacles.push(Obstacle { what, hint: Some("choose another id for the asset".to_owned()) });
        }
        let limits = Limits { tools: tools.as_ref().map(Tools::version), target: target_major };
        let subject = format!("asset {}", asset.id);
        match &found.address {
            Some(address) => {
                let excluded = exclusions::names(spec);
                match look_at_source(&subject, address, &excluded, limits) {
                    Ok(more) => obstacles.extend(more),
                    Err(Unopened(obstacle)) => drop(unopened.insert(asset.id.to_string(), obstacle)),
                }
            }
            None => obstacles.extend(found.version.and_then(|version| version_obstacle(&subject, version, limits))),
        }
        if let Some(named) = &named {
            let by_provider = spec.server.rds().is_some();
            obstacles.extend(elsewhere::database_obstacle(&subject, found.address.as_ref(), by_provider, named));
            obstacles.extend(look_for_room(named, asset.id.as_str(), run));
        }
    }
    Local { tools, named_target: named, obstacles, unopened }
}

/// An export brings rows and no code.
fn is_export(spec: &DatabaseSpec) -> bool {
    spec.server.rds().is_some_and(|rds| matches!(rds.method, RdsMethodSpec::Export(_)))
}

/// What the source's code may do at a server of the user's.
pub(super) const SOURCE_RUNS: &str = "definitions and functions of the source run with its rights";
/// What helps.
pub(super) const LESSER_LOGIN: &str = "name a login with CREATEDB and no more (CREATE ROLE drill LOGIN CREATEDB PASSWORD \
                                       '…'; with forced row level security also BYPASSRLS)";

/// A login with which restored code could leave the database: the server, or the machine, would be the source's.
fn too_mighty(target: &PostgresTarget, named: &Address) -> Option<Obstacle> {
    let is_trusted = matches!(target, PostgresTarget::Url { trust_source: true, .. });
    let ways_out = TargetServer::named(named.clone()).probe().map(|facts| facts.ways_out).unwrap_or_default();
    (!is_trusted && !ways_out.is_empty()).then(|| Obstacle {
        what: format!("target.postgres: the login on {named} {}, and {SOURCE_RUNS}", ways_out.join(", ")),
        hint: Some(format!(
            "{LESSER_LOGIN}; or restore into `managed: true`; or write `trust_source: true` beside `url`, if whoever \
             changes the source may do so at this server, too"
        )),
    })
}

fn database(asset: &Asset) -> Option<(&Asset, &DatabaseSpec)> {
    match &asset.kind {
        AssetKind::Database(spec) => Some((asset, spec)),
        AssetKind::Objects(_) => None,
    }
}

/// The named server's address and the major version of the target, as far as they can be told.
fn look_at_target(
    target: &PostgresTarget,
    tools: Option<&Tools>,
    layout: &Layout,
    obstacles: &mut Vec<Obstacle>,
) -> (Option<Address>, Option<u32>) {
    match target {
        PostgresTarget::Managed => {
            obstacles.extend(Cluster::possible(&layout.cluster()).err().map(|error| cluster_obstacle(&error)));
            (None, tools.map(Tools::major))
        }
        PostgresTarget::Url { url, .. } => match address(url) {
            Err(error) => {
                obstacles.push(address_obstacle("target.postgres", &error));
                (None, None)
            }
            Ok(address) => match TargetServer::named(address.clone()).probe() {
                Err(error) => {
                    obstacles.push(pg_obstacle("target.postgres", &error));
                    (None, None)
                }
                Ok(facts) => {
                    if !facts.can_create {
                        let what = format!("target.postgres: the login on {address} may not create databases");
                        let hint = format!("ALTER ROLE \"{}\" CREATEDB", address.user_name());
                        obstacles.push(Obstacle { what, hint: Some(hint) });
                    }
                    (Some(address), Some(facts.major))
                }
            },
        },
    }
}

/// The database must not be there yet, or be this run's own from before an interruption.
fn look_for_room(named: &Address, database: &str, run: &str) -> Option<Obstacle> {
    match TargetServer::named(named.clone()).check_free(database, run) {
        Ok(()) => None,
        Err(error @ TargetError::Occupied { .. }) => {
            let hint = "rename or drop that database; walkaway restores only into databases that it makes itself";
            Some(Obstacle { what: format!("target.postgres: {error}"), hint: Some(hint.to_owned()) })
        }
        Err(TargetError::Pg(error)) => Some(pg_obstacle("target.postgres", &error)),
    }
}

/// Tries to make a file in a directory, which is made if it isn't there.
fn unwritable(key: &str, path: &Path) -> Option<Obstacle> {
    let tried = fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path).map(drop));
    let hint = "choose a directory that this user may write to, on a file system with room";
    tried.err().map(|error| Obstacle {
        what: format!("{key}: {} cannot be written to: {error}", path.display()),
        hint: Some(hint.to_owned()),
    })
}

pub(super) fn pg_obstacle(subject: &str, error: &PgError) -> Obstacle {
    Obstacle { what: format!("{subject}: {error}"), hint: error.hint() }
}

fn address_obstacle(subject: &str, error: &AddressError) -> Obstacle {
    Obstacle { what: format!("{subject}: {error}"), hint: error.hint() }
}

fn cluster_obstacle(error: &ClusterError) -> Obstacle {
    Obstacle { what: format!("target.postgres: {error}"), hint: error.hint() }
}

/// Sources for the assets of a playbook that is ready.
/// The source of a bucket that answers. Where the provider says that the bucket lies in another region, it is asked there,
/// and so are all sources of this bucket that are made later.
pub(super) async fn reached_bucket(
    aws: &Aws,
    bucket: &crate::playbook::BucketSpec,
) -> Result<Arc<S3Source>, SourceError> {
    let source = bucket_source(aws, bucket);
    match source.probe().await {
        Err(SourceError::Elsewhere { region, .. }) if aws.learn_region(bucket.bucket.as_str(), &region) => {
            let source = bucket_source(aws, bucket);
            source.probe().await.map(|()| source)
        }
        probed => probed.map(|()| source),
    }
}

pub(crate) fn bucket_source(aws: &Aws, bucket: &crate::playbook::BucketSpec) -> Arc<S3Source> {
    let source = S3Source::new(aws, bucket.bucket.as_str(), bucket.prefix.as_deref());
    Arc::new(source.with_versions(bucket.versions == Versions::All).with_acls(bucket.acls))
}
