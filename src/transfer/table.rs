//! Copies the rows of one table: read once, hashed and spooled by one thread, restored by another, in the same pass.
//!
//! Handles rows only as COPY text; nothing here decodes a value or talks to a server.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{ScopedJoinHandle, scope},
};

use super::{
    error::{SinkError, SourceError, TransferError},
    meter::Meter,
};
use crate::{
    domain::digest::{RowDigest, RowTotals},
    interrupt::Interrupt,
};

/// Bytes per batch; a batch ends after the row that reaches this.
pub const BATCH_BYTES: usize = 256 << 10;
/// Batches queued between the threads.
const BATCHES_IN_FLIGHT: usize = 8;

/// Produces rows in COPY text format.
pub trait RowSource {
    /// Appends whole rows to an empty batch until it holds about [`BATCH_BYTES`]; an empty batch means the end.
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError>;

    /// After the end: the source's own count of sent rows; none if it doesn't count.
    fn sent(&self) -> Option<u64> {
        None
    }
}

/// Consumes rows in COPY text format.
pub trait RowSink: Send {
    /// Takes the next rows.
    fn write(&mut self, rows: &[u8]) -> Result<(), SinkError>;

    /// Ends the stream and commits it. A sink that is dropped unfinished keeps nothing.
    /// Returns its count of accepted rows, or none if it doesn't count.
    fn finish(&mut self) -> Result<Option<u64>, SinkError>;
}

/// What the relay observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedRows {
    /// Rows, bytes and digest of the stream.
    pub stream: RowTotals,
    /// Rows that the source reported as sent.
    pub sent_rows: Option<u64>,
    /// Rows that the target reported as accepted.
    pub accepted_rows: u64,
}

enum Message {
    Rows(Arc<Vec<u8>>),
    End,
}

/// Copies every row of `source` to both sinks. On any error neither sink is finished, and the meter has not counted it.
pub fn copy_rows(
    source: &mut dyn RowSource,
    digest: RowDigest,
    spool: &mut dyn RowSink,
    target: &mut dyn RowSink,
    meter: &Meter,
    interrupt: &Interrupt,
) -> Result<CopiedRows, TransferError> {
    let heard = Meter::default();
    let relayed = pass_on(source, digest, spool, target, [meter, &heard], interrupt);
    if relayed.is_err() {
        let heard = heard.read();
        meter.take_back_bytes(heard.bytes);
        meter.take_back_items(heard.items);
    }
    relayed
}

fn pass_on(
    source: &mut dyn RowSource,
    digest: RowDigest,
    spool: &mut dyn RowSink,
    target: &mut dyn RowSink,
    meters: [&Meter; 2],
    interrupt: &Interrupt,
) -> Result<CopiedRows, TransferError> {
    scope(|scope| {
        let (to_spool, spooling) = sync_channel(BATCHES_IN_FLIGHT);
        let (to_target, restoring) = sync_channel(BATCHES_IN_FLIGHT);
        let spooler = scope.spawn(move || spool_rows(&spooling, spool, digest, meters));
        let restorer = scope.spawn(move || restore_rows(&restoring, target));
        let read = read_rows(source, [&to_spool, &to_target], interrupt);
        drop((to_spool, to_target));
        let spooled = join(spooler);
        let restored = join(restorer);
        let accepted_rows = restored?;
        let stream = spooled?;
        read?;
        match (stream, accepted_rows) {
            (Some(stream), Some(accepted_rows)) => Ok(CopiedRows { stream, sent_rows: source.sent(), accepted_rows }),
            _ => Err(TransferError::Internal("the stream of rows ended early".to_owned())),
        }
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T, TransferError>>) -> Result<T, TransferError> {
    thread.join().unwrap_or_else(|_| Err(TransferError::Internal("a relaying thread panicked".to_owned())))
}

/// Reads until the end, an error, or a sink that closed its channel; the sink's own error states why.
fn read_rows(
    source: &mut dyn RowSource,
    sinks: [&SyncSender<Message>; 2],
    interrupt: &Interrupt,
) -> Result<(), TransferError> {
    loop {
        if interrupt.asked() {
            return Err(TransferError::Interrupted);
        }
        let mut batch = Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 8);
        source.fill(&mut batch)?;
        let ended = batch.is_empty();
        let batch = Arc::new(batch);
        for sink in sinks {
            let message = if ended { Message::End } else { Message::Rows(Arc::clone(&batch)) };
            if sink.send(message).is_err() {
                return Ok(());
            }
        }
        if ended {
            return Ok(());
        }
    }
}

fn spool_rows(
    batches: &Receiver<Message>,
    spool: &mut dyn RowSink,
    mut digest: RowDigest,
    meters: [&Meter; 2],
) -> Result<Option<RowTotals>, TransferError> {
    while let Ok(message) = batches.recv() {
        let Message::Rows(rows) = message else {
            spool.finish()?;
            return Ok(digest.finish());
        };
        let before = digest.rows();
        digest.update(&rows);
        spool.write(&rows)?;
        for meter in meters {
            meter.add_bytes(rows.len() as u64);
            meter.add_items(digest.rows() - before);
        }
    }
    Ok(None)
}

fn restore_rows(batches: &Receiver<Message>, target: &mut dyn RowSink) -> Result<Option<u64>, TransferError> {
    while let Ok(message) = batches.recv() {
        let Message::Rows(rows) = message else { return Ok(target.finish()?) };
        target.write(&rows)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::{RowKey, Sha256Digest};

    struct Lines(Vec<&'static str>, Option<&'static str>);

    impl RowSource for Lines {
        fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
            match (self.0.pop(), self.1) {
                (Some(line), _) => batch.extend_from_slice(line.as_bytes()),
                (None, Some(reason)) => {
                    return Err(SourceError::Permanent { what: "t".into(), reason: reason.into() });
                }
                (None, None) => {}
            }
            Ok(())
        }
    }

    #[derive(Default)]
    struct Kept {
        bytes: Vec<u8>,
        finished: bool,
        refuses: bool,
    }

    impl RowSink for Kept {
        fn write(&mut self, rows: &[u8]) -> Result<(), SinkError> {
            if self.refuses {
                return Err(SinkError::Database {
                    what: "t".into(),
                    reason: "disk full".into(),
                    code: None,
                    server_failed: true,
                    went_away: false,
                });
            }
            self.bytes.extend_from_slice(rows);
            Ok(())
        }

        fn finish(&mut self) -> Result<Option<u64>, SinkError> {
            self.finished = true;
            Ok(Some(self.bytes.iter().filter(|byte| **byte == b'\n').count() as u64))
        }
    }

    fn run(source: &mut Lines, target: &mut Kept) -> (Result<CopiedRows, TransferError>, Kept) {
        let mut spool = Kept::default();
        let digest = RowDigest::new(RowKey(Sha256Digest([1; 32])), "t");
        let result = copy_rows(source, digest, &mut spool, target, &Meter::default(), &Interrupt::default());
        (result, spool)
    }

    #[test]
    fn both_sinks_get_every_row() {
        let mut target = Kept::default();
        let (result, spool) = run(&mut Lines(vec!["c\n", "a\nb\n"], None), &mut target);
        let relayed = result.expect("relayed");
        assert_eq!((relayed.stream.rows, relayed.accepted_rows), (3, 3));
        assert_eq!((&target.bytes[..], &spool.bytes[..]), (&b"a\nb\nc\n"[..], &b"a\nb\nc\n"[..]));
    }

    #[test]
    fn a_source_that_fails_finishes_nothing() {
        let mut target = Kept::default();
        let (result, spool) = run(&mut Lines(vec!["a\n"], Some("reset")), &mut target);
        assert!(matches!(result, Err(TransferError::Source(_))));
        assert!(!target.finished && !spool.finished);
    }

    #[test]
    fn a_target_that_refuses_ends_the_relay_with_its_own_error() {
        let mut target = Kept { refuses: true, ..Kept::default() };
        let (result, _) = run(&mut Lines(vec!["a\n"; 100], None), &mut target);
        assert!(matches!(result, Err(TransferError::Sink(_))));
    }

    #[test]
    fn a_stream_that_ends_inside_a_row_is_an_error() {
        let (result, _) = run(&mut Lines(vec!["a"], None), &mut Kept::default());
        assert!(matches!(result, Err(TransferError::Internal(_))));
    }
}
