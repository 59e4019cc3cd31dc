//! Descriptors and write-back: what the engine reads from and writes to host memory.

use bitflags::bitflags;
use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first 16 bits of every descriptor (PG195, "Descriptor Format").
pub const MAGIC: u16 = 0xAD4B;
/// Descriptors that the engine fetches together after a first one, at most (6 bits).
pub const MAX_ADJACENT: u8 = 63;
/// Bytes that a descriptor moves, at most (28 bits).
pub const MAX_LENGTH: u32 = (1 << 28) - 1;
/// Descriptors that are fetched together lie in one page of this size (PG195, "Descriptors").
pub const PAGE: u64 = 4096;

bitflags! {
    /// What happens when a descriptor is done (bits 7:0 of its first word).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct DescriptorFlags: u8 {
        /// The channel stops.
        const STOP = 1 << 0;
        /// The completion is told: by interrupt, or by write-back.
        const COMPLETED = 1 << 1;
        /// The end of a packet, for streams.
        const END_OF_PACKET = 1 << 4;
    }
}

/// One move of bytes in a chain (PG195, table "Descriptor Format").
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Descriptor {
    control: U32,
    length: U32,
    source_low: U32,
    source_high: U32,
    destination_low: U32,
    destination_high: U32,
    next_low: U32,
    next_high: U32,
}

impl Descriptor {
    /// Bytes of a descriptor; it is aligned to them.
    pub const SIZE: usize = size_of::<Self>();

    /// A descriptor that moves `length` bytes, at most [`MAX_LENGTH`], and has nothing after it.
    #[inline]
    pub const fn new(source: u64, destination: u64, length: u32, flags: DescriptorFlags) -> Self {
        Self {
            control: U32::new((MAGIC as u32) << 16 | flags.bits() as u32),
            length: U32::new(length),
            source_low: U32::new(source as u32),
            source_high: U32::new((source >> 32) as u32),
            destination_low: U32::new(destination as u32),
            destination_high: U32::new((destination >> 32) as u32),
            next_low: U32::ZERO,
            next_high: U32::ZERO,
        }
    }

    /// The same, followed by the descriptor at a bus address. `adjacent` descriptors, at most
    /// [`MAX_ADJACENT`], lie behind that one without a gap and in its page.
    #[inline]
    #[must_use]
    pub const fn followed_by(mut self, next: u64, adjacent: u8) -> Self {
        let control = self.control.get() & !(0x3F << 8);
        self.control = U32::new(control | (adjacent as u32 & 0x3F) << 8);
        self.next_low = U32::new(next as u32);
        self.next_high = U32::new((next >> 32) as u32);
        self
    }

    /// Whether it begins with [`MAGIC`].
    pub const fn has_magic(&self) -> bool {
        self.control.get() >> 16 == MAGIC as u32
    }

    /// What happens when it is done.
    pub const fn flags(&self) -> DescriptorFlags {
        DescriptorFlags::from_bits_truncate(self.control.get() as u8)
    }

    /// How many descriptors lie behind the next one without a gap.
    pub const fn adjacent(&self) -> u8 {
        (self.control.get() >> 8) as u8 & 0x3F
    }

    /// Bytes to move.
    pub const fn length(&self) -> u32 {
        self.length.get() & MAX_LENGTH
    }

    /// Where from.
    pub const fn source(&self) -> u64 {
        join(self.source_low, self.source_high)
    }

    /// Where to.
    pub const fn destination(&self) -> u64 {
        join(self.destination_low, self.destination_high)
    }

    /// Bus address of the descriptor that follows.
    pub const fn next(&self) -> u64 {
        join(self.next_low, self.next_high)
    }

    /// How many descriptors can be fetched together with the one at `address`, after it: those that
    /// are left in its page, and at most [`MAX_ADJACENT`].
    #[inline]
    pub const fn adjacent_room(address: u64) -> u8 {
        let left = (PAGE - address % PAGE) / Self::SIZE as u64;
        match left.saturating_sub(1) {
            more if more > MAX_ADJACENT as u64 => MAX_ADJACENT,
            more => more as u8,
        }
    }
}

/// What the engine writes to host memory to tell a completion (PG195, "Poll Mode").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteBack {
    /// Descriptors completed since the channel was started, modulo 2^24.
    pub completed: u32,
    /// A descriptor ended in error; the status register says why.
    pub error: bool,
}

impl WriteBack {
    /// Bytes that are set aside for it; the first word holds it.
    pub const SIZE: usize = 32;
    /// The bits of [`WriteBack::completed`].
    pub const COUNT_MASK: u32 = 0x00FF_FFFF;

    const ERROR: u32 = 1 << 31;

    /// Reads the first word.
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            completed: bits & Self::COUNT_MASK,
            error: bits & Self::ERROR != 0,
        }
    }

    /// The first word.
    #[inline]
    pub const fn bits(self) -> u32 {
        let error = if self.error { Self::ERROR } else { 0 };
        self.completed & Self::COUNT_MASK | error
    }
}

const fn join(low: U32, high: U32) -> u64 {
    low.get() as u64 | (high.get() as u64) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_are_where_the_guide_has_them() {
        let descriptor = Descriptor::new(
            0x1122_3344_5566_7788,
            0x99AA_BBCC_DDEE_FF00,
            0x1234,
            DescriptorFlags::STOP | DescriptorFlags::COMPLETED,
        )
        .followed_by(0x0102_0304_0506_0708, 5);
        let words = [
            0xAD4B_0503_u32,
            0x1234,
            0x5566_7788,
            0x1122_3344,
            0xDDEE_FF00,
            0x99AA_BBCC,
            0x0506_0708,
            0x0102_0304,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(descriptor.as_bytes(), bytes);
    }

    #[test]
    fn descriptors_fetched_together_stay_in_a_page() {
        assert_eq!(Descriptor::adjacent_room(0x1000), 63);
        assert_eq!(Descriptor::adjacent_room(0x1000 + 64 * 32), 63);
        assert_eq!(Descriptor::adjacent_room(0x1000 + 65 * 32), 62);
        assert_eq!(Descriptor::adjacent_room(0x1FE0), 0);
        assert_eq!(Descriptor::adjacent_room(0x1FC0), 1);
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(
            source: u64, destination: u64, next: u64,
            length in 0..=MAX_LENGTH, adjacent in 0..=MAX_ADJACENT, flags: u8,
        ) {
            let flags = DescriptorFlags::from_bits_truncate(flags);
            let descriptor = Descriptor::new(source, destination, length, flags)
                .followed_by(next, adjacent);
            let bytes = descriptor.as_bytes();
            let read = Descriptor::read_from_bytes(bytes).unwrap();
            prop_assert!(read.has_magic());
            prop_assert_eq!(read.flags(), flags);
            prop_assert_eq!(read.adjacent(), adjacent);
            prop_assert_eq!(read.length(), length);
            prop_assert_eq!(
                (read.source(), read.destination(), read.next()),
                (source, destination, next)
            );
        }

        #[test]
        fn write_back_is_24_bits_and_an_error(bits: u32) {
            let known = bits & (WriteBack::COUNT_MASK | 1 << 31);
            prop_assert_eq!(WriteBack::from_bits(bits).bits(), known);
        }
    }
}
