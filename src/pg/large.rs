//! Large objects: read in pieces, hashed, and written again under the same number.
//!
//! Source: PostgreSQL documentation, "Server-Side Functions" of "Large Objects".

use postgres::GenericClient;
use sha2::{Digest as _, Sha256};

use super::PgError;
use crate::domain::digest::Sha256Digest;

/// Bytes per piece.
const PIECE_BYTES: i32 = 1 << 20;

/// Size and digest of one large object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeObject {
    /// Its number, by which rows refer to it.
    pub oid: u32,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: Sha256Digest,
}

/// The numbers of all of them, in order.
pub fn list(client: &mut impl GenericClient) -> Result<Vec<u32>, PgError> {
    let failed = |error| PgError::statement("listing the large objects", &error);
    let rows = client.query("SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY oid", &[]).map_err(failed)?;
    rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}

/// Reads one in pieces, each of which is passed to `take`.
pub fn read(
    client: &mut impl GenericClient,
    oid: u32,
    mut take: impl FnMut(i64, &[u8]) -> Result<(), PgError>,
) -> Result<LargeObject, PgError> {
    let failed = |error| PgError::statement(format!("reading large object {oid}"), &error);
    let mut hasher = Sha256::new();
    let mut offset = 0_i64;
    loop {
        let row = client.query_one("SELECT pg_catalog.lo_get($1, $2, $3)", &[&oid, &offset, &PIECE_BYTES]);
        let piece: Vec<u8> = row.and_then(|row| row.try_get(0)).map_err(failed)?;
        hasher.update(&piece);
        if !piece.is_empty() {
            take(offset, &piece)?;
        }
        offset += piece.len() as i64;
        if piece.len() < PIECE_BYTES as usize {
            return Ok(LargeObject { oid, bytes: offset.unsigned_abs(), sha256: hasher.into() });
        }
    }
}

/// Creates an empty one under this number.
pub fn create(client: &mut impl GenericClient, oid: u32) -> Result<(), PgError> {
    let failed = |error| PgError::statement(format!("making large object {oid}"), &error);
    client.execute("SELECT pg_catalog.lo_create($1)", &[&oid]).map(drop).map_err(failed)
}

/// Removes one that could not be filled.
pub fn remove(client: &mut impl GenericClient, oid: u32) -> Result<(), PgError> {
    let failed = |error| PgError::statement(format!("removing large object {oid}"), &error);
    client.execute("SELECT pg_catalog.lo_unlink($1)", &[&oid]).map(drop).map_err(failed)
}

/// Writes a piece of one.
pub fn write(client: &mut impl GenericClient, oid: u32, offset: i64, piece: &[u8]) -> Result<(), PgError> {
    let failed = |error| PgError::statement(format!("writing large object {oid}"), &error);
    client.execute("SELECT pg_catalog.lo_put($1, $2, $3)", &[&oid, &offset, &piece]).map(drop).map_err(failed)
}
