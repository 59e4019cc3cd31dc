//! What a connected client gave its function: memory and interrupts.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::dma::DmaTable;
use super::interrupts::Interrupts;
use crate::function::{CardPart, DmaError, HostPort};

/// The host behind one connection.
pub(super) struct Host {
    /// Transfers hold it shared, each for a bounded number of bytes: when a map is taken away, no
    /// transfer through it is under way any more.
    dma: RwLock<DmaTable>,
    interrupts: Mutex<Interrupts>,
}

impl Host {
    pub(super) fn new(msix_vectors: u16) -> Self {
        Self {
            dma: RwLock::default(),
            interrupts: Mutex::new(Interrupts::new(msix_vectors)),
        }
    }

    /// The maps, to be changed.
    pub(super) fn dma(&self) -> RwLockWriteGuard<'_, DmaTable> {
        self.dma.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn maps(&self) -> RwLockReadGuard<'_, DmaTable> {
        self.dma.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn interrupts(&self) -> MutexGuard<'_, Interrupts> {
        self.interrupts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of all that the client gave, whoever else still holds this host.
    pub(super) fn close(&self) {
        *self.dma() = DmaTable::default();
        self.interrupts().disable_all();
    }
}

impl HostPort for Host {
    fn dma_read(&self, iova: u64, data: &mut [u8]) -> Result<(), DmaError> {
        self.maps().read(iova, data)
    }

    fn dma_write(&self, iova: u64, data: &[u8]) -> Result<(), DmaError> {
        self.maps().write(iova, data)
    }

    fn dma_to_card(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        self.maps().fill(iova, card)
    }

    fn dma_from_card(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        self.maps().drain(iova, card)
    }

    fn msix(&self, vector: u16) {
        self.interrupts().fire(vector);
    }
}
