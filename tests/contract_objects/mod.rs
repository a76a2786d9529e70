//! What every source and every sink of objects has to do, asked of each implementation.
//!
//! Sources: memory, and `S3Source` on three servers: a lean one in this process, which keeps any key as it is;
//! SeaweedFS; moto. Sinks: memory, `Tree`, `TarArchives`, and `S3Target` on SeaweedFS and moto. Leaves out the copier between them: that is `object_faults.rs`.

mod keys;
#[path = "../../benches/lean/mod.rs"]
mod lean;
mod sinks;
mod sources;
