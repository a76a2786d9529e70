//! A database begins again when its snapshot was lost, or a server went away on the way: once both servers are back, and only
//! so often for each reason. What is proven is read again likewise.

use std::{collections::BTreeMap, time::Duration};

use super::{
    carry::{CarriedDatabase, DatabaseWork},
    copying::AWAY_PAUSE,
    ends::{CopyEnd, Lost, LostTo},
    reconnect::ReconnectLimits,
};
use crate::{
    asset::{stop::Stop, work::Work},
    clock::Stopwatch,
    domain::finding::{Finding, FindingKind},
    evidence::result::AssetResult,
    pg::Address,
};

/// How often a database is begun for one kind of reason before the asset is given up.
const ATTEMPTS_MAX: u32 = 3;
/// The same where a standby removes rows that are read, with a pause before each attempt.
const CONFLICTS_MAX: u32 = 5;
/// Before the second snapshot of a standby, and twice as long before each one after.
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);

/// The hint when snapshots are lost repeatedly.
const LOST: &str =
    "drill while nothing alters tables, or raise limits.lock_timeout, or read a copy (for RDS: method snapshot)";
/// The hint where the source is a standby.
const CONFLICT: &str = "the source is a standby that replays what its primary removes: set hot_standby_feedback = on there, or \
                        raise max_standby_streaming_delay, or read the primary";

/// Why a database is begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Snapshot(LostTo),
    Away,
}

/// How often a database was begun again, for each reason by itself: a migration at the wrong moment leaves as many attempts
/// to a server that fails over. The sum is bounded, too.
#[derive(Default)]
struct SoFar(BTreeMap<Reason, u32>);

impl SoFar {
    fn of(&self, reason: Reason) -> u32 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Whether the attempt that comes next, or is under way, is the last for this reason.
    fn is_last(&self, reason: Reason) -> bool {
        let max = if reason == Reason::Snapshot(LostTo::Conflict) { CONFLICTS_MAX } else { ATTEMPTS_MAX };
        self.of(reason) + 1 >= max
    }

    fn count(&mut self, reason: Reason) {
        *self.0.entry(reason).or_default() += 1;
    }
}

impl DatabaseWork {
    /// Everything from the snapshot to the last index. Blocks.
    pub(crate) fn carry(&self) -> Result<CarriedDatabase, Stop> {
        self.carry_or_begin_again().map_err(Stop::of_database)
    }

    fn carry_or_begin_again(&self) -> Result<CarriedDatabase, Stop> {
        let mut so_far = SoFar::default();
        let mut lost: Vec<Finding> = Vec::new();
        loop {
            let end = match self.attempt(so_far.is_last(Reason::Snapshot(LostTo::Change))) {
                Ok(mut carried) => {
                    carried.findings.append(&mut lost);
                    return Ok(carried);
                }
                Err(end) => end,
            };
            self.work.check_interrupt()?;
            let finding = self.once_more(end, &mut so_far)?;
            self.wait_for_servers().map_err(|stop| after(&finding.detail, stop))?;
            lost.push(finding);
        }
    }

    fn wait_for_servers(&self) -> Result<(), Stop> {
        ReconnectLimits::of_source(self.stall()).wait_for("the source", &self.work, || self.source.reach())?;
        let target = ReconnectLimits::of_target(self.stall(), self.target.is_managed());
        target.wait_for("the target", &self.work, || self.target.server.probe().map(drop))
    }

    /// What is recorded of a failure after which the database is restarted; any other failure ends the asset.
    fn once_more(&self, end: CopyEnd, so_far: &mut SoFar) -> Result<Finding, Stop> {
        match end {
            CopyEnd::SnapshotLost(Lost { reason, to }) => {
                let in_conflict = to == LostTo::Conflict;
                let to = Reason::Snapshot(to);
                if so_far.is_last(to) {
                    return Err(Stop::Asset {
                        reason: format!("the snapshot was lost again and again: {reason}"),
                        hint: Some(if in_conflict { CONFLICT } else { LOST }.to_owned()),
                    });
                }
                tracing::warn!(reason, "the snapshot was lost; the database starts again");
                if in_conflict {
                    self.wait(CONFLICT_PAUSE * 2u32.pow(so_far.of(to)))?;
                }
                so_far.count(to);
                Ok(self.work.finding(FindingKind::Deviation, "the snapshot was lost", reason))
            }
            CopyEnd::Stop(Stop::Away { reason, .. }) if !so_far.is_last(Reason::Away) => {
                tracing::warn!(reason, "a server went away; the database starts again");
                so_far.count(Reason::Away);
                Ok(self.work.finding(FindingKind::Deviation, "a connection was lost", reason))
            }
            CopyEnd::Stop(stop) => Err(stop),
        }
    }

    fn wait(&self, pause: Duration) -> Result<(), Stop> {
        let waiting = Stopwatch::start();
        while waiting.elapsed() < pause {
            self.work.check_interrupt()?;
            std::thread::sleep(AWAY_PAUSE);
        }
        Ok(())
    }
}

impl CarriedDatabase {
    /// Everything up to the asset's result. Blocks.
    pub(crate) fn prove(self) -> Result<AssetResult, Stop> {
        let CarriedDatabase { restored, findings, before, reconnect } = self;
        let prove = |findings| restored.prove(findings, &before);
        prove_or_begin_again(&restored.work, restored.database.address(), reconnect, findings, prove)
    }
}

/// Reads what was restored, and once more when the target went away meanwhile; `findings` are those of the transfer.
pub(crate) fn prove_or_begin_again(
    work: &Work,
    target: &Address,
    reconnect: ReconnectLimits,
    mut findings: Vec<Finding>,
    prove: impl Fn(Vec<Finding>) -> Result<AssetResult, Stop>,
) -> Result<AssetResult, Stop> {
    let mut attempt = 1;
    loop {
        let proven = prove(findings.clone());
        // What was read while connections were being closed proves nothing.
        work.check_interrupt()?;
        match proven {
            Err(Stop::Away { reason, .. }) if attempt < ATTEMPTS_MAX => {
                tracing::warn!(reason, "the target went away; what was restored is read again");
                let waited = reconnect.wait_for("the target", work, || target.connect().map(drop));
                waited.map_err(|stop| after(&reason, stop).of_database())?;
                findings.push(work.finding(FindingKind::Deviation, "a connection was lost", reason));
                attempt += 1;
            }
            proven => return proven.map_err(Stop::of_database),
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
