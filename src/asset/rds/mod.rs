//! A database on RDS or Aurora: read where it runs, from a temporary instance, or from the files of an export.
//!
//! | file | what it does |
//! |---|---|
//! | `asset` | the seam to the run |
//! | `preflight`, `measure` | what keeps it from being carried; what carrying it would take |
//! | `carry` | where it is, a temporary instance of it, and the work on that |
//! | `export` | a database from the Parquet files that RDS exports a snapshot to |
//! | `guard`, `leftovers` | what removes again what was made at the provider, also after a kill |

pub(crate) mod asset;
mod carry;
mod export;
pub(crate) mod guard;
pub(crate) mod leftovers;
mod measure;
mod preflight;

pub(crate) use export::files_of;
