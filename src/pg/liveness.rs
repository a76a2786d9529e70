//! Whether a silent server is still alive.
//!
//! A server that counts, sorts or builds an index is silent for good reasons, and so is one behind a connection that
//! forwards nothing any more: that answers keepalives of TCP, too. What tells them apart is another connection to the same
//! place. It is tried while somebody waits, and once none could be had for as long as an outage is waited for, the waiting
//! ends.
//!
//! One connection may be cut off alone, behind a proxy that keeps its near end open. So the other connection also asks for
//! the process of the server that serves the one that waits: once that was gone, or itself waited for the client, for as
//! long as an outage is waited for, nothing will come (PostgreSQL documentation, "pg_stat_activity"). A process that can't
//! be asked for counts as one that is at work.
//!
//! The waiting also ends when somebody asks for the end of the run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
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
    /// The server's processes that somebody waits for, by number.
    processes: BTreeMap<u32, Process>,
}

#[derive(Debug)]
struct Process {
    /// When somebody last said that it waits for it.
    waited_for: Stopwatch,
    /// Since when it is not at work for its client.
    at_rest: Option<Stopwatch>,
}

/// What another connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing at all.
    Silence,
    /// The server is there. Of the processes that were asked for, those that are at work, where that can be told.
    There(Option<BTreeSet<u32>>),
}

/// Why the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The run was cancelled.
    Interrupted,
    /// Nothing arrived, and no other connection could be made either, for this long.
    Away(Duration),
    /// Nothing came, and the process that serves the connection was not at work for it, for so long.
    CutOff(Duration),
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenUp::Interrupted => f.write_str("interrupted"),
            GivenUp::Away(stall) => {
                write!(f, "the server is silent, and took no other connection for {} s", stall.as_secs())
            }
            GivenUp::CutOff(stall) => write!(
                f,
                "the connection is silent, and the server has not been at work for it for {} s: something between cut it off",
                stall.as_secs()
            ),
        }
    }
}

/// Makes another connection and asks it for these processes.
type Ask = dyn Fn(&[u32]) -> Answer + Send + Sync;

/// The wait of one connection, or of one program.
#[derive(Clone)]
pub(super) struct Waiting {
    liveness: Liveness,
    /// The process of the server, once it is known.
    process: Arc<OnceLock<u32>>,
    /// What a new connection says of these processes.
    ask: Arc<Ask>,
}

impl Liveness {
    pub(super) fn new(stall: Duration, interrupt: Interrupt) -> Self {
        Liveness { stall: Some(stall), interrupt, seen: Arc::default() }
    }

    fn stall(&self) -> Duration {
        self.stall.unwrap_or(STALL)
    }

    /// How long a new connection may take: no longer than an outage is waited for.
    pub(super) fn bounded(&self, limit: Duration) -> Duration {
        limit.min(self.stall().max(CONNECTING_MIN))
    }

    fn pause(&self) -> Duration {
        TRY_EVERY.min(self.stall() / TRIES)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cancellation of the run.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }
}

impl Waiting {
    pub(super) fn new(liveness: &Liveness, ask: impl Fn(&[u32]) -> Answer + Send + Sync + 'static) -> Self {
        Waiting { liveness: liveness.clone(), process: Arc::default(), ask: Arc::new(ask) }
    }

    /// Says which process of the server it is that is waited for.
    pub(super) fn served_by(&self, process: Option<u32>) {
        let _ = process.map(|process| self.process.set(process));
    }

    /// Why a wait of this length should end; none if it should continue.
    pub(super) fn given_up(&self, waited: Duration) -> Option<GivenUp> {
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
        if let Some(process) = self.process.get() {
            let at_rest = seen.processes.remove(process).and_then(|process| process.at_rest);
            seen.processes.insert(*process, Process { waited_for: Stopwatch::start(), at_rest });
        }
        if !seen.tries {
            seen.tries = true;
            seen.away = None;
            let waiting = self.clone();
            std::thread::spawn(move || waiting.keep_trying());
        }
        let is_long = |since: &Option<Stopwatch>| since.as_ref().is_some_and(|since| since.elapsed() >= stall);
        let process = self.process.get().and_then(|process| seen.processes.get(process));
        let why = match process {
            _ if is_long(&seen.away) => GivenUp::Away(stall),
            Some(process) if is_long(&process.at_rest) => GivenUp::CutOff(stall),
            _ => return None,
        };
        (waited >= stall).then_some(why)
    }

    /// Until no wait remains.
    fn keep_trying(&self) {
        let pause = self.liveness.pause();
        loop {
            let began = Stopwatch::start();
            let asked: Vec<u32> = self.liveness.seen().processes.keys().copied().collect();
            let answer = (self.ask)(&asked);
            {
                let mut seen = self.liveness.seen();
                seen.note(&answer, &asked, began);
                seen.processes.retain(|_, process| process.waited_for.elapsed() <= pause + TICK);
                if seen.waited_for.is_none_or(|waited| waited.elapsed() > pause + TICK) {
                    seen.tries = false;
                    return;
                }
            }
            std::thread::sleep(pause);
        }
    }
}

impl Seen {
    /// Takes down what another connection said that was begun so long ago.
    fn note(&mut self, answer: &Answer, asked: &[u32], began: Stopwatch) {
        self.away = match answer {
            Answer::Silence => Some(self.away.unwrap_or(began)),
            Answer::There(_) => None,
        };
        let Answer::There(at_work) = answer else { return };
        for (number, process) in &mut self.processes {
            let is_at_rest = asked.contains(number) && at_work.as_ref().is_some_and(|all| !all.contains(number));
            process.at_rest = is_at_rest.then(|| process.at_rest.unwrap_or(began));
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
        let waiting = Waiting::new(&liveness, move |_| {
            if answers.load(Ordering::Relaxed) { Answer::There(None) } else { Answer::Silence }
        });
        waiting.served_by(Some(7));
        assert_eq!(waits(&waiting, STALL * 4), None, "nobody can tell that it is not at work");
        is_there.store(false, Ordering::Relaxed);
        let watch = Stopwatch::start();
        assert_eq!(waits(&waiting, STALL * 20), Some(GivenUp::Away(STALL)));
        assert!(watch.elapsed() >= STALL, "it is waited for");
        interrupt.ask();
        assert_eq!(waiting.given_up(Duration::ZERO), Some(GivenUp::Interrupted));
    }

    #[test]
    fn a_connection_whose_process_is_gone_or_at_rest_is_given_up_alone() {
        let liveness = Liveness::new(STALL, Interrupt::default());
        // Of these, the server has only process 7 at work.
        let ask = |asked: &[u32]| Answer::There(Some(asked.iter().copied().filter(|one| *one == 7).collect()));
        let [served, cut_off, unknown] = [Some(7), Some(8), None].map(|process| {
            let waiting = Waiting::new(&liveness, ask);
            waiting.served_by(process);
            waiting
        });
        std::thread::scope(|scope| {
            let others = [&served, &unknown].map(|waiting| scope.spawn(|| waits(waiting, STALL * 4)));
            assert_eq!(waits(&cut_off, STALL * 20), Some(GivenUp::CutOff(STALL)));
            assert!(others.into_iter().all(|waited| waited.join().expect("a thread").is_none()));
        });
    }
}
