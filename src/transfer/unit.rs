//! Units: the smallest pieces of work that are retried, resumed and journaled; and how a listing is cut into them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::entry::ObjectEntry;

/// Objects of at least this many bytes are a unit of their own.
pub const LARGE_OBJECT_BYTES: u64 = 32 << 20;
/// A batch of smaller objects ends at this many bytes …
pub const UNIT_BYTES_MAX: u64 = 1 << 30;
/// … or at this many objects.
pub const UNIT_OBJECTS_MAX: usize = 10_000;

/// The name of a unit within its asset, safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitId(String);

impl UnitId {
    /// The unit with this number.
    pub fn numbered(number: u64) -> Self {
        UnitId(format!("unit-{number:06}"))
    }

    /// A part of the unit with this number, which runs in parallel with other parts.
    pub fn part(number: u64, part: u64) -> Self {
        UnitId(format!("unit-{number:06}-{part:06}"))
    }

    /// The number in a unit's name, if the name is one.
    pub fn number_in(name: &str) -> Option<u64> {
        name.strip_prefix("unit-")?.parse().ok()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object and its assigned place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedObject {
    /// As listed.
    pub entry: ObjectEntry,
    /// Relative to the asset's directory.
    pub place: String,
}

impl PlacedObject {
    /// Whether it is a unit of its own.
    pub fn is_large(&self) -> bool {
        self.entry.size >= LARGE_OBJECT_BYTES
    }
}

/// A batch of objects that is copied and recorded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectUnit {
    /// Its name.
    pub id: UnitId,
    /// Its objects, in listing order.
    pub objects: Vec<PlacedObject>,
}

impl ObjectUnit {
    /// Bytes according to the listing.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.entry.size).sum()
    }
}

/// Cuts a listing into units as it arrives; holds at most one unfinished batch.
pub struct UnitCutter {
    next_number: u64,
    batch: Vec<PlacedObject>,
    batch_bytes: u64,
}

impl UnitCutter {
    /// Starts with the unit of this number.
    pub fn starting_at(next_number: u64) -> Self {
        UnitCutter { next_number, batch: Vec::new(), batch_bytes: 0 }
    }

    /// Takes the next object; returns a unit when one is full.
    pub fn push(&mut self, object: PlacedObject) -> Option<ObjectUnit> {
        if object.is_large() {
            return Some(self.unit(vec![object]));
        }
        self.batch_bytes += object.entry.size;
        self.batch.push(object);
        let full = self.batch.len() >= UNIT_OBJECTS_MAX || self.batch_bytes >= UNIT_BYTES_MAX;
        if full { self.flush() } else { None }
    }

    /// The last, unfinished unit, if any.
    pub fn flush(&mut self) -> Option<ObjectUnit> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        (!batch.is_empty()).then(|| self.unit(batch))
    }

    /// The name of a unit that is cut by another component.
    pub fn next_id(&mut self) -> UnitId {
        self.next_number += 1;
        UnitId::numbered(self.next_number - 1)
    }

    fn unit(&mut self, objects: Vec<PlacedObject>) -> ObjectUnit {
        ObjectUnit { id: self.next_id(), objects }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: u64) -> PlacedObject {
        let entry = ObjectEntry { key: "k".into(), size, ..ObjectEntry::default() };
        PlacedObject { entry, place: "tree/k".into() }
    }

    fn cut(sizes: &[u64]) -> Vec<usize> {
        let mut cutter = UnitCutter::starting_at(1);
        let mut units: Vec<_> = sizes.iter().filter_map(|size| cutter.push(object(*size))).collect();
        units.extend(cutter.flush());
        units.iter().map(|unit| unit.objects.len()).collect()
    }

    #[test]
    fn a_large_object_is_a_unit_of_its_own() {
        assert_eq!(cut(&[1, LARGE_OBJECT_BYTES, 1]), [1, 2]);
        assert_eq!(cut(&[LARGE_OBJECT_BYTES - 1]), [1]);
    }

    #[test]
    fn batches_end_by_number_and_by_bytes() {
        assert_eq!(cut(&vec![0; UNIT_OBJECTS_MAX + 1]), [UNIT_OBJECTS_MAX, 1]);
        let quarter = LARGE_OBJECT_BYTES - 1;
        let needed = UNIT_BYTES_MAX.div_ceil(quarter) as usize;
        assert_eq!(cut(&vec![quarter; needed + 2]), [needed, 2]);
    }

    #[test]
    fn an_empty_listing_has_no_units() {
        assert!(cut(&[]).is_empty());
    }
}
