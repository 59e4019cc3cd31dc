//! Memory of a card: DDR and HBM, which cost host memory only where they are written.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use afi_pcie::SharedMemory;
use afi_proto::Family;
use nix::fcntl::{FallocateFlags, fallocate};
use zerocopy::FromZeros;
use zerocopy::error::AllocError;

use crate::function::CardPart;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Pages that the system is asked about at a time.
const LOOK: usize = 256;

/// The memory of a card as custom logic with all memory controllers sees it.
///
/// Source of the addresses: [`afi_proto::FamilyProfile::memory`]. The ranges of both families follow
/// each other from 0 on, DDR first and HBM after it. On F1 they repeat every 64 GiB.
#[derive(Debug)]
pub struct CardMemory {
    family: Family,
    memory: Arc<SharedMemory>,
    /// Pages known to be there, so that the system need not be asked again.
    there: PageSet,
}

/// An access to card memory that did not work.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// No memory is there.
    #[error("no memory of the card is at {address:#x}")]
    OutOfRange {
        /// The first address without memory.
        address: u64,
    },
    /// The host has no memory left behind it.
    #[error("the host has no memory for the card's at {address:#x}")]
    Host {
        /// The address.
        address: u64,
        /// Why.
        source: io::Error,
    },
}

impl CardMemory {
    /// Memory of a family's card, all zeros.
    ///
    /// # Errors
    /// When the host has no descriptors or address space left.
    pub fn new(family: Family) -> io::Result<Self> {
        let ranges = family.profile().memory.iter();
        let memory = SharedMemory::new("afi-card-memory", ranges.map(|range| range.size).sum())?;
        let memory = Arc::new(memory);
        let there = PageSet::new(memory.length()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            family,
            memory,
            there,
        })
    }

    /// Reads. What was never written is zero, and reading it takes no memory.
    ///
    /// # Errors
    /// When there is no memory at some of the range; the bytes before it are read.
    pub fn read(&self, address: u64, data: &mut [u8]) -> Result<(), MemoryError> {
        let mut done = 0;
        while done < data.len() {
            let (offset, length) = self.place(address, done, data.len())?;
            let part = &mut data[done..done + length];
            let read = self.memory.file().read_exact_at(part, offset);
            read.map_err(|source| MemoryError::Host {
                address: address + done as u64,
                source,
            })?;
            done += length;
        }
        Ok(())
    }

    /// Writes.
    ///
    /// # Errors
    /// When there is no memory at some of the range, or the host has none left; the bytes before
    /// are written.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryError> {
        let mut done = 0;
        while done < data.len() {
            let (offset, length) = self.place(address, done, data.len())?;
            let part = &data[done..done + length];
            let written = self.memory.file().write_all_at(part, offset);
            written.map_err(|source| MemoryError::Host {
                address: address + done as u64,
                source,
            })?;
            done += length;
        }
        Ok(())
    }

    /// Loses the contents: all zeros afterwards, and the host has its memory back. Mappings that
    /// somebody holds stay valid and show the zeros.
    pub fn forget(&self) {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let length = i64::try_from(self.memory.length()).unwrap_or(i64::MAX);
        if let Err(error) = fallocate(self.memory.file(), flags, 0, length) {
            tracing::error!(%error, "the contents of card memory could not be dropped");
        }
        self.there.clear();
    }

    /// The memory at an address, at most `most` bytes, for DMA to write. The bytes count as written:
    /// touching them takes memory.
    ///
    /// # Errors
    /// When there is no memory.
    pub(crate) fn writable(&self, address: u64, most: usize) -> Result<CardPart<'_>, MemoryError> {
        let (offset, length) = self.place(address, 0, most)?;
        Ok(CardPart::new(&self.memory, offset, length, true))
    }

    /// Notes that DMA wrote what [`Self::writable`] gave, which began at `address`.
    pub(crate) fn written(&self, address: u64, length: usize) {
        self.there.insert(self.wrapped(address), length);
    }

    /// The memory at an address, at most `most` bytes, for DMA to read: a stretch that is there, or
    /// one that was never written.
    ///
    /// # Errors
    /// When there is no memory.
    pub(crate) fn readable(&self, address: u64, most: usize) -> Result<CardPart<'_>, MemoryError> {
        let (offset, length) = self.place(address, 0, most)?;
        let known = self.there.run(offset, length);
        if known > 0 {
            return Ok(CardPart::new(&self.memory, offset, known, true));
        }
        let mut pages = [0; LOOK];
        let first = offset - offset % PAGE;
        let count = (offset + length as u64 - first)
            .div_ceil(PAGE)
            .min(LOOK as u64);
        let pages = &mut pages[..count as usize];
        if let Err(error) = self.memory.mapping().resident(first, pages) {
            // Not to know costs time only: file operations are right for all of it.
            tracing::debug!(%error, "the system does not tell which pages are there");
            pages.fill(0);
        }
        let is_there = |page: &u8| page & 1 != 0;
        let in_place = pages.first().is_some_and(is_there);
        let run = pages.iter().take_while(|page| is_there(page) == in_place);
        let end = first + run.count() as u64 * PAGE;
        let length = length.min((end - offset) as usize);
        if in_place {
            self.there.insert(offset, length);
        }
        Ok(CardPart::new(&self.memory, offset, length, in_place))
    }

    /// The memory itself, to be mapped: its first byte is at address 0.
    pub const fn shared(&self) -> &Arc<SharedMemory> {
        &self.memory
    }

    /// The address of a byte of a DDR interface, which repeats at its end; `None` when the card does
    /// not have so many interfaces.
    pub(crate) fn ddr_address(&self, number: usize, offset: u64) -> Option<u64> {
        let ranges = self.family.profile().memory.iter();
        let mut ddr = ranges.filter(|range| range.name.starts_with("DDR"));
        let range = ddr.nth(number)?;
        Some(range.base + offset % range.size)
    }

    /// The number of the DDR interface at an address, in the order of the metrics; `None` for HBM
    /// and where there is no memory.
    pub fn ddr_interface(&self, address: u64) -> Option<usize> {
        let address = self.wrapped(address);
        let ranges = self.family.profile().memory;
        let number = ranges
            .iter()
            .position(|range| (range.base..range.base + range.size).contains(&address))?;
        ranges[number].name.starts_with("DDR").then_some(number)
    }

    /// Where byte `done` of an access is, and how many bytes of the access are there together.
    fn place(&self, address: u64, done: usize, length: usize) -> Result<(u64, usize), MemoryError> {
        let at = address.checked_add(done as u64);
        let offset = at.map(|at| self.wrapped(at));
        let left = offset.and_then(|offset| self.memory.length().checked_sub(offset));
        match (offset, left) {
            (Some(offset), Some(left @ 1..)) => {
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                Ok((offset, left.min(length - done)))
            }
            _ => Err(MemoryError::OutOfRange {
                address: address.saturating_add(done as u64),
            }),
        }
    }

    /// F1's memory repeats above its end (`AWS_Fpga_Pcie_Memory_Map.md`).
    fn wrapped(&self, address: u64) -> u64 {
        match self.family {
            Family::F1 => address % self.memory.length(),
            Family::F2 => address,
        }
    }
}

/// A set of pages, one bit each. It costs host memory only where pages are in it.
#[derive(Debug)]
struct PageSet {
    words: Box<[AtomicU64]>,
}

impl PageSet {
    /// No page of so many bytes.
    ///
    /// # Errors
    /// When the process has no memory for it.
    fn new(bytes: u64) -> Result<Self, AllocError> {
        let words = bytes.div_ceil(PAGE * u64::from(u64::BITS));
        Ok(Self {
            words: <[AtomicU64]>::new_box_zeroed_with_elems(words as usize)?,
        })
    }

    /// Puts every page of a range into it that is touched.
    fn insert(&self, offset: u64, length: usize) {
        let Some(last) = (offset + length as u64).checked_sub(1) else {
            return;
        };
        for (word, mask) in masks(offset / PAGE, last / PAGE) {
            let Some(word) = self.words.get(word) else {
                return;
            };
            if word.load(Ordering::Relaxed) & mask != mask {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    /// How many bytes of a range are in pages of the set, from its start on.
    fn run(&self, offset: u64, length: usize) -> usize {
        let end = offset + length as u64;
        let mut at = offset;
        while at < end {
            let page = at / PAGE;
            let word = self.words.get((page / 64) as usize);
            let word = word.map_or(0, |word| word.load(Ordering::Relaxed));
            let run = (!word >> (page % 64))
                .trailing_zeros()
                .min(64 - (page % 64) as u32);
            at = (page + u64::from(run)) * PAGE;
            if (page % 64) + u64::from(run) < 64 {
                break;
            }
        }
        at.clamp(offset, end).saturating_sub(offset) as usize
    }

    fn clear(&self) {
        for word in &self.words {
            // A load leaves pages that were never written unwritten.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// The words that hold bits `first` to `last`, and which bits of each.
fn masks(first: u64, last: u64) -> impl Iterator<Item = (usize, u64)> {
    (first / 64..=last / 64).map(move |word| {
        let low = first.max(word * 64) % 64;
        let high = last.min(word * 64 + 63) % 64;
        (word as usize, u64::MAX >> (63 - (high - low)) << low)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn blocks(memory: &CardMemory) -> u64 {
        memory.shared().file().metadata().unwrap().blocks()
    }

    #[test]
    fn ranges_follow_each_other_from_0_on() {
        for family in Family::ALL {
            let mut next = 0;
            for range in family.profile().memory {
                assert_eq!(range.base, next, "{family} {}", range.name);
                next += range.size;
            }
        }
    }

    #[test]
    fn memory_costs_only_where_it_is_written() {
        let memory = CardMemory::new(Family::F1).unwrap();
        let mut data = vec![1; 1 << 20];
        memory.read(33 * GIB, &mut data).unwrap();
        assert!(data.iter().all(|byte| *byte == 0));
        assert_eq!(blocks(&memory), 0);
        memory.write(33 * GIB, &[7; 100]).unwrap();
        assert!((1..=2 << 20).contains(&(blocks(&memory) * 512)));
        memory.forget();
        assert_eq!(blocks(&memory), 0);
        memory.read(33 * GIB, &mut data).unwrap();
        assert!(data.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_dma_reads_is_told_apart_by_what_is_there_and_takes_nothing() {
        let memory = CardMemory::new(Family::F1).unwrap();
        memory.write(3 * PAGE, &[1; 2 * PAGE as usize]).unwrap();
        let parts = |from: u64, length: usize| {
            let mut parts = Vec::new();
            let mut at = from;
            while at < from + length as u64 {
                let left = (from + length as u64 - at) as usize;
                let part = memory.readable(at, left).unwrap();
                parts.push((
                    part.length(),
                    format!("{part:?}").contains("in_place: true"),
                ));
                at += part.length() as u64;
            }
            parts
        };
        let wanted = [(3 * 4096 - 100, false), (2 * 4096, true), (50, false)];
        for _ in 0..2 {
            assert_eq!(parts(100, 5 * 4096 - 50), wanted);
        }
        assert_eq!(blocks(&memory) * 512, 2 * PAGE);
        memory.forget();
        assert_eq!(parts(100, 5 * 4096 - 50), [(5 * 4096 - 50, false)]);
        assert_eq!(blocks(&memory), 0);
    }

    #[test]
    fn a_set_of_pages_knows_runs_across_its_words() {
        let set = PageSet::new(300 * PAGE).unwrap();
        set.insert(60 * PAGE + 5, 140 * PAGE as usize);
        assert_eq!(set.run(59 * PAGE, 4096), 0);
        assert_eq!(set.run(60 * PAGE, usize::MAX >> 8), 141 * PAGE as usize);
        assert_eq!(set.run(64 * PAGE - 1, 2), 2);
        assert_eq!(set.run(200 * PAGE + 4000, 4096), 96);
        set.insert(u64::MAX - PAGE, 1);
        set.clear();
        assert_eq!(set.run(100 * PAGE, 1), 0);
    }

    #[test]
    fn f1_wraps_at_64_gib_also_within_an_access() {
        let memory = CardMemory::new(Family::F1).unwrap();
        memory.write(64 * GIB - 2, &[1, 2, 3, 4]).unwrap();
        let mut data = [0; 2];
        memory.read(0, &mut data).unwrap();
        assert_eq!(data, [3, 4]);
        memory.read(128 * GIB, &mut data).unwrap();
        assert_eq!(data, [3, 4]);
    }

    #[test]
    fn f2_has_hbm_after_its_ddr_and_nothing_beyond() {
        let memory = CardMemory::new(Family::F2).unwrap();
        let mut data = [0; 4];
        memory.write(0x10_0000_0000, &[9; 4]).unwrap();
        memory.read(0x10_0000_0000, &mut data).unwrap();
        assert_eq!(data, [9; 4]);
        assert_eq!(memory.ddr_interface(0x10_0000_0000), None);
        assert_eq!(memory.ddr_interface(5), Some(0));
        let beyond = 0x10_0000_0000 + 16 * GIB;
        let error = memory.write(beyond - 2, &[0; 4]).unwrap_err();
        assert!(matches!(error, MemoryError::OutOfRange { address } if address == beyond));
        assert!(memory.read(u64::MAX, &mut data).is_err());
    }

    #[test]
    fn a_mapping_sees_what_the_card_writes_and_forgets() {
        let memory = CardMemory::new(Family::F1).unwrap();
        let mapped = memory.shared();
        memory.write(0x4_0000_0000, &5_u32.to_le_bytes()).unwrap();
        assert_eq!(mapped.mapping().load::<u32>(0x4_0000_0000), Ok(5));
        memory.forget();
        assert_eq!(mapped.mapping().load::<u32>(0x4_0000_0000), Ok(0));
    }
}
