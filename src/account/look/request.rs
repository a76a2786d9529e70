//! One inspection of the account: what is requested, and what is known so far.

use std::collections::BTreeSet;

use super::failure::Failure;
use crate::{
    account::inventory::{Answer, Inventory, NONE},
    domain::digest::Sha256Digest,
    provider::aws::{Aws, Service},
};

/// What is requested. Names are always listed; the rest costs a call for each bucket or snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Regions that are searched for databases and snapshots.
    pub regions: Vec<String>,
    /// Sizes of buckets from CloudWatch.
    pub sizes: bool,
    /// Sizes of buckets by listing every object.
    pub sizes_by_listing: bool,
    /// Tags of buckets; those of databases come with their list.
    pub tags: bool,
    /// Encryption of buckets.
    pub encryption: bool,
    /// Block, policy and access list of buckets; the accounts that snapshots are shared with; the account's own block.
    pub public_access: bool,
    /// Versioning and object lock of buckets.
    pub protection: bool,
    /// Versioning of buckets: whether they hold more than their current objects.
    pub versioning: bool,
    /// Buckets that the run copies. A list without them is incomplete; they are inspected all the same,
    /// and checked for versioning.
    pub carried_buckets: BTreeSet<String>,
    /// Instances and clusters that the run copies, in the region that it works in.
    pub carried_databases: BTreeSet<String>,
    /// Users and keys.
    pub users: bool,
    /// All settings of buckets, databases and snapshots, to be compared with another inspection.
    pub settings: bool,
    /// Nothing but buckets and their settings.
    pub only_buckets: bool,
    /// Whether to wait for a throttling account; otherwise what is not answered soon is unreadable.
    pub patient: bool,
}

impl Wanted {
    /// Whether more is queried of buckets than their list shows.
    pub(super) fn asks_buckets(&self) -> bool {
        self.tags
            || self.encryption
            || self.public_access
            || self.protection
            || self.versioning
            || self.settings
            || self.sizes_by_listing
            || !self.carried_buckets.is_empty()
    }
}

/// One inspection in progress.
pub(super) struct Look<'a> {
    pub aws: &'a Aws,
    pub wanted: Wanted,
    pub inventory: Inventory,
}

impl Look<'_> {
    /// Whether a service can be called at all; if not, that is recorded.
    pub(super) fn may_ask(&mut self, service: Service, lists: &[&str]) -> bool {
        let Err(reason) = self.aws.reaches(service) else { return true };
        self.refused(service.word(), None, None, &Failure::not_asked(reason), "", lists);
        false
    }

    pub(super) fn answered(&mut self, call: &str, region: Option<&str>, page: u32, sha256: Option<Sha256Digest>) {
        let call = call.to_owned();
        let region = region.map(str::to_owned);
        self.inventory.answers.extend(sha256.map(|sha256| Answer { call, region, page, sha256 }));
    }

    pub(super) fn refused(
        &mut self,
        call: &str,
        region: Option<&str>,
        subject: Option<&str>,
        failure: &Failure,
        right: &str,
        lists: &[&str],
    ) {
        self.inventory.missed(call, region, subject, failure, right, lists);
    }
}

/// The names of the settings that are on, or `none`. A setting that is not in the response is off (Amazon S3 API
/// reference, `PublicAccessBlockConfiguration`); a response without any of the four is invalid.
pub(super) fn settings_on(settings: [(&str, Option<bool>); 4]) -> Result<String, String> {
    if settings.iter().all(|(_, on)| on.is_none()) {
        return Err("the answer names no setting of the block".to_owned());
    }
    let on: Vec<_> = settings.iter().filter(|(_, on)| *on == Some(true)).map(|(name, _)| *name).collect();
    Ok(match on.len() {
        0 => NONE.to_owned(),
        4 => "all".to_owned(),
        _ => on.join(" "),
    })
}
