//! Whether a silent server is still alive.
//!
//! A server that counts, sorts or builds an index is silent for good reasons, and so is one behind a connection that
//! forwards nothing any more: that answers TCP keepalives, too. They are distinguished by another connection to the same
//! address. It is tried during a wait, and once none could be made for as long as an outage is waited for, the wait
//! ends. It also ends on cancellation of the run.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock::Stopwatch, interrupt::Interrupt};

/// How long an outage is waited for by default.
const STALL: Duration = Duration::from_secs(300);
/// The interval between attempts, and the wait before the first.
const TRY_EVERY: Duration = Duration::from_secs(30);
/// The same as a part of the time that an outage is waited for.
const TRIES: u32 = 4;
/// The time that a connection may take in any case.
const CONNECTING_MIN: Duration = Duration::from_secs(5);
/// How often waits check for their end.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// What ends the wait for a server, shared by all connections to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    stall: Option<Duration>,
    interrupt: Interrupt,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// A thread is probing.
    tries: bool,
    /// When a wait was last reported.
    waited_for: Option<Stopwatch>,
    /// Since when no connection could be made.
    away: Option<Stopwatch>,
}

/// Why the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The run was cancelled.
    Interrupted,
    /// Nothing arrived, and no other connection could be made either, for this long.
    Away(Duration),
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenUp::Interrupted => f.write_str("interrupted"),
            GivenUp::Away(stall) => {
                write!(f, "the server is silent, and took no other connection for {} s", stall.as_secs())
            }
        }
    }
}

/// The wait of one connection, or of one program.
#[derive(Clone)]
pub(super) struct Waiting {
    liveness: Liveness,
    /// Whether the server responds to a new connection.
    answers: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Liveness {
    pub fn new(stall: Duration, interrupt: Interrupt) -> Self {
        Liveness { stall: Some(stall), interrupt, seen: Arc::default() }
    }

    fn stall(&self) -> Duration {
        self.stall.unwrap_or(STALL)
    }

    /// How long a new connection may take: no longer than an outage is waited for.
    pub fn bounded(&self, limit: Duration) -> Duration {
        limit.min(self.stall().max(CONNECTING_MIN))
    }

    fn pause(&self) -> Duration {
        TRY_EVERY.min(self.stall() / TRIES)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cancellation of the run.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }
}

impl Waiting {
    pub fn new(liveness: &Liveness, answers: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Waiting { liveness: liveness.clone(), answers: Arc::new(answers) }
    }

    /// Why a wait of this length should end; none if it should continue.
    pub fn given_up(&self, waited: Duration) -> Option<GivenUp> {
        let Liveness { interrupt, .. } = &self.liveness;
        if interrupt.asked() {
            return Some(GivenUp::Interrupted);
        }
        if waited < self.liveness.pause() {
            return None;
        }
        let stall = self.liveness.stall();
        let mut seen = self.liveness.seen();
        seen.waited_for = Some(Stopwatch::start());
        if !seen.tries {
            seen.tries = true;
            seen.away = None;
            let waiting = self.clone();
            std::thread::spawn(move || waiting.keep_trying());
        }
        let is_away = seen.away.is_some_and(|away| away.elapsed() >= stall);
        (is_away && waited >= stall).then_some(GivenUp::Away(stall))
    }

    /// Until no wait remains.
    fn keep_trying(&self) {
        let pause = self.liveness.pause();
        loop {
            let began = Stopwatch::start();
            let answered = (self.answers)();
            {
                let mut seen = self.liveness.seen();
                seen.away = if answered { None } else { Some(seen.away.unwrap_or(began)) };
                if seen.waited_for.is_none_or(|waited| waited.elapsed() > pause + TICK) {
                    seen.tries = false;
                    return;
                }
            }
            std::thread::sleep(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const STALL: Duration = Duration::from_millis(400);

    /// Waits as long as allowed, but no longer than that.
    fn waits(waiting: &Waiting, max: Duration) -> Option<GivenUp> {
        let watch = Stopwatch::start();
        loop {
            let given_up = waiting.given_up(watch.elapsed());
            if given_up.is_some() || watch.elapsed() >= max {
                return given_up;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn only_a_server_that_takes_no_other_connection_is_given_up() {
        let is_there = Arc::new(AtomicBool::new(true));
        let answers = Arc::clone(&is_there);
        let interrupt = Interrupt::default();
        let liveness = Liveness::new(STALL, interrupt.clone());
        let waiting = Waiting::new(&liveness, move || answers.load(Ordering::Relaxed));
        assert_eq!(waits(&waiting, STALL * 4), None, "it is at work");
        is_there.store(false, Ordering::Relaxed);
        let watch = Stopwatch::start();
        assert_eq!(waits(&waiting, STALL * 20), Some(GivenUp::Away(STALL)));
        assert!(watch.elapsed() >= STALL, "it is waited for");
        interrupt.ask();
        assert_eq!(waiting.given_up(Duration::ZERO), Some(GivenUp::Interrupted));
    }
}
