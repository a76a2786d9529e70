//! `verify --restored`: compares the restored data that is still on the disk and in the target with a bundle: objects,
//! rows, exports, and for databases what is beside the rows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::{
    asset::{
        kinds,
        recheck::{Recheck, Rechecking},
    },
    domain::event::Monitor,
    evidence::result::RunResult,
    interrupt::Interrupt,
    provider::aws::{Aws, AwsSettings},
    record::error::EngineError,
    restore::s3::{S3Copy, Server},
    transfer::{object::RestoredBucket, retry::STALL},
};

/// The only part of the resolved playbook that is needed here.
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

/// Reads back everything that was restored according to a bundle.
///
/// # Errors
/// When the bundle can't be read. A target that is gone is a finding.
pub async fn recheck(bundle: &Path, monitor: Arc<dyn Monitor>, interrupt: Interrupt) -> Result<Recheck, EngineError> {
    let bundle = bundle.to_owned();
    let work = spawn_blocking(move || run(bundle, monitor, interrupt));
    work.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

fn run(bundle: PathBuf, monitor: Arc<dyn Monitor>, interrupt: Interrupt) -> Result<Recheck, EngineError> {
    let result: RunResult = read_json(&bundle.join("data").join("result.json"))?;
    let Resolved { target } = read_json(&bundle.join("data").join("playbook.resolved.json"))?;
    let rechecking = Rechecking {
        bundle,
        restored_to: PathBuf::from(&result.restored_to),
        monitor,
        interrupt,
        buckets: target.s3.map(reader_of),
        postgres: target.postgres.and_then(|postgres| postgres.url),
    };
    let mut recheck = Recheck::default();
    for kind in kinds::ALL {
        let assets: Vec<_> = result.assets.iter().filter(|asset| asset.kind == kind).collect();
        kinds::recheck(kind, &rechecking, &assets, &mut recheck)?;
    }
    Ok(recheck)
}

/// On a blocking thread of the runtime.
fn reader_of(s3: ResolvedS3) -> Box<dyn RestoredBucket> {
    let ResolvedS3 { endpoint, profile, region } = s3;
    let settings = AwsSettings { profile, region, s3_endpoint: Some(endpoint), ..AwsSettings::default() };
    let aws = Handle::current().block_on(Aws::load(settings));
    Box::new(S3Copy::new(Server::new(aws.s3(), STALL)))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, EngineError> {
    let failed = |source| EngineError::Directory { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))
}
