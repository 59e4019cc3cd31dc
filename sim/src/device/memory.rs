//! Memory of a card: DDR and HBM, which cost host memory only where they are written.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use afi_pcie::SharedMemory;
use afi_proto::Family;
use nix::fcntl::{FallocateFlags, fallocate};

/// The memory of a card as custom logic with all memory controllers sees it.
///
/// Source of the addresses: [`afi_proto::FamilyProfile::memory`]. The ranges of both families follow
/// each other from 0 on, DDR first and HBM after it. On F1 they repeat every 64 GiB.
#[derive(Debug)]
pub struct CardMemory {
    family: Family,
    memory: Arc<SharedMemory>,
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
        Ok(Self { family, memory })
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
    }

    /// The memory itself, to be mapped: its first byte is at address 0.
    pub const fn shared(&self) -> &Arc<SharedMemory> {
        &self.memory
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
