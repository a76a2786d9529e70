//! PostgreSQL on Amazon RDS and Aurora: what an instance or cluster is, and where it is reached.
//!
//! Reads only. What is made at the provider for a while, and removed again, are types of their own: see [`temporary`] and
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
