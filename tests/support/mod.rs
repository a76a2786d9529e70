//! What the integration tests share: servers that stand in for the provider, and a walkaway to run against them.
//!
//! A test that needs a server carries `#[ignore = "needs the stand-ins: run scripts/test"]`. Every server is the test's
//! own, on a free loopback port, with its data in a temporary directory; it ends when its value is dropped.
//!
//! ```ignore
//! use crate::support;
//!
//! #[test]
//! #[ignore = "needs the stand-ins: run scripts/test"]
//! fn carries_one_object() {
//!     let weed = support::weed();
//!     support::fill_bucket(weed.endpoint(), "files", &[("a", b"1")]);
//!     let source = support::PgCluster::start();
//!     source.execute("postgres", "create database shop");
//!     let output = support::walkaway().args(["run", "playbook.yaml"]).env("SHOP", source.url("shop")).output();
//! }
//! ```
#![allow(dead_code, unused_imports, reason = "some helpers serve a single test")]

mod bucket;
mod disk;
pub mod disturb;
pub mod drill;
pub mod independent;
mod machine;
pub mod majors;
pub mod memory;
pub mod parquet;
mod postgres;
pub mod published;
mod servers;

use std::{env, path::PathBuf, process::Command};

pub use self::{
    bucket::{block_on, client, decoded, fill_bucket, put_in_parts},
    disk::{SmallDisk, may_mount},
    machine::{TempDir, free_port, user_ids},
    postgres::PgCluster,
    servers::{MotoServer, WeedServer, moto, weed},
};

/// The credentials that [`weed`] accepts; [`moto`] accepts any.
pub const ACCESS_KEY: &str = "walkaway-test";
/// The secret that goes with [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "walkaway-test-secret";
/// The region of every stand-in.
pub const REGION: &str = "us-east-1";

/// The walkaway under test, with no environment but the PATH and the credentials of the stand-ins.
pub fn walkaway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walkaway"));
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A program of the stand-ins: `weed`, `moto_server`, `bagit.py`, `python`.
pub fn standin(program: &str) -> PathBuf {
    let home = env::var_os("WALKAWAY_STANDINS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".standins"), PathBuf::from);
    let path = home.join("bin").join(program);
    assert!(path.exists(), "{} is missing: run scripts/test", path.display());
    path
}
