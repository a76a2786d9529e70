//! Looks at the account around the drill: buckets, databases, snapshots, users, and their settings. Reads only.
//!
//! Every list is read to its last page. A call that is refused is written down as unreadable, with the right that was
//! missing, and does not stop the others.
//!
//! | file | what it asks |
//! |---|---|
//! | `s3`, `rds`, `iam`, `cloudwatch`, `control` | a service each |
//! | `wire` | signed calls to the services that have no SDK crate here |
//! | `settings` | everything else that can be changed about a bucket or a database, for before and after |
//! | `tap`, `failure`, `xml` | a raw answer; why there was none; XML whole or not at all |

mod cloudwatch;
mod control;
#[cfg(test)]
mod denial_tests;
mod failure;
mod iam;
#[cfg(test)]
mod list_tests;
mod rds;
mod s3;
mod settings;
mod tap;
mod wire;
mod xml;

use std::{collections::BTreeSet, time::Duration};

use super::aws::{Aws, Service};
use crate::{
    account::inventory::{Answer, Fact, Inventory, ItemKind, NONE, fact},
    digest::Sha256Digest,
};
use failure::Failure;
use wire::Wire;

/// What is asked for. A list of names is always made; the rest costs a call for each bucket or snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Regions in which databases and snapshots are looked for.
    pub regions: Vec<String>,
    /// Sizes of buckets out of CloudWatch.
    pub sizes: bool,
    /// Sizes of buckets by listing every object.
    pub sizes_by_listing: bool,
    /// Tags of buckets; those of databases come with their list.
    pub tags: bool,
    /// Encryption of buckets.
    pub encryption: bool,
    /// Block, policy and access list of buckets; whom snapshots are shared with; the account's own block.
    pub public_access: bool,
    /// Versioning and object lock of buckets.
    pub protection: bool,
    /// Versioning of buckets: whether what they hold is more than their objects.
    pub versioning: bool,
    /// Buckets that the run carries. A list that does not hold them is not the whole list; they are looked at all the same,
    /// and asked whether they keep versions.
    pub carried_buckets: BTreeSet<String>,
    /// Instances and clusters that the run carries, in the region that it works in.
    pub carried_databases: BTreeSet<String>,
    /// Users and keys.
    pub users: bool,
    /// Everything that can be set about buckets, databases and snapshots, to be compared with another look.
    pub settings: bool,
    /// Nothing but buckets and their settings.
    pub only_buckets: bool,
    /// Whether to wait for a busy account; otherwise whatever is not answered soon is unreadable.
    pub patient: bool,
}

impl Wanted {
    /// Whether buckets are asked for more than their list says.
    fn asks_buckets(&self) -> bool {
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

/// How long a look may take that nobody asked for.
const HASTY: Duration = Duration::from_secs(15);

/// Looks at the account. Whatever could not be read stands in the result.
pub async fn look(aws: &Aws, account: Option<&str>, wanted: Wanted, taken: String) -> Inventory {
    let regions = wanted.regions.clone();
    let patient = wanted.patient;
    let mut look = Look { aws, wanted, inventory: Inventory::new(taken, regions) };
    look.inventory.account_id = account.map(str::to_owned);
    if patient {
        look.everything(account).await;
    } else if tokio::time::timeout(HASTY, look.everything(account)).await.is_err() {
        let failure = Failure::unanswered(format!("not answered within {} s", HASTY.as_secs()));
        look.refused("the whole look", None, None, &failure, "", &["s3", "rds", "snapshot", "users"]);
    }
    look.inventory.sort();
    look.inventory
}

/// The trust policy of a role, as JSON.
///
/// # Errors
/// Why it could not be read.
pub async fn trust_policy(aws: &Aws, role: &str) -> Result<String, String> {
    aws.reaches(Service::Iam)?;
    let wire = Wire::new(aws, true).ok_or("there are no credentials")?;
    iam::trust_policy(aws, &wire, role).await.map_err(|failure| failure.reason)
}

/// One look at work.
struct Look<'a> {
    aws: &'a Aws,
    wanted: Wanted,
    inventory: Inventory,
}

impl Look<'_> {
    async fn everything(&mut self, account: Option<&str>) {
        self.buckets().await;
        let wire = Wire::new(self.aws, self.wanted.patient);
        if self.wanted.sizes && !self.wanted.sizes_by_listing && self.may_ask(Service::CloudWatch, &[]) {
            let regions: BTreeSet<String> =
                self.inventory.of(ItemKind::Bucket).filter_map(|bucket| bucket.region.clone()).collect();
            for region in regions {
                if let Some(wire) = &wire {
                    self.bucket_sizes(wire, &region).await;
                }
            }
        }
        if self.wanted.public_access && self.may_ask(Service::S3Control, &[]) {
            match (&wire, account) {
                (Some(wire), Some(account)) => self.account_block(wire, account).await,
                _ => {
                    let failure = Failure::not_asked("the account's number is not known");
                    self.refused("s3control GetPublicAccessBlock", None, None, &failure, "", &[]);
                    let block = Fact::unreadable("GetPublicAccessBlock", &failure);
                    self.inventory.account.insert(fact::PUBLIC_ACCESS_BLOCK.to_owned(), block);
                }
            }
        }
        if self.wanted.only_buckets {
            return;
        }
        if self.wanted.users && self.may_ask(Service::Iam, &["users"]) {
            match &wire {
                Some(wire) => self.users(wire).await,
                None => {
                    let failure = Failure::not_asked("there are no credentials");
                    self.refused("iam GetCredentialReport", None, None, &failure, "", &["users"]);
                }
            }
        }
        if self.may_ask(Service::Rds, &["rds", "snapshot", "export"]) {
            for region in self.wanted.regions.clone() {
                self.databases(&region).await;
            }
        }
    }

    /// Whether a service can be asked at all; if not, that is written down.
    fn may_ask(&mut self, service: Service, lists: &[&str]) -> bool {
        let Err(reason) = self.aws.reaches(service) else { return true };
        self.refused(service.word(), None, None, &Failure::not_asked(reason), "", lists);
        false
    }

    fn answered(&mut self, call: &str, region: Option<&str>, page: u32, sha256: Option<Sha256Digest>) {
        let (call, region) = (call.to_owned(), region.map(str::to_owned));
        self.inventory.answers.extend(sha256.map(|sha256| Answer { call, region, page, sha256 }));
    }

    fn refused(
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

/// The names of the settings that are on, or `none`. A setting that the answer does not name is off (Amazon S3 API
/// reference, `PublicAccessBlockConfiguration`); an answer that names none of the four is no answer.
fn settings_on(settings: [(&str, Option<bool>); 4]) -> Result<String, String> {
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
