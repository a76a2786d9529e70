//! Writes every fact into the journal first, then passes it to the monitor.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    clock,
    domain::{
        digest::Sha256Digest,
        event::{Event, Monitor},
    },
    evidence::{Journal, JournalError, result::JournalHead},
};

/// How often a run records a heartbeat.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// The only path by which a run reports facts.
pub struct Recorder {
    journal: Mutex<Journal>,
    monitor: Arc<dyn Monitor>,
}

impl Recorder {
    pub fn new(journal: Journal, monitor: Arc<dyn Monitor>) -> Self {
        Recorder { journal: Mutex::new(journal), monitor }
    }

    /// Records a fact. An error means that the evidence is incomplete, and the run must not continue.
    pub fn fact(&self, event: &Event) -> Result<(), JournalError> {
        self.fact_at(event).map(drop)
    }

    /// The same; returns the time in the journal.
    pub fn fact_at(&self, event: &Event) -> Result<Timestamp, JournalError> {
        let at = clock::now();
        // Findings come in numbers and are followed by facts that are synced.
        match event {
            Event::Found { .. } => self.journal().append(at, event)?,
            _ => self.journal().append_synced(at, event)?,
        }
        self.monitor.fact(at, event);
        Ok(at)
    }

    /// The monitor for progress.
    pub fn monitor(&self) -> &Arc<dyn Monitor> {
        &self.monitor
    }

    /// The identity of the journal's file, with the machine's boot.
    pub fn place(&self) -> Option<Sha256Digest> {
        self.journal().place()
    }

    pub fn head(&self) -> JournalHead {
        self.journal().head()
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // A journal that failed in the middle of a write refuses further lines itself.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
