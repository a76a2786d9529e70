//! The account, documents, waivers, and buckets that are selected by pattern.
//!
//! Leaves out whether files exist and what the account holds.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::{Validator, date};
use crate::playbook::{
    checked::{Checked, Written},
    document::{AttestEntry, ContractEntry, Document, DocumentKind, ReviewNote, Sizes, Tags, WaiverEntry},
    model::{AccountSpec, Attest, Contract, DocumentPlace, Waiver},
    path::path_in,
    problem::{Located, Place, Problem},
    quantity::Period,
};

impl Validator<'_> {
    pub(super) fn account(&self, file: &Document) -> AccountSpec {
        let sizes = file.inventory.optional().and_then(|inventory| inventory.value.sizes.optional());
        let target = file.target.optional().map(|target| &target.value);
        let ids = self.items(&file.attest).filter_map(|attest| attest.value.id.optional());
        self.unique(ids, "the id");
        AccountSpec {
            change: self.optional_text(&file.change),
            sizes: sizes.map_or_else(Sizes::default, |sizes| sizes.value),
            preconditions: self.words(&file.preconditions),
            posture: self.words(&file.posture),
            postconditions: self.words(&file.postconditions),
            attest: self.items(&file.attest).filter_map(|entry| self.attest(entry)).collect(),
            contract: file.contract.optional().and_then(|contract| self.contract(contract)),
            non_cloud: target.and_then(|target| target.non_cloud.optional()).map(|word| word.value),
            ask_metadata_service: target
                .and_then(|target| target.ask_metadata_service.optional())
                .is_some_and(|ask| ask.value),
            waivers: self.items(&file.waivers).filter_map(|entry| self.waiver(entry)).collect(),
        }
    }

    /// The words of a list, each once.
    fn words<T: Copy + PartialEq + Debug>(&self, list: &Checked<Vec<Checked<T>>>) -> Vec<T> {
        let mut words = Vec::new();
        for word in self.items(list) {
            if words.contains(&word.value) {
                self.problems.add(Problem::at(&word.place, "is given twice").hint("keep one of the two"));
            } else {
                words.push(word.value);
            }
        }
        words
    }

    /// Tags with their values; at least one where the key is there.
    pub(super) fn tags(&self, field: &Tags) -> BTreeMap<String, String> {
        let Some(tags) = field.optional() else { return BTreeMap::new() };
        if tags.value.is_empty() {
            let problem = Problem::at(&tags.place, "names no tag");
            self.problems.add(problem.hint("write {name: value}, or remove the key"));
        }
        let good = tags.value.iter().filter_map(|(name, value)| Some((name.clone(), value.optional()?.value.clone())));
        good.collect()
    }

    fn waiver(&self, entry: &Located<WaiverEntry>) -> Option<Waiver> {
        let Located { value, place } = entry;
        let finding = self.required_text(&value.finding, "finding", place);
        let reason = self.required_text(&value.reason, "reason", place);
        let owner = self.required_text(&value.owner, "owner", place);
        let until = value.until.required("until", place, self.problems);
        let until = until.and_then(|written| self.accept(&written.place, date(&written.value.0)));
        let finding: crate::playbook::Line = finding?;
        if finding.as_str().chars().filter(|c| c.is_alphanumeric()).count() < 4 {
            let place = value.finding.optional().map_or(place, |text| &text.place);
            let problem = Problem::at(place, "would waive almost anything");
            self.problems.add(problem.hint("begin as the finding does in the report: asset, title, subject"));
        }
        Some(Waiver { finding, reason: reason?, owner: owner?, until: until? })
    }

    fn attest(&self, entry: &Located<AttestEntry>) -> Option<Attest> {
        let Located { value, place } = entry;
        let id = self.required_text(&value.id, "id", place);
        let lies = self.document_place(value, place);
        let dated = value.dated.optional().and_then(|text| self.accept(&text.place, date(&text.value.0)));
        let max_age = value.max_age.optional().and_then(|text| self.accept(&text.place, text.value.0.parse()));
        let kind = value.kind.optional().map_or_else(DocumentKind::default, |kind| kind.value);
        if let (DocumentKind::ResponsibilityMatrix, Some(folder)) = (kind, value.folder.optional()) {
            let problem = Problem::at(&folder.place, "a responsibility matrix is one file");
            self.problems.add(problem.hint("write file: NAME.csv"));
        }
        let review_note = value.review_note.optional().map_or_else(ReviewNote::default, |note| note.value);
        Some(Attest { id: id?, place: lies?, kind, dated, max_age, review_note })
    }

    fn document_place(&self, value: &AttestEntry, place: &Place) -> Option<DocumentPlace> {
        if value.file.is_missing() == value.folder.is_missing() {
            let problem = Problem::at(place, "needs exactly one of `file` and `folder`");
            self.problems.add(problem.hint("write file: PATH for one document, folder: PATH for all of a folder"));
            return None;
        }
        let path = |text: &Located<String>| self.accept(&text.place, path_in(self.folder, &text.value));
        let file = value.file.optional().and_then(path).map(DocumentPlace::File);
        file.or_else(|| value.folder.optional().and_then(path).map(DocumentPlace::Folder))
    }

    fn contract(&self, entry: &Located<ContractEntry>) -> Option<Contract> {
        let Located { value, place } = entry;
        let file = value.file.required("file", place, self.problems);
        let file = file.and_then(|text| self.accept(&text.place, path_in(self.folder, &text.value)));
        let notice = self.required_period(&value.notice, "notice", place);
        let transition = self.required_period(&value.transition, "transition", place);
        let retrieval = self.required_period(&value.retrieval, "retrieval", place);
        Some(Contract { file: file?, notice: notice?, transition: transition?, retrieval: retrieval? })
    }

    fn required_period(&self, field: &Checked<Written>, name: &str, parent: &Place) -> Option<Period> {
        let text = field.required(name, parent, self.problems)?;
        self.accept(&text.place, text.value.0.parse())
    }
}
