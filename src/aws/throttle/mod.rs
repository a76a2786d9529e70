//! Calls about the account at the rate that each service allows: a throttled call waits
//! and is retried, for minutes, and the interval between the other calls of that service grows meanwhile.
//!
//! Sits below the SDK, whose own retries share a small quota that a busy account exhausts at once (AWS SDKs and Tools
//! Reference Guide, "Retry behavior"). Only throttling responses are retried here; other failures are left to the SDK.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use futures_util::future::BoxFuture;

use super::{
    credentials::CredentialCache,
    error::ErrorDocument,
    sign::{renewed, scope_of},
};
use crate::{
    clock::{self, Stopwatch},
    transfer::retry::{Backoff, random_up_to},
};

/// How long one call of a required inspection waits: while others of its kind are answered, and while none is.
const WAIT_MAX: Duration = Duration::from_secs(900);
const WAIT_MAX_UNANSWERED: Duration = Duration::from_secs(120);
/// The same for any other inspection.
const WAIT_MAX_HASTY: Duration = Duration::from_secs(8);
/// Before a call is sent again.
const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 5_000 };
/// The longest interval between calls of a busy service.
const INTERVAL_MAX: Duration = Duration::from_millis(500);
const INTERVAL_FIRST: Duration = Duration::from_millis(5);
const INTERVAL_LEAST: Duration = Duration::from_millis(1);
/// How often the log reports the progress of an inspection.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// The clock and the random numbers of a throttle.
trait Timer: fmt::Debug + Send + Sync {
    /// The time since the throttle was created.
    fn now(&self) -> Duration;

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// A random number, from 0 to this one.
    fn random(&self, most: u64) -> u64;
}

/// The machine's own.
#[derive(Debug)]
struct Machine(Stopwatch);

impl Timer for Machine {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self, most: u64) -> u64 {
        random_up_to(most)
    }
}

/// The rate of calls to one service.
#[derive(Debug)]
pub(crate) struct Throttle {
    service: &'static str,
    timer: Box<dyn Timer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    interval: Duration,
    /// When, on the clock, the next call may go, and when the interval was last increased.
    next: Duration,
    slowed: Duration,
    kinds: BTreeMap<String, Kind>,
    answered: u64,
    throttled: u64,
    reported: Duration,
}

/// The results of calls of one kind.
#[derive(Debug, Default)]
struct Kind {
    answered: u64,
    /// One was not answered for as long as it may take; until one is again, the others do not wait as long.
    given_up: bool,
}

impl Throttle {
    pub(super) fn of(service: &'static str) -> Self {
        Throttle { service, timer: Box::new(Machine(Stopwatch::start())), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the next call may go.
    fn turn(&self) -> Duration {
        let now = self.timer.now();
        let mut state = self.state();
        let turn = state.next.max(now);
        state.next = turn + state.interval;
        turn - now
    }

    fn note_answered(&self, kind: &str) {
        let mut state = self.state();
        state.answered += 1;
        let of_kind = state.kinds.entry(kind.to_owned()).or_default();
        of_kind.answered += 1;
        of_kind.given_up = false;
        state.interval = state.interval * 9 / 10;
        if state.interval < INTERVAL_LEAST {
            state.interval = Duration::ZERO;
        }
        self.report(&mut state);
    }

    /// A long inspection logs its progress now and then.
    fn report(&self, state: &mut State) {
        let now = self.timer.now();
        if state.reported + REPORT_EVERY > now {
            return;
        }
        state.reported = now;
        let service = self.service;
        let answered = state.answered;
        match state.throttled {
            0 => tracing::warn!("looking at the account: {answered} questions to {service} answered so far"),
            throttled => tracing::warn!(
                "looking at the account: {answered} questions to {service} answered so far; it asked for fewer {throttled} times"
            ),
        }
    }

    /// Concurrent calls are throttled together: that is one reason to slow down, not many.
    fn note_throttled(&self) {
        let now = self.timer.now();
        let mut state = self.state();
        state.throttled += 1;
        if state.slowed + state.interval <= now {
            state.slowed = now;
            state.interval = (state.interval * 5 / 4).clamp(INTERVAL_FIRST, INTERVAL_MAX);
        }
        self.report(&mut state);
    }

    /// Sends until the response is not a throttling one, or until the time is up.
    pub(super) async fn send<F, E>(&self, kind: &str, patient: bool, send: impl Fn() -> F) -> Result<HttpResponse, E>
    where
        F: Future<Output = Result<HttpResponse, E>>,
        E: From<ConnectorError>,
    {
        let begun = self.timer.now();
        let answered = self.state().kinds.entry(kind.to_owned()).or_default().answered;
        let mut failed = 0;
        loop {
            self.timer.sleep(self.turn()).await;
            let (response, is_throttled) = inspected(send().await?).await?;
            if !is_throttled {
                self.note_answered(kind);
                return Ok(response);
            }
            self.note_throttled();
            let pause = Duration::from_millis(self.timer.random(BACKOFF.bound_ms(failed)));
            let waited = self.timer.now() - begun + pause;
            if self.is_over(kind, answered, waited, patient) || self.is_given_up(kind) && failed > 0 {
                return Ok(response);
            }
            failed += 1;
            self.timer.sleep(pause).await;
        }
    }

    /// Whether a call has waited long enough; others of its kind have been answered since `answered` of them were, or not.
    fn is_over(&self, kind: &str, answered: u64, waited: Duration, patient: bool) -> bool {
        let mut state = self.state();
        let of_kind = state.kinds.entry(kind.to_owned()).or_default();
        let is_silent = of_kind.answered == answered;
        let wait_max = match (patient, is_silent) {
            (false, _) => WAIT_MAX_HASTY,
            (true, true) => WAIT_MAX_UNANSWERED,
            (true, false) => WAIT_MAX,
        };
        let is_over = waited >= wait_max;
        of_kind.given_up |= is_over && is_silent;
        is_over
    }

    fn is_given_up(&self, kind: &str) -> bool {
        self.state().kinds.get(kind).is_some_and(|kind| kind.given_up)
    }
}

/// The response, and whether it is a throttling one. The document of a refusal is read for that and put back.
async fn inspected(mut response: HttpResponse) -> Result<(HttpResponse, bool), ConnectorError> {
    let status = response.status().as_u16();
    if status < 400 {
        return Ok((response, false));
    }
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let body = ByteStream::new(body).collect().await;
    let body = body.map_err(|error| ConnectorError::io(error.into()))?.to_vec();
    let is_throttled = [429, 503].contains(&status) || ErrorDocument::read(&body).is_throttling();
    *response.body_mut() = SdkBody::from(body);
    Ok((response, is_throttled))
}

/// The SDK's connector at the pace of a service. What is sent again is signed again: a signature is believed for minutes
/// only (Amazon S3 API reference, "RequestTimeTooSkewed": fifteen; the services with query strings: five).
pub(crate) struct Throttled {
    pub connector: Arc<Connector>,
    pub credentials: Arc<CredentialCache>,
    pub throttle: Arc<Throttle>,
    pub patient: bool,
}

impl fmt::Debug for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttled")
    }
}

impl HttpConnector for Throttled {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = Arc::clone(&self.connector);
        let credentials = Arc::clone(&self.credentials);
        let throttle = Arc::clone(&self.throttle);
        let patient = self.patient;
        // Only a stream can't be sent twice, and no query about an account is one.
        let Some(kept) = request.try_clone() else { return connector.call(request) };
        HttpConnectorFuture::new(async move {
            let is_sent = AtomicBool::new(false);
            let again = || async {
                let request = kept.try_clone().ok_or_else(|| ConnectorError::user("a request is not whole".into()))?;
                if is_sent.swap(true, Relaxed) {
                    connector.call(signed_again(request, &credentials).await?).await
                } else {
                    connector.call(request).await
                }
            };
            throttle.send(&kind_of(&kept), patient, again).await
        })
    }
}

async fn signed_again(mut request: HttpRequest, credentials: &CredentialCache) -> Result<HttpRequest, ConnectorError> {
    let Some(scope) = scope_of(&request) else { return Ok(request) };
    let now = clock::now();
    let credentials = credentials.current(&scope, now).await;
    let credentials = credentials.map_err(|error| ConnectorError::other(error.detail().into(), None))?;
    let Some(headers) = renewed(&request, &credentials, now) else { return Ok(request) };
    request.headers_mut().remove("x-amz-security-token");
    for (name, value) in headers {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// What kind of call it is: the action of a form, the target of a JSON call, or the names of the query of a path.
pub(crate) fn kind_of(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.to_owned();
    }
    let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    if let Some(action) = body.split('&').find_map(|part| part.strip_prefix("Action=")) {
        return action.to_owned();
    }
    let query = request.uri().split_once('?').map_or("", |(_, query)| query);
    let names: Vec<&str> = query.split('&').filter_map(|part| part.split('=').next()).collect();
    format!("{} {}", request.method(), names.join(" "))
}
