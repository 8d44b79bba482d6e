//! A fast hash of labels for the writer's own table. Its seed is made anew with each store, so that nobody outside can
//! choose labels that meet.

use std::hash::{BuildHasher, Hasher, RandomState};

use zv_model::Labels;

/// An odd number without a pattern: the golden ratio's digits.
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Clone, Copy)]
pub(crate) struct LabelHash(u64);

impl Default for LabelHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }
}

impl LabelHash {
    pub(crate) fn of(self, labels: &Labels) -> u64 {
        let mut hash = self.0;
        for label in labels {
            hash = text(hash, label.name.as_bytes());
            hash = text(hash, label.value.as_bytes());
        }
        hash
    }
}

fn text(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MIXER);
    for word in words {
        hash = folded(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    folded(hash, u64::from_le_bytes(last))
}

/// Multiplies and adds the upper half to the lower, so that every bit of the one reaches every bit of the other.
fn folded(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(MIXER ^ hash.rotate_left(32));
    (product as u64) ^ (product >> 64) as u64
}

/// Takes a number that is a hash already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn like_labels_have_other_hashes() {
        let hash = LabelHash::default();
        let of = |pairs: &[(&str, &str)]| hash.of(&Labels::of(pairs.iter().copied()));
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        let different: HashSet<u64> = (0..10_000).map(|number| of(&[("a", &number.to_string())])).collect();
        assert_eq!(different.len(), 10_000);
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
    }
}
