//! Evidence: the hash-chained journal, the result, the files of each asset, the BagIt bag around them, and the offline
//! check of it all.
//!
//! Nothing here reads a provider, a restored copy, or the clock: what happened comes in as events and receipts, dates
//! come in as values. Signatures, time-stamps and rendered reports aren't here yet.
//!
//! | file | what it holds |
//! |---|---|
//! | `journal`, `chain` | the append-only record of a run, and the pass that reads it |
//! | `result` | `result.json` and its schema |
//! | `objects`, `changes`, `merge`, `tables` | the evidence of a bucket and of a database |
//! | `verify_md`, `table_digest.py` | how to check a bundle without walkaway |
//! | `bag`, `bag_check`, `tree` | the bag, sealed and checked |
//! | `coverage` | what the run did with each thing of the account |
//! | `check`, `check_run`, `check_asset`, `check_account`, `replay` | whether result, journal and files tell the same story |
//! | `files` | writing synced, reading without following links, the errors |

pub mod bag;
pub mod bag_check;
mod chain;
pub mod changes;
pub mod check;
mod check_account;
mod check_asset;
mod check_run;
mod coverage;
pub mod files;
pub mod journal;
pub mod merge;
pub mod objects;
mod replay;
pub mod result;
pub mod tables;
mod tree;
pub mod verify_md;

pub use bag::{BagInfo, is_sealed, seal};
pub use check::{BundleCheck, check_bundle};
pub use coverage::coverage_csv;
pub use files::{EvidenceError, write_new, write_replacing};
pub use journal::{Entry, Journal, JournalError};
pub use merge::merge;
pub use objects::{BUCKET_JSON, ObjectsEvidence, write_objects};
pub use tables::{TablesEvidence, write_tables};
pub use verify_md::{DatabaseAccess, TABLE_DIGEST_PY, verify_md};
