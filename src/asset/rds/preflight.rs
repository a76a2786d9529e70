//! Obstacles to copying a database on RDS: the provider is queried for its address, before the transfer.

use super::{carry, export};
use crate::{
    asset::{
        bucket::preflight::bucket_obstacle,
        clients,
        database::{preflight::Found, preflight_source::pg_obstacle},
        endpoints::Preflight,
        seam::{obstacle, stop_obstacle},
        stop::Stop,
    },
    pg::tools::Version,
    playbook::{ExportFrom, ExportSpec, RdsMethodSpec, RdsSpec, SnapshotChoice},
    provider::{
        aws::Aws,
        rds::{Rds, RdsFacts, export::Exports},
        s3::S3Source,
    },
    record::error::Obstacle,
    transfer::error::SourceError,
};

/// Where the database is. For one whose server does not exist yet, only the version is known.
pub(super) async fn find(asset: &str, spec: &RdsSpec, at: &Preflight<'_>) -> Result<Found, Obstacle> {
    let nowhere = Found { by_provider: true, ..Found::default() };
    let Some(aws) = &at.ready.aws else { return Ok(nowhere) };
    let client = Rds::new(aws);
    let facts = client.describe(&carry::place(spec)).await.map_err(|error| rds_obstacle(asset, &error))?;
    let stopped = |stop: Stop| stop_obstacle(asset, stop);
    if let RdsMethodSpec::Export(export) = &spec.method {
        // RDS may no longer list what an earlier part of the run copied; it is not needed any more.
        if !at.layout.outcome(&export::files_of(asset)).exists() {
            look_at_export(asset, export, &client, &facts, aws).await?;
        }
        return Ok(nowhere);
    }
    let login = carry::login(spec).map_err(stopped)?;
    if login.password.is_none() && !facts.iam {
        let hint = "turn IAM database authentication on for it, or write a `password`";
        return Err(obstacle(asset, format!("{} does not let IAM log in", facts.id), Some(hint.to_owned())));
    }
    match &spec.method {
        RdsMethodSpec::Live { replica } => {
            let replica = replica.as_ref().map(ToString::to_string);
            let endpoint = carry::live_endpoint(&client, &facts, replica.as_deref()).await.map_err(stopped)?;
            let address = client.address(&endpoint, &login).map_err(|error| pg_obstacle(asset, &error))?;
            Ok(Found { address: Some(address), ..nowhere })
        }
        RdsMethodSpec::Snapshot(snapshot) => {
            if snapshot.take == SnapshotChoice::Newest {
                carry::newest(&facts).map_err(stopped)?;
            }
            Ok(Found { version: Version::parse(&facts.engine_version), ..nowhere })
        }
        RdsMethodSpec::Export(_) => Ok(nowhere),
    }
}

/// Whether the export, or the snapshot to be exported, is there, and whether its bucket can be read.
async fn look_at_export(
    asset: &str,
    export: &ExportSpec,
    client: &Rds,
    facts: &RdsFacts,
    aws: &Aws,
) -> Result<(), Obstacle> {
    let (bucket, folder) = match &export.from {
        ExportFrom::Task(id) => match Exports::new(client).find(id.as_str()).await {
            Ok(Some(task)) => (task.bucket.clone(), task.folder()),
            Ok(None) => {
                let hint = "check `task` and provider.aws.regions".to_owned();
                return Err(obstacle(asset, format!("RDS knows no export {id}"), Some(hint)));
            }
            Err(error) => return Err(rds_obstacle(asset, &error)),
        },
        ExportFrom::Files { bucket, folder } => (bucket.to_string(), folder.clone()),
        ExportFrom::New(new) => {
            export::affordable_gib(facts, new).map_err(|stop| stop_obstacle(asset, stop))?;
            (new.bucket.to_string(), new.prefix.clone())
        }
    };
    let probed = S3Source::new(aws, &bucket, Some(&folder)).probe().await;
    probed.map_err(|error| bucket_obstacle(asset, &error))
}

pub(super) fn rds_obstacle(asset: &str, error: &SourceError) -> Obstacle {
    let hint = match error {
        SourceError::NotFound { .. } => "check the identifier and provider.aws.regions",
        SourceError::NoCredentials { .. } => clients::NO_CREDENTIALS,
        SourceError::Denied { .. } => {
            "check the credentials; walkaway needs rds:DescribeDBInstances, DescribeDBClusters and DescribeDBSnapshots"
        }
        SourceError::Transient { .. } | SourceError::Unreached { .. } => {
            "check endpoints.rds and that RDS can be reached from here"
        }
        _ => "check credentials (profile, environment), region and endpoint",
    };
    obstacle(asset, error, Some(hint.to_owned()))
}
