//! PostgreSQL on Amazon RDS and Aurora: the description and the endpoint of an instance or cluster.
//!
//! Reads only. Temporary resources at the provider are types of their own: see [`temporary`] and
//! [`export`].

mod client;
mod describe;
pub mod export;
mod place;
mod removal;
mod resource;
#[cfg(test)]
pub(crate) mod scripted;
pub mod temporary;
mod timeouts;
mod token;

pub use self::{
    client::{Login, Password, Rds},
    describe::{RdsFacts, SnapshotFacts},
    place::{Endpoint, Place},
    removal::{Presence, Removed},
    timeouts::Timeouts,
};
