//! Client configurations from the playbook's settings for the provider and the target's S3 server.

use crate::{
    playbook::{AwsSpec, S3TargetSpec},
    provider::aws::{Aws, AwsSettings},
};

/// The hint where nothing was queried because there are no credentials.
pub(crate) const NO_CREDENTIALS: &str = "name a profile in provider.aws.profile, set AWS_ACCESS_KEY_ID and \
                                         AWS_SECRET_ACCESS_KEY, or log in (aws sso login)";

/// A client configuration for the provider.
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
