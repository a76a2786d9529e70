//! Large objects of a database: carried under the snapshot, read back and compared.

use std::collections::BTreeSet;

use super::{stop::Stop, work::Work};
use crate::{
    finding::{Finding, FindingKind},
    pg::large::{self, LargeObject},
    restore::database::TargetDatabase,
    source::postgres::Snapshot,
    verify::Comparison,
};

/// Copies every large object and returns what was read; one that can't be carried is a finding.
pub(crate) fn carry(
    work: &Work,
    snapshot: &mut Snapshot,
    database: &TargetDatabase,
) -> Result<(Vec<LargeObject>, Vec<Finding>), Stop> {
    let (mut carried, mut findings) = (Vec::new(), Vec::new());
    let oids = snapshot.large_objects()?;
    if oids.is_empty() {
        return Ok((carried, findings));
    }
    let mut target = database.address().connect()?;
    let mut reader = snapshot.large_object_reader()?;
    for oid in oids {
        work.go_on()?;
        let copied = large::create(&mut target, oid)
            .and_then(|()| reader.read(oid, |at, piece| large::write(&mut target, oid, at, piece)));
        match copied {
            Ok(read) => carried.push(read),
            Err(error) if error.connection_lost() => return Err(error.into()),
            Err(error) => {
                findings.push(work.finding(FindingKind::NotCarried, format!("large object {oid}"), error.to_string()));
                if large::list(&mut target)?.contains(&oid) {
                    large::remove(&mut target, oid)?;
                }
                // A transaction that failed reads nothing more.
                reader = snapshot.large_object_reader()?;
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
        comparison.compared(match there.contains(&object.oid) {
            false => finding("it is not there".to_owned()),
            true => match large::read(&mut client, object.oid, |_, _| Ok(()))? {
                found if found == *object => None,
                found => finding(format!(
                    "{} bytes with SHA-256 {} left, {} with {} are there",
                    object.bytes, object.sha256, found.bytes, found.sha256
                )),
            },
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
