//! The account around the drill: what a playbook asks about it, before and after the transfer, and what follows
//! from it. What is found is recorded at once; the judgement is made from the files, so that a run that is resumed
//! gets the same result.
//!
//! | file | what it does |
//! |---|---|
//! | `question` | what a playbook asks for |
//! | `before`, `after` | the inspections before the transfer, and before the run is sealed |
//! | `facts` | the files that the inspections write |
//! | `judgement` | coverage, checks and findings, from those files |
//! | `secrets`, `secret_rules`, `machine`, `documents` | what is found on this machine's disk |

mod after;
mod before;
mod documents;
mod facts;
mod judgement;
mod machine;
mod question;
mod secret_rules;
mod secrets;

pub(crate) use after::{finish, look};
pub(crate) use before::{Before, chosen, prepare};
pub(crate) use documents::attested;
pub(crate) use facts::{Facts, selected_before};
pub(crate) use judgement::{Judged, Outcome, controls, judge, supports, thresholds, waivers, wrong_waivers};
pub(crate) use machine::machine_here;
pub(crate) use question::{needs, today_of};
