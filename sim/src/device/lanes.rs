//! How an access of any size becomes accesses of 32-bit registers.
//!
//! Registers sit behind AXI-Lite, which moves a whole word and tells by strobes which bytes of a
//! write count. The bridge splits a wider access into words, in ascending order, and puts a
//! narrower one into its place in the word.

use std::ops::Range;

/// The part of an access that falls into one word.
struct Lane {
    /// Offset of the word.
    word: u64,
    /// First byte of the word that is accessed.
    first: usize,
    /// The bytes of the access that it holds.
    part: Range<usize>,
}

fn lanes(offset: u64, length: usize) -> impl Iterator<Item = Lane> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = offset + done as u64;
        let first = (at % 4) as usize;
        let part = done..length.min(done + 4 - first);
        done = part.end;
        Some(Lane {
            word: at - first as u64,
            first,
            part,
        })
    })
}

/// A write of (a part of) a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordWrite {
    /// The word; bytes that are not written are zero.
    pub(crate) value: u32,
    /// Bit n tells that byte n is written.
    pub(crate) strobes: u8,
}

impl WordWrite {
    /// A register's new value, given its old one.
    pub(crate) fn merged_into(self, old: u32) -> u32 {
        let mask = (0..4)
            .filter(|byte| self.strobes & 1 << byte != 0)
            .fold(0, |mask, byte| mask | 0xFF << (8 * byte));
        old & !mask | self.value & mask
    }
}

/// Reads a range by reading each of its words once.
pub(super) fn read(offset: u64, data: &mut [u8], mut word: impl FnMut(u64) -> u32) {
    for lane in lanes(offset, data.len()) {
        let bytes = word(lane.word).to_le_bytes();
        let to = &mut data[lane.part];
        let length = to.len();
        to.copy_from_slice(&bytes[lane.first..lane.first + length]);
    }
}

/// Writes a range by writing each of its words once.
pub(super) fn write(offset: u64, data: &[u8], mut word: impl FnMut(u64, WordWrite)) {
    for lane in lanes(offset, data.len()) {
        let from = &data[lane.part];
        let mut bytes = [0; 4];
        bytes[lane.first..lane.first + from.len()].copy_from_slice(from);
        let strobes = ((1_u8 << from.len()) - 1) << lane.first;
        let value = u32::from_le_bytes(bytes);
        word(lane.word, WordWrite { value, strobes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wide_access_is_two_words_in_order() {
        let mut seen = Vec::new();
        write(
            0x10,
            &0x1122_3344_5566_7788_u64.to_le_bytes(),
            |at, write| {
                seen.push((at, write.value, write.strobes));
            },
        );
        assert_eq!(seen, [(0x10, 0x5566_7788, 0xF), (0x14, 0x1122_3344, 0xF)]);
    }

    #[test]
    fn a_narrow_write_keeps_its_place() {
        write(0x12, &[0xAB], |at, write| {
            assert_eq!(
                (at, write.value, write.strobes),
                (0x10, 0x00AB_0000, 0b0100)
            );
            assert_eq!(write.merged_into(0x1122_3344), 0x11AB_3344);
        });
    }

    proptest! {
        #[test]
        fn a_range_of_registers_is_as_good_as_memory(offset in 0_u64..64,
                                                     data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut registers = [0_u32; 32];
            write(offset, &data, |at, write| {
                let register = &mut registers[at as usize / 4];
                *register = write.merged_into(*register);
            });
            let mut back = vec![0; data.len()];
            read(offset, &mut back, |at| registers[at as usize / 4]);
            prop_assert_eq!(back, data);
        }
    }
}
