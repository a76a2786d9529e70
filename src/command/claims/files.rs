//! The closed list: every path of a bundle is known for its version, required files exist, and what is the same
//! in every bundle of a version is compared byte for byte.
//!
//! `sig/` is examined where signatures are checked, and the reports where they are regenerated.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date};

use super::{BINDING, Claims};
use crate::{
    account::{
        controls::{self, Checklist},
        drive,
    },
    domain::{
        digest::Sha256Digest,
        event::{AssetKind, FILES_SUFFIX},
        finding::{Finding, FindingKind},
    },
    evidence::{
        PLAYBOOK, RESOLVED, RESULT, TABLE_DIGEST_PY,
        check::bag::Bag,
        result::{RESULT_VERSION, result_schema},
    },
    report,
    run::reports::CONTROLS,
};

/// At the top.
const TOP: [&str; 5] = ["VERIFY.md", "bag-info.txt", "bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"];
const JOURNAL: &str = "data/journal.ndjson";
const SCHEMA: &str = "data/result.schema.json";
const PROGRAM: &str = "data/table_digest.py";
/// In every bundle, below `data/`.
const ALWAYS: [&str; 6] = [RESULT, JOURNAL, PLAYBOOK, RESOLVED, SCHEMA, PROGRAM];
/// The files of the account's inspections.
const OF_ACCOUNT: [&str; 4] = ["data/inventory.json", "data/coverage.csv", "data/after.json", "data/selected.json"];
const CHECKS: &str = "data/checks/";
/// The files below [`CHECKS`], by name.
const OF_CHECKS: [&str; 12] = [
    "contract",
    "credentials",
    "documents",
    "encryption",
    "identity",
    "orphan_snapshots",
    "protection",
    "public_access",
    "residency",
    "secrets",
    "source_unchanged",
    "target",
];
/// The labels of `bag-info.txt`, each once, in this order.
const LABELS: [&str; 5] =
    ["Bag-Software-Agent", "Bagging-Date", "External-Description", "External-Identifier", "Payload-Oxum"];
/// SHA-256 of texts that earlier versions put into every bundle.
const EARLIER: [&str; 4] = [
    // table_digest.py of versions 1 and 2.
    "2119f77003e5133f1dffc7b23ec44bd67674b278da156ad6782a7443c188d265",
    // result.schema.json of version 1, and of the first of version 2.
    "fb62adeb1d833b77d3bee54fbd8fe82bcd97a6724f76e7db5b411257558104e5",
    "173e7a6d7e748acf017ebef3dfc187f13b70549429cfb80817aab1072ce235d6",
    // result.schema.json of version 3.
    "bab14271ee174cad470aef1972f52d40cf70a6131091d268dff2c1926519bf9a",
];

impl Claims<'_> {
    pub(super) fn files(&mut self) {
        let bag = Bag::list(self.bundle);
        let assets = self.result.assets.iter();
        let of_assets: BTreeSet<_> = assets.flat_map(|asset| self.of_asset(&asset.id, asset.kind)).collect();
        for name in bag.files.keys() {
            if !self.is_known(name) && !of_assets.contains(name) {
                let detail = "no bundle of this version has a file of this name";
                self.findings.push(Finding::of_run(FindingKind::BundleFileUnexpected, name, detail));
            }
        }
        // The first version had no reports, and the second no PDF at first.
        let version = self.result.result_version;
        let has = |name: &&&str| version >= BINDING || (version > 1 && **name != report::PDF);
        let reports = report::NAMES.iter().filter(has).map(|name| format!("data/{name}"));
        let always = ALWAYS.iter().chain(&TOP).map(|name| (*name).to_owned());
        for name in always.chain(reports).filter(|name| !bag.files.contains_key(name)) {
            let detail = "every bundle of this version has it";
            self.findings.push(Finding::of_run(FindingKind::BundleFileMissing, name, detail));
        }
        self.constants(&bag);
        self.labels(&bag);
        self.controls(&bag);
        if let Some(document) = bag.read(TOP[0]).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            self.document(&document);
        }
    }

    fn is_known(&self, name: &str) -> bool {
        let is_report = name.strip_prefix("data/").is_some_and(|name| report::NAMES.contains(&name));
        let check = name.strip_prefix(CHECKS).and_then(|name| name.strip_suffix(".json"));
        let later = self.result.result_version > 1 && (is_report || name == CONTROLS || OF_ACCOUNT.contains(&name));
        let of_check = check.is_some_and(|name| OF_CHECKS.contains(&name));
        TOP.contains(&name) || ALWAYS.contains(&name) || later || (of_check && self.result.result_version > 1)
    }

    /// The files that an asset of this kind has in this version. A missing required file is reported where it is read.
    fn of_asset(&self, id: &str, kind: AssetKind) -> Vec<String> {
        let version = self.result.result_version;
        let facts = kind.facts();
        let known = facts.files.iter().filter(|(_, since)| *since <= version);
        let mut files: Vec<_> = known.map(|(name, _)| format!("data/assets/{id}/{name}")).collect();
        // The files of an export are below its database, also where they were copied and it was not.
        if let Some(below) = facts.exported_as {
            files.extend(self.of_asset(&format!("{id}{FILES_SUFFIX}"), below));
        }
        files
    }

    fn constants(&mut self, bag: &Bag) {
        let schema = serde_json::to_vec_pretty(&result_schema()).unwrap_or_default();
        let result_version = self.result.result_version;
        for (name, expected) in [(PROGRAM, TABLE_DIGEST_PY.as_bytes()), (SCHEMA, &schema)] {
            let Ok(found) = bag.read(name) else { continue };
            let earlier =
                || result_version < RESULT_VERSION && EARLIER.contains(&&*Sha256Digest::of(&found).to_string());
            if found.trim_ascii_end() != expected.trim_ascii_end() && !earlier() {
                self.unproven(name, "is not the text that every bundle of its version has");
            }
        }
    }

    /// `bag-info.txt` has its five labels and agrees with the result.
    fn labels(&mut self, bag: &Bag) {
        const BAG_INFO: &str = "bag-info.txt";
        let labels = bag.all_labels();
        if labels.iter().map(|(label, _)| label.as_str()).ne(LABELS) {
            self.contradicts(BAG_INFO, "does not have the five labels of a bundle, each once and in their order");
            return;
        }
        let result = self.result;
        let agent = format!("walkaway {}", result.tool.version);
        let description = format!("Evidence of exit drill {}: {}", result.run, result.verdict_words());
        for (label, expected) in [("Bag-Software-Agent", agent), ("External-Description", description)] {
            if !labels.contains(&(label.to_owned(), expected.clone())) {
                self.contradicts(BAG_INFO, format!("{label} is not {expected:?}"));
            }
        }
        let day = |time: &str| time.parse::<Timestamp>().ok().map(drive::today_of);
        let bagged = labels[1].1.parse::<Date>().ok();
        let first = day(&result.started);
        let last = day(&result.ended);
        // Sealing follows the end of the run at once; it may be repeated, but not be earlier.
        if bagged.is_none()
            || first.is_some_and(|first| bagged < Some(first))
            || last.is_some_and(|last| bagged < Some(last))
        {
            self.contradicts(BAG_INFO, "Bagging-Date is no day on or after that of the run's end");
        }
    }

    /// The checklist equals the one derived from these files.
    fn controls(&mut self, bag: &Bag) {
        let read = bag.read(CONTROLS).ok().and_then(|bytes| serde_json::from_slice::<Checklist>(&bytes).ok());
        let Some(found) = read else { return };
        let supports = |name: &&String| name.starts_with("data/") && drive::supports(name) && **name != CONTROLS;
        let digest = |name: &String| Some((name.clone(), bag.open(name).and_then(Sha256Digest::of_reader).ok()?));
        let files = bag.files.keys().filter(supports).filter_map(digest).collect();
        if found.controls != controls::controls(&files) {
            self.unproven(CONTROLS, "is not the checklist with the files of this bundle");
        }
    }
}
