//! Evidence: the hash-chained journal, the result, the files of each asset, the BagIt bag around them, and the offline
//! check of it all.
//!
//! Nothing here reads a provider, a restored copy, or the clock: what happened comes in as events and receipts, dates
//! come in as values. The only network access is to a time-stamp authority. Reports are `report`'s.
//!
//! | file | what it holds |
//! |---|---|
//! | `journal`, `chain` | the append-only record of a run, and the pass that reads it |
//! | `result`, `facts` | `result.json` and its schema |
//! | `objects`, `changes`, `findings`, `merge`, `tables`, `exports`, `restored` | the evidence of a bucket and of a database |
//! | `verify_md`, `table_digest.py` | how to check a bundle without walkaway |
//! | `statement` | the only form of statement that a bundle may contain |
//! | `contents` | where everything lies in the bag |
//! | `bag`, `tree` | the bag, sealed |
//! | `coverage` | what the run did with each resource of the account |
//! | `check`, `replay` | whether bag, result, journal, files and signatures agree |
//! | `signing`, `timestamp` | SSH signatures over the bag, RFC 3161 time-stamps over those |
//! | `exit_time` | how long the real exit would take, and what it would cost |
//! | `predecessor` | the previous run, which each run names |
//! | `files`, `error` | writing synced, reading without following links; the errors |

pub mod bag;
mod chain;
pub mod changes;
pub mod check;
mod contents;
mod coverage;
mod error;
pub mod exit_time;
pub mod exports;
pub mod facts;
pub mod files;
pub mod findings;
pub mod journal;
pub mod merge;
pub mod objects;
pub mod predecessor;
mod replay;
pub mod restored;
pub mod result;
pub mod signing;
mod statement;
pub mod tables;
pub mod timestamp;
mod tree;
pub mod verify_md;

pub(crate) use bag::TAG_MANIFEST;
pub use bag::{BagInfo, is_sealed, seal};
pub use check::signatures::{
    Requirement, STAMP_SUFFIX, STATEMENT_SUFFIX, SignatureSeen, TIME_SUFFIX, Trust, Vouched, vouched,
};
pub use check::{BundleCheck, check_bundle, check_bundle_against};
pub use contents::{PLAYBOOK, RESOLVED, RESULT};
pub use coverage::{coverage_csv, read_coverage_csv};
pub use files::{EvidenceError, write_new, write_replacing};
pub use journal::{Entry, Journal, JournalError};
pub use merge::merge;
pub use objects::{BUCKET_JSON, OBJECTS_NDJSON, ObjectsEvidence, write_objects};
pub use restored::{RESTORED_CSV, read_restored, write_restored};
pub use result::parse_result;
pub use tables::{TablesEvidence, write_tables};
pub use verify_md::{DatabaseAccess, TABLE_DIGEST_PY, VERIFY_PY, verify_md};
