//! The sinks: a tree of files, tar archives or another S3 server for objects, a PostgreSQL database for tables, a disposable cluster.
//!
//! Does not depend on where the data comes from, and never writes outside the directory or database it was given.

pub mod cluster;
mod cluster_error;
pub(crate) mod constraints;
pub mod database;
mod durability;
pub(crate) mod elevated;
mod file;
pub mod foreign_keys;
mod locale;
mod member;
mod merge;
pub mod place;
mod plain;
mod postmaster;
mod rebuild;
pub mod refused;
pub mod rights;
pub mod s3;
mod script;
pub mod spool;
pub mod tar;
pub mod tree;
mod write_behind;
