//! Bounded retries with exponential backoff and full jitter
//! (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use super::error::TransferError;

/// How often a read is attempted in all.
pub const ATTEMPTS_MAX: u32 = 5;
const DELAY_BASE_MS: u64 = 100;
const DELAY_MAX_MS: u64 = 10_000;

/// Runs `attempt` until it succeeds, fails for good, or has been tried [`ATTEMPTS_MAX`] times.
pub async fn with_retries<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, TransferError>
where
    F: Future<Output = Result<T, TransferError>>,
{
    let mut tried = 1;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() && tried < ATTEMPTS_MAX => {
                tracing::debug!(tried, %error, "trying again");
                tokio::time::sleep(delay(tried)).await;
                tried += 1;
            }
            done => return done,
        }
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
