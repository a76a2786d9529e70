//! A database is restarted when its snapshot was lost, or a server became unreachable: once both servers are back, and only
//! a limited number of times. Verification is repeated likewise.

use std::time::Duration;

use super::{
    carry::{CarriedDatabase, DatabaseWork},
    copying::AWAY_PAUSE,
    ends::{Lost, RelayEnd},
};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    evidence::result::AssetResult,
    finding::{Finding, FindingKind},
    pg::PgError,
    transfer::retry::STALL,
};

/// How often a database is started before the asset is given up.
const ATTEMPTS_MAX: u32 = 3;
/// The same where a standby removes rows that are read, with a pause before each attempt.
const CONFLICTS_MAX: u32 = 5;
/// Before the second snapshot of a standby, and twice as long before each one after.
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);
/// How long a managed cluster may take to recover: nothing but this run restarts one that crashed.
const RECOVERY: Duration = Duration::from_secs(60);

/// The hint when snapshots are lost repeatedly.
const LOST: &str =
    "drill while nothing alters tables, or raise limits.lock_timeout, or read a copy (for RDS: method snapshot)";
/// The hint where the source is a standby.
const CONFLICT: &str = "the source is a standby that replays what its primary removes: set hot_standby_feedback = on there, or \
                        raise max_standby_streaming_delay, or read the primary";

impl DatabaseWork {
    /// Everything from the snapshot to the last index. Blocks.
    pub fn carry(&self) -> Result<CarriedDatabase, Stop> {
        self.carry_or_begin_again().map_err(Stop::of_database)
    }

    fn carry_or_begin_again(&self) -> Result<CarriedDatabase, Stop> {
        let mut lost: Vec<Finding> = Vec::new();
        loop {
            let so_far = lost.len() as u32;
            let end = match self.attempt(so_far + 1 >= ATTEMPTS_MAX) {
                Ok(mut carried) => {
                    carried.findings.append(&mut lost);
                    return Ok(carried);
                }
                Err(end) => end,
            };
            self.work.go_on()?;
            let finding = self.once_more(end, so_far)?;
            self.wait_for_servers().map_err(|stop| after(&finding.detail, stop))?;
            lost.push(finding);
        }
    }

    fn wait_for_servers(&self) -> Result<(), Stop> {
        wait_for("the source", &self.work, self.stall(), || self.source.reach())?;
        let patience = if self.target.is_managed() { self.stall().min(RECOVERY) } else { self.stall() };
        wait_for("the target", &self.work, patience, || self.target.server.probe().map(drop))
    }

    /// What is recorded of a failure after which the database is restarted; any other failure ends the asset.
    fn once_more(&self, end: RelayEnd, so_far: u32) -> Result<Finding, Stop> {
        match end {
            RelayEnd::SnapshotLost(Lost { reason, in_conflict }) => {
                if so_far + 1 >= if in_conflict { CONFLICTS_MAX } else { ATTEMPTS_MAX } {
                    return Err(Stop::Asset {
                        reason: format!("the snapshot was lost again and again: {reason}"),
                        hint: Some(if in_conflict { CONFLICT } else { LOST }.to_owned()),
                    });
                }
                tracing::warn!(reason, "the snapshot was lost; the database starts again");
                if in_conflict {
                    self.wait(CONFLICT_PAUSE * 2u32.pow(so_far))?;
                }
                Ok(self.work.finding(FindingKind::Deviation, "the snapshot was lost", reason))
            }
            RelayEnd::Stop(Stop::Away { reason, .. }) if so_far + 1 < ATTEMPTS_MAX => {
                tracing::warn!(reason, "a server was lost; the database starts again");
                Ok(self.work.finding(FindingKind::Deviation, "a connection was lost", reason))
            }
            RelayEnd::Stop(stop) => Err(stop),
        }
    }

    fn wait(&self, pause: Duration) -> Result<(), Stop> {
        let waiting = Stopwatch::start();
        while waiting.elapsed() < pause {
            self.work.go_on()?;
            std::thread::sleep(AWAY_PAUSE);
        }
        Ok(())
    }
}

impl CarriedDatabase {
    /// Everything up to the asset's result. Blocks.
    pub fn prove(self) -> Result<AssetResult, Stop> {
        self.prove_or_begin_again().map_err(Stop::of_database)
    }

    fn prove_or_begin_again(self) -> Result<AssetResult, Stop> {
        let CarriedDatabase { restored, mut findings, before } = self;
        let stall = restored.spec.limits.stall.map_or(STALL, |stall| stall.duration());
        let mut attempt = 1;
        loop {
            let proven = restored.prove(findings.clone(), &before);
            // What was read while connections were being closed proves nothing.
            restored.work.go_on()?;
            match proven {
                Err(Stop::Away { reason, .. }) if attempt < ATTEMPTS_MAX => {
                    tracing::warn!(reason, "the target was lost; the restored copy is read again");
                    let reach = || restored.database.address().connect().map(drop);
                    let waited = wait_for("the target", &restored.work, stall, reach);
                    waited.map_err(|stop| after(&reason, stop))?;
                    findings.push(restored.work.finding(FindingKind::Deviation, "a connection was lost", reason));
                    attempt += 1;
                }
                proven => return proven,
            }
        }
    }
}

/// In order of time.
fn after(first: &str, stop: Stop) -> Stop {
    match stop {
        Stop::Away { reason, hint } => Stop::Away { reason: format!("{first}; then {reason}"), hint },
        other => other,
    }
}

/// Waits for a server that fails over or restarts as long as a copy may stall.
fn wait_for(what: &str, work: &Work, stall: Duration, reach: impl Fn() -> Result<(), PgError>) -> Result<(), Stop> {
    let away = Stopwatch::start();
    loop {
        work.go_on()?;
        match reach() {
            Err(error) if error.connection_lost() && away.elapsed() < stall => {
                tracing::debug!(%error, "waiting for {what}");
                std::thread::sleep(AWAY_PAUSE);
            }
            reached => return Ok(reached?),
        }
    }
}
