//! The Merkle tree hash of RFC 9162, section 2.1.1: one digest for a list of any length.

use sha2::{Digest as _, Sha256};

use super::sha256::Sha256Digest;

/// A tree that grows leaf by leaf; it keeps one digest per level.
#[derive(Clone, Debug, Default)]
pub struct MerkleTree {
    /// Roots of complete subtrees with their numbers of leaves, larger ones first.
    subtrees: Vec<(u64, Sha256Digest)>,
}

impl MerkleTree {
    /// Appends a leaf.
    pub fn push(&mut self, leaf: impl AsRef<[u8]>) {
        let mut subtree = (1, Sha256::new().chain_update([0]).chain_update(leaf).into());
        while let Some((leaves, left)) = self.subtrees.pop_if(|(leaves, _)| *leaves == subtree.0) {
            subtree = (2 * leaves, node(left, subtree.1));
        }
        self.subtrees.push(subtree);
    }

    /// The root; of an empty list the SHA-256 of nothing.
    pub fn root(self) -> Sha256Digest {
        let root = self.subtrees.into_iter().map(|(_, root)| root).rev().reduce(|right, left| node(left, right));
        root.unwrap_or_else(|| Sha256Digest::of(""))
    }
}

fn node(left: Sha256Digest, right: Sha256Digest) -> Sha256Digest {
    Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition as the RFC writes it.
    fn by_definition(leaves: &[Vec<u8>]) -> Sha256Digest {
        match leaves {
            [] => Sha256Digest::of(""),
            [leaf] => Sha256Digest::of([&[0][..], leaf].concat()),
            _ => {
                let split = (leaves.len().next_power_of_two() / 2).max(1);
                node(by_definition(&leaves[..split]), by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition() {
        for count in 0..40 {
            let leaves: Vec<Vec<u8>> = (0..count).map(|number| vec![number; 3]).collect();
            let mut tree = MerkleTree::default();
            leaves.iter().for_each(|leaf| tree.push(leaf));
            assert_eq!(tree.root(), by_definition(&leaves), "{count} leaves");
        }
    }
}
