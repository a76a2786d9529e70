//! Reads from the provider: objects out of S3, tables out of PostgreSQL. Nothing in here can write or delete.
//!
//! Knows nothing of where the data goes.

pub mod aws;
pub mod postgres;
pub mod s3;
