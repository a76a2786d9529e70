//! The wish to stop, asked for once and seen everywhere: in async code as a future, in threads as a flag.
//!
//! Nothing here listens to signals; the command line does and calls [`Interrupt::ask`].

use std::sync::Arc;

use tokio::sync::watch;

/// A cloneable handle; all clones share one wish.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<watch::Sender<bool>>);

impl Default for Interrupt {
    fn default() -> Self {
        Interrupt(Arc::new(watch::Sender::new(false)))
    }
}

impl Interrupt {
    /// Asks everyone to stop at the next safe point. Asking twice changes nothing.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until somebody asks.
    pub async fn wait(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as `self`, so the only way out of the wait is the wish itself.
        let _ = seen.wait_for(|asked| *asked).await;
    }
}
