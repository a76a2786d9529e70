//! The bytes of one object, and what S3 says about them.
//!
//! An object is a stretch of a block that is read round and round, so that many large objects share little memory.

use std::{
    convert::Infallible,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm::Crc64Nvme, Digest as Crc};
use futures_util::Stream;
use md5::{Digest as _, Md5};
use s3s::{
    StdError,
    stream::{ByteStream, RemainingLength},
};

/// Bytes of one piece at most.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// One object; clones share its bytes.
#[derive(Clone)]
pub struct Content {
    block: Bytes,
    /// Where in the block the object begins.
    start: usize,
    /// Bytes.
    pub size: u64,
    /// MD5 of the bytes, hexadecimal.
    pub etag: String,
    /// CRC-64/NVME of the bytes, base64.
    pub crc64nvme: String,
}

impl Content {
    /// An object with these bytes.
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let block = bytes.into();
        let size = block.len() as u64;
        Content::cyclic(block, 0, size)
    }

    /// An object of `size` bytes that begins at `start` in the block and goes on at the block's beginning.
    pub fn cyclic(block: Bytes, start: usize, size: u64) -> Self {
        let mut md5 = Md5::new();
        let mut crc = Crc::new(Crc64Nvme);
        for piece in (Pieces { block: block.clone(), at: start, left: size }) {
            md5.update(&piece);
            crc.update(&piece);
        }
        let etag = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let crc64nvme = BASE64_STANDARD.encode(crc.finalize().to_be_bytes());
        Content { block, start, size, etag, crc64nvme }
    }

    /// The bytes of a range that lies inside the object.
    pub fn pieces(&self, range: Range<u64>) -> Pieces {
        let length = self.block.len().max(1) as u64;
        let at = (self.start as u64 + range.start) % length;
        Pieces { block: self.block.clone(), at: at as usize, left: range.end - range.start }
    }
}

/// The pieces of a range, each a slice of the block.
pub struct Pieces {
    block: Bytes,
    at: usize,
    left: u64,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let here = (self.block.len() - self.at).min(PIECE_BYTES_MAX);
        let length = usize::try_from(self.left).map_or(here, |left| left.min(here));
        let piece = self.block.slice(self.at..self.at + length);
        self.at = (self.at + length) % self.block.len().max(1);
        self.left -= length as u64;
        (length > 0).then_some(piece)
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next().map(Ok::<_, Infallible>).map(|piece| piece.map_err(Into::into)))
    }
}

impl ByteStream for Pieces {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}
