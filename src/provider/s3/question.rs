//! Questions about objects beside their bytes: tags, access control lists, parts. What fails on the way is asked again with
//! its object; a server or proxy that serves objects and never answers such a question would be waited for with each of
//! them, so after some failures in a row the question is not asked any more, and each object says that.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::timeout;

use crate::transfer::error::SourceError;

/// An answer takes no longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How much failures in a row weigh until it is enough: three without an answer, or ten of "fewer, please".
const ENOUGH: u32 = 30;
const UNANSWERED: u32 = 10;
const THROTTLED: u32 = 3;

/// One kind of question, to one bucket.
#[derive(Debug, Default)]
pub(super) struct Question {
    failed: AtomicU32,
    /// Why it is not asked any more.
    given_up: OnceLock<String>,
}

impl Question {
    /// Asks, unless it was asked in vain too often.
    ///
    /// # Errors
    /// The outer one is to be tried again with the object. The inner one is what there is instead of an answer.
    pub(super) async fn ask<T>(
        &self,
        what: &str,
        asking: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<Result<T, SourceError>, SourceError> {
        if let Some(reason) = self.given_up.get() {
            return Ok(Err(SourceError::Unreached { what: what.to_owned(), reason: reason.clone() }));
        }
        let before = self.failed.load(Relaxed);
        let answer = timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| {
            let reason = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
            Err(SourceError::Unreached { what: what.to_owned(), reason })
        });
        let error = match answer {
            Err(error) if error.is_passing() || error.is_about_caller() => error,
            answer => {
                self.failed.store(0, Relaxed);
                return Ok(answer);
            }
        };
        let is_enough = self.count(before, &error) >= ENOUGH;
        if is_enough {
            let reason = format!("not asked any more after failures in a row, the last one: {}", error.detail());
            // Another one may have come before.
            let _ = self.given_up.set(reason);
        }
        match error {
            // Answered, but not with sense: other objects may be told of better.
            SourceError::Transient { .. } => Ok(Err(error)),
            error if is_enough => Ok(Err(error)),
            error => Err(error),
        }
    }

    /// Counts a failure; those that were on their way together fail together, and count once: an outage is over when the
    /// next object is served.
    fn count(&self, before: u32, error: &SourceError) -> u32 {
        let weight = if matches!(error, SourceError::Throttled { .. }) { THROTTLED } else { UNANSWERED };
        match self.failed.compare_exchange(before, before + weight, Relaxed, Relaxed) {
            Ok(_) => before + weight,
            Err(now) => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Made = fn(String, String) -> SourceError;
    const UNREACHED: Made = |what, reason| SourceError::Unreached { what, reason };
    const THROTTLED: Made = |what, reason| SourceError::Throttled { what, reason };
    const TRANSIENT: Made = |what, reason| SourceError::Transient { what, reason };
    const DENIED: Made = |what, reason| SourceError::Denied { what, reason };

    /// What comes of it: an answer, a note, or that the object is to be tried again.
    async fn asked(question: &Question, answer: Option<Made>) -> &'static str {
        let answer = answer.map_or(Ok(()), |made| Err(made("k".to_owned(), "r".to_owned())));
        match question.ask("k", async { answer }).await {
            Ok(Ok(())) => "answered",
            Ok(Err(_)) => "noted",
            Err(_) => "again",
        }
    }

    #[tokio::test]
    async fn what_fails_is_asked_again_until_it_was_in_vain_too_often() {
        for (made, again, noted) in [(UNREACHED, 2, 0), (THROTTLED, 9, 0), (TRANSIENT, 0, 2)] {
            let question = Question::default();
            for round in 0..2 {
                for _ in 0..again + noted {
                    assert_eq!(asked(&question, Some(made)).await, if again > 0 { "again" } else { "noted" });
                }
                // One answer in between is enough.
                let last = if round == 0 { None } else { Some(made) };
                assert_eq!(asked(&question, last).await, if round == 0 { "answered" } else { "noted" });
            }
            assert_eq!(asked(&question, None).await, "noted", "it is not asked any more");
        }
        let question = Question::default();
        for _ in 0..9 {
            assert_eq!(asked(&question, Some(DENIED)).await, "noted", "a refusal is an answer about one object");
        }
        assert_eq!(asked(&question, None).await, "answered");
    }

    #[tokio::test]
    async fn failures_that_come_together_count_once() {
        let question = Question::default();
        let (open, _) = tokio::sync::broadcast::channel::<()>(1);
        let late = |mut open: tokio::sync::broadcast::Receiver<()>| {
            question.ask("k", async move {
                let _ = open.recv().await;
                Err::<(), _>(UNREACHED("k".to_owned(), "r".to_owned()))
            })
        };
        let together = futures_util::future::join_all((0..9).map(|_| late(open.subscribe())));
        let (results, _) = tokio::join!(together, async { open.send(()) });
        assert!(results.iter().all(Result::is_err));
        assert_eq!(asked(&question, None).await, "answered");
    }
}
