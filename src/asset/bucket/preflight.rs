//! Obstacles to copying a bucket, checked before the transfer; and the source of one that answers.

use std::sync::Arc;

use crate::{
    asset::{clients, endpoints::Preflight, seam::obstacle, target_identity},
    playbook::{BucketSpec, S3TargetSpec, Versions},
    provider::{aws::Aws, s3::S3Source},
    record::error::Obstacle,
    restore::s3::S3Target,
    transfer::error::SourceError,
};

/// `s3://bucket/prefix`.
pub(crate) fn bucket_name(bucket: &BucketSpec) -> String {
    format!("s3://{}/{}", bucket.bucket, bucket.prefix.as_deref().unwrap_or_default())
}

/// Obstacles to reading this bucket, or to storing it at the target.
pub(super) async fn look(asset: &str, bucket: &BucketSpec, at: &Preflight<'_>) -> Vec<Obstacle> {
    let Some(aws) = &at.ready.aws else { return Vec::new() };
    let unreached = reached_bucket(aws, bucket).await.err().map(|error| bucket_obstacle(asset, &error));
    let same = match (&unreached, &at.ready.s3_target) {
        (None, Some(target)) => target_identity::bucket_obstacle(bucket, aws, target).await,
        _ => None,
    };
    unreached.into_iter().chain(same).collect()
}

/// Whether the S3 server of the target can list its buckets, and is not the provider itself.
pub(crate) async fn look_at_target(spec: &S3TargetSpec, source: Option<&Aws>) -> Result<Aws, Obstacle> {
    let aws = clients::target_aws(spec).await;
    S3Target::probe(&aws.s3()).await.map_err(|error| Obstacle {
        what: format!("target.s3: {error}"),
        hint: Some("check target.s3: its endpoint, the profile's credentials, and that the server is up".to_owned()),
    })?;
    match source {
        Some(source) => target_identity::s3_obstacle(source, &aws).await.map_or(Ok(aws), Err),
        None => Ok(aws),
    }
}

pub(crate) fn bucket_obstacle(asset: &str, error: &SourceError) -> Obstacle {
    let hint = match error {
        SourceError::NotFound { .. } => "check the bucket's name and region",
        SourceError::NoCredentials { .. } => clients::NO_CREDENTIALS,
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
    obstacle(asset, error, Some(hint.to_owned()))
}

/// The source of a bucket that answers. Where the provider says that the bucket is in another region, it is read there,
/// and so are all later sources of this bucket.
pub(super) async fn reached_bucket(aws: &Aws, bucket: &BucketSpec) -> Result<Arc<S3Source>, SourceError> {
    let source = bucket_source(aws, bucket);
    match source.probe().await {
        Err(SourceError::Elsewhere { region, .. }) if aws.learn_region(bucket.bucket.as_str(), &region) => {
            let source = bucket_source(aws, bucket);
            source.probe().await.map(|()| source)
        }
        probed => probed.map(|()| source),
    }
}

pub(super) fn bucket_source(aws: &Aws, bucket: &BucketSpec) -> Arc<S3Source> {
    let source = S3Source::new(aws, bucket.bucket.as_str(), bucket.prefix.as_deref());
    Arc::new(source.with_versions(bucket.versions == Versions::All).with_acls(bucket.acls))
}
