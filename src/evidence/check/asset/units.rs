//! The receipts of a bucket by the units that they came in.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{
    domain::digest::Sha256Digest,
    transfer::{receipt::ObjectReceipt, unit::UnitId},
};

/// The digest of a unit's receipts, its items and its bytes.
pub(super) type Unit = (Sha256Digest, u64, u64);

/// Totals of a bucket's receipts by their units; those of older versions name none.
#[derive(Default)]
pub(super) struct Units {
    units: BTreeMap<Option<u64>, (Sha256, u64, u64)>,
    /// Objects under a name other than their key.
    pub(super) mapped: u64,
}

impl Units {
    /// Takes the next receipt, as it was written.
    pub(super) fn add(&mut self, receipt: &ObjectReceipt) {
        self.mapped += u64::from(receipt.path.starts_with("mapped/"));
        let (receipts, items, bytes) = self.units.entry(receipt.unit).or_default();
        receipts.update(serde_json::to_vec(receipt).unwrap_or_default());
        receipts.update(b"\n");
        if !receipt.is_marker() {
            *items += 1;
            *bytes = bytes.saturating_add(receipt.size);
        }
    }

    /// Whether a receipt names no unit, as those of earlier versions don't.
    pub(super) fn are_unnamed(&self) -> bool {
        self.units.contains_key(&None)
    }

    pub(super) fn fit(self, told: &BTreeMap<&str, Unit>) -> bool {
        let named = self.units.into_iter().map(|(number, (receipts, items, bytes))| {
            let name = number.map_or_else(String::new, |number| UnitId::numbered(number).to_string());
            (name, (Sha256Digest::from(receipts), items, bytes))
        });
        let named: BTreeMap<String, Unit> = named.collect();
        // A unit may be empty: every object of it was refused.
        let nothing = (Sha256Digest::of(""), 0, 0);
        told.iter().all(|(unit, told)| named.get(*unit).unwrap_or(&nothing) == told)
            && named.keys().all(|unit| told.contains_key(unit.as_str()))
    }

    pub(super) fn fit_older(self, told: &BTreeMap<&str, Unit>) -> bool {
        if self.units.keys().any(Option::is_some) {
            return false;
        }
        let (receipts, ..) = self.units.into_values().next().unwrap_or_default();
        let all = Sha256Digest::from(receipts);
        told.len() != 1 || told.values().all(|(digest, ..)| *digest == all)
    }
}
