//! The XDMA engine of F1's shell, behind the AppPF's BAR2: registers, descriptors, write-back.
//!
//! Software writes a chain of [`Descriptor`]s into host memory and starts a channel; the engine
//! fetches them, moves the bytes, and tells how many descriptors it completed by an interrupt or by
//! writing a [`WriteBack`] into host memory.
//!
//! Sources: Xilinx PG195, *DMA/Bridge Subsystem for PCI Express* ("Register Space", "Descriptors"),
//! and the register names of the public driver
//! (`sdk/linux_kernel_drivers/xdma/libxdma.h` on aws-fpga's `master` branch).

mod descriptor;
mod registers;
mod status;

pub use descriptor::{
    Descriptor, DescriptorFlags, MAGIC, MAX_ADJACENT, MAX_LENGTH, PAGE, WriteBack,
};
pub use registers::{
    BAR, CHANNELS, Identifier, PARTIAL_IDENTIFIER, Target, channel, common, config, irq, sgdma,
};
pub use status::{Control, PerformanceControl, Status, StatusError};

use std::fmt;

/// The way of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Host to card: the source is a bus address of the host, the destination an address of the
    /// card.
    H2c,
    /// Card to host: the other way round.
    C2h,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::H2c, Self::C2h];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H2c => "H2C",
            Self::C2h => "C2H",
        })
    }
}
