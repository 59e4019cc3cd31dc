//! Where the engine's registers are (PG195, "PCIe to DMA Address Map"). All are 32 bits wide.

use super::Direction;
use crate::BarIndex;

/// The BAR of the AppPF that holds the engine (`AWS_Fpga_Pcie_Memory_Map.md`, F1).
pub const BAR: BarIndex = BarIndex::BAR2;
/// Channels of each direction on F1.
pub const CHANNELS: u8 = 4;
/// The high 12 bits of every identifier register.
pub const PARTIAL_IDENTIFIER: u32 = 0x1FC;

/// From one channel's block to the next one's.
const CHANNEL_SPACING: u64 = 0x100;

/// A block of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A channel: control, status, counters.
    Channel(Direction, u8),
    /// Interrupts.
    Irq,
    /// What the engine was built as.
    Config,
    /// A channel's descriptor fetcher.
    Sgdma(Direction, u8),
    /// What all descriptor fetchers share.
    SgdmaCommon,
}

impl Target {
    /// Offset of the block in the BAR.
    pub const fn offset(self) -> u64 {
        match self {
            Self::Channel(Direction::H2c, channel) => channel as u64 * CHANNEL_SPACING,
            Self::Channel(Direction::C2h, channel) => 0x1000 + channel as u64 * CHANNEL_SPACING,
            Self::Irq => 0x2000,
            Self::Config => 0x3000,
            Self::Sgdma(Direction::H2c, channel) => 0x4000 + channel as u64 * CHANNEL_SPACING,
            Self::Sgdma(Direction::C2h, channel) => 0x5000 + channel as u64 * CHANNEL_SPACING,
            Self::SgdmaCommon => 0x6000,
        }
    }

    /// The block at an offset of the BAR, and the offset in it; `None` where no block is, and for
    /// channels that the engine does not have.
    pub const fn at(offset: u64) -> Option<(Self, u64)> {
        let channel = (offset >> 8 & 0xF) as u8;
        let target = match offset >> 12 {
            0x0 => Self::Channel(Direction::H2c, channel),
            0x1 => Self::Channel(Direction::C2h, channel),
            0x2 => Self::Irq,
            0x3 => Self::Config,
            0x4 => Self::Sgdma(Direction::H2c, channel),
            0x5 => Self::Sgdma(Direction::C2h, channel),
            0x6 => Self::SgdmaCommon,
            _ => return None,
        };
        let there = match target {
            Self::Channel(..) | Self::Sgdma(..) => channel < CHANNELS,
            _ => channel == 0,
        };
        if there {
            Some((target, offset & 0xFF))
        } else {
            None
        }
    }

    /// The number of the block's kind in identifiers.
    const fn kind(self) -> u32 {
        match self {
            Self::Channel(Direction::H2c, _) => 0,
            Self::Channel(Direction::C2h, _) => 1,
            Self::Irq => 2,
            Self::Config => 3,
            Self::Sgdma(Direction::H2c, _) => 4,
            Self::Sgdma(Direction::C2h, _) => 5,
            Self::SgdmaCommon => 6,
        }
    }

    const fn channel(self) -> u8 {
        match self {
            Self::Channel(_, channel) | Self::Sgdma(_, channel) => channel,
            Self::Irq | Self::Config | Self::SgdmaCommon => 0,
        }
    }
}

/// The first register of every block: which block it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identifier {
    /// The block.
    pub target: Target,
    /// The channel moves a stream (AXI4-Stream), and not memory.
    pub is_stream: bool,
    /// Version of the core: 0x06 for 2018.3 and later, smaller before.
    pub version: u8,
}

impl Identifier {
    /// Offset in its block.
    pub const OFFSET: u64 = 0x00;

    const STREAM: u32 = 1 << 15;

    /// The register's value.
    pub const fn bits(self) -> u32 {
        let stream = if self.is_stream { Self::STREAM } else { 0 };
        PARTIAL_IDENTIFIER << 20
            | self.target.kind() << 16
            | stream
            | (self.target.channel() as u32) << 8
            | self.version as u32
    }

    /// Reads the value found where `target` is expected; `None` when another block, or none, is
    /// there.
    pub const fn parse(bits: u32, target: Target) -> Option<Self> {
        let found = Self {
            target,
            is_stream: bits & Self::STREAM != 0,
            version: bits as u8,
        };
        if found.bits() == bits {
            Some(found)
        } else {
            None
        }
    }
}

/// A channel's registers, from its block's start (PG195, "H2C Channel Registers").
pub mod channel {
    /// [`Control`](super::super::Control).
    pub const CONTROL: u64 = 0x04;
    /// Sets the bits that are written as one.
    pub const CONTROL_W1S: u64 = 0x08;
    /// Clears the bits that are written as one.
    pub const CONTROL_W1C: u64 = 0x0C;
    /// [`Status`](super::super::Status); a one that is written clears its bit.
    pub const STATUS: u64 = 0x40;
    /// The same; reading clears it.
    pub const STATUS_RC: u64 = 0x44;
    /// Descriptors completed since the channel was started.
    pub const COMPLETED: u64 = 0x48;
    /// Alignment that the channel wants of addresses and lengths.
    pub const ALIGNMENTS: u64 = 0x4C;
    /// Where the write-back goes: bits 31:0 of the bus address.
    pub const WRITE_BACK_LOW: u64 = 0x88;
    /// Bits 63:32.
    pub const WRITE_BACK_HIGH: u64 = 0x8C;
    /// Which [`Status`](super::super::Status) bits interrupt.
    pub const INTERRUPT_ENABLE: u64 = 0x90;
    /// Sets the bits that are written as one.
    pub const INTERRUPT_ENABLE_W1S: u64 = 0x94;
    /// Clears the bits that are written as one.
    pub const INTERRUPT_ENABLE_W1C: u64 = 0x98;
    /// [`PerformanceControl`](super::super::PerformanceControl).
    pub const PERFORMANCE_CONTROL: u64 = 0xC0;
    /// Clock cycles counted: bits 31:0.
    pub const PERFORMANCE_CYCLES_LOW: u64 = 0xC4;
    /// Bits 41:32, and whether it overflowed (bit 16).
    pub const PERFORMANCE_CYCLES_HIGH: u64 = 0xC8;
    /// Data beats (512 bits on F1) counted: bits 31:0.
    pub const PERFORMANCE_DATA_LOW: u64 = 0xCC;
    /// Bits 41:32, and whether it overflowed (bit 16).
    pub const PERFORMANCE_DATA_HIGH: u64 = 0xD0;
    /// Cycles in which data waited: bits 31:0.
    pub const PERFORMANCE_PENDING_LOW: u64 = 0xD4;
    /// Bits 41:32, and whether it overflowed (bit 16).
    pub const PERFORMANCE_PENDING_HIGH: u64 = 0xD8;
}

/// A descriptor fetcher's registers, from its block's start (PG195, "H2C SGDMA Registers").
pub mod sgdma {
    /// Bus address of the first descriptor: bits 31:0.
    pub const FIRST_LOW: u64 = 0x80;
    /// Bits 63:32.
    pub const FIRST_HIGH: u64 = 0x84;
    /// Descriptors that follow the first one in memory without a gap, at most 63.
    pub const FIRST_ADJACENT: u64 = 0x88;
    /// Adds to the descriptors that may be fetched (10 bits), where
    /// [`common::CREDIT_MODE`](super::common::CREDIT_MODE) says that this counts. Stopping the
    /// channel takes away what is left.
    pub const CREDITS: u64 = 0x8C;
    /// Most credits that one write can add.
    pub const MOST_CREDITS: u32 = 0x3FF;
}

/// Registers of all descriptor fetchers, from the block's start (PG195, "SGDMA Common Registers").
pub mod common {
    use super::super::Direction;

    /// Stops the fetching of descriptors, one bit for each channel.
    pub const HALT: u64 = 0x10;
    /// Sets the bits that are written as one.
    pub const HALT_W1S: u64 = 0x14;
    /// Clears the bits that are written as one.
    pub const HALT_W1C: u64 = 0x18;
    /// Whose descriptors are fetched only as far as there are credits, one bit for each channel.
    pub const CREDIT_MODE: u64 = 0x20;
    /// Sets the bits that are written as one.
    pub const CREDIT_MODE_W1S: u64 = 0x24;
    /// Clears the bits that are written as one.
    pub const CREDIT_MODE_W1C: u64 = 0x28;

    /// The bit of a channel in these registers: H2C 3:0, C2H 19:16.
    pub const fn bit(direction: Direction, channel: u8) -> u32 {
        match direction {
            Direction::H2c => 1 << channel,
            Direction::C2h => 1 << (16 + channel),
        }
    }
}

/// The interrupt block's registers, from its start (PG195, "IRQ Block Registers").
pub mod irq {
    use super::super::Direction;
    use super::CHANNELS;

    /// User interrupts of the design.
    pub const USER_INTERRUPTS: u8 = 16;

    /// Which user interrupts go out.
    pub const USER_ENABLE: u64 = 0x04;
    /// Sets the bits that are written as one.
    pub const USER_ENABLE_W1S: u64 = 0x08;
    /// Clears the bits that are written as one.
    pub const USER_ENABLE_W1C: u64 = 0x0C;
    /// Which channels' interrupts go out.
    pub const CHANNEL_ENABLE: u64 = 0x10;
    /// Sets the bits that are written as one.
    pub const CHANNEL_ENABLE_W1S: u64 = 0x14;
    /// Clears the bits that are written as one.
    pub const CHANNEL_ENABLE_W1C: u64 = 0x18;
    /// User interrupts that are requested, and enabled.
    pub const USER_REQUEST: u64 = 0x40;
    /// Channels that request an interrupt, and are enabled.
    pub const CHANNEL_REQUEST: u64 = 0x44;
    /// User interrupts that are requested.
    pub const USER_PENDING: u64 = 0x48;
    /// Channels that request an interrupt.
    pub const CHANNEL_PENDING: u64 = 0x4C;
    /// MSI-X vectors of user interrupts: four to a register, 5 bits in each byte.
    pub const USER_VECTORS: u64 = 0x80;
    /// MSI-X vectors of channels, in the same way.
    pub const CHANNEL_VECTORS: u64 = 0xA0;

    /// The bit and the vector field of a channel: H2C channels first, then C2H
    /// (`libxdma.c`, `channel_interrupts_enable` and `irq_setup`).
    pub const fn channel_number(direction: Direction, channel: u8) -> u8 {
        match direction {
            Direction::H2c => channel,
            Direction::C2h => CHANNELS + channel,
        }
    }

    /// Where the vector field with a number is: the register, from [`USER_VECTORS`] or
    /// [`CHANNEL_VECTORS`], and the bit that the field begins at.
    pub const fn vector_field(number: u8) -> (u64, u32) {
        (number as u64 / 4 * 4, number as u32 % 4 * 8)
    }
}

/// The config block's registers, from its start (PG195, "Config Block Registers").
pub mod config {
    /// Bus, device and function of the engine.
    pub const BUS_DEV: u64 = 0x04;
    /// Largest payload of a write, as PCI Express encodes it.
    pub const MAX_PAYLOAD: u64 = 0x08;
    /// Largest read request, as PCI Express encodes it.
    pub const MAX_READ_REQUEST: u64 = 0x0C;
    /// The subsystem's identifier.
    pub const SYSTEM_ID: u64 = 0x10;
    /// Bit 0: MSI is on; bit 1: MSI-X is on.
    pub const MSI_ENABLE: u64 = 0x14;
    /// Data width: 0 for 64 bits, 1 for 128, 2 for 256, 3 for 512.
    pub const DATA_WIDTH: u64 = 0x18;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_names_its_block_and_back() {
        for offset in (0..0x8000).step_by(4) {
            let Some((target, inner)) = Target::at(offset) else {
                continue;
            };
            assert_eq!(target.offset() + inner, offset);
        }
        assert_eq!(
            Target::at(0x5340),
            Some((Target::Sgdma(Direction::C2h, 3), 0x40))
        );
        for nothing in [0x400, 0x1400, 0x2100, 0x7000, 0x8000, u64::MAX] {
            assert_eq!(Target::at(nothing), None, "{nothing:#x}");
        }
    }

    #[test]
    fn identifiers_are_those_of_the_guide() {
        // PG195 gives each register's reset value: 0x1fc0xxxx and so on.
        let identifier = |target| Identifier {
            target,
            is_stream: false,
            version: 6,
        };
        for (target, bits) in [
            (Target::Channel(Direction::H2c, 0), 0x1FC0_0006),
            (Target::Channel(Direction::C2h, 3), 0x1FC1_0306),
            (Target::Irq, 0x1FC2_0006),
            (Target::Config, 0x1FC3_0006),
            (Target::Sgdma(Direction::H2c, 1), 0x1FC4_0106),
            (Target::Sgdma(Direction::C2h, 2), 0x1FC5_0206),
            (Target::SgdmaCommon, 0x1FC6_0006),
        ] {
            assert_eq!(identifier(target).bits(), bits);
            assert_eq!(Identifier::parse(bits, target), Some(identifier(target)));
        }
        let stream = Identifier::parse(0x1FC0_8106, Target::Channel(Direction::H2c, 1)).unwrap();
        assert!(stream.is_stream);
        for wrong in [0x1FC1_0006, 0x1FC0_0106, 0, u32::MAX, 0x1FC0_4006] {
            let target = Target::Channel(Direction::H2c, 0);
            assert_eq!(Identifier::parse(wrong, target), None, "{wrong:#x}");
        }
    }

    #[test]
    fn vectors_are_four_to_a_register() {
        assert_eq!(irq::vector_field(0), (0, 0));
        assert_eq!(irq::vector_field(7), (4, 24));
        assert_eq!(irq::channel_number(Direction::C2h, 1), 5);
        assert_eq!(common::bit(Direction::C2h, 3), 1 << 19);
    }
}
