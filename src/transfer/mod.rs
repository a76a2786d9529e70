//! Copies units from a source to a sink while observers hash and count them, and writes the receipts.
//!
//! Knows traits only: [`object::ObjectSource`], [`object::ObjectSink`] and [`table::RowSink`] are implemented by `provider`
//! and `restore`. Decides nothing about verdicts; what it can't copy it returns as a [`object::Refusal`].

pub mod answer;
pub mod bucket;
pub mod checksum;
pub mod entry;
pub mod error;
pub mod executor;
pub(crate) mod generated;
pub mod listing;
mod md5;
pub mod meter;
pub mod object;
pub mod objects;
pub(crate) mod pace;
pub mod properties;
pub mod provider_checksum;
pub(crate) mod pseudonyms;
pub mod receipt;
pub mod retry;
pub mod table;
pub mod unit;
pub mod window;
