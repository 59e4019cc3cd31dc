//! BAR0 of the management function.

/// A register in BAR0 of the MgmtPF. All are 32 bits wide (`fpga_hal_mbox_regs.h`; virtual LED and
/// DIP: `AWS_Shell_Interface_Specification.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MgmtRegister {
    /// Version of the shell; read only.
    ShellVersion,
    /// Low half: virtual DIP switches. High half: virtual LEDs.
    VirtualDipLed,
    /// [`MailboxStatus`]; write 1 to clear.
    Status,
    /// Index of the word that the next write of [`Self::WriteData`] goes to.
    WriteIndex,
    /// A word of the request; moves the index on.
    WriteData,
    /// Length of the request in words; writing it sends.
    WriteLength,
    /// Depth of the message RAM in words (low 16 bits); bit 31 starts its initialisation.
    Depth,
    /// Index of the word that the next read of [`Self::ReadData`] gives.
    ReadIndex,
    /// A word of the response; moves the index on.
    ReadData,
    /// Length of the response in words.
    ReadLength,
    /// Virtual LEDs, low 16 bits; read only.
    VirtualLed,
    /// Virtual DIP switches, low 16 bits.
    VirtualDip,
    /// F2: write 1 to let the shell reload when the status asks for it.
    RlReload,
}

impl MgmtRegister {
    /// Every register.
    pub const ALL: [Self; 13] = [
        Self::ShellVersion,
        Self::VirtualDipLed,
        Self::Status,
        Self::WriteIndex,
        Self::WriteData,
        Self::WriteLength,
        Self::Depth,
        Self::ReadIndex,
        Self::ReadData,
        Self::ReadLength,
        Self::VirtualLed,
        Self::VirtualDip,
        Self::RlReload,
    ];

    /// Its offset in the BAR, in bytes.
    pub const fn offset(self) -> u64 {
        match self {
            Self::ShellVersion => 0x0000,
            Self::VirtualDipLed => 0x0004,
            Self::Status => 0x000C,
            Self::WriteIndex => 0x0020,
            Self::WriteData => 0x0024,
            Self::WriteLength => 0x0028,
            Self::Depth => 0x002C,
            Self::ReadIndex => 0x0030,
            Self::ReadData => 0x0034,
            Self::ReadLength => 0x0038,
            Self::VirtualLed => 0x00D0,
            Self::VirtualDip => 0x00D4,
            Self::RlReload => 0x2000,
        }
    }

    /// The register at a word-aligned offset; `None` where there is none.
    pub fn at(offset: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|register| register.offset() == offset)
    }
}

bitflags::bitflags! {
    /// The status register of the mailbox.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MailboxStatus: u32 {
        /// A response waits to be read.
        const RX_EVENT = 1 << 0;
        /// The last request was taken.
        const TX_EVENT = 1 << 1;
        /// The function was reset.
        const FLR_EVENT = 1 << 2;
    }
}

/// Bits of [`MgmtRegister::Depth`] that hold the depth in words.
pub const DEPTH_MASK: u32 = 0xFFFF;
/// Bit of [`MgmtRegister::Depth`] that starts the RAM's initialisation.
pub const RAM_INIT: u32 = 1 << 31;
