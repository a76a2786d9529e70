//! RDS's statement about an export: `export_info_<export>.json`, compared with the task, the instance and the place
//! of the files.
//!
//! Each of its values is optional here; what is missing proves nothing, and is reported. Source: Amazon RDS user guide,
//! "Exporting DB snapshot data to Amazon S3"; API reference, `ExportTask`, which has the same values.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    folders::Flaw,
    lists::{self, Unread},
};
use crate::{
    domain::{digest::Sha256Digest, finding::FindingKind},
    provider::rds::export::ExportFacts,
};

const PREFIX: &str = "export_info_";
const SUFFIX: &str = ".json";
/// A record is a few hundred bytes, and a few dozen more for each requested table.
const BYTES_MAX: u64 = 1 << 20;
/// How far apart two records of one moment may be, as one of them may leave out fractions of a second.
const APART_MS_MAX: u128 = 1000;

/// What is known of the export from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The database's name.
    pub database: String,
    /// The ARN of the instance or cluster.
    pub instance_arn: String,
    /// Its snapshots as listed by RDS.
    pub snapshot_arns: Vec<String>,
    /// Where the files are.
    pub bucket: String,
    /// The task as described by RDS; none where the playbook names only the files.
    pub task: Option<ExportFacts>,
}

/// The export that a record is of, by its name; none if it is no record.
pub(super) fn export_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    (!id.contains('/')).then_some(id)
}

/// Contradictions between a record and the export.
///
/// # Errors
/// It can't be read.
pub(super) fn read(name: &str, path: &Path, received: Sha256Digest, known: &Known) -> Result<Vec<Flaw>, Unread> {
    let text = lists::text(path, received, BYTES_MAX)?;
    let record: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|error| Unread::Unclear(error.to_string()))?;
    Ok(Judged { name, record: &record, known }.flaws())
}

struct Judged<'a> {
    name: &'a str,
    record: &'a Map<String, Value>,
    known: &'a Known,
}

impl Judged<'_> {
    fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        flaws.extend(self.status());
        flaws.extend(self.progress());
        flaws.extend(self.text("failureCause").map(|cause| self.contradicts(format!("it failed: {cause}"))));
        flaws.extend(
            self.text("warningMessage")
                .map(|warning| self.flaw(FindingKind::TableSkipped, format!("warns: {warning}"))),
        );
        flaws.extend(self.source());
        flaws.extend(self.moment());
        flaws.extend(
            partial(&self.texts("exportOnly"), &self.known.database).map(|(kind, detail)| self.flaw(kind, detail)),
        );
        if let Some(bucket) = self.text("s3Bucket").filter(|bucket| *bucket != self.known.bucket) {
            flaws.push(
                self.flaw(FindingKind::Deviation, format!("was written to the bucket {bucket}, and copied since")),
            );
        }
        flaws
    }

    fn flaw(&self, kind: FindingKind, detail: impl Into<String>) -> Flaw {
        (kind, self.name.to_owned(), detail.into())
    }

    fn contradicts(&self, detail: impl Into<String>) -> Flaw {
        self.flaw(FindingKind::ExportContradicts, detail)
    }

    /// A value that is there and not empty.
    fn text(&self, key: &str) -> Option<&str> {
        self.record.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    fn texts(&self, key: &str) -> Vec<String> {
        match self.record.get(key) {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) if !one.is_empty() => vec![one.clone()],
            _ => Vec::new(),
        }
    }

    fn status(&self) -> Option<Flaw> {
        match self.text("status") {
            Some(status) if status.eq_ignore_ascii_case("COMPLETE") => None,
            Some(status) => Some(self.contradicts(format!("its status is {status}, not COMPLETE"))),
            None => Some(self.flaw(FindingKind::NotProven, "does not say that the export is complete")),
        }
    }

    fn progress(&self) -> Option<Flaw> {
        let percent = match self.record.get("percentProgress")? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().trim_end_matches('%').trim().parse().ok()?,
            _ => return None,
        };
        (percent < 100.0).then(|| self.contradicts(format!("it came to {percent} %")))
    }

    /// The owner of its snapshot.
    fn source(&self) -> Option<Flaw> {
        let Some(arn) = self.text("sourceArn") else {
            return Some(self.flaw(FindingKind::NotProven, "does not say of which snapshot the export is"));
        };
        let Known { instance_arn, snapshot_arns, task, .. } = self.known;
        if let Some(task) = task.as_ref().filter(|task| !task.snapshot_arn.is_empty() && task.snapshot_arn != arn) {
            let detail = format!("is of {arn}, and RDS says of {}", task.snapshot_arn);
            return Some(self.contradicts(detail));
        }
        let here = Arn::of(instance_arn)?;
        let Some(there) = Arn::of(arn) else {
            return Some(self.contradicts(format!("is of {arn}, which names no snapshot")));
        };
        if here.account != there.account {
            let detail = format!("is of {arn}, in another account than {instance_arn}");
            return Some(self.contradicts(detail));
        }
        // An automated snapshot has its instance's name in its own.
        let instance = there.name.strip_prefix("rds:").and_then(without_time);
        if let Some(other) = instance.filter(|instance| *instance != here.name) {
            return Some(self.contradicts(format!("is of {arn}, a snapshot of {other}, not of {}", here.name)));
        }
        let is_listed = arn == instance_arn || snapshot_arns.iter().any(|listed| listed == arn);
        let detail = || format!("is of {arn}, which RDS does not list as a snapshot of {}", here.name);
        (!is_listed && task.is_none()).then(|| self.flaw(FindingKind::NotProven, detail()))
    }

    /// Whether both state the same moment, as far as both state one.
    fn moment(&self) -> Option<Flaw> {
        let record = self.text("snapshotTime")?;
        let task = self.known.task.as_ref()?.snapshot_taken.as_deref()?;
        let times = (record.parse::<Timestamp>().ok()?, task.parse::<Timestamp>().ok()?);
        let apart = times.0.duration_since(times.1).unsigned_abs().as_millis();
        let detail = || format!("is of a snapshot of {record}, and RDS says of {task}");
        (apart > APART_MS_MAX).then(|| self.contradicts(detail()))
    }
}

/// The parts of a database that a partial export leaves out.
pub(super) fn partial(only: &[String], database: &str) -> Option<(FindingKind, String)> {
    if only.is_empty() || only.iter().any(|one| one == database) {
        return None;
    }
    let within: Vec<_> = only.iter().filter(|one| one.starts_with(&format!("{database}."))).cloned().collect();
    if within.is_empty() {
        let detail = format!("is only of {}, which is nothing of the database {database}", only.join(", "));
        return Some((FindingKind::ExportContradicts, detail));
    }
    let detail = format!("is only of {}; whatever else the database holds is not in it", within.join(", "));
    Some((FindingKind::NotProven, detail))
}

/// `arn:aws:rds:region:account:snapshot:name`.
struct Arn<'a> {
    account: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let parts: Vec<_> = text.splitn(7, ':').collect();
        match parts[..] {
            ["arn", _, "rds", _, account, _, name] => Some(Arn { account, name }),
            _ => None,
        }
    }
}

/// `ledger-2026-11-30-02-47` without its time.
fn without_time(name: &str) -> Option<&str> {
    let (instance, time) = name.split_at_checked(name.len().checked_sub("-2026-11-30-02-47".len())?)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        0 | 5 | 8 | 11 | 14 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_time.then_some(instance)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INSTANCE: &str = "arn:aws:rds:us-east-1:1:db:ledger";
    const SNAPSHOT: &str = "arn:aws:rds:us-east-1:1:snapshot:rds:ledger-2026-11-30-02-47";

    fn good() -> Value {
        json!({"exportTaskIdentifier": "e", "sourceArn": SNAPSHOT, "exportOnly": [], "status": "COMPLETE",
               "percentProgress": 100, "s3Bucket": "exports", "snapshotTime": "2026-11-30T02:47:00Z"})
    }

    fn known(with_task: bool) -> Known {
        let task = ExportFacts {
            snapshot_arn: SNAPSHOT.to_owned(),
            snapshot_taken: Some("2026-11-30T02:47:00.4Z".to_owned()),
            ..ExportFacts::default()
        };
        Known {
            database: "shop".to_owned(),
            instance_arn: INSTANCE.to_owned(),
            snapshot_arns: vec![SNAPSHOT.to_owned()],
            bucket: "exports".to_owned(),
            task: with_task.then_some(task),
        }
    }

    fn flaws(record: &Value, known: &Known) -> Vec<(FindingKind, String)> {
        let record = record.as_object().cloned().unwrap_or_default();
        let flaws = Judged { name: "export_info_e.json", record: &record, known }.flaws();
        flaws.into_iter().map(|(kind, _, detail)| (kind, detail)).collect()
    }

    #[test]
    fn a_record_that_says_all_is_well_is_no_flaw() {
        assert_eq!(flaws(&good(), &known(true)), []);
        assert_eq!(flaws(&good(), &known(false)), []);
        let mut named = good();
        named["exportOnly"] = json!(["shop", "other"]);
        assert_eq!(flaws(&named, &known(false)), []);
    }

    #[test]
    fn a_record_of_more_than_a_megabyte_is_not_read() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("export_info_e.json");
        let read = |spaces: usize| {
            let text = format!("{}{}", good(), " ".repeat(spaces));
            std::fs::write(&path, &text).expect("write");
            super::read("export_info_e.json", &path, Sha256Digest::of(&text), &known(true))
        };
        assert!(matches!(read(1000), Ok(flaws) if flaws.is_empty()));
        assert!(matches!(read(1 << 20), Err(Unread::Unclear(_))));
    }

    #[test]
    fn every_value_that_speaks_against_an_export_is_a_flaw() {
        use FindingKind::{Deviation, ExportContradicts, NotProven, TableSkipped};
        let cases = [
            ("status", json!("CANCELED"), ExportContradicts, "status is CANCELED"),
            ("status", json!("in_progress"), ExportContradicts, "status is in_progress"),
            ("status", json!(null), NotProven, "does not say that the export is complete"),
            ("percentProgress", json!(57), ExportContradicts, "57 %"),
            ("percentProgress", json!("99.5"), ExportContradicts, "99.5 %"),
            ("failureCause", json!("no right to write"), ExportContradicts, "no right to write"),
            ("warningMessage", json!("skipped shop.public.t"), TableSkipped, "shop.public.t"),
            ("exportOnly", json!(["shop.public.t"]), NotProven, "only of shop.public.t"),
            ("exportOnly", json!(["shop.public"]), NotProven, "only of shop.public"),
            ("exportOnly", json!(["shops", "crm"]), ExportContradicts, "nothing of the database shop"),
            ("sourceArn", json!(null), NotProven, "of which snapshot"),
            ("sourceArn", json!("snapshot"), ExportContradicts, "names no snapshot"),
            ("sourceArn", json!(SNAPSHOT.replace(":1:", ":2:")), ExportContradicts, "another account"),
            ("sourceArn", json!(SNAPSHOT.replace("ledger", "crm")), ExportContradicts, "a snapshot of crm"),
            ("sourceArn", json!("arn:aws:rds:us-east-1:1:snapshot:mine"), NotProven, "does not list"),
            ("s3Bucket", json!("elsewhere"), Deviation, "elsewhere"),
        ];
        for (key, value, kind, word) in cases {
            let mut record = good();
            record[key] = value.clone();
            let found = flaws(&record, &known(false));
            assert!(
                matches!(&found[..], [(found, detail)] if *found == kind && detail.contains(word)),
                "{key} {value}: {found:?}"
            );
        }
        for (key, value) in
            [("sourceArn", "arn:aws:rds:us-east-1:1:snapshot:mine"), ("snapshotTime", "2026-11-29T02:47:00Z")]
        {
            let mut record = good();
            record[key] = json!(value);
            let found = flaws(&record, &known(true));
            assert!(matches!(&found[..], [(ExportContradicts, _)]), "{key}: {found:?}");
        }
    }
}
