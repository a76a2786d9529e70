//! What walkaway makes at the provider, whose it is, and until when its run answers for it: names and tags.
//!
//! Everything carries the run and the playbook, and a time until which nobody else may take it for forgotten. A run at
//! work moves that time on; of one that was killed it passes.

use std::{fmt, str::FromStr};

use aws_sdk_rds::{
    primitives::DateTime,
    types::{DbInstance, DbSnapshot, Tag},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    Rds,
    describe::tag,
    patience::{Refusal, every_page},
};
use crate::transfer::error::SourceError;

/// Whose it is: the run's id.
pub const RUN_TAG: &str = "walkaway:run";
/// Which playbook's.
pub const PLAYBOOK_TAG: &str = "walkaway:playbook";
/// Until when its run answers for it, RFC 3339.
pub const UNTIL_TAG: &str = "walkaway:until";
/// Identifiers begin so.
pub(super) const PREFIX: &str = "walkaway-";
/// Versions that did not say until when made nothing that lives longer than this.
const UNDATED_LIFE: SignedDuration = SignedDuration::from_hours(48);

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
    /// Its identifier.
    pub fn id(&self) -> &str {
        match self {
            Resource::Instance(id) | Resource::Snapshot(id) | Resource::Export(id) => id,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Instance(id) => write!(f, "RDS instance {id}"),
            Resource::Snapshot(id) => write!(f, "RDS snapshot {id}"),
            Resource::Export(id) => write!(f, "RDS export {id}"),
        }
    }
}

/// As a journal has it. Only what has a name of walkaway's is read back: a journal is no order to delete anything else.
impl FromStr for Resource {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, id) = text.strip_prefix("RDS ").and_then(|text| text.split_once(' ')).ok_or(())?;
        if !id.starts_with(PREFIX) || id.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            return Err(());
        }
        match kind {
            "instance" => Ok(Resource::Instance(id.to_owned())),
            "snapshot" => Ok(Resource::Snapshot(id.to_owned())),
            "export" => Ok(Resource::Export(id.to_owned())),
            _ => Err(()),
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
    /// Until when its run answers for it.
    pub until: Option<Timestamp>,
    /// When it was made, where the provider says.
    pub created: Option<Timestamp>,
}

impl Tagged {
    fn new(resource: Resource, tags: &[Tag], created: Option<&DateTime>) -> Option<Self> {
        let run = tag(tags, RUN_TAG)?.to_owned();
        let until = tag(tags, UNTIL_TAG).and_then(|until| until.parse().ok());
        let created = created.and_then(|at| Timestamp::from_second(at.secs()).ok());
        let playbook = tag(tags, PLAYBOOK_TAG).unwrap_or_default().to_owned();
        resource.id().starts_with(PREFIX).then_some(Tagged { resource, run, playbook, until, created })
    }

    /// Until when its run may be at work on it, if that is not over. What does not say is spared for a time of its own.
    pub fn in_use_until(&self, now: Timestamp) -> Option<Timestamp> {
        let undated = || self.created.unwrap_or(now).checked_add(UNDATED_LIFE).unwrap_or(Timestamp::MAX);
        Some(self.until.unwrap_or_else(undated)).filter(|until| *until > now)
    }
}

/// Everything at the provider that carries walkaway's tag.
pub async fn tagged(rds: &Rds) -> Result<Vec<Tagged>, SourceError> {
    let patience = &rds.patience;
    let instance = |one: &DbInstance| {
        let resource = Resource::Instance(one.db_instance_identifier().unwrap_or_default().to_owned());
        Tagged::new(resource, one.tag_list(), one.instance_create_time())
    };
    let what = "the RDS instances";
    let instances = every_page(what, patience, |marker| async move {
        let answer = rds.client.describe_db_instances().set_marker(marker).send().await;
        answer.map(|answer| (answer.db_instances, answer.marker)).map_err(|refused| Refusal::of(what, refused))
    });
    let mut found: Vec<Tagged> = instances.await?.iter().filter_map(instance).collect();
    let snapshot = |one: &DbSnapshot| {
        let resource = Resource::Snapshot(one.db_snapshot_identifier().unwrap_or_default().to_owned());
        Tagged::new(resource, one.tag_list(), one.snapshot_create_time())
    };
    let what = "the RDS snapshots";
    let snapshots = every_page(what, patience, |marker| async move {
        let asked = rds.client.describe_db_snapshots().snapshot_type("manual").set_marker(marker);
        let answer = asked.send().await;
        answer.map(|answer| (answer.db_snapshots, answer.marker)).map_err(|refused| Refusal::of(what, refused))
    });
    found.extend(snapshots.await?.iter().filter_map(snapshot));
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_names_only_what_is_walkaways() {
        for resource in [Resource::Instance("walkaway-1a".into()), Resource::Export("walkaway-2b".into())] {
            assert_eq!(resource.to_string().parse(), Ok(resource));
        }
        for text in ["RDS instance ledger-prod", "RDS instance walkaway-x, which run y left", "bucket walkaway-x", ""] {
            assert_eq!(text.parse::<Resource>(), Err(()), "{text}");
        }
    }

    #[test]
    fn what_a_run_answers_for_is_in_use_and_what_does_not_say_is_for_two_days() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let found = |until: Option<&str>, created: Option<&str>| Tagged {
            resource: Resource::Instance("walkaway-a".into()),
            run: "r".into(),
            playbook: "p".into(),
            until: until.map(|until| until.parse().unwrap()),
            created: created.map(|created| created.parse().unwrap()),
        };
        let cases = [
            (Some("2026-11-30T12:00:01Z"), None, true),
            (Some("2026-11-30T12:00:00Z"), Some("2026-11-30T11:59:00Z"), false),
            (None, Some("2026-11-29T12:00:00Z"), true),
            (None, Some("2026-11-28T11:00:00Z"), false),
            (None, None, true),
        ];
        for (until, created, in_use) in cases {
            assert_eq!(found(until, created).in_use_until(now).is_some(), in_use, "{until:?} {created:?}");
        }
    }
}
