//! The registers of one channel.

use afi_proto::config_space::Command;
use afi_proto::xdma::{
    Control, Direction, Identifier, Status, Target, channel, common, irq, sgdma,
};

use super::error::{ChannelId, DmaError};
use crate::bus::Function;
use crate::{Bar, BarError};

/// What a read gives when no device answers.
pub(super) const ALL_ONES: u32 = u32::MAX;

/// The registers of a channel. Every access is one load or store of a mapped BAR.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    bar: Bar,
    id: ChannelId,
    channel: u64,
    sgdma: u64,
}

impl Ports {
    pub(super) const fn new(bar: Bar, id: ChannelId) -> Self {
        Self {
            bar,
            id,
            channel: Target::Channel(id.direction, id.number).offset(),
            sgdma: Target::Sgdma(id.direction, id.number).offset(),
        }
    }

    /// Whether the channel is there.
    pub(super) fn identify(&self) -> Result<(), DmaError> {
        let found = self.read(self.channel + Identifier::OFFSET)?;
        let target = Target::Channel(self.id.direction, self.id.number);
        if found == ALL_ONES {
            return Err(DmaError::Gone { channel: self.id });
        }
        match Identifier::parse(found, target) {
            Some(_) => Ok(()),
            None => Err(DmaError::NoEngine {
                channel: self.id,
                found,
            }),
        }
    }

    /// What the channel is told to do.
    pub(super) fn control(&self) -> Result<Control, DmaError> {
        let bits = self.present(self.channel + channel::CONTROL)?;
        Ok(Control::from_bits_retain(bits))
    }

    /// Says what the channel does, all of it.
    #[inline]
    pub(super) fn set_control(&self, control: Control) -> Result<(), DmaError> {
        self.write(self.channel + channel::CONTROL, control.bits())
    }

    /// Ends its run.
    pub(super) fn stop(&self) -> Result<(), DmaError> {
        self.write(self.channel + channel::CONTROL_W1C, Control::RUN.bits())
    }

    pub(super) fn status(&self) -> Result<Status, DmaError> {
        let bits = self.present(self.channel + channel::STATUS)?;
        Ok(Status::from_bits_retain(bits))
    }

    /// The status, which is clear afterwards. What the device wrote to memory before it answers is
    /// there afterwards, too (PCI Express ordering: an answer does not pass a write).
    pub(super) fn take_status(&self) -> Result<Status, DmaError> {
        let bits = self.present(self.channel + channel::STATUS_RC)?;
        Ok(Status::from_bits_retain(bits))
    }

    /// Descriptors completed since the channel was started.
    pub(super) fn completed(&self) -> Result<u32, DmaError> {
        self.present(self.channel + channel::COMPLETED)
    }

    /// Where the write-back goes.
    pub(super) fn set_write_back(&self, address: u64) -> Result<(), DmaError> {
        self.write(self.channel + channel::WRITE_BACK_LOW, address as u32)?;
        let high = (address >> 32) as u32;
        self.write(self.channel + channel::WRITE_BACK_HIGH, high)
    }

    /// Which events of the status interrupt.
    pub(super) fn set_interrupts(&self, events: Control) -> Result<(), DmaError> {
        self.write(self.channel + channel::INTERRUPT_ENABLE, events.bits())
    }

    /// Lets the channel's interrupts out, or not.
    pub(super) fn let_out(&self, out: bool) -> Result<(), DmaError> {
        let number = irq::channel_number(self.id.direction, self.id.number);
        let register = if out {
            irq::CHANNEL_ENABLE_W1S
        } else {
            irq::CHANNEL_ENABLE_W1C
        };
        self.write(Target::Irq.offset() + register, 1 << number)
    }

    /// Where the first descriptor is, low half: the one that differs from start to start.
    #[inline]
    pub(super) fn set_first_low(&self, address: u64) -> Result<(), DmaError> {
        self.write(self.sgdma + sgdma::FIRST_LOW, address as u32)
    }

    /// Where the first descriptor is, high half.
    pub(super) fn set_first_high(&self, address: u64) -> Result<(), DmaError> {
        let high = (address >> 32) as u32;
        self.write(self.sgdma + sgdma::FIRST_HIGH, high)
    }

    /// How many are fetched with the first one.
    #[inline]
    pub(super) fn set_first_adjacent(&self, adjacent: u8) -> Result<(), DmaError> {
        self.write(self.sgdma + sgdma::FIRST_ADJACENT, adjacent.into())
    }

    /// Lets the engine fetch so many more descriptors.
    #[inline]
    pub(super) fn add_credits(&self, credits: u32) -> Result<(), DmaError> {
        self.write(self.sgdma + sgdma::CREDITS, credits)
    }

    /// Credits that are left. None but those that were added since the last start, as to stop a
    /// channel and to leave the mode both take them away (PG195, "Descriptor Credits").
    pub(super) fn credits(&self) -> Result<u32, DmaError> {
        self.present(self.sgdma + sgdma::CREDITS)
    }

    /// Has descriptors fetched as far as there are credits, or all at once. Tells which it is then.
    pub(super) fn set_credit_mode(&self, on: bool) -> Result<bool, DmaError> {
        let bit = common::bit(self.id.direction, self.id.number);
        let common = Target::SgdmaCommon.offset();
        let register = if on {
            common::CREDIT_MODE_W1S
        } else {
            common::CREDIT_MODE_W1C
        };
        self.write(common + register, bit)?;
        let modes = self.present(common + common::CREDIT_MODE)?;
        Ok(modes & bit != 0)
    }

    /// Lets the channel's descriptors be fetched, if somebody halted that.
    pub(super) fn clear_halt(&self) -> Result<(), DmaError> {
        let bit = common::bit(self.id.direction, self.id.number);
        self.write(Target::SgdmaCommon.offset() + common::HALT_W1C, bit)
    }

    /// A read of a register that is never all ones.
    fn present(&self, offset: u64) -> Result<u32, DmaError> {
        match self.read(offset)? {
            ALL_ONES => Err(DmaError::Gone { channel: self.id }),
            value => Ok(value),
        }
    }

    fn read(&self, offset: u64) -> Result<u32, DmaError> {
        self.bar.read32(offset).map_err(|error| self.failed(error))
    }

    #[inline]
    fn write(&self, offset: u64, value: u32) -> Result<(), DmaError> {
        self.bar
            .write32(offset, value)
            .map_err(|error| self.failed(error))
    }

    #[cold]
    fn failed(&self, source: BarError) -> DmaError {
        DmaError::Register {
            channel: self.id,
            source: source.into(),
        }
    }
}

/// Whether the function may access memory.
pub(super) fn masters_bus(function: &dyn Function, channel: ChannelId) -> Result<bool, DmaError> {
    let command = function.command().map_err(|source| DmaError::Function {
        channel,
        source: source.into(),
    })?;
    // A function that is gone reads as all ones, which is no command that can be.
    if command.bits() == u16::MAX {
        return Err(DmaError::Gone { channel });
    }
    Ok(command.contains(Command::BUS_MASTER))
}

/// Sends the interrupts of all channels to the MSI-X vectors of their numbers.
pub(super) fn map_vectors(bar: &Bar) -> Result<(), BarError> {
    for direction in Direction::ALL {
        let first = irq::channel_number(direction, 0);
        let (register, _) = irq::vector_field(first);
        let vectors = (first..first + 4).fold(0, |word, number| {
            let (_, shift) = irq::vector_field(number);
            word | u32::from(number) << shift
        });
        let offset = Target::Irq.offset() + irq::CHANNEL_VECTORS + register;
        bar.write32(offset, vectors)?;
    }
    Ok(())
}

/// The MSI-X vector of a channel.
pub(super) fn vector(id: ChannelId) -> u16 {
    irq::channel_number(id.direction, id.number).into()
}
