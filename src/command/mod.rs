//! Commands other than `run`: everything else that the command line offers.
//!
//! | file | what it does |
//! |---|---|
//! | `recheck` | `verify --restored`: the restored data against a bundle |
//! | `claims` | whether a bundle has what its playbook asked for, and nothing that no run writes |
//! | `clean` | removes what a run left at the provider |
//! | `doctor` | whether this machine can run a drill |
//! | `history` | comparison of runs, and when the next is due |
//! | `init` | a first playbook |
//! | `survey` | `plan`: the measured plan of a run, and the account around it; the least rights that it needs |

pub mod claims;
mod clean;
mod doctor;
pub mod history;
mod init;
#[cfg(test)]
mod lives;
mod recheck;
mod survey;

pub use crate::asset::rds::leftovers::StillThere;
pub use crate::asset::recheck::Recheck;
pub use clean::{Cleaned, clean};
pub use doctor::{Examined, State, examine};
pub use init::{Init, InitOptions, init};
pub use recheck::recheck;
pub use survey::{Survey, SurveyedAccount, iam_policy, survey};
