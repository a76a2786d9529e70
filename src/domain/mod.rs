//! Values that every layer speaks of, without input or output: what was found, what was proven, what happened, digests.

pub mod digest;
pub mod event;
pub mod finding;
pub mod proof;
