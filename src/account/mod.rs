//! The account around the drill: its inventory, how much of it was tested, and its state. `look` lists what is there, `drive`
//! does so before and after a run. All other files judge only: values come in, findings and numbers come out; they read no
//! file, call no server and read no clock.
//!
//! | file | what it holds |
//! |---|---|
//! | `reply` | the result of a query to the provider: only a value and a known absence are answers |
//! | `inventory` | buckets, databases, snapshots, users, and what could not be read |
//! | `coverage` | tested, excluded, untested, unreadable, by resources and by bytes |
//! | `policy` | to whom a bucket's policy gives access |
//! | `posture`, `credentials` | settings checked against rules; IAM's credential report |
//! | `identity`, `rights` | the caller, and the rights that a playbook needs |
//! | `change` | before and after |
//! | `documents`, `machine` | what people are responsible for; whether the target is in a cloud |
//! | `controls` | which file supports which row of the checklist |
//! | `starter` | a first playbook |
//! | `look` | asks the provider what there is |
//! | `drive` | looks before and after a run, writes down what was found, and has it judged |

pub mod change;
pub mod controls;
pub(crate) mod coverage;
pub mod credentials;
pub(crate) mod documents;
pub(crate) mod drive;
pub mod identity;
pub(crate) mod inventory;
pub mod look;
pub mod machine;
pub mod policy;
pub(crate) mod posture;
pub(crate) mod reply;
pub mod rights;
pub(crate) mod starter;
