//! Plans a run, looks before it leaps, runs each asset, decides the verdict, seals the bundle.
//!
//! The order of things, and what is finished; how bytes and rows move, compare and are written down is the business of
//! `source`, `transfer`, `restore`, `verify` and `evidence`.
//!
//! | file | what it does |
//! |---|---|
//! | `run` | a run from preflight to outcome, and its resumption |
//! | `directory`, `identity` | the directory of a run, made and read back; who works on it |
//! | `preflight`, `preflight_source`, `source_rights`, `elsewhere`, `room` | every obstacle, before anything moves; what may not be read; a target that is the provider, or too small |
//! | `objects` | one bucket, from listing to verdict |
//! | `database`, `database_proof` | one database, from snapshot to verdict |
//! | `rows_proof` | what every restored database is proven by, wherever its rows came from |
//! | `belongings`, `large_objects`, `views` | roles, owners, grants and settings of a database; its large objects; rows of materialized views |
//! | `exclusions` | what differs because a table was left out |
//! | `rds`, `guard`, `leftovers` | a database on RDS: where it is, a temporary instance of it, and what removes that again, also after a kill |
//! | `rds_export` | a database from the Parquet files that RDS exports a snapshot to |
//! | `shares`, `relays`, `tally` | its tables cut into work, carried side by side, put on record |
//! | `salvage`, `deferred`, `late_rows` | what can be carried of a damaged table; rows that the target takes later, or never |
//! | `watch` | the snapshot looked after meanwhile, and let go when others wait behind it |
//! | `ledger`, `layout`, `recorder` | what is finished, where it lies, who hears of it |
//! | `account` | the account around the assets: before, after, and what it comes to |
//! | `seal` | result, documents, and the bag around them |
//! | `projection` | the plan, the time to exit, its thresholds and its cost |
//! | `endorse` | signatures over the sealed bag, and their time-stamps |
//! | `claims` | whether a bundle holds what its playbook asked for, and nothing that no run leaves there |
//! | `reports`, `history` | reports made again and compared; runs side by side, and when the next is due |
//! | `survey`, `survey_objects`, `recheck`, `doctor`, `clean` | `plan`, `verify --restored`, `doctor`, `clean` |

mod accepted;
mod account;
mod belongings;
pub mod claims;
mod clean;
mod clusters;
mod database;
mod database_proof;
mod deferred;
mod directory;
mod doctor;
mod elsewhere;
mod endorse;
pub mod error;
mod exclusions;
mod guard;
pub mod history;
mod identity;
mod large_objects;
mod late_rows;
mod layout;
mod ledger;
mod leftovers;
#[cfg(test)]
mod lives;
mod look;
mod not_proven;
mod objects;
pub mod outcome;
mod preflight;
mod preflight_source;
mod projection;
mod rds;
mod rds_export;
mod recheck;
mod recorder;
mod refusal;
mod relays;
pub mod reports;
mod room;
mod rows_proof;
mod run;
mod salvage;
mod seal;
mod shares;
mod source_rights;
mod stop;
mod survey;
mod survey_objects;
mod tally;
mod target;
mod ticker;
mod views;
mod watch;
mod work;

pub use accepted::{waivers, waivers_of};
pub use account::{Init, InitOptions, init};
pub use clean::{Cleaned, clean};
pub use doctor::{Examined, State, examine};
pub use endorse::{Endorsement, Review, Stamped, approve, review};
pub use error::{EngineError, Obstacle};
pub use leftovers::{StillThere, still_there};
pub use look::Depth;
pub use outcome::{RunEnd, RunOutcome, StoppedAsset};
pub use preflight::Consent;
pub use recheck::{Recheck, recheck};
pub use refusal::Refusal;
pub use run::{Means, resume, run};
pub use survey::{Survey, SurveyedAccount, SurveyedAsset, iam_policy, survey};
pub use survey_objects::{ObjectsSurvey, SizeClass};
