//! Targets that misbehave: one whose disk is full or broken at one point, and one whose commit waits until it is let go on.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, mpsc},
};

use walkaway::transfer::{
    error::SinkError,
    object::{Arriving, ObjectEntry, ObjectSink, PendingObject, Refused, UnitSink},
    receipt::ObjectReceipt,
    unit::UnitId,
};

use crate::support::memory::MemorySink;

/// Where it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Begin,
    Create,
    Write,
    Finish,
    Commit,
}

/// A target whose disk is full, or broken, at one point.
pub struct FailingSink {
    pub inner: MemorySink,
    pub at: At,
    /// What the system says (errno(3)).
    pub errno: i32,
}

struct Failing<T: ?Sized> {
    at: At,
    errno: i32,
    inner: Box<T>,
}

fn fail_if(at: At, here: At, errno: i32) -> Result<(), SinkError> {
    if at == here { Err(SinkError::write("scripted", io::Error::from_raw_os_error(errno))) } else { Ok(()) }
}

impl ObjectSink for FailingSink {
    fn place(&self, entry: &ObjectEntry) -> String {
        self.inner.place(entry)
    }

    fn occupy(&self, key: &str, place: &str) {
        self.inner.occupy(key, place);
    }

    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError> {
        self.inner.discard_unrecorded(recorded)
    }

    fn close(&self) -> Result<(), SinkError> {
        self.inner.close()
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        fail_if(self.at, At::Begin, self.errno)?;
        Ok(Box::new(Failing { at: self.at, errno: self.errno, inner: self.inner.begin(unit)? }))
    }
}

impl UnitSink for Failing<dyn UnitSink> {
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        fail_if(self.at, At::Create, self.errno)?;
        Ok(Box::new(Failing { at: self.at, errno: self.errno, inner: self.inner.create(index, arriving)? }))
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        fail_if(self.at, At::Commit, self.errno)?;
        self.inner.commit(published)
    }
}

impl PendingObject for Failing<dyn PendingObject> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        fail_if(self.at, At::Write, self.errno)?;
        self.inner.write(bytes)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        fail_if(self.at, At::Finish, self.errno)?;
        self.inner.finish()
    }
}

/// A target whose commit says that it has begun, and waits until it is let go on.
pub struct SlowCommit {
    pub inner: MemorySink,
    pub begun: mpsc::Sender<()>,
    pub goes_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

struct SlowUnit {
    inner: Box<dyn UnitSink>,
    begun: mpsc::Sender<()>,
    goes_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl ObjectSink for SlowCommit {
    fn place(&self, entry: &ObjectEntry) -> String {
        self.inner.place(entry)
    }

    fn occupy(&self, key: &str, place: &str) {
        self.inner.occupy(key, place);
    }

    fn discard_unrecorded(&self, recorded: &HashSet<u128>) -> Result<(), SinkError> {
        self.inner.discard_unrecorded(recorded)
    }

    fn close(&self) -> Result<(), SinkError> {
        self.inner.close()
    }

    fn begin(&self, unit: &UnitId) -> Result<Box<dyn UnitSink>, SinkError> {
        let inner = self.inner.begin(unit)?;
        Ok(Box::new(SlowUnit { inner, begun: self.begun.clone(), goes_on: Arc::clone(&self.goes_on) }))
    }
}

impl UnitSink for SlowUnit {
    fn create(&self, index: usize, arriving: Arriving<'_>) -> Result<Box<dyn PendingObject>, SinkError> {
        self.inner.create(index, arriving)
    }

    fn commit(&self, published: &mut [(usize, ObjectReceipt)]) -> Result<Refused, SinkError> {
        self.begun.send(()).unwrap();
        self.goes_on.lock().unwrap().recv().unwrap();
        self.inner.commit(published)
    }
}
