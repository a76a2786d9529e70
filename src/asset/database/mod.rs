//! A PostgreSQL database, from the snapshot to the verdict.
//!
//! | file | what it does |
//! |---|---|
//! | `asset` | the interface to the run |
//! | `preflight`, `preflight_source`, `source_rights` | obstacles to copying a database, or to reading it whole |
//! | `measure` | what copying it would take |
//! | `carry`, `proof` | from snapshot to verdict |
//! | `rows_proof` | what every restored database is proven by, wherever its rows came from |
//! | `recheck` | the restored copy, read back later |
//! | `ownership`, `large_objects`, `views` | roles, owners, grants and settings; large objects; rows of materialized views |
//! | `exclusions`, `refusals` | what differs because a table was left out, or a statement was refused |
//! | `ranges` | ranges of a table as a unit, and their outcome |
//! | `chunks`, `copy_workers`, `receipts` | tables cut into units, run in parallel, recorded |
//! | `range_worker`, `copying`, `rescue` | what runs such a unit: copies all rows, or as many as possible |
//! | `again`, `ends`, `reconnect` | a database begun again, why it ended early, how long its servers are waited for |
//! | `salvage`, `deferred`, `late_rows` | the readable part of a damaged table; rows that the target accepts later, or never |
//! | `watch` | watches the snapshot, and releases it when others wait behind it |
//! | `endpoint`, `target`, `clusters` | the server that databases are restored into; which managed cluster represents which origin |

pub(crate) mod again;
pub(crate) mod asset;
pub(crate) mod carry;
mod chunks;
pub(crate) mod clusters;
mod copy_workers;
mod copying;
mod deferred;
pub(crate) mod endpoint;
pub(crate) mod ends;
pub(crate) mod exclusions;
mod large_objects;
mod late_rows;
pub(crate) mod measure;
mod ownership;
pub(crate) mod preflight;
pub(crate) mod preflight_source;
mod proof;
mod range_worker;
pub(crate) mod ranges;
pub(crate) mod receipts;
pub(crate) mod recheck;
pub(crate) mod reconnect;
mod refusals;
mod rescue;
pub(crate) mod rows_proof;
mod salvage;
mod source_rights;
pub(crate) mod target;
mod views;
mod watch;
