//! What is carried out and gets a verdict: a folder for each kind.
//!
//! | module | what it does |
//! |---|---|
//! | `work`, `ticker`, `stop` | what every asset's work has at hand, how it tells of progress, and how it ends early |
//! | `look` | what a finished asset restored, looked at again |
//! | `elsewhere` | a target that is the provider |
//! | `bucket`, `database`, `rds` | the kinds |

pub(crate) mod bucket;
pub(crate) mod database;
pub(crate) mod elsewhere;
pub(crate) mod look;
pub(crate) mod rds;
pub(crate) mod stop;
pub(crate) mod ticker;
pub(crate) mod work;

pub use look::Depth;
