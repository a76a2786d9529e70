//! IAM tokens in place of a password: one for each connection, valid for 15 minutes, never stored.
//!
//! Source: Amazon RDS user guide, "IAM database authentication".

use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config};
use tokio::runtime::Handle;

use super::place::Endpoint;
use crate::{
    pg::{PgError, address::Passwords, error::Unreached},
    provider::aws::Aws,
};

const VALID_SECONDS: u64 = 900;

/// Makes tokens for one login at one endpoint.
pub(super) struct Tokens {
    aws: Aws,
    endpoint: Endpoint,
    user: String,
    /// Credentials may have to be fetched, which is asynchronous; connecting is not.
    runtime: Handle,
}

impl Tokens {
    /// Must be called on a thread of the runtime.
    pub(super) fn new(aws: &Aws, endpoint: &Endpoint, user: &str) -> Self {
        Tokens { aws: aws.clone(), endpoint: endpoint.clone(), user: user.to_owned(), runtime: Handle::current() }
    }

    fn failed(&self, reason: String) -> PgError {
        let server = format!("{}:{}", self.endpoint.host, self.endpoint.port);
        PgError::Connect {
            server,
            reason: format!("making a token of IAM for {}: {reason}", self.user),
            cause: Unreached::NoPassword,
        }
    }
}

impl Passwords for Tokens {
    fn next(&self) -> Result<String, PgError> {
        let config = Config::builder()
            .hostname(&self.endpoint.host)
            .port(u64::from(self.endpoint.port))
            .username(&self.user)
            .expires_in(VALID_SECONDS)
            .build()
            .map_err(|error| self.failed(error.to_string()))?;
        let generator = AuthTokenGenerator::new(config);
        let token = self.runtime.block_on(generator.auth_token(self.aws.shared()));
        token.map(|token| token.as_str().to_owned()).map_err(|error| self.failed(error.to_string()))
    }
}
