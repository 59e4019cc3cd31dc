//! An engine to test the driver against: written from PG195 alone, as simple as can be, and it can
//! misbehave. A transfer takes place inside the register access that starts it, unless the engine is
//! held.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use afi_pcie::bar::Region;
use afi_pcie::bus::{Caching, DmaAccess, DmaMapping, DmaRequest, reset_and_restore};
use afi_pcie::{Bar, BarError, BusError, Function};
use afi_proto::{BarIndex, Bdf};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Bytes of the card's memory, from address 0 on.
pub(crate) const MEMORY: usize = 4 << 20;
const BAR_SIZE: u64 = 64 << 10;
const RUN: u32 = 1;
const BUSY: u32 = 1;
const WRITE_BACK: u32 = 1 << 26;

/// A function with an engine.
pub(crate) struct Device {
    bdf: Bdf,
    engine: Mutex<Engine>,
    config: Mutex<[u8; 256]>,
    maps: Mutex<BTreeMap<u64, DmaRequest>>,
    vectors: Mutex<BTreeMap<u16, EventFd>>,
    /// Accesses of BAR2 so far.
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) faults: Faults,
}

/// How it misbehaves.
#[derive(Default)]
pub(crate) struct Faults {
    /// Descriptors stay undone.
    pub(crate) held: AtomicBool,
    /// Channels, by bit, that stay busy when their run bit is cleared.
    pub(crate) stuck: AtomicU32,
    /// Everything reads as all ones.
    pub(crate) gone: AtomicBool,
    /// There is no engine behind the BAR.
    pub(crate) cleared: AtomicBool,
    /// Credit mode cannot be switched on.
    pub(crate) no_credits: AtomicBool,
    /// It is held until somebody reads, and clears, the status.
    pub(crate) held_until_status: AtomicBool,
    /// Credits stay when a channel stops.
    pub(crate) keeps_credits: AtomicBool,
    /// Channels, by bit, that are streams.
    pub(crate) streams: AtomicU32,
    /// It cannot be reset.
    pub(crate) no_reset: AtomicBool,
    /// Bus mastering cannot be switched off.
    pub(crate) no_master_off: AtomicBool,
    /// The next descriptor ends with these bits of the status.
    pub(crate) next_error: AtomicU32,
    /// Completions are not told by write-back.
    pub(crate) no_write_back: AtomicBool,
    /// Interrupts are not sent.
    pub(crate) no_interrupts: AtomicBool,
    /// Errors are not told by write-back.
    pub(crate) silent_errors: AtomicBool,
}

struct Engine {
    channels: [Channel; 8],
    credit_mode: u32,
    memory: Vec<u8>,
    channel_enable: u32,
    vectors: [u32; 2],
}

#[derive(Default, Clone)]
struct Channel {
    control: u32,
    status: u32,
    completed: u32,
    write_back: u64,
    interrupts: u32,
    first: u64,
    first_adjacent: u32,
    credits: u32,
    /// Where the next descriptor is, and how many lie behind it without a gap.
    next: u64,
    behind: u32,
    stopped: bool,
}

impl Device {
    pub(crate) fn new() -> Arc<Self> {
        let mut config = [0; 256];
        config[4] = 0x06;
        Arc::new(Self {
            bdf: "0000:00:1d.0".parse().unwrap(),
            engine: Mutex::new(Engine {
                channels: Default::default(),
                credit_mode: 0,
                memory: vec![0; MEMORY],
                channel_enable: 0,
                vectors: [0; 2],
            }),
            config: Mutex::new(config),
            maps: Mutex::default(),
            vectors: Mutex::default(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            faults: Faults::default(),
        })
    }

    pub(crate) fn function(self: &Arc<Self>) -> Arc<dyn Function> {
        Arc::new(Handle(Arc::clone(self)))
    }

    /// Register accesses since the last call: reads and writes.
    pub(crate) fn accesses(&self) -> (u64, u64) {
        let reads = self.reads.swap(0, Ordering::SeqCst);
        (reads, self.writes.swap(0, Ordering::SeqCst))
    }

    pub(crate) fn set_held(&self, held: bool) {
        self.faults.held.store(held, Ordering::SeqCst);
        let mut engine = self.engine.lock().unwrap();
        for channel in 0..8 {
            self.run(&mut engine, channel);
        }
    }

    /// Reads the card's memory.
    pub(crate) fn memory(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        self.engine.lock().unwrap().memory[range].to_vec()
    }

    pub(crate) fn set_memory(&self, at: usize, data: &[u8]) {
        self.engine.lock().unwrap().memory[at..at + data.len()].copy_from_slice(data);
    }

    /// How many pieces of memory it can reach.
    pub(crate) fn mapped(&self) -> usize {
        self.maps.lock().unwrap().len()
    }

    pub(crate) fn is_master(&self) -> bool {
        self.config.lock().unwrap()[4] & 4 != 0
    }

    pub(crate) fn set_master(&self, on: bool) {
        let mut config = self.config.lock().unwrap();
        config[4] = config[4] & !4 | if on { 4 } else { 0 };
    }

    /// Whether the run bit of a channel is set.
    pub(crate) fn runs(&self, channel: usize) -> bool {
        self.engine.lock().unwrap().channels[channel].control & RUN != 0
    }

    /// Writes a count to where the host looks for it, whatever was completed.
    pub(crate) fn write_back(&self, channel: usize, completed: u32) {
        let address = self.engine.lock().unwrap().channels[channel].write_back;
        assert!(self.dma_write(address, &completed.to_le_bytes()));
    }

    /// As a process leaves it that died in a transfer.
    pub(crate) fn leave_running(&self, channel: usize) {
        self.engine.lock().unwrap().channels[channel].control = RUN;
    }

    fn is_stuck(&self, channel: usize) -> bool {
        self.faults.stuck.load(Ordering::SeqCst) & 1 << channel != 0
    }

    fn dma(&self, iova: u64, length: usize, access: DmaAccess) -> Option<(DmaRequest, u64)> {
        let maps = self.maps.lock().unwrap();
        let (start, map) = maps.range(..=iova).next_back()?;
        let size = map.range.end - map.range.start;
        let inside = iova - start + length as u64 <= size;
        let allowed = map.access == DmaAccess::ReadWrite || map.access == access;
        (inside && allowed).then(|| (map.clone(), map.range.start + (iova - start)))
    }

    fn dma_read(&self, iova: u64, data: &mut [u8]) -> bool {
        let found = self.dma(iova, data.len(), DmaAccess::Read);
        found.is_some_and(|(map, at)| map.memory.mapping().copy_out(at, data).is_ok())
    }

    fn dma_write(&self, iova: u64, data: &[u8]) -> bool {
        let found = self.dma(iova, data.len(), DmaAccess::Write);
        found.is_some_and(|(map, at)| map.memory.mapping().copy_in(at, data).is_ok())
    }

    /// Takes a channel on as far as it goes.
    fn run(&self, engine: &mut Engine, number: usize) {
        let bit = if number < 4 {
            1 << number
        } else {
            1 << (16 + number - 4)
        };
        loop {
            let limited = engine.credit_mode & bit != 0;
            let channel = &mut engine.channels[number];
            let held = self.faults.held.load(Ordering::SeqCst);
            let goes = channel.control & RUN != 0 && !channel.stopped && !held;
            if !goes || limited && channel.credits == 0 || !self.is_master() {
                return;
            }
            if limited {
                channel.credits -= 1;
            }
            self.descriptor(engine, number);
        }
    }

    fn descriptor(&self, engine: &mut Engine, number: usize) {
        let at = engine.channels[number].next;
        let mut words = [0; 32];
        if !self.dma_read(at, &mut words) {
            return self.finish(engine, number, 1 << 19, 0);
        }
        let word = |index: usize| u32::from_le_bytes(words[index * 4..][..4].try_into().unwrap());
        let double = |index: usize| u64::from(word(index)) | u64::from(word(index + 1)) << 32;
        let control = word(0);
        let (length, source, destination) = (word(1) as usize, double(2), double(4));
        let error = if control >> 16 != 0xAD4B {
            1 << 4
        } else {
            match self.faults.next_error.swap(0, Ordering::SeqCst) {
                0 => self.carry_out(engine, number, source, destination, length),
                error => error,
            }
        };
        let channel = &mut engine.channels[number];
        if channel.behind > 0 {
            // The last of the block says how it goes on; adjacent ones agree with their order.
            assert_eq!(double(6), at + 32, "adjacent descriptors follow each other");
            channel.behind -= 1;
        } else {
            channel.behind = control >> 8 & 0x3F;
        }
        channel.next = double(6);
        self.finish(engine, number, error, control);
    }

    fn carry_out(
        &self,
        engine: &mut Engine,
        number: usize,
        source: u64,
        destination: u64,
        length: usize,
    ) -> u32 {
        let (card, to_card) = if number < 4 {
            (destination, true)
        } else {
            (source, false)
        };
        if length == 0 {
            return 1 << 5;
        }
        let Some(end) = usize::try_from(card)
            .ok()
            .and_then(|card| card.checked_add(length))
            .filter(|end| *end <= MEMORY)
        else {
            return if to_card { 1 << 14 } else { 1 << 9 };
        };
        let memory = &mut engine.memory[end - length..end];
        if to_card {
            return if self.dma_read(source, memory) {
                0
            } else {
                1 << 9
            };
        }
        // A write is posted: nobody answers it.
        self.dma_write(destination, memory);
        0
    }

    fn finish(&self, engine: &mut Engine, number: usize, error: u32, control: u32) {
        let channel = &mut engine.channels[number];
        if error == 0 {
            channel.completed += 1;
        } else {
            channel.stopped = true;
            channel.status |= error & channel.control;
        }
        if control & 1 != 0 {
            channel.stopped = true;
        }
        let completed = error == 0 && control & 2 != 0;
        if completed && channel.control & 4 != 0 {
            channel.status |= 4;
        }
        let lost = self.faults.no_write_back.load(Ordering::SeqCst);
        let silent = lost || error != 0 && self.faults.silent_errors.load(Ordering::SeqCst);
        if (completed || error != 0) && !silent && channel.control & WRITE_BACK != 0 {
            let flag = if error == 0 { 0 } else { 1 << 31 };
            let word = channel.completed & 0xFF_FFFF | flag;
            self.dma_write(channel.write_back, &word.to_le_bytes());
        }
        let unsent = silent || self.faults.no_interrupts.load(Ordering::SeqCst);
        let wants = channel.status & channel.interrupts != 0 && !unsent;
        if wants && engine.channel_enable & 1 << number != 0 {
            let vector = engine.vectors[number / 4] >> (number % 4 * 8) & 0x1F;
            if let Some(event) = self.vectors.lock().unwrap().get(&(vector as u16)) {
                event.write(1).unwrap();
            }
        }
    }

    fn read_register(&self, engine: &mut Engine, offset: u64) -> u32 {
        let number = (offset >> 8 & 7) as usize;
        match offset >> 12 {
            0 | 1 if number < 4 => {
                let which = number + if offset >> 12 == 1 { 4 } else { 0 };
                let stuck = self.is_stuck(which);
                let goes = &self.faults.held_until_status;
                if offset & 0xFF == 0x44 && goes.swap(false, Ordering::SeqCst) {
                    self.faults.held.store(false, Ordering::SeqCst);
                    self.run(engine, which);
                }
                let channel = &mut engine.channels[which];
                let busy = channel.control & RUN != 0 && !channel.stopped || stuck;
                let status = channel.status | if busy { BUSY } else { 0 };
                match offset & 0xFF {
                    0x00 => {
                        let kind = (offset >> 12) as u32;
                        let streams = self.faults.streams.load(Ordering::SeqCst);
                        let stream = if streams & 1 << which != 0 {
                            1 << 15
                        } else {
                            0
                        };
                        0x1FC0_0006 | kind << 16 | stream | (number as u32) << 8
                    }
                    0x04 => channel.control,
                    0x40 => status,
                    0x44 => {
                        channel.status = 0;
                        status
                    }
                    0x48 => channel.completed,
                    _ => 0,
                }
            }
            4 | 5 if offset & 0xFF == 0x8C => {
                let which = number + if offset >> 12 == 5 { 4 } else { 0 };
                engine.channels[which].credits
            }
            2 => 0x1FC2_0006,
            3 => 0x1FC3_0006,
            6 if offset & 0xFF == 0x20 => engine.credit_mode,
            _ => 0,
        }
    }

    fn write_register(&self, engine: &mut Engine, offset: u64, value: u32) {
        let number = (offset >> 8 & 7) as usize;
        let block = offset >> 12;
        let which = number + if block == 1 || block == 5 { 4 } else { 0 };
        match (block, offset & 0xFF) {
            (0 | 1, at) => {
                let channel = &mut engine.channels[which];
                let low = |word: u64, value: u32| word >> 32 << 32 | u64::from(value);
                let high = |word: u64, value: u32| word & 0xFFFF_FFFF | u64::from(value) << 32;
                let control = match at {
                    0x04 => value,
                    0x08 => channel.control | value,
                    0x0C => channel.control & !value,
                    _ => channel.control,
                };
                let before = std::mem::replace(&mut channel.control, control);
                if control & !before & RUN != 0 {
                    (channel.next, channel.behind) = (channel.first, channel.first_adjacent);
                    (channel.completed, channel.stopped, channel.status) = (0, false, 0);
                }
                let keeps = self.faults.keeps_credits.load(Ordering::SeqCst);
                if before & !control & RUN != 0 && !keeps {
                    channel.credits = 0;
                }
                match at {
                    0x40 => channel.status &= !value,
                    0x88 => channel.write_back = low(channel.write_back, value),
                    0x8C => channel.write_back = high(channel.write_back, value),
                    0x90 => channel.interrupts = value,
                    _ => {}
                }
                self.run(engine, which);
            }
            (2, 0x14) => engine.channel_enable |= value,
            (2, 0x18) => engine.channel_enable &= !value,
            (2, 0xA0) => engine.vectors[0] = value,
            (2, 0xA4) => engine.vectors[1] = value,
            (4 | 5, at) => {
                let channel = &mut engine.channels[which];
                match at {
                    0x80 => channel.first = channel.first >> 32 << 32 | u64::from(value),
                    0x84 => channel.first = channel.first & 0xFFFF_FFFF | u64::from(value) << 32,
                    0x88 => channel.first_adjacent = value & 0x3F,
                    0x8C => {
                        channel.credits += value & 0x3FF;
                        assert!(
                            channel.credits <= 0x3FF,
                            "more credits than the register holds"
                        );
                        self.run(engine, which);
                    }
                    _ => {}
                }
            }
            (6, 0x24) if !self.faults.no_credits.load(Ordering::SeqCst) => {
                engine.credit_mode |= value;
            }
            (6, 0x28) => engine.credit_mode &= !value,
            _ => {}
        }
    }

    fn is_gone(&self) -> bool {
        self.faults.gone.load(Ordering::SeqCst)
    }

    fn config(&self) -> MutexGuard<'_, [u8; 256]> {
        self.config.lock().unwrap()
    }
}

/// An opened function.
struct Handle(Arc<Device>);

impl Function for Handle {
    fn bdf(&self) -> Bdf {
        self.0.bdf
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        let at = usize::from(offset);
        data.copy_from_slice(&self.0.config()[at..at + data.len()]);
        if self.0.is_gone() {
            data.fill(0xFF);
        }
        Ok(())
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        let at = usize::from(offset);
        let before = self.0.is_master();
        self.0.config()[at..at + data.len()].copy_from_slice(data);
        if before && self.0.faults.no_master_off.load(Ordering::SeqCst) {
            self.0.set_master(true);
        }
        Ok(())
    }

    fn bar(&self, index: BarIndex, _caching: Caching) -> Result<Bar, BusError> {
        if index != BarIndex::BAR2 {
            return Err(BusError::NoBar {
                bdf: self.0.bdf,
                bar: index,
            });
        }
        Ok(Bar::trapped(
            Arc::new(Registers(Arc::clone(&self.0))),
            BAR_SIZE,
        ))
    }

    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError> {
        let iova = request.iova;
        let before = self.0.maps.lock().unwrap().insert(iova, request.clone());
        assert!(before.is_none(), "mapped twice");
        let device = Arc::clone(&self.0);
        Ok(DmaMapping::new(&request, move || {
            device.maps.lock().unwrap().remove(&iova);
        }))
    }

    fn msix(&self, vector: u16) -> Result<OwnedFd, BusError> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        let other = event.as_fd().try_clone_to_owned().unwrap();
        self.0.vectors.lock().unwrap().insert(vector, event);
        Ok(other)
    }

    fn reset(&self) -> Result<(), BusError> {
        if self.0.faults.no_reset.load(Ordering::SeqCst) {
            return Err(BusError::Unsupported {
                bus: "test",
                what: "reset",
            });
        }
        reset_and_restore(self, || {
            let mut engine = self.0.engine.lock().unwrap();
            engine.channels = Default::default();
            engine.credit_mode = 0;
            self.0.faults.stuck.store(0, Ordering::SeqCst);
            Ok(())
        })
    }
}

/// BAR2.
struct Registers(Arc<Device>);

impl Region for Registers {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let device = &self.0;
        device.reads.fetch_add(1, Ordering::SeqCst);
        let value = if device.is_gone() {
            u32::MAX
        } else if device.faults.cleared.load(Ordering::SeqCst) {
            0
        } else {
            device.read_register(&mut device.engine.lock().unwrap(), offset)
        };
        data.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let device = &self.0;
        device.writes.fetch_add(1, Ordering::SeqCst);
        let dead = device.is_gone() || device.faults.cleared.load(Ordering::SeqCst);
        if !dead {
            let value = u32::from_le_bytes(data.try_into().unwrap());
            device.write_register(&mut device.engine.lock().unwrap(), offset, value);
        }
        Ok(())
    }
}
