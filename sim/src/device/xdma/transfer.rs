//! How descriptors are fetched, and bytes moved.

use afi_proto::BarIndex;
use afi_proto::xdma::{Control, Descriptor, Direction, Status};
use zerocopy::{FromZeros, IntoBytes};

use super::Engine;
use super::channel::{BLOCK, Channel, Fetch};
use crate::device::access::PCIS_RESERVED;
use crate::device::counters::Direction as Way;
use crate::device::memory::MemoryError;
use crate::fault::Kind;
use crate::function::DmaError;

/// Bytes moved at a time, while nobody can take away what they move between. Interfaces of card
/// memory begin at multiples of it.
const CHUNK: u64 = 1 << 20;
/// Bytes moved at a time where the design itself answers.
const BURST: usize = 4096;
/// Bytes of a beat of data.
const BEAT: u64 = 64;

/// What whoever drives a channel keeps from step to step.
pub(super) struct Scratch {
    pub(super) descriptors: [Descriptor; BLOCK],
    /// Bytes of the descriptor under way that have moved.
    pub(super) moved: u64,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            descriptors: [Descriptor::new_zeroed(); BLOCK],
            moved: 0,
        }
    }
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// All of it.
    All,
    /// It is to be looked at anew: the function was reset, or may not master the bus.
    Void,
    /// It ended in errors.
    Failed(Status),
}

impl Engine {
    /// Fetches descriptors into `scratch`.
    pub(super) fn fetch(
        &self,
        channel: &Channel,
        epoch: u64,
        fetch: Fetch,
        scratch: &mut Scratch,
    ) -> Moved {
        if self.strikes(Kind::DmaDescriptorError).is_some() {
            return Moved::Failed(Status::DESCRIPTOR_POISONED);
        }
        if self.strikes(Kind::DmaDeviceGone).is_some() {
            self.vanish();
            return Moved::Void;
        }
        if self.strikes(Kind::DeviceGone).is_some() {
            self.gate.lose();
            return Moved::Void;
        }
        let paths = self.gate.pass();
        if !paths.bus_master || channel.epoch() != epoch {
            return Moved::Void;
        }
        let bytes = scratch.descriptors[..fetch.count].as_mut_bytes();
        let Some(host) = &paths.host else {
            return Moved::Failed(Status::DESCRIPTOR_UNSUPPORTED);
        };
        match host.dma_read(fetch.at, bytes) {
            Ok(()) => Moved::All,
            Err(DmaError::Unmapped { .. } | DmaError::Denied { .. }) => {
                Moved::Failed(Status::DESCRIPTOR_UNSUPPORTED)
            }
            Err(DmaError::NotMemory { .. }) => Moved::Failed(Status::DESCRIPTOR_ABORTED),
        }
    }

    /// Carries out a descriptor, from where it was left.
    pub(super) fn carry_out(
        &self,
        channel: &Channel,
        epoch: u64,
        control: Control,
        descriptor: &Descriptor,
        scratch: &mut Scratch,
    ) -> Moved {
        if !descriptor.has_magic() {
            return Moved::Failed(Status::MAGIC);
        }
        let length = u64::from(descriptor.length());
        if length == 0 {
            return Moved::Failed(Status::INVALID_LENGTH);
        }
        if self.strikes(Kind::DmaDataError).is_some() {
            return Moved::Failed(match channel.direction {
                Direction::H2c => Status::READ_3,
                Direction::C2h => Status::READ_1,
            });
        }
        let fixed = control.contains(Control::NON_INCREMENTING);
        let (source, destination) = (descriptor.source(), descriptor.destination());
        if fixed
            && [source, destination, length]
                .iter()
                .any(|of| of % BEAT != 0)
        {
            return Moved::Failed(Status::ALIGNMENT);
        }
        let (iova, card) = match channel.direction {
            Direction::H2c => (source, destination),
            Direction::C2h => (destination, source),
        };
        while scratch.moved < length {
            let at = Place {
                iova: iova.wrapping_add(scratch.moved),
                card: if fixed {
                    card
                } else {
                    card.wrapping_add(scratch.moved)
                },
                left: if fixed { BEAT } else { length - scratch.moved },
            };
            match self.move_some(channel, epoch, at) {
                Ok(bytes) => scratch.moved += bytes,
                Err(outcome) => return outcome,
            }
        }
        Moved::All
    }

    /// Moves at least a byte, and at most [`CHUNK`].
    fn move_some(&self, channel: &Channel, epoch: u64, at: Place) -> Result<u64, Moved> {
        let direction = channel.direction;
        let end = at.card.checked_add(at.left.min(CHUNK));
        if end.is_none_or(|end| end > self.window()) {
            self.gate.went_out_of_range();
            return Err(Moved::Failed(decode_error(direction)));
        }
        let paths = self.gate.pass();
        if !paths.bus_master || channel.epoch() != epoch {
            return Err(Moved::Void);
        }
        let Some(host) = paths.host.as_deref() else {
            return match direction {
                Direction::H2c => Err(Moved::Failed(Status::READ_0)),
                Direction::C2h => Ok(at.left),
            };
        };
        let Some(memory) = paths.memory.as_deref() else {
            drop(paths);
            return self.move_through_design(channel, epoch, at);
        };
        let most = at.left.min(CHUNK - at.card % CHUNK) as usize;
        let out_of_range = |error: MemoryError| {
            tracing::debug!(%error, "DMA");
            self.gate.went_out_of_range();
            Moved::Failed(decode_error(direction))
        };
        let (way, length) = match direction {
            Direction::H2c => {
                let part = memory.writable(at.card, most).map_err(out_of_range)?;
                let moved = host.dma_to_card(at.iova, &part);
                memory.written(at.card, part.length());
                moved.map_err(|error| Moved::Failed(read_error(error)))?;
                (Way::Write, part.length())
            }
            Direction::C2h => {
                let part = memory.readable(at.card, most).map_err(out_of_range)?;
                if let Err(error) = host.dma_from_card(at.iova, &part) {
                    // A write is posted: nobody answers it.
                    tracing::debug!(%error, "a write to the host is lost");
                }
                (Way::Read, part.length())
            }
        };
        let interface = memory.ddr_interface(at.card);
        self.gate.count(interface, way, at.card, length);
        Ok(length as u64)
    }

    /// Moves a burst where there is no memory that the shell reaches by itself: the design answers,
    /// or nobody.
    fn move_through_design(&self, channel: &Channel, epoch: u64, at: Place) -> Result<u64, Moved> {
        let room = BURST as u64 - at.card % BURST as u64;
        let length = at.left.min(room) as usize;
        let mut bytes = [0; BURST];
        let bytes = &mut bytes[..length];
        let Some(card) = self.card.upgrade() else {
            return Err(Moved::Void);
        };
        let direction = channel.direction;
        if direction == Direction::H2c {
            let paths = self.gate.pass();
            if !paths.bus_master || channel.epoch() != epoch {
                return Err(Moved::Void);
            }
            let host = paths.host.as_deref();
            let host = host.ok_or(Moved::Failed(Status::READ_0))?;
            let read = host.dma_read(at.iova, bytes);
            read.map_err(|error| Moved::Failed(read_error(error)))?;
        }
        let size = self.window() + PCIS_RESERVED;
        let answered = {
            let mut state = card.hold();
            match direction {
                Direction::H2c => state.write_pcis(size, at.card, bytes),
                Direction::C2h => state.read_pcis(size, at.card, bytes),
            }
        };
        if answered.is_none() {
            return Err(Moved::Failed(match direction {
                Direction::H2c => Status::WRITE_SLAVE,
                Direction::C2h => Status::READ_1,
            }));
        }
        if direction == Direction::C2h {
            let paths = self.gate.pass();
            if !paths.bus_master || channel.epoch() != epoch {
                return Err(Moved::Void);
            }
            if let Some(host) = paths.host.as_deref()
                && let Err(error) = host.dma_write(at.iova, bytes)
            {
                tracing::debug!(%error, "a write to the host is lost");
            }
        }
        Ok(length as u64)
    }

    /// The end of what PCIS shows, which is what the engine reaches.
    fn window(&self) -> u64 {
        let bars = self.config.family.profile().app_bars;
        let pcis = bars.iter().find(|bar| bar.index == BarIndex::BAR4);
        pcis.map_or(0, |bar| bar.size - PCIS_RESERVED)
    }

    /// The card goes away.
    fn vanish(&self) {
        if let Some(card) = self.card.upgrade() {
            card.hold().slot.vanish();
        }
    }
}

/// Where the next bytes are.
#[derive(Debug, Clone, Copy)]
struct Place {
    iova: u64,
    card: u64,
    /// Bytes that are left.
    left: u64,
}

/// Nothing is at the card's address.
const fn decode_error(direction: Direction) -> Status {
    match direction {
        Direction::H2c => Status::WRITE_DECODE,
        Direction::C2h => Status::READ_0,
    }
}

/// The host did not let its memory be read.
const fn read_error(error: DmaError) -> Status {
    match error {
        DmaError::Unmapped { .. } | DmaError::Denied { .. } => Status::READ_0,
        DmaError::NotMemory { .. } => Status::READ_1,
    }
}
