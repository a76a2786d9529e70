//! Looks before anything moves: provider, identity, targets, programs, rights. Every obstacle is listed at once.

use std::{fs, path::Path, sync::Arc};

use tokio::task::spawn_blocking;

use super::{
    error::{EngineError, Obstacle},
    layout::Layout,
    target::{AddressError, address},
};
use crate::{
    pg::{Address, PgError, name::RelationName, tools::Tools},
    playbook::{Asset, AssetKind, AwsSpec, DatabaseSpec, Playbook, PostgresTarget},
    restore::{
        cluster::{Cluster, ClusterError},
        database::{TargetError, TargetServer},
    },
    source::{
        aws::{Aws, AwsSettings, CallerIdentity},
        postgres::PostgresSource,
        s3::S3Source,
    },
    transfer::error::SourceError,
};

/// Clients and addresses that were tried and found to work.
pub(crate) struct Ready {
    pub aws: Option<Aws>,
    pub caller: Option<CallerIdentity>,
    pub tools: Option<Tools>,
    pub named_target: Option<Address>,
}

/// Tries everything that a run will need.
pub(crate) async fn look(playbook: &Playbook, layout: &Layout, run: &str) -> Result<Ready, EngineError> {
    let mut obstacles = Vec::new();
    let (aws, caller) = look_at_provider(playbook, &mut obstacles).await;
    let (book, layout, run) = (playbook.clone(), layout.clone(), run.to_owned());
    let local = spawn_blocking(move || look_at_databases(&book, &layout, &run));
    let (tools, named_target, more) = local.await.map_err(|error| EngineError::Internal(error.to_string()))?;
    obstacles.extend(more);
    for (key, path) in [("target.path", &playbook.target().path), ("evidence.path", &playbook.evidence_path().into())] {
        obstacles.extend(unwritable(key, path));
    }
    if obstacles.is_empty() {
        Ok(Ready { aws, caller, tools, named_target })
    } else {
        Err(EngineError::NotReady(obstacles))
    }
}

/// A client configuration out of the playbook's words.
pub(crate) async fn aws(spec: &AwsSpec) -> Aws {
    let settings = AwsSettings {
        profile: spec.profile.as_ref().map(ToString::to_string),
        region: spec.regions.first().map(ToString::to_string),
        s3_endpoint: spec.endpoints.s3.as_ref().map(ToString::to_string),
        sts_endpoint: spec.endpoints.sts.as_ref().map(ToString::to_string),
    };
    Aws::load(settings).await
}

async fn look_at_provider(playbook: &Playbook, obstacles: &mut Vec<Obstacle>) -> (Option<Aws>, Option<CallerIdentity>) {
    let Some(spec) = playbook.provider() else { return (None, None) };
    let aws = aws(spec).await;
    let caller = look_at_caller(spec, &aws, obstacles).await;
    for asset in playbook.assets() {
        if let AssetKind::Objects(bucket) = &asset.kind {
            let source = S3Source::new(&aws, bucket.bucket.as_str(), bucket.prefix.as_deref());
            if let Err(error) = source.probe().await {
                obstacles.push(bucket_obstacle(asset, &error));
            }
        }
    }
    (Some(aws), caller)
}

/// Asks who the caller is where the playbook names an account, or where AWS itself is asked. Other servers rarely know.
async fn look_at_caller(spec: &AwsSpec, aws: &Aws, obstacles: &mut Vec<Obstacle>) -> Option<CallerIdentity> {
    let is_aws = spec.endpoints.s3.is_none();
    if spec.account.is_none() && spec.endpoints.sts.is_none() && !is_aws {
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
        (Err(error), _) => {
            obstacles.push(obstacle(error.to_string(), "check credentials (profile, environment) and endpoints.sts"));
            None
        }
    }
}

fn bucket_obstacle(asset: &Asset, error: &SourceError) -> Obstacle {
    let hint = match error {
        SourceError::NotFound { .. } => "check the bucket's name and region",
        SourceError::Credentials { .. } => "check the credentials (profile, environment) and this machine's clock",
        SourceError::Denied { .. } => "check the credentials; walkaway needs s3:ListBucket and s3:GetObject",
        SourceError::Transient { .. } => "check endpoints.s3 and that the server is up and reachable from here",
        _ => "check credentials (profile, environment), region and endpoint",
    };
    Obstacle { what: format!("asset {}: {error}", asset.id), hint: Some(hint.to_owned()) }
}

/// Databases that every server has (PostgreSQL documentation, "Template Databases").
const SYSTEM_DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

type Local = (Option<Tools>, Option<Address>, Vec<Obstacle>);

/// Everything about databases: programs, target, sources, rights, versions.
fn look_at_databases(playbook: &Playbook, layout: &Layout, run: &str) -> Local {
    let mut obstacles = Vec::new();
    let databases: Vec<_> = playbook.assets().iter().filter_map(database).collect();
    let Some(target) = playbook.target().postgres.as_ref().filter(|_| !databases.is_empty()) else {
        return (None, None, obstacles);
    };
    let tools = match target {
        PostgresTarget::Managed => Tools::server(),
        PostgresTarget::Url(_) => Tools::client(),
    };
    let tools = tools.map_err(|error| obstacles.push(pg_obstacle("target.postgres", &error))).ok();
    let (named, target_major) = look_at_target(target, tools.as_ref(), layout, &mut obstacles);
    for (asset, spec) in &databases {
        if SYSTEM_DATABASES.contains(&asset.id.as_str()) {
            let what = format!("asset {}: its database would be named like one of the server's own", asset.id);
            obstacles.push(Obstacle { what, hint: Some("choose another id for the asset".to_owned()) });
        }
        let limits = Limits { tools: tools.as_ref().map(Tools::major), target: target_major };
        obstacles.extend(look_at_source(asset, spec, limits));
        if let Some(named) = &named {
            obstacles.extend(look_for_room(named, asset.id.as_str(), run));
        }
    }
    (tools, named, obstacles)
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
        PostgresTarget::Url(reference) => match address(reference) {
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

#[derive(Clone, Copy)]
struct Limits {
    tools: Option<u32>,
    target: Option<u32>,
}

fn look_at_source(asset: &Asset, spec: &DatabaseSpec, limits: Limits) -> Vec<Obstacle> {
    let subject = format!("asset {}", asset.id);
    let address = match address(&spec.url) {
        Ok(address) => address,
        Err(error) => return vec![address_obstacle(&subject, &error)],
    };
    let user = address.user_name().to_owned();
    match PostgresSource::new(address).probe() {
        Err(error) => vec![pg_obstacle(&subject, &error)],
        Ok((facts, unreadable)) => {
            let mut obstacles = Vec::new();
            obstacles.extend(rights_obstacle(&subject, &user, &unreadable));
            obstacles.extend(version_obstacle(&subject, facts.major, limits));
            obstacles
        }
    }
}

/// All missing rights in one obstacle, with the statements that grant them.
fn rights_obstacle(subject: &str, user: &str, unreadable: &[RelationName]) -> Option<Obstacle> {
    if unreadable.is_empty() {
        return None;
    }
    let names: Vec<_> = unreadable.iter().map(RelationName::to_sql).collect();
    let what = format!("{subject}: the login {user} cannot read {} whole", names.join(", "));
    let mut schemas: Vec<_> = unreadable.iter().map(|name| crate::pg::name::quoted(&name.schema)).collect();
    schemas.dedup();
    let user = crate::pg::name::quoted(user);
    let hint = format!(
        "GRANT USAGE ON SCHEMA {0} TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO {user}; GRANT SELECT ON ALL \
         SEQUENCES IN SCHEMA {0} TO {user}; with row level security also ALTER ROLE {user} BYPASSRLS",
        schemas.join(", ")
    );
    Some(Obstacle { what, hint: Some(hint) })
}

fn version_obstacle(subject: &str, source: u32, limits: Limits) -> Option<Obstacle> {
    let older = |what: &str, major: u32| Obstacle {
        what: format!("{subject}: the source is PostgreSQL {source}, {what} {major}"),
        hint: Some(format!("install PostgreSQL {source} or later on this side")),
    };
    match limits {
        Limits { target: Some(major), .. } if major < source => Some(older("the target is", major)),
        Limits { tools: Some(major), .. } if major < source => Some(older("the newest pg_dump here is", major)),
        _ => None,
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

fn pg_obstacle(subject: &str, error: &PgError) -> Obstacle {
    Obstacle { what: format!("{subject}: {error}"), hint: error.hint() }
}

fn address_obstacle(subject: &str, error: &AddressError) -> Obstacle {
    Obstacle { what: format!("{subject}: {error}"), hint: error.hint() }
}

fn cluster_obstacle(error: &ClusterError) -> Obstacle {
    Obstacle { what: format!("target.postgres: {error}"), hint: error.hint() }
}

/// Sources for the assets of a playbook that is ready.
pub(crate) fn bucket_source(aws: &Aws, bucket: &crate::playbook::BucketSpec) -> Arc<S3Source> {
    Arc::new(S3Source::new(aws, bucket.bucket.as_str(), bucket.prefix.as_deref()))
}
