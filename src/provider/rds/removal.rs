//! Removes what walkaway created at the provider, and does not treat "not found" as "removed" too early.
//!
//! RDS shows new resources late, loses responses, and refuses to delete what it is still creating. A resource that was
//! requested and not found is looked up until it can no longer appear; a deletion counts when RDS shows it, not when it
//! accepts it. Nothing is deleted that isn't walkaway's, by its name and by its tag.

use jiff::Timestamp;

use super::{
    describe::tag,
    export,
    resource::{RUN_TAG, Resource, UNTIL_TAG, in_use_until},
    temporary::{EXPORTS_MAX, Made, Temporary},
    timeouts::{Absence, Refusal, retried},
};
use crate::{
    clock::{self, Stopwatch},
    interrupt::Interrupt,
    transfer::error::SourceError,
};

/// The outcome of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It existed and is being deleted, or is deleted.
    Gone,
    /// It never existed: it was not requested, was refused, or did not appear for as long as it might have.
    NeverThere,
}

/// Whether a resource exists that costs money: a finished export does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// RDS does not show it, once, or shows it as being deleted.
    Absent,
    /// It exists, and no tag marks it as in use by a run. Exports have none.
    There,
    /// A run may be using it until then.
    InUse(Timestamp),
}

/// One step towards a removal.
enum Step {
    Gone,
    Absent,
    /// RDS agreed to delete it; the deletion has not been seen.
    Agreed,
    /// RDS refuses in its present state.
    NotYet,
    /// It exists and has no tags at all, as where RDS shows them late.
    Untagged,
}

impl Temporary {
    /// Removes one resource and waits until its deletion shows. What lacks the tag of the run `run` is kept, and that
    /// is an error. `halt` ends the wait, which is an error too.
    pub async fn remove(&self, resource: &Resource, run: &str, halt: &Interrupt) -> Result<Removed, SourceError> {
        let watch = Stopwatch::start();
        let mut pauses = self.timeouts.pauses();
        let mut answered = Stopwatch::start();
        let mut agreed = false;
        let mut told = false;
        let mut absence = Absence::default();
        loop {
            let step = self.step(resource, run).await;
            if step.is_ok() {
                answered = Stopwatch::start();
            }
            match step {
                Ok(Step::Gone) => return Ok(Removed::Gone),
                Ok(Step::Absent) if agreed => return Ok(Removed::Gone),
                Ok(Step::Absent) => {
                    if let Some(removed) = self.absent(resource, absence.lasts(&self.timeouts)) {
                        return Ok(removed);
                    }
                    if !told && matches!(self.made(resource), Some(Made::Asked(..))) {
                        told = true;
                        tracing::warn!("{resource} was asked for and may still appear; it is looked for again");
                    }
                }
                Ok(Step::Agreed) => {
                    absence.ends();
                    agreed = true;
                }
                Ok(Step::Untagged) if watch.elapsed() < self.timeouts.appears => absence.ends(),
                Ok(Step::Untagged) => return Err(foreign(resource, run)),
                Ok(Step::NotYet) if watch.elapsed() < self.timeouts.removal => absence.ends(),
                Ok(Step::NotYet) => {
                    let reason = "RDS did not let it be deleted in time".to_owned();
                    return Err(SourceError::Permanent { what: resource.to_string(), reason });
                }
                Err(error) if may_pass(&error) && answered.elapsed() < self.timeouts.busy => {}
                Err(error) => return Err(error),
            }
            if agreed && watch.elapsed() >= self.timeouts.removal {
                let reason = "RDS agreed to delete it, and still shows it as there".to_owned();
                return Err(SourceError::Permanent { what: resource.to_string(), reason });
            }
            tokio::select! {
                () = tokio::time::sleep(pauses.next()) => {}
                () = halt.wait() => {
                    let reason = "stopped before it was removed; it may be there".to_owned();
                    return Err(SourceError::Permanent { what: resource.to_string(), reason });
                }
            }
        }
    }

    /// The meaning of "not found", and whether RDS has reported it often and long enough.
    fn absent(&self, resource: &Resource, lasts: bool) -> Option<Removed> {
        match self.made(resource) {
            Some(Made::Refused) => Some(Removed::NeverThere),
            Some(Made::Asked(since, within)) if since.elapsed() < within => None,
            Some(Made::Seen { .. }) => lasts.then_some(Removed::Gone),
            _ => lasts.then_some(Removed::NeverThere),
        }
    }

    async fn step(&self, resource: &Resource, run: &str) -> Result<Step, SourceError> {
        // What RDS refused to create is not looked up: whoever may not create it may lack the right to look, too.
        if matches!(self.made(resource), Some(Made::Refused)) {
            return Ok(Step::Absent);
        }
        let what = resource.to_string();
        let id = resource.id();
        if !resource.has_own_name() {
            let reason = "its name is none that walkaway gives, so it is left alone".to_owned();
            return Err(SourceError::Permanent { what, reason });
        }
        if let Resource::Export(id) = resource {
            return self.cancel(id, run).await;
        }
        let Some(found) = self.find(resource).await? else { return Ok(Step::Absent) };
        match tag(&found.tags, RUN_TAG) {
            Some(owner) if owner == run => {}
            None if found.tags.is_empty() => return Ok(Step::Untagged),
            _ => return Err(foreign(resource, run)),
        }
        if found.status == "deleting" {
            return Ok(Step::Gone);
        }
        let until = tag(&found.tags, UNTIL_TAG).and_then(|until| until.parse().ok());
        if let Some(until) = in_use_until(until, found.created, clock::now()).filter(|_| self.only_forgotten) {
            let reason = format!("run {run} may be at work on it until {until}, so it is left alone");
            return Err(SourceError::Permanent { what, reason });
        }
        let asked = match resource {
            Resource::Instance(_) => {
                let asked = self.client.delete_db_instance().db_instance_identifier(id);
                let asked = asked.skip_final_snapshot(true).delete_automated_backups(true).send().await;
                asked.map(drop).map_err(|refused| Refusal::of(&what, refused))
            }
            _ => {
                let asked = self.client.delete_db_snapshot().db_snapshot_identifier(id).send().await;
                asked.map(drop).map_err(|refused| Refusal::of(&what, refused))
            }
        };
        match asked {
            Ok(()) => Ok(Step::Agreed),
            Err(Refusal::Absent) => Ok(Step::Absent),
            Err(Refusal::NotNow(_)) => Ok(Step::NotYet),
            Err(refusal) => Err(refusal.about(&what)),
        }
    }

    /// Exports have no tags; the name identifies the owner. A finished one can't be removed.
    async fn cancel(&self, id: &str, run: &str) -> Result<Step, SourceError> {
        let own = (1..=EXPORTS_MAX).any(|attempt| *id == export::name_of(run, &self.owner.asset, attempt));
        if !own {
            let reason = format!("its name is none of run {run}'s, so it is left alone");
            return Err(SourceError::Permanent { what: format!("RDS export {id}"), reason });
        }
        let exports = export::Exports { client: self.client.clone(), timeouts: self.timeouts };
        match exports.find(id).await? {
            None => Ok(Step::Absent),
            Some(task) => {
                let resource = Resource::Export(id.to_owned());
                self.note(&resource, Made::Seen { arn: String::new(), said: None });
                if task.is_under_way() { exports.cancel(id).await.map(|_| Step::Agreed) } else { Ok(Step::Gone) }
            }
        }
    }

    /// Whether it exists, and is in use.
    pub async fn presence(&self, resource: &Resource) -> Result<Presence, SourceError> {
        if let Resource::Export(id) = resource {
            let exports = export::Exports { client: self.client.clone(), timeouts: self.timeouts };
            let is_there = exports.find(id).await?.is_some_and(|task| task.is_under_way());
            return Ok(if is_there { Presence::There } else { Presence::Absent });
        }
        let asked = || async { self.find(resource).await.map_err(Refusal::Other) };
        let found = retried(&self.timeouts, asked).await.map_err(|refusal| refusal.about(&resource.to_string()))?;
        let Some(found) = found.filter(|found| found.status != "deleting") else { return Ok(Presence::Absent) };
        let until = tag(&found.tags, UNTIL_TAG).and_then(|until| until.parse().ok());
        Ok(in_use_until(until, found.created, clock::now()).map_or(Presence::There, Presence::InUse))
    }
}

/// Whether another attempt may succeed: after a connection failure, or with renewed credentials.
fn may_pass(error: &SourceError) -> bool {
    error.is_transient() || error.is_about_caller()
}

fn foreign(resource: &Resource, run: &str) -> SourceError {
    let reason = format!("it does not carry the tag {RUN_TAG}={run}, so it is left alone");
    SourceError::Permanent { what: resource.to_string(), reason }
}
