//! Tests of the throttle, against providers that refuse for haste, in a time that passes only by waiting.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

use futures_util::{StreamExt as _, stream};

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
        let (whole, fewer) = inspected(answer(status, body)).await.unwrap();
        assert_eq!((fewer, whole.status().as_u16()), (expected, status), "{status} {body}");
        let kept = ByteStream::new(whole.into_body()).collect().await.unwrap().to_vec();
        assert_eq!(kept, body.as_bytes());
    }
}

#[test]
fn the_pace_slows_at_refusals_and_recovers_with_answers() {
    let throttle = Throttle::of("s3");
    assert_eq!(throttle.turn(), Duration::ZERO);
    throttle.note_throttled();
    let slowed = throttle.state().interval;
    assert_eq!(slowed, INTERVAL_FIRST);
    // Refused together with the first: no second reason.
    throttle.note_throttled();
    assert_eq!(throttle.state().interval, slowed);
    (0..40).for_each(|_| throttle.note_answered("x"));
    assert_eq!(throttle.state().interval, Duration::ZERO);
}

/// A time that passes only by waiting, who waits for what of it, and chances that are the same in every run.
#[derive(Debug, Default)]
struct Made(Mutex<Time>);

#[derive(Debug, Default)]
struct Time {
    now: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    drawn: u64,
}

impl Time {
    /// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    fn random(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.drawn;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Made {
    /// Everything waits: the time of the first one to wake comes.
    fn pass(&self) {
        let mut time = self.0.lock().unwrap();
        let ((at, _), waker) = time.sleepers.pop_first().expect("nothing waits, and nothing goes on");
        time.now = time.now.max(at);
        drop(time);
        waker.wake();
    }
}

impl Timer for Arc<Made> {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let until = self.now() + duration;
        Box::pin(poll_fn(move |context| {
            let mut time = self.0.lock().unwrap();
            if time.now >= until {
                return Poll::Ready(());
            }
            let number = time.random();
            time.sleepers.insert((until, number), context.waker().clone());
            Poll::Pending
        }))
    }

    fn random(&self, most: u64) -> u64 {
        self.0.lock().unwrap().random() % (most + 1)
    }
}

/// A provider that counts its calls and refuses some of them, in every way in which one says "fewer".
struct Busy {
    timer: Arc<Made>,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: u64,
    answered: u64,
    /// Of a provider that answers a number of calls a second: what is left of it, and since when.
    allowance: f64,
    since: Duration,
}

impl Busy {
    fn refusal(calls: u64) -> HttpResponse {
        match calls % 4 {
            0 => answer(503, ""),
            1 => answer(429, ""),
            2 => answer(400, "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"),
            _ => answer(400, r#"{"__type": "com.amazon#ThrottlingException"}"#),
        }
    }

    /// Refuses a part of all calls, in percent, whenever they come.
    fn at_random(&self, of_hundred: u64) -> HttpResponse {
        let mut seen = self.seen.borrow_mut();
        seen.calls += 1;
        if self.timer.random(99) < of_hundred {
            return Self::refusal(seen.calls);
        }
        seen.answered += 1;
        answer(200, "")
    }

    /// Refuses what comes faster than this rate, in calls a second.
    fn beyond(&self, a_second: f64) -> HttpResponse {
        let mut seen = self.seen.borrow_mut();
        seen.calls += 1;
        let now = self.timer.now();
        seen.allowance = (seen.allowance + (now - seen.since).as_secs_f64() * a_second).min(a_second);
        seen.since = now;
        if seen.allowance < 1.0 {
            return Self::refusal(seen.calls);
        }
        seen.allowance -= 1.0;
        seen.answered += 1;
        answer(200, "")
    }
}

/// Makes calls of four kinds, as many at once as a look does; how many were answered, how many calls arrived, and
/// how long that took.
fn look(calls: u64, patient: bool, provider: impl Fn(&Busy) -> HttpResponse) -> (usize, u64, Duration) {
    let timer = Arc::<Made>::default();
    let throttle = Throttle { timer: Box::new(Arc::clone(&timer)), ..Throttle::of("rds") };
    let busy = Busy { timer: Arc::clone(&timer), seen: RefCell::default() };
    let kinds = ["GET acl", "GET policy", "DescribeDBSnapshots", "GET encryption"];
    let throttle = &throttle;
    let busy = &busy;
    let provider = &provider;
    let one = |number: u64| async move {
        let kind = kinds[number as usize % kinds.len()];
        let answer = throttle.send(kind, patient, || async { Ok::<_, ConnectorError>(provider(busy)) }).await.unwrap();
        answer.status().as_u16() == 200
    };
    let all = stream::iter(0..calls).map(one).buffer_unordered(16).filter(|answered| std::future::ready(*answered));
    let mut all = pin!(all.count());
    let mut context = Context::from_waker(Waker::noop());
    let answered = loop {
        match all.as_mut().poll(&mut context) {
            Poll::Ready(answered) => break answered,
            Poll::Pending => timer.pass(),
        }
    };
    let sent = busy.seen.borrow().calls;
    (answered, sent, timer.now())
}

#[test]
fn a_provider_that_refuses_a_third_or_most_calls_is_read_whole_in_bounded_time() {
    let hour = Duration::from_secs(3600);
    let rows = [(0, 400, 400, hour / 60), (30, 400, 800, hour / 12), (90, 200, 4_000, hour)];
    for (of_hundred, calls, most_calls, most_time) in rows {
        let (answered, sent, took) = look(calls, true, |busy| busy.at_random(of_hundred));
        assert_eq!(answered as u64, calls, "{of_hundred} of 100 refused: {sent} sent in {took:?}");
        assert!(sent <= most_calls && took <= most_time, "{of_hundred} of 100 refused: {sent} sent in {took:?}");
    }
    for a_second in [2.0, 10.0, 100.0] {
        let (answered, sent, took) = look(400, true, |busy| busy.beyond(a_second));
        assert_eq!(answered, 400, "{a_second} a second: {sent} sent in {took:?}");
        let ideal = Duration::from_secs_f64(400.0 / a_second);
        assert!(took <= ideal * 5 + hour / 60 && sent <= 4_000, "{a_second} a second: {sent} sent in {took:?}");
    }
}

#[test]
fn a_provider_that_answers_nothing_is_given_up_in_bounded_time() {
    let (answered, sent, took) = look(400, true, |busy| busy.at_random(100));
    assert_eq!(answered, 0);
    assert!(took >= WAIT_MAX_UNANSWERED - Duration::from_secs(6), "{took:?}");
    assert!(took <= WAIT_MAX_UNANSWERED * 10 && sent < 4_000, "{sent} sent in {took:?}");
    let (answered, _, took) = look(64, false, |busy| busy.at_random(100));
    assert!(answered == 0 && took <= WAIT_MAX_HASTY * 10, "{took:?}");
}
