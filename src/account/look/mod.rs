//! Inspects the account around the drill: buckets, databases, snapshots, users, and their settings. Reads only.
//!
//! Every list is read to its last page. A call that is denied is recorded as unreadable, with the right that is
//! missing, and does not stop the others.
//!
//! | file | what it reads |
//! |---|---|
//! | `s3`, `rds`, `iam`, `cloudwatch`, `control` | a service each |
//! | `request` | what one inspection requests, and knows so far |
//! | `wire` | calls to the services that have no SDK crate here |
//! | `settings` | everything else that can be changed about a bucket or a database, for before and after |
//! | `tap`, `failure` | whether a response is valid; why there was none |

mod cloudwatch;
mod control;
#[cfg(test)]
mod denial_tests;
mod failure;
mod iam;
#[cfg(test)]
mod list_tests;
mod rds;
mod request;
mod s3;
mod settings;
mod tap;
mod wire;

use std::{collections::BTreeSet, time::Duration};

pub use self::request::Wanted;
use self::{failure::Failure, request::Look, wire::Wire};
use crate::{
    account::inventory::{Fact, Inventory, ItemKind, fact},
    provider::aws::{Aws, Service},
};

/// How long an optional inspection may take.
const HASTY: Duration = Duration::from_secs(15);

/// Inspects the account. What could not be read is listed in the result.
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
}
