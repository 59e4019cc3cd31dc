//! What a connected client gave its function: memory and interrupts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dma::DmaTable;
use super::interrupts::Interrupts;
use crate::function::{DmaError, HostPort};

/// The host behind one connection.
pub(super) struct Host {
    dma: Mutex<DmaTable>,
    interrupts: Mutex<Interrupts>,
}

impl Host {
    pub(super) fn new(msix_vectors: u16) -> Self {
        Self {
            dma: Mutex::new(DmaTable::default()),
            interrupts: Mutex::new(Interrupts::new(msix_vectors)),
        }
    }

    pub(super) fn dma(&self) -> MutexGuard<'_, DmaTable> {
        self.dma.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.dma().read(iova, data)
    }

    fn dma_write(&self, iova: u64, data: &[u8]) -> Result<(), DmaError> {
        self.dma().write(iova, data)
    }

    fn msix(&self, vector: u16) {
        self.interrupts().fire(vector);
    }
}
