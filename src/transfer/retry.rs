//! Bounded retries with exponential backoff and full jitter
//! (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use super::error::{SourceError, TransferError};

/// How often a read is attempted in all.
pub const ATTEMPTS_MAX: u32 = 5;
/// How often, if the provider keeps saying that it is busy: bursts of that take longer than a broken connection.
pub const THROTTLED_ATTEMPTS_MAX: u32 = 10;
const DELAY_BASE_MS: u64 = 100;
const DELAY_MAX_MS: u64 = 10_000;

/// Runs `attempt` until it succeeds, fails for good, or has been tried often enough.
pub async fn with_retries<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, TransferError>
where
    F: Future<Output = Result<T, TransferError>>,
{
    let mut attempts = Attempts::default();
    loop {
        match attempt().await {
            Err(error) => attempts.pause_after(error).await?,
            done => return done,
        }
    }
}

/// The attempts that one read has had.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
    throttled: u32,
}

impl Attempts {
    /// Waits before the next attempt, or gives the error back if there is to be none.
    pub async fn pause_after(&mut self, error: TransferError) -> Result<(), TransferError> {
        let Some(delay) = self.delay_after(&error) else { return Err(error) };
        tracing::debug!(?delay, %error, "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn delay_after(&mut self, error: &TransferError) -> Option<Duration> {
        let (tried, limit) = match error {
            TransferError::Source(SourceError::Throttled { .. }) => (&mut self.throttled, THROTTLED_ATTEMPTS_MAX),
            _ => (&mut self.failed, ATTEMPTS_MAX),
        };
        *tried += 1;
        (error.is_transient() && *tried < limit).then(|| delay(*tried))
    }
}

/// A random time up to the exponential bound after this many attempts.
fn delay(tried: u32) -> Duration {
    let bound = DELAY_MAX_MS.min(DELAY_BASE_MS << tried.min(16));
    let random = getrandom::u64().unwrap_or(bound);
    Duration::from_millis(random % (bound + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::error::SourceError;
    use std::cell::Cell;

    fn transient() -> TransferError {
        SourceError::Transient { what: "k".into(), reason: "reset".into() }.into()
    }

    #[tokio::test]
    async fn gives_up_after_the_last_attempt() {
        let tries = Cell::new(0);
        let result: Result<(), _> = with_retries(|| async {
            tries.set(tries.get() + 1);
            Err(transient())
        })
        .await;
        assert!(result.is_err());
        assert_eq!(tries.get(), ATTEMPTS_MAX);
    }

    #[test]
    fn a_busy_provider_gets_more_attempts() {
        let mut attempts = Attempts::default();
        let busy = SourceError::Throttled { what: "k".into(), reason: "SlowDown".into() }.into();
        let pauses = std::iter::from_fn(|| attempts.delay_after(&busy)).count();
        assert_eq!(pauses as u32, THROTTLED_ATTEMPTS_MAX - 1);
        assert!(attempts.delay_after(&transient()).is_some(), "a broken connection is counted apart");
    }

    #[tokio::test]
    async fn a_permanent_error_is_not_tried_again() {
        let tries = Cell::new(0);
        let result: Result<(), _> = with_retries(|| async {
            tries.set(tries.get() + 1);
            Err(SourceError::Changed { what: "k".into() }.into())
        })
        .await;
        assert!(result.is_err());
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn delays_are_bounded() {
        assert!((1..40).all(|tried| delay(tried) <= Duration::from_millis(DELAY_MAX_MS)));
    }
}
