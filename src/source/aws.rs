//! The AWS side of the provider: configuration by the SDK's own chain, and who the caller is.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

use crate::transfer::error::SourceError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the first byte of an answer. The SDK watches the bytes that follow by itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_ATTEMPTS_MAX: u32 = 3;
/// S3-compatible servers accept any region; the SDK wants one.
const REGION_OF_NO_MEANING: &str = "us-east-1";

/// What a playbook says about the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// A profile of the SDK's configuration files.
    pub profile: Option<String>,
    /// The region of the clients.
    pub region: Option<String>,
    /// Endpoint of an S3-compatible server or of a VPC.
    pub s3_endpoint: Option<String>,
    /// Endpoint of the relational database service.
    pub rds_endpoint: Option<String>,
    /// Endpoint of the security token service.
    pub sts_endpoint: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Twelve digits.
    pub account: String,
    /// The ARN of the user or role session.
    pub arn: String,
}

/// Loaded configuration; clients are made from it.
#[derive(Clone, Debug)]
pub struct Aws {
    shared: SdkConfig,
    settings: AwsSettings,
    connector: Arc<OnceLock<Arc<Connector>>>,
}

impl Aws {
    /// Loads credentials providers and region by the SDK's default chain. Asks no server yet.
    pub async fn load(settings: AwsSettings) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(REQUEST_ATTEMPTS_MAX))
            .timeout_config(timeouts);
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let mut shared = loader.load().await;
        if shared.region().is_none() {
            shared = shared.into_builder().region(Region::new(REGION_OF_NO_MEANING)).build();
        }
        Aws { shared, settings, connector: Arc::default() }
    }

    /// A client for S3, path-style where an endpoint is named.
    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.shared)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &self.settings.s3_endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A client for RDS.
    pub(super) fn rds(&self) -> aws_sdk_rds::Client {
        let mut config = aws_sdk_rds::config::Builder::from(&self.shared);
        if let Some(endpoint) = &self.settings.rds_endpoint {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_rds::Client::from_conf(config.build())
    }

    /// What the SDK found: credentials, region, the clock.
    pub(super) fn shared(&self) -> &SdkConfig {
        &self.shared
    }

    /// The connections of the requests that go past the SDK's clients: the SDK's own HTTP and TLS, one pool for all.
    pub(super) fn connector(&self) -> Arc<Connector> {
        let made = self.connector.get_or_init(|| {
            let timeouts =
                HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build();
            let builder = Connector::builder().connector_settings(timeouts).proxy_config(ProxyConfig::from_env());
            Arc::new(builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build())
        });
        Arc::clone(made)
    }

    /// Where the credentials come from; none when the chain found nothing to ask.
    pub(super) fn credentials(&self) -> Option<SharedCredentialsProvider> {
        self.shared.credentials_provider()
    }

    /// The endpoint in words, for messages.
    pub(super) fn s3_endpoint(&self) -> &str {
        self.settings.s3_endpoint.as_deref().unwrap_or("AWS")
    }

    /// Asks STS who the caller is (AWS STS API, `GetCallerIdentity`).
    pub async fn caller(&self) -> Result<CallerIdentity, SourceError> {
        let mut config = aws_sdk_sts::config::Builder::from(&self.shared);
        if let Some(endpoint) = &self.settings.sts_endpoint {
            config = config.endpoint_url(endpoint);
        }
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let answer = client.get_caller_identity().send().await;
        let answer = answer.map_err(|error| super::s3::error::of("the caller's identity", error))?;
        let nameless = || SourceError::Permanent {
            what: "the caller's identity".to_owned(),
            reason: "the answer names no account".to_owned(),
        };
        let account = answer.account().ok_or_else(nameless)?.to_owned();
        Ok(CallerIdentity { account, arn: answer.arn().unwrap_or_default().to_owned() })
    }
}
