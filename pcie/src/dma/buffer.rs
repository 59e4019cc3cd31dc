//! Memory that a device can reach.

use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::error::DmaMemoryError;
use super::space::Reservation;
use crate::bar::Word;
use crate::bus::DmaMapping;
use crate::mapping::Mapping;
use crate::memory::PageSize;
use crate::{BarError, SharedMemory};

/// Memory of this process that the device can reach at [`DmaBuffer::bus_address`].
///
/// It is owned by one at a time. A transfer takes it, and gives it back when the device cannot
/// touch it any more. Dropping it ends the device's access first and frees the memory then.
pub struct DmaBuffer {
    /// `None` once it was given up, see [`DmaMemoryError::GivenUp`].
    held: Option<Arc<Held>>,
}

/// The memory, its mapping and its addresses. Transfers hold it, too.
pub(crate) struct Held {
    // Dropped in this order: the device lets go, then the addresses are free for others.
    mapping: DmaMapping,
    _addresses: Reservation,
    /// Bytes that were asked for; the mapping is whole pages.
    length: u64,
}

impl Held {
    pub(super) const fn new(mapping: DmaMapping, addresses: Reservation, length: u64) -> Self {
        Self {
            mapping,
            _addresses: addresses,
            length,
        }
    }

    /// Bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Where the device finds the first byte.
    pub(crate) const fn bus_address(&self) -> u64 {
        self.mapping.iova()
    }

    pub(crate) fn memory(&self) -> &Mapping {
        self.mapping.memory().mapping()
    }
}

impl DmaBuffer {
    pub(super) fn new(held: Held) -> Self {
        Self {
            held: Some(Arc::new(held)),
        }
    }

    /// Bytes; 0 for one that was given up.
    pub fn length(&self) -> u64 {
        self.held.as_deref().map_or(0, Held::length)
    }

    /// Where the device finds the first byte; 0 for one that was given up.
    pub fn bus_address(&self) -> u64 {
        self.held.as_deref().map_or(0, Held::bus_address)
    }

    /// How large its pages are.
    ///
    /// # Errors
    /// When it was given up.
    pub fn pages(&self) -> Result<PageSize, DmaMemoryError> {
        Ok(self.held()?.mapping.memory().pages())
    }

    /// Copies into the buffer.
    ///
    /// # Errors
    /// When the range is not inside it.
    pub fn copy_in(&mut self, offset: u64, data: &[u8]) -> Result<(), DmaMemoryError> {
        self.checked(offset, data.len() as u64)?
            .copy_in(offset, data)
            .map_err(|source| self.out_of_range(source))
    }

    /// Copies out of the buffer.
    ///
    /// # Errors
    /// When the range is not inside it.
    pub fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), DmaMemoryError> {
        self.checked(offset, data.len() as u64)?
            .copy_out(offset, data)
            .map_err(|source| self.out_of_range(source))
    }

    /// Sets a range to one value.
    ///
    /// # Errors
    /// When it is not inside the buffer.
    pub fn fill(&mut self, range: Range<u64>, value: u8) -> Result<(), DmaMemoryError> {
        let length = range.end.saturating_sub(range.start);
        let memory = self.checked(range.start, length)?;
        // Inside memory of this process, so it is a size.
        let filled = memory.fill(range.start, length as usize, value);
        filled.map_err(|source| self.out_of_range(source))
    }

    /// Loads a word, volatile.
    ///
    /// # Errors
    /// When it is not inside the buffer, or not aligned to its size.
    pub fn load<T: Word>(&self, offset: u64) -> Result<T, DmaMemoryError> {
        self.checked(offset, T::SIZE as u64)?
            .load(offset)
            .map_err(|source| self.out_of_range(source))
    }

    /// Stores a word, volatile.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn store<T: Word>(&mut self, offset: u64, value: T) -> Result<(), DmaMemoryError> {
        self.checked(offset, T::SIZE as u64)?
            .store(offset, value)
            .map_err(|source| self.out_of_range(source))
    }

    /// Another descriptor of the memory. Its holder can read and write it at any time, during
    /// transfers, too.
    ///
    /// # Errors
    /// When it was given up, or the process has no descriptors left.
    pub fn share(&self) -> Result<OwnedFd, DmaMemoryError> {
        self.memory()?
            .share()
            .map_err(|source| DmaMemoryError::Share { source })
    }

    /// The memory behind it. What was said of [`Self::share`] holds for whoever keeps it.
    ///
    /// # Errors
    /// When it was given up.
    pub fn memory(&self) -> Result<&Arc<SharedMemory>, DmaMemoryError> {
        Ok(self.held()?.mapping.memory())
    }

    /// The first byte, for `unsafe` code that works in place: valid until the buffer is dropped or
    /// given to a transfer. No reference may be formed from it while somebody else, such as a
    /// holder of [`Self::share`], writes.
    ///
    /// # Errors
    /// When it was given up.
    pub fn as_ptr(&self) -> Result<*mut u8, DmaMemoryError> {
        Ok(self.held()?.memory().as_ptr())
    }

    /// What a transfer holds.
    pub(crate) fn held(&self) -> Result<&Arc<Held>, DmaMemoryError> {
        self.held.as_ref().ok_or(DmaMemoryError::GivenUp)
    }

    /// Takes the buffer out of its owner's hands, and leaves one that was given up.
    pub(crate) const fn take(&mut self) -> Self {
        Self {
            held: self.held.take(),
        }
    }

    fn checked(&self, offset: u64, size: u64) -> Result<&Mapping, DmaMemoryError> {
        let held = self.held()?;
        if size > held.length || offset > held.length - size {
            let source = BarError::out_of_bounds(offset, size, held.length);
            return Err(self.out_of_range(source));
        }
        Ok(held.memory())
    }

    fn out_of_range(&self, source: BarError) -> DmaMemoryError {
        let length = self.length();
        DmaMemoryError::OutOfRange { length, source }
    }
}

impl fmt::Debug for DmaBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.held {
            None => f.write_str("DmaBuffer(given up)"),
            Some(held) => write!(
                f,
                "DmaBuffer({:#x}+{:#x}, pages of {})",
                held.bus_address(),
                held.length,
                held.mapping.memory().pages()
            ),
        }
    }
}
