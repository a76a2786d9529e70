//! A bucket, from the listing to the verdict: list, cut into units, copy, read back, compare, write the evidence.
//!
//! | file | what it does |
//! |---|---|
//! | `asset` | the seam to the run |
//! | `preflight` | what keeps it from being carried |
//! | `measure` | what carrying it would take |
//! | `work` | what all of the following have at hand |
//! | `objects` | the same for objects of any other store |
//! | `carry` | the order of things, and the result |
//! | `transfer` | lists, and has units of objects run at the same time; fetches anew what changed meanwhile |
//! | `listing` | the pages of the listing, and the memory of what was listed and carried |
//! | `sample` | which objects a sample takes |
//! | `sink` | where the objects go |
//! | `keybook` | the names behind pseudonyms |
//! | `changes` | the closing listing |
//! | `evidence` | the files in the bundle |
//! | `recheck` | what was restored, read back some time later |

pub(crate) mod asset;
mod carry;
mod changes;
mod evidence;
mod keybook;
mod listing;
mod measure;
pub mod objects;
pub(crate) mod preflight;
pub(crate) mod recheck;
mod sample;
pub(crate) mod sink;
mod transfer;
pub(crate) mod work;
