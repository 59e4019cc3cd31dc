//! What a comparison of memory has found.

/// Bytes of a mismatch that are shown.
const SHOWN: usize = 8;
/// Bytes that are compared at once, before single ones are looked at.
const STRIDE: usize = 4096;

/// What a comparison has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Bytes that were compared.
    pub checked: u64,
    /// Bytes that differ.
    pub differing: u64,
    /// The first that differs.
    pub first: Option<Mismatch>,
}

/// Where memory is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The address of the first byte that differs.
    pub address: u64,
    /// What should be there: that byte and a few after it.
    pub wanted: Vec<u8>,
    /// What is there.
    pub seen: Vec<u8>,
}

impl Verdict {
    /// Whether nothing differs.
    pub const fn is_good(&self) -> bool {
        self.differing == 0
    }

    /// Takes in the comparison of bytes of the same length, in order of their addresses.
    pub fn compare(&mut self, address: u64, wanted: &[u8], seen: &[u8]) {
        self.checked += wanted.len() as u64;
        let mut at = address;
        for (wanted, seen) in wanted.chunks(STRIDE).zip(seen.chunks(STRIDE)) {
            if wanted != seen {
                self.look_closer(at, wanted, seen);
            }
            at += wanted.len() as u64;
        }
    }

    /// Takes in another verdict, on addresses behind those of this one.
    pub fn merge(&mut self, later: Self) {
        self.checked += later.checked;
        self.differing += later.differing;
        if self.first.is_none() {
            self.first = later.first;
        }
    }

    fn look_closer(&mut self, address: u64, wanted: &[u8], seen: &[u8]) {
        let pairs = wanted.iter().zip(seen);
        let differing = pairs
            .clone()
            .filter(|(wanted, seen)| wanted != seen)
            .count();
        self.differing += differing as u64;
        if self.first.is_none()
            && let Some(at) = pairs.clone().position(|(wanted, seen)| wanted != seen)
        {
            let end = wanted.len().min(at + SHOWN);
            self.first = Some(Mismatch {
                address: address + at as u64,
                wanted: wanted[at..end].to_vec(),
                seen: seen[at..end].to_vec(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_that_differs_is_counted_and_the_first_is_shown(
            length in 1_usize..10_000,
            places in prop::collection::btree_set(0_usize..10_000, 0..5),
            cut in 0_usize..10_000,
        ) {
            let wanted: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut seen = wanted.clone();
            let places: Vec<_> = places.into_iter().filter(|at| *at < length).collect();
            for at in &places {
                seen[*at] ^= 0x40;
            }
            let cut = cut.min(length);
            let mut verdict = Verdict::default();
            verdict.compare(0x1000, &wanted[..cut], &seen[..cut]);
            let mut second = Verdict::default();
            second.compare(0x1000 + cut as u64, &wanted[cut..], &seen[cut..]);
            verdict.merge(second);
            prop_assert_eq!(verdict.checked, length as u64);
            prop_assert_eq!(verdict.differing, places.len() as u64);
            prop_assert_eq!(verdict.is_good(), places.is_empty());
            let first = verdict.first.map(|first| (first.address, first.wanted[0], first.seen[0]));
            let expected = places.first().map(|at| (0x1000 + *at as u64, wanted[*at], seen[*at]));
            prop_assert_eq!(first, expected);
        }
    }
}
