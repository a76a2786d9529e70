//! A budget of bytes: each holder of bytes in memory holds a share of it, and waits until one is free.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that one permit represents.
const PERMIT_BYTES: u64 = 4 << 10;
/// The least that anything in flight is charged with: its request, its response's headers, its place in queues.
const SHARE_BYTES_MIN: u64 = 64 << 10;

/// Bytes that may be in memory at once; clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    total: u32,
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    _permits: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// The default for a run.
    pub const DEFAULT_BYTES: u64 = 512 << 20;

    /// A budget of `bytes`, rounded up to a whole share.
    pub fn new(bytes: u64) -> Self {
        let permits = (bytes.max(SHARE_BYTES_MIN) / PERMIT_BYTES).min(u64::from(u32::MAX >> 4));
        let total = u32::try_from(permits).unwrap_or(u32::MAX >> 4);
        Budget { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for a share of `bytes`; shares are given in the order of the requests. A request larger than the
    /// whole budget gets all of it.
    pub async fn take(&self, bytes: u64) -> Share {
        Share { _permits: Arc::clone(&self.permits).acquire_many_owned(self.permits_for(bytes)).await.ok() }
    }

    /// A share of `bytes`, if available without waiting.
    pub fn try_take(&self, bytes: u64) -> Option<Share> {
        let permits = Arc::clone(&self.permits).try_acquire_many_owned(self.permits_for(bytes)).ok()?;
        Some(Share { _permits: Some(permits) })
    }

    fn permits_for(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.max(SHARE_BYTES_MIN).div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).min(self.total)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget::new(Budget::DEFAULT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_limited_and_come_back() {
        let budget = Budget::new(1 << 20);
        let half = budget.take(1 << 19).await;
        let other = budget.try_take(1 << 19).expect("the other half");
        assert!(budget.try_take(1).is_none());
        drop(half);
        assert!(budget.try_take(1).is_some());
        drop(other);
        let all = budget.take(u64::MAX).await;
        assert!(budget.try_take(1).is_none(), "more than the budget is all of it");
        drop(all);
    }
}
