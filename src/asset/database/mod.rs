//! A PostgreSQL database, from the snapshot to the verdict.
//!
//! | file | what it does |
//! |---|---|
//! | `carry`, `proof` | from snapshot to verdict |
//! | `rows_proof` | what every restored database is proven by, wherever its rows came from |
//! | `preflight_source`, `source_rights` | what keeps a database from being read whole |
//! | `belongings`, `large_objects`, `views` | roles, owners, grants and settings; large objects; rows of materialized views |
//! | `exclusions` | what differs because a table was left out |
//! | `shares`, `relays`, `tally` | tables cut into work, carried side by side, put on record |
//! | `salvage`, `deferred`, `late_rows` | what can be carried of a damaged table; rows that the target takes later, or never |
//! | `watch` | the snapshot looked after meanwhile, and let go when others wait behind it |
//! | `target`, `clusters` | the server that databases are restored into; which managed cluster stands for which origin |

pub(crate) mod belongings;
pub(crate) mod carry;
pub(crate) mod clusters;
mod deferred;
pub(crate) mod exclusions;
mod large_objects;
mod late_rows;
pub(crate) mod preflight_source;
mod proof;
pub(crate) mod relays;
pub(crate) mod rows_proof;
mod salvage;
pub(crate) mod shares;
mod source_rights;
pub(crate) mod tally;
pub(crate) mod target;
mod views;
mod watch;
