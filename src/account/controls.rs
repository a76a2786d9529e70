//! Which file of a bundle supports which row of the checklist for cloud services (ISO/IEC 27001:2022, Annex A 5.23), and
//! what a person must add. A file supports a control; it never proves compliance.
//!
//! | row | control | in the bundle, below `data` | a person adds |
//! |---|---|---|---|
//! | 1 | policy on the use of clouds | `checks/documents.json` | the policy and its signature |
//! | 2 | security terms in the contract | `checks/contract.json` | the contract |
//! | 3 | shared-responsibility matrix | `checks/documents.json`, `inventory.json` | the matrix and its sign-off |
//! | 4 | hardened configuration | `checks/encryption.json`, `public_access.json`, `orphan_snapshots.json`, `protection.json` | services besides S3, RDS, IAM |
//! | 5 | data residency | `checks/residency.json`, `inventory.json` | why these regions |
//! | 6 | the provider's audit reports | `checks/documents.json` | reports and review notes |
//! | 7 | an exit strategy, tested | `result.json`, `coverage.csv`, `playbook.yaml`, `assets/` | alternative providers, and what findings mean |
//! | 8 | second factor, no keys in plain text | `checks/identity.json`, `credentials.json`, `secrets.json` | what single sign-on requires |
//! | 9 | an audit trail of one's own | `journal.ndjson` | the head kept elsewhere, the provider's own log |
//! | 10 | change records | `checks/source_unchanged.json`, `playbook.yaml` | the change record |

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256Digest;

/// One row of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its number.
    pub row: u8,
    /// What it asks for.
    pub control: String,
    /// Files of this bundle that support it, with their digests.
    pub supported_by: BTreeMap<String, Sha256Digest>,
    /// What a person must add.
    pub person_adds: String,
}

/// `data/controls.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Checklist {
    /// Its rows.
    pub controls: Vec<Control>,
}

/// The numbers of all rows.
pub fn rows() -> impl Iterator<Item = u8> {
    ROWS.iter().map(|row| row.0)
}

/// Number, control, files by the beginning of their names, what a person adds.
type Row = (u8, &'static str, &'static [&'static str], &'static str);

const ROWS: [Row; 10] = [
    (
        1,
        "a policy on the use of clouds, signed",
        &["data/checks/documents.json"],
        "the policy itself and its signature; name it in `attest`",
    ),
    (
        2,
        "security terms in the contract",
        &["data/checks/contract.json"],
        "the contract itself; name its terms in `contract`",
    ),
    (
        3,
        "a shared-responsibility matrix, signed off",
        &["data/checks/documents.json", "data/inventory.json"],
        "the matrix and its sign-off; name it in `attest` with kind: responsibility_matrix",
    ),
    (
        4,
        "hardened configuration",
        &[
            "data/checks/encryption.json",
            "data/checks/public_access.json",
            "data/checks/orphan_snapshots.json",
            "data/checks/protection.json",
        ],
        "a look at services other than S3, RDS and IAM; name the checks in `posture`",
    ),
    (
        5,
        "data residency",
        &["data/checks/residency.json", "data/inventory.json"],
        "the list of allowed regions and why; name them in provider.aws.regions and `residency` in `posture`",
    ),
    (
        6,
        "the provider's audit reports, reviewed",
        &["data/checks/documents.json"],
        "the reports and the review notes; name the folder in `attest` with review_note: required",
    ),
    (
        7,
        "an exit strategy, tested",
        &["data/result.json", "data/coverage.csv", "data/playbook.yaml", "data/assets/"],
        "the list of alternative providers, and the decision what the findings mean",
    ),
    (
        8,
        "a second factor, no long-lived keys in plain text",
        &["data/checks/identity.json", "data/checks/credentials.json", "data/checks/secrets.json"],
        "what single sign-on requires outside the account; name `preconditions` and `credentials` in `posture`",
    ),
    (
        9,
        "an audit trail that the provider cannot change",
        &["data/journal.ndjson"],
        "a copy of the journal's head kept elsewhere, and the provider's own log of the drill",
    ),
    (
        10,
        "change records",
        &["data/checks/source_unchanged.json", "data/playbook.yaml"],
        "the change record itself; name it in `change`, and `source_unchanged` in `postconditions`",
    ),
];

/// Rows of the checklist that correspond to a control; none for a control without a mapping.
pub fn rows_of(control: &str) -> Option<&'static [u8]> {
    match control {
        "ISO27001:A.5.23" => Some(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        "ISO27001:A.5.30" => Some(&[7]),
        "DORA:28.8" => Some(&[2, 7]),
        _ => None,
    }
}

/// What a bundle lacks of the evidence that a row requires, by the beginning of the files' names.
pub fn lacks(row: u8, checklist: &[Control]) -> Vec<&'static str> {
    let names = ROWS.iter().filter(|one| one.0 == row).flat_map(|one| one.2);
    let held = |name: &str| {
        let of_row = checklist.iter().filter(|control| control.row == row);
        of_row.flat_map(|control| control.supported_by.keys()).any(|file| file.starts_with(name))
    };
    names.filter(|name| !held(name)).copied().collect()
}

/// The checklist with the existing files.
pub fn controls(files: &BTreeMap<String, Sha256Digest>) -> Vec<Control> {
    let control = |(row, control, names, person_adds): &Row| {
        let supports = |file: &&String| {
            names.iter().any(|name| *name == file.as_str() || (name.ends_with('/') && file.starts_with(name)))
        };
        let there = files.keys().filter(supports).filter_map(|file| Some((file.clone(), *files.get(file)?)));
        Control {
            row: *row,
            control: (*control).to_owned(),
            supported_by: there.collect(),
            person_adds: (*person_adds).to_owned(),
        }
    };
    ROWS.iter().map(control).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_files_or_what_a_person_adds() {
        let files = [("data/result.json".to_owned(), Sha256Digest([0; 32]))].into();
        let rows = controls(&files);
        assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| !row.person_adds.is_empty()));
        assert_eq!(rows[6].supported_by.len(), 1);
        assert!(rows[0].supported_by.is_empty());
    }
}
