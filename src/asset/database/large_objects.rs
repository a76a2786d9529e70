//! Large objects of a database: copied under the snapshot, read back and compared.

use std::{cell::Cell, collections::BTreeSet};

use super::ends::CopyEnd;
use crate::{
    asset::{stop::Stop, work::Work},
    domain::finding::{Finding, FindingKind},
    pg::large::{self, LargeObject},
    provider::postgres::Snapshot,
    restore::database::TargetDatabase,
    verify::Comparison,
};

/// Copies every large object and returns what was read; one that can't be copied is a finding.
pub(crate) fn carry(
    work: &Work,
    snapshot: &mut Snapshot,
    database: &TargetDatabase,
) -> Result<(Vec<LargeObject>, Vec<Finding>), CopyEnd> {
    let mut carried = Vec::new();
    let mut findings = Vec::new();
    let oids = snapshot.large_objects().map_err(CopyEnd::of_snapshot)?;
    if oids.is_empty() {
        return Ok((carried, findings));
    }
    let mut target = database.address().connect()?;
    let mut reader = snapshot.large_object_reader().map_err(CopyEnd::of_snapshot)?;
    for oid in oids {
        work.check_interrupt()?;
        // The side on which an error occurred decides what it ends.
        let at_target = Cell::new(true);
        let copied = large::create(&mut target, oid).and_then(|()| {
            at_target.set(false);
            reader.read(oid, |at, piece| large::write(&mut target, oid, at, piece).inspect_err(|_| at_target.set(true)))
        });
        match copied {
            Ok(read) => carried.push(read),
            Err(error) if at_target.get() && error.ends_all() => return Err(error.into()),
            Err(error) if !at_target.get() && CopyEnd::is_of_snapshot(&error) => {
                return Err(CopyEnd::of_snapshot(error));
            }
            Err(error) => {
                findings.push(work.finding(FindingKind::NotCarried, format!("large object {oid}"), error.to_string()));
                if large::list(&mut target)?.contains(&oid) {
                    large::remove(&mut target, oid)?;
                }
                // A transaction that failed reads nothing more.
                reader = snapshot.large_object_reader().map_err(CopyEnd::of_snapshot)?;
            }
        }
    }
    Ok((carried, findings))
}

/// Reads every large object back and compares it.
pub(crate) fn compare(work: &Work, expected: &[LargeObject], database: &TargetDatabase) -> Result<Comparison, Stop> {
    let mut comparison = Comparison::new("large objects");
    let mut client = database.address().connect()?;
    let there: BTreeSet<u32> = large::list(&mut client)?.into_iter().collect();
    for object in expected {
        let finding = |detail: String| {
            Some(work.finding(FindingKind::LargeObject, format!("large object {}", object.oid), detail))
        };
        comparison.compared(if there.contains(&object.oid) {
            match large::read(&mut client, object.oid, |_, _| Ok(()))? {
                found if found == *object => None,
                found => finding(format!(
                    "{} bytes with SHA-256 {} left, {} with {} are there",
                    object.bytes, object.sha256, found.bytes, found.sha256
                )),
            }
        } else {
            finding("it is not there".to_owned())
        });
    }
    for stranger in there.iter().filter(|oid| !expected.iter().any(|object| object.oid == **oid)) {
        let subject = format!("large object {stranger}");
        comparison.findings.push(work.finding(
            FindingKind::CatalogUnexpected,
            subject,
            "the source has no such object",
        ));
    }
    Ok(comparison)
}
