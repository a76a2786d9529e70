//! What the PostgreSQL side of `provider`, `restore` and `verify` share: addresses and connecting, pinned session
//! settings, names, how long a server is waited for, the identity of a server and detection of poolers, the meaning of its errors, the catalog's description of a database, COPY streams, and the programs that come with PostgreSQL.
//!
//! Decides nothing about what is read or written; each of the three does that itself.

pub mod address;
pub mod catalog;
pub mod columns;
pub mod copy;
pub mod error;
pub mod identity;
pub mod large;
mod liveness;
pub mod name;
pub mod pieces;
mod pooler;
mod processes;
pub mod range;
pub mod session;
pub mod sharing;
pub mod sqlstate;
pub mod tls;
pub mod tools;
mod url;
mod watched;
pub mod wire;

pub use address::Address;
pub use error::PgError;
