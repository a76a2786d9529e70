//! What a playbook asks about the account. Pure.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    account::rights::{IamLogin, Needs},
    playbook::{
        Asset, AssetKind, AwsSpec, ExportFrom, ExportSpec, ExportedSnapshot, Playbook, Postcondition, Posture,
        Precondition, RdsMethodSpec, Sizes, Versions,
    },
    source::account::Wanted,
};

/// The day of a time stamp, in UTC.
pub(crate) fn today_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// Whether the account has to be looked at before anything moves.
pub(crate) fn asks_for_a_look(playbook: &Playbook) -> bool {
    let (account, thresholds) = (playbook.account(), playbook.thresholds());
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

/// Everything that the playbook's posture, selections and thresholds need. A look that nobody asked for takes only what
/// is listed anyway.
pub(crate) fn wanted(playbook: &Playbook, aws: &AwsSpec, own_region: &str) -> Wanted {
    let (account, thresholds) = (playbook.account(), playbook.thresholds());
    let looks = |posture: Posture| account.posture.contains(&posture);
    let unchanged = account.postconditions.contains(&Postcondition::SourceUnchanged);
    let patient = asks_for_a_look(playbook);
    let tagged = playbook.exclusions().iter().any(|exclusion| !exclusion.tags.is_empty())
        || playbook.selections().iter().any(|selection| !selection.tags.is_empty());
    let mut regions: Vec<String> = aws.regions.iter().chain(&aws.also_look_in).map(ToString::to_string).collect();
    if regions.is_empty() {
        regions.push(own_region.to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    regions.retain(|region| seen.insert(region.clone()));
    Wanted {
        regions,
        sizes: true,
        sizes_by_listing: account.sizes == Sizes::Listing,
        tags: tagged || unchanged,
        encryption: looks(Posture::Encryption) || unchanged,
        public_access: looks(Posture::PublicAccess) || unchanged,
        protection: looks(Posture::Protection) || unchanged,
        versioning: thresholds.coverage_bytes.is_some() || thresholds.coverage_assets.is_some(),
        users: looks(Posture::Credentials),
        settings: unchanged,
        only_buckets: false,
        patient,
    }
}

fn carries_versions(asset: &Asset) -> bool {
    matches!(&asset.kind, AssetKind::Objects(bucket) if bucket.versions != Versions::Latest)
}

fn restores(asset: &Asset) -> bool {
    match &asset.kind {
        AssetKind::Database(database) => database.server.rds().is_some_and(|rds| match rds.new_export() {
            Some(new) => new.take == ExportedSnapshot::New,
            None => rds.makes_resources(),
        }),
        AssetKind::Objects(_) => false,
    }
}

/// Where the files of an export are, as far as the playbook says.
fn exported_to(asset: &Asset) -> Option<(String, Option<String>)> {
    let AssetKind::Database(database) = &asset.kind else { return None };
    match &database.server.rds()?.method {
        RdsMethodSpec::Export(ExportSpec { from: ExportFrom::New(new), .. }) => {
            Some((new.bucket.to_string(), Some(new.prefix.clone())))
        }
        RdsMethodSpec::Export(ExportSpec { from: ExportFrom::Files { bucket, folder }, .. }) => {
            Some((bucket.to_string(), Some(folder.clone())))
        }
        _ => None,
    }
}

fn asks_for(asset: &Asset) -> Option<(String, String)> {
    let AssetKind::Database(database) = &asset.kind else { return None };
    database.server.rds()?.new_export().map(|new| (new.role.to_string(), new.key.to_string()))
}

/// The user that logs into a database by tokens of IAM. One that restores a snapshot does so at the temporary instance.
fn iam_login(asset: &Asset) -> Option<IamLogin> {
    let AssetKind::Database(database) = &asset.kind else { return None };
    let rds = database.server.rds()?;
    let login = rds.login.as_ref().filter(|login| login.password.is_none())?;
    let at = match &rds.method {
        RdsMethodSpec::Live { replica } => {
            Some(replica.as_ref().map_or_else(|| rds.place.id().to_string(), ToString::to_string))
        }
        _ => None,
    };
    Some(IamLogin { user: login.user.to_string(), at, resource: None })
}

/// The instance or cluster whose snapshot is restored or exported.
fn restored(asset: &Asset) -> Option<String> {
    let AssetKind::Database(database) = &asset.kind else { return None };
    database.server.rds().filter(|_| restores(asset)).map(|rds| rds.place.id().to_string())
}

fn reads_export(asset: &Asset) -> bool {
    let AssetKind::Database(database) = &asset.kind else { return false };
    database.server.rds().is_some_and(|rds| {
        matches!(
            &rds.method,
            RdsMethodSpec::Export(ExportSpec { from: ExportFrom::Files { .. } | ExportFrom::Task(_), .. })
        )
    })
}

/// The rights that a playbook needs.
pub(crate) fn needs(playbook: &Playbook) -> Needs {
    let account = playbook.account();
    let buckets = playbook.assets().iter().filter_map(|asset| match &asset.kind {
        AssetKind::Objects(bucket) => Some((bucket.bucket.to_string(), bucket.prefix.clone())),
        AssetKind::Database(_) => exported_to(asset),
    });
    let patterns = playbook.selections().iter().map(|selection| {
        let pattern = selection.selector.to_string();
        pattern.split_once(':').map_or(pattern.clone(), |(_, glob)| glob.to_owned())
    });
    let wanted = playbook.provider().map(|aws| wanted(playbook, aws, "")).unwrap_or_default();
    Needs {
        buckets: buckets.collect(),
        patterns: patterns.collect(),
        versions: playbook.assets().iter().any(carries_versions),
        tags: wanted.tags,
        encryption: wanted.encryption,
        public_access: wanted.public_access,
        protection: wanted.protection,
        versioning: wanted.versioning,
        settings: wanted.settings,
        sizes_by_listing: wanted.sizes_by_listing,
        iam_logins: playbook.assets().iter().filter_map(iam_login).collect(),
        account: playbook.provider().and_then(|aws| aws.account.as_ref()).map(ToString::to_string),
        users: wanted.users,
        restores: playbook.assets().iter().any(restores),
        restored: playbook.assets().iter().filter_map(restored).collect(),
        reads_exports: playbook.assets().iter().any(reads_export),
        object_keys: None,
        snapshot_keys: None,
        exports: playbook.assets().iter().filter_map(asks_for).collect(),
        own_role: account.preconditions.contains(&Precondition::IdentityMfa),
        regions: wanted.regions,
    }
}
