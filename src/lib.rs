//! walkaway proves that you can leave your cloud provider.
//!
//! A playbook names buckets and databases. A run streams them to this machine, restores them, compares what was
//! restored with what the provider held, and leaves a bundle of evidence that stock tools verify.
//!
//! # Data flow
//!
//! ```text
//!  playbook.yaml ─▶ Playbook ─▶ Plan (assets, units) ─▶ run: each unit of each asset
//!                                                         │
//!    provider ─▶ source ─▶ transfer: digest, count, meter ─▶ restore: local tree, local PostgreSQL
//!                                                         │
//!                                receipts ─▶ verify: read back what was restored, compare ─▶ findings
//!                                                                                              │
//!                            evidence: journal, result, manifests, the sealed bundle ◀── outcome ─┘
//! ```
//!
//! Bytes are transferred once: hashed, spooled and restored in one pass. Reading back is a second phase, timed apart.
//!
//! # Reading order
//!
//! | module | one sentence |
//! |---|---|
//! | [`playbook`] | turns the YAML into a [`playbook::Playbook`], a type that can only be valid, or reports every problem at once |
//! | [`command`] | commands other than `run`: `verify --restored`, `doctor`, `clean`, `due`, `init`, and the claims of a bundle |
//! | [`run`] | plans a run, checks its preconditions, runs each asset, decides the verdict, seals the bundle |
//! | [`asset`] | what is copied and gets a verdict, one folder per kind: how it is measured, copied, verified, re-checked |
//! | [`record`] | what a run writes while it is in progress: its directory, its journal, its receipts |
//! | [`provider`] | the sources: lists and opens objects, exports a snapshot and copies tables from it; makes and removes temporary RDS instances |
//! | [`aws`] | the one client layer for AWS and S3 servers, for `provider`, `restore` and `account::look`: configuration, credentials, signatures, HTTP, strict reading |
//! | [`transfer`] | moves a unit from a source to a sink while observers hash and count it, and writes the receipt; units and receipts as values, and the executor that runs them |
//! | [`restore`] | the sinks: a tree of files, a PostgreSQL database, a disposable cluster |
//! | [`verify`] | reads back what was restored, compares it with the receipts, and proves that it detects planted damage |
//! | [`evidence`] | the hash-chained journal, the result, the BagIt bag, and the offline check of all three |
//! | [`account`] | the account around the drill: `look` lists it, the files beside judge what was listed, `drive` does both before and after a run |
//! | [`pg`] | what the PostgreSQL side of provider, restore and verify share: connecting, session settings, names, tools |
//! | [`domain`] | values without I/O: findings and the verdict that follows from them, what a proof covered, events and the [`domain::event::Monitor`] that receives them, SHA-256 and the keyed digest of rows |
//! | [`exit_code`], [`clock`], [`interrupt`], [`tls`], [`words`] | the exit codes; the only reader of time; cancellation; verified TLS; numbers formatted for people |
//! | [`report`] | renderings of a result for people and machines: HTML, JUnit, OSCAL, the plan as a document |
//! | [`glob`], [`csv`] | glob patterns over names; comma-separated values |
//! | [`cli`] | the arguments, one short function per command, the terminal |
//!
//! # Invariants
//!
//! `tests/architecture.rs` enforces those that the imports show.
//!
//! 1. `cli` → `command` → `run` → `asset` → {`provider`, `restore`, `verify`} → {`transfer`, `aws`, `pg`} →
//!    `domain`. `record` and `evidence` are written by `run`, `asset` and `command`; `playbook` is read by them and uses none
//!    of them; nothing imports `cli`. No two files need each other, not even over others.
//! 2. `provider` and `restore` never import each other; `transfer` knows traits only.
//! 3. `verify` reads receipts and the restored copy. It never relies on what the transfer reports as stored.
//! 4. The terminal and the journal are both consumers of [`domain::event`]. Nothing below `cli` prints.
//! 5. The AWS SDK is used in `aws`, `provider`, `account::look` and the S3 sink of `restore` only; PostgreSQL
//!    clients in `pg`, `provider`, `restore` and `verify` only.
//! 6. Sources have no method that writes or deletes, so code that changes the provider's data cannot be expressed.
//! 7. There is no dry-run flag: `plan` measures and prints a [`run::Plan`], `run` consumes one. A match over kinds of asset
//!    belongs in `asset::kinds`, and properties of every asset of a kind in [`domain::event::AssetKind::facts`].
//! 8. Evidence that cannot be written fails the run.
//! 9. `report` sees the values of a result and of a playbook, and does no I/O: every report can be regenerated from
//!    `result.json` and compared.
//! 10. A file appears under its final name only after its digest was computed and its bytes were synced; the journal
//!     records a unit only after that.
//! 11. Units and their receipts ([`transfer::executor`]) are values with a version, no secrets and no borrowed lifetimes;
//!     they are run by an executor, which neither buckets nor databases depend on.
//! 12. What judges the account, all of `account` but `look` and `drive`, reads no file, calls no server, and reads no clock.
//!
//! # Extending it
//!
//! `tests/seams.rs` holds a kind of asset and an executor that are no part of `src`, and run through plan, run, resume, verify.
//!
//! - A store of objects: [`transfer::object::ObjectSource`] in a folder of `provider`, wrapped in
//!   [`asset::bucket::objects::ObjectsFrom`], and an arm in `asset::kinds`.
//! - A kind of asset: [`asset::seam::Asset`] in a folder of `asset`; a key of the playbook; its facts in `domain::event`.
//! - A database engine: rows by `transfer::table::{RowSource, RowSink}` in folders of `provider` and `restore`, a kind of asset,
//!   and its name in the lists of `evidence::check`, `evidence::statement`, `report` and `scripts/verify.py`.
//! - An executor: [`transfer::executor::UnitExecutor`], named where a run's `RunDependencies` is made; at its other end
//!   [`asset::seam::Asset::worker`].
//!
//! # Names
//!
//! One word per concept, the field's own where it has one, in code, comments, messages and reports alike:
//!
//! - An *asset* is an entry of the playbook that gets a verdict; a *unit* is a part that is transferred, journaled
//!   and retried as a whole; an *item* is an object or a table of it.
//! - A *source* reads from the provider, a *sink* writes to the target; between them data is *copied* or *transferred*.
//! - A *receipt* states what was copied: names, sizes, digests. *Evidence* is what ends up in the sealed *bundle*.
//! - A *finding* is a discrepancy with a code and a severity; an *error* ends work; *preflight* finds *obstacles*.
//! - *Measured* is before the copy, *verified* against receipts, *re-checked* later; a *verdict* follows from findings.
//! - *Unexpected* is what the target has and the source lacks, *missing* the reverse; *not carried* is out of scope.
//! - *Ownership and privileges*, *free space*, *workers*, *cancellation*: no words of this project's own for these.
//! - A name is understood without module docs; functions are verbs, types are nouns, units come last (`copied_bytes`).

#![warn(unreachable_pub)]

pub mod account;
pub mod asset;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod command;
pub mod csv;
pub mod domain;
pub mod evidence;
pub mod exit_code;
pub mod glob;
pub mod interrupt;
pub mod pg;
pub mod playbook;
pub mod provider;
pub mod record;
pub mod report;
pub mod restore;
pub mod run;
pub mod tls;
pub mod transfer;
pub mod verify;
pub mod words;
