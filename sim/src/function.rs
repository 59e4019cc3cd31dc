//! The interface between a simulated PCI function and whatever serves it: a vfio-user server, or
//! the in-process bus.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use afi_pcie::SharedMemory;
use afi_pcie::mapping::Mapping;
use afi_proto::{BarIndex, Bdf};

/// A simulated PCI function, as its link to the host sees it.
///
/// Every method answers at once and takes anything: a host can read and write what it likes.
/// Values that no register answers are all ones, as on a real bus.
pub trait DeviceFunction: Send + Sync {
    /// Its address on the instance's bus.
    fn bdf(&self) -> Bdf;

    /// Whether the function is on the bus at all: an AppPF can be away, and a card can be gone.
    fn is_present(&self) -> bool;

    /// Reads configuration space; beyond its end, all ones.
    fn read_config(&self, offset: u16, data: &mut [u8]);

    /// Writes configuration space; read-only bits stay.
    fn write_config(&self, offset: u16, data: &[u8]);

    /// Size of a BAR in bytes, if there is one.
    fn bar_size(&self, bar: BarIndex) -> Option<u64>;

    /// Reads a BAR. An access of 1, 2, 4 or 8 bytes is one access; a longer one is many.
    fn read_bar(&self, bar: BarIndex, offset: u64, data: &mut [u8]);

    /// Writes a BAR, as [`DeviceFunction::read_bar`] reads it.
    fn write_bar(&self, bar: BarIndex, offset: u64, data: &[u8]);

    /// The part of a BAR that is plain memory now and may be mapped by the host, if there is any.
    fn bar_memory(&self, bar: BarIndex) -> Option<BarMemory>;

    /// MSI-X vectors of the function.
    fn msix_vectors(&self) -> u16;

    /// Function-level reset.
    fn reset(&self);

    /// A host is connected: DMA and interrupts go to it from now on.
    fn attach(&self, host: Arc<dyn HostPort>);

    /// The host is gone.
    fn detach(&self);
}

/// Plain memory that a BAR shows.
#[derive(Debug, Clone)]
pub struct BarMemory {
    /// The memory; its first byte is the BAR's first.
    pub memory: Arc<SharedMemory>,
    /// Bytes from the BAR's start that may be mapped; the rest is accessed one by one.
    pub length: u64,
}

/// What a function can do to its host.
pub trait HostPort: Send + Sync {
    /// Reads host memory.
    ///
    /// # Errors
    /// When some of the range is not mapped for the device, or not readable.
    fn dma_read(&self, iova: u64, data: &mut [u8]) -> Result<(), DmaError>;

    /// Writes host memory.
    ///
    /// # Errors
    /// When some of the range is not mapped for the device, or not writable.
    fn dma_write(&self, iova: u64, data: &[u8]) -> Result<(), DmaError>;

    /// Moves host memory into card memory. A link that can reach both moves the bytes once.
    ///
    /// # Errors
    /// As [`HostPort::dma_read`]; some of the bytes may have been moved then.
    fn dma_to_card(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        let mut buffer = [0; BOUNCE];
        for start in (0..card.length()).step_by(BOUNCE) {
            let part = &mut buffer[..BOUNCE.min(card.length() - start)];
            let at = iova.wrapping_add(start as u64);
            self.dma_read(at, part)?;
            let put = card
                .memory
                .mapping()
                .copy_in(card.offset + start as u64, part);
            put.map_err(|_| DmaError::NotMemory { iova: at })?;
        }
        Ok(())
    }

    /// Moves card memory to host memory, as [`HostPort::dma_to_card`].
    ///
    /// # Errors
    /// As [`HostPort::dma_write`]; some of the bytes may have been moved then.
    fn dma_from_card(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        let mut buffer = [0; BOUNCE];
        for start in (0..card.length()).step_by(BOUNCE) {
            let part = &mut buffer[..BOUNCE.min(card.length() - start)];
            let at = iova.wrapping_add(start as u64);
            let offset = card.offset + start as u64;
            let took = card.memory.file().read_exact_at(part, offset);
            took.map_err(|_| DmaError::NotMemory { iova: at })?;
            self.dma_write(at, part)?;
        }
        Ok(())
    }

    /// Writes a word that the host watches: whoever sees it sees all that was written before.
    ///
    /// # Errors
    /// As [`HostPort::dma_write`].
    fn dma_store(&self, iova: u64, word: u32) -> Result<(), DmaError> {
        self.dma_write(iova, &word.to_le_bytes())
    }

    /// Fires an MSI-X vector. One that the host did not set up is lost, as on a real bus.
    fn msix(&self, vector: u16);
}

/// Bytes moved at a time where they have to be moved twice.
const BOUNCE: usize = 4096;

/// A stretch of card memory that DMA reads or writes.
#[derive(Debug, Clone, Copy)]
pub struct CardPart<'a> {
    memory: &'a SharedMemory,
    offset: u64,
    length: usize,
    in_place: bool,
}

impl<'a> CardPart<'a> {
    /// `length` bytes of a card's memory. `in_place` tells that all of it is there; what was never
    /// written is not, and is read by file operations, which take no memory.
    pub(crate) const fn new(
        memory: &'a SharedMemory,
        offset: u64,
        length: usize,
        in_place: bool,
    ) -> Self {
        Self {
            memory,
            offset,
            length,
            in_place,
        }
    }

    /// Bytes.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Fills `length` bytes from byte `at` on with those of a mapping.
    pub(crate) fn fill_from_mapping(
        &self,
        at: usize,
        from: &Mapping,
        from_offset: u64,
        length: usize,
    ) -> io::Result<()> {
        let offset = self.offset + at as u64;
        let copied = from.copy_to(from_offset, self.memory.mapping(), offset, length);
        copied.map_err(io::Error::other)
    }

    /// Fills `length` bytes from byte `at` on with those of a file that may be anybody's.
    pub(crate) fn fill_from_file(
        &self,
        at: usize,
        from: &File,
        from_offset: u64,
        length: usize,
    ) -> io::Result<()> {
        let offset = self.offset + at as u64;
        let mapping = self.memory.mapping();
        mapping.read_from(offset, from, from_offset, length)
    }

    /// Copies `length` bytes from byte `at` on to a mapping.
    pub(crate) fn drain_to_mapping(
        &self,
        at: usize,
        to: &Mapping,
        to_offset: u64,
        length: usize,
    ) -> io::Result<()> {
        let offset = self.offset + at as u64;
        if self.in_place {
            let copied = self.memory.mapping().copy_to(offset, to, to_offset, length);
            return copied.map_err(io::Error::other);
        }
        to.read_from(to_offset, self.memory.file(), offset, length)
    }

    /// Copies `length` bytes from byte `at` on to a file that may be anybody's.
    pub(crate) fn drain_to_file(
        &self,
        at: usize,
        to: &File,
        to_offset: u64,
        length: usize,
    ) -> io::Result<()> {
        let offset = self.offset + at as u64;
        if self.in_place {
            return self
                .memory
                .mapping()
                .write_to(offset, to, to_offset, length);
        }
        let mut buffer = [0; BOUNCE];
        for start in (0..length).step_by(BOUNCE) {
            let part = &mut buffer[..BOUNCE.min(length - start)];
            self.memory
                .file()
                .read_exact_at(part, offset + start as u64)?;
            to.write_all_at(part, to_offset + start as u64)?;
        }
        Ok(())
    }
}

/// A DMA access that the host's side refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DmaError {
    /// No mapping covers the address.
    #[error("no DMA mapping covers {iova:#x}")]
    Unmapped {
        /// The first address that is not covered.
        iova: u64,
    },
    /// The mapping does not allow this direction.
    #[error("the DMA mapping at {iova:#x} does not allow this direction")]
    Denied {
        /// The first address that refuses.
        iova: u64,
    },
    /// The mapping has no memory that this side can reach (another device's BAR).
    #[error("the DMA mapping at {iova:#x} is not memory")]
    NotMemory {
        /// The address.
        iova: u64,
    },
}
