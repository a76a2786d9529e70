//! The services that are called: their names, addresses and regions.

/// A service of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Buckets and objects.
    S3,
    /// Databases.
    Rds,
    /// Users and roles.
    Iam,
    /// Metrics.
    CloudWatch,
    /// The account's settings for S3.
    S3Control,
}

/// All of them.
pub(super) const SERVICES: [Service; 5] =
    [Service::S3, Service::Rds, Service::Iam, Service::CloudWatch, Service::S3Control];

impl Service {
    /// The key of the playbook's `endpoints`.
    pub fn word(self) -> &'static str {
        match self {
            Service::S3 => "s3",
            Service::Rds => "rds",
            Service::Iam => "iam",
            Service::CloudWatch => "cloudwatch",
            Service::S3Control => "s3control",
        }
    }

    /// The name that signatures use.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Service::S3 | Service::S3Control => "s3",
            Service::Rds => "rds",
            Service::Iam => "iam",
            Service::CloudWatch => "monitoring",
        }
    }

    /// The region that signatures use: a partition keeps IAM in one (AWS General Reference, "AWS Identity and Access
    /// Management endpoints").
    pub(super) fn signing_region(self, region: &str) -> &str {
        match self {
            Service::Iam if region.starts_with("cn-") => "cn-north-1",
            Service::Iam if region.starts_with("us-gov-") => "us-gov-west-1",
            Service::Iam => "us-east-1",
            _ => region,
        }
    }

    /// The SDK's variable for an address of this service (AWS SDKs Reference Guide, "Service-specific endpoints").
    pub(super) fn variable(self) -> &'static str {
        match self {
            Service::S3 => "AWS_ENDPOINT_URL_S3",
            Service::Rds => "AWS_ENDPOINT_URL_RDS",
            Service::Iam => "AWS_ENDPOINT_URL_IAM",
            Service::CloudWatch => "AWS_ENDPOINT_URL_CLOUDWATCH",
            Service::S3Control => "AWS_ENDPOINT_URL_S3_CONTROL",
        }
    }

    /// The provider's own address in a region (AWS General Reference, "Service endpoints").
    pub(super) fn address(self, region: &str) -> String {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        match self {
            Service::S3 => format!("https://s3.{region}.{suffix}"),
            Service::Rds => format!("https://rds.{region}.{suffix}"),
            Service::CloudWatch => format!("https://monitoring.{region}.{suffix}"),
            Service::S3Control => format!("https://{{account}}.s3-control.{region}.{suffix}"),
            Service::Iam if region.starts_with("cn-") => "https://iam.cn-north-1.amazonaws.com.cn".to_owned(),
            Service::Iam if region.starts_with("us-gov-") => "https://iam.us-gov.amazonaws.com".to_owned(),
            Service::Iam => "https://iam.amazonaws.com".to_owned(),
        }
    }
}
