//! Which bus addresses are free? First fit, in ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Where bus addresses come from unless the bus or the caller says otherwise: above the memory that
/// a device of 32 bits reaches, which others may need, and below what the smallest IOMMU translates
/// (39 bits, Intel VT-d 3.4, "Address Translation").
pub const DEFAULT_ADDRESSES: Range<u64> = 4 << 30..1 << 39;
/// A write to these addresses is an interrupt (Intel SDM volume 3, "Message Address Register
/// Format"), so no memory can be behind them.
pub const MSI_WINDOW: Range<u64> = 0xFEE0_0000..0xFEF0_0000;
/// The first MiB stays free: address 0 hides mistakes, and the rest of it means something on a PC.
const LOW: Range<u64> = 0..1 << 20;

/// The bus addresses of one function.
#[derive(Debug)]
pub(super) struct Addresses {
    /// What there is, sorted, without gaps in a range.
    ranges: Vec<Range<u64>>,
    /// What is taken: start to end.
    taken: BTreeMap<u64, u64>,
}

impl Addresses {
    /// Addresses of these ranges, without those that must not be used.
    pub(super) fn new(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .flat_map(|range| without(range, LOW))
            .flat_map(|range| without(range, MSI_WINDOW))
            .collect();
        ranges.sort_by_key(|range| range.start);
        Self {
            ranges,
            taken: BTreeMap::new(),
        }
    }

    /// Takes the first `length` bytes that are free and begin at a multiple of `alignment`, a power
    /// of two. `None` when there are none.
    pub(super) fn take(&mut self, length: u64, alignment: u64) -> Option<u64> {
        let found = self
            .ranges
            .iter()
            .find_map(|range| self.first_fit(range, length, alignment))?;
        self.taken.insert(found, found + length);
        Some(found)
    }

    /// Gives back what [`Self::take`] gave.
    pub(super) fn give_back(&mut self, start: u64) {
        self.taken.remove(&start);
    }

    /// Bytes that are taken.
    pub(super) fn used(&self) -> u64 {
        self.taken.iter().map(|(start, end)| end - start).sum()
    }

    fn first_fit(&self, range: &Range<u64>, length: u64, alignment: u64) -> Option<u64> {
        let mut start = range.start.checked_next_multiple_of(alignment)?;
        // One that begins before the range may reach into it: ranges can overlap.
        let before = self.taken.range(..start).next_back();
        if let Some((_, end)) = before.filter(|(_, end)| **end > start) {
            start = end.checked_next_multiple_of(alignment)?;
        }
        for (taken, end) in self.taken.range(start..) {
            if start.checked_add(length)? <= *taken {
                break;
            }
            start = start.max(end.checked_next_multiple_of(alignment)?);
        }
        (start.checked_add(length)? <= range.end).then_some(start)
    }
}

/// The parts of a range that are not in another one.
fn without(range: Range<u64>, hole: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let before = range.start..range.end.min(hole.start);
    let behind = range.start.max(hole.end)..range.end;
    [before, behind].into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_must_not_be_used_is_left_out() {
        let mut addresses = Addresses::new(once(0..1 << 33));
        assert_eq!(addresses.take(0x1000, 0x1000), Some(1 << 20));
        // All up to the interrupts: the next one is behind them.
        let most = MSI_WINDOW.start - (1 << 20) - 0x1000;
        assert_eq!(addresses.take(most, 0x1000), Some((1 << 20) + 0x1000));
        assert_eq!(addresses.take(0x1000, 0x1000), Some(MSI_WINDOW.end));
        assert!(Addresses::new([LOW, MSI_WINDOW]).ranges.is_empty());
    }

    #[test]
    fn addresses_that_were_given_back_are_used_again() {
        let mut addresses = Addresses::new(once(1 << 32..(1 << 32) + 0x3000));
        let first = addresses.take(0x1000, 0x1000).unwrap();
        let second = addresses.take(0x2000, 0x1000).unwrap();
        assert_eq!(addresses.take(0x1000, 0x1000), None);
        assert_eq!(addresses.used(), 0x3000);
        addresses.give_back(first);
        assert_eq!(addresses.take(0x2000, 0x1000), None);
        assert_eq!(addresses.take(0x1000, 0x1000), Some(first));
        assert_eq!(second, first + 0x1000);
    }

    #[derive(Debug, Clone)]
    enum Op {
        Take { length: u64, alignment: u32 },
        GiveBack { which: usize },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (1_u64..16, 12_u32..16).prop_map(|(pages, alignment)| Op::Take {
                length: pages * 4096,
                alignment,
            }),
            2 => any::<usize>().prop_map(|which| Op::GiveBack { which }),
        ]
    }

    proptest! {
        /// Against a model that marks pages: nothing overlaps, and what is refused does not fit.
        #[test]
        fn no_address_is_given_twice_and_none_is_refused_that_is_free(
            ops in proptest::collection::vec(op(), 1..60),
        ) {
            let (start, pages) = (1_u64 << 32, 64_usize);
            let mut addresses = Addresses::new(once(start..start + pages as u64 * 4096));
            let mut marked = vec![false; pages];
            let mut held: Vec<(u64, u64)> = Vec::new();
            let page = |address: u64| ((address - start) / 4096) as usize;
            for op in ops {
                match op {
                    Op::Take { length, alignment } => {
                        let alignment = 1_u64 << alignment;
                        let count = (length / 4096) as usize;
                        let step = (alignment / 4096) as usize;
                        let fits = (0..=pages - count)
                            .step_by(step)
                            .find(|first| !marked[*first..first + count].contains(&true));
                        let given = addresses.take(length, alignment);
                        prop_assert_eq!(given.map(page), fits);
                        if let Some(address) = given {
                            marked[page(address)..][..count].fill(true);
                            held.push((address, length));
                        }
                    }
                    Op::GiveBack { which } if !held.is_empty() => {
                        let (address, length) = held.swap_remove(which % held.len());
                        addresses.give_back(address);
                        marked[page(address)..][..(length / 4096) as usize].fill(false);
                    }
                    Op::GiveBack { .. } => {}
                }
                let total: u64 = held.iter().map(|(_, length)| length).sum();
                prop_assert_eq!(addresses.used(), total);
            }
        }
    }
}
