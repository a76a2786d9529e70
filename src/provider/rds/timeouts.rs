//! How long calls to RDS are retried, and what its refusals mean for creating and removing resources. Decided by codes
//! (Amazon RDS API reference, the errors of each action), never by the text of a message.

use std::time::Duration;

use aws_sdk_s3::{config::http::HttpResponse, error::SdkError};

use crate::{
    aws::{
        error::{self, OperationError},
        paging::Paging,
    },
    clock::Stopwatch,
    transfer::error::SourceError,
    words::refusal,
};

/// Consecutive lookups without a result until a resource counts as gone.
const ABSENT_MAX: u32 = 3;
/// Attempts of a call that is not answered at all; a throttling provider is retried for longer.
const UNANSWERED_ATTEMPTS_MAX: u32 = 3;

/// Time-outs and pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The first pause; each later one is half as long again.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How long a throttling provider, and in removals one that does not answer, is retried.
    pub busy: Duration,
    /// How long a requested resource is looked up before it counts as never created.
    pub appears: Duration,
    /// For how long at least RDS has to report that a resource does not exist: one of its responses may be stale.
    pub absent: Duration,
    /// How long RDS may refuse to delete what is still being created.
    pub removal: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(15),
            busy: Duration::from_secs(10 * 60),
            appears: Duration::from_secs(5 * 60),
            absent: Duration::from_secs(10),
            removal: Duration::from_secs(45 * 60),
        }
    }
}

impl Timeouts {
    /// The pauses, one after the other.
    pub fn pauses(&self) -> Pauses {
        Pauses { next: self.first, longest: self.longest }
    }
}

/// Pauses that grow.
pub struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// The next one.
    pub fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 3 / 2).min(self.longest);
        pause
    }
}

/// How often in a row, and since when, RDS reports that a resource does not exist. One response may be stale.
#[derive(Default)]
pub(super) struct Absence(Option<(Stopwatch, u32)>);

impl Absence {
    /// Counts one more lookup without a result. Returns whether that is enough to treat it as gone.
    pub(super) fn lasts(&mut self, timeouts: &Timeouts) -> bool {
        let (since, times) = self.0.get_or_insert_with(|| (Stopwatch::start(), 0));
        *times += 1;
        *times >= ABSENT_MAX && since.elapsed() >= timeouts.absent
    }

    /// It exists.
    pub(super) fn ends(&mut self) {
        self.0 = None;
    }
}

/// A failed call.
#[derive(Debug)]
pub(super) enum Refusal {
    /// RDS's own statement that nothing has that name.
    Absent,
    /// The name is in use already.
    AlreadyThere,
    /// Its state does not allow it now; a later one may.
    NotNow(SourceError),
    /// Anything else.
    Other(SourceError),
}

impl Refusal {
    /// Sorts an error of the SDK.
    pub(super) fn of<E: OperationError>(what: &str, refused: SdkError<E, HttpResponse>) -> Self {
        let code = refused.as_service_error().and_then(|error| error.code()).unwrap_or_default().to_owned();
        let kind = code.trim_end_matches("Fault");
        if ["DBInstanceNotFound", "DBSnapshotNotFound", "ExportTaskNotFound"].contains(&kind) {
            return Refusal::Absent;
        }
        if ["DBInstanceAlreadyExists", "DBSnapshotAlreadyExists", "ExportTaskAlreadyExists"].contains(&kind) {
            return Refusal::AlreadyThere;
        }
        let status = refused.raw_response().map_or(0, |response| response.status().as_u16());
        let reason = refusal(status, &code, refused.as_service_error().and_then(|error| error.message()));
        let what = what.to_owned();
        if kind.starts_with("InvalidDB") && kind.ends_with("State") {
            return Refusal::NotNow(SourceError::Permanent { what, reason });
        }
        match error::of(&what, refused) {
            // A 404 without a code of RDS may come from any proxy in between.
            SourceError::NotFound { .. } if kind.is_empty() => {
                let reason = "the answer is HTTP status 404 without a code of RDS".to_owned();
                Refusal::Other(SourceError::Transient { what, reason })
            }
            SourceError::NotFound { .. } => Refusal::Other(SourceError::Permanent { what, reason }),
            other => Refusal::Other(other),
        }
    }

    /// As an error about a resource.
    pub(super) fn about(self, what: &str) -> SourceError {
        match self {
            Refusal::Absent => SourceError::NotFound { what: what.to_owned() },
            Refusal::AlreadyThere => {
                let reason = "something of this name is there already".to_owned();
                SourceError::Permanent { what: what.to_owned(), reason }
            }
            Refusal::NotNow(error) | Refusal::Other(error) => error,
        }
    }
}

/// Retries while the provider is throttling, and a few times where it does not answer.
pub(super) async fn retried<T, F>(timeouts: &Timeouts, ask: impl Fn() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let watch = Stopwatch::start();
    let mut pauses = timeouts.pauses();
    let mut unanswered = 0;
    let mut waits = Waits::default();
    loop {
        let refusal = match ask().await {
            Err(refusal) => refusal,
            answered => return answered,
        };
        match &refusal {
            Refusal::Other(SourceError::Throttled { .. }) if watch.elapsed() < timeouts.busy => waits.tell(&refusal),
            Refusal::Other(SourceError::Transient { .. }) if unanswered + 1 < UNANSWERED_ATTEMPTS_MAX => {
                unanswered += 1
            }
            _ => return Err(refusal),
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Logs the wait now and then.
#[derive(Default)]
struct Waits {
    waited: u32,
}

impl Waits {
    /// The first few are not logged; after that, every tenth is.
    fn tell(&mut self, refusal: &Refusal) {
        self.waited += 1;
        if self.waited % 10 == 5
            && let Refusal::Other(error) = refusal
        {
            tracing::warn!("RDS asks for fewer calls; asked again {} times: {error}", self.waited);
        }
    }
}

/// Every item of a list that comes in pages.
pub(super) async fn every_page<T, F>(
    what: &str,
    timeouts: &Timeouts,
    page: impl Fn(Option<String>) -> F,
) -> Result<Vec<T>, SourceError>
where
    F: Future<Output = Result<(Option<Vec<T>>, Option<String>), Refusal>>,
{
    let mut paging = Paging::new();
    let mut marker = None;
    let mut all = Vec::new();
    let broken = |reason: String| SourceError::Permanent { what: what.to_owned(), reason };
    loop {
        let answer = retried(timeouts, || page(marker.clone())).await;
        let (items, next) = answer.map_err(|refusal| refusal.about(what))?;
        // RDS returns an empty list as such: a response without any list is invalid.
        all.extend(items.ok_or_else(|| broken("the answer holds no list".to_owned()))?);
        marker = paging.next(next.as_deref()).map_err(|endless| broken(endless.to_string()))?;
        if marker.is_none() {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let first = Duration::from_millis(4);
        let longest = Duration::from_millis(8);
        let mut pauses = Timeouts { first, longest, ..Timeouts::default() }.pauses();
        let millis: Vec<u128> = (0..4).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(millis, [4, 6, 8, 8]);
    }
}
