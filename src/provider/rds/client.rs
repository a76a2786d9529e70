//! RDS as a caller sees it: instances, clusters, and the addresses of their databases.

use std::{path::PathBuf, sync::Arc};

use aws_sdk_rds::Client;

use super::{
    describe::{self, RdsFacts},
    place::{Endpoint, Place, no_endpoint},
    timeouts::Timeouts,
    token,
};
use crate::{
    pg::{
        Address, PgError,
        address::{Proof, Remote, Via},
        tls::Roots,
    },
    provider::aws::Aws,
    transfer::error::SourceError,
};

/// The CA certificates of Amazon RDS; the file names their source.
const BROUGHT_CA: &[u8] = include_bytes!("ca.pem");

/// A login to a database at an endpoint.
#[derive(Clone, Debug)]
pub struct Login {
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password; none means tokens of IAM.
    pub password: Option<Password>,
    /// A file that replaces walkaway's built-in certificates.
    pub ca: Option<PathBuf>,
    /// Where to connect instead.
    pub via: Option<Via>,
}

/// A password that is never printed.
#[derive(Clone)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(withheld)")
    }
}

/// RDS as a caller sees it.
#[derive(Clone)]
pub struct Rds {
    pub(super) client: Client,
    pub(super) aws: Aws,
    pub(super) timeouts: Timeouts,
}

impl Rds {
    /// Sends no request yet.
    pub fn new(aws: &Aws) -> Self {
        Rds { client: aws.rds(), aws: aws.clone(), timeouts: Timeouts::default() }
    }

    /// The description of an instance or cluster, and its snapshots.
    pub async fn describe(&self, place: &Place) -> Result<RdsFacts, SourceError> {
        match place {
            Place::Instance(id) => describe::instance(&self.client, &self.timeouts, id).await,
            Place::Cluster(id) => describe::cluster(&self.client, &self.timeouts, id).await,
        }
    }

    /// The endpoint of a read replica, which must be one of `of`.
    pub async fn replica(&self, of: &RdsFacts, id: &str) -> Result<Endpoint, SourceError> {
        if !of.replicas.iter().any(|replica| replica == id) {
            let what = format!("RDS instance {id}");
            let known = if of.replicas.is_empty() { "none".to_owned() } else { of.replicas.join(", ") };
            let reason = format!("it is no read replica of {}, whose replicas are: {known}", of.id);
            return Err(SourceError::Permanent { what, reason });
        }
        let facts = describe::instance(&self.client, &self.timeouts, id).await?;
        facts.endpoint.ok_or_else(|| no_endpoint(&format!("RDS instance {id}"), &facts.status))
    }

    /// The address of a database at an endpoint.
    ///
    /// # Errors
    /// The certificates could not be written where libpq reads them.
    pub fn address(&self, endpoint: &Endpoint, login: &Login) -> Result<Address, PgError> {
        let failed = |error: std::io::Error| PgError::Url { reason: format!("writing the CA certificates: {error}") };
        let roots = match &login.ca {
            Some(path) => Roots::File(path.clone()),
            None => Roots::brought(BROUGHT_CA).map_err(failed)?,
        };
        let proof = match &login.password {
            Some(password) => Proof::Password(password.0.clone()),
            None => Proof::Made(Arc::new(token::Tokens::new(&self.aws, endpoint, &login.user))),
        };
        Ok(Address::remote(Remote {
            host: endpoint.host.clone(),
            port: endpoint.port,
            database: login.database.clone(),
            user: login.user.clone(),
            proof,
            roots,
            via: login.via.clone(),
        }))
    }
}
