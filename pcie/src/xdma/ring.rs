//! Descriptors in host memory, one after the other in a ring.
//!
//! Each descriptor points to the one behind it, the last to the first, so that the engine never runs
//! off the ring. How many it fetches together is told with each (PG195, "Descriptors"): only those
//! of one submission, in one page. So whatever the engine fetches ahead has been written before it
//! was told of.

use afi_proto::xdma::{Descriptor, DescriptorFlags, Direction};
use zerocopy::IntoBytes;

use super::scatter::Piece;
use crate::mapping::Mapping;

/// A ring of descriptors.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Mapping,
    /// Where the ring begins in the memory.
    offset: u64,
    /// Where the device finds it.
    bus_address: u64,
    slots: u32,
    /// The slot that is written next.
    head: u32,
    /// Slots that are under way, up to the head.
    used: u32,
}

/// Descriptors that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Bus address of the first one.
    pub(super) first: u64,
    /// How many lie behind the first without a gap, to be fetched with it.
    pub(super) adjacent: u8,
    /// How many there are.
    pub(super) count: u32,
}

impl Ring {
    /// A ring of `slots` descriptors, at least 2, at `offset` of the memory, which is at a bus
    /// address; both are aligned to a descriptor. The caller has seen to it that the memory is
    /// large enough.
    pub(super) const fn new(memory: Mapping, offset: u64, bus_address: u64, slots: u32) -> Self {
        Self {
            memory,
            offset,
            bus_address,
            slots,
            head: 0,
            used: 0,
        }
    }

    /// The most descriptors that can be under way. One slot stays free, so that the newest one's
    /// pointer never leads to one that is under way.
    pub(super) const fn capacity(&self) -> u32 {
        self.slots - 1
    }

    /// How many more can be written now.
    pub(super) const fn room(&self) -> u32 {
        self.capacity() - self.used
    }

    /// The descriptor that is written next, for the device.
    pub(super) const fn next(&self) -> u64 {
        self.address(self.head)
    }

    /// Forgets what is under way, and begins at the first slot.
    pub(super) const fn clear(&mut self) {
        self.head = 0;
        self.used = 0;
    }

    /// The oldest `count` descriptors are done.
    pub(super) const fn release(&mut self, count: u32) {
        self.used = self.used.saturating_sub(count);
    }

    /// Writes `count` descriptors, at least one and at most [`Self::room`]: as many as there are
    /// pieces. The last one has `last`.
    #[inline]
    pub(super) fn write(
        &mut self,
        pieces: impl Iterator<Item = Piece>,
        count: u32,
        direction: Direction,
        last: DescriptorFlags,
    ) -> Written {
        let first = self.head;
        let mut behind = count;
        for piece in pieces {
            // Descriptors of this submission behind this one.
            behind -= 1;
            let flags = if behind == 0 {
                last
            } else {
                DescriptorFlags::empty()
            };
            let next = self.after(self.head);
            let (source, destination) = match direction {
                Direction::H2c => (piece.host, piece.card),
                Direction::C2h => (piece.card, piece.host),
            };
            let descriptor = Descriptor::new(source, destination, piece.length, flags)
                .followed_by(self.address(next), self.adjacent(next, behind));
            let at = self.offset + u64::from(self.head) * Descriptor::SIZE as u64;
            self.memory
                .copy_in(at, descriptor.as_bytes())
                .expect("a slot is inside the ring, and the ring inside its memory");
            self.head = next;
        }
        self.used += count;
        Written {
            first: self.address(first),
            adjacent: self.adjacent(first, count),
            count,
        }
    }

    /// How many descriptors are fetched with the one in a slot, when the submission has `left` from
    /// that slot on.
    #[inline]
    fn adjacent(&self, slot: u32, left: u32) -> u8 {
        let to_end = self.slots - slot - 1;
        let more = left.saturating_sub(1).min(to_end);
        let room = Descriptor::adjacent_room(self.address(slot));
        // At most `room`, which is a u8.
        more.min(room.into()) as u8
    }

    #[inline]
    const fn after(&self, slot: u32) -> u32 {
        if slot + 1 == self.slots { 0 } else { slot + 1 }
    }

    #[inline]
    const fn address(&self, slot: u32) -> u64 {
        self.bus_address + slot as u64 * Descriptor::SIZE as u64
    }
}

#[cfg(test)]
mod tests {
    use afi_proto::xdma::PAGE;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    use super::*;
    use crate::SharedMemory;

    const BUS: u64 = 0x40_0000_0000;

    /// Reads the chain as the engine does: blocks of adjacent descriptors, the last of a block
    /// leads to the next block. `credits` is how far it may go.
    struct Walker<'a> {
        memory: &'a Mapping,
        /// The next block: where, and how many are behind the first.
        block: (u64, u8),
    }

    impl Walker<'_> {
        fn walk(&mut self, credits: u32) -> Vec<Descriptor> {
            let mut read = Vec::new();
            while read.len() < credits as usize {
                let (address, adjacent) = self.block;
                let end = address + (u64::from(adjacent) + 1) * 32;
                assert_eq!(address / PAGE, (end - 1) / PAGE, "a block in one page");
                assert!(
                    read.len() + usize::from(adjacent) < credits as usize,
                    "fetched together: only what was submitted"
                );
                for at in (address..end).step_by(32) {
                    let mut bytes = [0; 32];
                    self.memory.copy_out(at - BUS, &mut bytes).unwrap();
                    let descriptor = Descriptor::read_from_bytes(&bytes).unwrap();
                    assert!(descriptor.has_magic());
                    read.push(descriptor);
                }
                let last = read.last().unwrap();
                self.block = (last.next(), last.adjacent());
            }
            read
        }
    }

    fn pieces(from: u64, count: u32) -> impl Iterator<Item = Piece> + Clone {
        (from..from + u64::from(count)).map(|number| Piece {
            host: number << 12,
            card: number << 20,
            length: number as u32 + 1,
        })
    }

    proptest! {
        /// Submissions and completions in any order: the engine reads each descriptor once, in
        /// order, and tells of the last one of each submission.
        #[test]
        fn the_engine_reads_what_was_submitted(
            slots in 2_u32..300, aligned: bool,
            steps in proptest::collection::vec((1_u32..200, 0_u32..200), 1..20),
        ) {
            let memory = SharedMemory::new("ring", 16384).unwrap();
            let offset = if aligned { 0 } else { 96 };
            let mapping = memory.mapping();
            let mut ring = Ring::new(mapping.clone(), offset, BUS + offset, slots);
            let mut walker = Walker { memory: mapping, block: (ring.next(), 0) };
            let mut number = 0;
            let mut under_way = 0;
            for (count, release) in steps {
                let release = release.min(under_way);
                ring.release(release);
                under_way -= release;
                let count = count.min(ring.room());
                if count == 0 {
                    continue;
                }
                prop_assert!(under_way + count <= ring.capacity());
                let all = pieces(number, count);
                let last = DescriptorFlags::COMPLETED;
                let written = ring.write(all.clone(), count, Direction::C2h, last);
                prop_assert_eq!(written.first, walker.block.0);
                prop_assert_eq!(written.count, count);
                let read = walker.walk(count);
                prop_assert_eq!(read.len() as u32, count);
                for (index, (piece, found)) in all.zip(&read).enumerate() {
                    prop_assert_eq!(found.source(), piece.card);
                    prop_assert_eq!(found.destination(), piece.host);
                    prop_assert_eq!(found.length(), piece.length);
                    let is_last = index as u32 + 1 == count;
                    prop_assert_eq!(found.flags().contains(last), is_last);
                }
                under_way += count;
                number += u64::from(count);
            }
        }

        /// A chain that is started by its first block, as without credits: fetched together is as
        /// much as can be.
        #[test]
        fn a_first_block_is_as_long_as_its_page_allows(count in 1_u32..400) {
            let memory = SharedMemory::new("ring", 16384).unwrap();
            let mut ring = Ring::new(memory.mapping().clone(), 0, BUS, 512);
            let last = DescriptorFlags::COMPLETED | DescriptorFlags::STOP;
            let written = ring.write(pieces(0, count), count, Direction::H2c, last);
            prop_assert_eq!(u32::from(written.adjacent), (count - 1).min(63));
            let block = (written.first, written.adjacent);
            let read = Walker { memory: memory.mapping(), block }.walk(count);
            prop_assert_eq!(read.len() as u32, count);
            prop_assert!(read.last().unwrap().flags().contains(DescriptorFlags::STOP));
        }
    }

    #[test]
    fn a_full_ring_has_no_room_and_a_cleared_one_begins_anew() {
        let memory = SharedMemory::new("ring", 4096).unwrap();
        let mut ring = Ring::new(memory.mapping().clone(), 0, BUS, 4);
        let last = DescriptorFlags::COMPLETED;
        ring.write(pieces(0, 3), 3, Direction::H2c, last);
        assert_eq!((ring.room(), ring.next()), (0, BUS + 96));
        ring.release(2);
        assert_eq!(ring.room(), 2);
        ring.clear();
        assert_eq!((ring.room(), ring.next()), (3, BUS));
    }
}
