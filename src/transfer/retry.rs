//! Bounded retries with exponential backoff and full jitter
//! (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015), and waiting for an end that is unreachable.
//!
//! Attempts are counted for each read; an outage is not. Which of the two it is is decided by a small request that has
//! nothing to do with what failed: see [`OutageTracker`]. A provider that answers questions may serve no objects all the same, so
//! that one that came is asked for again; and while none has come, objects that fail are asked for with patience.

use std::{
    collections::HashSet,
    sync::{
        OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::{sync::Mutex, time::timeout};

use super::{
    error::{SourceError, TransferError},
    object::{ByteRange, ObjectEntry, ObjectSource},
};
use crate::clock::Stopwatch;

/// How often a read is attempted in all.
pub const ATTEMPTS_MAX: u32 = 5;
/// How often, if the provider keeps reporting that it is busy: that takes longer than a broken connection.
pub const THROTTLED_ATTEMPTS_MAX: u32 = 10;
/// How often again, after everything else.
const LATE_ATTEMPTS_MAX: u32 = 2;
/// How long an end may be unreachable before the work on an asset stops, where the playbook does not set it.
pub const STALL: Duration = Duration::from_secs(300);
/// Outages that one read survives.
const OUTAGES_MAX: u32 = 100;
const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 10_000 };
/// Between two checks whether an end is back.
const ASKING_DELAY: Duration = Duration::from_secs(1);
/// How long the answer to such a question may take that is an object.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// So many objects fail for what they are while none has come; more than these are an outage.
const IN_VAIN_MAX: usize = 7;

/// Runs `attempt` until it succeeds, fails permanently, or has no attempts left. Waits out an outage of the source.
pub async fn with_retries<T, F>(
    source: &dyn ObjectSource,
    reach: &OutageTracker,
    mut attempt: impl FnMut() -> F,
) -> Result<T, TransferError>
where
    F: Future<Output = Result<T, TransferError>>,
{
    let mut attempts = Attempts::default();
    loop {
        match attempt().await {
            Err(TransferError::Source(error)) => attempts.again(source, reach, error).await?,
            done => return done,
        }
    }
}

/// The attempts that one read has had.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
    throttled: u32,
    outages: u32,
    /// All attempts have failed once before.
    late: bool,
}

impl Attempts {
    /// For a read whose attempts have all failed before: a few more.
    pub fn late() -> Self {
        Attempts { late: true, ..Attempts::default() }
    }

    /// Waits before the next attempt, or returns the error if there is to be none. Where the source as a whole does not
    /// respond, it is waited for, and the attempt does not count.
    pub async fn again(
        &mut self,
        source: &dyn ObjectSource,
        reach: &OutageTracker,
        error: SourceError,
    ) -> Result<(), TransferError> {
        let mut delay = self.delay_after(&error);
        let last = delay.is_none() && error.is_passing();
        if last || error.is_about_caller() || matches!(error, SourceError::Unreached { .. }) {
            let asked = reach.wait(|| there(source, reach), SourceError::is_passing).await;
            if asked.map_err(TransferError::Away)? == Met::Back && self.outlives_outage() {
                delay = Some(Duration::ZERO);
            }
        }
        if last && delay.is_none() {
            delay = reach.patience(error.what());
        }
        let Some(delay) = delay else { return Err(error.into()) };
        tracing::debug!(?delay, %error, "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Waits before the next attempt; false if there is to be none.
    pub async fn pause(&mut self) -> bool {
        self.failed += 1;
        if self.failed >= ATTEMPTS_MAX {
            return false;
        }
        tokio::time::sleep(BACKOFF.pause(self.failed)).await;
        true
    }

    /// An outage ended: the attempts start over, unless that happened too often.
    pub fn outlives_outage(&mut self) -> bool {
        *self = Attempts { outages: self.outages + 1, late: self.late, ..Attempts::default() };
        self.outages <= OUTAGES_MAX
    }

    fn delay_after(&mut self, error: &SourceError) -> Option<Duration> {
        let (tried, limit) = match error {
            SourceError::Throttled { .. } => (&mut self.throttled, THROTTLED_ATTEMPTS_MAX),
            _ => (&mut self.failed, ATTEMPTS_MAX),
        };
        *tried += 1;
        let limit = if self.late { LATE_ATTEMPTS_MAX } else { limit };
        let again = error.is_transient() || error.is_about_caller();
        (again && *tried < limit).then(|| BACKOFF.pause(*tried))
    }
}

/// Whether the source answers, and serves what it served before. A refusal is an answer too, unless it is about who asks
/// or about all there is.
async fn there(source: &dyn ObjectSource, reach: &OutageTracker) -> Result<(), SourceError> {
    match source.answers().await {
        Err(error) if error.is_passing() || error.is_about_caller() => return Err(error),
        Err(error @ SourceError::NotFound { .. }) => return Err(error),
        _ => {}
    }
    let Some(witness) = reach.witness.get() else { return Ok(()) };
    match timeout(ANSWER_MAX, first_byte(source, witness)).await {
        Err(_) => Err(SourceError::Unreached { what: witness.key.clone(), reason: "no answer in time".to_owned() }),
        Ok(Err(error)) if error.is_passing() => Err(error),
        // It may have been removed meanwhile.
        Ok(_) => Ok(()),
    }
}

async fn first_byte(source: &dyn ObjectSource, of: &ObjectEntry) -> Result<(), SourceError> {
    let mut body = source.open(of, Some(ByteRange { first: 0, last: 0 })).await?;
    body.pieces.next().await.transpose().map(drop)
}

/// The wait before another attempt: a random time up to a bound that doubles.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first bound.
    pub base_ms: u64,
    /// The largest bound.
    pub max_ms: u64,
}

impl Backoff {
    /// The bound after a number of failed attempts besides the first.
    pub fn bound_ms(self, failed: u32) -> u64 {
        self.max_ms.min(self.base_ms << failed.min(16))
    }

    /// A random time up to that.
    pub fn pause(self, failed: u32) -> Duration {
        Duration::from_millis(random_up_to(self.bound_ms(failed)))
    }
}

/// A random number, from 0 to this one.
pub(crate) fn random_up_to(most: u64) -> u64 {
    getrandom::u64().unwrap_or(most) % (most + 1)
}

/// Makes attempts until one succeeds, or fails with an error that `is_passing` rejects; `attempts_max` at most.
pub(crate) async fn retry<T, E, F>(
    attempts_max: u32,
    backoff: Backoff,
    is_passing: impl Fn(&E) -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut failed = 0;
    loop {
        match attempt().await {
            Err(error) if is_passing(&error) && failed + 1 < attempts_max => {
                failed += 1;
                tokio::time::sleep(backoff.pause(failed)).await;
            }
            done => return done,
        }
    }
}

/// Tracks whether one end of a transfer responds at all, and since when it has not. Shared by all users of this end.
pub struct OutageTracker {
    stall: Duration,
    /// Since when it has been unreachable.
    away: Mutex<Option<Stopwatch>>,
    /// Outages that ended.
    ended: AtomicU64,
    /// An object that came: whether it comes again says whether others could.
    witness: OnceLock<ObjectEntry>,
    in_vain: std::sync::Mutex<InVain>,
}

/// What failed in every attempt while nothing has come.
#[derive(Default)]
struct InVain {
    /// The first of them.
    what: HashSet<String>,
    /// Since when there have been too many.
    since: Option<Stopwatch>,
}

/// The state of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It answers.
    There,
    /// It was unreachable, and answers again.
    Back,
}

impl OutageTracker {
    /// With the time that the end may be unreachable.
    pub fn new(stall: Duration) -> Self {
        OutageTracker {
            stall,
            away: Mutex::default(),
            ended: AtomicU64::new(0),
            witness: OnceLock::new(),
            in_vain: Default::default(),
        }
    }

    /// An object came, now or in an earlier part of the run.
    pub fn came(&self, entry: &ObjectEntry) {
        if entry.size > 0 {
            self.witness.get_or_init(|| entry.clone());
        }
    }

    /// How long to wait before an object is asked for once more whose attempts ran out, although the end answers. Nothing
    /// if an object came, so that this one fails by itself; or if it is one of few; or once `stall` is over.
    fn patience(&self, what: &str) -> Option<Duration> {
        if self.witness.get().is_some() {
            return None;
        }
        let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        if in_vain.what.len() <= IN_VAIN_MAX {
            in_vain.what.insert(what.to_owned());
        }
        let many = in_vain.what.len() > IN_VAIN_MAX;
        let waits = many && in_vain.since.get_or_insert_with(Stopwatch::start).elapsed() < self.stall;
        waits.then(|| self.asking_delay())
    }

    fn asking_delay(&self) -> Duration {
        ASKING_DELAY.min(self.stall / 8)
    }

    /// Probes until the end answers. An error that `is_away` rejects ends the waiting, and so does an outage of `stall`.
    pub async fn wait<E, F>(&self, ask: impl Fn() -> F, is_away: impl Fn(&E) -> bool) -> Result<Met, E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let before = self.ended.load(Relaxed);
        // One caller probes, the others wait for its result.
        let mut away = self.away.lock().await;
        loop {
            match ask().await {
                Ok(()) => {
                    if away.take().is_some() {
                        self.ended.fetch_add(1, Relaxed);
                    }
                    let ended = self.ended.load(Relaxed) > before;
                    return Ok(if ended { Met::Back } else { Met::There });
                }
                Err(error) if !is_away(&error) => return Err(error),
                Err(error) => {
                    let since = away.get_or_insert_with(Stopwatch::start);
                    if since.elapsed() >= self.stall {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(self.asking_delay()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::object::{ByteRange, Described, ListPage, ObjectBody, ObjectEntry};
    use futures_util::{FutureExt as _, future::BoxFuture};
    use std::sync::atomic::AtomicU32;

    /// A source that leaves a number of probes unanswered, and has no object.
    struct Away(AtomicU32);

    impl ObjectSource for Away {
        fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
            async {
                match self.0.load(Relaxed) {
                    0 => Ok(()),
                    left => {
                        self.0.store(left - 1, Relaxed);
                        Err(unreached())
                    }
                }
            }
            .boxed()
        }

        fn list<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
            async { Ok(ListPage::default()) }.boxed()
        }

        fn open<'a>(
            &'a self,
            _: &'a ObjectEntry,
            _: Option<ByteRange>,
        ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
            async { Err(transient()) }.boxed()
        }

        fn find<'a>(&'a self, _: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
            async { Ok(None) }.boxed()
        }

        fn describe<'a>(&'a self, _: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
            async { Err(transient()) }.boxed()
        }
    }

    /// Which of so many objects are asked for beyond their attempts, while the source answers and none has come.
    #[tokio::test]
    async fn while_nothing_has_come_the_eighth_object_that_fails_is_an_outage() {
        let reach = OutageTracker::new(Duration::from_millis(80));
        let source = Away(AtomicU32::new(0));
        let tried = async |key: String| {
            let tries = AtomicU32::new(0);
            let failed = with_retries(&source, &reach, || async {
                tries.fetch_add(1, Relaxed);
                Err::<(), _>(SourceError::Transient { what: key.clone(), reason: "500".into() }.into())
            });
            assert!(failed.await.is_err());
            tries.into_inner()
        };
        // However often the same ones fail.
        let few = futures_util::future::join_all((0..14).map(|number| tried(format!("k{}", number % 7)))).await;
        assert!(few.iter().all(|tries| *tries == ATTEMPTS_MAX), "{few:?}");
        assert!(tried("k7".into()).await > ATTEMPTS_MAX);
        assert_eq!(tried("k8".into()).await, ATTEMPTS_MAX, "the time is over");
    }

    fn unreached() -> SourceError {
        SourceError::Unreached { what: "k".into(), reason: "refused".into() }
    }

    fn transient() -> SourceError {
        SourceError::Transient { what: "k".into(), reason: "500".into() }
    }

    /// The number of attempts, and the result.
    async fn tries(unanswered: u32, stall: Duration, errors: impl Fn(u32) -> Option<SourceError>) -> (u32, bool) {
        let source = Away(AtomicU32::new(unanswered));
        let reach = OutageTracker::new(stall);
        let tries = AtomicU32::new(0);
        let result = with_retries(&source, &reach, || async {
            let tried = tries.fetch_add(1, Relaxed) + 1;
            errors(tried).map_or(Ok(()), |error| Err(error.into()))
        });
        let ended = result.await.is_ok();
        (tries.into_inner(), ended)
    }

    #[tokio::test]
    async fn gives_up_after_the_last_attempt_while_the_source_answers() {
        for error in [transient, unreached] {
            assert_eq!(tries(0, STALL, |_| Some(error())).await, (ATTEMPTS_MAX, false));
        }
    }

    #[tokio::test]
    async fn an_outage_does_not_count() {
        let stall = Duration::from_millis(80);
        let away = |tried| (tried <= ATTEMPTS_MAX).then(unreached);
        // The probe after the first error is not answered: the attempts start over, and the last of them is the sixth.
        assert_eq!(tries(1, stall, away).await, (ATTEMPTS_MAX + 1, true));
        let failing = |tried| (tried <= ATTEMPTS_MAX + 1).then(transient);
        assert_eq!(tries(1, stall, failing).await, (ATTEMPTS_MAX + 2, true));
    }

    #[tokio::test]
    async fn a_source_that_stays_away_is_given_up() {
        assert_eq!(tries(u32::MAX, Duration::from_millis(40), |_| Some(unreached())).await, (1, false));
    }

    #[test]
    fn a_busy_provider_gets_more_attempts() {
        let mut attempts = Attempts::default();
        let busy = SourceError::Throttled { what: "k".into(), reason: "SlowDown".into() };
        let pauses = std::iter::from_fn(|| attempts.delay_after(&busy)).count();
        assert_eq!(pauses as u32, THROTTLED_ATTEMPTS_MAX - 1);
        assert!(attempts.delay_after(&transient()).is_some(), "a broken connection is counted apart");
    }

    #[tokio::test]
    async fn a_permanent_error_is_not_tried_again() {
        assert_eq!(tries(0, STALL, |_| Some(SourceError::Changed { what: "k".into() })).await, (1, false));
    }

    #[test]
    fn delays_are_bounded() {
        assert!((0..40).all(|failed| BACKOFF.pause(failed) <= Duration::from_millis(BACKOFF.max_ms)));
        assert_eq!((0..9).map(|failed| BACKOFF.bound_ms(failed)).max(), Some(BACKOFF.max_ms));
        assert_eq!([0, 1, 2].map(|failed| BACKOFF.bound_ms(failed)), [100, 200, 400]);
    }
}
