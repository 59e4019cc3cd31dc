//! The interface between a simulated PCI function and whatever serves it: a vfio-user server, or
//! the in-process bus.

use std::sync::Arc;

use afi_pcie::SharedMemory;
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

    /// Fires an MSI-X vector. One that the host did not set up is lost, as on a real bus.
    fn msix(&self, vector: u16);
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
