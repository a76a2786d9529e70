//! Reads from the provider: objects out of S3, tables out of PostgreSQL, exports out of RDS. Nothing in here can
//! write or delete, but for the temporary instances of `rds::temporary` and the exports of `rds::export`, which are
//! walkaway's own.
//!
//! Does not depend on where the data goes.

mod changes;
pub mod holder;
pub(crate) mod live;
mod locks;
pub mod parquet_rows;
pub mod postgres;
pub mod rds;
pub mod s3;

/// The AWS client layer, re-exported for callers of a source.
pub use crate::aws::client as aws;
