//! What a playbook asks about the account. Pure.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    account::{coverage::CarriedFrom, look::Wanted, rights::Needs},
    asset::{kinds, seam::Asset},
    playbook::{AwsSpec, Playbook, Postcondition, Posture, Precondition, Sizes},
};

/// The day of a time stamp, in UTC.
pub(crate) fn today_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// Whether the account has to be inspected before the transfer.
pub(crate) fn asks_for_a_look(playbook: &Playbook) -> bool {
    let account = playbook.account();
    let thresholds = playbook.thresholds();
    !account.posture.is_empty()
        || !playbook.selections().is_empty()
        || account.postconditions.contains(&Postcondition::SourceUnchanged)
        || account.preconditions.contains(&Precondition::IdentityRights)
        || thresholds.coverage_assets.is_some()
        || thresholds.coverage_bytes.is_some()
}

/// The allowed regions.
pub(crate) fn allowed_regions(playbook: &Playbook) -> Vec<String> {
    playbook.provider().map_or(Vec::new(), |aws| aws.regions.iter().map(ToString::to_string).collect())
}

/// Everything that the playbook's posture, selections and thresholds need. An unneeded inspection takes only what
/// is listed anyway.
pub(crate) fn wanted(playbook: &Playbook, aws: &AwsSpec, own_region: &str) -> Wanted {
    let account = playbook.account();
    let thresholds = playbook.thresholds();
    let looks = |posture: Posture| account.posture.contains(&posture);
    let unchanged = account.postconditions.contains(&Postcondition::SourceUnchanged);
    let patient = asks_for_a_look(playbook);
    let tagged = playbook.exclusions().iter().any(|exclusion| !exclusion.tags.is_empty())
        || playbook.selections().iter().any(|selection| !selection.tags.is_empty());
    let mut regions: Vec<String> = aws.regions.iter().chain(&aws.also_look_in).map(ToString::to_string).collect();
    if regions.is_empty() {
        regions.push(own_region.to_owned());
    }
    let mut seen = BTreeSet::new();
    regions.retain(|region| seen.insert(region.clone()));
    let mut carried_buckets = BTreeSet::new();
    let mut carried_databases = BTreeSet::new();
    for asset in kinds::all(playbook) {
        match asset.describe().from {
            Some(CarriedFrom::Bucket { name, .. }) => drop(carried_buckets.insert(name)),
            Some(CarriedFrom::Instance { name, .. }) => drop(carried_databases.insert(name)),
            Some(CarriedFrom::Server { .. }) | None => {}
        }
    }
    Wanted {
        regions,
        sizes: true,
        sizes_by_listing: account.sizes == Sizes::Listing,
        tags: tagged || unchanged,
        encryption: looks(Posture::Encryption) || unchanged,
        public_access: looks(Posture::PublicAccess) || unchanged,
        protection: looks(Posture::Protection) || unchanged,
        versioning: thresholds.coverage_bytes.is_some() || thresholds.coverage_assets.is_some(),
        carried_buckets,
        carried_databases,
        users: looks(Posture::Credentials),
        settings: unchanged,
        only_buckets: false,
        patient,
    }
}

/// The rights that a playbook needs.
pub(crate) fn needs(playbook: &Playbook, assets: &[Arc<dyn Asset>]) -> Needs {
    let account = playbook.account();
    let patterns = playbook.selections().iter().map(|selection| {
        let pattern = selection.selector.to_string();
        pattern.split_once(':').map_or(pattern.clone(), |(_, glob)| glob.to_owned())
    });
    let wanted = playbook.provider().map(|aws| wanted(playbook, aws, "")).unwrap_or_default();
    let mut needs = Needs {
        patterns: patterns.collect(),
        tags: wanted.tags,
        encryption: wanted.encryption,
        public_access: wanted.public_access,
        protection: wanted.protection,
        versioning: wanted.versioning,
        settings: wanted.settings,
        sizes_by_listing: wanted.sizes_by_listing,
        account: playbook.provider().and_then(|aws| aws.account.as_ref()).map(ToString::to_string),
        users: wanted.users,
        own_role: account.preconditions.contains(&Precondition::IdentityMfa),
        regions: wanted.regions,
        ..Needs::default()
    };
    assets.iter().for_each(|asset| asset.rights(&mut needs));
    needs
}
