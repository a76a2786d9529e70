//! What a run writes while it is at work, and what is read back of it: its directory, its journal, its receipts.
//!
//! | file | what it does |
//! |---|---|
//! | `layout` | where everything of one run lies |
//! | `directory`, `identity` | the directory of a run, made and read back; who works on it |
//! | `ledger` | what is finished, vouched for by the journal |
//! | `recorder` | who hears of it |
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
