//! How long the servers of a database are waited for when they are away.

use std::time::Duration;

use super::copying::AWAY_PAUSE;
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    pg::PgError,
    playbook::DatabaseSpec,
    transfer::retry::STALL,
};

/// How long a managed cluster is waited for that can't be reached: nobody but this run starts one that went down, so one
/// that does not come back by itself, such as after a process of it crashed, does not come back. One that says that it is
/// starting is waited for like any other server.
const RECOVERY: Duration = Duration::from_secs(60);

/// How long a copy may stand still, and a server be away.
pub(crate) fn stall(spec: &DatabaseSpec) -> Duration {
    spec.limits.stall.map_or(STALL, |stall| stall.duration())
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReconnectLimits {
    /// One that can't be reached.
    unreached: Duration,
    /// One that says that it lets nobody in yet.
    starting: Duration,
}

impl ReconnectLimits {
    /// Waits for a server that fails over or restarts as long as a copy may stall.
    pub(crate) fn of_source(stall: Duration) -> Self {
        ReconnectLimits { unreached: stall, starting: stall }
    }

    /// The same with the target.
    pub(crate) fn of_target(stall: Duration, is_managed: bool) -> Self {
        ReconnectLimits { unreached: if is_managed { stall.min(RECOVERY) } else { stall }, starting: stall }
    }

    /// Tries to reach a server until it is there, or the patience is at its end.
    pub(crate) fn wait_for<T>(
        self,
        what: &str,
        work: &Work,
        reach: impl Fn() -> Result<T, PgError>,
    ) -> Result<T, Stop> {
        let away = Stopwatch::start();
        loop {
            work.check_interrupt()?;
            let error = match reach() {
                Ok(reached) => return Ok(reached),
                Err(error) => error,
            };
            let limit = if error.is_not_now() { self.starting } else { self.unreached };
            if !error.connection_lost() || away.elapsed() >= limit {
                return Err(error.into());
            }
            tracing::debug!(%error, "waiting for {what}");
            std::thread::sleep(AWAY_PAUSE);
        }
    }
}
