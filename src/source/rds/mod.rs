//! PostgreSQL on Amazon RDS and Aurora: what an instance or cluster is, and where it is reached.
//!
//! Reads only. What is made at the provider for a while, and removed again, are types of their own: see [`temporary`] and
//! [`export`].

mod describe;
pub mod export;
mod patience;
mod removal;
mod resource;
#[cfg(test)]
pub(crate) mod scripted;
pub mod temporary;
mod token;

use std::{path::PathBuf, sync::Arc};

use aws_sdk_rds::Client;

pub use self::{
    describe::{RdsFacts, SnapshotFacts},
    patience::Patience,
    removal::{Presence, Removed},
};
use super::aws::Aws;
use crate::{
    pg::{
        Address, PgError,
        address::{Proof, Remote, Via},
        tls::Roots,
    },
    transfer::error::SourceError,
};

/// The CA certificates of Amazon RDS; the file says where they come from.
const BROUGHT_CA: &[u8] = include_bytes!("ca.pem");

/// An instance or a cluster, by its identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An instance.
    Instance(String),
    /// An Aurora cluster.
    Cluster(String),
}

impl Place {
    /// The identifier.
    pub fn id(&self) -> &str {
        match self {
            Place::Instance(id) | Place::Cluster(id) => id,
        }
    }

    fn what(&self) -> String {
        match self {
            Place::Instance(id) => format!("RDS instance {id}"),
            Place::Cluster(id) => format!("RDS cluster {id}"),
        }
    }
}

/// The name and port that a server is reached by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name, which is also in the server's certificate.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a login reaches a database at an endpoint.
#[derive(Clone, Debug)]
pub struct Login {
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password; none means tokens of IAM.
    pub password: Option<Password>,
    /// A file that replaces the certificates that walkaway brings along.
    pub ca: Option<PathBuf>,
    /// Where to connect instead.
    pub via: Option<Via>,
}

/// A password that shows itself to nobody.
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
    client: Client,
    aws: Aws,
    patience: Patience,
}

impl Rds {
    /// Asks nothing yet.
    pub fn new(aws: &Aws) -> Self {
        Rds { client: aws.rds(), aws: aws.clone(), patience: Patience::default() }
    }

    /// What an instance or cluster is, and what snapshots of it there are.
    pub async fn describe(&self, place: &Place) -> Result<RdsFacts, SourceError> {
        match place {
            Place::Instance(id) => describe::instance(&self.client, &self.patience, id).await,
            Place::Cluster(id) => describe::cluster(&self.client, &self.patience, id).await,
        }
    }

    /// Where a read replica is, which must be one of `of`.
    pub async fn replica(&self, of: &RdsFacts, id: &str) -> Result<Endpoint, SourceError> {
        if !of.replicas.iter().any(|replica| replica == id) {
            let what = format!("RDS instance {id}");
            let known = if of.replicas.is_empty() { "none".to_owned() } else { of.replicas.join(", ") };
            let reason = format!("it is no read replica of {}, whose replicas are: {known}", of.id);
            return Err(SourceError::Permanent { what, reason });
        }
        let facts = describe::instance(&self.client, &self.patience, id).await?;
        facts.endpoint.ok_or_else(|| no_endpoint(&format!("RDS instance {id}"), &facts.status))
    }

    /// The address of a database at an endpoint.
    ///
    /// # Errors
    /// The certificates could not be put where libpq reads them.
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

impl RdsFacts {
    /// Where it is reached.
    ///
    /// # Errors
    /// It has no endpoint, as while it is being made.
    pub fn reached_at(&self) -> Result<Endpoint, SourceError> {
        self.endpoint.clone().ok_or_else(|| no_endpoint(&format!("RDS {}", self.id), &self.status))
    }
}

fn no_endpoint(what: &str, status: &str) -> SourceError {
    SourceError::Permanent { what: what.to_owned(), reason: format!("it has no endpoint; its status is {status}") }
}
