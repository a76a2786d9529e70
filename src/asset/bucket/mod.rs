//! A bucket, from the listing to the verdict: list, cut into units, copy, read back, compare, write the evidence.
//!
//! | file | what it does |
//! |---|---|
//! | `asset` | the interface to the run |
//! | `preflight` | obstacles to copying it |
//! | `measure` | what copying it would take |
//! | `work` | the context of all of the following |
//! | `objects` | the same for objects of any other store |
//! | `carry` | the order of the steps, and the result |
//! | `transfer` | lists, and runs units of objects at the same time; refetches what changed meanwhile |
//! | `listing` | the pages of the listing, and the memory of what was listed and copied |
//! | `sample` | which objects a sample contains |
//! | `sink` | where the objects go |
//! | `pseudonym_map` | the names behind pseudonyms |
//! | `changes` | the closing listing |
//! | `evidence` | the files in the bundle |
//! | `recheck` | the restored copy, read back later |

pub(crate) mod asset;
mod carry;
mod changes;
mod evidence;
mod listing;
mod measure;
pub mod objects;
pub(crate) mod preflight;
mod pseudonym_map;
pub(crate) mod recheck;
mod sample;
pub(crate) mod sink;
mod transfer;
pub(crate) mod work;
