//! The engine's registers, as the host reads and writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use afi_proto::xdma::{
    Control, Direction, Identifier, MAX_ADJACENT, Status, Target, channel, common, config, sgdma,
};

use super::Engine;
use super::channel::ChannelState;
use crate::device::card::State;
use crate::device::lanes::WordWrite;
use crate::fault::Kind;

/// Version of the core that F1's shell has: 2017.x and later, before 2018.3 (PG195, "Identifier
/// Version"). Drivers take any.
const VERSION: u8 = 0x05;
/// Any address and length will do, and addresses have 64 bits (PG195, "H2C Channel Alignments").
const ALIGNMENTS: u32 = 1 << 16 | 1 << 8 | 64;
/// PCI Express codes for 256 bytes of payload and 512 of a read request.
const MAX_PAYLOAD: u32 = 1;
const MAX_READ_REQUEST: u32 = 2;
/// The reset value of the subsystem's identifier (PG195, "Config Block System ID").
const SYSTEM_ID: u32 = 0xFF01;
/// MSI-X is on.
const MSIX_ON: u32 = 1 << 1;
/// 512 bits.
const DATA_WIDTH: u32 = 3;

impl State {
    /// Reads a word of the engine's part of the BAR; what is no register reads as 0.
    pub(in crate::device) fn read_xdma(&mut self, engine: &Arc<Engine>, offset: u64) -> u32 {
        let Some((target, register)) = Target::at(offset) else {
            return 0;
        };
        if register == Identifier::OFFSET {
            let identifier = Identifier {
                target,
                is_stream: false,
                version: VERSION,
            };
            return identifier.bits();
        }
        match target {
            Target::Channel(direction, number) => {
                self.read_channel(engine, direction, number, register)
            }
            Target::Sgdma(direction, number) => engine.read_sgdma(direction, number, register),
            Target::SgdmaCommon => engine.read_common(register),
            Target::Irq => self.irq.read(register, engine.requests()),
            Target::Config => self.read_xdma_config(register),
        }
    }

    /// Writes a word of the engine's part of the BAR.
    pub(in crate::device) fn write_xdma(
        &mut self,
        engine: &Arc<Engine>,
        offset: u64,
        write: WordWrite,
    ) {
        let Some((target, register)) = Target::at(offset) else {
            return;
        };
        match target {
            Target::Channel(direction, number) => {
                self.write_channel(engine, direction, number, register, write);
            }
            Target::Sgdma(direction, number) => {
                engine.write_sgdma(direction, number, register, write);
            }
            Target::SgdmaCommon => engine.write_common(register, write),
            Target::Irq => self.irq.write(register, write),
            // The host sets these through configuration space.
            Target::Config => {}
        }
        self.release_interrupts();
    }

    fn read_channel(
        &mut self,
        engine: &Engine,
        direction: Direction,
        number: u8,
        register: u64,
    ) -> u32 {
        let Some((at, channel)) = engine.channel(direction, number) else {
            return 0;
        };
        let mut state = channel.lock();
        match register {
            channel::CONTROL | channel::CONTROL_W1S | channel::CONTROL_W1C => state.control.bits(),
            channel::STATUS => state.status().bits(),
            channel::STATUS_RC => {
                let status = state.status();
                state.status = Status::empty();
                self.note_request(engine, at, &state);
                status.bits()
            }
            channel::COMPLETED => state.completed,
            channel::ALIGNMENTS => ALIGNMENTS,
            channel::WRITE_BACK_LOW => state.write_back as u32,
            channel::WRITE_BACK_HIGH => (state.write_back >> 32) as u32,
            channel::INTERRUPT_ENABLE
            | channel::INTERRUPT_ENABLE_W1S
            | channel::INTERRUPT_ENABLE_W1C => state.interrupt_enable,
            channel::PERFORMANCE_CONTROL => state.performance.control(),
            channel::PERFORMANCE_CYCLES_LOW..=channel::PERFORMANCE_PENDING_HIGH => {
                state.performance.read(register, engine.now())
            }
            _ => 0,
        }
    }

    fn write_channel(
        &mut self,
        engine: &Arc<Engine>,
        direction: Direction,
        number: u8,
        register: u64,
        write: WordWrite,
    ) {
        let Some((at, channel)) = engine.channel(direction, number) else {
            return;
        };
        let mut state = channel.lock();
        let bits = write.value;
        match register {
            channel::CONTROL => {
                let control = write.merged_into(state.control.bits());
                engine.set_control(at, &mut state, control);
            }
            channel::CONTROL_W1S => {
                let control = state.control.bits() | bits;
                engine.set_control(at, &mut state, control);
            }
            channel::CONTROL_W1C => {
                let control = state.control.bits() & !bits;
                engine.set_control(at, &mut state, control);
            }
            channel::STATUS => state.status -= Status::from_bits_retain(bits),
            channel::WRITE_BACK_LOW => put_low(&mut state.write_back, write),
            channel::WRITE_BACK_HIGH => put_high(&mut state.write_back, write),
            channel::INTERRUPT_ENABLE => {
                state.interrupt_enable = INTERRUPTS & write.merged_into(state.interrupt_enable);
            }
            channel::INTERRUPT_ENABLE_W1S => state.interrupt_enable |= INTERRUPTS & bits,
            channel::INTERRUPT_ENABLE_W1C => state.interrupt_enable &= !bits,
            channel::PERFORMANCE_CONTROL => {
                let value = write.merged_into(state.performance.control());
                state.performance.set_control(value, engine.now());
            }
            _ => {}
        }
        self.note_request(engine, at, &state);
    }

    /// Brings what the channel requests up to date, with its lock held: a request that ends here
    /// has ended before whoever drives the channel can begin the next one.
    fn note_request(&mut self, engine: &Engine, at: usize, state: &ChannelState) {
        engine.note_request(at, state);
        if !state.requests_interrupt() {
            self.irq.withdrawn(at as u8);
        }
    }

    fn read_xdma_config(&self, register: u64) -> u32 {
        match register {
            config::BUS_DEV => {
                let bdf = self.config.app;
                u32::from(bdf.bus()) << 8 | u32::from(bdf.device()) << 3 | u32::from(bdf.function())
            }
            config::MAX_PAYLOAD => MAX_PAYLOAD,
            config::MAX_READ_REQUEST => MAX_READ_REQUEST,
            config::SYSTEM_ID => SYSTEM_ID,
            config::MSI_ENABLE if self.app_config.msix_is_on() => MSIX_ON,
            config::DATA_WIDTH => DATA_WIDTH,
            _ => 0,
        }
    }
}

/// The bits of the interrupt enable mask: those of the status, without busy.
const INTERRUPTS: u32 = Status::all().bits() & !Status::BUSY.bits();

impl Engine {
    /// Takes a new value of a channel's control register.
    fn set_control(self: &Arc<Self>, at: usize, state: &mut ChannelState, bits: u32) {
        let control = Control::from_bits_truncate(bits);
        let ran = state.control.contains(Control::RUN);
        let runs = control.contains(Control::RUN);
        state.control = control;
        if runs && !ran && state.chain.is_none() {
            let is_stuck = self.strikes(Kind::DmaHang).is_some();
            state.start(self.now(), is_stuck);
            self.take_on(at, state);
        } else if ran && !runs {
            state.credits = 0;
            if state.chain.is_none() && control.contains(Control::ON_IDLE) {
                state.status |= Status::IDLE;
            }
            self.take_on(at, state);
        }
    }

    /// Notes whether a channel requests an interrupt; with its lock held. Returns whether a request
    /// began.
    pub(super) fn note_request(&self, at: usize, state: &ChannelState) -> bool {
        let bit = 1 << at;
        let (requests, requested) = (
            state.requests_interrupt(),
            self.requests.load(Ordering::Acquire) & bit != 0,
        );
        match (requested, requests) {
            (false, true) => drop(self.requests.fetch_or(bit, Ordering::AcqRel)),
            (true, false) => drop(self.requests.fetch_and(!bit, Ordering::AcqRel)),
            _ => {}
        }
        requests && !requested
    }

    fn read_sgdma(&self, direction: Direction, number: u8, register: u64) -> u32 {
        let Some((_, channel)) = self.channel(direction, number) else {
            return 0;
        };
        let state = channel.lock();
        match register {
            sgdma::FIRST_LOW => state.first as u32,
            sgdma::FIRST_HIGH => (state.first >> 32) as u32,
            sgdma::FIRST_ADJACENT => state.first_adjacent.into(),
            sgdma::CREDITS => state.credits & sgdma::MOST_CREDITS,
            _ => 0,
        }
    }

    fn write_sgdma(
        self: &Arc<Self>,
        direction: Direction,
        number: u8,
        register: u64,
        write: WordWrite,
    ) {
        let Some((at, channel)) = self.channel(direction, number) else {
            return;
        };
        let mut state = channel.lock();
        match register {
            sgdma::FIRST_LOW => put_low(&mut state.first, write),
            sgdma::FIRST_HIGH => put_high(&mut state.first, write),
            sgdma::FIRST_ADJACENT => {
                let value = write.merged_into(state.first_adjacent.into());
                state.first_adjacent = value as u8 & MAX_ADJACENT;
            }
            sgdma::CREDITS => {
                state.add_credits(write.value);
                self.take_on(at, &mut state);
            }
            _ => {}
        }
    }

    fn read_common(&self, register: u64) -> u32 {
        match register {
            common::HALT | common::HALT_W1S | common::HALT_W1C => {
                self.halted.load(Ordering::Acquire)
            }
            common::CREDIT_MODE | common::CREDIT_MODE_W1S | common::CREDIT_MODE_W1C => {
                self.limited.load(Ordering::Acquire)
            }
            _ => 0,
        }
    }

    fn write_common(&self, register: u64, write: WordWrite) {
        let bits = write.value & ALL_CHANNELS;
        let set = |of: &AtomicU32| {
            let value = write.merged_into(of.load(Ordering::Acquire));
            of.store(value & ALL_CHANNELS, Ordering::Release);
        };
        match register {
            common::HALT => set(&self.halted),
            common::HALT_W1S => drop(self.halted.fetch_or(bits, Ordering::AcqRel)),
            common::HALT_W1C => drop(self.halted.fetch_and(!bits, Ordering::AcqRel)),
            common::CREDIT_MODE => set(&self.limited),
            common::CREDIT_MODE_W1S => drop(self.limited.fetch_or(bits, Ordering::AcqRel)),
            common::CREDIT_MODE_W1C => drop(self.limited.fetch_and(!bits, Ordering::AcqRel)),
            _ => return,
        }
        // Credits are void with the mode (PG195, "H2C Descriptor Credits").
        for channel in &self.channels {
            if !self.is_limited(channel) {
                channel.lock().credits = 0;
            }
        }
        self.wake_all();
    }
}

/// The bits of the channels that there are, in the registers of all fetchers.
const ALL_CHANNELS: u32 = 0x000F_000F;

fn put_low(address: &mut u64, write: WordWrite) {
    *address = *address & !0xFFFF_FFFF | u64::from(write.merged_into(*address as u32));
}

fn put_high(address: &mut u64, write: WordWrite) {
    let high = write.merged_into((*address >> 32) as u32);
    *address = *address & 0xFFFF_FFFF | u64::from(high) << 32;
}
