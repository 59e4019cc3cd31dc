//! An XDMA engine that takes no time and moves nothing: every descriptor that it is told of is done.
//! What a transfer takes on it is the driver's.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use afi_pcie::bar::Region;
use afi_pcie::bus::{Caching, DmaMapping, DmaRequest};
use afi_pcie::dma::DmaSpace;
use afi_pcie::mapping::Mapping;
use afi_pcie::xdma::Engine;
use afi_pcie::{Bar, BarError, BusError, Function};
use afi_proto::xdma::{self, Direction, Identifier, Target, WriteBack, channel, common, sgdma};
use afi_proto::{BarIndex, Bdf};
use anyhow::Result;
use tempfile::TempDir;

/// Bytes of the BAR that are registers; the interrupt table behind them is not there.
const REGISTERS: u64 = 0x8000;
const CHANNELS: usize = 2 * xdma::CHANNELS as usize;

/// The engine, and the directory of its lock.
pub struct NullEngine {
    /// To be used as any other.
    pub engine: Engine,
    _locks: TempDir,
}

impl NullEngine {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no room for its lock.
    pub fn start() -> Result<Self> {
        let locks = tempfile::tempdir()?;
        let function = Device {
            shared: Arc::new(Shared {
                registers: (0..REGISTERS / 4).map(|_| AtomicU32::new(0)).collect(),
                config: Mutex::new([0; 64]),
                maps: Mutex::default(),
                write_backs: Mutex::default(),
            }),
        };
        let engine = Engine::of(DmaSpace::new(Arc::new(function)), locks.path())?;
        Ok(Self {
            engine,
            _locks: locks,
        })
    }
}

struct Device {
    shared: Arc<Shared>,
}

struct Shared {
    registers: Box<[AtomicU32]>,
    config: Mutex<[u8; 64]>,
    maps: Mutex<BTreeMap<u64, Mapping>>,
    /// Where each channel tells completions.
    write_backs: Mutex<[Option<(Mapping, u64)>; CHANNELS]>,
}

const fn number(direction: Direction, channel: u8) -> usize {
    xdma::irq::channel_number(direction, channel) as usize
}

impl Shared {
    fn register(&self, offset: u64) -> Option<&AtomicU32> {
        self.registers.get(usize::try_from(offset / 4).ok()?)
    }

    fn get(&self, offset: u64) -> u32 {
        self.register(offset)
            .map_or(u32::MAX, |register| register.load(Ordering::Relaxed))
    }

    fn change(&self, offset: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(register) = self.register(offset) {
            register.store(change(register.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }

    fn write(&self, offset: u64, value: u32) {
        let Some((target, inner)) = Target::at(offset) else {
            return;
        };
        let base = target.offset();
        match (target, inner) {
            (Target::Sgdma(direction, channel), sgdma::CREDITS) => {
                self.complete(direction, channel, value);
            }
            (Target::Channel(..), channel::CONTROL_W1S) => {
                self.change(base + channel::CONTROL, |now| now | value);
            }
            (Target::Channel(..), channel::CONTROL_W1C) => {
                self.change(base + channel::CONTROL, |now| now & !value);
            }
            (Target::SgdmaCommon, common::CREDIT_MODE_W1S) => {
                self.change(base + common::CREDIT_MODE, |now| now | value);
            }
            (Target::SgdmaCommon, common::CREDIT_MODE_W1C) => {
                self.change(base + common::CREDIT_MODE, |now| now & !value);
            }
            // Every status stays 0.
            (Target::Channel(..), channel::STATUS) => {}
            (
                Target::Channel(direction, at),
                channel::WRITE_BACK_LOW | channel::WRITE_BACK_HIGH,
            ) => {
                self.change(offset, |_| value);
                self.find_write_back(direction, at);
            }
            _ => self.change(offset, |_| value),
        }
    }

    /// Looks up where the channel's completions go.
    fn find_write_back(&self, direction: Direction, channel: u8) {
        let base = Target::Channel(direction, channel).offset();
        let low = u64::from(self.get(base + channel::WRITE_BACK_LOW));
        let address = u64::from(self.get(base + channel::WRITE_BACK_HIGH)) << 32 | low;
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let found = maps.range(..=address).next_back();
        let place = found.map(|(start, memory)| (memory.clone(), address - start));
        let mut places = self
            .write_backs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        places[number(direction, channel)] = place;
        // A channel that is started anew counts from 0.
        self.change(base + channel::COMPLETED, |_| 0);
    }

    fn complete(&self, direction: Direction, channel: u8, descriptors: u32) {
        let base = Target::Channel(direction, channel).offset();
        let completed = self
            .get(base + channel::COMPLETED)
            .wrapping_add(descriptors);
        self.change(base + channel::COMPLETED, |_| completed);
        let places = self
            .write_backs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((memory, at)) = &places[number(direction, channel)] {
            let word = WriteBack {
                completed,
                error: false,
            };
            // The channel's memory is mapped while it is open.
            let _ = memory.store_release(*at, word.bits());
        }
    }
}

impl Region for Shared {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let value = match Target::at(offset) {
            Some((target, Identifier::OFFSET)) => Identifier {
                target,
                is_stream: false,
                version: 6,
            }
            .bits(),
            Some((Target::Channel(..), channel::STATUS | channel::STATUS_RC)) => 0,
            _ => self.get(offset),
        };
        let bytes = value.to_le_bytes();
        for (byte, value) in data.iter_mut().zip(bytes) {
            *byte = value;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let mut bytes = [0; 4];
        for (byte, value) in bytes.iter_mut().zip(data) {
            *byte = *value;
        }
        Self::write(self, offset, u32::from_le_bytes(bytes));
        Ok(())
    }
}

impl Function for Device {
    fn bdf(&self) -> Bdf {
        Bdf::new(0, 0, 0x1D, 0).expect("an address")
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        let config = self
            .shared
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = config
            .iter()
            .skip(offset.into())
            .chain(std::iter::repeat(&0));
        for (byte, value) in data.iter_mut().zip(known) {
            *byte = *value;
        }
        Ok(())
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        let mut config = self
            .shared
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (place, byte) in config.iter_mut().skip(offset.into()).zip(data) {
            *place = *byte;
        }
        Ok(())
    }

    fn bar(&self, index: BarIndex, _: Caching) -> Result<Bar, BusError> {
        match index {
            xdma::BAR => Ok(Bar::trapped(Arc::<Shared>::clone(&self.shared), REGISTERS)),
            bar => Err(BusError::NoBar {
                bdf: self.bdf(),
                bar,
            }),
        }
    }

    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError> {
        let memory = request.memory.mapping().clone();
        let iova = request.iova;
        let shared = Arc::clone(&self.shared);
        let mut maps = shared.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.insert(iova, memory);
        drop(maps);
        Ok(DmaMapping::new(&request, move || {
            let mut maps = shared.maps.lock().unwrap_or_else(PoisonError::into_inner);
            maps.remove(&iova);
        }))
    }

    fn msix(&self, _: u16) -> Result<OwnedFd, BusError> {
        Err(BusError::Unsupported {
            bus: "benchmark",
            what: "interrupts",
        })
    }

    fn reset(&self) -> Result<(), BusError> {
        Ok(())
    }
}
