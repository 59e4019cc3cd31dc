//! The engine of a function: found by its identifiers, locked, and made quiet before it is used.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use afi_proto::Bdf;
use afi_proto::config_space::Command;
use afi_proto::xdma::{BAR, CHANNELS, Control, Direction, Identifier, Status, Target};

use super::channel::{Channel, ChannelOptions};
use super::core::Core;
use super::error::{ChannelId, DmaError, MOST_CHANNELS, OpenError};
use super::lock::EngineLock;
use super::ports::{ALL_ONES, Ports};
use super::recovery::{Reach, stop};
use crate::bus::{Bus, Caching, Function};
use crate::dma::DmaSpace;
use crate::{Bar, BusError};

/// An XDMA engine. It stays locked against other processes until this and its channels are dropped.
pub struct Engine {
    shared: Arc<Shared>,
}

/// What a channel of the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Which one.
    pub id: ChannelId,
    /// It moves a stream, and cannot be opened.
    pub is_stream: bool,
    /// Version of the core.
    pub version: u8,
}

/// What the engine's channels share.
pub(super) struct Shared {
    pub(super) bdf: Bdf,
    pub(super) space: DmaSpace,
    pub(super) bar: Bar,
    channels: Vec<ChannelInfo>,
    taken: Mutex<[bool; MOST_CHANNELS]>,
    /// How often the function was reset.
    resets: AtomicU64,
    /// The function does not stop, and its bus mastering must stay off.
    condemned: AtomicBool,
    /// Held by the one that resets the function.
    pub(super) ladder: Mutex<()>,
    _lock: EngineLock,
}

impl Engine {
    /// Opens the engine of a function: that of a slot's application function.
    ///
    /// Whatever a process that died left running is stopped.
    ///
    /// # Errors
    /// When there is no engine, another process has it, or it cannot be stopped.
    pub fn open(bus: &dyn Bus, bdf: Bdf) -> Result<Self, OpenError> {
        let function = bus.open(bdf);
        let function = function.map_err(|source| OpenError::Function { bdf, source })?;
        Self::of(DmaSpace::new(function), &bus.lock_directory())
    }

    /// Opens the engine of a function that is open already, whose bus keeps locks in a directory
    /// ([`Bus::lock_directory`]).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(space: DmaSpace, lock_directory: &Path) -> Result<Self, OpenError> {
        let bdf = space.function().bdf();
        let failed = |source: BusError| OpenError::Function { bdf, source };
        let bar = space.function().bar(BAR, Caching::None).map_err(failed)?;
        identify(space.function().as_ref(), &bar)?;
        let lock = EngineLock::take(lock_directory, bdf)?;
        let shared = Shared {
            bdf,
            channels: channels(&bar, bdf)?,
            bar,
            space,
            taken: Mutex::new([false; MOST_CHANNELS]),
            resets: AtomicU64::new(0),
            condemned: AtomicBool::new(false),
            ladder: Mutex::new(()),
            _lock: lock,
        };
        shared.make_quiet()?;
        let wanted = Command::MEMORY_SPACE | Command::BUS_MASTER;
        shared.space.function().enable(wanted).map_err(failed)?;
        let shared = Arc::new(shared);
        Ok(Self { shared })
    }

    /// The function.
    pub fn bdf(&self) -> Bdf {
        self.shared.bdf
    }

    /// Where buffers for the engine's transfers come from.
    pub fn space(&self) -> &DmaSpace {
        &self.shared.space
    }

    /// The channels that there are, H2C first.
    pub fn channels(&self) -> &[ChannelInfo] {
        &self.shared.channels
    }

    /// Opens a channel, with the default options.
    ///
    /// # Errors
    /// As [`Self::channel_with`].
    pub fn channel(&self, direction: Direction, number: u8) -> Result<Channel, OpenError> {
        self.channel_with(direction, number, ChannelOptions::default())
    }

    /// Opens a channel. It has one user at a time.
    ///
    /// # Errors
    /// When there is no such channel, it moves a stream, it is open, the options are not possible,
    /// or it does not start.
    pub fn channel_with(
        &self,
        direction: Direction,
        number: u8,
        options: ChannelOptions,
    ) -> Result<Channel, OpenError> {
        let channel = ChannelId {
            bdf: self.shared.bdf,
            direction,
            number,
        };
        let mut of_direction = self
            .shared
            .channels
            .iter()
            .filter(|info| info.id.direction == direction);
        let there = of_direction.clone().count();
        let Some(info) = of_direction.find(|info| info.id.number == number) else {
            return Err(OpenError::NoChannel { channel, there });
        };
        if info.is_stream {
            return Err(OpenError::Stream { channel });
        }
        if !self.shared.take(channel) {
            return Err(OpenError::Taken { channel });
        }
        // From here on the place is given back by whoever has this.
        let taken = TakenChannel {
            engine: Arc::clone(&self.shared),
            channel,
        };
        Ok(Channel::new(Core::open(taken, options)?))
    }
}

impl Shared {
    /// How often the function was reset so far.
    #[inline]
    pub(super) fn resets(&self) -> u64 {
        self.resets.load(Ordering::Acquire)
    }

    /// Notes a reset: all that any channel had under way is gone.
    pub(super) fn note_reset(&self) {
        self.resets.fetch_add(1, Ordering::AcqRel);
    }

    /// The function is never to be let onto the bus again by this engine.
    pub(super) fn condemn(&self) {
        self.condemned.store(true, Ordering::Release);
    }

    pub(super) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Acquire)
    }

    fn take(&self, channel: ChannelId) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut taken[place(channel)], true)
    }

    /// Stops every channel that runs: a process that died may have left it so.
    fn make_quiet(&self) -> Result<(), OpenError> {
        for info in &self.channels {
            let ports = Ports::new(self.bar.clone(), info.id);
            self.quiet_channel(&ports, info.id)?;
        }
        Ok(())
    }

    fn quiet_channel(&self, ports: &Ports, channel: ChannelId) -> Result<(), OpenError> {
        let failed = |source| OpenError::Start { channel, source };
        let look = || -> Result<bool, DmaError> {
            let runs = ports.control()?.contains(Control::RUN);
            Ok(runs || ports.status()?.contains(Status::BUSY))
        };
        if look().map_err(failed)? {
            tracing::warn!(%channel, "was left running; stopping it");
            match stop(self, ports, channel, self.resets()) {
                Reach::Stopped { .. } | Reach::Reset => {}
                Reach::Gone => return Err(OpenError::Gone { bdf: self.bdf }),
                Reach::Off | Reach::Unstoppable => return Err(OpenError::DoesNotStop { channel }),
            }
        }
        let clear = || -> Result<(), DmaError> {
            ports.let_out(false)?;
            ports.take_status()?;
            ports.clear_halt()
        };
        clear().map_err(failed)
    }
}

/// A channel that nobody else has, until this is dropped.
pub(super) struct TakenChannel {
    pub(super) engine: Arc<Shared>,
    pub(super) channel: ChannelId,
}

impl Drop for TakenChannel {
    fn drop(&mut self) {
        let taken = self.engine.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)[place(self.channel)] = false;
    }
}

fn place(channel: ChannelId) -> usize {
    let first = match channel.direction {
        Direction::H2c => 0,
        Direction::C2h => CHANNELS,
    };
    usize::from(first + channel.number)
}

/// Whether there is an engine at all.
fn identify(function: &dyn Function, bar: &Bar) -> Result<(), OpenError> {
    let bdf = function.bdf();
    let offset = Target::Config.offset() + Identifier::OFFSET;
    if bar.length() < Target::SgdmaCommon.offset() + 0x1000 {
        return Err(OpenError::NoEngine { bdf, found: 0 });
    }
    let found = bar
        .read32(offset)
        .map_err(|source| OpenError::Register { bdf, source })?;
    // A shell without an engine may answer nothing there, either: then its function still has ids.
    if found == ALL_ONES {
        let ids = function.live_ids();
        let ids = ids.map_err(|source| OpenError::Function { bdf, source })?;
        if ids.is_absent() {
            return Err(OpenError::Gone { bdf });
        }
    }
    match Identifier::parse(found, Target::Config) {
        Some(_) => Ok(()),
        None => Err(OpenError::NoEngine { bdf, found }),
    }
}

fn channels(bar: &Bar, bdf: Bdf) -> Result<Vec<ChannelInfo>, OpenError> {
    let mut channels = Vec::new();
    for direction in Direction::ALL {
        for number in 0..CHANNELS {
            let target = Target::Channel(direction, number);
            let bits = bar
                .read32(target.offset() + Identifier::OFFSET)
                .map_err(|source| OpenError::Register { bdf, source })?;
            if let Some(found) = Identifier::parse(bits, target) {
                channels.push(ChannelInfo {
                    id: ChannelId {
                        bdf,
                        direction,
                        number,
                    },
                    is_stream: found.is_stream,
                    version: found.version,
                });
            }
        }
    }
    Ok(channels)
}
