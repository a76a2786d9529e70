//! What a run writes while it is in progress, and what is read back of it: its directory, its journal, its receipts.
//!
//! | file | what it does |
//! |---|---|
//! | `layout` | the paths of one run |
//! | `directory`, `identity` | the directory of a run, made and read back; the program and machine |
//! | `ledger` | what is finished, confirmed by the journal |
//! | `recorder` | writes events to journal and monitor |
//! | `error`, `refusal` | what ends the work on a run; why a signature was not made |

pub(crate) mod directory;
pub mod error;
pub(crate) mod identity;
pub(crate) mod layout;
pub(crate) mod ledger;
pub(crate) mod recorder;
pub(crate) mod refusal;

pub use error::{EngineError, Obstacle, Unopened};
pub use refusal::Refusal;
