//! What is copied and gets a verdict: a folder for each kind, behind one trait.
//!
//! | module | what it does |
//! |---|---|
//! | `seam` | the trait, [`Asset`], and its description |
//! | `kinds` | which kind is implemented where: the one table |
//! | `endpoints`, `work` | what all assets of a run share, and the context of the work on one |
//! | `measured`, `look`, `recheck` | the results of measuring and re-checking, as values |
//! | `ticker`, `stop` | how the work reports progress, and how it ends early |
//! | `clients`, `target_identity` | clients from the playbook's settings; a target that is the provider |
//! | `bucket`, `database`, `rds` | the kinds |
//!
//! To add a kind: a folder with a type that implements [`Asset`], its entry in the playbook, and a line in `kinds`.

pub(crate) mod bucket;
pub(crate) mod clients;
pub(crate) mod database;
pub(crate) mod endpoints;
pub(crate) mod kinds;
pub(crate) mod look;
pub(crate) mod measured;
pub(crate) mod rds;
pub(crate) mod recheck;
pub(crate) mod seam;
pub(crate) mod stop;
pub(crate) mod target_identity;
pub(crate) mod ticker;
pub(crate) mod work;

pub use bucket::objects;
pub use endpoints::{Endpoints, Preflight, Ready};
pub use kinds::{Kinds, built_in};
pub use look::{RecheckCounts, RecheckDepth};
pub use measured::{Measured, MeasuredObjects, SizeClass, SpaceNeeded};
pub use seam::{Asset, Carried, Description, Makes, Measuring, Needs, obstacle};
pub use stop::Stop;
pub use work::Work;
