//! The account around the drill: what is there, how much of it was tested, in what state it lies. Judgement only:
//! values come in, findings and numbers come out; nothing here reads a file, asks a server or knows the time.
//!
//! | file | what it holds |
//! |---|---|
//! | `reply` | how a question to the provider ended: only a value and a known absence are answers |
//! | `inventory` | buckets, databases, snapshots, users, and what could not be read |
//! | `coverage` | tested, excluded, untested, unreadable, by things and by bytes |
//! | `policy` | whom a bucket's policy lets in |
//! | `posture`, `credentials` | settings held against rules; IAM's credential report |
//! | `identity`, `rights` | who asks, and the rights that a playbook needs |
//! | `change` | before and after |
//! | `documents`, `machine` | what people answer for; whether the target is in a cloud |
//! | `controls` | which file supports which row of the checklist |
//! | `starter` | a first playbook |

pub mod change;
pub mod controls;
pub(crate) mod coverage;
pub mod credentials;
pub(crate) mod documents;
pub mod identity;
pub(crate) mod inventory;
pub mod machine;
pub mod policy;
pub(crate) mod posture;
pub(crate) mod reply;
pub mod rights;
pub(crate) mod starter;
