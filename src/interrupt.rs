//! Cancellation, requested once and seen everywhere: as a future in async code, as a flag in threads. It also lists what
//! would be left at the provider if the process ended at once.
//!
//! Nothing here listens to signals; the command line does and calls [`Interrupt::ask`].

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// A cloneable handle; all clones share one request.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<watch::Sender<bool>>,
    held: Arc<Mutex<BTreeSet<String>>>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Interrupt { asked: Arc::new(watch::Sender::new(false)), held: Arc::default() }
    }
}

impl Interrupt {
    /// Requests a stop at the next safe point. Requesting it twice changes nothing.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Whether a stop was requested.
    pub fn asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until a stop is requested.
    pub async fn wait(&self) {
        let mut seen = self.asked.subscribe();
        // The sender lives as long as `self`, so the only way out of the wait is the request itself.
        let _ = seen.wait_for(|asked| *asked).await;
    }

    /// Runs a future to its end or until a stop is requested; then it is dropped and there is no result.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.wait() => None,
        }
    }

    /// From now on something may be left at the provider.
    pub fn hold(&self, resource: impl ToString) {
        self.names().insert(resource.to_string());
    }

    /// It can no longer be left.
    pub fn release(&self, resource: impl ToString) {
        self.names().remove(&resource.to_string());
    }

    /// What may be left at the provider.
    pub fn held(&self) -> Vec<String> {
        self.names().iter().cloned().collect()
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
