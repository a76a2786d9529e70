//! Documents that people are responsible for: age, whether they were reviewed, and whether the responsibility matrix
//! names every service that the account uses.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::inventory::{Inventory, ItemKind, fact};
use crate::{
    csv,
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind as Kind},
    },
};

/// One entry of the playbook with what was found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attested {
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
    /// The day on which they were read; a document can't have a later date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_on: Option<String>,
    /// Whether review notes are needed.
    pub review_note: bool,
    /// The rows of a responsibility matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// It holds nothing but white space.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blank: bool,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its date, if it has one and no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dated: Option<String>,
    /// Digest of the reviewer's notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_sha256: Option<Sha256Digest>,
}

/// A responsibility matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Matrix {
    /// One row for each service.
    pub rows: Vec<MatrixRow>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
}

/// Who is responsible for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatrixRow {
    /// The service as written.
    pub service: String,
    /// Columns without a name in them.
    pub empty: Vec<String>,
}

/// The columns that a matrix needs besides `service`.
const DUTIES: [&str; 3] = ["patching", "application", "identity"];
/// Placeholder words. Text of nothing but these is empty, as is text without
/// any word.
const FILLERS: [&str; 63] = [
    "and",
    "ask",
    "assigned",
    "aucun",
    "aucune",
    "ausstehend",
    "be",
    "benannt",
    "bestimmt",
    "confirmed",
    "decided",
    "defined",
    "determined",
    "festgelegt",
    "fixme",
    "folgt",
    "inconnu",
    "kein",
    "keine",
    "keiner",
    "later",
    "missing",
    "na",
    "nadie",
    "named",
    "nicht",
    "niemand",
    "nil",
    "ninguno",
    "no",
    "nobody",
    "noch",
    "non",
    "none",
    "not",
    "null",
    "offen",
    "one",
    "open",
    "or",
    "pending",
    "pendiente",
    "personne",
    "placeholder",
    "responsible",
    "sin",
    "asignar",
    "tba",
    "tbc",
    "tbd",
    "to",
    "todo",
    "unassigned",
    "unbekannt",
    "unclear",
    "undefined",
    "unknown",
    "vergeben",
    "wip",
    "xx",
    "xxx",
    "yet",
    "zugewiesen",
];
/// Separators of the columns of a table, the standard one first.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// The day in a document's name, as in `soc2-2026-03-31.pdf`, `20260331_iso.pdf`, `soc2 31.03.2026.pdf` or `soc2-2026-03.pdf`
/// (its first day). A name with two days in it, such as those of a period, or one that can be read as two, has no day of its
/// own.
pub(crate) fn date_in_name(name: &str) -> Option<Date> {
    let mut days = Vec::new();
    let mut at = 0;
    while at < name.len() {
        let found =
            LENGTHS.iter().map(|length| (dates_at(name, at, *length), length)).find(|(dates, _)| !dates.is_empty());
        match found {
            Some((dates, length)) => {
                days.extend(dates);
                at += length;
            }
            None => at += 1,
        }
    }
    days.sort();
    days.dedup();
    <[Date; 1]>::try_from(days).ok().map(|[day]| day)
}

/// The readings of a text as a day: year first, day first, month first.
fn dates_at(name: &str, at: usize, length: usize) -> Vec<Date> {
    let digit_at = |at: usize| name.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let text = name.get(at..at + length).filter(|text| text.is_ascii());
    let Some(orders) = text.map(orders).filter(|_| !digit_at(at.wrapping_sub(1)) && !digit_at(at + length)) else {
        return Vec::new();
    };
    let plain: String = text.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let number = |(from, to): (usize, usize)| plain.get(from..to)?.parse::<i16>().ok();
    let date = |[year, month, day]: &[(usize, usize); 3]| {
        let month = i8::try_from(number(*month)?).ok()?;
        let day = i8::try_from(number(*day).unwrap_or(1)).ok()?;
        Date::new(number(*year)?, month, day).ok().filter(|date| (1990..2200).contains(&date.year()))
    };
    orders.iter().filter_map(date).collect()
}

/// Lengths of a day with separators, a day without, and a month.
const LENGTHS: [usize; 3] = [10, 8, 7];
/// The positions of year, month and day among the digits.
const YEAR_FIRST: [(usize, usize); 3] = [(0, 4), (4, 6), (6, 8)];
const DAY_FIRST: [(usize, usize); 3] = [(4, 8), (2, 4), (0, 2)];
const MONTH_FIRST: [(usize, usize); 3] = [(4, 8), (0, 2), (2, 4)];

/// The orders in which a text of this shape may be read.
fn orders(text: &str) -> &'static [[(usize, usize); 3]] {
    let separators: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| !c.is_ascii_digit()).collect();
    match (text.len(), &separators[..]) {
        (10, [(4, one), (7, other)]) if one == other && "-_.".contains(*one) => &[YEAR_FIRST],
        (10, [(2, one), (5, other)]) if one == other && "-_.".contains(*one) => &[DAY_FIRST, MONTH_FIRST],
        (8, []) => &[YEAR_FIRST, DAY_FIRST, MONTH_FIRST],
        (7, [(4, one)]) if "-_".contains(*one) => &[YEAR_FIRST],
        _ => &[],
    }
}

/// The text of a file that a spreadsheet may have written: UTF-8, UTF-16 by its byte order mark, or else Latin-1.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let utf16 = |pair: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|two| pair([two[0], two[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => utf16(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        bytes => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    }
}

/// Whether text has content: a word, or a letter of a script whose letters are words, that is not a placeholder.
pub(crate) fn has_a_word(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
    let mut words = words.filter(|word| word.chars().count() > 1 || !word.is_ascii());
    words.any(|word| !FILLERS.contains(&word.as_str()))
}

/// Reads a matrix: its first row names the columns, with any of the separators.
pub(crate) fn matrix(text: &str) -> Matrix {
    let tables = SEPARATORS.iter().filter_map(|separator| csv::parse_foreign_by(text, *separator));
    let mut matrices: Vec<_> = tables.map(|records| matrix_of(&records)).collect();
    if matrices.is_empty() {
        return malformed("it is not CSV");
    }
    let understood = matrices.iter().position(|matrix| matrix.malformed.is_none());
    matrices.swap_remove(understood.unwrap_or_default())
}

fn malformed(reason: &str) -> Matrix {
    Matrix { rows: Vec::new(), malformed: Some(reason.to_owned()) }
}

fn matrix_of(records: &[Vec<String>]) -> Matrix {
    let Some((header, rows)) = records.split_first() else { return malformed("it is empty") };
    let column = |name: &str| header.iter().position(|title| title.trim().eq_ignore_ascii_case(name));
    let Some(service) = column("service") else { return malformed("it has no column `service`") };
    let duties = DUTIES.map(column);
    if let Some(at) = duties.iter().position(Option::is_none) {
        return malformed(&format!("it has no column `{}`", DUTIES[at]));
    }
    let row = |record: &Vec<String>| {
        let field = |at: usize| record.get(at).map_or("", |field| field.trim());
        let empty = DUTIES.iter().zip(duties).filter(|(_, at)| at.is_none_or(|at| !has_a_word(field(at))));
        MatrixRow { service: field(service).to_owned(), empty: empty.map(|(name, _)| (*name).to_owned()).collect() }
    };
    Matrix { rows: rows.iter().map(row).collect(), malformed: None }
}

/// The services that an account uses, each with its names.
pub(crate) fn services(inventory: &Inventory) -> Vec<(&'static str, &'static [&'static str])> {
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
    /// What is wrong with the documents of this entry. A matrix is compared with the inventory, if there is one.
    pub(crate) fn findings(&self, inventory: Option<&Inventory>) -> Vec<Finding> {
        let subject = |name: &str| format!("{} {name}", self.id);
        let mut findings = Vec::new();
        if let Some(reason) = &self.unreadable {
            findings.push(Finding::of_run(Kind::DocumentMissing, subject(&self.place), reason.clone()));
        } else if self.documents.is_empty() {
            findings.push(Finding::of_run(Kind::DocumentMissing, subject(&self.place), "there is no document"));
        }
        for document in &self.documents {
            let name = subject(&document.name);
            if document.bytes == 0 {
                findings.push(Finding::of_run(Kind::DocumentMissing, &name, "the file is empty"));
            } else if document.blank {
                findings.push(Finding::of_run(Kind::DocumentMissing, &name, "the file holds nothing but white space"));
            }
            findings.extend(self.future_date(document, &name));
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

    /// A day of grace: the document may have been dated in a time zone ahead.
    fn future_date(&self, document: &Document, name: &str) -> Option<Finding> {
        let dated: Date = document.dated.as_ref()?.parse().ok()?;
        let read_on: Date = self.read_on.as_ref()?.parse().ok()?;
        let is_future = dated > read_on.tomorrow().ok()?;
        is_future.then(|| Finding::of_run(Kind::DocumentFromFuture, name, format!("of {dated}, read on {read_on}")))
    }

    /// In a folder the newest document of all must be young enough; older ones are history.
    fn age(&self, document: &Document, name: &str) -> Option<Finding> {
        let not_before = self.not_before.as_ref()?;
        let newest = self.documents.iter().filter_map(|document| document.dated.as_ref()).max();
        match &document.dated {
            None => {
                let detail = "write `dated` in the playbook, or one date into its name";
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
            ("soc2_2025-01-01_2025-12-31.pdf", None),
            ("2026-03-31 soc2 2026-03-31.pdf", Some(date(2026, 3, 31))),
            ("soc2 2025-12 to 20261130.pdf", None),
            ("soc2-31.12.2017.pdf", Some(date(2017, 12, 31))),
            ("soc2-31122017.pdf", Some(date(2017, 12, 31))),
            ("soc2 31.12.2017 renewed 20261130.pdf", None),
            // The second of January, or the first of February.
            ("soc2 02.01.2026.pdf", None),
            ("soc2 01-01-2026.pdf", Some(date(2026, 1, 1))),
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
            read_on: Some("2026-11-24".into()),
            review_note: false,
            matrix: None,
        }
    }

    fn document(name: &str, dated: Option<&str>) -> Document {
        let dated = dated.map(str::to_owned);
        let sha256 = Sha256Digest([0; 32]);
        Document { name: name.into(), bytes: 1, blank: false, sha256, dated, review_sha256: None }
    }

    fn kinds(attested: &Attested, inventory: Option<&Inventory>) -> Vec<Kind> {
        attested.findings(inventory).iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn the_newest_document_must_be_young() {
        let old = document("a", Some("2025-01-01"));
        let young = document("b", Some("2026-01-01"));
        assert_eq!(kinds(&attested(vec![old.clone()]), None), [Kind::DocumentStale]);
        assert!(kinds(&attested(vec![old, young.clone()]), None).is_empty());
        assert_eq!(kinds(&attested(vec![young, document("c", None)]), None), [Kind::DocumentUndated]);
        assert_eq!(kinds(&attested(vec![]), None), [Kind::DocumentMissing]);
    }

    #[test]
    fn an_empty_document_and_one_of_tomorrow_are_none() {
        let with = |bytes, dated| attested(vec![Document { bytes, ..document("a", Some(dated)) }]);
        assert_eq!(kinds(&with(0, "2026-01-01"), None), [Kind::DocumentMissing]);
        assert_eq!(kinds(&with(1, "2027-01-01"), None), [Kind::DocumentFromFuture]);
        assert!(kinds(&with(1, "2026-11-25"), None).is_empty());
        let blank = Document { blank: true, ..document("a", Some("2026-01-01")) };
        assert_eq!(kinds(&attested(vec![blank]), None), [Kind::DocumentMissing]);
    }

    #[test]
    fn notes_hold_words_and_texts_come_in_other_encodings() {
        for (notes, says) in [
            ("", false),
            (" \n\t", false),
            ("--- . ...", false),
            ("1 2 3", false),
            ("x", false),
            ("TODO", false),
            ("todo: (open)", false),
            ("ok", true),
            ("gelesen", true),
            ("TODO: ask for the bridge letter", true),
        ] {
            assert_eq!(has_a_word(notes), says, "{notes}");
        }
        let text = "Zuständig";
        let utf16 = |pair: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain(text.encode_utf16().flat_map(pair)).collect()
        };
        let latin1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for bytes in [utf16(u16::to_le_bytes, [0xff, 0xfe]), utf16(u16::to_be_bytes, [0xfe, 0xff]), latin1, marked] {
            assert_eq!(text_of(&bytes), text);
        }
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
        let table = format!("{header}Amazon S3,AWS,we,we\r\nRDS,AWS,we,we\r\n");
        assert!(of(&table.replace(',', ";")).is_empty() && of(&table.replace(',', "\t")).is_empty());
        for nobody in [
            "-",
            "?",
            "n/a",
            "TBD",
            "…",
            " none ",
            "x",
            "1",
            "??? (open)",
            "nicht zugewiesen",
            "to be decided",
            "not yet",
        ] {
            let table = format!("{header}S3,AWS,we,{nobody}\nRDS,AWS,we,we\n");
            assert_eq!(of(&table), [Kind::ResponsibilityMissing], "{nobody}");
        }
    }
}
