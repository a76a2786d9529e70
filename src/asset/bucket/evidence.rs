//! The files of a bucket in the bundle.

use std::path::{Path, PathBuf};

use super::work::{BucketWork, evidence_directory};
use crate::{
    asset::{stop::Stop, work::Work},
    domain::finding::{Finding, FindingKind},
    evidence::{self, BUCKET_JSON, ObjectsEvidence, result::ObjectsResult, write_replacing},
    record::directory::pretty,
    transfer::{
        bucket::BucketConfiguration,
        properties::{Class, Item},
    },
};

/// Totals over the receipts of an asset, beside what [`ObjectsEvidence`] adds up.
pub(crate) struct Written {
    pub evidence: ObjectsEvidence,
    /// Objects restored under a mapped name.
    mapped: u64,
    /// Objects for which each of [`READ_BESIDE`] could not be read.
    unreadable: [u64; READ_BESIDE.len()],
}

/// What can be unreadable beside the bytes, and its name.
const READ_BESIDE: [(Item, &str); 9] = [
    (Item::Tags, "tags"),
    (Item::Acl, "access control lists"),
    (Item::Metadata, "metadata"),
    (Item::ContentHeaders, "content headers"),
    (Item::Checksums, "checksums"),
    (Item::Encryption, "encryption"),
    (Item::Lock, "object lock"),
    (Item::WebsiteRedirect, "website redirections"),
    (Item::Expiration, "expiry"),
];

/// Writes the files that follow from the receipts.
pub(crate) fn write_evidence(work: &Work, files: &[PathBuf]) -> Result<Written, Stop> {
    let directory = evidence_directory(work)?;
    let mut mapped = 0;
    let mut unreadable = [0; READ_BESIDE.len()];
    let receipts = evidence::merge(files.to_vec()).inspect(|receipt| {
        let Ok(receipt) = receipt else { return };
        mapped += u64::from(receipt.path.starts_with("mapped/"));
        for (count, item) in unreadable.iter_mut().zip(READ_BESIDE.map(|(item, _)| item)) {
            *count += u64::from(receipt.classes.unreadable.contains(&item));
        }
    });
    let evidence = evidence::write_objects(receipts, &directory)?;
    Ok(Written { evidence, mapped, unreadable })
}

/// Writes the bucket's configuration.
pub(super) fn write_bucket(directory: &Path, configuration: &BucketConfiguration) -> Result<(), Stop> {
    Ok(write_replacing(&directory.join(BUCKET_JSON), &pretty(configuration)?)?)
}

impl Written {
    /// The numbers of the result, as far as they follow from the receipts.
    pub(crate) fn numbers(&self) -> ObjectsResult {
        ObjectsResult {
            listed: self.evidence.objects,
            delete_markers: self.evidence.delete_markers,
            provider_confirmed: self.evidence.provider_confirmed,
            provider_unconfirmed: self.evidence.provider_unconfirmed,
            mapped: self.mapped,
            classes: self.evidence.classes,
            ..ObjectsResult::default()
        }
    }

    /// What could not be read besides the bytes, one note for each kind.
    pub(super) fn findings(&self, work: &Work) -> Vec<Finding> {
        let words = READ_BESIDE.map(|(_, name)| name);
        let found = self.unreadable.iter().zip(words).filter(|(count, _)| **count > 0).map(|(count, what)| {
            let detail = format!("of {count} objects; the reasons are in objects.ndjson");
            work.finding(FindingKind::PropertyUnreadable, what, detail)
        });
        found.collect()
    }
}

impl BucketWork {
    /// The parts of the configuration that could not be read: one note.
    pub(super) fn configuration_finding(&self, configuration: &BucketConfiguration) -> Option<Finding> {
        let unreadable = configuration.of_class(Class::Unreadable);
        let detail = format!("not readable: {}; the reasons are in bucket.json", unreadable.join(", "));
        let kind = FindingKind::PropertyUnreadable;
        (!unreadable.is_empty()).then(|| self.work.finding(kind, &configuration.bucket, detail))
    }
}
