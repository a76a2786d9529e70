//! An ordered window: tasks run ahead in parallel, their results are returned in the order of their start.
//!
//! Used for the ranges of a large object: they arrive in any order and are hashed in the object's order.
//! How many run at once is decided by the caller of `push`.

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

/// Tasks that run ahead of their consumer.
pub struct OrderedWindow<T> {
    running: VecDeque<Running<T>>,
}

impl<T: Send + 'static> OrderedWindow<T> {
    /// An empty window.
    pub fn new() -> Self {
        OrderedWindow { running: VecDeque::new() }
    }

    /// Tasks whose results have not been taken.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether every result has been taken.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Starts a task.
    pub fn push(&mut self, work: impl Future<Output = T> + Send + 'static) {
        let handle = tokio::spawn(work);
        self.running.push_back(Running { abort: handle.abort_handle(), handle });
    }

    /// The next result in order, or none after the last; an error only if the task itself panicked.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        let mut first = self.running.pop_front()?;
        Some((&mut first.handle).await)
    }
}

impl<T: Send + 'static> Default for OrderedWindow<T> {
    fn default() -> Self {
        OrderedWindow::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn results_come_in_order() {
        let mut window = OrderedWindow::new();
        for number in 0..20u64 {
            window.push(async move {
                tokio::time::sleep(Duration::from_millis(20 - number)).await;
                number
            });
        }
        assert_eq!(window.len(), 20);
        let mut seen = Vec::new();
        while let Some(result) = window.next().await {
            seen.push(result.expect("no panic"));
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_ended() {
        let (held, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let mut window = OrderedWindow::new();
        window.push(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(window);
        assert_eq!(ended.recv().await, None);
    }
}
