//! The one thing that walkaway makes at the provider: an instance that a snapshot is restored to, for a while, and the
//! snapshot itself where a new one is asked for.
//!
//! Everything made here carries the tag `walkaway:run`, and nothing is deleted whose tag RDS has not just confirmed. What
//! was made is written down before it is asked for, so that a killed process leaves nothing unknown.

use std::time::Duration;

use aws_sdk_rds::{
    Client,
    types::{DbInstance, DbSnapshot, Tag},
};

use super::{Endpoint, Rds, describe::tag, export};
use crate::{
    clock::{self, Stopwatch},
    digest::Sha256Digest,
    interrupt::Interrupt,
    source::s3::error,
    transfer::error::SourceError,
};

/// Whose it is: the run's id.
pub const RUN_TAG: &str = "walkaway:run";
/// Which playbook's.
pub const PLAYBOOK_TAG: &str = "walkaway:playbook";
/// Identifiers begin so.
pub(super) const PREFIX: &str = "walkaway-";
const POLL: Duration = Duration::from_secs(15);
/// The first look comes sooner, and each later one half as long again.
const POLL_FIRST: Duration = Duration::from_millis(250);
const REMOVE_ATTEMPTS_MAX: u32 = 5;
/// How many exports a run asks for one after the other, if those before failed.
pub const EXPORTS_MAX: u32 = 9;
/// RDS refuses to delete what is still being made; it is asked again for this long.
const REMOVE_WITHIN: Duration = Duration::from_secs(45 * 60);

/// Who makes something, as its tags say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The run's id.
    pub run: String,
    /// The playbook's id.
    pub playbook: String,
    /// Which asset of the run.
    pub asset: String,
}

/// What the temporary instance is like. RDS would choose the default groups by itself; nothing is left to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The class.
    pub class: String,
    /// The subnet group.
    pub subnet_group: String,
    /// The security groups.
    pub security_groups: Vec<String>,
    /// The parameter group.
    pub parameter_group: String,
    /// Tags beside walkaway's own.
    pub tags: Vec<(String, String)>,
    /// How long it may take to become available.
    pub available_within: Duration,
}

/// Something of walkaway's at the provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// An instance.
    Instance(String),
    /// A snapshot of an instance.
    Snapshot(String),
    /// An export of a snapshot. Only one under way is removed, by cancelling it; what it wrote stays.
    Export(String),
}

impl Resource {
    fn id(&self) -> &str {
        match self {
            Resource::Instance(id) | Resource::Snapshot(id) | Resource::Export(id) => id,
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Resource::Instance(id) => write!(f, "RDS instance {id}"),
            Resource::Snapshot(id) => write!(f, "RDS snapshot {id}"),
            Resource::Export(id) => write!(f, "RDS export {id}"),
        }
    }
}

/// Something with walkaway's tag, and which run's it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tagged {
    /// What it is.
    pub resource: Resource,
    /// The run that made it.
    pub run: String,
    /// The playbook of that run.
    pub playbook: String,
}

/// Makes and removes temporary things of one owner.
#[derive(Clone)]
pub struct Temporary {
    client: Client,
    owner: Owner,
    name: String,
}

impl Temporary {
    /// Makes nothing yet.
    ///
    /// Its things are named `walkaway-` and a digest of who makes it and when: identifiers have at most 63 letters,
    /// digits and hyphens, and a resumed run must not meet the name of what is just being deleted.
    pub fn new(rds: &Rds, owner: Owner) -> Self {
        let digest = Sha256Digest::of(format!("{} {} {}", owner.run, owner.asset, clock::now())).to_string();
        Temporary { client: rds.client.clone(), owner, name: format!("{PREFIX}{}", &digest[..20]) }
    }

    /// The instance that would be made.
    pub fn instance(&self) -> Resource {
        Resource::Instance(self.name.clone())
    }

    /// The snapshot that would be made.
    pub fn snapshot(&self) -> Resource {
        Resource::Snapshot(self.name.clone())
    }

    fn tags(&self, more: &[(String, String)]) -> Vec<Tag> {
        let own = [(RUN_TAG, &self.owner.run), (PLAYBOOK_TAG, &self.owner.playbook)];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.clone()));
        own.chain(more.iter().cloned()).map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
    }

    /// Takes a snapshot of an instance and waits for it.
    pub async fn take_snapshot(
        &self,
        instance: &str,
        within: Duration,
        interrupt: &Interrupt,
    ) -> Result<String, SourceError> {
        let id = self.name.clone();
        let what = format!("RDS snapshot {id}");
        let asked = self.client.create_db_snapshot().db_instance_identifier(instance).db_snapshot_identifier(&id);
        asked.set_tags(Some(self.tags(&[]))).send().await.map_err(|refused| error::of(&what, refused))?;
        let wait = Wait { what, within, interrupt };
        wait.for_it(|| async { Ok(self.find_snapshot(&id).await?.and_then(|one| one.status().map(str::to_owned))) })
            .await?;
        Ok(id)
    }

    /// Restores a snapshot to a new instance, and waits until that is available.
    pub async fn restore(&self, snapshot: &str, shape: &Shape, interrupt: &Interrupt) -> Result<Endpoint, SourceError> {
        let id = self.name.clone();
        let what = format!("RDS instance {id}");
        let asked = self
            .client
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(&id)
            .db_snapshot_identifier(snapshot)
            .db_instance_class(&shape.class)
            .db_subnet_group_name(&shape.subnet_group)
            .set_vpc_security_group_ids(Some(shape.security_groups.clone()))
            .db_parameter_group_name(&shape.parameter_group)
            .multi_az(false)
            .publicly_accessible(false)
            .auto_minor_version_upgrade(false)
            .deletion_protection(false)
            .copy_tags_to_snapshot(false)
            .enable_iam_database_authentication(true)
            .set_tags(Some(self.tags(&shape.tags)));
        asked.send().await.map_err(|refused| error::of(&what, refused))?;
        let wait = Wait { what: what.clone(), within: shape.available_within, interrupt };
        let status =
            || async { Ok(self.find_instance(&id).await?.and_then(|one| one.db_instance_status().map(str::to_owned))) };
        wait.for_it(status).await?;
        let described = super::describe::instance(&self.client, &id).await?;
        described.reached_at()
    }

    async fn find_instance(&self, id: &str) -> Result<Option<DbInstance>, SourceError> {
        let answer = self.client.describe_db_instances().db_instance_identifier(id).send().await;
        match answer.map_err(|refused| error::of(&format!("RDS instance {id}"), refused)) {
            Ok(answer) => Ok(answer.db_instances().first().cloned()),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    async fn find_snapshot(&self, id: &str) -> Result<Option<DbSnapshot>, SourceError> {
        let answer = self.client.describe_db_snapshots().db_snapshot_identifier(id).send().await;
        match answer.map_err(|refused| error::of(&format!("RDS snapshot {id}"), refused)) {
            Ok(answer) => Ok(answer.db_snapshots().first().cloned()),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Removes one thing and waits until it is going; says whether there was anything to remove. What has not the tag of
    /// the run `run` is left alone, and that is an error.
    pub async fn remove(&self, resource: &Resource, run: &str) -> Result<bool, SourceError> {
        let watch = Stopwatch::start();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.remove_once(resource, run).await {
                Ok(Removal::Gone) => return Ok(true),
                Ok(Removal::Nothing) => return Ok(false),
                Ok(Removal::NotYet) if watch.elapsed() < REMOVE_WITHIN => {
                    attempt = 0;
                    tokio::time::sleep(POLL).await;
                    continue;
                }
                Ok(Removal::NotYet) => {
                    let reason = "RDS did not let it be deleted in time".to_owned();
                    SourceError::Permanent { what: resource.to_string(), reason }
                }
                Err(error) => error,
            };
            if !error.is_transient() || attempt >= REMOVE_ATTEMPTS_MAX {
                return Err(error);
            }
            tokio::time::sleep(POLL_FIRST * 2_u32.pow(attempt)).await;
        }
    }

    async fn remove_once(&self, resource: &Resource, run: &str) -> Result<Removal, SourceError> {
        match resource {
            Resource::Instance(id) => {
                let Some(found) = self.find_instance(id).await? else { return Ok(Removal::Nothing) };
                check_tag(resource, found.tag_list(), run)?;
                if found.db_instance_status() == Some("deleting") {
                    return Ok(Removal::Gone);
                }
                let asked = self.client.delete_db_instance().db_instance_identifier(id);
                let asked = asked.skip_final_snapshot(true).delete_automated_backups(true).send().await;
                removal(asked.map(drop).map_err(|refused| error::of(&resource.to_string(), refused)))
            }
            Resource::Snapshot(id) => {
                let Some(found) = self.find_snapshot(id).await? else { return Ok(Removal::Nothing) };
                check_tag(resource, found.tag_list(), run)?;
                if found.status() == Some("deleting") {
                    return Ok(Removal::Gone);
                }
                let asked = self.client.delete_db_snapshot().db_snapshot_identifier(id).send().await;
                removal(asked.map(drop).map_err(|refused| error::of(&resource.to_string(), refused)))
            }
            // Exports carry no tags; the name says whose it is.
            Resource::Export(id) => {
                let own = (1..=EXPORTS_MAX).any(|attempt| *id == export::name_of(run, &self.owner.asset, attempt));
                if !own {
                    let reason = format!("its name is none of run {run}'s, so it is left alone");
                    return Err(SourceError::Permanent { what: resource.to_string(), reason });
                }
                let cancelled = export::Exports { client: self.client.clone() }.cancel(id).await?;
                Ok(if cancelled { Removal::Gone } else { Removal::Nothing })
            }
        }
    }
}

enum Removal {
    Gone,
    Nothing,
    NotYet,
}

/// RDS calls it an invalid state while something is still being made.
fn removal(asked: Result<(), SourceError>) -> Result<Removal, SourceError> {
    match asked {
        Ok(()) | Err(SourceError::NotFound { .. }) => Ok(Removal::Gone),
        Err(SourceError::Permanent { reason, .. }) if reason.starts_with("InvalidDB") => Ok(Removal::NotYet),
        Err(refused) => Err(refused),
    }
}

/// Nothing is deleted that isn't walkaway's, by its name and by its tag.
fn check_tag(resource: &Resource, tags: &[Tag], run: &str) -> Result<(), SourceError> {
    if resource.id().starts_with(PREFIX) && tag(tags, RUN_TAG) == Some(run) {
        return Ok(());
    }
    let reason = format!("it does not carry the tag {RUN_TAG}={run}, so it is left alone");
    Err(SourceError::Permanent { what: resource.to_string(), reason })
}

/// Everything at the provider that carries walkaway's tag.
pub async fn tagged(rds: &Rds) -> Result<Vec<Tagged>, SourceError> {
    let mut found = Vec::new();
    let mut put = |resource: Resource, tags: &[Tag]| {
        if let Some(run) = tag(tags, RUN_TAG) {
            let playbook = tag(tags, PLAYBOOK_TAG).unwrap_or_default().to_owned();
            found.push(Tagged { resource, run: run.to_owned(), playbook });
        }
    };
    let instances = rds.client.describe_db_instances().into_paginator().items().send();
    let instances: Vec<DbInstance> =
        instances.collect::<Result<_, _>>().await.map_err(|refused| error::of("the RDS instances", refused))?;
    for one in &instances {
        put(Resource::Instance(one.db_instance_identifier().unwrap_or_default().to_owned()), one.tag_list());
    }
    let snapshots = rds.client.describe_db_snapshots().snapshot_type("manual").into_paginator().items().send();
    let snapshots: Vec<DbSnapshot> =
        snapshots.collect::<Result<_, _>>().await.map_err(|refused| error::of("the RDS snapshots", refused))?;
    for one in &snapshots {
        put(Resource::Snapshot(one.db_snapshot_identifier().unwrap_or_default().to_owned()), one.tag_list());
    }
    found.retain(|one| one.resource.id().starts_with(PREFIX));
    found.sort();
    Ok(found)
}

/// Waiting for something to become available.
struct Wait<'a> {
    what: String,
    within: Duration,
    interrupt: &'a Interrupt,
}

impl Wait<'_> {
    /// Looks again and again. A failed state ends the wait, as does the wish to stop.
    async fn for_it<W>(&self, status: impl Fn() -> W) -> Result<(), SourceError>
    where
        W: Future<Output = Result<Option<String>, SourceError>>,
    {
        let watch = Stopwatch::start();
        let mut pause = POLL_FIRST;
        let ended = |reason: String| SourceError::Permanent { what: self.what.clone(), reason };
        let mut last = String::new();
        loop {
            match status().await {
                Ok(Some(status)) if status == "available" => return Ok(()),
                Ok(Some(status)) if has_failed(&status) => return Err(ended(format!("its status is {status}"))),
                Ok(Some(status)) => last = status,
                Ok(None) => "not there yet".clone_into(&mut last),
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(error),
            }
            if watch.elapsed() + pause > self.within {
                let within = self.within.as_secs();
                return Err(ended(format!("it was not available within {within} s; last seen: {last}")));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.interrupt.wait() => return Err(ended("stopped while waiting for it".to_owned())),
            }
            pause = (pause * 3 / 2).min(POLL);
        }
    }
}

/// States that waiting does not mend (Amazon RDS user guide, "Viewing Amazon RDS DB instance status").
fn has_failed(status: &str) -> bool {
    ["failed", "deleting", "restore-error", "storage-full", "stopped", "stopping"].contains(&status)
        || status.starts_with("incompatible-")
        || status.starts_with("inaccessible-")
}
