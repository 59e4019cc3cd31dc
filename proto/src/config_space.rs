//! Registers of PCI configuration space that the host driver and the device model use.
//!
//! Source: PCI Local Bus Specification 3.0, chapter 6.1 (type 0 header) and 6.8 (MSI-X), and PCI
//! Express Base Specification 5.0, 7.5.3 (PCI Express capability).

/// Bytes of PCI Express configuration space.
pub const SIZE: usize = 4096;
/// Bytes of the type 0 header.
pub const HEADER_SIZE: usize = 64;

/// Vendor id, 16 bits.
pub const VENDOR_ID: u16 = 0x00;
/// Device id, 16 bits.
pub const DEVICE_ID: u16 = 0x02;
/// Command register, 16 bits; see [`Command`].
pub const COMMAND: u16 = 0x04;
/// Status register, 16 bits; see [`Status`].
pub const STATUS: u16 = 0x06;
/// Revision id, 8 bits.
pub const REVISION_ID: u16 = 0x08;
/// Class code, 24 bits.
pub const CLASS_CODE: u16 = 0x09;
/// Cache line size, 8 bits, read and written by software only.
pub const CACHE_LINE_SIZE: u16 = 0x0C;
/// Header type, 8 bits: bit 7 tells a device with several functions.
pub const HEADER_TYPE: u16 = 0x0E;
/// First of the six BAR registers, 32 bits each.
pub const BAR0: u16 = 0x10;
/// Subsystem vendor id, 16 bits.
pub const SUBSYSTEM_VENDOR_ID: u16 = 0x2C;
/// Subsystem id, 16 bits.
pub const SUBSYSTEM_ID: u16 = 0x2E;
/// Offset of the first capability, 8 bits.
pub const CAPABILITIES: u16 = 0x34;
/// Interrupt line, 8 bits, read and written by software only.
pub const INTERRUPT_LINE: u16 = 0x3C;
/// Interrupt pin, 8 bits.
pub const INTERRUPT_PIN: u16 = 0x3D;

/// BAR register bits 2:1 for a 64-bit memory BAR.
pub const BAR_64BIT: u32 = 0b100;
/// BAR register bit 3: prefetchable.
pub const BAR_PREFETCHABLE: u32 = 0b1000;

/// Capability id of the PCI Express capability.
pub const CAP_ID_PCI_EXPRESS: u8 = 0x10;
/// Capability id of MSI-X.
pub const CAP_ID_MSIX: u8 = 0x11;

/// Device capabilities, relative to the PCI Express capability: bit 28 tells function-level reset.
pub const PCIE_DEVICE_CAPABILITIES: u16 = 0x04;
/// Device control, relative to the PCI Express capability: bit 15 starts a function-level reset.
pub const PCIE_DEVICE_CONTROL: u16 = 0x08;
/// Bit of the device capabilities: the function can be reset alone.
pub const PCIE_FLR_CAPABLE: u32 = 1 << 28;
/// Bit of the device control register: reset the function.
pub const PCIE_INITIATE_FLR: u16 = 1 << 15;

/// Message control, relative to the MSI-X capability.
pub const MSIX_MESSAGE_CONTROL: u16 = 0x02;
/// Bit of MSI-X message control: MSI-X is on.
pub const MSIX_ENABLE: u16 = 1 << 15;
/// Bit of MSI-X message control: all vectors are masked.
pub const MSIX_FUNCTION_MASK: u16 = 1 << 14;
/// Bytes of an entry of the MSI-X table.
pub const MSIX_ENTRY_SIZE: u64 = 16;

bitflags::bitflags! {
    /// The command register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Command: u16 {
        /// The function answers accesses to its memory BARs.
        const MEMORY_SPACE = 1 << 1;
        /// The function may start transactions (DMA, MSI).
        const BUS_MASTER = 1 << 2;
        /// The function may not raise its INTx line.
        const INTX_DISABLE = 1 << 10;
    }

    /// The status register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Status: u16 {
        /// The function asserts its INTx line.
        const INTERRUPT = 1 << 3;
        /// The function has a capability list.
        const CAPABILITIES = 1 << 4;
    }
}

/// Reads the four ids out of a header of configuration space.
pub fn ids(header: &[u8; HEADER_SIZE]) -> crate::PciIds {
    let at = |offset: u16| {
        let offset = usize::from(offset);
        u16::from_le_bytes([header[offset], header[offset + 1]])
    };
    crate::PciIds::new(
        at(VENDOR_ID),
        at(DEVICE_ID),
        at(SUBSYSTEM_VENDOR_ID),
        at(SUBSYSTEM_ID),
    )
}
