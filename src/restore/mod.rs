//! The sinks: a tree of files for objects, a PostgreSQL database for tables, a disposable cluster made for the purpose.
//!
//! Knows nothing of where the data comes from, and never writes outside the directory or database it was given.

pub mod cluster;
pub mod database;
pub mod place;
pub mod spool;
pub mod tree;
