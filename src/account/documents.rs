//! Documents that people answer for: how old they are, whether somebody read them, and whether the responsibility matrix
//! names every service that the account uses.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::inventory::{Inventory, ItemKind, fact};
use crate::{
    csv,
    digest::Sha256Digest,
    finding::{Finding, FindingKind as Kind},
};

/// One entry of the playbook with what was found in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// The entry's id.
    pub id: String,
    /// Where it was looked for.
    pub place: String,
    /// `document` or `responsibility_matrix`.
    pub kind: String,
    /// The documents, by name.
    pub documents: Vec<Document>,
    /// Why the place could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// The day before which a document is too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Whether review notes are needed.
    pub review_note: bool,
    /// The rows of a responsibility matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its date, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dated: Option<String>,
    /// Digest of the notes of whoever read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_sha256: Option<Sha256Digest>,
}

/// A responsibility matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// One row for each service.
    pub rows: Vec<MatrixRow>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
}

/// Who answers for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixRow {
    /// The service as written.
    pub service: String,
    /// Columns without a name in them.
    pub empty: Vec<String>,
}

/// The columns that a matrix needs besides `service`.
const DUTIES: [&str; 3] = ["patching", "application", "identity"];

/// The day in a document's name, as in `soc2-2026-03-31.pdf`, `20260331_iso.pdf` or `soc2-2026-03.pdf` (its first day).
pub fn date_in_name(name: &str) -> Option<Date> {
    let bounded = |at: usize, length: usize| {
        let before = name.as_bytes().get(at.wrapping_sub(1)).is_some_and(u8::is_ascii_digit);
        let after = name.as_bytes().get(at + length).is_some_and(u8::is_ascii_digit);
        !before && !after
    };
    let part = |at: usize, length: usize| name.get(at..at + length).filter(|_| bounded(at, length));
    let whole = |text: &str| -> Option<Date> {
        let plain: String = text.chars().filter(char::is_ascii_digit).collect();
        let number = |from: usize, to: usize| plain.get(from..to)?.parse::<i16>().ok();
        let (month, day) = (i8::try_from(number(4, 6)?).ok()?, i8::try_from(number(6, 8).unwrap_or(1)).ok()?);
        Date::new(number(0, 4)?, month, day).ok().filter(|date| (1990..2200).contains(&date.year()))
    };
    LENGTHS.iter().find_map(|length| {
        let parts = (0..name.len()).filter_map(|at| part(at, *length));
        parts.filter(|text| text.is_ascii() && is_date_shaped(text)).find_map(whole)
    })
}

/// Lengths of a day with separators, a day without, and a month.
const LENGTHS: [usize; 3] = [10, 8, 7];

fn is_date_shaped(text: &str) -> bool {
    let separators: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| !c.is_ascii_digit()).collect();
    match (text.len(), &separators[..]) {
        (10, [(4, one), (7, other)]) => one == other && "-_.".contains(*one),
        (8, []) => true,
        (7, [(4, one)]) => "-_".contains(*one),
        _ => false,
    }
}

/// Reads a matrix: its first row names the columns.
pub fn matrix(text: &str) -> Matrix {
    let malformed = |reason: &str| Matrix { rows: Vec::new(), malformed: Some(reason.to_owned()) };
    let Some(records) = csv::parse_foreign(text) else { return malformed("it is not CSV") };
    let Some((header, rows)) = records.split_first() else { return malformed("it is empty") };
    let column = |name: &str| header.iter().position(|title| title.trim().eq_ignore_ascii_case(name));
    let (Some(service), duties) = (column("service"), DUTIES.map(column)) else {
        return malformed("it has no column `service`");
    };
    if let Some(at) = duties.iter().position(Option::is_none) {
        return malformed(&format!("it has no column `{}`", DUTIES[at]));
    }
    let row = |record: &Vec<String>| {
        let field = |at: usize| record.get(at).map_or("", |field| field.trim());
        let empty = DUTIES.iter().zip(duties).filter(|(_, at)| at.is_none_or(|at| field(at).is_empty()));
        MatrixRow { service: field(service).to_owned(), empty: empty.map(|(name, _)| (*name).to_owned()).collect() }
    };
    Matrix { rows: rows.iter().map(row).collect(), malformed: None }
}

/// The services that an account uses, each with the names it goes by.
pub fn services(inventory: &Inventory) -> Vec<(&'static str, &'static [&'static str])> {
    let has = |kinds: &[ItemKind]| inventory.items.iter().any(|item| kinds.contains(&item.kind));
    let databases = [ItemKind::Instance, ItemKind::Cluster, ItemKind::Snapshot, ItemKind::ClusterSnapshot];
    let aurora =
        inventory.items.iter().any(|item| item.known(fact::ENGINE).is_some_and(|engine| engine.starts_with("aurora")));
    let mut services: Vec<(&str, &[&str])> = Vec::new();
    if has(&[ItemKind::Bucket]) {
        services.push(("S3", &["s3", "simple storage service"]));
    }
    if has(&databases) {
        services.push(("RDS", &["rds", "relational database service"]));
    }
    if aurora {
        services.push(("Aurora", &["aurora", "rds", "relational database service"]));
    }
    if inventory.users.as_ref().is_some_and(|users| !users.is_empty()) {
        services.push(("IAM", &["iam", "identity and access management"]));
    }
    services
}

fn plain(service: &str) -> String {
    let lower = service.trim().to_lowercase();
    let bare = lower.strip_prefix("amazon ").or_else(|| lower.strip_prefix("aws ")).unwrap_or(&lower);
    bare.split(" (").next().unwrap_or(bare).trim().to_owned()
}

impl Attested {
    /// What is wrong with the documents of this entry. A matrix is held against the inventory, if there is one.
    pub fn findings(&self, inventory: Option<&Inventory>) -> Vec<Finding> {
        let subject = |name: &str| format!("{} {name}", self.id);
        let mut findings = Vec::new();
        if let Some(reason) = &self.unreadable {
            findings.push(Finding::of_run(Kind::DocumentMissing, subject(&self.place), reason.clone()));
        } else if self.documents.is_empty() {
            findings.push(Finding::of_run(Kind::DocumentMissing, subject(&self.place), "there is no document"));
        }
        for document in &self.documents {
            let name = subject(&document.name);
            findings.extend(self.age(document, &name));
            if self.review_note && document.review_sha256.is_none() {
                let detail = format!("{0}.review.md or {0}.review.txt beside it", document.name);
                findings.push(Finding::of_run(Kind::ReviewNoteMissing, name, detail));
            }
        }
        if let Some(matrix) = &self.matrix {
            findings.extend(self.responsibilities(matrix, inventory));
        }
        findings
    }

    /// In a folder the newest document of all must be young enough; older ones are history.
    fn age(&self, document: &Document, name: &str) -> Option<Finding> {
        let not_before = self.not_before.as_ref()?;
        let newest = self.documents.iter().filter_map(|document| document.dated.as_ref()).max();
        match &document.dated {
            None => {
                let detail = "write `dated` in the playbook, or a date into its name";
                Some(Finding::of_run(Kind::DocumentUndated, name, detail))
            }
            Some(dated) if dated < not_before && Some(dated) == newest => {
                let detail = format!("of {dated}, not before {not_before}");
                Some(Finding::of_run(Kind::DocumentStale, name, detail))
            }
            Some(_) => None,
        }
    }

    fn responsibilities(&self, matrix: &Matrix, inventory: Option<&Inventory>) -> Vec<Finding> {
        let missing = |subject: &str, detail: String| {
            Finding::of_run(Kind::ResponsibilityMissing, format!("{} {subject}", self.id), detail)
        };
        if let Some(reason) = &matrix.malformed {
            return vec![missing("matrix", reason.clone())];
        }
        let mut findings = Vec::new();
        for row in matrix.rows.iter().filter(|row| !row.empty.is_empty()) {
            findings.push(missing(&row.service, format!("nobody in: {}", row.empty.join(", "))));
        }
        let Some(inventory) = inventory else {
            let detail = "no account was looked at, so nobody knows which services need a row";
            findings.push(Finding::of_run(Kind::AccountUnreadable, format!("{} matrix", self.id), detail));
            return findings;
        };
        for (service, names) in services(inventory) {
            if !matrix.rows.iter().any(|row| names.contains(&plain(&row.service).as_str())) {
                findings.push(missing(service, "the account uses it, and no row names it".to_owned()));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::inventory::Item;
    use jiff::civil::date;

    #[test]
    fn names_carry_dates() {
        for (name, expected) in [
            ("soc2-2026-03-31.pdf", Some(date(2026, 3, 31))),
            ("20260331_iso27001.pdf", Some(date(2026, 3, 31))),
            ("soc2 2026-03.pdf", Some(date(2026, 3, 1))),
            ("iso27001.pdf", None),
            ("2026-13-01.pdf", None),
            ("part-123456789012.pdf", None),
            ("ü-2026_01_02-ü", Some(date(2026, 1, 2))),
        ] {
            assert_eq!(date_in_name(name), expected, "{name}");
        }
    }

    fn attested(documents: Vec<Document>) -> Attested {
        Attested {
            id: "soc2".into(),
            place: "reports".into(),
            kind: "document".into(),
            documents,
            unreadable: None,
            not_before: Some("2025-11-24".into()),
            review_note: false,
            matrix: None,
        }
    }

    fn document(name: &str, dated: Option<&str>) -> Document {
        let dated = dated.map(str::to_owned);
        Document { name: name.into(), bytes: 1, sha256: Sha256Digest([0; 32]), dated, review_sha256: None }
    }

    fn kinds(attested: &Attested, inventory: Option<&Inventory>) -> Vec<Kind> {
        attested.findings(inventory).iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn the_newest_document_must_be_young() {
        let (old, young) = (document("a", Some("2025-01-01")), document("b", Some("2026-01-01")));
        assert_eq!(kinds(&attested(vec![old.clone()]), None), [Kind::DocumentStale]);
        assert!(kinds(&attested(vec![old, young.clone()]), None).is_empty());
        assert_eq!(kinds(&attested(vec![young, document("c", None)]), None), [Kind::DocumentUndated]);
        assert_eq!(kinds(&attested(vec![]), None), [Kind::DocumentMissing]);
    }

    #[test]
    fn a_document_that_must_be_read_needs_notes() {
        let mut entry = attested(vec![document("a", Some("2026-01-01"))]);
        entry.review_note = true;
        assert_eq!(kinds(&entry, None), [Kind::ReviewNoteMissing]);
        entry.documents[0].review_sha256 = Some(Sha256Digest([1; 32]));
        assert!(kinds(&entry, None).is_empty());
    }

    #[test]
    fn every_service_needs_a_row_with_names_in_it() {
        let mut inventory = Inventory::new(String::new(), vec![]);
        inventory.items.push(Item::named(ItemKind::Bucket, "a", None));
        inventory.items.push(Item::named(ItemKind::Instance, "b", None));
        let of = |text: &str| {
            let matrix = Some(matrix(text));
            let entry = Attested { not_before: None, matrix, ..attested(vec![document("m.csv", None)]) };
            kinds(&entry, Some(&inventory))
        };
        let header = "service,patching,application,identity\r\n";
        assert!(of(&format!("{header}Amazon S3,AWS,we,we\r\nRDS,AWS,we,we\r\n")).is_empty());
        assert_eq!(of(&format!("{header}Amazon S3,AWS,we,we")), [Kind::ResponsibilityMissing]);
        assert_eq!(of(&format!("{header}S3,AWS,we,\nRDS,AWS,we,we\n")), [Kind::ResponsibilityMissing]);
        assert_eq!(of("service,owner\nS3,we\n"), [Kind::ResponsibilityMissing]);
    }
}
