//! The context of the work on every asset.

use std::{path::PathBuf, sync::Arc};

use super::{stop::Stop, ticker::Ticker};
use crate::{
    domain::{
        event::{AssetKind, Event, Phase},
        finding::{Finding, FindingKind},
        proof::{Control, Tier},
    },
    evidence::result::AssetResult,
    interrupt::Interrupt,
    record::{directory::make_private_beneath, layout::Layout, ledger::Ledger, recorder::Recorder},
    transfer::{error::SinkError, executor::UnitExecutor, meter::Meter, objects::Budget},
};

/// One asset of one run: its directories and its recorder.
#[derive(Clone)]
pub struct Work {
    pub asset: String,
    pub run: String,
    pub layout: Layout,
    pub ledger: Arc<Ledger>,
    pub recorder: Arc<Recorder>,
    /// Bytes of objects in memory at once, over all assets.
    pub budget: Budget,
    pub interrupt: Interrupt,
    /// What runs units.
    pub executor: Arc<dyn UnitExecutor>,
}

impl Work {
    /// The asset's directory among the restored data.
    pub fn root(&self) -> PathBuf {
        self.layout.asset_root(&self.asset)
    }

    /// Creates the asset's directory, below the target's path and through no symbolic link.
    pub fn make_root(&self) -> Result<(), SinkError> {
        let top = self.layout.restored.parent().unwrap_or(&self.layout.restored);
        make_private_beneath(top, &self.root()).map_err(|error| SinkError::write(self.root(), error))
    }

    pub fn started(&self, kind: AssetKind) -> Result<(), Stop> {
        Ok(self.recorder.fact(&Event::AssetStarted { asset: self.asset.clone(), kind })?)
    }

    pub fn transferred(&self, items: u64, bytes: u64, duration_ms: u64) -> Result<(), Stop> {
        Ok(self.recorder.fact(&Event::AssetTransferred { asset: self.asset.clone(), items, bytes, duration_ms })?)
    }

    pub fn verified(&self, items: u64, bytes: u64, duration_ms: u64) -> Result<(), Stop> {
        Ok(self.recorder.fact(&Event::AssetVerified { asset: self.asset.clone(), items, bytes, duration_ms })?)
    }

    pub fn ticker(&self, phase: Phase, meter: &Arc<Meter>) -> Ticker {
        Ticker::start(self.recorder.monitor(), &self.asset, phase, meter)
    }

    pub fn finding(&self, kind: FindingKind, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::of(&self.asset, kind, subject, detail)
    }

    /// Stops here if requested.
    pub fn check_interrupt(&self) -> Result<(), Stop> {
        if self.interrupt.asked() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// A request to the provider, abandoned on a request to stop.
    pub async fn unless_stopped<T>(&self, asking: impl Future<Output = T>) -> Result<T, Stop> {
        self.interrupt.unless_asked(asking).await.ok_or(Stop::Interrupted)
    }

    /// Records the controls; one that was not found is a finding about the verifier itself.
    pub fn controls(&self, controls: &[Control]) -> Result<Vec<Finding>, Stop> {
        for Control { damage, found } in controls {
            let asset = self.asset.clone();
            let damage = damage.clone();
            self.recorder.fact(&Event::ControlRan { asset, damage, found: *found })?;
        }
        let missed = controls.iter().filter(|control| !control.found);
        Ok(missed.map(|control| self.finding(FindingKind::VerifierBlind, &control.damage, "")).collect())
    }

    /// The finding about an empty asset: the playbook may have declared that as intended.
    pub fn empty(&self, may_be_empty: bool, subject: &str, nothing: &str) -> Finding {
        let (kind, detail) = if may_be_empty {
            (FindingKind::Deviation, format!("{nothing} is there, and the playbook says that it may be empty"))
        } else {
            (
                FindingKind::NothingMatched,
                format!("{nothing} is there; if that is as it should be, write `may_be_empty: true` for the asset"),
            )
        };
        self.finding(kind, subject, detail)
    }

    /// Records the findings and the end of the asset.
    pub fn done(&self, result: &AssetResult) -> Result<(), Stop> {
        for finding in &result.findings {
            self.recorder.fact(&Event::Found { finding: finding.clone() })?;
        }
        if let Some(filed) = &result.filed {
            let asset = self.asset.clone();
            let file = filed.file.clone();
            let sha256 = filed.sha256;
            let beyond = filed.beyond();
            self.recorder.fact(&Event::FindingsFiled { asset, file, sha256, beyond })?;
        }
        let outcome_sha256 = crate::record::ledger::write_outcome(&self.layout, result)?;
        let asset = self.asset.clone();
        let verdict = result.verdict;
        let sampled = result.tier == Tier::Sample;
        Ok(self.recorder.fact(&Event::AssetDone { asset, verdict, outcome_sha256, sampled })?)
    }
}
