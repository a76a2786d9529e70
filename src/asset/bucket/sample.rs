//! Which objects a sample contains: by a keyed hash of the key: seed and listing alone decide, whatever the order
//! of the listing; and at least one of each size class, so that every class can be extrapolated.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{
    domain::digest::Sha256Digest,
    evidence::result::{SampleResult, Stratum},
    playbook::SampleSpec,
    transfer::object::ObjectEntry,
};

/// Decides for each object of a listing, and counts.
pub(super) struct Sampler {
    spec: SampleSpec,
    classes: BTreeMap<u32, Class>,
}

#[derive(Default)]
struct Class {
    listed: Count,
    taken: Count,
    /// The fallback if none is taken: the object with the smallest hash.
    reserve: Option<(u64, ObjectEntry)>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    objects: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

impl Sampler {
    pub(super) fn new(spec: SampleSpec) -> Self {
        Sampler { spec, classes: BTreeMap::new() }
    }

    /// Whether the sample has this object. Delete markers have no bytes and are not checked.
    pub(super) fn takes(&mut self, entry: &ObjectEntry) -> bool {
        let hash = self.hash(entry);
        let class = self.classes.entry(size_class(entry.size)).or_default();
        class.listed.add(entry.size);
        // Of 2^64 hashes a part of the size of the share is taken.
        let taken = u128::from(hash) < (u128::from(self.spec.share.per_million()) << 64) / 1_000_000;
        if taken {
            class.taken.add(entry.size);
            class.reserve = None;
        } else if class.taken.objects == 0 && class.reserve.as_ref().is_none_or(|(least, _)| hash < *least) {
            class.reserve = Some((hash, entry.clone()));
        }
        taken
    }

    /// At the end of the listing: one object of each class of which none was taken.
    pub(super) fn reserves(&mut self) -> Vec<ObjectEntry> {
        let reserve = |class: &mut Class| {
            let (_, entry) = class.reserve.take()?;
            class.taken.add(entry.size);
            Some(entry)
        };
        self.classes.values_mut().filter_map(reserve).collect()
    }

    /// What was taken, and of how many.
    pub(super) fn result(&self) -> SampleResult {
        let stratum = |(class, counts): (&u32, &Class)| Stratum {
            bytes_from: if *class == 0 { 0 } else { 1 << ((class - 1) * 2) },
            objects: counts.listed.objects,
            bytes: counts.listed.bytes,
            taken_objects: counts.taken.objects,
            taken_bytes: counts.taken.bytes,
        };
        SampleResult {
            share: self.spec.share.to_string(),
            seed: self.spec.seed,
            strata: self.classes.iter().map(stratum).collect(),
        }
    }

    fn hash(&self, entry: &ObjectEntry) -> u64 {
        let version = entry.version.and(entry.version_id.as_deref()).unwrap_or_default();
        let keyed =
            Sha256::new().chain_update(self.spec.seed.to_be_bytes()).chain_update(entry.key.len().to_be_bytes());
        let digest = Sha256Digest::from(keyed.chain_update(&entry.key).chain_update(version));
        digest.short() as u64
    }
}

/// Powers of four: nothing, 1 to 3 bytes, 4 to 15, …
pub(crate) fn size_class(bytes: u64) -> u32 {
    bytes.checked_ilog2().map_or(0, |bits| bits / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, size: u64) -> ObjectEntry {
        ObjectEntry { key: format!("key {number}"), size, ..ObjectEntry::default() }
    }

    fn taken(seed: u64, share: &str, entries: &[ObjectEntry]) -> Vec<String> {
        let mut sampler = Sampler::new(SampleSpec { share: share.parse().expect("a share"), seed });
        let mut taken: Vec<_> = entries.iter().filter(|entry| sampler.takes(entry)).cloned().collect();
        taken.extend(sampler.reserves());
        let mut keys: Vec<_> = taken.into_iter().map(|entry| entry.key).collect();
        keys.sort();
        keys
    }

    #[test]
    fn seed_and_keys_alone_decide() {
        let mut entries: Vec<_> = (0..10_000).map(|number| entry(number, 1_000 + number)).collect();
        let once = taken(7, "2%", &entries);
        assert!((120..=280).contains(&once.len()), "{} of 10,000", once.len());
        entries.reverse();
        assert_eq!(taken(7, "2%", &entries), once);
        assert_ne!(taken(8, "2%", &entries), once);
    }

    #[test]
    fn every_size_class_is_represented() {
        let entries: Vec<_> = (0..20).map(|number| entry(number, 1 << number)).collect();
        assert_eq!(taken(1, "0.01%", &entries).len(), 10);
        assert_eq!(taken(1, "100%", &entries).len(), 20);
    }

    #[test]
    fn classes_are_powers_of_four() {
        assert_eq!([0, 1, 3, 4, 15, 16].map(size_class), [0, 1, 1, 2, 2, 3]);
    }
}
