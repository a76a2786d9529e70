//! A database on RDS or Aurora: read where it runs, from a temporary instance, or from the files of an export.
//!
//! | file | what it does |
//! |---|---|
//! | `asset` | the interface to the run |
//! | `preflight`, `measure` | obstacles to copying it; what copying it would take |
//! | `carry` | its address, a temporary instance of it, and the work on that |
//! | `export` | a database from the Parquet files that RDS exports a snapshot to |
//! | `guard`, `leftovers` | removal of what was created at the provider, also after a kill |

pub(crate) mod asset;
mod carry;
mod export;
pub(crate) mod guard;
pub(crate) mod leftovers;
mod measure;
mod preflight;

pub(crate) use export::files_of;
