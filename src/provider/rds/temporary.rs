//! The one resource that walkaway creates at the provider: a temporary instance that a snapshot is restored to, and the
//! snapshot itself where a new one is requested.
//!
//! Everything created here has the tags of `resource`, and nothing is deleted whose tag RDS has not just confirmed
//! (`removal`). What is created is recorded before it is requested, so that a killed process leaves nothing unknown. A
//! response may be lost: whether a creating call was executed is queried from RDS, never inferred from the failure.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_rds::{
    Client,
    primitives::DateTime,
    types::{DbInstance, DbSnapshot, Tag},
};
use jiff::{SignedDuration, Timestamp};

pub use super::resource::{PLAYBOOK_TAG, RUN_TAG, Resource, Tagged, UNDATED_LIFE, UNTIL_TAG, tagged};
use super::{
    client::Rds,
    describe::{self, tag},
    place::Endpoint,
    resource::{own_name, stamp},
    timeouts::{Absence, Refusal, Timeouts, retried},
};
use crate::{
    clock::{self, Stopwatch},
    domain::digest::Sha256Digest,
    interrupt::Interrupt,
    transfer::error::SourceError,
};

/// How many exports a run requests one after the other, if earlier ones failed.
pub const EXPORTS_MAX: u32 = 9;
/// How long a run claims what it created, with each extension.
pub const IN_USE_PERIOD: SignedDuration = SignedDuration::from_mins(30);
/// How often it extends the claim.
const TAG_RENEWAL_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The owner of a resource, as stated in its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The run's id.
    pub run: String,
    /// The playbook's id.
    pub playbook: String,
    /// The asset of the run.
    pub asset: String,
}

impl Owner {
    /// Of a run whose resources are handled by another process, for which its playbook does not matter.
    pub fn of_run(run: &str, asset: &str) -> Self {
        Owner { run: run.to_owned(), playbook: String::new(), asset: asset.to_owned() }
    }
}

/// The properties of the temporary instance. RDS would choose the default groups by itself; all are set explicitly.
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
    /// Tags besides walkaway's own.
    pub tags: Vec<(String, String)>,
    /// How long it may take to become available.
    pub available_within: Duration,
}

/// What is known of a resource that this process was to create, or finds named in a journal.
#[derive(Clone, Debug)]
pub(super) enum Made {
    /// It was requested and not seen; from when on, and for how long, it may appear.
    Asked(Stopwatch, Duration),
    /// RDS showed it, under this ARN; when its tag was last extended.
    Seen { arn: String, said: Option<Stopwatch> },
    /// RDS refused to create it.
    Refused,
}

/// A resource as RDS shows it.
pub(super) struct Shown {
    pub status: String,
    pub tags: Vec<Tag>,
    pub arn: String,
    pub created: Option<Timestamp>,
}

/// Creates and removes temporary resources of one owner.
#[derive(Clone)]
pub struct Temporary {
    pub(super) client: Client,
    pub(super) timeouts: Timeouts,
    pub(super) owner: Owner,
    name: String,
    /// Nothing is removed whose tag marks it as in use by a run.
    pub(super) only_forgotten: bool,
    made: Arc<Mutex<BTreeMap<Resource, Made>>>,
}

impl Temporary {
    /// Creates nothing yet.
    ///
    /// Its resources are named `walkaway-` and a digest unique to this process: identifiers have at most 63 letters,
    /// digits and hyphens, and a resumed run must not reuse the name of what is being deleted.
    pub fn new(rds: &Rds, owner: Owner) -> Self {
        let random = getrandom::u64().unwrap_or_default();
        let digest = Sha256Digest::of(format!("{} {} {} {random}", owner.run, owner.asset, clock::now()));
        Temporary {
            client: rds.client.clone(),
            timeouts: rds.timeouts,
            owner,
            name: own_name(digest),
            only_forgotten: false,
            made: Arc::default(),
        }
    }

    /// Handles what other processes created.
    pub fn of_others(rds: &Rds, owner: Owner) -> Self {
        Temporary::new(rds, owner)
    }

    /// The same for a run that is not known to have ended: what its tag marks as in use at the moment of removal is
    /// kept.
    pub fn of_others_unless_in_use(rds: &Rds, owner: Owner, has_ended: bool) -> Self {
        Temporary { only_forgotten: !has_ended, ..Temporary::new(rds, owner) }
    }

    /// The instance that would be created.
    pub fn instance(&self) -> Resource {
        Resource::Instance(self.name.clone())
    }

    /// The snapshot that would be created.
    pub fn snapshot(&self) -> Resource {
        Resource::Snapshot(self.name.clone())
    }

    /// A resource was requested, here or by another process, and may appear for this long from now.
    pub fn expect_to_appear(&self, resource: &Resource, within: Duration) {
        self.note(resource, Made::Asked(Stopwatch::start(), within));
    }

    /// RDS refused to create it.
    pub fn refused(&self, resource: &Resource) {
        self.note(resource, Made::Refused);
    }

    /// How long a requested resource may take to appear.
    pub fn appears_within(&self) -> Duration {
        self.timeouts.appears
    }

    /// Whether it was requested and RDS did not refuse.
    pub fn may_be_there(&self, resource: &Resource) -> bool {
        !matches!(self.known().get(resource), None | Some(Made::Refused))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Resource, Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, resource: &Resource, made: Made) {
        self.known().insert(resource.clone(), made);
    }

    pub(super) fn made(&self, resource: &Resource) -> Option<Made> {
        self.known().get(resource).cloned()
    }

    /// The tags of a new resource, or of one whose use is extended.
    fn tags(&self, more: &[(String, String)]) -> Vec<Tag> {
        let until = clock::now().checked_add(IN_USE_PERIOD).unwrap_or(jiff::Timestamp::MAX).to_string();
        let own = [(RUN_TAG, &self.owner.run), (PLAYBOOK_TAG, &self.owner.playbook), (UNTIL_TAG, &until)];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.clone()));
        own.chain(more.iter().cloned()).map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
    }

    /// Extends the time until which the run claims what it created, where that is due. Called periodically.
    pub async fn renew_in_use_tags(&self) {
        let due: Vec<(Resource, String)> = {
            let known = self.known();
            let due = known.iter().filter_map(|(resource, made)| match made {
                Made::Seen { arn, said } if said.is_none_or(|said| said.elapsed() >= TAG_RENEWAL_INTERVAL) => {
                    Some((resource.clone(), arn.clone()))
                }
                _ => None,
            });
            due.filter(|(_, arn)| !arn.is_empty()).collect()
        };
        for (resource, arn) in due {
            let tags = Some(self.tags(&[]));
            let asked = self.client.add_tags_to_resource().resource_name(&arn).set_tags(tags).send().await;
            match asked.map_err(|refused| Refusal::of(&resource.to_string(), refused)) {
                Ok(_) => self.note(&resource, Made::Seen { arn, said: Some(Stopwatch::start()) }),
                Err(refusal) => {
                    let error = refusal.about(&resource.to_string());
                    let hint = "allow rds:AddTagsToResource, or another run may take it for forgotten half an hour after it \
                                was made";
                    match error {
                        SourceError::Denied { .. } => {
                            tracing::warn!(%error, "{resource} could not be tagged as in use; {hint}")
                        }
                        _ => tracing::debug!(%error, "{resource} could not be tagged as in use; it is tried again"),
                    }
                }
            }
        }
    }

    /// Takes a snapshot of an instance and waits for it.
    pub async fn take_snapshot(
        &self,
        instance: &str,
        within: Duration,
        interrupt: &Interrupt,
    ) -> Result<String, SourceError> {
        let resource = self.snapshot();
        let what = resource.to_string();
        let ask = || async {
            let asked = self.client.create_db_snapshot().db_instance_identifier(instance);
            let asked = asked.db_snapshot_identifier(&self.name).set_tags(Some(self.tags(&[])));
            asked.send().await.map(drop).map_err(|refused| Refusal::of(&what, refused))
        };
        self.make(&resource, within, interrupt, ask).await?;
        self.wait(&resource, within, interrupt).await?;
        Ok(self.name.clone())
    }

    /// Restores a snapshot to a new instance, and waits until that is available.
    pub async fn restore(&self, snapshot: &str, shape: &Shape, interrupt: &Interrupt) -> Result<Endpoint, SourceError> {
        let resource = self.instance();
        let what = resource.to_string();
        let ask = || async {
            let asked = self
                .client
                .restore_db_instance_from_db_snapshot()
                .db_instance_identifier(&self.name)
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
            asked.send().await.map(drop).map_err(|refused| Refusal::of(&what, refused))
        };
        self.make(&resource, shape.available_within, interrupt, ask).await?;
        self.wait(&resource, shape.available_within, interrupt).await?;
        let describing = retried(&self.timeouts, || describe::instance_alone(&self.client, &self.name));
        let described = interrupt.unless_asked(describing).await.ok_or_else(|| stopped(&resource))?;
        described.map_err(|refusal| refusal.about(&what))?.reached_at()
    }

    /// Whether an existing instance was deleted.
    pub async fn instance_vanished(&self) -> bool {
        let resource = self.instance();
        let mut absence = Absence::default();
        loop {
            match self.find(&resource).await {
                Ok(None) if absence.lasts(&self.timeouts) => return true,
                Ok(None) => tokio::time::sleep(self.timeouts.first * 4).await,
                Ok(Some(shown)) => return shown.status == "deleting",
                Err(_) => return false,
            }
        }
    }

    /// Requests a resource until RDS has it or refuses. A lost response is not a refusal: a resource with our name and
    /// tag is what was requested.
    async fn make<F>(
        &self,
        resource: &Resource,
        within: Duration,
        interrupt: &Interrupt,
        ask: impl Fn() -> F,
    ) -> Result<(), SourceError>
    where
        F: Future<Output = Result<(), Refusal>>,
    {
        let watch = Stopwatch::start();
        let mut pauses = self.timeouts.pauses();
        let mut heard = false;
        let busy = within.min(self.timeouts.busy);
        loop {
            if interrupt.asked() {
                return Err(stopped(resource));
            }
            self.expect_to_appear(resource, self.timeouts.appears);
            // A call without a response is not waited for: whether it was executed is queried on removal.
            let (error, timeouts) = match interrupt.unless_asked(ask()).await.ok_or_else(|| stopped(resource))? {
                Ok(()) => return Ok(()),
                Err(Refusal::AlreadyThere) => return self.adopt(resource, interrupt).await,
                Err(Refusal::Other(error)) if error.is_transient() => {
                    heard = true;
                    (error, busy)
                }
                Err(Refusal::NotNow(error)) => (error, within),
                Err(refused) => (refused.about(&resource.to_string()), Duration::ZERO),
            };
            let seen = async { heard && self.find(resource).await.is_ok_and(|shown| shown.is_some()) };
            if interrupt.unless_asked(seen).await.unwrap_or_default() {
                return self.adopt(resource, interrupt).await;
            }
            if !heard {
                self.refused(resource);
            }
            let pause = pauses.next();
            if watch.elapsed() + pause > timeouts {
                return Err(error);
            }
            self.pause(resource, pause, interrupt).await?;
        }
    }

    /// A resource has our name already: it is ours if its tag says so, which may show a little late.
    async fn adopt(&self, resource: &Resource, interrupt: &Interrupt) -> Result<(), SourceError> {
        let watch = Stopwatch::start();
        let mut pauses = self.timeouts.pauses();
        loop {
            let found = interrupt.unless_asked(self.find(resource)).await;
            let error = match found.ok_or_else(|| stopped(resource))? {
                Ok(Some(shown)) if tag(&shown.tags, RUN_TAG) == Some(&self.owner.run) => return Ok(()),
                Ok(Some(_)) => {
                    let reason =
                        "something of this name is there already, and does not carry this run's tag".to_owned();
                    SourceError::Permanent { what: resource.to_string(), reason }
                }
                Ok(None) => SourceError::NotFound { what: resource.to_string() },
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            if watch.elapsed() >= self.timeouts.appears {
                return Err(error);
            }
            self.pause(resource, pauses.next(), interrupt).await?;
        }
    }

    async fn pause(&self, resource: &Resource, pause: Duration, interrupt: &Interrupt) -> Result<(), SourceError> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = interrupt.wait() => Err(stopped(resource)),
        }
    }

    /// A resource by its identifier, once. None is RDS's own statement that it does not exist; a response about
    /// other resources is an error.
    pub(super) async fn find(&self, resource: &Resource) -> Result<Option<Shown>, SourceError> {
        let what = resource.to_string();
        let id = resource.id();
        let shown = match resource {
            Resource::Instance(_) => {
                let answer = self.client.describe_db_instances().db_instance_identifier(id).send().await;
                let of = |one: &DbInstance| {
                    shown(one.db_instance_status(), one.tag_list(), one.db_instance_arn(), one.instance_create_time())
                };
                let named = |one: &&DbInstance| one.db_instance_identifier() == Some(id);
                answer
                    .map(|answer| answer.db_instances().iter().find(named).map(of))
                    .map_err(|refused| Refusal::of(&what, refused))
            }
            Resource::Snapshot(_) => {
                let answer = self.client.describe_db_snapshots().db_snapshot_identifier(id).send().await;
                let of = |one: &DbSnapshot| {
                    shown(one.status(), one.tag_list(), one.db_snapshot_arn(), one.snapshot_create_time())
                };
                let named = |one: &&DbSnapshot| one.db_snapshot_identifier() == Some(id);
                answer
                    .map(|answer| answer.db_snapshots().iter().find(named).map(of))
                    .map_err(|refused| Refusal::of(&what, refused))
            }
            Resource::Export(_) => Err(Refusal::Absent),
        };
        match shown {
            Ok(Some(shown)) => {
                let said = match self.made(resource) {
                    Some(Made::Seen { said, .. }) => said,
                    _ => None,
                };
                self.note(resource, Made::Seen { arn: shown.arn.clone(), said });
                Ok(Some(shown))
            }
            Ok(None) => {
                let reason = "the answer to a question about it does not name it".to_owned();
                Err(SourceError::Transient { what, reason })
            }
            Err(Refusal::Absent) => Ok(None),
            Err(refusal) => Err(refusal.about(&what)),
        }
    }

    /// Waits until a resource is available. A failed state ends the wait, as do cancellation and its deletion.
    async fn wait(&self, resource: &Resource, within: Duration, interrupt: &Interrupt) -> Result<(), SourceError> {
        let watch = Stopwatch::start();
        let mut pauses = self.timeouts.pauses();
        let mut last = String::new();
        let mut absence = Absence::default();
        let ended = |reason: String| SourceError::Permanent { what: resource.to_string(), reason };
        loop {
            let was_there = matches!(self.made(resource), Some(Made::Seen { .. }));
            let mut pause = pauses.next();
            let found = interrupt.unless_asked(self.find(resource)).await;
            match found.ok_or_else(|| stopped(resource))? {
                Ok(Some(shown)) if shown.status == "available" => return Ok(()),
                Ok(Some(shown)) if has_failed(&shown.status) => {
                    return Err(ended(format!("its status is {}", shown.status)));
                }
                Ok(Some(shown)) => {
                    absence.ends();
                    last = shown.status;
                }
                Ok(None) if was_there => {
                    if absence.lasts(&self.timeouts) {
                        return Err(ended("it was there and is gone: something else removed it".to_owned()));
                    }
                    pause = self.timeouts.first * 4;
                }
                Ok(None) => "not there yet".clone_into(&mut last),
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(error),
            }
            if watch.elapsed() + pause > within {
                let within = within.as_secs();
                return Err(ended(format!("it was not available within {within} s; last seen: {last}")));
            }
            self.pause(resource, pause, interrupt).await?;
        }
    }
}

fn stopped(resource: &Resource) -> SourceError {
    let reason = "stopped while waiting for it".to_owned();
    SourceError::Permanent { what: resource.to_string(), reason }
}

fn shown(status: Option<&str>, tags: &[Tag], arn: Option<&str>, created: Option<&DateTime>) -> Shown {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Shown { status: text(status), tags: tags.to_vec(), arn: text(arn), created: stamp(created) }
}

/// States that waiting does not resolve (Amazon RDS user guide, "Viewing Amazon RDS DB instance status").
fn has_failed(status: &str) -> bool {
    ["failed", "deleting", "restore-error", "storage-full", "stopped", "stopping"].contains(&status)
        || status.starts_with("incompatible-")
        || status.starts_with("inaccessible-")
}
