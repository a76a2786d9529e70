//! A database on RDS or Aurora: read where it runs, from a temporary instance, or from the files of an export.
//!
//! | file | what it does |
//! |---|---|
//! | `carry` | where it is, a temporary instance of it, and the work on that |
//! | `export` | a database from the Parquet files that RDS exports a snapshot to |
//! | `guard`, `leftovers` | what removes again what was made at the provider, also after a kill |

pub(crate) mod carry;
pub(crate) mod export;
pub(crate) mod guard;
pub(crate) mod leftovers;
