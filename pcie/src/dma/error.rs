//! What can go wrong with memory for a device.

use std::io;

use afi_proto::Bdf;

use crate::memory::PageSize;
use crate::{BarError, BusError};

/// An operation on memory for a device that did not work.
#[derive(Debug, thiserror::Error)]
pub enum DmaMemoryError {
    /// The system gave no memory.
    #[error("the system gave no {length:#x} bytes in pages of {pages} for PCI function {bdf}")]
    Memory {
        /// The function that it was for.
        bdf: Bdf,
        /// Bytes that were asked for.
        length: u64,
        /// The pages that were asked for.
        pages: PageSize,
        /// What the system said.
        source: io::Error,
    },
    /// There are no bus addresses left.
    #[error(
        "no {length:#x} bytes of bus addresses in one piece are free for PCI function {bdf}: {used:#x} \
         are in use by buffers; drop some of them"
    )]
    NoAddresses {
        /// The function.
        bdf: Bdf,
        /// Bytes that were asked for.
        length: u64,
        /// Bytes that buffers of the function have.
        used: u64,
    },
    /// The bus did not map it.
    #[error("cannot let PCI function {bdf} access {length:#x} bytes of memory")]
    Map {
        /// The function.
        bdf: Bdf,
        /// Bytes.
        length: u64,
        /// Why.
        source: BusError,
    },
    /// The system gave no other descriptor of it.
    #[error("cannot share the memory of a DMA buffer")]
    Share {
        /// What the system said.
        source: io::Error,
    },
    /// An access was not inside the buffer.
    #[error("an access that a DMA buffer of {length:#x} bytes does not allow")]
    OutOfRange {
        /// Bytes of the buffer.
        length: u64,
        /// What the access was.
        source: BarError,
    },
    /// A device that could not be stopped had the buffer, so that it was taken from its owner.
    #[error(
        "the buffer was given up, because a device that could not be stopped was using it; make \
         a new one"
    )]
    GivenUp,
}
