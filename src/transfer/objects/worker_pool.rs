//! Threads that hash and write, so that the tasks of the network never wait for a disk.
//!
//! One queue for all of them; what waits in it is bounded by the budget of bytes. A job that panics ends alone.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use crate::transfer::error::TransferError;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; dropped, it lets the running jobs end and forgets the waiting ones.
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
    /// Starts so many threads.
    pub fn start(threads: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let start = |_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.serve())
        };
        let threads = (0..threads.max(1)).map(start).collect();
        WorkerPool { queue, threads }
    }

    /// Has `job` done by a thread, unless nobody waits for it any more when its turn comes.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, TransferError> {
        let (result, done) = oneshot::channel();
        self.queue.push(Box::new(move || {
            if !result.is_closed() {
                // If nobody waits for the result any more, nobody misses it.
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
            // Jobs catch their panics, so there is nothing to be heard from a thread.
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
            // The job's own channel says that it failed.
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
