//! Checks before the transfer: provider, identity, targets, and what each asset needs. Every obstacle is listed at once.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::endorse;
use crate::{
    asset::{
        clients::{self, NO_CREDENTIALS},
        endpoints::{Preflight, Ready},
        kinds,
        seam::{Asset, Needs, obstacle},
    },
    playbook::{AwsSpec, Playbook},
    provider::aws::{Aws, CallerIdentity},
    record::{
        error::{EngineError, Obstacle, Unopened},
        layout::Layout,
    },
    transfer::error::SourceError,
};

/// Whether the user confirmed what costs money at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// A run needs it, and this account was named.
    Given(Option<String>),
    /// Nothing is going to be created.
    NotNeeded,
}

/// Tries everything that a run will need. `obstacles` are those found so far.
pub(crate) async fn look(
    playbook: &Playbook,
    assets: &[Arc<dyn Asset>],
    at: (&Layout, &str),
    consent: &Consent,
    mut obstacles: Vec<Obstacle>,
) -> Result<Ready, EngineError> {
    let (layout, run) = at;
    let mut ready = Ready::default();
    let mut unopened = BTreeMap::new();
    if let Some(spec) = playbook.provider() {
        look_at_provider(spec, assets, consent, &mut ready, &mut obstacles).await;
    }
    obstacles.extend(kinds::look_at_targets(playbook.target(), needs(assets), layout, &mut ready).await?);
    for asset in assets {
        match asset.preflight(&Preflight { ready: &ready, layout, run }).await {
            Ok(more) => obstacles.extend(more),
            Err(Unopened(obstacle)) => drop(unopened.insert(asset.id().to_owned(), obstacle)),
        }
    }
    // Where nothing else can be copied, or something has to be fixed first, it is reported now.
    if obstacles.is_empty() && unopened.len() < assets.len() {
        ready.unopened = unopened;
    } else {
        obstacles.extend(unopened.into_values());
    }
    if let Some(Err(error)) = playbook.signing_key().map(endorse::signer) {
        obstacles.push(Obstacle { what: format!("evidence.sign: {error}"), hint: error.hint() });
    }
    for (key, path) in [("target.path", &playbook.target().path), ("evidence.path", &playbook.evidence_path().into())] {
        obstacles.extend(unwritable(key, path));
    }
    if obstacles.is_empty() { Ok(ready) } else { Err(EngineError::NotReady(obstacles)) }
}

/// What all of them need.
fn needs(assets: &[Arc<dyn Asset>]) -> Needs {
    assets.iter().map(|asset| asset.describe().needs).fold(Needs::default(), |all, one| Needs {
        s3: all.s3 | one.s3,
        postgres: all.postgres | one.postgres,
        brings_code: all.brings_code | one.brings_code,
    })
}

async fn look_at_provider(
    spec: &AwsSpec,
    assets: &[Arc<dyn Asset>],
    consent: &Consent,
    ready: &mut Ready,
    obstacles: &mut Vec<Obstacle>,
) {
    let aws = clients::aws(spec).await;
    let made = assets.iter().find_map(|asset| Some((asset, asset.describe().makes?)));
    ready.caller = look_at_caller(spec, made.is_some(), &aws, obstacles).await;
    ready.aws = Some(aws);
    if let (Some((asset, makes)), Consent::Given(account), Some(caller)) = (made, consent, &ready.caller) {
        obstacles.extend(unconfirmed(asset.id(), &makes.words, account.as_deref(), caller));
    }
}

/// What costs money is created only in the account named on the command line.
fn unconfirmed(asset: &str, makes: &str, confirmed: Option<&str>, caller: &CallerIdentity) -> Option<Obstacle> {
    let hint = Some(format!("pass --confirm {} if that is intended", caller.account));
    match confirmed {
        Some(account) if account == caller.account => None,
        Some(account) => {
            let what = format!("--confirm names account {account}, the caller belongs to {}", caller.account);
            Some(Obstacle { what, hint })
        }
        None => Some(obstacle(asset, format!("{makes}, which costs money"), hint)),
    }
}

/// Determines the caller where the playbook names an account, where something is created, or at AWS itself.
/// Other servers rarely support it.
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
            obstacles.push(obstacle(what, "use the credentials of the right account, or correct provider.aws.account"));
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

/// Tries to make a file in a directory, which is created if missing.
fn unwritable(key: &str, path: &Path) -> Option<Obstacle> {
    let tried = fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path).map(drop));
    let hint = "choose a directory that this user may write to, on a file system with free space";
    tried.err().map(|error| Obstacle {
        what: format!("{key}: {} cannot be written to: {error}", path.display()),
        hint: Some(hint.to_owned()),
    })
}
