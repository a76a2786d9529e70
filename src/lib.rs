//! walkaway proves that you can leave your cloud provider.
//!
//! A playbook names buckets and databases. A run streams them to this machine, restores them, compares what was
//! restored with what the provider held, and leaves a bundle of evidence that stock tools verify.
//!
//! # The way of the data
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
//! The bytes cross once: hashed, spooled and restored in the same pass. Reading back is a second phase, timed apart.
//!
//! # Reading order
//!
//! | module | one sentence |
//! |---|---|
//! | [`playbook`] | turns the YAML into a [`playbook::Playbook`], a type that can only be valid, or reports every problem at once |
//! | [`command`] | what is no run: `verify --restored`, `doctor`, `clean`, `due`, `init`, and what a bundle promises |
//! | [`run`] | plans a run, looks before it leaps, runs each asset, decides the verdict, seals the bundle |
//! | [`asset`] | what is carried out and gets a verdict, a folder for each kind: how it is measured, carried, proven, looked at again |
//! | [`record`] | what a run writes while it is at work: its directory, its journal, its receipts |
//! | [`source`] | reads from the provider: lists and opens objects, exports a snapshot and copies tables out |
//! | [`aws`] | the one client layer for AWS and S3 servers, for `source` and `restore`: configuration, credentials, signatures, HTTP, strict reading |
//! | [`transfer`] | moves a unit from a source to a sink while observers hash and count it, and writes the receipt; units and receipts as values, and the executor that runs them |
//! | [`restore`] | the sinks: a tree of files, a PostgreSQL database, a disposable cluster made for the purpose |
//! | [`verify`] | reads back what was restored, compares it with the receipts, and proves that it would notice damage |
//! | [`evidence`] | the hash-chained journal, the result, the BagIt bag, and the offline check of all three |
//! | [`account`] | judges the account around the drill: what is there, what was tested of it, in what state it lies |
//! | [`pg`] | what the PostgreSQL side of source, restore and verify share: connecting, session settings, names, tools |
//! | [`event`] | what happens during a run, and the [`event::Monitor`] that hears of it |
//! | [`finding`] | discrepancies as values, and the verdict that follows from them |
//! | [`digest`] | SHA-256 values and the keyed digest of a table's rows |
//! | [`exit_code`], [`clock`], [`interrupt`], [`tls`], [`words`] | the exit codes; the only reader of time; the wish to stop; verified TLS; numbers as people read them |
//! | [`report`] | what people and machines read of a result: HTML, JUnit, OSCAL, the plan as a document |
//! | [`glob`], [`csv`] | names by pattern; comma-separated values |
//! | [`cli`] | the arguments, one short function per command, the terminal |
//!
//! # Invariants
//!
//! `tests/architecture.rs` holds the ones that can be read off the imports.
//!
//! 1. `cli` → `command` → `run` → `asset` → {`source`, `restore`, `verify`} → `transfer`; `record` and `evidence` are written by
//!    all three. `playbook` is used by `cli`, `command`, `run` and `asset`, and uses none of these; nothing imports `cli`.
//! 2. `source` and `restore` never import each other; `transfer` knows traits only.
//! 3. `verify` reads receipts and the restored copy. It never takes the transfer's word for what was stored.
//! 4. The terminal and the journal are both consumers of [`event`]. Nothing below `cli` prints.
//! 5. The AWS SDK is used in `aws`, `source` and in the S3 sink of `restore` only; PostgreSQL clients in `pg`, `source`,
//!    `restore` and `verify` only.
//! 6. Sources have no method that writes or deletes, so harming the provider's data cannot be expressed.
//! 7. There is no dry-run flag: `plan` measures and prints a [`run::Plan`], `run` consumes one. A match over kinds of asset
//!    stands in `asset::kinds`, and what is true of every asset of a kind in [`event::AssetKind::facts`].
//! 8. Evidence that cannot be written fails the run.
//! 9. `report` sees the values of a result and of a playbook, and does no input or output: whoever has `result.json` can
//!    make every report again and compare.
//! 10. A file appears under its final name only after its digest was taken and its bytes were synced; the journal
//!     records a unit only after that.
//! 11. Units and their receipts ([`transfer::executor`]) are values with a version, no secrets and no borrowed lifetimes; what
//!     runs them is an executor, which neither buckets nor databases know.
//! 12. `account` judges values and does nothing else: it reads no file, asks no server, and knows no time.

pub mod account;
pub mod asset;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod command;
pub mod csv;
pub mod digest;
pub mod event;
pub mod evidence;
pub mod exit_code;
pub mod finding;
pub mod glob;
pub mod interrupt;
pub mod pg;
pub mod playbook;
pub mod record;
pub mod report;
pub mod restore;
pub mod run;
pub mod source;
pub mod tls;
pub mod transfer;
pub mod verify;
pub mod words;
