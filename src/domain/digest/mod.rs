//! SHA-256 values, the keyed digest of a table's rows, the Merkle root over a database's exports, and the
//! code of a message under a key.

mod hmac;
mod merkle;
mod rows;
mod sha256;

pub use self::{
    hmac::hmac_sha256,
    merkle::MerkleTree,
    rows::{RowDigest, RowKey, RowSum, RowTotals},
    sha256::Sha256Digest,
};
