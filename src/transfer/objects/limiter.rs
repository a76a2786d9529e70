//! The number of concurrent requests: as many as the goodput rewards, fewer when the provider reports that it is busy.
//!
//! Hill climbing by epochs. A larger limit is kept while it yields noticeably more; if it does not, the previous one is
//! restored, and kept for a while. A throttled epoch halves the limit (additive increase, multiplicative decrease;
//! Chiu and Jain, 1989). Nothing is learnt from an epoch in which the limit was never reached.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Stopwatch;

const LIMIT_MIN: usize = 4;
const LIMIT_MAX: usize = 256;
const EPOCH: Duration = Duration::from_millis(300);
/// The bytes that cost the connection as much as a request.
const REQUEST_WORTH_BYTES: u64 = 64 << 10;
/// A larger limit has to yield this much more to be kept, in percent.
const GAIN_PERCENT_MIN: u64 = 8;
/// Epochs without an attempt, after one that did not pay off.
const REST_EPOCHS: u32 = 20;
/// Epochs without an attempt, after the provider was busy.
const REST_EPOCHS_THROTTLED: u32 = 10;

/// The limit, and how much of it is taken.
pub(super) struct ConcurrencyLimiter {
    slots: Arc<Semaphore>,
    limit: AtomicUsize,
    work: AtomicU64,
    waited: AtomicBool,
    throttled: AtomicBool,
    watch: Stopwatch,
    shared: Mutex<Shared>,
}

struct Shared {
    control: Control,
    /// Slots that are to be removed as they become free.
    owed: usize,
    epoch_began: Duration,
}

/// The permit for one request.
pub(super) struct Permit {
    limiter: Arc<ConcurrencyLimiter>,
    slot: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// Starts with this limit.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let shared = Shared { control: Control::new(limit), owed: 0, epoch_began: Duration::ZERO };
        Arc::new(ConcurrencyLimiter {
            slots: Arc::new(Semaphore::new(limit)),
            limit: AtomicUsize::new(limit),
            work: AtomicU64::new(0),
            waited: AtomicBool::new(false),
            throttled: AtomicBool::new(false),
            watch: Stopwatch::start(),
            shared: Mutex::new(shared),
        })
    }

    /// The current limit.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Waits for a permit.
    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        let free = Arc::clone(&self.slots).try_acquire_owned().ok();
        let slot = match free {
            Some(slot) => Some(slot),
            None => {
                self.waited.store(true, Relaxed);
                Arc::clone(&self.slots).acquire_owned().await.ok()
            }
        };
        Permit { limiter: Arc::clone(self), slot }
    }

    /// Bytes arrived.
    pub(super) fn note_bytes(&self, bytes: u64) {
        self.work.fetch_add(bytes, Relaxed);
    }

    /// A request was answered in full.
    pub(super) fn note_request(&self) {
        self.work.fetch_add(REQUEST_WORTH_BYTES, Relaxed);
    }

    /// The provider reports that it is busy.
    pub(super) fn note_throttled(&self) {
        self.throttled.store(true, Relaxed);
    }

    fn leave(&self, slot: Option<OwnedSemaphorePermit>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.watch.elapsed();
        if let Some(elapsed) = now.checked_sub(shared.epoch_began).filter(|elapsed| *elapsed >= EPOCH) {
            shared.epoch_began = now;
            let epoch = Epoch {
                work_per_s: per_second(self.work.swap(0, Relaxed), elapsed),
                waited: self.waited.swap(false, Relaxed),
                throttled: self.throttled.swap(false, Relaxed),
            };
            self.adjust(&mut shared, &epoch);
        }
        if let Some(slot) = slot
            && shared.owed > 0
        {
            shared.owed -= 1;
            slot.forget();
        }
    }

    fn adjust(&self, shared: &mut Shared, epoch: &Epoch) {
        let before = shared.control.limit;
        shared.control.learn(epoch);
        let limit = shared.control.limit;
        if limit != before {
            tracing::debug!(limit, before, epoch.work_per_s, epoch.throttled, "requests under way");
        }
        self.limit.store(limit, Relaxed);
        if limit > before {
            let back = (limit - before).min(shared.owed);
            shared.owed -= back;
            self.slots.add_permits(limit - before - back);
        } else {
            shared.owed += before - limit;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.leave(self.slot.take());
    }
}

fn per_second(work: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    work.saturating_mul(1_000) / millis
}

/// The observations of an epoch.
struct Epoch {
    work_per_s: u64,
    waited: bool,
    throttled: bool,
}

/// The pure rule, without clock and slots.
struct Control {
    limit: usize,
    /// The limit and rate before the last raise, while it is on trial.
    trial: Option<(usize, u64)>,
    rest: u32,
}

impl Control {
    fn new(limit: usize) -> Self {
        Control { limit, trial: None, rest: 0 }
    }

    fn learn(&mut self, epoch: &Epoch) {
        if epoch.throttled {
            self.limit = (self.limit / 2).max(LIMIT_MIN);
            (self.trial, self.rest) = (None, REST_EPOCHS_THROTTLED);
        } else if !epoch.waited {
            self.trial = None;
        } else if let Some((before, rate)) = self.trial.take() {
            if epoch.work_per_s.saturating_mul(100) >= rate.saturating_mul(100 + GAIN_PERCENT_MIN) {
                self.raise(epoch.work_per_s);
            } else {
                (self.limit, self.rest) = (before, REST_EPOCHS);
            }
        } else if self.rest > 0 {
            self.rest -= 1;
        } else {
            self.raise(epoch.work_per_s);
        }
    }

    fn raise(&mut self, rate: u64) {
        let raised = (self.limit + self.limit.div_ceil(2)).min(LIMIT_MAX);
        if raised > self.limit {
            self.trial = Some((self.limit, rate));
            self.limit = raised;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(epochs: u32, mut control: Control, rate: impl Fn(usize) -> u64) -> Control {
        for _ in 0..epochs {
            let epoch = Epoch { work_per_s: rate(control.limit), waited: true, throttled: false };
            control.learn(&epoch);
        }
        control
    }

    #[test]
    fn it_climbs_while_it_pays_and_no_further() {
        let far = after(12, Control::new(16), |limit| limit as u64 * 1_000);
        assert_eq!(far.limit, LIMIT_MAX);
        let knee = after(12, Control::new(16), |limit| limit.min(40) as u64 * 1_000);
        assert!((40..=60).contains(&knee.limit), "{}", knee.limit);
        let flat = after(12, Control::new(16), |_| 1_000);
        assert_eq!(flat.limit, 16);
    }

    #[test]
    fn a_busy_provider_halves_it_down_to_a_floor() {
        let mut control = Control::new(64);
        let throttled = Epoch { work_per_s: 1, waited: true, throttled: true };
        control.learn(&throttled);
        assert_eq!(control.limit, 32);
        (0..20).for_each(|_| control.learn(&throttled));
        assert_eq!(control.limit, LIMIT_MIN);
        let again = after(REST_EPOCHS_THROTTLED + 3, control, |limit| limit as u64 * 1_000);
        assert!(again.limit > LIMIT_MIN);
    }

    #[test]
    fn nothing_is_learnt_while_the_limit_is_not_reached() {
        let mut control = Control::new(16);
        for rate in 1..50 {
            control.learn(&Epoch { work_per_s: rate, waited: false, throttled: false });
        }
        assert_eq!(control.limit, 16);
    }

    #[tokio::test]
    async fn a_smaller_limit_takes_permits_away_as_they_become_free() {
        let limiter = ConcurrencyLimiter::new(8);
        let mut inside = Vec::new();
        for _ in 0..8 {
            inside.push(limiter.acquire().await);
        }
        let throttled = Epoch { work_per_s: 0, waited: true, throttled: true };
        limiter.adjust(&mut limiter.shared.lock().expect("no panic"), &throttled);
        assert_eq!(limiter.limit(), 4);
        inside.truncate(4);
        assert_eq!(limiter.slots.available_permits(), 0);
        inside.clear();
        assert_eq!(limiter.slots.available_permits(), 4);
    }
}
