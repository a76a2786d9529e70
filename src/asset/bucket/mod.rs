//! A bucket, from the listing to the verdict: list, cut into units, copy, read back, compare, write the evidence.
//!
//! | file | what it does |
//! |---|---|
//! | `carry` | the order of things, and the result |
//! | `transfer` | lists and copies at the same time, and fetches anew what changed meanwhile |
//! | `listing` | the pages of the listing, and the memory of what was listed and carried |
//! | `sample` | which objects a sample takes |
//! | `sink` | where the objects go |
//! | `keybook` | the names behind pseudonyms |
//! | `changes` | the closing listing |
//! | `evidence` | the files in the bundle |
//! | `measure` | what carrying it would take |

pub(crate) mod carry;
mod changes;
mod evidence;
mod keybook;
mod listing;
pub(crate) mod measure;
mod sample;
pub(crate) mod sink;
mod transfer;
