//! What walkaway creates at the provider, its owner, and until when its run claims it: names and tags.
//!
//! Everything is tagged with the run, the playbook, and a time until which it must not be seen as abandoned. A run in
//! progress extends that time; for a killed run it expires.

use std::{fmt, str::FromStr};

use aws_sdk_rds::{
    primitives::DateTime,
    types::{DbInstance, DbSnapshot, Tag},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    client::Rds,
    describe::tag,
    timeouts::{Refusal, every_page},
};
/// Nothing with another name is ever deleted, cancelled, or extended.
pub(super) use crate::account::change::is_own_name;
use crate::{
    account::change::{OWN_DIGITS, OWN_PREFIX},
    domain::digest::Sha256Digest,
    transfer::error::SourceError,
};

/// The owner: the run's id.
pub const RUN_TAG: &str = "walkaway:run";
/// The playbook's id.
pub const PLAYBOOK_TAG: &str = "walkaway:playbook";
/// Until when its run claims it, RFC 3339.
pub const UNTIL_TAG: &str = "walkaway:until";
/// What has no such time is needed no longer than this.
pub const UNDATED_LIFE: SignedDuration = SignedDuration::from_hours(48);

/// The identifier that follows from a digest: letters, digits and hyphens, at most 60, as RDS requires.
pub(super) fn own_name(of: Sha256Digest) -> String {
    format!("{OWN_PREFIX}{}", &of.to_string()[..OWN_DIGITS])
}

/// A resource of walkaway's at the provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// An instance.
    Instance(String),
    /// A snapshot of an instance.
    Snapshot(String),
    /// An export of a snapshot. Only one in progress is removed, by cancelling it; what it wrote stays.
    Export(String),
}

impl Resource {
    /// Its identifier.
    pub fn id(&self) -> &str {
        match self {
            Resource::Instance(id) | Resource::Snapshot(id) | Resource::Export(id) => id,
        }
    }

    /// Whether its identifier has walkaway's form.
    pub fn has_own_name(&self) -> bool {
        is_own_name(self.id())
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

/// As named in a journal. Only what has a name of walkaway's is read back: a journal must not delete anything else.
impl FromStr for Resource {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, id) = text.strip_prefix("RDS ").and_then(|text| text.split_once(' ')).ok_or(())?;
        if !is_own_name(id) {
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

/// A resource with walkaway's tag, and its run. Its name may differ from walkaway's form: tags are copied, and
/// resources renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tagged {
    /// The resource.
    pub resource: Resource,
    /// The run that created it.
    pub run: String,
    /// The playbook of that run.
    pub playbook: String,
    /// Until when its run claims it.
    pub until: Option<Timestamp>,
    /// When it was created, where the provider states it.
    pub created: Option<Timestamp>,
}

impl Tagged {
    fn new(resource: Resource, tags: &[Tag], created: Option<&DateTime>) -> Option<Self> {
        let run = tag(tags, RUN_TAG)?.to_owned();
        let until = tag(tags, UNTIL_TAG).and_then(|until| until.parse().ok());
        let playbook = tag(tags, PLAYBOOK_TAG).unwrap_or_default().to_owned();
        Some(Tagged { resource, run, playbook, until, created: stamp(created) })
    }

    /// Until when its run may be using it, if that is not over. Without a tag, it is kept for a default time.
    pub fn in_use_until(&self, now: Timestamp) -> Option<Timestamp> {
        in_use_until(self.until, self.created, now)
    }
}

/// The same from the values of its tags.
pub(super) fn in_use_until(until: Option<Timestamp>, created: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let undated = || created.unwrap_or(now).checked_add(UNDATED_LIFE).unwrap_or(Timestamp::MAX);
    Some(until.unwrap_or_else(undated)).filter(|until| *until > now)
}

pub(super) fn stamp(at: Option<&DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok())
}

/// Everything at the provider with walkaway's tag.
pub async fn tagged(rds: &Rds) -> Result<Vec<Tagged>, SourceError> {
    let timeouts = &rds.timeouts;
    let instance = |one: &DbInstance| {
        let resource = Resource::Instance(one.db_instance_identifier().unwrap_or_default().to_owned());
        Tagged::new(resource, one.tag_list(), one.instance_create_time())
    };
    let what = "the RDS instances";
    let instances = every_page(what, timeouts, |marker| async move {
        let answer = rds.client.describe_db_instances().set_marker(marker).send().await;
        answer.map(|answer| (answer.db_instances, answer.marker)).map_err(|refused| Refusal::of(what, refused))
    });
    let mut found: Vec<Tagged> = instances.await?.iter().filter_map(instance).collect();
    let snapshot = |one: &DbSnapshot| {
        let resource = Resource::Snapshot(one.db_snapshot_identifier().unwrap_or_default().to_owned());
        Tagged::new(resource, one.tag_list(), one.snapshot_create_time())
    };
    let what = "the RDS snapshots";
    let snapshots = every_page(what, timeouts, |marker| async move {
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
        let name = own_name(Sha256Digest::of("x"));
        for resource in
            [Resource::Instance(name.clone()), Resource::Snapshot(name.clone()), Resource::Export(name.clone())]
        {
            assert!(resource.has_own_name());
            assert_eq!(resource.to_string().parse(), Ok(resource));
        }
        let of_another_kind = [format!("bucket {name}"), format!("RDS cluster {name}"), String::new()];
        let others = NO_NAMES.iter().map(|name| format!("RDS instance {name}"));
        for text in others.chain(of_another_kind).chain([format!("RDS instance {name}, which run y left")]) {
            assert_eq!(text.parse::<Resource>(), Err(()), "{text}");
        }
    }

    /// Names that users may give to their own resources.
    const NO_NAMES: [&str; 9] = [
        "ledger-prod",
        "walkaway-",
        "walkaway-prod",
        "walkaway-0123456789abcdef012",
        "walkaway-0123456789abcdef01234",
        "walkaway-0123456789ABCDEF0123",
        "walkaway-0123456789abcdef012g",
        "walkaway-0123456789abcdef0123-prod",
        "x-walkaway-0123456789abcdef0123",
    ];

    #[test]
    fn a_tag_alone_makes_nothing_walkaways() {
        let tags = [Tag::builder().key(RUN_TAG).value("r").build()];
        for name in NO_NAMES {
            let found = Tagged::new(Resource::Snapshot(name.into()), &tags, None).expect("it carries the tag");
            assert!(!found.resource.has_own_name(), "{name}");
        }
    }

    #[test]
    fn what_a_run_answers_for_is_in_use_and_what_does_not_say_is_for_two_days() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let found = |until: Option<&str>, created: Option<&str>| Tagged {
            resource: Resource::Instance(own_name(Sha256Digest::of("a"))),
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
