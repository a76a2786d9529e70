//! The account around the drill: what a playbook asks about it, before anything moves, after everything has, and what it
//! comes to. What is found is written down at once; the judgement is made from the files, so that a run that is resumed
//! comes to the same.
//!
//! | file | what it does |
//! |---|---|
//! | `question` | what a playbook asks for |
//! | `before`, `after` | the looks before anything moves, and before the run is sealed |
//! | `facts` | the files in which the looks lie |
//! | `judgement` | coverage, checks and findings, from those files |
//! | `secrets`, `secret_rules`, `machine`, `documents` | what this machine's disk says |

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
