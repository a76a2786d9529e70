//! An instance or cluster in RDS, and its endpoint.

use crate::transfer::error::SourceError;

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

    pub(super) fn what(&self) -> String {
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

pub(super) fn no_endpoint(what: &str, status: &str) -> SourceError {
    SourceError::Permanent { what: what.to_owned(), reason: format!("it has no endpoint; its status is {status}") }
}
