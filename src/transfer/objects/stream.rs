//! Takes the ranges of a large object in order and hashes them on one thread while another writes them.
//!
//! Both threads see every range; its memory is released when the slower one is done with it. Few are queued, so a
//! slow disk slows the reading down and fills no memory.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{budget::Share, staging::Incoming};
use crate::transfer::{
    checksum::{MultiBufferMd5, Observed, StreamDigest},
    error::TransferError,
    properties::Properties,
    provider_checksum::StatedChecksums,
};

/// Ranges that are queued for each of the threads.
const RANGES_WAITING: usize = 2;

/// A range in memory.
pub(super) struct Chunk {
    pub pieces: Vec<Bytes>,
    pub _share: Share,
}

/// A piece that keeps its range, so that its share of the budget is returned when the bytes are gone.
struct Held {
    piece: Bytes,
    _chunk: Arc<Chunk>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

/// What the threads are sent; a channel that closes without an end means that the object was abandoned.
#[derive(Clone)]
enum Message {
    Next(Arc<Chunk>),
    End,
}

/// The two threads of one object.
pub(super) struct Stream {
    to_hash: mpsc::Sender<Message>,
    to_write: mpsc::Sender<Message>,
    hashing: JoinHandle<Option<Observed>>,
    writing: JoinHandle<Result<(), TransferError>>,
}

impl Stream {
    /// Starts both threads; the object is created by the writing one.
    pub(super) fn start(
        incoming: Incoming,
        properties: Properties,
        checksum: StatedChecksums,
        md5: Arc<MultiBufferMd5>,
    ) -> Self {
        let (to_hash, hashable) = mpsc::channel(RANGES_WAITING);
        let (to_write, writable) = mpsc::channel(RANGES_WAITING);
        let hashing = spawn_blocking(move || hash(hashable, StreamDigest::new(checksum, Some(&md5))));
        let writing = spawn_blocking(move || write(writable, &incoming, &properties));
        Stream { to_hash, to_write, hashing, writing }
    }

    /// Passes the next range on; if writing has ended early, its error is the result.
    pub(super) async fn push(&mut self, chunk: Chunk) -> Result<(), TransferError> {
        self.send(Message::Next(Arc::new(chunk))).await
    }

    /// Waits for both threads.
    pub(super) async fn finish(mut self) -> Result<Observed, TransferError> {
        self.send(Message::End).await?;
        self.writing.await??;
        self.hashing.await?.ok_or_else(TransferError::of_thread)
    }

    /// Abandons the object, and waits until no thread can write to its place any more.
    pub(super) async fn abandon(self) {
        let Stream { to_hash, to_write, hashing, writing } = self;
        drop((to_hash, to_write));
        // The result of an abandoned object is ignored. A thread that has ended may have been joined before.
        if !writing.is_finished() {
            let _ = writing.await;
        }
        if !hashing.is_finished() {
            let _ = hashing.await;
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), TransferError> {
        let is_sent = self.to_hash.send(message.clone()).await.is_ok();
        if is_sent && self.to_write.send(message).await.is_ok() {
            return Ok(());
        }
        (&mut self.writing).await??;
        Err(TransferError::Internal("a thread of a large object ended before its object did".to_owned()))
    }
}

fn hash(mut chunks: mpsc::Receiver<Message>, mut digest: StreamDigest) -> Option<Observed> {
    while let Some(Message::Next(chunk)) = chunks.blocking_recv() {
        for piece in &chunk.pieces {
            let held = Held { piece: piece.clone(), _chunk: Arc::clone(&chunk) };
            digest.update(&Bytes::from_owner(held));
        }
    }
    digest.finish()
}

fn write(
    mut chunks: mpsc::Receiver<Message>,
    incoming: &Incoming,
    properties: &Properties,
) -> Result<(), TransferError> {
    let mut pending = incoming.create(properties)?;
    loop {
        match chunks.blocking_recv() {
            Some(Message::Next(chunk)) => chunk.pieces.iter().try_for_each(|piece| pending.write(piece))?,
            Some(Message::End) => return Ok(pending.finish()?),
            None => return Err(TransferError::Interrupted),
        }
    }
}
