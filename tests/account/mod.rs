//! The account around the drill: coverage, posture, preconditions, documents, before and after; against moto with accounts
//! made for it, and against scripted answers where moto is too slow.

mod faults;
mod local;
mod plan;
mod rights;
mod scale;
mod selection;
mod world;
