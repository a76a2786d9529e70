//! An ordered window: pieces of work run ahead in parallel, their results come out in order, at most `width` at a time.
//!
//! Used for the ranges of a large object: they arrive as the network likes and are hashed as they stand in the object.

use std::{collections::VecDeque, future::Future};

use tokio::task::{AbortHandle, JoinError, JoinHandle};

/// A running task that ends when its owner no longer waits for it.
struct Running<T> {
    handle: JoinHandle<T>,
    abort: AbortHandle,
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Runs the futures of an iterator ahead of the consumer.
pub struct OrderedWindow<I, T> {
    waiting: I,
    running: VecDeque<Running<T>>,
    width: usize,
}

impl<I, F, T> OrderedWindow<I, T>
where
    I: Iterator<Item = F>,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    /// A window over `work` that keeps up to `width` futures running (at least one).
    pub fn new(work: I, width: usize) -> Self {
        OrderedWindow { waiting: work, running: VecDeque::new(), width: width.max(1) }
    }

    /// The next result in order, or none after the last; an error only if the work itself panicked.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        while self.running.len() < self.width {
            let Some(future) = self.waiting.next() else { break };
            let handle = tokio::spawn(future);
            self.running.push_back(Running { abort: handle.abort_handle(), handle });
        }
        let mut first = self.running.pop_front()?;
        Some((&mut first.handle).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    #[tokio::test]
    async fn results_come_in_order_and_the_window_is_bounded() {
        let running = Arc::new(AtomicUsize::new(0));
        let work = (0..20u64).map(|number| {
            let running = Arc::clone(&running);
            async move {
                let now = running.fetch_add(1, SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(20 - number)).await;
                running.fetch_sub(1, SeqCst);
                (number, now)
            }
        });
        let mut window = OrderedWindow::new(work, 4);
        let mut seen = Vec::new();
        while let Some(result) = window.next().await {
            let (number, at_once) = result.expect("no panic");
            assert!(at_once <= 4);
            seen.push(number);
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }
}
