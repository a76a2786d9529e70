//! A run: checks its preconditions, copies each asset, decides the verdict, seals the bundle.
//!
//! | file | what it does |
//! |---|---|
//! | `plan` | what a run would copy, measured for `walkaway plan`, consumed by a run |
//! | `driver`, `resume` | a run from preflight to outcome, and its resumption |
//! | `free_space` | whether the target has enough free space |
//! | `preflight` | every obstacle, before the transfer |
//! | `projection` | the plan of the exit, the time to exit, its thresholds and its cost |
//! | `seal`, `not_proven`, `reports`, `endorse` | result, documents, the bag around them, and the signatures over it |
//! | `outcome` | how it ended |
//! | `accepted` | what the playbook accepts, for the monitors |

mod accepted;
pub(crate) mod driver;
pub(crate) mod endorse;
mod free_space;
pub(crate) mod not_proven;
pub mod outcome;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod projection;
pub mod reports;
mod resume;
pub(crate) mod seal;

pub use accepted::{waivers, waivers_of};
pub use driver::{RunDependencies, RunOptions, run};
pub use endorse::{Endorsement, Review, Stamped, approve, review};
pub use outcome::{RunEnd, RunOutcome, StoppedAsset};
pub use plan::Plan;
pub use preflight::Consent;
pub use resume::resume;
