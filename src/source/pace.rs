//! Calls about the account at the pace that each service asks for: a call that is refused because there are too many waits
//! and is sent again, for minutes, and the others of that service come further apart meanwhile.
//!
//! Sits below the SDK, whose own retries share a small quota that a busy account uses up at once (AWS SDKs and Tools
//! Reference Guide, "Retry behavior"). Only what says "fewer" is sent again here; other failures are the SDK's business.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};

use crate::clock::Stopwatch;

/// How long one call waits for its turn to be answered where somebody waits for the whole look, and where nobody does.
const PATIENCE: Duration = Duration::from_secs(120);
const HASTE: Duration = Duration::from_secs(8);
/// Pauses before a call is sent again: random up to a bound that doubles.
const PAUSE_FIRST_MS: u64 = 100;
const PAUSE_MAX_MS: u64 = 5_000;
/// Calls of a busy service come at most this far apart.
const INTERVAL_MAX: Duration = Duration::from_millis(500);
const INTERVAL_FIRST: Duration = Duration::from_millis(5);
const INTERVAL_LEAST: Duration = Duration::from_millis(1);
/// How often a person is told that it goes on.
const TOLD_EVERY: Duration = Duration::from_secs(15);
/// An error document that is longer says something else.
const DOCUMENT_BYTES_MAX: usize = 1 << 16;

/// Codes that ask for fewer calls (AWS SDKs and Tools Reference Guide, "Retry behavior", and what S3-compatible servers
/// send in their place).
pub(crate) const FEWER: [&str; 13] = [
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// The pace of one service.
#[derive(Debug)]
pub(crate) struct Pace {
    service: &'static str,
    clock: Stopwatch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    interval: Duration,
    /// When, on the clock, the next call may go, and when the interval was last made longer.
    next: Duration,
    slowed: Duration,
    /// Kinds of calls that were not answered for as long as one may take; until one of a kind is answered again, the
    /// others of it do not wait as long.
    given_up: BTreeSet<String>,
    answered: u64,
    again: u64,
    told: Duration,
}

impl Pace {
    pub fn of(service: &'static str) -> Self {
        Pace { service, clock: Stopwatch::start(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the next call may go.
    fn turn(&self) -> Duration {
        let now = self.clock.elapsed();
        let mut state = self.state();
        let turn = state.next.max(now);
        state.next = turn + state.interval;
        turn - now
    }

    fn answered(&self, kind: &str) {
        let mut state = self.state();
        state.answered += 1;
        state.given_up.remove(kind);
        state.interval = state.interval * 9 / 10;
        if state.interval < INTERVAL_LEAST {
            state.interval = Duration::ZERO;
        }
        self.tell(&mut state);
    }

    /// A look that takes its time says now and then how far it is.
    fn tell(&self, state: &mut State) {
        let now = self.clock.elapsed();
        if state.told + TOLD_EVERY > now {
            return;
        }
        state.told = now;
        let (service, answered, again) = (self.service, state.answered, state.again);
        match again {
            0 => tracing::warn!("looking at the account: {answered} questions to {service} answered so far"),
            _ => tracing::warn!(
                "looking at the account: {answered} questions to {service} answered so far; it asked for fewer {again} times"
            ),
        }
    }

    /// Calls that were on their way together are refused together: that is one reason to slow down, not many.
    fn refused(&self) {
        let now = self.clock.elapsed();
        let mut state = self.state();
        state.again += 1;
        if state.slowed + state.interval <= now {
            state.slowed = now;
            state.interval = (state.interval * 5 / 4).clamp(INTERVAL_FIRST, INTERVAL_MAX);
        }
        self.tell(&mut state);
    }

    /// Sends until it is answered with something else than "fewer", or for as long as it may take.
    pub async fn send<F>(&self, kind: &str, patient: bool, send: impl Fn() -> F) -> Result<HttpResponse, ConnectorError>
    where
        F: Future<Output = Result<HttpResponse, ConnectorError>>,
    {
        let (watch, mut bound_ms) = (Stopwatch::start(), PAUSE_FIRST_MS);
        let patience = if patient { PATIENCE } else { HASTE };
        loop {
            tokio::time::sleep(self.turn()).await;
            let (answer, fewer) = looked_at(send().await?).await?;
            if !fewer {
                self.answered(kind);
                return Ok(answer);
            }
            self.refused();
            let pause = Duration::from_millis(getrandom::u64().unwrap_or(bound_ms) % (bound_ms + 1));
            let over = watch.elapsed() + pause >= patience;
            if over || self.state().given_up.contains(kind) && bound_ms > PAUSE_FIRST_MS {
                self.state().given_up.insert(kind.to_owned());
                return Ok(answer);
            }
            bound_ms = (bound_ms * 2).min(PAUSE_MAX_MS);
            tokio::time::sleep(pause).await;
        }
    }
}

/// The answer, and whether it asks for fewer calls. The document of a refusal is read for that and put back.
async fn looked_at(answer: HttpResponse) -> Result<(HttpResponse, bool), ConnectorError> {
    let status = answer.status().as_u16();
    if status < 400 {
        return Ok((answer, false));
    }
    let (status_line, headers) = (answer.status(), answer.headers().clone());
    let body = ByteStream::new(answer.into_body()).collect().await;
    let body = body.map_err(|error| ConnectorError::io(error.into()))?.to_vec();
    let fewer = [429, 503].contains(&status) || asks_for_fewer(&body);
    let mut whole = HttpResponse::new(status_line, SdkBody::from(body));
    for (name, value) in headers.iter() {
        whole.headers_mut().append(name.to_owned(), value.to_owned());
    }
    Ok((whole, fewer))
}

/// Whether an error document, in XML or JSON, has such a code.
fn asks_for_fewer(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(DOCUMENT_BYTES_MAX)]);
    let code = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(json) => json["__type"].as_str().or(json["code"].as_str()).unwrap_or_default().to_owned(),
        Err(_) => {
            let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
            code.map(|(code, _)| code.trim().to_owned()).unwrap_or_default()
        }
    };
    FEWER.contains(&code.rsplit('#').next().unwrap_or_default())
}

/// The SDK's connector at the pace of a service.
#[derive(Debug)]
pub(crate) struct Paced {
    pub connector: Arc<Connector>,
    pub pace: Arc<Pace>,
    pub patient: bool,
}

impl HttpConnector for Paced {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connector, pace, patient) = (Arc::clone(&self.connector), Arc::clone(&self.pace), self.patient);
        // What can't be sent twice is a stream, and no question about an account is one.
        let Some(kept) = request.try_clone() else { return connector.call(request) };
        HttpConnectorFuture::new(async move {
            let again = || async {
                let request = kept.try_clone().ok_or_else(|| ConnectorError::user("a request is not whole".into()))?;
                connector.call(request).await
            };
            pace.send(&kind_of(&kept), patient, again).await
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
    }

    #[tokio::test]
    async fn only_what_asks_for_fewer_is_sent_again() {
        let xml = "<ErrorResponse><Error><Code>Throttling</Code><Message>x</Message></Error></ErrorResponse>";
        let json = r#"{"__type": "com.amazon#ThrottlingException"}"#;
        let cases = [
            (400, xml, true),
            (400, json, true),
            (503, "", true),
            (429, "", true),
            (400, "<Error><Code>ValidationError</Code></Error>", false),
            (403, "<Error><Code>AccessDenied</Code></Error>", false),
            (500, "", false),
            (200, xml, false),
        ];
        for (status, body, expected) in cases {
            let (whole, fewer) = looked_at(answer(status, body)).await.unwrap();
            assert_eq!((fewer, whole.status().as_u16()), (expected, status), "{status} {body}");
            let kept = ByteStream::new(whole.into_body()).collect().await.unwrap().to_vec();
            assert_eq!(kept, body.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_third_of_all_calls_refused_costs_no_answer() {
        let pace = Pace::of("rds");
        let sent = Mutex::new(0_u32);
        for _ in 0..30 {
            let send = || async {
                let mut sent = sent.lock().unwrap();
                *sent += 1;
                Ok(answer(if sent.is_multiple_of(3) { 503 } else { 200 }, ""))
            };
            let answer = pace.send("DescribeDBInstances", true, send).await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
        }
        assert!(pace.state().again >= 10 && pace.state().interval < INTERVAL_MAX);
    }

    #[test]
    fn the_pace_slows_at_refusals_and_recovers_with_answers() {
        let pace = Pace::of("s3");
        assert_eq!(pace.turn(), Duration::ZERO);
        pace.refused();
        let slowed = pace.state().interval;
        assert_eq!(slowed, INTERVAL_FIRST);
        // Refused together with the first: no second reason.
        pace.refused();
        assert_eq!(pace.state().interval, slowed);
        (0..40).for_each(|_| pace.answered("x"));
        assert_eq!(pace.state().interval, Duration::ZERO);
    }
}
