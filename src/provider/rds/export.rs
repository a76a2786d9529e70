//! Exports of snapshots to a bucket: requested, found again, and waited for.
//!
//! An export that walkaway requests is named after the run, the asset and the attempt: it can be found again by these,
//! and no other task is ever cancelled. What a task has written stays in the bucket; nothing here can
//! delete an object.
//!
//! Source: Amazon RDS API reference, `StartExportTask`, `ExportTask`.

use std::time::Duration;

use aws_sdk_rds::{
    Client,
    primitives::{DateTime, DateTimeFormat},
    types::ExportTask as Described,
};

use super::{
    client::Rds,
    resource::{is_own_name, own_name},
    timeouts::{Absence, Refusal, Timeouts, every_page, retried},
};
use crate::{clock::Stopwatch, domain::digest::Sha256Digest, interrupt::Interrupt, transfer::error::SourceError};

/// The source and the destination of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The snapshot's ARN.
    pub snapshot_arn: String,
    /// The database of the snapshot; none exports all of them.
    pub database: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The prefix of its keys; may be empty.
    pub prefix: String,
    /// The role that RDS writes as.
    pub role: String,
    /// The key that it encrypts with.
    pub key: String,
}

/// A task as the provider describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportFacts {
    /// Its identifier.
    pub id: String,
    /// `STARTING`, `IN_PROGRESS`, `COMPLETE`, …, in capitals.
    pub status: String,
    /// Its progress, in percent.
    pub percent: u64,
    /// Its destination bucket.
    pub bucket: String,
    /// The prefix of its keys, before its identifier.
    pub prefix: String,
    /// The snapshot's ARN.
    pub snapshot_arn: String,
    /// When the snapshot was taken, RFC 3339, where the provider states it.
    pub snapshot_taken: Option<String>,
    /// The provider's warning, such as that tables were skipped.
    pub warning: Option<String>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Gibibytes that were read from the snapshot.
    pub extracted_gib: u64,
    /// The requested parts; the whole snapshot if empty.
    pub only: Vec<String>,
}

impl ExportFacts {
    /// Whether it is finished.
    pub fn is_complete(&self) -> bool {
        self.status == "COMPLETE"
    }

    /// Whether it has neither ended nor been cancelled. An unknown status does not count as ended.
    pub fn is_under_way(&self) -> bool {
        !self.has_ended() && self.status != "CANCELING"
    }

    /// Whether it has ended; `CANCELING` does not count as ended.
    fn has_ended(&self) -> bool {
        ["COMPLETE", "FAILED", "CANCELED"].contains(&self.status.as_str())
    }

    /// The prefix of its objects' keys.
    pub fn folder(&self) -> String {
        match self.prefix.trim_end_matches('/') {
            "" => format!("{}/", self.id),
            prefix => format!("{prefix}/{}/", self.id),
        }
    }
}

/// The identifier of the export that an attempt of a run requests; at most 60 letters, digits and hyphens are allowed.
pub fn name_of(run: &str, asset: &str, attempt: u32) -> String {
    own_name(Sha256Digest::of(format!("{run} {asset} export {attempt}")))
}

/// Requests exports and monitors them.
#[derive(Clone)]
pub struct Exports {
    pub(super) client: Client,
    pub(super) timeouts: Timeouts,
}

impl Exports {
    /// Sends no request yet.
    pub fn new(rds: &Rds) -> Self {
        Exports { client: rds.client.clone(), timeouts: rds.timeouts }
    }

    /// A task by its identifier; none if there is no such task.
    pub async fn find(&self, id: &str) -> Result<Option<ExportFacts>, SourceError> {
        let what = &what(id);
        let found = retried(&self.timeouts, || async move {
            let answer = self.client.describe_export_tasks().export_task_identifier(id).send().await;
            let answer = answer.map_err(|refused| Refusal::of(what, refused))?;
            Ok(answer.export_tasks().iter().find(|task| task.export_task_identifier() == Some(id)).map(facts))
        });
        match found.await {
            Err(Refusal::Absent) => Ok(None),
            found => found.map_err(|refusal| refusal.about(what)),
        }
    }

    /// The snapshots with an export in progress.
    pub async fn sources_under_way(&self) -> Result<Vec<String>, SourceError> {
        let what = "the RDS exports";
        let found = every_page(what, &self.timeouts, |marker| async move {
            let answer = self.client.describe_export_tasks().set_marker(marker).send().await;
            answer.map(|answer| (answer.export_tasks, answer.marker)).map_err(|refused| Refusal::of(what, refused))
        });
        let found: Vec<Described> = found.await?;
        Ok(found.iter().map(facts).filter(|task| !task.has_ended()).map(|task| task.snapshot_arn).collect())
    }

    /// Requests an export under this identifier. An existing one with the same id, snapshot and destination is the one
    /// that was requested: a response was lost.
    ///
    /// # Errors
    /// Also states whether RDS refused: otherwise the export may exist all the same.
    pub async fn start(&self, id: &str, order: &Order) -> Result<(), (SourceError, bool)> {
        let watch = Stopwatch::start();
        let mut pauses = self.timeouts.pauses();
        let mut heard = false;
        loop {
            let error = match self.ask(id, order).await {
                Ok(()) => return Ok(()),
                Err(Refusal::AlreadyThere) => return self.adopt(id, order).await.map_err(|error| (error, false)),
                Err(Refusal::Other(error)) if error.is_transient() => error,
                Err(refusal) => return Err((refusal.about(&what(id)), !heard)),
            };
            heard = true;
            let pause = pauses.next();
            if watch.elapsed() + pause > self.timeouts.busy {
                return Err((error, false));
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self, id: &str, order: &Order) -> Result<(), Refusal> {
        let asked = self
            .client
            .start_export_task()
            .export_task_identifier(id)
            .source_arn(&order.snapshot_arn)
            .s3_bucket_name(&order.bucket)
            .set_s3_prefix(Some(order.prefix.clone()).filter(|prefix| !prefix.is_empty()))
            .iam_role_arn(&order.role)
            .kms_key_id(&order.key)
            .set_export_only(order.database.clone().map(|database| vec![database]));
        asked.send().await.map(drop).map_err(|refused| Refusal::of(&what(id), refused))
    }

    /// Exports have no tags: what has our name is ours if it is what we requested.
    async fn adopt(&self, id: &str, order: &Order) -> Result<(), SourceError> {
        let Some(task) = self.find(id).await? else { return Ok(()) };
        let prefix = |prefix: &str| prefix.trim_end_matches('/').to_owned();
        let same = task.snapshot_arn == order.snapshot_arn
            && task.bucket == order.bucket
            && prefix(&task.prefix) == prefix(&order.prefix);
        if same {
            Ok(())
        } else {
            let reason = "an export of this name is there already, of another snapshot or to another place";
            Err(SourceError::Permanent { what: what(id), reason: reason.to_owned() })
        }
    }

    /// Waits until a task is complete, and reports its progress meanwhile.
    pub async fn wait(
        &self,
        id: &str,
        within: Duration,
        interrupt: &Interrupt,
        heard: impl Fn(&ExportFacts),
    ) -> Result<ExportFacts, SourceError> {
        let watch = Stopwatch::start();
        let mut pauses = self.timeouts.pauses();
        let mut seen = false;
        let mut absence = Absence::default();
        let ended = |reason: String| SourceError::Permanent { what: what(id), reason };
        let mut last = "not there yet".to_owned();
        let stopped = || ended("stopped while waiting for it".to_owned());
        loop {
            match interrupt.unless_asked(self.find(id)).await.ok_or_else(stopped)? {
                Ok(Some(task)) if task.is_complete() => return Ok(task),
                Ok(Some(task)) if task.is_under_way() => {
                    heard(&task);
                    absence.ends();
                    seen = true;
                    last = format!("{} at {} %", task.status, task.percent);
                }
                Ok(Some(task)) => {
                    let why = task.failure.map(|failure| format!(": {failure}")).unwrap_or_default();
                    return Err(ended(format!("its status is {}{why}", task.status)));
                }
                Ok(None) if seen && absence.lasts(&self.timeouts) => {
                    return Err(ended("it was there and is gone: something else removed it".to_owned()));
                }
                Ok(None) => {}
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(error),
            }
            let pause = pauses.next();
            if watch.elapsed() + pause > within {
                return Err(ended(format!("it was not complete within {} s; last seen: {last}", within.as_secs())));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = interrupt.wait() => return Err(stopped()),
            }
        }
    }

    /// Cancels a task of walkaway's if it has not ended. Returns whether there was anything to cancel.
    pub async fn cancel(&self, id: &str) -> Result<bool, SourceError> {
        if !is_own_name(id) {
            let reason = "it is none of walkaway's, so it is left alone".to_owned();
            return Err(SourceError::Permanent { what: what(id), reason });
        }
        match self.find(id).await? {
            Some(task) if task.is_under_way() => {
                let asked = self.client.cancel_export_task().export_task_identifier(id).send().await;
                asked.map(|_| true).map_err(|refused| Refusal::of(&what(id), refused).about(&what(id)))
            }
            _ => Ok(false),
        }
    }
}

fn what(id: &str) -> String {
    format!("RDS export {id}")
}

fn facts(task: &Described) -> ExportFacts {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let said = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let number = |number: Option<i32>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
    let stamp = |time: Option<&DateTime>| time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok());
    ExportFacts {
        id: text(task.export_task_identifier()),
        status: text(task.status()).to_ascii_uppercase(),
        percent: number(task.percent_progress()).min(100),
        bucket: text(task.s3_bucket()),
        prefix: text(task.s3_prefix()),
        snapshot_arn: text(task.source_arn()),
        snapshot_taken: stamp(task.snapshot_time()),
        warning: said(task.warning_message()),
        failure: said(task.failure_cause()),
        extracted_gib: number(task.total_extracted_data_in_gb()),
        only: task.export_only().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_below_the_prefix() {
        let task = |prefix: &str| ExportFacts { id: "e".into(), prefix: prefix.into(), ..ExportFacts::default() };
        assert_eq!([task("").folder(), task("a/b").folder(), task("a/").folder()], ["e/", "a/b/e/", "a/e/"]);
    }

    #[test]
    fn a_name_belongs_to_run_asset_and_attempt() {
        let name = name_of("run", "ledger", 1);
        assert!(name.len() <= 60 && is_own_name(&name));
        let others = [name_of("run", "ledger", 2), name_of("run", "crm", 1), name_of("other", "ledger", 1)];
        assert!(!others.contains(&name));
        assert_eq!(name, name_of("run", "ledger", 1));
    }
}
