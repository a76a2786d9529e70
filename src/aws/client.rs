//! Configuration by the SDK's own chain, the clients that are built from it, and the caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider},
};
use aws_sdk_s3::{config::ResponseChecksumValidation, presigning::PresigningConfig};
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};

pub use super::service::Service;
use super::{
    credentials::CredentialCache,
    error,
    response::WholeResponses,
    service::SERVICES,
    throttle::{Throttle, Throttled},
};
use crate::transfer::error::SourceError;

/// Attempts of an interactive call about the account. A busy service is waited for below: see `throttle`.
const PATIENT_ATTEMPTS_MAX: u32 = 4;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the first byte of a response. The SDK monitors the bytes that follow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_ATTEMPTS_MAX: u32 = 3;
/// S3-compatible servers accept any region; the SDK requires one.
const REGION_OF_NO_MEANING: &str = "us-east-1";
/// The SDK's variable that disables endpoints from the environment and the profile.
const IGNORE_ENDPOINTS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

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
    /// Endpoint of IAM.
    pub iam_endpoint: Option<String>,
    /// Endpoint of CloudWatch.
    pub cloudwatch_endpoint: Option<String>,
    /// Endpoint of S3 Control, which knows the account's own block of public access.
    pub s3control_endpoint: Option<String>,
}

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Twelve digits.
    pub account: String,
    /// The ARN of the user or role session.
    pub arn: String,
}

/// What is known of credentials without a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    /// They have a session token, so they expire.
    pub temporary: bool,
    /// When they expire, if that is known.
    pub expires: Option<String>,
}

fn throttles() -> Arc<[Arc<Throttle>; 5]> {
    Arc::new(SERVICES.map(|service| Arc::new(Throttle::of(service.word()))))
}

fn retries(patient: bool) -> RetryConfig {
    let attempts = if patient { PATIENT_ATTEMPTS_MAX } else { 2 };
    RetryConfig::standard().with_max_attempts(attempts)
}

/// Loaded configuration; clients are made from it.
#[derive(Clone, Debug)]
pub struct Aws {
    shared: SdkConfig,
    settings: AwsSettings,
    /// The S3 endpoint from environment or profile.
    s3_configured: Option<String>,
    connector: Arc<OnceLock<Arc<Connector>>>,
    /// The rate at which each service may be queried about the account; shared by all callers.
    throttles: Arc<[Arc<Throttle>; 5]>,
    /// Regions of buckets outside of the client's own.
    regions: Arc<Mutex<HashMap<String, String>>>,
}

impl Aws {
    /// Loads credentials providers and region by the SDK's default chain. Sends no request yet.
    pub async fn load(settings: AwsSettings) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(REQUEST_ATTEMPTS_MAX))
            .timeout_config(timeouts);
        if let Some(profile) = &settings.profile {
            // A profile that is named comes before credentials of the environment, as with the AWS CLI's `--profile`.
            let region = settings.region.clone().map(Region::new);
            let config = match region {
                Some(region) => ProviderConfig::without_region().with_region(Some(region)),
                None => ProviderConfig::with_default_region().await,
            };
            let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(provider);
        }
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let mut shared = loader.load().await;
        if shared.region().is_none() {
            shared = shared.into_builder().region(Region::new(REGION_OF_NO_MEANING)).build();
        }
        let s3_configured = s3_configured(&shared).await;
        Aws::new(shared, settings, s3_configured)
    }

    fn new(shared: SdkConfig, settings: AwsSettings, s3_configured: Option<String>) -> Self {
        Aws {
            shared,
            settings,
            s3_configured,
            connector: Arc::default(),
            throttles: throttles(),
            regions: Arc::default(),
        }
    }

    /// For tests: no account.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        Aws::new(SdkConfig::builder().build(), AwsSettings::default(), None)
    }

    /// Clients of one server for everything, with credentials that it ignores.
    #[cfg(test)]
    pub(crate) fn for_test(endpoint: &str) -> Self {
        let credentials = Credentials::new("a", "b", None, None, "tests");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(Region::new("eu-central-1"))
            .endpoint_url(endpoint)
            .build();
        Aws::new(shared, AwsSettings::default(), None)
    }

    /// A client for one bucket, in its known region.
    pub(crate) fn s3_of(&self, bucket: &str) -> aws_sdk_s3::Client {
        let region = self.regions().get(bucket).cloned();
        self.s3_in(region.as_deref(), None)
    }

    /// Records the bucket's region as reported by the provider; false if that was known.
    pub(crate) fn learn_region(&self, bucket: &str, region: &str) -> bool {
        self.regions().insert(bucket.to_owned(), region.to_owned()).as_deref() != Some(region)
    }

    fn regions(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client for S3, path-style wherever an endpoint is named, as the AWS CLI asks.
    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        self.s3_in(None, None)
    }

    /// With `of_account` for queries about the account, with or without long waits; otherwise for one bucket.
    fn s3_in(&self, region: Option<&str>, of_account: Option<bool>) -> aws_sdk_s3::Client {
        let of_pages = of_account.is_some();
        let mut config = aws_sdk_s3::config::Builder::from(&self.shared)
            .interceptor(WholeResponses { of_pages })
            .retry_classifier(WholeResponses { of_pages })
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(self.own_endpoint(Service::S3).is_some());
        if let Some(endpoint) = &self.settings.s3_endpoint {
            config = config.endpoint_url(endpoint);
        }
        if let Some(region) = region {
            config = config.region(Region::new(region.to_owned()));
        }
        if let Some(patient) = of_account {
            config = config.retry_config(retries(patient)).http_client(self.throttled(Service::S3, patient));
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A client for RDS without retries: the caller decides on retries, and knows then that a response was lost.
    pub(crate) fn rds(&self) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::from_conf(self.rds_config().retry_config(RetryConfig::disabled()).build())
    }

    fn rds_config(&self) -> aws_sdk_rds::config::Builder {
        let config = aws_sdk_rds::config::Builder::from(&self.shared);
        match &self.settings.rds_endpoint {
            Some(endpoint) => config.endpoint_url(endpoint),
            None => config,
        }
    }

    /// A client for the buckets of a region; of the client's own where none is named.
    pub(crate) fn s3_for_account(&self, region: Option<&str>, patient: bool) -> aws_sdk_s3::Client {
        let region = region.filter(|_| self.own_endpoint(Service::S3).is_none());
        self.s3_in(region, Some(patient))
    }

    /// A client for the databases of a region.
    pub(crate) fn rds_in(&self, region: &str, patient: bool) -> aws_sdk_rds::Client {
        let config =
            self.rds_config().retry_config(retries(patient)).http_client(self.throttled(Service::Rds, patient));
        aws_sdk_rds::Client::from_conf(config.region(Region::new(region.to_owned())).build())
    }

    /// What the SDK found: credentials, region, the clock.
    pub(crate) fn shared(&self) -> &SdkConfig {
        &self.shared
    }

    /// The connections of requests outside of the SDK's clients: the SDK's own HTTP and TLS, one pool for all.
    pub(crate) fn connector(&self) -> Arc<Connector> {
        let made = self.connector.get_or_init(|| {
            let timeouts =
                HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build();
            let builder = Connector::builder().connector_settings(timeouts).proxy_config(ProxyConfig::from_env());
            Arc::new(builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build())
        });
        Arc::clone(made)
    }

    /// The rate limit of a service.
    pub(super) fn throttle(&self, service: Service) -> Arc<Throttle> {
        let at = SERVICES.iter().position(|known| *known == service).unwrap_or_default();
        Arc::clone(&self.throttles[at])
    }

    /// The connections of a client for queries about the account.
    fn throttled(&self, service: Service, patient: bool) -> SharedHttpClient {
        let credentials = Arc::new(CredentialCache::new(self.credentials()));
        let connector = self.connector();
        let throttle = self.throttle(service);
        let throttled = Throttled { connector, credentials, throttle, patient };
        let throttled = SharedHttpConnector::new(throttled);
        http_client_fn(move |_, _| throttled.clone())
    }

    /// The credentials provider; none when the chain found none.
    pub(crate) fn credentials(&self) -> Option<SharedCredentialsProvider> {
        self.shared.credentials_provider()
    }

    /// The client's own region.
    pub fn region(&self) -> String {
        self.shared.region().map_or(REGION_OF_NO_MEANING, |region| region.as_ref()).to_owned()
    }

    /// An address that replaces the provider's own: the playbook's, or one of the SDK's settings.
    fn own_endpoint(&self, service: Service) -> Option<String> {
        let settings = &self.settings;
        let named = match service {
            Service::S3 => &settings.s3_endpoint,
            Service::Rds => &settings.rds_endpoint,
            Service::Iam => &settings.iam_endpoint,
            Service::CloudWatch => &settings.cloudwatch_endpoint,
            Service::S3Control => &settings.s3control_endpoint,
        };
        let ignored = std::env::var(IGNORE_ENDPOINTS).is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        let variable = || std::env::var(service.variable()).ok().filter(|address| !address.is_empty() && !ignored);
        let configured = || self.s3_configured.clone().filter(|_| service == Service::S3);
        let global = || self.shared.endpoint_url().map(str::to_owned);
        named.clone().or_else(variable).or_else(configured).or_else(global)
    }

    /// A service's endpoint; for S3 Control, `{account}` stands for the account's number.
    pub(crate) fn address(&self, service: Service, region: &str) -> String {
        let own = self.own_endpoint(service).map(|address| address.trim_end_matches('/').to_owned());
        own.unwrap_or_else(|| service.address(region))
    }

    /// Whether a service can be called. Where S3 is another server than AWS, AWS is not called for the rest.
    ///
    /// # Errors
    /// The reason, as text.
    pub fn reaches(&self, service: Service) -> Result<(), String> {
        if self.own_endpoint(service).is_some() || self.own_endpoint(Service::S3).is_none() {
            return Ok(());
        }
        let word = service.word();
        Err(format!("S3 is asked at an endpoint of its own, and no endpoint is named for {word}"))
    }

    /// What is known of the credentials.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn session(&self) -> Result<SessionKeys, String> {
        let provider = self.credentials().ok_or("there are no credentials")?;
        let credentials = provider.provide_credentials().await.map_err(|error| error.to_string())?;
        let expires = credentials.expiry().and_then(|at| jiff::Timestamp::try_from(at).ok());
        Ok(SessionKeys { temporary: credentials.session_token().is_some(), expires: expires.map(|at| at.to_string()) })
    }

    /// The S3 endpoint.
    pub(crate) fn s3_address(&self) -> String {
        self.address(Service::S3, &self.region())
    }

    /// The endpoint as text, for messages.
    pub(crate) fn s3_endpoint(&self) -> String {
        self.own_endpoint(Service::S3).unwrap_or_else(|| "AWS".to_owned())
    }

    /// Whether S3 is asked at AWS's own addresses, to which TLS leads without anything in between.
    pub(crate) fn s3_is_aws(&self) -> bool {
        self.own_endpoint(Service::S3).is_none()
    }

    /// Queries STS for the caller (AWS STS API, `GetCallerIdentity`).
    pub async fn caller(&self) -> Result<CallerIdentity, SourceError> {
        let mut config = aws_sdk_sts::config::Builder::from(&self.shared);
        if let Some(endpoint) = &self.settings.sts_endpoint {
            config = config.endpoint_url(endpoint);
        }
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let answer = client.get_caller_identity().send().await;
        let answer = answer.map_err(|error| error::of("the caller's identity", error))?;
        let nameless = || SourceError::Permanent {
            what: "the caller's identity".to_owned(),
            reason: "the answer names no account".to_owned(),
        };
        let account = answer.account().ok_or_else(nameless)?.to_owned();
        Ok(CallerIdentity { account, arn: answer.arn().unwrap_or_default().to_owned() })
    }
}

/// The S3 endpoint from environment and profile, if not AWS: the SDK resolves one, offline.
async fn s3_configured(shared: &SdkConfig) -> Option<String> {
    const PATH: &str = "/bucket/key";
    let nobody = Credentials::new("nobody", "nothing", None, None, "walkaway");
    let config = aws_sdk_s3::config::Builder::from(shared).credentials_provider(nobody).force_path_style(true).build();
    let expires = PresigningConfig::expires_in(Duration::from_secs(1)).ok()?;
    let object = aws_sdk_s3::Client::from_conf(config).get_object().bucket("bucket").key("key");
    let request = object.presigned(expires).await.ok()?;
    let uri: http::Uri = request.uri().parse().ok()?;
    let of_aws = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    let host = uri.host().filter(|host| !of_aws.iter().any(|suffix| host.ends_with(suffix)))?;
    let port = uri.port_u16().map_or(String::new(), |port| format!(":{port}"));
    Some(format!("{}://{host}{port}{}", uri.scheme_str()?, uri.path().strip_suffix(PATH)?))
}
