//! The bus addresses of a function, and the buffers at them.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::addresses::{Addresses, DEFAULT_ADDRESSES};
use super::buffer::{DmaBuffer, Held};
use super::error::DmaMemoryError;
use crate::bus::{DmaAccess, DmaRequest, Function};
use crate::memory::PageSize;
use crate::{BusError, SharedMemory};

/// Hands out the bus addresses of one opened function.
///
/// Clones share the addresses. Make one for each function that is opened, and clone it: two of them
/// would hand out the same addresses, and the bus refuses to map the second time.
#[derive(Clone)]
pub struct DmaSpace {
    shared: Arc<Shared>,
}

struct Shared {
    function: Arc<dyn Function>,
    addresses: Mutex<Addresses>,
}

/// How a buffer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferOptions {
    /// Which pages; `None` for the largest that the system has and that fit.
    pub pages: Option<PageSize>,
    /// What the device may do with it.
    pub access: DmaAccess,
    /// The name that shows in `/proc`.
    pub name: &'static str,
}

impl Default for BufferOptions {
    fn default() -> Self {
        Self {
            pages: None,
            access: DmaAccess::ReadWrite,
            name: "afi-dma",
        }
    }
}

impl DmaSpace {
    /// The space of a function: where the bus says ([`Function::dma_addresses`]), else
    /// [`DEFAULT_ADDRESSES`].
    pub fn new(function: Arc<dyn Function>) -> Self {
        let ranges = function
            .dma_addresses()
            .unwrap_or_else(|| vec![DEFAULT_ADDRESSES]);
        Self::within(function, ranges)
    }

    /// The space of a function in these ranges. The first MiB and the addresses of interrupts
    /// ([`MSI_WINDOW`](super::MSI_WINDOW)) are left out of them.
    pub fn within(
        function: Arc<dyn Function>,
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) -> Self {
        let addresses = Mutex::new(Addresses::new(ranges));
        let shared = Shared {
            function,
            addresses,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The function.
    pub fn function(&self) -> &Arc<dyn Function> {
        &self.shared.function
    }

    /// A buffer of at least `length` bytes of zeros that the device may read and write, in huge
    /// pages where the system has them.
    ///
    /// # Errors
    /// When there is no memory, no address, or the bus cannot map it.
    pub fn buffer(&self, length: u64) -> Result<DmaBuffer, DmaMemoryError> {
        self.buffer_with(length, BufferOptions::default())
    }

    /// As [`Self::buffer`], made as the options say.
    ///
    /// # Errors
    /// As [`Self::buffer`]; with pages of one size asked for, also when there are none of it.
    pub fn buffer_with(
        &self,
        length: u64,
        options: BufferOptions,
    ) -> Result<DmaBuffer, DmaMemoryError> {
        let failed = |source| DmaMemoryError::Memory {
            bdf: self.shared.function.bdf(),
            length,
            pages: options.pages.unwrap_or(PageSize::Plain),
            source,
        };
        // Mappings are whole pages.
        let whole = length
            .checked_next_multiple_of(PageSize::Plain.bytes())
            .ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
        let memory = match options.pages {
            Some(pages) => SharedMemory::with_pages(options.name, whole, pages),
            None => SharedMemory::in_large_pages(options.name, whole),
        };
        let memory = Arc::new(memory.map_err(failed)?);
        let pages = memory.pages();
        let mapped = self.map(memory, Some(length), options.access);
        match mapped {
            // A server that accesses memory by file operations cannot write to huge pages.
            Err(DmaMemoryError::Map { source, .. })
                if options.pages.is_none() && pages != PageSize::Plain =>
            {
                tracing::debug!(%source, %pages, "cannot be mapped; using plain pages");
                let plain = SharedMemory::with_pages(options.name, whole, PageSize::Plain);
                let plain = Arc::new(plain.map_err(failed)?);
                self.map(plain, Some(length), options.access)
            }
            mapped => mapped,
        }
    }

    /// A buffer that is memory which there already is: all of it, whole pages.
    ///
    /// # Errors
    /// When there is no address, or the bus cannot map it.
    pub fn adopt(
        &self,
        memory: Arc<SharedMemory>,
        access: DmaAccess,
    ) -> Result<DmaBuffer, DmaMemoryError> {
        self.map(memory, None, access)
    }

    fn map(
        &self,
        memory: Arc<SharedMemory>,
        length: Option<u64>,
        access: DmaAccess,
    ) -> Result<DmaBuffer, DmaMemoryError> {
        let bdf = self.shared.function.bdf();
        let whole = memory.length();
        let addresses = self.reserve(whole, alignment(&memory))?;
        let request = DmaRequest {
            memory,
            range: 0..whole,
            iova: addresses.start,
            access,
        };
        let mapping = self.shared.function.map_dma(request);
        let mapping = mapping.map_err(|source: BusError| DmaMemoryError::Map {
            bdf,
            length: whole,
            source,
        })?;
        let held = Held::new(mapping, addresses, length.unwrap_or(whole));
        Ok(DmaBuffer::new(held))
    }

    fn reserve(&self, length: u64, alignment: u64) -> Result<Reservation, DmaMemoryError> {
        let mut addresses = self.shared.lock();
        match addresses.take(length, alignment) {
            Some(start) => Ok(Reservation {
                space: self.clone(),
                start,
            }),
            None => Err(DmaMemoryError::NoAddresses {
                bdf: self.shared.function.bdf(),
                length,
                used: addresses.used(),
            }),
        }
    }
}

/// Where a buffer may begin: so that the IOMMU can use pages as large as the memory's, and so that
/// small buffers, rings among them, do not cross a multiple of their size.
fn alignment(memory: &SharedMemory) -> u64 {
    let most = memory.pages().bytes().max(PageSize::Huge2M.bytes());
    let size = memory.length().next_power_of_two();
    size.clamp(PageSize::Plain.bytes(), most)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Addresses> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DmaSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.shared.lock().used();
        write!(
            f,
            "DmaSpace({}, {used:#x} bytes in use)",
            self.shared.function.bdf()
        )
    }
}

/// Bus addresses that are taken until this is dropped.
pub(super) struct Reservation {
    space: DmaSpace,
    start: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.shared.lock().give_back(self.start);
    }
}
