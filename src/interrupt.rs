//! The wish to stop, asked for once and seen everywhere: in async code as a future, in threads as a flag. With it goes what
//! would be left at the provider if the process ended at once.
//!
//! Nothing here listens to signals; the command line does and calls [`Interrupt::ask`].

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// A cloneable handle; all clones share one wish.
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
    /// Asks everyone to stop at the next safe point. Asking twice changes nothing.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until somebody asks.
    pub async fn wait(&self) {
        let mut seen = self.asked.subscribe();
        // The sender lives as long as `self`, so the only way out of the wait is the wish itself.
        let _ = seen.wait_for(|asked| *asked).await;
    }

    /// Does work until it is done or somebody asks; then it is dropped where it waits, and there is no result.
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

    /// It no longer can.
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
