//! Threads that hash and write, so that network tasks never wait for a disk.
//!
//! One queue for all of them; what waits in it is bounded by the budget of bytes. A panic ends only its job.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use crate::transfer::error::TransferError;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; dropping it lets the running jobs end and discards the queued ones.
pub(super) struct WorkerPool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl WorkerPool {
    /// Starts this many threads.
    pub(super) fn start(threads: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let start = |_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.serve())
        };
        let threads = (0..threads.max(1)).map(start).collect();
        WorkerPool { queue, threads }
    }

    /// Runs `job` on a thread, unless its caller is gone when its turn comes.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TransferError> {
        let (result, done) = oneshot::channel();
        self.queue.push(Box::new(move || {
            if !result.is_closed() {
                // The receiver may be gone; then the result is not needed.
                drop(result.send(job()));
            }
        }));
        done.await.map_err(|_| TransferError::of_thread())
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // Jobs catch their panics, so a thread has nothing to report.
            drop(thread.join());
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        self.state().jobs.push_back(job);
        self.changed.notify_one();
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let forgotten = std::mem::take(&mut state.jobs);
        drop(state);
        self.changed.notify_all();
        drop(forgotten);
    }

    fn serve(&self) {
        while let Some(job) = self.next() {
            // The job's own channel reports the failure.
            drop(catch_unwind(AssertUnwindSafe(job)));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            match state.jobs.pop_front() {
                Some(job) => return Some(job),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_ends_alone() {
        let pool = WorkerPool::start(1);
        let failed = pool.run(|| panic!("scripted")).await;
        assert!(matches!(failed, Err(TransferError::Internal(_))), "{failed:?}");
        assert_eq!(pool.run(|| 7).await.expect("the thread lives on"), 7);
    }
}
